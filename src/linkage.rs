//! What a program or library asks of the loader and offers to others, read from its file.
//!
//! The file may be anything: a gigabyte, cut off, or made to harm. Little of it is read, nothing is
//! loaded and nothing panics. What to make of it is left to the installer and to the look at this
//! machine.

mod elf;
#[cfg(test)]
pub(crate) mod fixture;
mod foreign;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use object::FileKind;
use object::read::{ReadCache, ReadRef};

use crate::release::host::Glibc;

/// The most bytes of any one table that are read. Those of llama.cpp's largest libraries have some
/// thousands.
const MAX_TABLE: u64 = 1024 * 1024;

/// The most entries of any one table, whatever their number is said to be.
const MAX_ENTRIES: usize = 65_536;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Linux.
    Elf,
    /// Windows.
    Pe,
    /// macOS.
    MachO,
}

/// What a file asks of the loader and offers to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linkage {
    /// What it is.
    pub(crate) format: Format,
    /// The libraries it is loaded with, as the file names them.
    pub(crate) libraries: Vec<String>,
    /// The folders in which it has the loader look for them, as the file names them.
    pub(crate) run_path: Vec<String>,
    /// The newest version of glibc whose symbols it uses.
    pub(crate) needs: Option<Glibc>,
    /// The newest version of glibc whose symbols it has; only glibc itself has any.
    pub(crate) offers: Option<Glibc>,
}

impl Linkage {
    fn new(format: Format) -> Self {
        Self {
            format,
            libraries: Vec::new(),
            run_path: Vec::new(),
            needs: None,
            offers: None,
        }
    }
}

/// A program or library that cannot be read as one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkageError {
    /// The system does not let it be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is not what it begins as.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

impl From<object::Error> for LinkageError {
    fn from(_: object::Error) -> Self {
        Self::Damaged("a table of it lies outside the file or contradicts another")
    }
}

/// Reads a file. `None` for what is neither a program nor a library.
#[expect(
    clippy::disallowed_types,
    reason = "reads what was installed and what this machine has"
)]
pub(crate) fn read(path: &Path) -> Result<Option<Linkage>, LinkageError> {
    let file = std::fs::File::open(path)?;
    parse(&ReadCache::new(file))
}

/// Reads a file's bytes, of which few are asked for.
pub(crate) fn parse<'data>(data: impl ReadRef<'data>) -> Result<Option<Linkage>, LinkageError> {
    use object::{elf as layout, macho, pe};

    let Ok(kind) = FileKind::parse(data) else {
        return Ok(None);
    };
    match kind {
        FileKind::Elf32 => elf::parse::<layout::FileHeader32<_>, _>(data).map(Some),
        FileKind::Elf64 => elf::parse::<layout::FileHeader64<_>, _>(data).map(Some),
        FileKind::Pe32 => foreign::pe::<pe::ImageNtHeaders32, _>(data).map(Some),
        FileKind::Pe64 => foreign::pe::<pe::ImageNtHeaders64, _>(data).map(Some),
        FileKind::MachO32 => foreign::macho::<macho::MachHeader32<_>, _>(data).map(Some),
        FileKind::MachO64 => foreign::macho::<macho::MachHeader64<_>, _>(data).map(Some),
        _ => Ok(None),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
