//! What is installed and who needs it, as values for whoever shows it.
//!
//! Made from the registry and one look at the machine. How it reads on a terminal is the
//! terminal's business; whether a build may go is decided by whoever asks.

mod choice;
mod installed;
mod newest;
mod pin;
mod uses;
mod verified;

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

pub use choice::{Candidate, ChoiceError, choose, shorten, shortest};
pub use installed::{InstalledBinary, InstalledOutcome, installed_schema};
pub use newest::{LatestBuild, LatestBuilds, latest_schema};
pub use pin::written_pin;
pub use uses::{How, UnknownUse, Use, Uses};
pub use verified::{
    DifferenceRow, VerifiedBinaries, VerifiedBinary, VerifiedState, verified_schema,
};

use crate::install::cache::Unfinished;
use crate::observed::Observed;
use crate::registry::{Entry, Registry};

/// The number in `format_version` of every document here.
pub const FORMAT_VERSION: u32 = 1;

/// All installed builds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BinaryList {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// When it was looked (RFC 3339).
    pub at: String,
    /// One each, in the order of the registry.
    pub binaries: Vec<Binary>,
    /// What may use any of them, though it cannot be told which.
    pub unknown_uses: Vec<UnknownUse>,
    /// Archives that were not received to their end.
    pub unfinished: Vec<UnfinishedDownload>,
}

/// An archive in `bins/.cache` that was not received to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnfinishedDownload {
    /// Its file name, where that is known.
    pub name: Option<String>,
    /// Bytes that have come.
    pub bytes: u64,
    /// Whether it is being received right now.
    pub busy: bool,
}

impl From<&Unfinished> for UnfinishedDownload {
    fn from(unfinished: &Unfinished) -> Self {
        Self {
            name: unfinished.name.clone(),
            bytes: unfinished.bytes,
            busy: unfinished.busy,
        }
    }
}

/// One installed build.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Binary {
    /// Its UUID.
    pub id: String,
    /// As much of that as tells it from all others, at least 8 characters.
    pub short_id: String,
    /// Further UUIDs it answers to.
    pub aliases: Vec<String>,
    /// What it is called: a tag, or the name of an own build.
    pub build: String,
    /// Which variant it is.
    pub variant: String,
    /// Bytes it takes on disk, where that was written down.
    pub size_bytes: Option<u64>,
    /// When it was installed (RFC 3339), where that was written down.
    pub installed_at: Option<String>,
    /// What is known of its archive.
    pub trust: Trust,
    /// Why it cannot be used, where it cannot.
    pub damage: Option<String>,
    /// The instances that use it, by name.
    pub used_by: Vec<Use>,
}

/// What is known of the archive a build came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// It hashed to what it had to.
    Verified,
    /// Nothing said what it must hash to, and a person let it pass.
    Unverified,
    /// No digest is on record: an own build, or one from before this program.
    Unrecorded,
}

/// Everything that is known of one installed build.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BinaryInfo {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// When it was looked (RFC 3339).
    pub at: String,
    /// What lists show of it.
    #[serde(flatten)]
    pub binary: Binary,
    /// Its folder, relative to the root; `null` where the registry names one outside `bins/`.
    pub folder: Option<String>,
    /// Its server, relative to the root.
    pub program: Option<String>,
    /// Files in its folder, where they could be counted.
    pub files: Option<usize>,
    /// Where its archive came from: a URL, or a remark.
    pub from: Option<String>,
    /// What its archive hashed to, or a remark in its place.
    pub sha256: Option<String>,
    /// The archives that were unpacked beside the server.
    pub companions: Vec<CompanionInfo>,
    /// What was written down about its release.
    pub release: Option<Value>,
    /// What may use it, though that cannot be told.
    pub unknown_uses: Vec<UnknownUse>,
}

/// An archive that was unpacked beside a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CompanionInfo {
    /// Its file name.
    pub name: String,
    /// What it hashed to.
    pub sha256: String,
}

impl BinaryList {
    /// All builds of a registry, and what is on its way.
    pub fn of(
        registry: &Registry,
        unfinished: &[Unfinished],
        observed: &Observed,
        uses: &Uses,
    ) -> Self {
        let length = shortest(registry);
        let binaries = registry.entries().iter();
        Self {
            format_version: FORMAT_VERSION,
            at: observed.at.to_string(),
            binaries: binaries
                .map(|entry| Binary::of(entry, length, observed, uses))
                .collect(),
            unknown_uses: uses.unknown().to_vec(),
            unfinished: unfinished.iter().map(UnfinishedDownload::from).collect(),
        }
    }
}

impl Binary {
    /// A build whose id is told by `length` characters.
    pub fn of(entry: &Entry, length: usize, observed: &Observed, uses: &Uses) -> Self {
        let seen = observed.binaries.known();
        let seen = seen.and_then(|binaries| binaries.get(&entry.id));
        let trust = match entry.digest() {
            _ if entry.unverified => Trust::Unverified,
            Some(_) => Trust::Verified,
            None => Trust::Unrecorded,
        };
        Self {
            id: entry.id.to_string(),
            short_id: shorten(entry.id, length),
            aliases: entry.aliases.iter().map(ToString::to_string).collect(),
            build: entry.version.clone(),
            variant: entry.variant.to_string(),
            size_bytes: entry.size_bytes,
            installed_at: entry.installed().map(|at| at.to_string()),
            trust,
            damage: seen
                .and_then(|binary| binary.damage.clone())
                .or_else(|| entry.damage.clone()),
            used_by: uses.of_entry(entry),
        }
    }
}

impl BinaryInfo {
    /// One build of a registry.
    pub fn of(
        registry: &Registry,
        entry: &Entry,
        files: Option<usize>,
        observed: &Observed,
        uses: &Uses,
    ) -> Self {
        let below_bins = |path: camino::Utf8PathBuf| format!("bins/{path}");
        let companions = entry.companions.iter().map(|companion| CompanionInfo {
            name: companion.name.clone(),
            sha256: companion.sha256.to_string(),
        });
        Self {
            format_version: FORMAT_VERSION,
            at: observed.at.to_string(),
            binary: Binary::of(entry, shortest(registry), observed, uses),
            folder: entry.folder().ok().map(below_bins),
            program: entry.program().ok().map(below_bins),
            files,
            from: entry.download_url.clone(),
            sha256: entry.sha256.clone().map(String::from),
            companions: companions.collect(),
            release: entry.github_release_info.clone(),
            unknown_uses: uses.unknown().to_vec(),
        }
    }
}

/// The JSON Schema of [`BinaryList`].
pub fn list_schema() -> Value {
    schemars::schema_for!(BinaryList).to_value()
}

/// The JSON Schema of [`BinaryInfo`].
pub fn info_schema() -> Value {
    schemars::schema_for!(BinaryInfo).to_value()
}
