//! Companions that lie in an installed build already: the same archive is neither fetched, unpacked
//! nor stored twice.
//!
//! CUDA runtimes take up to 600 MB and are, on Windows, byte for byte the same over many releases.
//! A list of files says which of them came from which archive. Each is hashed again before it is
//! used; where anything does not agree, the archive is received as if it had never been there.

use std::fs;
use std::io;

use camino::Utf8Path;

use super::archive::{Link, Member, Unpacked};
use super::files::{FileNote, Files};
use super::{InstallError, staging, system, tree};
use crate::desired::WantedArchive;
use crate::registry::{Entry, Registry};

/// The folder that the files are laid in. What they lay in at first is not known any more, and one
/// folder around everything is taken off again when they are put beside the server.
const AROUND: &str = "companion";

/// Fills `into`, which must not be there yet, with the files of an archive from an installed build:
/// by hard links, else by copies. What comes back is as if it had been unpacked, its links made.
/// `None` where no build has it whole and unharmed; then `into` is not there either.
pub(super) fn share(
    bins: &Utf8Path,
    registry: &Registry,
    archive: &WantedArchive,
    into: &Utf8Path,
) -> Result<Option<Unpacked>, InstallError> {
    let has = |entry: &&Entry| {
        let mut companions = entry.companions.iter();
        companions.any(|companion| companion.sha256 == archive.digest)
    };
    for entry in registry.entries().iter().filter(has) {
        let Ok(Some((files, digest))) = Files::load(bins, entry) else {
            continue;
        };
        let Ok(folder) = entry.folder() else {
            continue;
        };
        let is_whole = entry.files_sha256 == Some(digest)
            && !files.incomplete.contains(&archive.digest)
            && entry.damage.is_none();
        if is_whole && let Ok(Some(unpacked)) = take(&bins.join(folder), &files, archive, into) {
            return Ok(Some(unpacked));
        }
        staging::remove(into).map_err(|source| InstallError::Write {
            path: into.to_owned(),
            source,
        })?;
    }
    Ok(None)
}

fn take(
    build: &Utf8Path,
    files: &Files,
    archive: &WantedArchive,
    into: &Utf8Path,
) -> io::Result<Option<Unpacked>> {
    let mut unpacked = Unpacked {
        root: into.to_owned(),
        files: Vec::new(),
        links: Vec::new(),
    };
    for (name, note) in &files.files {
        if !note.archives.contains(&archive.digest) {
            continue;
        }
        let path = Utf8Path::new(AROUND).join(name);
        if !take_file(&build.join(name), note, &into.join(&path))? {
            return Ok(None);
        }
        unpacked.files.push(Member {
            path,
            sha256: note.sha256,
            size: note.size,
            executable: note.executable,
        });
    }
    for (name, note) in &files.links {
        if note.archives.contains(&archive.digest) {
            let at = Utf8Path::new(AROUND).join(name);
            create_parent(&into.join(&at))?;
            unpacked.links.push(Link {
                at,
                target: note.target.clone(),
            });
        }
    }
    for link in &unpacked.links {
        system::symlink(&link.target, &into.join(&link.at))?;
    }
    Ok((!unpacked.files.is_empty()).then_some(unpacked))
}

/// `false` when the file is not what the list says.
fn take_file(from: &Utf8Path, note: &FileNote, to: &Utf8Path) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(from)?;
    if !metadata.is_file() || metadata.len() != note.size {
        return Ok(false);
    }
    create_parent(to)?;
    let is_linked =
        system::is_executable(&metadata) == note.executable && fs::hard_link(from, to).is_ok();
    let (sha256, size) = if is_linked {
        tree::read(to, |_| Ok(()))?
    } else {
        let mut copy = system::create(to, note.executable)?;
        tree::read(from, |piece| io::Write::write_all(&mut copy, piece))?
    };
    Ok(sha256 == note.sha256 && size == note.size)
}

fn create_parent(path: &Utf8Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests;
