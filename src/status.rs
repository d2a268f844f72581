//! What `status` shows: one row for each instance, made from what is wanted, seen and planned.
//!
//! Pure; how a row looks is the terminal's business.

mod view;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::desired::Desired;
use crate::instance::InstanceName;
use crate::observed::{self, Observed, Vitals};
use crate::plan::action::Ago;
use crate::plan::{self, Plan};
use view::View;

/// The number in `format_version`.
pub const FORMAT_VERSION: u32 = 1;

/// All instances, in the manifest or not.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Status {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// When it was looked (RFC 3339).
    pub at: String,
    /// One row each, by name.
    pub instances: Vec<Row>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it is at.
    pub state: InstanceState,
    /// The build that runs, or was assigned last.
    pub build: Option<String>,
    /// Where it listens, as `host:port`.
    pub address: Option<String>,
    /// Seconds since its server was spawned.
    pub seconds: Option<i64>,
    /// Seconds until it is started again, where it backs off.
    pub retry_in_seconds: Option<i64>,
    /// What its supervisor last said of its health; unknown where nobody watches it.
    pub health: Option<HealthWord>,
    /// Seconds since its supervisor said so. It says so when it changes, however often it asks.
    pub health_seconds: Option<i64>,
    /// Seconds its load took, from the bound port to healthy.
    pub load_seconds: Option<f64>,
    /// Bytes of memory its server and the server's children have in place (RSS); what several
    /// processes share, such as a model that is mapped, counts in each.
    pub memory_bytes: Option<u64>,
    /// Bytes of GPU memory they have, where the driver tells.
    pub gpu_memory_bytes: Option<u64>,
    /// Restarts of this launch.
    pub restarts: u32,
    /// How its server last ended.
    pub last_exit: Option<ExitWords>,
    /// Whether it has stayed healthy long enough to be rolled back to.
    pub proven: bool,
    /// How the system names the server: `pid 4121`.
    pub process: Option<String>,
    /// Whether `orchestrator.yaml` has it; `null` where that cannot be read.
    pub in_manifest: Option<bool>,
    /// Whether what runs is what the manifest says.
    pub matches: bool,
    /// Since when passes leave it as it is, where a person suspended it.
    pub suspended: Option<SuspendedWords>,
    /// What else is to be said of it.
    pub note: Option<String>,
}

/// A recorded `suspend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SuspendedWords {
    /// When it was suspended (RFC 3339).
    pub at: String,
    /// Seconds since.
    pub seconds_ago: i64,
    /// Why, where the person said so.
    pub reason: Option<String>,
}

/// What a supervisor says of its server's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthWord {
    /// It answers.
    Healthy,
    /// It lives and does not answer.
    Unresponsive,
    /// It was not asked yet, or nobody asks.
    Unknown,
}

impl HealthWord {
    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unresponsive => "unresponsive",
            Self::Unknown => "unknown",
        }
    }
}

/// How a server ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExitWords {
    /// How, and why as far as its log told: `exited with code 1: out of memory`.
    pub how: String,
    /// When that was noticed (RFC 3339).
    pub at: String,
    /// Seconds since.
    pub seconds_ago: i64,
    /// Whether it was asked to.
    pub asked: bool,
}

impl ExitWords {
    /// How a server ended, told at a moment.
    pub fn of(exit: &observed::LastExit, now: Timestamp) -> Self {
        Self {
            how: exit.to_string(),
            at: exit.at.to_string(),
            seconds_ago: Ago::between(exit.at, now),
            asked: exit.asked,
        }
    }
}

/// What an instance is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It has passed its gate and answers.
    Running,
    /// It has passed its gate, lives and does not answer.
    Unresponsive,
    /// Its gate is not decided.
    Starting,
    /// It ended and is started again at a time.
    BackingOff,
    /// It ended too often.
    GaveUp,
    /// Its launch failed, and nothing runs in its stead or it was left running as it is.
    Failed,
    /// It runs and nobody watches it: its supervisor is gone or suspended.
    Unsupervised,
    /// It does not run, and the plan holds its start back: for another instance, or for a person.
    Held,
    /// A person put it down, or the manifest disables it.
    Down,
    /// It does not run.
    Stopped,
    /// It could not be seen.
    Unknown,
}

impl InstanceState {
    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Unresponsive => "unresponsive",
            Self::Starting => "starting",
            Self::BackingOff => "backing off",
            Self::GaveUp => "gave up",
            Self::Failed => "failed",
            Self::Unsupervised => "unsupervised",
            Self::Held => "held",
            Self::Down => "down",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a person should look at it.
    pub const fn is_unhealthy(self) -> bool {
        match self {
            Self::Unresponsive
            | Self::BackingOff
            | Self::GaveUp
            | Self::Failed
            | Self::Unsupervised
            | Self::Held
            | Self::Stopped
            | Self::Unknown => true,
            Self::Running | Self::Starting | Self::Down => false,
        }
    }
}

impl Status {
    /// One row for each instance that is wanted or has left a trace.
    pub fn of(
        desired: &Desired,
        observed: &Observed,
        plan: &Plan,
        vitals: &BTreeMap<InstanceName, Vitals>,
    ) -> Self {
        let names: BTreeSet<&InstanceName> = desired
            .instances
            .keys()
            .chain(observed.instances.keys())
            .collect();
        let view = View::of(desired, observed, plan, vitals);
        Self {
            format_version: FORMAT_VERSION,
            at: observed.at.to_string(),
            instances: names.into_iter().map(|name| view.row(name)).collect(),
        }
    }

    /// The same of a machine whose manifest cannot be read: what runs, and no word of what it should be.
    pub fn without_manifest(observed: &Observed, vitals: &BTreeMap<InstanceName, Vitals>) -> Self {
        let desired = Desired::nothing();
        let plan = plan::plan(&desired, observed);
        let mut status = Self::of(&desired, observed, &plan, vitals);
        for row in &mut status.instances {
            row.in_manifest = None;
            row.note = vitals.iter().find_map(|(name, vitals)| {
                (name.as_str() == row.name).then(|| view::contradiction(vitals))?
            });
        }
        status
    }

    /// Only these instances.
    #[must_use]
    pub fn narrowed(mut self, names: &BTreeSet<InstanceName>) -> Self {
        self.instances
            .retain(|row| names.iter().any(|name| name.as_str() == row.name));
        self
    }

    /// Whether any instance needs a person's attention.
    pub fn is_unhealthy(&self) -> bool {
        self.instances.iter().any(|row| row.state.is_unhealthy())
    }
}

/// How an address is written.
pub(crate) fn address(host: &str, port: u16) -> String {
    if crate::instance::is_socket(host) {
        host.to_owned()
    } else if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The JSON Schema of [`Status`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Status).to_value()
}
