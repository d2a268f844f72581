//! A close look at an installed build: every file is hashed again and compared with the list that
//! was made when it was installed. Only reads; what follows from it is the caller's business.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use camino::Utf8Path;

use super::damage::damage;
use super::files::{FileNote, Files, LIST};
use super::tree::{self, Kind, Unseen};
use super::{InstallError, METADATA};
use crate::durable::FileError;
use crate::registry::Entry;

/// How many files are hashed at once. One thread alone does not fill what a disk can read.
const THREADS: usize = 2;

/// How many differences a note of damage names.
const NAMED: usize = 2;

/// Whom a close look tells how far it is: bytes so far, and bytes in all. Called from several
/// threads, about once for every MiB.
pub type OnBytes<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// What a close look at a build found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// It has no list of files: an older version or another program has installed it.
    Unlisted,
    /// It was compared with its list.
    Compared {
        /// What is not as the list says, by path.
        differences: Vec<Difference>,
        /// How many files the list has.
        files: usize,
        /// How many bytes they take.
        bytes: u64,
    },
}

impl Verification {
    /// What is not as it should be.
    pub fn differences(&self) -> &[Difference] {
        match self {
            Self::Unlisted => &[],
            Self::Compared { differences, .. } => differences,
        }
    }

    /// The differences in a line, as [`note_damage`](super::note_damage) takes it; `None` where
    /// nothing is wrong.
    pub fn damage(&self) -> Option<String> {
        let differences = self.differences();
        let named: Vec<String> = differences
            .iter()
            .take(NAMED)
            .map(ToString::to_string)
            .collect();
        let more = differences.len().saturating_sub(NAMED);
        match (named.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(named.join(", ")),
            (false, more) => Some(format!("{}, {more} more", named.join(", "))),
        }
    }
}

/// Something that is not as the list of files says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Difference {
    /// A file has another content.
    Changed(String),
    /// A file or link is gone.
    Missing(String),
    /// There is something the list does not know.
    Added(String),
    /// A link points elsewhere, or something else stands in its place.
    Relinked(String),
    /// A file may be executed and should not, or the other way round.
    Mode {
        /// The file.
        path: String,
        /// Whether it should be executable.
        executable: bool,
    },
    /// The build's folder is gone.
    Gone(String),
    /// The list itself is not the one that was written, so nothing can be compared with it.
    List,
    /// The list that was written is gone.
    ListMissing,
}

impl Difference {
    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::Missing(_) => "missing",
            Self::Added(_) => "added",
            Self::Relinked(_) => "link_changed",
            Self::Mode { .. } => "mode_changed",
            Self::Gone(_) => "folder_missing",
            Self::List => "list_changed",
            Self::ListMissing => "list_missing",
        }
    }

    /// What it is about: a path within the build, or a folder.
    pub fn path(&self) -> &str {
        match self {
            Self::Changed(path)
            | Self::Missing(path)
            | Self::Added(path)
            | Self::Relinked(path)
            | Self::Mode { path, .. }
            | Self::Gone(path) => path,
            Self::List | Self::ListMissing => LIST,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().escape_debug();
        match self {
            Self::Changed(_) => write!(f, "`{path}` changed"),
            Self::Missing(_) | Self::Gone(_) => write!(f, "`{path}` is missing"),
            Self::Added(_) => write!(f, "`{path}` was added"),
            Self::Relinked(_) => write!(f, "the link `{path}` changed"),
            Self::Mode { executable, .. } => {
                let now = if *executable { "not" } else { "now" };
                write!(f, "`{path}` is {now} executable")
            }
            Self::List => f.write_str("its list of files changed"),
            Self::ListMissing => f.write_str("its list of files is missing"),
        }
    }
}

