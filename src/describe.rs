//! What `describe` shows: everything that is known of one instance, out of its manifest, its files, the
//! plan and the past.
//!
//! Pure; gathering it is the shell's business, and how it looks the terminal's. Secrets are left out here,
//! so that neither text nor JSON has them.

mod command;

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::desired::{Desired, WantedInstance};
use crate::instance::record::{FailedLaunch, Record, RecordedLaunch};
use crate::instance::state::{Role, State};
use crate::instance::{InstanceName, LaunchInputs, Supervision};
use crate::manifest::{Instance, ModelSource, Origin};
use crate::plan::Plan;
use crate::plan::action::Ago;
use crate::status::{Row, address};

pub use command::{command_line, redacted};

/// The number in `format_version`.
pub const FORMAT_VERSION: u32 = 1;

/// Everything that is known of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Description {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// When it was looked (RFC 3339).
    pub at: String,
    /// Its row in `status`.
    pub status: Row,
    /// What the manifest wants; `null` where it has no such instance or cannot be read.
    pub wanted: Option<Wanted>,
    /// What a pass would do about it, or why not, a line each.
    pub plan: Vec<String>,
    /// The launch that runs, is tried or ran last.
    pub launch: Option<Launched>,
    /// Whether that launch runs.
    pub runs: bool,
    /// The settings of its supervisor: those in force, else those the manifest wants.
    pub settings: Option<Value>,
    /// Its supervisor, if one lives.
    pub supervisor: Option<SupervisorWords>,
    /// Bytes of memory with what is shared divided among those who share it (PSS).
    pub memory_share_bytes: Option<u64>,
    /// Launches that may be rolled back to, newest first.
    pub proven: Vec<ProvenLaunch>,
    /// Launches that failed, newest first.
    pub failed: Vec<FailedWords>,
    /// Whether it may not be removed.
    pub protected: bool,
    /// Its files.
    pub files: Vec<NamedFile>,
    /// What could not be read of them.
    pub unread: Vec<String>,
    /// What past passes did about it, newest last.
    pub history: Vec<Past>,
}

/// What the manifest wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Wanted {
    /// The build that is asked for, as it is written.
    pub version: Option<String>,
    /// The variant that is asked for, as it is written.
    pub variant: Option<String>,
    /// The build that comes to, where that is known.
    pub build: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Where it listens, as `host:port`.
    pub address: String,
    /// Whether it is to run at all.
    pub enabled: bool,
    /// Instances whose gate must have been passed before.
    pub depends_on: Vec<String>,
    /// Labels to select by.
    pub tags: Vec<String>,
    /// The files it is written in.
    pub written_in: Vec<String>,
}

/// A launch as it was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Launched {
    /// The build.
    pub build: String,
    /// Its id.
    pub binary: String,
    /// The program, relative to the root.
    pub program: String,
    /// Its arguments, less secrets.
    pub arguments: Vec<String>,
    /// The names of the variables the manifest gives it.
    pub environment: Vec<String>,
    /// Whether it is what was wanted, or the fallback of that.
    pub is_fallback: bool,
    /// Whether it has stayed healthy long enough to be rolled back to.
    pub proven: bool,
    /// The devices its log says that it computes on.
    pub devices: Vec<String>,
    /// How many of the model's layers it has put on them, of how many.
    pub layers: Option<(u32, u32)>,
    /// Its context in tokens, as its log says.
    pub context: Option<u32>,
    /// When its server was spawned (RFC 3339).
    pub spawned_at: Option<String>,
    /// Restarts in all.
    pub restarts: u32,
}

/// A living supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SupervisorWords {
    /// How the system names it: `pid 4120`.
    pub process: String,
    /// The protocol it understands.
    pub protocol: u32,
    /// The sha256 of the program it runs from.
    pub program: String,
}

/// A launch that may be rolled back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProvenLaunch {
    /// The build.
    pub build: String,
    /// Its id.
    pub binary: String,
    /// The fields in which it differs from the launch that is shown.
    pub differs_in: Vec<String>,
}

