//! One entry of the registry: a build, where it came from and where it lies.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::instance::BinaryId;
use crate::release::{Digest, Os, Variant};

/// The link to the folder of a build that lies elsewhere, in the folder that has its id.
pub const REFERENCE: &str = "build";

/// A `path` of an entry that leads out of `bins/`. Nothing is run, read or removed there.
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

    /// The folder that is this program's own, relative to `bins/`: [`Entry::folder`] itself, or the
    /// one around the link to it where the build lies elsewhere.
    pub fn home(&self) -> Result<Utf8PathBuf, OutsideBins> {
        let folder = self.folder()?;
        Ok(match folder.parent() {
            Some(home) if self.is_referenced() => home.to_owned(),
            _ => folder,
        })
    }

    /// Whether it lies outside of `bins/` and there is only a link to it here.
    pub fn is_referenced(&self) -> bool {
        self.path == Self::referenced(self.id)
    }

    /// The `path` of a build that is referenced.
    pub(crate) fn referenced(id: BinaryId) -> String {
        format!("{id}/{REFERENCE}")
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
