//! The vocabulary of a plan: what can be done, why, and why something is not done.
//!
//! Plain values with a one-line `Display` each. Choosing among them is left to [`super::plan`].

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::desired::{Unanswered, WantedBinary};
use crate::instance::record::{Failure, RecordedLaunch};
use crate::instance::state::Exit;
use crate::instance::{BinaryId, Change, InstanceName, Launch, Supervision};
use crate::observed::{Revision, Unseen};
use crate::release::{BuildName, Variant};

/// Names a step within its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub(crate) usize);

impl StepId {
    /// The step's place in [`super::Plan::steps`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// One thing to do, why, and after what.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name within the plan.
    pub id: StepId,
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// What has to be over before.
    pub after: Vec<After>,
}

/// An edge of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct After {
    /// The earlier step.
    pub step: StepId,
    /// What of it is needed.
    pub needs: Needs,
}

/// What a step needs of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// That it succeeded.
    Success,
    /// That it is over, whatever came of it.
    Ended,
}

/// One thing to do, in names, binaries and revisions: no pids, no folders.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Fetch, verify and install a build.
    Install(WantedBinary),
    /// Start a server that does not run.
    Start(Box<Start>),
    /// End the server that runs and start another in its place, as one gated step.
    Replace(Box<Start>),
    /// Give a supervisor new settings, or a server a new supervisor. No restart.
    Update(Box<Update>),
    /// End a server that is to stay known.
    Stop(Stop),
    /// End a server that left the manifest, and forget it.
    Remove(Stop),
    /// Take a build away.
    Prune(Prune),
}

/// What is needed to start a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Which instance.
    pub instance: InstanceName,
    /// What was seen of it.
    pub revision: Revision,
    /// What to start.
    pub launch: PlannedLaunch,
    /// What to start when the gate of that fails.
    pub fallback: Option<RecordedLaunch>,
    /// The supervisor's settings.
    pub supervision: Supervision,
    /// Whether the manifest protects the instance.
    pub protect: bool,
}

/// Where a launch in a plan comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum PlannedLaunch {
    /// From the manifest.
    Wanted(Launch),
    /// From the record, since the wanted one has failed.
    Proven(RecordedLaunch),
}

impl PlannedLaunch {
    /// The launch, wherever it comes from.
    pub const fn launch(&self) -> &Launch {
        match self {
            Self::Wanted(launch) => launch,
            Self::Proven(recorded) => &recorded.launch,
        }
    }
}

/// What is needed to update a supervisor.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Which instance.
    pub instance: InstanceName,
    /// What was seen of it.
    pub revision: Revision,
    /// The settings it is to have.
    pub supervision: Supervision,
    /// Whether a new supervisor has to take the server over.
    pub adopt: bool,
}

/// What is needed to end a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Which instance.
    pub instance: InstanceName,
    /// What was seen of it.
    pub revision: Revision,
    /// Wait between SIGTERM and SIGKILL.
    pub stop_timeout: std::time::Duration,
}

/// What is needed to take a build away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// Which build.
    pub binary: BinaryId,
    /// What it is called.
    pub build: BuildName,
    /// Which variant.
    pub variant: Variant,
    /// Bytes on disk.
    pub size: u64,
}

/// What a step, a hold or a blocker is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A build.
    Binary {
        /// What it is called.
        build: BuildName,
        /// Which variant.
        variant: Variant,
    },
    /// An instance.
    Instance(InstanceName),
}

impl Subject {
    /// The instance, if it is one.
    pub const fn instance(&self) -> Option<&InstanceName> {
        match self {
            Self::Instance(name) => Some(name),
            Self::Binary { .. } => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary { build, variant } => write!(f, "{build} {}", variant.short()),
            Self::Instance(name) => name.fmt(f),
        }
    }
}

/// The order in which steps are listed. What runs first is in the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Install,
    Replace,
    Update,
    Stop,
    Start,
    Remove,
    Prune,
}

