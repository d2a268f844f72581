//! Windows: links of two kinds, programs by their names, and no exchange of two folders.

#![expect(unsafe_code, reason = "the system is called")]

use std::fs::{File, Metadata, OpenOptions};
use std::io;

use camino::Utf8Path;
use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;

use crate::durable;

/// Creates a file that must not be there yet.
pub(in crate::install) fn create(path: &Utf8Path, _executable: bool) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Whether an open file is still the one at this path.
pub(in crate::install) fn is_at(file: &File, path: &Utf8Path) -> io::Result<bool> {
    Ok(durable::place(path)? == Some(durable::place_of(file)?))
}

/// Makes a link, which this user may not be allowed to. Files and folders have links of their own.
pub(in crate::install) fn symlink(target: &str, at: &Utf8Path) -> io::Result<()> {
    let target = target.replace('/', "\\");
    let whole = at.parent().map(|folder| folder.join(&target));
    if whole.is_some_and(|target| target.is_dir()) {
        std::os::windows::fs::symlink_dir(target, at)
    } else {
        std::os::windows::fs::symlink_file(target, at)
    }
}

/// Windows tells programs by their names.
pub(in crate::install) fn is_executable(_metadata: &Metadata) -> bool {
    false
}

/// Windows cannot.
pub(in crate::install) fn exchange(_one: &Utf8Path, _other: &Utf8Path) -> io::Result<bool> {
    Ok(false)
}

/// Bytes this user may still write to the disk of a folder.
pub(crate) fn free_bytes(folder: &Utf8Path) -> io::Result<u64> {
    let folder: Vec<u16> = folder.as_str().encode_utf16().chain([0]).collect();
    let mut free = 0;
    let (total, all_free) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the path ends in a zero, `free` is where the result goes, and the others may be null.
    let asked = unsafe { GetDiskFreeSpaceExW(folder.as_ptr(), &raw mut free, total, all_free) };
    if asked == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(free)
}

/// Makes every file below a folder last.
pub(in crate::install) fn flush(folder: &Utf8Path) -> io::Result<()> {
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            flush(entry.path())?;
        } else if kind.is_file() {
            OpenOptions::new()
                .write(true)
                .open(entry.path())?
                .sync_all()?;
        }
    }
    Ok(())
}
