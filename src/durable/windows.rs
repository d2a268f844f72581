//! Windows: locks by how a file is shared, since a lock of `LockFileEx` belongs to one process and
//! is gone with it, whoever has inherited the handle.
//!
//! A lock is held by whoever has its file open for writing, shared for reading alone (`CreateFileW`,
//! `dwShareMode`): the second to ask is refused with a sharing violation, and the file counts as
//! open until the last handle of the same open is closed, those that children inherited included.
//! A lock is shared, and looked at, by opening for reading and letting nobody write. Plain reading
//! goes on beside all of them. A program that opens every file it sees, such as a virus scanner,
//! may stand in the way for an instant, as does a look.
//!
//! NTFS keeps renames in its journal, so that after a crash the old or the new name is there; when
//! that reaches the disk cannot be asked for, so [`sync_folder`] has nothing to do. Who may read
//! our files is for the access list of the root's folder, which new files inherit.

#![expect(unsafe_code, reason = "the system is called")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use windows_sys::Win32::Foundation::{ERROR_SHARING_VIOLATION, GENERIC_READ};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ, GetFileInformationByHandle,
    MOVEFILE_WRITE_THROUGH, MoveFileExW,
};

use super::Hold;

/// How often a temporary file that somebody else writes is tried again.
const AGAIN: Duration = Duration::from_millis(1);

/// What others may do with a file that is held: read it, and take its name away.
const HELD: u32 = FILE_SHARE_READ | FILE_SHARE_DELETE;

/// The one name of a file or folder, absolute and without links; of one on a drive without the prefix
/// `\\?\`, with which no folder can be a process' own.
pub(crate) fn canonical(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    let path = path.canonicalize_utf8()?;
    let plain = path.as_str().strip_prefix(r"\\?\");
    let on_a_drive = plain.filter(|plain| plain.as_bytes().get(1) == Some(&b':'));
    Ok(on_a_drive.map_or_else(|| path.clone(), Utf8PathBuf::from))
}

/// Which file or folder it is, whatever its name: the volume's serial number and the file's index.
pub(crate) type Place = (u64, u64);

/// Which file or folder lies at a path now; `None` when there is none.
pub(crate) fn place(path: &Utf8Path) -> io::Result<Option<Place>> {
    let opened = OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        // Without it a folder cannot be opened.
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(path);
    match opened {
        Ok(there) => place_of(&there).map(Some),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Which file an open one is.
pub(crate) fn place_of(file: &File) -> io::Result<Place> {
    let mut about = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` is borrowed, and `about` is where the result goes.
    if unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut about) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let index = u64::from(about.nFileIndexHigh) << 32 | u64::from(about.nFileIndexLow);
    Ok((about.dwVolumeSerialNumber.into(), index))
}

/// Nothing to do: a new file has the access list its folder hands down.
pub(crate) fn closed_to_others(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Creates a folder along with those above it, with the access list the root hands down.
pub(crate) fn create_closed_folder(path: &Utf8Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Nothing to do: a file can be executed by whoever may read it.
#[expect(clippy::unnecessary_wraps, reason = "other systems can fail to")]
pub(crate) fn open_to_all(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens the temporary file for a target, to the exclusion of others who write the same one. Its
/// name is always the same, so that what a crash leaves is used up by the next write.
pub(super) fn open_temporary(path: &Utf8Path) -> io::Result<File> {
    loop {
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .share_mode(HELD)
            // A link that someone has put there must not lead us elsewhere.
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
            .open(path);
        match opened {
            Err(error) if is_shared_otherwise(&error) => std::thread::sleep(AGAIN),
            Ok(file) if file.metadata()?.is_symlink() => {
                return Err(io::Error::other("it is a link"));
            }
            Ok(file) => {
                // Whoever had it before has renamed it by now.
                if place(path)? == Some(place_of(&file)?) {
                    return Ok(file);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Renames a file to where nothing lies.
pub(super) fn rename_new(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    let wide = |path: &Utf8Path| -> Vec<u16> { path.as_str().encode_utf16().chain([0]).collect() };
    let (from, to) = (wide(from), wide(to));
    // SAFETY: both end with a zero and live until the call is over.
    if unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_WRITE_THROUGH) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Nothing to do, see above.
pub fn sync_folder(_folder: &Utf8Path) -> io::Result<()> {
    Ok(())
}

/// Opens a file, creating it, and takes its lock. `None` when someone else holds that.
pub(super) fn open_held(path: &Utf8Path, hold: Hold) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).share_mode(HELD);
    let opened = match hold {
        Hold::Alone => options.write(true).create(true).truncate(false).open(path),
        // A file that is only read is not created by opening it.
        Hold::Shared => match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                OpenOptions::new()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(path)?;
                options.open(path)
            }
            opened => opened,
        },
    };
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_shared_otherwise(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether someone holds the lock of a file.
pub(super) fn is_held(path: &Utf8Path) -> io::Result<bool> {
    let looked = OpenOptions::new()
        .access_mode(GENERIC_READ)
        .share_mode(HELD)
        .open(path);
    match looked {
        Ok(_) => Ok(false),
        Err(error) if is_shared_otherwise(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether somebody has the file open in a way that excludes ours.
fn is_shared_otherwise(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION.cast_signed())
}
