//! What llama.cpp publishes, as plain values: tags, variants, digests and assets.
//!
//! Pure. Asking a release source lives in [`github`] and [`directory`]; the rules that read an
//! asset's name live in [`variant`]; what this machine can run is judged in [`host`].

pub mod directory;
#[cfg(test)]
mod fixtures;
pub mod github;
pub mod given;
pub mod host;
pub(crate) mod http;
pub mod source;
pub mod variant;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

pub use variant::{Accelerator, Arch, Archive, Os, Variant, VariantRequest};

/// The tag of one llama.cpp build: `b` and the number of commits behind it, such as `b9553`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

impl Tag {
    /// The tag of build `number`.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The build number, which `llama-server --version` and `/props` report as well.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// A text that is not what it should be, with the form that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct ParseError {
    /// The text as it was found.
    pub text: String,
    /// What it should have been, as a noun phrase.
    pub wanted: &'static str,
}

impl ParseError {
    pub(crate) fn new(text: &str, wanted: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            wanted,
        }
    }
}

impl FromStr for Tag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.strip_prefix('b')
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| ParseError::new(text, "a build tag such as `b9553`"))
    }
}

/// The tag of a stable release, such as `v0.9.0`. It carries no binaries, only
/// `nightly-tag.txt`, which names the build that was promoted (llama.cpp since v0.2.0, 2026-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Moves when the C API breaks.
    pub major: u32,
    /// Moves with features and models.
    pub minor: u32,
    /// Moves with fixes.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(text, "a version such as `v0.9.0`");
        let mut parts = text
            .strip_prefix('v')
            .ok_or_else(wrong)?
            .split('.')
            .map(|part| {
                if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(wrong());
                }
                part.parse::<u32>().map_err(|_| wrong())
            });
        let mut next = || parts.next().unwrap_or_else(|| Err(wrong()));
        let version = Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
        };
        if parts.next().is_some() {
            Err(wrong())
        } else {
            Ok(version)
        }
    }
}

/// What a build is called in the registry, the lock and in plans: a tag's text for llama.cpp's own
/// builds, any short name (`dflash-029f4f6`) for one that was made elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BuildName(String);

impl BuildName {
    /// What the legacy `bin/llama-server` is called.
    pub fn legacy() -> Self {
        Self("legacy".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag this name spells, if it spells one.
    pub fn tag(&self) -> Option<Tag> {
        self.0.parse().ok()
    }
}

impl fmt::Display for BuildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Tag> for BuildName {
    fn from(tag: Tag) -> Self {
        Self(tag.to_string())
    }
}

impl From<BuildName> for String {
    fn from(name: BuildName) -> Self {
        name.0
    }
}

impl TryFrom<String> for BuildName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl FromStr for BuildName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
        if text.is_empty() || text.len() > 64 || text.starts_with('.') || !text.bytes().all(plain) {
            return Err(ParseError::new(
                text,
                "a build's name (1 to 64 letters, digits, `.`, `_`, `-` or `+`)",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A SHA-256 digest, written as 64 hexadecimal digits; `sha256:` before them is accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Wraps the 32 bytes of a finished hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Hashes bytes that are already at hand.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes.as_ref()).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new(text, "a sha256 of 64 hexadecimal digits");
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or_else(wrong)?;
            let low = char::from(pair[1]).to_digit(16).ok_or_else(wrong)?;
            *byte = u8::try_from(high * 16 + low).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// One file of a release, as its source lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// File name, such as `llama-b9553-bin-ubuntu-vulkan-x64.tar.gz`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// What the source says it hashes to. GitHub has had it since 2025-06-03; `None` before.
    pub digest: Option<Digest>,
}

/// A build's release, as its source lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The build's tag.
    #[serde(with = "crate::release::tag_text")]
    pub tag: Tag,
    /// Its files; may be short of some while they are still being uploaded.
    pub assets: Vec<Asset>,
    /// Whether more may come: some files are known not to be there yet, or it came out so lately
    /// that upstream may not be done. It creates a release first and uploads its files one by one.
    #[serde(default)]
    pub uploading: bool,
    /// When it came out, where the source says so.
    #[serde(default)]
    pub published: Option<Timestamp>,
}

/// A URL as it is shown and written down: without what may be a secret in it, which is the user name
/// and password, and everything from the `?` on.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Serializes a [`Tag`] as its text.
pub(crate) mod tag_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::Tag;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub(crate) fn serialize<S: Serializer>(tag: &Tag, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(tag)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Tag, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
