//! Everything there is to see of a watched root at one moment: what the status page shows, `/status.json`
//! prints, `/metrics` counts and notices are made from.
//!
//! Values only. Looking, and when to look, is left to the loop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::binaries::BinaryList;
use crate::history::Entry;
use crate::plan::json::PlanDocument;
use crate::status::Row;

/// The number in `format_version`.
pub const FORMAT_VERSION: u32 = 1;

/// A watched root at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Snapshot {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// When it was looked (RFC 3339).
    pub at: String,
    /// The version of llama-orch that watches.
    pub version: String,
    /// The root's folder.
    pub root: String,
    /// What watch itself is at.
    pub watch: WatchState,
    /// One each that is wanted or has left a trace, by name.
    pub instances: Vec<InstanceSnapshot>,
    /// The plan as it stands, with what watch may not do by itself as holds.
    pub plan: PlanDocument,
    /// What is installed, and who uses it.
    pub binaries: BinaryList,
    /// What was done last, oldest first; at most 50.
    pub history: Vec<Entry>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct InstanceSnapshot {
    /// What `status` shows of it.
    #[serde(flatten)]
    pub row: Row,
    /// Tokens its server generates in a second, on average, where its `/metrics` tells.
    pub tokens_per_second: Option<f64>,
}

/// What watch itself is at. Also what `.llama-orch/watch.json` says of it to other commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WatchState {
    /// Its process.
    pub pid: u32,
    /// Since when it runs (RFC 3339).
    pub since: String,
    /// The steps a pass is at right now; empty between two passes.
    pub doing: Vec<Doing>,
    /// What the files say.
    pub manifest: ManifestState,
    /// The last pass that came to its end.
    pub last_pass: Option<PassState>,
    /// When the next pass is due (RFC 3339), if nothing wakes it before.
    pub next_pass_at: Option<String>,
    /// Passes since it runs.
    pub passes: u64,
    /// Those of them that failed in some step.
    pub failed_passes: u64,
    /// Bytes of archives received since it runs.
    pub received_bytes: u64,
    /// Since when it changes nothing by itself, where a person suspended it.
    pub suspended: Option<Halted>,
    /// Where the files come from, where that is a clone it keeps up to date.
    pub git: Option<GitState>,
}

/// A step that is being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Doing {
    /// `install`, `restart`, `start` and so on.
    pub action: String,
    /// What it is about.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// What it is at: `loading`.
    pub phase: Option<String>,
    /// Bytes of its download that have come.
    pub received_bytes: Option<u64>,
    /// Bytes there are to come in all.
    pub total_bytes: Option<u64>,
}

/// What the files say, as far as they can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ManifestState {
    /// Whether what lies in the root is what watch goes by. Where not, it goes by the last one that was good.
    pub good: bool,
    /// Since when it is so (RFC 3339).
    pub since: String,
    /// What is wrong, whole.
    pub message: Option<String>,
    /// When the one it goes by was read (RFC 3339), where there is one.
    pub last_good_at: Option<String>,
}

/// A pass that came to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PassState {
    /// When it began (RFC 3339).
    pub at: String,
    /// Seconds it took.
    pub seconds: f64,
    /// What woke it: `orchestrator.yaml changed`.
    pub woken_by: String,
    /// What came of it.
    pub result: PassResult,
    /// Steps that were done.
    pub done: usize,
    /// Steps that failed, or were not tried since one before them failed.
    pub failed: usize,
    /// Why there was none, in one line.
    pub error: Option<String>,
}

/// What came of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PassResult {
    /// Nothing was to be done.
    Converged,
    /// Something was done, and nothing failed.
    Changed,
    /// Something is held or blocked that a person should look at.
    Attention,
    /// A step failed.
    Failed,
    /// Newer files came before it was at its end.
    Superseded,
    /// It could not begin.
    Refused,
}

impl PassResult {
    /// All of them, for whoever counts.
    pub const ALL: [Self; 6] = [
        Self::Converged,
        Self::Changed,
        Self::Attention,
        Self::Failed,
        Self::Superseded,
        Self::Refused,
    ];

    /// The word people and metrics read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Changed => "changed",
            Self::Attention => "attention",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
        }
    }
}

/// What a person has halted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Halted {
    /// When (RFC 3339).
    pub at: String,
    /// Why, where the person said so.
    pub reason: Option<String>,
}

/// A clone that watch keeps up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitState {
    /// Where it is fetched from, without credentials.
    pub remote: String,
    /// The branch there.
    pub branch: String,
    /// The commit that lies in the work tree.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The newest commit a pass was carried out on.
    pub applied: Option<String>,
    /// The newest commit of the branch there, as far as it is known.
    pub upstream: Option<String>,
    /// When it was last fetched (RFC 3339).
    pub fetched_at: Option<String>,
    /// Why it was not fetched the last time, where it was not.
    pub fetch_error: Option<String>,
    /// Why it does not follow the branch, where it does not.
    pub hold: Option<GitHoldState>,
    /// The commit a person holds it at, and why.
    pub pinned: Option<Pinned>,
    /// Whether every commit has to be signed by somebody git trusts.
    pub verifies: bool,
}

/// Why a clone does not follow its branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitHoldState {
    /// A stable word: `local_edits`, `rewritten`, `unsigned`.
    pub reason: String,
    /// Why, for people, with what to do.
    pub text: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// A commit a person holds a clone at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pinned {
    /// Which.
    pub commit: String,
    /// When (RFC 3339).
    pub at: String,
    /// Why, where the person said so.
    pub reason: Option<String>,
}

/// The JSON Schema of [`Snapshot`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Snapshot).to_value()
}
