//! Unix: flock(2) through the standard library, modes, and fsync(2) of folders.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use super::Hold;

/// The one name of a file or folder, absolute and without links.
pub(crate) fn canonical(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    path.canonicalize_utf8()
}

/// Which file or folder it is, whatever its name: device and inode.
pub(crate) type Place = (u64, u64);

/// Which file or folder lies at a path now; `None` when there is none.
pub(crate) fn place(path: &Utf8Path) -> io::Result<Option<Place>> {
    match std::fs::metadata(path) {
        Ok(there) => Ok(Some((there.dev(), there.ino()))),
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
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Lets a file that these options create be read and written by its owner alone.
pub(crate) fn closed_to_others(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Creates a folder that only its owner may look into, along with the folders above it.
pub(crate) fn create_closed_folder(path: &Utf8Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Lets everybody execute a file or look into a folder, and its owner alone write.
pub(crate) fn open_to_all(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// Opens the temporary file for a target and locks it against others who write the same one. Its
/// name is always the same, so that what a crash leaves is used up by the next write.
pub(super) fn open_temporary(path: &Utf8Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            // A link that someone has put there must not lead us elsewhere.
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        file.lock()?;
        // Whoever had it before has renamed it by now.
        match std::fs::symlink_metadata(path) {
            Ok(there) if there.ino() == file.metadata()?.ino() => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Renames a file to where nothing lies. A system or file system that cannot promise that looks first.
pub(super) fn rename_new(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        let unknown = [Errno::NOSYS, Errno::INVAL, Errno::OPNOTSUPP, Errno::NOTSUP];
        let (from, to) = (from.as_std_path(), to.as_std_path());
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(error) if unknown.contains(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match std::fs::symlink_metadata(to) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::rename(from, to),
        Err(error) => Err(error),
    }
}

/// Makes renames and removals inside a folder last.
pub fn sync_folder(folder: &Utf8Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Opens a file, creating it, and takes its lock. `None` when someone else holds that.
pub(super) fn open_held(path: &Utf8Path, hold: Hold) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    let tried = match hold {
        Hold::Alone => file.try_lock(),
        Hold::Shared => file.try_lock_shared(),
    };
    match tried {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether someone holds the lock of a file.
pub(super) fn is_held(path: &Utf8Path) -> io::Result<bool> {
    match File::open(path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
