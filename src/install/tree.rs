//! What lies in a folder, link by link and file by file, and what a file hashes to. Only looks.

use std::fs::{self, File};
use std::io::{self, Read as _};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};

use super::system;
use crate::release::Digest;

/// Bytes read from a file at once.
pub(super) const PIECE: usize = 1024 * 1024;

/// Something in a folder, or below it, that is no folder itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path relative to the folder, with `/` between its parts.
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File {
        size: u64,
        executable: bool,
    },
    Link {
        target: String,
    },
    /// A socket, a device and the like.
    Other,
}

/// What could not be looked at, and why.
pub(super) type Unseen = (Utf8PathBuf, io::Error);

/// Everything below a folder, sorted by name. Links are not followed; names that are not UTF-8 are
/// spelled as well as can be.
pub(super) fn walk(root: &Utf8Path) -> Result<Vec<Found>, Unseen> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let failed = |source| (folder.clone(), source);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let path = root.join(&name);
            let failed = |source| (path.clone(), source);
            let metadata = entry.metadata().map_err(failed)?;
            let kind = if metadata.is_dir() {
                folders.push((path, format!("{name}/")));
                continue;
            } else if metadata.is_symlink() {
                let target = fs::read_link(entry.path()).map_err(failed)?;
                Kind::Link {
                    target: target.to_string_lossy().into_owned(),
                }
            } else if metadata.is_file() {
                Kind::File {
                    size: metadata.len(),
                    executable: system::is_executable(&metadata),
                }
            } else {
                Kind::Other
            };
            found.push(Found { name, kind });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Reads a file piece by piece, hands each piece on, and returns what all of it hashes to, and its
/// length in bytes.
pub(super) fn read(
    path: &Utf8Path,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut size = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((Digest::from_bytes(hasher.finalize().into()), size)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        size += read as u64;
        hasher.update(&buffer[..read]);
        take(&buffer[..read])?;
    }
}
