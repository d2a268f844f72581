//! Undoes a migration: takes away what it has written, as long as that is still as it wrote it, and
//! puts back what was there, to the byte. May be cut off and repeated anywhere.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::{MigrateError, read};
use crate::durable::{self, FileError};
use crate::install;
use crate::instance::BinaryId;
use crate::instance::folder::{self, InstanceFolder};
use crate::kill_point;
use crate::migrate::journal::{self, After, Change, Journal, Stage};
use crate::registry::Registry;
use crate::release::Digest;
use crate::root::{MANIFEST, Root};

/// What came of undoing a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The name of its folder.
    pub migration: String,
    /// What was changed since, and so was left.
    pub left: Vec<Left>,
    /// Whether the manifest is among that, and so everything else was left as well.
    pub keeps_all: bool,
}

/// A path that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The path, relative to the root.
    pub path: Utf8PathBuf,
    /// Why.
    pub why: &'static str,
}

/// Undoes a migration that was cut off, so that another one can begin where it began.
pub fn settle(root: &Root) -> Result<Option<Undone>, MigrateError> {
    let cut_off = journal::list(root)?
        .into_iter()
        .find(|(_, journal)| journal.state == Stage::Begun);
    let Some((name, journal)) = cut_off else {
        return Ok(None);
    };
    let mut undone = take_back(root, name, journal)?;
    match undone.left.pop() {
        Some(left) => Err(MigrateError::CutOff(left)),
        None => Ok(Some(undone)),
    }
}

/// Undoes the newest migration that was not undone yet, or the one whose name begins like this.
/// `None` where there is none to undo.
pub fn undo(root: &Root, which: Option<&str>) -> Result<Option<Undone>, MigrateError> {
    let mut journals = journal::list(root)?;
    if let Some(which) = which {
        journals.retain(|(name, _)| name.starts_with(which));
        if journals.is_empty() {
            return Err(MigrateError::Unknown(which.to_owned()));
        }
    }
    journals.retain(|(_, journal)| journal.state != Stage::Undone);
    match journals.pop() {
        Some((name, journal)) => take_back(root, name, journal).map(Some),
        None => Ok(None),
    }
}

fn take_back(root: &Root, name: String, mut journal: Journal) -> Result<Undone, MigrateError> {
    let failed = |source| FileError::Read {
        path: root.state(),
        source,
    };
    for name in folder::list(root.path()).map_err(failed)? {
        let lock = InstanceFolder::new(root.path(), &name).server_lock();
        if durable::is_locked(&lock)? {
            return Err(MigrateError::Runs(name));
        }
    }
    let folder = journal::home(root).join(&name);
    let touches_bins = journal
        .changes
        .iter()
        .any(|change| change.path.starts_with("bins"));
    if touches_bins {
        // Half of a build in staging, or a whole one that is not listed yet.
        let recovered = install::recover(&root.bins());
        if recovered
            .map_err(|error| MigrateError::Bins(Box::new(error)))?
            .busy
        {
            return Err(MigrateError::Installing);
        }
    }
    let mut taking = Taking {
        root,
        folder: &folder,
        keeps_build: false,
        left: Vec::new(),
    };
    let mut keeps_all = false;
    // The manifest first, by which everything else has an effect: one that stays may rely on it.
    for change in journal.changes.iter().rev() {
        taking.take(change)?;
        kill_point::reached("migrate.undoing");
        keeps_all = change.path == MANIFEST && !taking.left.is_empty();
        if keeps_all {
            break;
        }
    }
    if !keeps_all {
        for folder in journal.folders.iter().rev() {
            remove_empty(&root.path().join(folder))?;
        }
    }
    let left = taking.left;
    if left.is_empty() {
        journal.state = Stage::Undone;
        journal.write(&folder)?;
    }
    Ok(Undone {
        migration: name,
        left,
        keeps_all,
    })
}

struct Taking<'a> {
    root: &'a Root,
    folder: &'a Utf8Path,
    /// Whether the registry goes on to list the build.
    keeps_build: bool,
    left: Vec<Left>,
}

impl Taking<'_> {
    fn leave(&mut self, change: &Change, why: &'static str) {
        self.left.push(Left {
            path: change.path.clone(),
            why,
        });
    }

    fn take(&mut self, change: &Change) -> Result<(), MigrateError> {
        let path = self.root.path().join(&change.path);
        let failed = |source| FileError::Write {
            path: path.clone(),
            source,
        };
        if self.keeps_build && change.path.starts_with("bins") {
            return Ok(());
        }
        let is_lock = matches!(change.path.file_name(), Some("lock" | "registry.lock"));
        if !is_lock {
            durable::remove_unfinished(&path).map_err(failed)?;
        }
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => Some(metadata),
            Err(error) if is_absence(&error) => None,
            Err(error) => return Err(failed(error).into()),
        };
        let is_as_written = match &change.after {
            After::Registry(id) => return self.take_registry(change, &path, *id),
            _ if metadata.is_none() => return Ok(()),
            After::File(digest) => {
                let is_file = metadata.is_some_and(|metadata| metadata.is_file());
                is_file && read(&path)?.map(Digest::of) == Some(*digest)
            }
            After::Link(target) => path.read_link_utf8().is_ok_and(|there| there == *target),
            After::Ours => !is_lock || !durable::is_locked(&path)?,
        };
        if !is_as_written {
            self.leave(change, "it was changed since");
            return Ok(());
        }
        std::fs::remove_file(&path).map_err(failed)?;
        sync_above(&path)?;
        Ok(())
    }

    /// The registry is put back where nothing but our entry has come to it.
    fn take_registry(
        &mut self,
        change: &Change,
        path: &Utf8Path,
        id: BinaryId,
    ) -> Result<(), MigrateError> {
        let original = read(&journal::original(self.folder, &change.path))?;
        let there = read(path)?;
        if there == original {
            return Ok(());
        }
        let parse = |content: &Option<Vec<u8>>| match content {
            Some(content) => Registry::parse(&String::from_utf8_lossy(content), path),
            None => Ok(Registry::default()),
        };
        let mut rest = parse(&there)?;
        rest.remove(id);
        if rest != parse(&original)? {
            self.keeps_build = true;
            self.leave(
                change,
                "it lists other builds by now, and goes on to list this one",
            );
            return Ok(());
        }
        if let Some(content) = original {
            durable::write(path, &content)?;
        } else {
            let failed = |source| FileError::Write {
                path: path.to_owned(),
                source,
            };
            std::fs::remove_file(path).map_err(failed)?;
            sync_above(path)?;
        }
        Ok(())
    }
}

/// Removes a folder that is empty; any other one stays.
fn remove_empty(path: &Utf8Path) -> Result<(), FileError> {
    match std::fs::remove_dir(path) {
        Ok(()) => sync_above(path),
        Err(error) if is_absence(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            Ok(())
        }
        Err(source) => Err(FileError::Write {
            path: path.to_owned(),
            source,
        }),
    }
}

fn sync_above(path: &Utf8Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(path);
    durable::sync_folder(parent).map_err(|source| FileError::Write {
        path: parent.to_owned(),
        source,
    })
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
