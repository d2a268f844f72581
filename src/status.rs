//! What `status` shows: one row for each instance, made from what is wanted, seen and planned.
//!
//! Pure; how a row looks is the terminal's business.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::desired::{Desired, WantedInstance};
use crate::instance::InstanceName;
use crate::instance::state::Health;
use crate::observed::{Comparison, Observed, ObservedInstance, Seen, Verdict};
use crate::plan::Plan;
use crate::plan::action::{Action, Ago, HoldReason};

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
    /// Seconds since it runs or starts.
    pub seconds: Option<i64>,
    /// Restarts of this launch.
    pub restarts: u32,
    /// Whether it has stayed healthy long enough to be rolled back to.
    pub proven: bool,
    /// How the system names the server: `pid 4121`.
    pub process: Option<String>,
    /// Whether what runs is what the manifest says.
    pub matches: bool,
    /// What else is to be said of it.
    pub note: Option<String>,
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
    /// Its launch failed and nothing runs in its stead.
    Failed,
    /// It runs without a supervisor.
    Unsupervised,
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
            | Self::Stopped
            | Self::Unknown => true,
            Self::Running | Self::Starting | Self::Down => false,
        }
    }
}

impl Status {
    /// One row for each instance that is wanted or has left a trace.
    pub fn of(desired: &Desired, observed: &Observed, plan: &Plan) -> Self {
        let names: BTreeSet<&InstanceName> = desired
            .instances
            .keys()
            .chain(observed.instances.keys())
            .collect();
        let absent = ObservedInstance::absent();
        let instances = names.into_iter().map(|name| {
            let seen = observed.instances.get(name).unwrap_or(&absent);
            row(name, desired, seen, observed, plan)
        });
        Self {
            format_version: FORMAT_VERSION,
            at: observed.at.to_string(),
            instances: instances.collect(),
        }
    }

    /// Whether any instance needs a person's attention.
    pub fn is_unhealthy(&self) -> bool {
        self.instances.iter().any(|row| row.state.is_unhealthy())
    }
}

fn row(
    name: &InstanceName,
    desired: &Desired,
    seen: &ObservedInstance,
    observed: &Observed,
    plan: &Plan,
) -> Row {
    let memory = seen.memory.known();
    let server = seen.server.known().and_then(Option::as_ref);
    let supervisor = seen.supervisor.known().and_then(Option::as_ref);
    let wanted = match desired.instances.get(name) {
        Some(WantedInstance::Resolved(wanted)) => Some(wanted),
        Some(WantedInstance::Unresolved(_)) | None => None,
    };
    let put_down = memory.is_some_and(|memory| memory.put_down.is_some());
    let disabled = wanted.is_some_and(|wanted| !wanted.enabled);
    let state = match server {
        _ if seen.unseen().is_some() => InstanceState::Unknown,
        Some(_) if supervisor.is_none() => InstanceState::Unsupervised,
        Some(server) if server.verdict == Verdict::Starting => InstanceState::Starting,
        Some(server) if server.health == Health::Unresponsive => InstanceState::Unresponsive,
        Some(_) => InstanceState::Running,
        None => match supervisor {
            Some(supervisor) if supervisor.backing_off.is_some() => InstanceState::BackingOff,
            Some(_) => InstanceState::Starting,
            None if put_down || disabled => InstanceState::Down,
            None if memory.is_some_and(|memory| memory.gave_up.is_some()) => InstanceState::GaveUp,
            None if seen.failed.is_some() => InstanceState::Failed,
            // Nobody wants it to run any more.
            None if !desired.instances.contains_key(name) => InstanceState::Down,
            None => InstanceState::Stopped,
        },
    };
    let step = plan
        .steps()
        .iter()
        .find(|step| step.action.subject().instance() == Some(name));
    let hold = plan
        .holds()
        .iter()
        .find(|hold| hold.subject.instance() == Some(name));
    let blocker = plan
        .blockers()
        .iter()
        .find(|blocker| blocker.subject.instance() == Some(name));
    let note = match (blocker, hold, step) {
        (Some(blocker), ..) => Some(format!("blocked: {}", blocker.why)),
        // Nobody was asked, which is this view's own choice.
        (None, Some(hold), _) if matches!(hold.why, HoldReason::Locked(_)) => {
            Some("not resolved yet; see `llama-orch plan`".to_owned())
        }
        (None, Some(hold), _) => Some(hold.text()),
        (None, None, Some(step)) => Some(match &step.action {
            Action::Replace(_) | Action::Update(_) => {
                format!("`apply` would {} it: {}", step.action.verb(), step.reason)
            }
            _ => step.reason.to_string(),
        }),
        (None, None, None) => None,
    };
    let launch = server.map(|server| &server.launch.launch);
    let address = launch
        .map(|launch| (&launch.host, launch.port))
        .or_else(|| wanted.map(|wanted| (&wanted.launch.host, wanted.launch.port)))
        .map(|(host, port)| address(host, port));
    let build = launch
        .map(|launch| launch.build.to_string())
        .or_else(|| memory.and_then(|memory| memory.last_build.as_ref().map(ToString::to_string)));
    Row {
        name: name.to_string(),
        state,
        build,
        address,
        seconds: server.map(|server| Ago::between(server.since, observed.at)),
        restarts: server
            .map(|server| server.restarts)
            .or_else(|| supervisor.map(|supervisor| supervisor.restarts))
            .unwrap_or_default(),
        proven: server.is_some_and(|server| server.proven),
        process: server.map(|server| server.process.clone()),
        matches: wanted.is_some_and(|wanted| match &seen.server {
            Seen::Known(Some(_)) => wanted.enabled && seen.comparison == Comparison::Match,
            Seen::Known(None) => !wanted.enabled,
            Seen::Unknown(_) => false,
        }),
        note,
    }
}

fn address(host: &str, port: u16) -> String {
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
