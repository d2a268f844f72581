//! Windows: what kind of drive a folder lies on. Who may write to a folder is for its access list.

#![expect(unsafe_code, reason = "the system is called")]

use std::io;

use camino::{Utf8Component, Utf8Path, Utf8Prefix};
use windows_sys::Win32::Storage::FileSystem::GetDriveTypeW;
use windows_sys::Win32::System::WindowsProgramming::DRIVE_REMOTE;

/// Not told apart: an access list may let several users write, whoever is called the owner.
#[expect(clippy::unnecessary_wraps, reason = "other systems have to look")]
pub(super) fn other_owner(_path: &Utf8Path) -> io::Result<Option<(u32, u32)>> {
    Ok(None)
}

/// Whether a path lies on a network drive.
#[expect(clippy::unnecessary_wraps, reason = "other systems can fail to")]
pub(super) fn network_file_system(path: &Utf8Path) -> io::Result<Option<&'static str>> {
    let Some(Utf8Component::Prefix(prefix)) = path.components().next() else {
        return Ok(None);
    };
    let is_remote = match prefix.kind() {
        Utf8Prefix::UNC(..) | Utf8Prefix::VerbatimUNC(..) => true,
        Utf8Prefix::Disk(letter) | Utf8Prefix::VerbatimDisk(letter) => {
            let drive = [letter, b':', b'\\', 0].map(u16::from);
            // SAFETY: the name of the drive ends in a zero.
            (unsafe { GetDriveTypeW(drive.as_ptr()) }) == DRIVE_REMOTE
        }
        _ => false,
    };
    Ok(is_remote.then_some("a network drive"))
}

/// There are no such numbers.
pub(super) const fn user_id() -> Option<u32> {
    None
}

/// Accounts are not told apart by number here.
pub(super) fn owner(_: &Utf8Path) -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Nothing is written there by this program.
pub(super) const fn is_administrator() -> bool {
    false
}
