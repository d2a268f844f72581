//! What a close look at installed builds found.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{FORMAT_VERSION, shorten, shortest};
use crate::install::{InstallError, Verification};
use crate::registry::{Entry, Registry};

/// The builds that were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerifiedBinaries {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// One each, in the order they were asked for.
    pub binaries: Vec<VerifiedBinary>,
}

/// One build that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerifiedBinary {
    /// Its UUID.
    pub id: String,
    /// As much of that as tells it from all others.
    pub short_id: String,
    /// What it is called.
    pub build: String,
    /// Which variant it is.
    pub variant: String,
    /// What was found.
    pub state: VerifiedState,
    /// Files that were compared.
    pub files: usize,
    /// Bytes they take.
    pub bytes: u64,
    /// What is not as it was when it was installed.
    pub differences: Vec<DifferenceRow>,
    /// Why it could not be looked at.
    pub error: Option<String>,
}

/// What a close look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifiedState {
    /// Every file is as it was when it was installed.
    Ok,
    /// Something is not.
    Damaged,
    /// There is no list of its files: an older version or another program has installed it.
    Unlisted,
    /// It could not be looked at, which says nothing about it.
    Unreadable,
}

impl VerifiedState {
    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Damaged => "damaged",
            Self::Unlisted => "unlisted",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Something that is not as it was when a build was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DifferenceRow {
    /// `changed`, `missing`, `added`, `link_changed`, `mode_changed`, `folder_missing`,
    /// `list_changed` or `list_missing`.
    pub kind: String,
    /// The file, relative to the build's folder.
    pub path: String,
    /// Both in words.
    pub text: String,
}

impl VerifiedBinary {
    /// What came of looking at a build.
    pub fn of(
        registry: &Registry,
        entry: &Entry,
        found: Result<&Verification, &InstallError>,
    ) -> Self {
        let (state, files, bytes) = match found {
            Ok(Verification::Unlisted) => (VerifiedState::Unlisted, 0, 0),
            Ok(Verification::Compared {
                differences,
                files,
                bytes,
            }) => {
                let state = if differences.is_empty() {
                    VerifiedState::Ok
                } else {
                    VerifiedState::Damaged
                };
                (state, *files, *bytes)
            }
            Err(_) => (VerifiedState::Unreadable, 0, 0),
        };
        let differences = found.map(Verification::differences).unwrap_or_default();
        let differences = differences.iter().map(|difference| DifferenceRow {
            kind: difference.code().to_owned(),
            path: difference.path().to_owned(),
            text: difference.to_string(),
        });
        Self {
            id: entry.id.to_string(),
            short_id: shorten(entry.id, shortest(registry)),
            build: entry.version.clone(),
            variant: entry.variant.to_string(),
            state,
            files,
            bytes,
            differences: differences.collect(),
            error: found.err().map(|error| crate::history::chain(error)),
        }
    }
}

impl VerifiedBinaries {
    /// All that were looked at.
    pub const fn new(binaries: Vec<VerifiedBinary>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            binaries,
        }
    }

    /// How many are in this state.
    pub fn count(&self, state: VerifiedState) -> usize {
        let is_so = |binary: &&VerifiedBinary| binary.state == state;
        self.binaries.iter().filter(is_so).count()
    }
}

/// The JSON Schema of [`VerifiedBinaries`].
pub fn verified_schema() -> Value {
    schemars::schema_for!(VerifiedBinaries).to_value()
}
