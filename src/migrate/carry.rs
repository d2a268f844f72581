//! Carries a migration out, and undoes one.
//!
//! The journal and the copies are on disk before anything is touched, and `orchestrator.yaml` comes
//! last: without it nothing else that was written has an effect. A migration that was cut off is
//! undone like a whole one. Whoever calls holds the pass lock.

#![expect(
    clippy::disallowed_methods,
    reason = "reads what was there, and takes away what it has written itself"
)]

mod undo;

use std::collections::BTreeSet;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use uuid::Uuid;

pub use undo::{Left, Undone, settle, undo};

use super::journal::{self, After, Change, Journal, Stage};
use super::{Migration, Old, Step};
use crate::durable::{self, FileError};
use crate::install::{self, InstallError, LIST, METADATA, OnBytes, RegisterRequest};
use crate::instance::{BinaryId, InstanceName};
use crate::kill_point;
use crate::release::Digest;
use crate::release::host::Host;
use crate::root::Root;

/// Why a migration was not carried out, or not undone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// `bin/` could not be taken in.
    #[error("cannot register `bin/`")]
    Register(#[source] Box<InstallError>),
    /// What lies in `bins/` cannot be brought in order.
    #[error("cannot tidy up `bins/`")]
    Bins(#[source] Box<InstallError>),
    /// Something came to lie where something was to be written.
    #[error("`{0}` is there by now, and is not written over")]
    Occupied(Utf8PathBuf),
    /// A server of this program runs on what was written.
    #[error("`{0}` runs under this program by now")]
    Runs(InstanceName),
    /// Somebody installs a build.
    #[error("another process is installing a build")]
    Installing,
    /// No migration goes by that name.
    #[error("there is no migration `{0}`")]
    Unknown(String),
    /// One that was cut off cannot be undone whole.
    #[error("an earlier migration was cut off, and `{}` is not as it left it", .0.path)]
    CutOff(Left),
}

impl MigrateError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Register(error) | Self::Bins(error) => error.hint(),
            Self::Occupied(_) => {
                Some("run `llama-orch migrate` again to see what that means".to_owned())
            }
            Self::Runs(_) => Some("end it first: `llama-orch down --all`".to_owned()),
            Self::Installing => Some("run it again in a moment".to_owned()),
            Self::Unknown(_) => None,
            Self::CutOff(_) => {
                Some("move that file away, then `llama-orch migrate --undo`".to_owned())
            }
        }
    }
}

/// Carries a migration out, and returns the folder with its journal, relative to the root.
pub fn apply(
    root: &Root,
    old: &Old,
    migration: &Migration,
    now: Timestamp,
    progress: OnBytes<'_>,
) -> Result<Utf8PathBuf, MigrateError> {
    let id = BinaryId::new(Uuid::new_v4());
    let mut journal = draft(root, migration, id)?;
    let folder = begin(root, old, &journal, now)?;
    kill_point::reached("migrate.journaled");
    for step in &migration.steps {
        if let Err(error) = carry(root, step, id, progress) {
            if let MigrateError::Occupied(path) = &error {
                disown(&mut journal, path, &folder)?;
            }
            return Err(error);
        }
    }
    kill_point::reached("migrate.written");
    journal.state = Stage::Done;
    journal.write(&folder)?;
    Ok(folder
        .strip_prefix(root.path())
        .unwrap_or(&folder)
        .to_owned())
}

fn carry(
    root: &Root,
    step: &Step,
    id: BinaryId,
    progress: OnBytes<'_>,
) -> Result<(), MigrateError> {
    match step {
        Step::Register { version, .. } => {
            let (bins, bin, host) = (root.bins(), root.path().join("bin"), Host::detect());
            let request = RegisterRequest {
                bins: &bins,
                path: &bin,
                version,
                variant: None,
                id: Some(id),
                link: false,
                host: host.as_ref(),
            };
            install::register(&request, progress)
                .map_err(|error| MigrateError::Register(Box::new(error)))?;
            kill_point::reached("migrate.registered");
        }
        Step::Copy { from, to, text } => {
            let path = root.path().join(to);
            let from = root.path().join(from);
            // A config may hold secrets: whoever cannot read it cannot read the copy.
            if let (Some(folder), Some(old)) = (path.parent(), from.parent()) {
                durable::create_folder_like(folder, old)?;
            }
            write_new(root, to, text, Some(&from))?;
            kill_point::reached("migrate.copied");
        }
        Step::Manifest { text } => {
            write_new(root, Utf8Path::new(crate::root::MANIFEST), text, None)?;
        }
    }
    Ok(())
}