/// Compares a build with its list of files. Reads all of it, two files at a time and a MiB each.
///
/// # Errors
/// Something that is there cannot be read, which says nothing about whether it is damaged.
pub fn verify(
    bins: &Utf8Path,
    entry: &Entry,
    progress: OnBytes<'_>,
) -> Result<Verification, InstallError> {
    let folder = bins.join(entry.folder()?);
    let only = |difference| {
        Ok(Verification::Compared {
            differences: vec![difference],
            files: 0,
            bytes: 0,
        })
    };
    if !folder.is_dir() {
        let folder = super::reference(bins, entry).unwrap_or(folder);
        return only(Difference::Gone(folder.into_string()));
    }
    let files = match (Files::load(bins, entry), entry.files_sha256) {
        (Ok(Some((_, digest))), Some(noted)) if digest != noted => return only(Difference::List),
        (Ok(Some((files, _))), _) => files,
        (Ok(None), Some(_)) => return only(Difference::ListMissing),
        (Ok(None), None) => {
            let unnoted = Entry {
                damage: None,
                ..entry.clone()
            };
            return match (damage(bins, &unnoted), entry.program()?.file_name()) {
                (Some(_), Some(program)) => only(Difference::Missing(program.to_owned())),
                _ => Ok(Verification::Unlisted),
            };
        }
        (Err(InstallError::File(FileError::Damaged { .. })), _) => return only(Difference::List),
        (Err(error), _) => return Err(error),
    };
    let differences = compare(&folder, &files, progress)
        .map_err(|(path, source)| InstallError::Read { path, source })?;
    Ok(Verification::Compared {
        differences: differences.into_iter().collect(),
        files: files.files.len(),
        bytes: files.bytes(),
    })
}

fn compare(
    folder: &Utf8Path,
    files: &Files,
    progress: OnBytes<'_>,
) -> Result<BTreeSet<Difference>, Unseen> {
    let found = tree::walk(folder)?;
    let mut found: BTreeMap<&str, &Kind> = found
        .iter()
        .map(|found| (found.name.as_str(), &found.kind))
        .collect();
    found.retain(|name, _| ![METADATA, LIST].contains(name));
    let mut differences = BTreeSet::new();
    let mut unread = Vec::new();
    for (name, note) in &files.files {
        match found.remove(name.as_str()) {
            None => drop(differences.insert(Difference::Missing(name.clone()))),
            Some(Kind::File { size, executable }) => {
                if *executable != note.executable && cfg!(unix) {
                    differences.insert(Difference::Mode {
                        path: name.clone(),
                        executable: note.executable,
                    });
                }
                if *size == note.size {
                    unread.push((name, note));
                } else {
                    differences.insert(Difference::Changed(name.clone()));
                }
            }
            Some(Kind::Link { .. } | Kind::Other) => {
                differences.insert(Difference::Changed(name.clone()));
            }
        }
    }
    for (name, note) in &files.links {
        match found.remove(name.as_str()) {
            None => drop(differences.insert(Difference::Missing(name.clone()))),
            Some(Kind::Link { target }) if *target == note.target => {}
            Some(_) => drop(differences.insert(Difference::Relinked(name.clone()))),
        }
    }
    differences.extend(
        found
            .keys()
            .map(|name| Difference::Added((*name).to_owned())),
    );
    differences.extend(changed(folder, unread, progress)?);
    Ok(differences)
}

/// Those of the files whose content is another one.
fn changed(
    folder: &Utf8Path,
    mut files: Vec<(&String, &FileNote)>,
    progress: OnBytes<'_>,
) -> Result<Vec<Difference>, Unseen> {
    // The largest ones first, so that the threads end at about the same time.
    files.sort_by_key(|(_, note)| std::cmp::Reverse(note.size));
    let total = files.iter().map(|(_, note)| note.size).sum();
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let result = Mutex::new(Ok(Vec::new()));
    let look = || {
        while let Some((name, note)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = folder.join(name);
            let told = |piece: &[u8]| {
                let more = piece.len() as u64;
                progress(done.fetch_add(more, Ordering::Relaxed) + more, total);
                Ok(())
            };
            let difference = match tree::read(&path, told) {
                Ok((sha256, _)) if sha256 == note.sha256 => continue,
                Ok(_) => Ok(Difference::Changed((*name).clone())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    Ok(Difference::Missing((*name).clone()))
                }
                Err(source) => Err((path, source)),
            };
            let mut result = result
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            match (&mut *result, difference) {
                (Ok(differences), Ok(difference)) => differences.push(difference),
                (Ok(_), Err(unseen)) => *result = Err(unseen),
                (Err(_), _) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(look);
        }
        look();
    });
    result
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
