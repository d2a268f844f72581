//! The list of a build's files: what was put into its folder, and what each of them hashes to.
//!
//! It is made while a build is unpacked or copied, from the very bytes that were written, and lies
//! in the build's own folder, so that a build and its list come and go together. The registry holds
//! the hash of its text. Comparing it with what is there is left to [`verify`](super::verify()).

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::archive::{Link, Member};
use super::check;
use crate::durable::{self, FileError};
use crate::registry::Entry;
use crate::release::Digest;

/// The newest form that is understood, in the list's `schema`.
const SCHEMA: u32 = 1;

/// The list's name in a build's folder.
pub(crate) const LIST: &str = ".llama-orch.files.json";

/// Everything a build consists of. Paths are relative to its folder, with `/` between their parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    schema: u32,
    /// Its files.
    pub files: BTreeMap<String, FileNote>,
    /// Its symbolic links.
    #[serde(default)]
    pub links: BTreeMap<String, LinkNote>,
    /// Archives of which something was left out, since the server brought one of its own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub incomplete: BTreeSet<Digest>,
    /// Keys of later versions.
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNote {
    /// What its content hashes to.
    pub sha256: Digest,
    /// Its bytes.
    pub size: u64,
    /// Whether it may be executed.
    #[serde(default)]
    pub executable: bool,
    /// The archives that bring it; none where it was registered.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub archives: BTreeSet<Digest>,
}

/// What is known of a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkNote {
    /// What it points to, as it stands in it.
    pub target: String,
    /// The archives that bring it; none where it was registered.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub archives: BTreeSet<Digest>,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            incomplete: BTreeSet::new(),
            other: Map::new(),
        }
    }
}

impl Files {
    /// Reads the text of a list. The path is for messages.
    ///
    /// # Errors
    /// A later schema, a damaged text, and a path that leaves the build.
    pub fn parse(text: &str, path: &Utf8Path) -> Result<Self, FileError> {
        let files: Self = durable::parse_json(text, path, SCHEMA)?;
        let outside = files
            .files
            .keys()
            .chain(files.links.keys())
            .find(|name| !is_inside(name));
        match outside {
            Some(name) => Err(FileError::Damaged {
                path: path.to_owned(),
                why: format!("`{}` is not a path inside the build", name.escape_debug()),
            }),
            None => Ok(files),
        }
    }

    /// Reads the list of an installed build, with the hash of its text. `None` where there is none:
    /// the build comes from an older version, or from another program.
    pub fn load(
        bins: &Utf8Path,
        entry: &Entry,
    ) -> Result<Option<(Self, Digest)>, super::InstallError> {
        let path = bins.join(entry.home()?).join(LIST);
        match durable::read_text(&path)? {
            Some(text) => Ok(Some((Self::parse(&text, &path)?, Digest::of(&text)))),
            None => Ok(None),
        }
    }

    /// Writes the list into a build's folder, and returns what its text hashes to.
    pub(super) fn write(&self, home: &Utf8Path) -> Result<Digest, FileError> {
        let path = home.join(LIST);
        let mut text = serde_json::to_string_pretty(self).map_err(|error| FileError::Write {
            path: path.clone(),
            source: error.into(),
        })?;
        text.push('\n');
        durable::write(&path, text.as_bytes())?;
        Ok(Digest::of(&text))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files
            .values()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Programs and libraries, sorted.
    pub(super) fn executables(&self) -> Vec<String> {
        let is_executable = |name: &&String| check::is_executable(name);
        self.files.keys().filter(is_executable).cloned().collect()
    }

    /// Notes a file that an archive brings. `false` when another one of that name is there.
    pub(super) fn add_file(&mut self, path: &Utf8Path, file: &Member, archive: Digest) -> bool {
        let name = spelled(path);
        if self.links.contains_key(&name) {
            return false;
        }
        let note = self.files.entry(name).or_insert_with(|| FileNote {
            sha256: file.sha256,
            size: file.size,
            executable: file.executable,
            archives: BTreeSet::new(),
        });
        let is_same = note.sha256 == file.sha256 && note.size == file.size;
        if is_same {
            note.archives.insert(archive);
        }
        is_same
    }

    /// Notes a link that an archive brings. `false` when something else of that name is there.
    pub(super) fn add_link(&mut self, path: &Utf8Path, link: &Link, archive: Digest) -> bool {
        let name = spelled(path);
        if self.files.contains_key(&name) {
            return false;
        }
        let note = self.links.entry(name).or_insert_with(|| LinkNote {
            target: link.target.clone(),
            archives: BTreeSet::new(),
        });
        let is_same = note.target == link.target;
        if is_same {
            note.archives.insert(archive);
        }
        is_same
    }

    /// Whether nothing but folders stands above a path, and no folder in its place.
    pub(super) fn is_free(&self, path: &Utf8Path) -> bool {
        let name = spelled(path);
        let is_taken = |above: &Utf8Path| {
            let above = spelled(above);
            self.files.contains_key(&above) || self.links.contains_key(&above)
        };
        let below = format!("{name}/");
        let mut names = self.files.keys().chain(self.links.keys());
        !path.ancestors().skip(1).any(is_taken) && !names.any(|other| other.starts_with(&below))
    }

    /// Whether another build consists of the same files, wherever they came from.
    pub(super) fn is_same_build(&self, other: &Self) -> bool {
        let content = |file: &FileNote| (file.sha256, file.size, file.executable);
        let files = |of: &Self| -> Vec<_> {
            let files = of.files.iter();
            files
                .map(|(name, file)| (name.clone(), content(file)))
                .collect()
        };
        let links = |of: &Self| -> Vec<_> {
            let links = of.links.iter();
            links
                .map(|(name, link)| (name.clone(), link.target.clone()))
                .collect()
        };
        files(self) == files(other) && links(self) == links(other)
    }
}

/// A path with `/` between its parts, as it stands in a list.
pub(super) fn spelled(path: &Utf8Path) -> String {
    let parts: Vec<&str> = path.components().map(|part| part.as_str()).collect();
    parts.join("/")
}

/// Whether a path of a list names something inside the build.
fn is_inside(name: &str) -> bool {
    let path = Utf8PathBuf::from(name);
    !name.is_empty()
        && !name.contains('\0')
        && path
            .components()
            .all(|part| matches!(part, Utf8Component::Normal(_)))
}