/// Somebody may have written there since [`draft`] has looked: registering takes long.
fn write_new(
    root: &Root,
    path: &Utf8Path,
    text: &str,
    like: Option<&Utf8Path>,
) -> Result<(), MigrateError> {
    match durable::write_new(&root.path().join(path), text.as_bytes(), like) {
        Err(FileError::Write { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(MigrateError::Occupied(path.to_owned()))
        }
        other => Ok(other?),
    }
}

/// Has the journal end before a path: what lies there is somebody else's, even if it reads the same,
/// and nothing after it was touched.
fn disown(journal: &mut Journal, path: &Utf8Path, folder: &Utf8Path) -> Result<(), FileError> {
    let its = journal
        .changes
        .iter()
        .position(|change| change.path == *path);
    if let Some(its) = its {
        journal.changes.truncate(its);
        journal.write(folder)?;
    }
    Ok(())
}

/// Everything the steps will touch.
fn draft(root: &Root, migration: &Migration, id: BinaryId) -> Result<Journal, MigrateError> {
    let mut changes = Vec::new();
    for step in &migration.steps {
        match step {
            Step::Register { .. } => changes.extend(registering(root, id)?),
            Step::Copy { to, text, .. } => changes.push(new_file(root, to, text)?),
            Step::Manifest { text } => {
                changes.push(new_file(root, Utf8Path::new(crate::root::MANIFEST), text)?);
            }
        }
    }
    let missing =
        |folder: &&Utf8Path| !folder.as_str().is_empty() && !root.path().join(folder).exists();
    let folders: BTreeSet<Utf8PathBuf> = changes
        .iter()
        .flat_map(|change| change.path.ancestors().skip(1).filter(missing))
        .map(Utf8Path::to_owned)
        .collect();
    Ok(Journal::begin(changes, folders.into_iter().collect()))
}

fn new_file(root: &Root, path: &Utf8Path, text: &str) -> Result<Change, MigrateError> {
    if root.path().join(path).symlink_metadata().is_ok() {
        return Err(MigrateError::Occupied(path.to_owned()));
    }
    Ok(Change {
        path: path.to_owned(),
        before: None,
        after: After::File(Digest::of(text)),
    })
}

/// What registering `bin/` writes into `bins/`.
fn registering(root: &Root, id: BinaryId) -> Result<Vec<Change>, MigrateError> {
    let bins = Utf8Path::new("bins");
    let new = |path: Utf8PathBuf, after| Change {
        path,
        before: None,
        after,
    };
    let mut changes = vec![
        new(bins.join(".gitignore"), After::File(Digest::of("*\n"))),
        new(bins.join("registry.lock"), After::Ours),
        new(bins.join(install::STAGING).join("lock"), After::Ours),
    ];
    changes.retain(|change| !root.path().join(&change.path).exists());
    let build = bins.join(id.to_string());
    let files = install::contents(&root.path().join("bin"))
        .map_err(|error| MigrateError::Register(Box::new(error)))?;
    for (name, file) in files.files {
        changes.push(new(build.join(name), After::File(file.sha256)));
    }
    for (name, link) in files.links {
        changes.push(new(build.join(name), After::Link(link.target)));
    }
    changes.extend([METADATA, LIST].map(|note| new(build.join(note), After::Ours)));
    let registry = bins.join("registry.json");
    let before = read(&root.path().join(&registry))?.map(Digest::of);
    changes.push(Change {
        path: registry,
        before,
        after: After::Registry(id),
    });
    Ok(changes)
}

/// Writes the copies, and then the journal.
fn begin(
    root: &Root,
    old: &Old,
    journal: &Journal,
    now: Timestamp,
) -> Result<Utf8PathBuf, FileError> {
    let home = journal::home(root);
    durable::create_folder(&home)?;
    let stamp = now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let names =
        std::iter::once(stamp.clone()).chain((2..).map(|number| format!("{stamp}-{number}")));
    let folder = names
        .map(|name| home.join(name))
        .find(|folder| !folder.exists());
    let folder = folder.unwrap_or_else(|| home.join(stamp));
    let configs = old.configs.iter().map(super::OldConfig::path);
    let changed = journal
        .changes
        .iter()
        .filter(|change| change.before.is_some());
    let mut parents = BTreeSet::from([home.clone(), root.state(), folder.clone()]);
    for path in configs.chain(changed.map(|change| change.path.clone())) {
        let Some(content) = read(&root.path().join(&path))? else {
            continue;
        };
        let copy = journal::original(&folder, &path);
        let above = copy.ancestors().skip(1).take_while(|above| *above != home);
        parents.extend(above.map(Utf8Path::to_owned));
        durable::create_folder(copy.parent().unwrap_or(&folder))?;
        durable::write_new(&copy, &content, Some(&root.path().join(&path)))?;
    }
    durable::create_folder(&folder)?;
    for path in parents {
        let synced = durable::sync_folder(&path);
        synced.map_err(|source| FileError::Write { path, source })?;
    }
    journal.write(&folder)?;
    Ok(folder)
}

fn read(path: &Utf8Path) -> Result<Option<Vec<u8>>, FileError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
