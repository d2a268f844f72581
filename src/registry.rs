//! `bins/registry.json`: the builds that are installed, under which ids, and where they came from.
//!
//! The file has the form it had before this program: old copies are read as they are, keys nobody
//! here knows survive, and whatever text stood in a field stands there again after rewriting. The
//! folders beside it are [`install`](crate::install)'s business.

#[cfg(test)]
mod tests;

use std::time::Duration;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::durable::{self, FileError, FileLock};
use crate::instance::BinaryId;
use crate::release::{Digest, Os, Variant};

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

/// An `path` of an entry that leads out of `bins/`. Nothing is run, read or removed there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the entry `{id}` of `registry.json` has the path `{path}`, which is not a folder inside `bins`"
)]
pub struct OutsideBins {
    /// The entry.
    pub id: BinaryId,
    /// What stands in it.
    pub path: String,
}

/// What the archive of an entry hashed to, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Checksum {
    /// A SHA-256.
    Sha256(Digest),
    /// A remark in its place, such as `self-compiled`.
    Remark(String),
}

impl From<String> for Checksum {
    fn from(text: String) -> Self {
        text.parse().map_or(Self::Remark(text), Self::Sha256)
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        match checksum {
            Checksum::Sha256(digest) => digest.to_string(),
            Checksum::Remark(text) => text,
        }
    }
}

/// An archive that was unpacked beside the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// Its file name.
    pub name: String,
    /// What it hashed to.
    pub sha256: Digest,
}

/// One installed build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The primary key.
    pub id: BinaryId,
    /// What the build is called: a tag, the name of an own build, or `unknown`.
    #[serde(default = "unknown")]
    pub version: String,
    /// Its flavour; any text.
    #[serde(default = "unknown_variant")]
    pub variant: Variant,
    /// Where its archive came from: a URL, or a remark.
    #[serde(default)]
    pub download_url: Option<String>,
    /// What its archive hashed to.
    #[serde(default)]
    pub sha256: Option<Checksum>,
    /// When it was installed, as it was written. See [`Entry::installed`].
    #[serde(default)]
    pub installed_at: Option<String>,
    /// Its folder, relative to `bins/`. See [`Entry::folder`].
    pub path: String,
    /// Bytes it takes on disk.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// The programs and libraries in its folder.
    #[serde(default)]
    pub executables: Vec<String>,
    /// What GitHub said about its release.
    #[serde(default)]
    pub github_release_info: Option<Value>,
    /// Further ids under which the same bits are wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<BinaryId>,
    /// What was unpacked beside the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<Companion>,
    /// Whether nothing had said what its archive must hash to, and it was taken as it came.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unverified: bool,
    /// What the list of its files hashed to when it was installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_sha256: Option<Digest>,
    /// What a later look found wrong with its files; it is to be installed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Keys of other programs and later versions, kept as they were.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn unknown() -> String {
    "unknown".to_owned()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn unknown_variant() -> Variant {
    Variant::new("unknown")
}

impl Entry {
    /// Whether it answers to this id, as its own or as an alias.
    pub fn answers_to(&self, id: BinaryId) -> bool {
        self.id == id || self.aliases.contains(&id)
    }

    /// What its archive hashed to, where that is known.
    pub fn digest(&self) -> Option<Digest> {
        match self.sha256 {
            Some(Checksum::Sha256(digest)) => Some(digest),
            Some(Checksum::Remark(_)) | None => None,
        }
    }

    /// When it was installed, where that can be read.
    pub fn installed(&self) -> Option<Timestamp> {
        self.installed_at.as_ref()?.parse().ok()
    }

    /// Its folder, relative to `bins/`, with `/` between its parts.
    ///
    /// # Errors
    /// A path that leaves `bins/`, or is `bins/` itself, is refused.
    pub fn folder(&self) -> Result<Utf8PathBuf, OutsideBins> {
        let outside = || OutsideBins {
            id: self.id,
            path: self.path.clone(),
        };
        let text = self.path.replace('\\', "/");
        let mut folder = Utf8PathBuf::new();
        for component in Utf8Path::new(&text).components() {
            match component {
                Utf8Component::CurDir => {}
                // A drive letter is an ordinary name on other systems.
                Utf8Component::Normal(name) if !name.contains(':') => folder.push(name),
                Utf8Component::Normal(_)
                | Utf8Component::ParentDir
                | Utf8Component::RootDir
                | Utf8Component::Prefix(_) => return Err(outside()),
            }
        }
        // Our own folders for half-done work begin with a dot.
        if folder.as_str().is_empty() || folder.as_str().starts_with('.') {
            return Err(outside());
        }
        Ok(folder)
    }

    /// Its server program, relative to `bins/`.
    pub fn program(&self) -> Result<Utf8PathBuf, OutsideBins> {
        let windows = match self.variant.os() {
            Some(os) => os == Os::Windows,
            None => self
                .executables
                .iter()
                .any(|name| name == "llama-server.exe"),
        };
        Ok(self.folder()?.join(if windows {
            "llama-server.exe"
        } else {
            "llama-server"
        }))
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

    /// The entry with this id or alias.
    pub fn get(&self, id: BinaryId) -> Option<&Entry> {
        self.binaries.iter().find(|entry| entry.answers_to(id))
    }

    /// The entries of a build's flavour. There may be several: the same release installed twice.
    pub fn of_release<'a>(
        &'a self,
        version: &'a str,
        variant: &'a Variant,
    ) -> impl Iterator<Item = &'a Entry> {
        self.binaries
            .iter()
            .filter(move |entry| entry.version == version && entry.variant == *variant)
    }

    /// The entries of a build, of whatever flavour.
    pub fn of_version<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.binaries
            .iter()
            .filter(move |entry| entry.version == version)
    }

    /// The entries whose archive hashed to this.
    pub fn of_digest(&self, digest: Digest) -> impl Iterator<Item = &Entry> {
        self.binaries
            .iter()
            .filter(move |entry| entry.digest() == Some(digest))
    }

    /// Adds an entry, in place of one with the same id, whose aliases it takes over. An id that
    /// was another entry's alias is from now on its own.
    pub fn insert(&mut self, mut entry: Entry) {
        for other in &mut self.binaries {
            if other.id == entry.id {
                entry.aliases.append(&mut other.aliases);
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