/// A launch that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FailedWords {
    /// The build.
    pub build: String,
    /// When (RFC 3339).
    pub at: String,
    /// Seconds since.
    pub seconds_ago: i64,
    /// Why.
    pub reason: String,
    /// Whether the cause may be gone the next time.
    pub transient: bool,
    /// The last lines its server wrote.
    pub log_tail: Vec<String>,
}

/// One of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NamedFile {
    /// What it is: `record`, `state`, `log` or `supervisor log`.
    pub what: String,
    /// Where it is.
    pub path: String,
}

/// What a past pass did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Past {
    /// When the pass began (RFC 3339).
    pub at: String,
    /// What asked for it.
    pub verb: String,
    /// What was done: `start`, `restart` and so on.
    pub action: String,
    /// `done`, `failed`, `skipped` or `given_up`.
    pub outcome: String,
    /// Why it was done, or not.
    pub why: String,
}

/// What a description is made from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// Which instance.
    pub name: &'a InstanceName,
    /// When it was looked.
    pub now: Timestamp,
    /// Its row in `status`.
    pub row: Row,
    /// What the manifest says.
    pub manifest: Option<&'a Instance>,
    /// What that comes to, and what would be done.
    pub view: Option<&'a (Desired, Plan)>,
    /// Its record.
    pub record: Option<&'a Record>,
    /// Its state.
    pub state: Option<&'a State>,
    /// Whether its supervisor lives.
    pub supervised: bool,
    /// Whether its server lives.
    pub runs: bool,
    /// Its share of the memory.
    pub memory_share_bytes: Option<u64>,
    /// Its files.
    pub files: Vec<NamedFile>,
    /// What could not be read.
    pub unread: Vec<String>,
    /// What past passes did about it.
    pub history: Vec<Past>,
}

impl Description {
    /// Everything that is known.
    pub fn of(sources: Sources<'_>) -> Self {
        let Sources {
            name,
            now,
            row,
            manifest,
            view,
            record,
            state,
            ..
        } = sources;
        let desired = view.and_then(|(desired, _)| desired.instances.get(name));
        let settings = state
            .map(|state| &state.supervision)
            .or_else(|| desired.map(WantedInstance::supervision));
        let launch = state.map(|state| &state.launch);
        let assigned = record.and_then(|record| record.wanted.as_ref());
        let shown = launch.or_else(|| assigned.map(|assigned| &assigned.launch));
        Self {
            format_version: FORMAT_VERSION,
            at: now.to_string(),
            status: row,
            wanted: manifest.map(|instance| Wanted::of(name, instance, desired)),
            plan: view.map(|(_, plan)| lines(name, plan)).unwrap_or_default(),
            launch: shown.map(|launch| Launched::of(launch, state)),
            runs: sources.runs,
            settings: settings.and_then(words),
            supervisor: state
                .filter(|_| sources.supervised)
                .map(SupervisorWords::of),
            memory_share_bytes: sources.memory_share_bytes,
            proven: record
                .iter()
                .flat_map(|record| &record.proven)
                .map(|proven| ProvenLaunch::of(proven, shown))
                .collect(),
            failed: failed(record, state, now),
            protected: record.is_some_and(|record| record.protected),
            files: sources.files,
            unread: sources.unread,
            history: sources.history,
        }
    }
}

/// What the plan says of an instance.
fn lines(name: &InstanceName, plan: &Plan) -> Vec<String> {
    let own = plan.clone().narrowed(&BTreeSet::from([name.clone()]));
    let lines = own.lines().into_iter();
    lines
        .filter(|line| line.subject == name.as_str())
        .map(|line| format!("{}: {}", line.verb, line.detail))
        .collect()
}

fn words(settings: &Supervision) -> Option<Value> {
    serde_json::to_value(settings).ok()
}

