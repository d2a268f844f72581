//! The entries of a `.zip`, read from a file whose digest was verified: a zip's list of entries
//! stands at its end.

use std::fs::File;
use std::io::{self, Read as _};

use camino::Utf8Path;
use zip::ZipArchive;
use zip::result::ZipError;

use super::{ArchiveError, Limits, Unpacked, Unpacker, printable};

/// The longest target of a link, as on Linux.
const MAX_TARGET: u64 = 4096;

const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// Unpacks a whole zip.
pub(in crate::install) fn unpack(
    path: &Utf8Path,
    into: &Utf8Path,
    limits: Limits,
) -> Result<Unpacked, ArchiveError> {
    let unreadable = |source| ArchiveError::Unreadable { source };
    let file = File::open(path).map_err(unreadable)?;
    let packed = file.metadata().map_err(unreadable)?.len();
    let broken = |error: ZipError| unreadable(io::Error::other(error));
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(broken)?;
    if archive.has_duplicate_names() {
        return Err(ArchiveError::Duplicate {
            member: "a name".to_owned(),
        });
    }
    let mut unpacker = Unpacker::new(into, limits)?;
    for index in 0..archive.len() {
        unpacker.count()?;
        let mut entry = archive.by_index(index).map_err(broken)?;
        let name = entry.name_raw().to_vec();
        let mode = entry.unix_mode().unwrap_or(0);
        let is_folder = name.ends_with(b"/");
        match mode & KIND {
            _ if entry.encrypted() => {
                return Err(ArchiveError::Kind {
                    member: printable(&name),
                    kind: "encrypted",
                });
            }
            0 | FOLDER if is_folder => unpacker.folder(&name)?,
            0 | REGULAR if !is_folder => {
                let length = entry.size();
                unpacker.file(&name, mode & 0o111 != 0, length, &mut entry, || packed)?;
            }
            SYMLINK => {
                let mut target = Vec::new();
                (&mut entry)
                    .take(MAX_TARGET)
                    .read_to_end(&mut target)
                    .map_err(unreadable)?;
                unpacker.symlink(&name, &target)?;
            }
            _ => {
                let kind = "neither a file, a folder nor a link";
                return Err(ArchiveError::Kind {
                    member: printable(&name),
                    kind,
                });
            }
        }
    }
    Ok(unpacker.finish())
}
