//! `bins/registry.json`: the builds that are installed, under which ids, and where they came from.
//!
//! The file has the form it had before this program: old copies are read as they are, keys nobody
//! here knows survive, and whatever text stood in a field stands there again after rewriting. The
//! folders beside it are [`install`](crate::install)'s business.

mod entry;
#[cfg(test)]
mod tests;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use entry::{Checksum, Companion, Entry, OutsideBins, REFERENCE};

use crate::durable::{self, FileError, FileLock};
use crate::instance::BinaryId;
use crate::release::Digest;

/// The newest form that is understood, in the file's `schema_version`.
pub const SCHEMA_VERSION: &str = "1.0.0";

/// The major number of [`SCHEMA_VERSION`]: a file with a higher one is left alone.
const SCHEMA_MAJOR: u32 = 1;

/// How long another writer of the registry is waited for; one writes within milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the registry could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The file could not be read or written, is damaged, or comes from a later version.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process keeps the lock.
    #[error("another process is changing `{path}`, and did not finish within {} s", PATIENCE.as_secs())]
    Busy {
        /// The registry.
        path: Utf8PathBuf,
    },
}

impl RegistryError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Busy { .. } => Some("run `llama-orch plan` again in a moment".to_owned()),
        }
    }
}

/// Everything in `registry.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registry {
    schema_version: String,
    binaries: Vec<Entry>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            binaries: Vec::new(),
            other: Map::new(),
        }
    }
}

impl Registry {
    /// Reads the text of a registry. The path is for messages.
    ///
    /// # Errors
    /// A later major version and a damaged text are told apart; neither is taken for empty.
    pub fn parse(text: &str, path: &Utf8Path) -> Result<Self, FileError> {
        /// Only the part that says whether the rest can be understood.
        #[derive(Deserialize)]
        struct Head {
            schema_version: String,
        }
        let damaged = |why: String| FileError::Damaged {
            path: path.to_owned(),
            why,
        };
        let unreadable = |error: serde_json::Error| damaged(error.to_string());
        // Editors on Windows, where this form comes from, like to put a mark before the text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let head: Head = serde_json::from_str(text).map_err(unreadable)?;
        let major = head
            .schema_version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok());
        match major {
            Some(found) if found > u64::from(SCHEMA_MAJOR) => {
                return Err(FileError::Newer {
                    path: path.to_owned(),
                    found,
                    known: SCHEMA_MAJOR,
                });
            }
            Some(_) => {}
            None => {
                let found = head.schema_version;
                return Err(damaged(format!(
                    "`schema_version` is `{found}`, not a version"
                )));
            }
        }
        let registry: Self = serde_json::from_str(text).map_err(unreadable)?;
        let mut seen = std::collections::BTreeSet::new();
        for entry in &registry.binaries {
            for id in std::iter::once(&entry.id).chain(&entry.aliases) {
                if !seen.insert(*id) {
                    return Err(damaged(format!("the id `{id}` stands in it twice")));
                }
            }
        }
        Ok(registry)
    }

    /// Reads `registry.json` of a `bins` folder. Where there is none, nothing is installed.
    pub fn load(bins: &Utf8Path) -> Result<Self, FileError> {
        let path = file_of(bins);
        match durable::read_text(&path)? {
            Some(text) => Self::parse(&text, &path),
            None => Ok(Self::default()),
        }
    }

    /// Reads the registry, lets `edit` change it, and writes it if it did, all under
    /// `registry.lock`, so that of two writers neither loses what the other wrote.
    pub fn update<T>(
        bins: &Utf8Path,
        edit: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, RegistryError> {
        let path = file_of(bins);
        durable::create_folder(bins)?;
        let Some(_lock) = FileLock::take_within(&bins.join("registry.lock"), PATIENCE)? else {
            return Err(RegistryError::Busy { path });
        };
        let before = Self::load(bins)?;
        let mut after = before.clone();
        let result = edit(&mut after);
        if after != before {
            durable::write_json(&path, &after)?;
        }
        Ok(result)
    }

    /// All entries, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.binaries
    }

    /// The build that older programs run where an instance names none (`default_binary_id`).
    pub fn default_id(&self) -> Option<BinaryId> {
        self.other.get("default_binary_id")?.as_str()?.parse().ok()
    }

    /// The entry with this id or alias.
    pub fn get(&self, id: BinaryId) -> Option<&Entry> {
        self.binaries.iter().find(|entry| entry.answers_to(id))
    }

    /// The entries whose archive hashed to this.
    pub fn of_digest(&self, digest: Digest) -> impl Iterator<Item = &Entry> {
        self.binaries
            .iter()
            .filter(move |entry| entry.digest() == Some(digest))
    }

    /// Adds an entry, in place of one with the same id, whose aliases and unknown keys it takes
    /// over. An id that was another entry's alias is from now on its own.
    pub fn insert(&mut self, mut entry: Entry) {
        for other in &mut self.binaries {
            if other.id == entry.id {
                entry.aliases.append(&mut other.aliases);
                for (key, value) in std::mem::take(&mut other.other) {
                    entry.other.entry(key).or_insert(value);
                }
            } else {
                other
                    .aliases
                    .retain(|alias| *alias != entry.id && !entry.aliases.contains(alias));
            }
        }
        entry.aliases.sort();
        entry.aliases.dedup();
        match self.binaries.iter_mut().find(|old| old.id == entry.id) {
            Some(old) => *old = entry,
            None => self.binaries.push(entry),
        }
    }

    /// Lets an entry answer to another id as well. `false` when there is no such entry, or another
    /// one has that id already.
    pub fn add_alias(&mut self, of: BinaryId, alias: BinaryId) -> bool {
        let taken = self.get(alias).map(|entry| entry.id);
        let Some(entry) = self.binaries.iter_mut().find(|entry| entry.id == of) else {
            return false;
        };
        if let Some(owner) = taken {
            return owner == of;
        }
        entry.aliases.push(alias);
        true
    }

    /// Writes down what is wrong with an entry's files, or that nothing is. `false` when there is no
    /// such entry.
    pub fn set_damage(&mut self, id: BinaryId, damage: Option<String>) -> bool {
        match self.binaries.iter_mut().find(|entry| entry.answers_to(id)) {
            Some(entry) => {
                entry.damage = damage;
                true
            }
            None => false,
        }
    }

    /// Forgets an entry, by its own id. Only right once its folder is gone.
    pub fn remove(&mut self, id: BinaryId) -> Option<Entry> {
        let at = self.binaries.iter().position(|entry| entry.id == id)?;
        Some(self.binaries.remove(at))
    }
}

/// The registry of a `bins` folder.
fn file_of(bins: &Utf8Path) -> Utf8PathBuf {
    bins.join("registry.json")
}