/// The launches that failed, newest first, with the one its supervisor speaks of.
fn failed(record: Option<&Record>, state: Option<&State>, now: Timestamp) -> Vec<FailedWords> {
    let mut failed: Vec<&FailedLaunch> = record.iter().flat_map(|record| &record.failed).collect();
    let told = state.and_then(|state| state.failed.as_ref());
    let is_known = |told: &FailedLaunch| {
        let mut known = failed.iter();
        known.any(|failed| failed.fingerprint == told.fingerprint)
    };
    if let Some(told) = told.filter(|told| !is_known(told)) {
        failed.push(told);
    }
    failed.sort_by_key(|failed| std::cmp::Reverse(failed.at));
    failed
        .into_iter()
        .map(|failed| FailedWords {
            build: failed.build.to_string(),
            at: failed.at.to_string(),
            seconds_ago: Ago::between(failed.at, now),
            reason: failed.failure.reason.clone(),
            transient: failed.transient,
            log_tail: failed.failure.log_tail.clone(),
        })
        .collect()
}

impl Wanted {
    fn of(name: &InstanceName, instance: &Instance, desired: Option<&WantedInstance>) -> Self {
        let pin = instance.binary.as_ref();
        let model = instance.model.as_ref().map(|model| &model.source);
        let files: BTreeSet<String> = instance
            .origins
            .values()
            .map(|origin| match origin {
                Origin::Defaults => "orchestrator.yaml (defaults)".to_owned(),
                Origin::Config => format!("instances/{name}/config.json"),
                Origin::Inline => "orchestrator.yaml".to_owned(),
            })
            .collect();
        Self {
            version: pin.and_then(|pin| Some(pin.version.as_ref()?.to_string())),
            variant: pin.map(|pin| pin.variant.to_string()),
            build: match desired {
                Some(WantedInstance::Resolved(wanted)) => Some(wanted.launch.build.to_string()),
                Some(WantedInstance::Unresolved(_)) | None => None,
            },
            model: match model {
                Some(ModelSource::Path(path) | ModelSource::Directory(path)) => {
                    Some(path.to_string())
                }
                Some(ModelSource::HuggingFace(model)) => Some(model.clone()),
                Some(ModelSource::Unset) | None => None,
            },
            address: address(&instance.server.host, instance.server.port),
            enabled: instance.enabled,
            depends_on: instance
                .depends_on
                .iter()
                .map(ToString::to_string)
                .collect(),
            tags: instance.tags.iter().cloned().collect(),
            written_in: files.into_iter().collect(),
        }
    }
}

impl Launched {
    fn of(recorded: &RecordedLaunch, state: Option<&State>) -> Self {
        let launch = &recorded.launch;
        let loaded = state.and_then(|state| state.loaded.as_ref());
        let server = state.and_then(|state| state.server.as_ref());
        Self {
            build: launch.build.to_string(),
            binary: launch.binary.to_string(),
            program: recorded.program.to_string(),
            arguments: redacted(&launch.arguments),
            environment: launch.environment.keys().cloned().collect(),
            is_fallback: state.is_some_and(|state| state.role == Role::Fallback),
            proven: state.is_some_and(|state| state.proven),
            devices: loaded
                .map(|facts| facts.devices.clone())
                .unwrap_or_default(),
            layers: loaded.and_then(|facts| facts.layers),
            context: loaded.and_then(|facts| facts.context),
            spawned_at: server.map(|server| server.spawned.to_string()),
            restarts: state.map_or(0, |state| state.restarts.total),
        }
    }
}

impl SupervisorWords {
    fn of(state: &State) -> Self {
        Self {
            process: format!("pid {}", state.supervisor.pid),
            protocol: state.protocol,
            program: state.program.to_string(),
        }
    }
}

impl ProvenLaunch {
    fn of(proven: &RecordedLaunch, shown: Option<&RecordedLaunch>) -> Self {
        let nothing = LaunchInputs::default();
        let inputs = shown.map_or(&nothing, |shown| &shown.launch.inputs);
        let changes = inputs.changes_to(&proven.launch.inputs);
        Self {
            build: proven.launch.build.to_string(),
            binary: proven.launch.binary.to_string(),
            differs_in: changes.into_iter().map(|change| change.field).collect(),
        }
    }
}

/// The JSON Schema of [`Description`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Description).to_value()
}
