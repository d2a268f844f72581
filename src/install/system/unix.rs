//! Unix: modes, symbolic links, and what Linux and macOS add.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};

use camino::Utf8Path;

use crate::durable;

/// Creates a file that must not be there yet.
pub(in crate::install) fn create(path: &Utf8Path, executable: bool) -> io::Result<File> {
    let mode = if executable { 0o755 } else { 0o644 };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

/// Whether an open file is still the one at this path.
pub(in crate::install) fn is_at(file: &File, path: &Utf8Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == durable::place_of(file)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(in crate::install) fn symlink(target: &str, at: &Utf8Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

/// Whether its owner may execute a file.
pub(in crate::install) fn is_executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o100 != 0
}

/// Lets two folders change places in one instant. `false` where the system or the file system
/// cannot do so.
pub(in crate::install) fn exchange(one: &Utf8Path, other: &Utf8Path) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        let unknown = [Errno::NOSYS, Errno::INVAL, Errno::OPNOTSUPP, Errno::NOTSUP];
        let (one, other) = (one.as_std_path(), other.as_std_path());
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Ok(()) => return Ok(true),
            Err(error) if unknown.contains(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Bytes an ordinary user may still write to the file system of a folder.
pub(crate) fn free_bytes(folder: &Utf8Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder.as_std_path())?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes everything that was written to the file system of a folder last.
pub(in crate::install) fn flush(folder: &Utf8Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::fs::syncfs(File::open(folder)?)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        rustix::fs::sync();
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