impl Action {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Install(binary) => Subject::Binary {
                build: binary.build.clone(),
                variant: binary.variant.clone(),
            },
            Self::Start(start) | Self::Replace(start) => Subject::Instance(start.instance.clone()),
            Self::Update(update) => Subject::Instance(update.instance.clone()),
            Self::Stop(stop) | Self::Remove(stop) => Subject::Instance(stop.instance.clone()),
            Self::Prune(prune) => Subject::Binary {
                build: prune.build.clone(),
                variant: prune.variant.clone(),
            },
        }
    }

    pub(crate) const fn rank(&self) -> Rank {
        match self {
            Self::Install(_) => Rank::Install,
            Self::Replace(_) => Rank::Replace,
            Self::Update(_) => Rank::Update,
            Self::Stop(_) => Rank::Stop,
            Self::Start(_) => Rank::Start,
            Self::Remove(_) => Rank::Remove,
            Self::Prune(_) => Rank::Prune,
        }
    }

    /// The word people know it by.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Install(_) => "install",
            Self::Start(_) => "start",
            Self::Replace(_) => "restart",
            Self::Update(_) => "update",
            Self::Stop(_) => "stop",
            Self::Remove(_) => "remove",
            Self::Prune(_) => "prune",
        }
    }

    /// The sign in front of it, which says the same without colour.
    pub const fn rune(&self) -> &'static str {
        match self {
            Self::Install(_) | Self::Start(_) => "+",
            Self::Replace(_) => "-/+",
            Self::Update(_) => "~",
            Self::Stop(_) | Self::Remove(_) | Self::Prune(_) => "-",
        }
    }

    /// Whether a server that runs would end.
    pub const fn stops_a_server(&self) -> bool {
        match self {
            Self::Replace(_) | Self::Stop(_) | Self::Remove(_) => true,
            Self::Install(_) | Self::Start(_) | Self::Update(_) | Self::Prune(_) => false,
        }
    }
}

/// Why a step is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The build is not there.
    NotInstalled {
        /// Bytes to fetch, where known.
        download: Option<u64>,
    },
    /// The build is there and cannot be used.
    Damaged(String),
    /// The instance has never run, or was ended on request.
    NotRunning,
    /// Its server ended by itself and nobody starts it again.
    Crashed(Exit),
    /// What runs differs from what is wanted.
    Drift {
        /// In what.
        changes: Vec<Change>,
        /// Seconds the last load took.
        last_load: Option<f64>,
    },
    /// Only settings of the supervisor differ.
    Settings(Vec<&'static str>),
    /// The server has lost its supervisor.
    Unsupervised,
    /// The wanted launch has failed, and nothing runs in its stead.
    FallsBack(Failure),
    /// It is no longer in the manifest.
    NoLongerWanted,
    /// A person put it down.
    PutDown(Option<String>),
    /// The manifest says `enabled: false`.
    Disabled,
    /// Another instance takes its port, and it another's.
    SwapsPort,
    /// No instance uses the build, and more than enough others are kept.
    Unused,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled {
                download: Some(bytes),
            } => {
                write!(f, "{} download, not installed", Bytes(*bytes))
            }
            Self::NotInstalled { download: None } => f.write_str("not installed"),
            Self::Damaged(why) => write!(f, "damaged: {why}"),
            Self::NotRunning => f.write_str("not running"),
            Self::Crashed(exit) => write!(f, "not running: it {exit}"),
            Self::Drift { changes, last_load } => {
                f.write_str(&summary(changes))?;
                match last_load {
                    Some(load) => {
                        write!(
                            f,
                            "; about {:.0} s down (last load {load:.1} s)",
                            load.max(1.0)
                        )
                    }
                    None => f.write_str("; down while it loads"),
                }
            }
            Self::Settings(fields) => write!(f, "{} (no restart)", fields.join(", ")),
            Self::Unsupervised => {
                f.write_str("its supervisor is gone; a new one takes over (no restart)")
            }
            Self::FallsBack(failure) => {
                write!(
                    f,
                    "from its last proven launch, since the wanted one {}",
                    failure.reason
                )
            }
            Self::NoLongerWanted => f.write_str("no longer in orchestrator.yaml"),
            Self::PutDown(None) => f.write_str("put down"),
            Self::PutDown(Some(reason)) => write!(f, "put down: {reason}"),
            Self::Disabled => f.write_str("disabled in orchestrator.yaml"),
            Self::SwapsPort => f.write_str("swaps ports with another instance"),
            Self::Unused => f.write_str("no instance uses it"),
        }
    }
}

/// The changes of a drift in one line: `binary b9414 -> b9553, args`.
pub(crate) fn summary(changes: &[Change]) -> String {
    const SHOWN: usize = 3;
    let mut parts: Vec<String> = changes.iter().take(SHOWN).map(change_text).collect();
    if changes.len() > SHOWN {
        parts.push(format!("{} more", changes.len() - SHOWN));
    }
    parts.join(", ")
}

