//! The entries of a `.tar.gz`, read in one pass from a stream that is not trusted yet.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use camino::Utf8Path;
use flate2::bufread::MultiGzDecoder;
use tar::EntryType;

use super::{ArchiveError, Limits, Unpacked, Unpacker, printable};

/// What may be inflated between two entries: headers, long names, padding. The tar reader keeps
/// long names in memory, however long they claim to be.
const BETWEEN_ENTRIES: u64 = 1024 * 1024;

/// Inflates and unpacks. `packed` says how many bytes were taken from `stream` so far.
pub(in crate::install) fn unpack(
    stream: impl BufRead,
    packed: impl Fn() -> u64,
    into: &Utf8Path,
    limits: Limits,
) -> Result<Unpacked, ArchiveError> {
    let mut unpacker = Unpacker::new(into, limits)?;
    let allowance = Rc::new(Cell::new(BETWEEN_ENTRIES));
    let inflated = Bounded {
        inner: MultiGzDecoder::new(stream),
        allowance: Rc::clone(&allowance),
    };
    let mut archive = tar::Archive::new(inflated);
    let unreadable = |source| ArchiveError::Unreadable { source };
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        unpacker.count()?;
        let name = entry.path_bytes().into_owned();
        let kind = |kind| ArchiveError::Kind {
            member: printable(&name),
            kind,
        };
        match entry.header().entry_type() {
            EntryType::Directory => unpacker.folder(&name)?,
            EntryType::Regular => {
                let mode = entry.header().mode().map_err(unreadable)?;
                let length = entry.size();
                allowance.set(u64::MAX);
                unpacker.file(&name, mode & 0o111 != 0, length, &mut entry, &packed)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                unpacker.symlink(&name, &target)?;
            }
            // Says something about the archive as a whole, such as the commit it was made from.
            EntryType::XGlobalHeader => {}
            EntryType::Link => return Err(kind("a hard link")),
            EntryType::Char | EntryType::Block => return Err(kind("a device")),
            EntryType::Fifo => return Err(kind("a pipe")),
            EntryType::GNUSparse => return Err(kind("a sparse file")),
            _ => return Err(kind("of an unknown kind")),
        }
        allowance.set(BETWEEN_ENTRIES);
    }
    // What follows the last entry is only padding, but its checksum covers everything before.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(unreadable)?;
    Ok(unpacker.finish())
}

/// A reader that ends with an error once its allowance is used up.
struct Bounded<R> {
    inner: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.allowance.get().checked_sub(read as u64) {
            Some(left) => {
                self.allowance.set(left);
                Ok(read)
            }
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "there is more between its entries than any archive has",
            )),
        }
    }
}
