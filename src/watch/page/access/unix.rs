//! Unix: who else may read a file, by its permission bits.

use std::io;

use camino::Utf8Path;

/// The permission bits of a file that its group or others may read.
pub(super) fn open_mode(path: &Utf8Path) -> io::Result<Option<u32>> {
    #[cfg_attr(
        target_os = "linux",
        expect(clippy::useless_conversion, reason = "it is narrower elsewhere")
    )]
    let mode = u32::from(rustix::fs::stat(path.as_std_path())?.st_mode) & 0o777;
    Ok((mode & 0o077 != 0).then_some(mode))
}