fn change_text(change: &Change) -> String {
    use serde_json::Value;
    // The build's name says more than the object of name, variant and digest it stands in.
    let short = |value: &Option<Value>| -> Option<String> {
        match value.as_ref()? {
            Value::Object(binary) => Some(binary.get("build")?.as_str()?.to_owned()),
            Value::String(text) => Some(text.clone()),
            Value::Array(_) => None,
            other => Some(other.to_string()),
        }
    };
    match (short(&change.from), short(&change.to)) {
        (Some(from), Some(to)) if from == to => match (&change.from, &change.to) {
            (Some(Value::Object(old)), Some(Value::Object(new)))
                if old.get("variant") != new.get("variant") =>
            {
                let variant = |of: &serde_json::Map<String, Value>| {
                    of["variant"].as_str().unwrap_or("?").to_owned()
                };
                format!("{} {} -> {}", change.field, variant(old), variant(new))
            }
            _ => format!("{} (another archive of {to})", change.field),
        },
        (Some(from), Some(to)) if from.len() + to.len() <= 48 => {
            format!("{} {from} -> {to}", change.field)
        }
        (None, Some(to)) if change.from.is_none() && to.len() <= 40 => {
            format!("{} {to} (was not set)", change.field)
        }
        (Some(from), None) if change.to.is_none() && from.len() <= 40 => {
            format!("{} no longer {from}", change.field)
        }
        _ => change.field.clone(),
    }
}

/// Deliberately not done in this pass: time will change that, or a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// What is held.
    pub subject: Subject,
    /// Why.
    pub why: HoldReason,
    /// When it is worth looking again, where time alone helps.
    pub until: Option<Timestamp>,
}

/// Why something is not done in this pass.
#[derive(Debug, Clone, PartialEq)]
pub enum HoldReason {
    /// It starts; its gate is not decided.
    Starting {
        /// Since when.
        for_seconds: i64,
    },
    /// It ended, and its supervisor starts it again at a time.
    BackingOff {
        /// Restarts in a row.
        restarts: u32,
        /// Seconds to the next one.
        in_seconds: i64,
    },
    /// It ended too often.
    GaveUp(String),
    /// The wanted launch has failed and is not tried again.
    FailedInputs {
        /// The build that failed.
        build: BuildName,
        /// Why.
        failure: Failure,
        /// Seconds since.
        seconds_ago: i64,
        /// The build that runs in its stead.
        runs: Option<BuildName>,
    },
    /// A person put it down.
    PutDown {
        /// Why, where they said so.
        reason: Option<String>,
    },
    /// It left the manifest and is protected.
    Protected,
    /// Removing it needs `--yes`.
    NeedsConsent,
    /// Too many would be removed at once.
    TooManyRemovals {
        /// How many.
        removed: usize,
        /// Of how many.
        of: usize,
    },
    /// It waits for the gate of another instance that is not up.
    WaitsFor(InstanceName),
    /// It lives and does not answer.
    Unresponsive,
    /// Part of it could not be seen.
    Unseen(Unseen),
}

impl HoldReason {
    /// Whether this hold is a failure that a person should look at (and the exit code should say).
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::GaveUp(_)
            | Self::FailedInputs { .. }
            | Self::BackingOff { .. }
            | Self::TooManyRemovals { .. }
            | Self::WaitsFor(_)
            | Self::Unresponsive
            | Self::Unseen(_) => true,
            Self::Starting { .. } | Self::PutDown { .. } | Self::Protected | Self::NeedsConsent => {
                false
            }
        }
    }

    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::BackingOff { .. } => "backing_off",
            Self::GaveUp(_) => "gave_up",
            Self::FailedInputs { .. } => "failed_inputs",
            Self::PutDown { .. } => "put_down",
            Self::Protected => "protected",
            Self::NeedsConsent => "needs_consent",
            Self::TooManyRemovals { .. } => "too_many_removals",
            Self::WaitsFor(_) => "waits_for",
            Self::Unresponsive => "unresponsive",
            Self::Unseen(_) => "unseen",
        }
    }
}

