//! `.llama-orch/migrations/<time>/`: what a migration touches, on disk before it touches anything.
//!
//! `journal.json` lists every path with what was there and what is to be there, `originals/` holds
//! all files the migration has read. A journal that was begun and not finished is that of a
//! migration which was cut off. Acting on it is left to [`super::carry`].

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::durable::{self, FileError};
use crate::instance::BinaryId;
use crate::release::Digest;
use crate::root::Root;

/// The number in `schema` that this version writes.
const SCHEMA: u32 = 1;

/// What a migration touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Version of this form.
    schema: u32,
    /// How far it came.
    pub state: Stage,
    /// Every path, in the order of writing.
    pub changes: Vec<Change>,
    /// The folders that were not there before, each after those above it.
    pub folders: Vec<Utf8PathBuf>,
    /// Keys of a later version, kept as they were.
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// How far a migration came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It may have touched any of its paths, or none.
    Begun,
    /// It is whole.
    Done,
    /// All of it was undone.
    Undone,
}

/// One path, relative to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The path.
    pub path: Utf8PathBuf,
    /// What the file hashed to that was there; it lies in `originals/`. `None`: there was none.
    pub before: Option<Digest>,
    /// What is there afterwards.
    pub after: After,
}

/// What a migration leaves at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// A file that hashes to this.
    File(Digest),
    /// A symbolic link to this.
    Link(String),
    /// The registry as it was, with this entry more.
    Registry(BinaryId),
    /// A lock or a note of ours, whatever stands in it.
    Ours,
}

impl Journal {
    /// A journal of a migration that is about to begin.
    pub(super) fn begin(changes: Vec<Change>, folders: Vec<Utf8PathBuf>) -> Self {
        Self {
            schema: SCHEMA,
            state: Stage::Begun,
            changes,
            folders,
            other: Map::new(),
        }
    }

    /// Writes it into the folder of its migration.
    pub(super) fn write(&self, folder: &Utf8Path) -> Result<(), FileError> {
        durable::write_json(&folder.join("journal.json"), self)
    }
}

/// Where the copy of a file that was there lies.
pub(super) fn original(folder: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    folder.join("originals").join(path)
}

/// Where migrations are noted.
pub(super) fn home(root: &Root) -> Utf8PathBuf {
    root.state().join("migrations")
}

/// All migrations, the oldest first, by the names of their folders.
///
/// # Errors
/// A journal that cannot be read, or comes from a later version.
pub fn list(root: &Root) -> Result<Vec<(String, Journal)>, FileError> {
    let home = home(root);
    let failed = |source| FileError::Read {
        path: home.clone(),
        source,
    };
    let entries = match home.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // Without a journal, a migration was cut off before it touched anything.
        let path = entry.path().join("journal.json");
        if let Some(journal) = durable::read_json(&path, SCHEMA)? {
            journals.push((entry.file_name().to_owned(), journal));
        }
    }
    journals.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(journals)
}