impl Hold {
    /// The hold's reason in one line, with what a person can do.
    pub fn text(&self) -> String {
        let name = &self.subject;
        match &self.why {
            HoldReason::Starting { for_seconds } => {
                format!(
                    "starting for {}; its gate is not decided yet",
                    Ago(*for_seconds)
                )
            }
            HoldReason::BackingOff {
                restarts,
                in_seconds,
            } => {
                format!(
                    "crashed {}, next try in {}",
                    times(*restarts),
                    Ago(*in_seconds)
                )
            }
            HoldReason::GaveUp(why) => {
                format!("gave up: {why}; change it or `llama-orch retry {name}`")
            }
            HoldReason::FailedInputs {
                build,
                failure,
                seconds_ago,
                runs,
            } => {
                let runs = runs
                    .as_ref()
                    .map(|runs| {
                        if runs == build {
                            "; the launch before it runs".to_owned()
                        } else {
                            format!("; {runs} runs")
                        }
                    })
                    .unwrap_or_default();
                format!(
                    "{build} failed {} ago: {}{runs}; change it or `llama-orch retry {name}`",
                    Ago(*seconds_ago),
                    failure.reason
                )
            }
            HoldReason::PutDown { reason: None } => {
                format!("put down; `llama-orch up {name}` starts it")
            }
            HoldReason::PutDown {
                reason: Some(reason),
            } => {
                format!("put down: {reason}; `llama-orch up {name}` starts it")
            }
            HoldReason::Protected => {
                "no longer in orchestrator.yaml, and protected; it goes on running".to_owned()
            }
            HoldReason::NeedsConsent => {
                "no longer in orchestrator.yaml; `llama-orch apply --yes` removes it".to_owned()
            }
            HoldReason::TooManyRemovals { removed, of } => format!(
                "no longer in orchestrator.yaml, like {removed} of {of}; `--allow-empty` removes them"
            ),
            HoldReason::WaitsFor(other) => format!("waits for `{other}`, which is not up"),
            HoldReason::Unresponsive => {
                format!("lives and does not answer; see `llama-orch logs {name}`")
            }
            HoldReason::Unseen(why) => format!("left alone: {why}"),
        }
    }
}

/// Wanted, and it cannot be done. Independent steps still run.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocker {
    /// What is blocked.
    pub subject: Subject,
    /// Why.
    pub why: BlockReason,
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq)]
pub enum BlockReason {
    /// Someone else listens on its port.
    PortHeld {
        /// The port.
        port: u16,
        /// Who, for people.
        by: String,
    },
    /// Files or variables it needs are not there.
    Missing(Vec<String>),
    /// Its pin could not be resolved.
    Unresolved(Unanswered),
    /// There is no room for its build.
    NoSpace {
        /// Bytes needed.
        needs: u64,
        /// Bytes free.
        free: u64,
    },
    /// Its build is not installed and cannot be fetched.
    NotInstallable(String),
}

impl BlockReason {
    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PortHeld { .. } => "port_held",
            Self::Missing(_) => "missing",
            Self::Unresolved(_) => "unresolved",
            Self::NoSpace { .. } => "no_space",
            Self::NotInstallable(_) => "not_installable",
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unresolved(why) => why.hint(),
            Self::PortHeld { .. }
            | Self::Missing(_)
            | Self::NoSpace { .. }
            | Self::NotInstallable(_) => None,
        }
    }
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortHeld { port, by } => write!(f, "port {port} is held by {by}"),
            Self::Missing(what) => f.write_str(&what.join("; ")),
            Self::Unresolved(why) => why.fmt(f),
            Self::NoSpace { needs, free } => {
                write!(
                    f,
                    "needs {} of disk, {} are free",
                    Bytes(*needs),
                    Bytes(*free)
                )
            }
            Self::NotInstallable(why) => f.write_str(why),
        }
    }
}

/// A build that nothing uses. Shown, not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// Which build.
    pub binary: BinaryId,
    /// What it is called.
    pub subject: Subject,
    /// Bytes on disk.
    pub size: u64,
}

/// A number of bytes for people: `29.8 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "one digit after the point is shown"
        )]
        let mut amount = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while amount >= 1023.95 && unit + 1 < UNITS.len() {
            amount /= 1024.0;
            unit += 1;
        }
        write!(f, "{amount:.1} {}", UNITS[unit])
    }
}

/// A number of seconds for people: `32 s`, `2 h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ago(pub i64);

impl Ago {
    /// The whole seconds from one moment to another, never negative.
    pub fn between(earlier: Timestamp, later: Timestamp) -> i64 {
        later
            .duration_since(earlier)
            .max(SignedDuration::ZERO)
            .as_secs()
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds < 120 => write!(f, "{seconds} s"),
            seconds if seconds < 2 * 3600 => write!(f, "{} min", seconds / 60),
            seconds if seconds < 48 * 3600 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86400),
        }
    }
}

fn times(count: u32) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}
