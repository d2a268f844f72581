//! The vocabulary of a plan: what can be done, why, and why something is not done.
//!
//! Plain values with a one-line `Display` each. Choosing among them is left to [`super::plan`].

mod amount;
mod block;
mod hold;
mod reason;
mod warning;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use amount::{Ago, Bytes};
pub use block::{BlockReason, Blocker};
pub use hold::{Hold, HoldReason, Switch};
pub use reason::Reason;
pub use warning::{Warning, WarningReason};

use crate::desired::WantedBinary;
use crate::instance::record::RecordedLaunch;
use crate::instance::{BinaryId, InstanceName, Launch, Supervision};
use crate::observed::Revision;
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

impl Step {
    /// Why it is done, and what a person should know of how.
    pub fn text(&self) -> String {
        let reason = &self.reason;
        match self.action.drain() {
            Some(drain) => format!("{reason}; up to {} s to drain", drain.as_secs_f64()),
            None => reason.to_string(),
        }
    }
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
    /// Fetch a model by name, while whatever runs goes on.
    Fetch(Fetch),
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

/// What is needed to fetch a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetch {
    /// Which instance it is for.
    pub instance: InstanceName,
    /// The launch that names it.
    pub launch: Arc<Launch>,
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
    /// How long the server it replaces is given to finish its open requests.
    pub drain: Option<Duration>,
    /// Whether the server it replaces ends even where it is what is to be started.
    pub anew: bool,
}

/// Where a launch in a plan comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum PlannedLaunch {
    /// From the manifest.
    Wanted(Arc<Launch>),
    /// From the record: the wanted one has failed, or a person rolled it back.
    Proven(Box<RecordedLaunch>),
}

impl PlannedLaunch {
    /// The launch, wherever it comes from.
    pub fn launch(&self) -> &Launch {
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
    /// Whether the manifest protects the instance.
    pub protect: bool,
}

/// What is needed to end a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Which instance.
    pub instance: InstanceName,
    /// What was seen of it.
    pub revision: Revision,
    /// Wait between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// How long it is given to finish its open requests before.
    pub drain: Option<Duration>,
    /// Whether a person asks for just this, so that its being suspended does not keep it from ending.
    pub by_hand: bool,
    /// The launch that is to follow it in a step of its own, which has to fit its build before
    /// anything is taken away.
    pub successor: Option<Arc<Launch>>,
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
    Fetch,
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
            Self::Fetch(fetch) => Subject::Instance(fetch.instance.clone()),
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
            Self::Fetch(_) => Rank::Fetch,
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
            Self::Fetch(_) => "fetch",
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
            Self::Install(_) | Self::Fetch(_) | Self::Start(_) => "+",
            Self::Replace(_) => "-/+",
            Self::Update(_) => "~",
            Self::Stop(_) | Self::Remove(_) | Self::Prune(_) => "-",
        }
    }

    /// How long it waits for the open requests of a server it ends.
    pub const fn drain(&self) -> Option<Duration> {
        match self {
            Self::Start(start) | Self::Replace(start) => start.drain,
            Self::Stop(stop) | Self::Remove(stop) => stop.drain,
            Self::Install(_) | Self::Fetch(_) | Self::Update(_) | Self::Prune(_) => None,
        }
    }

    /// Makes it wait for nothing.
    pub(crate) fn forget_drain(&mut self) {
        match self {
            Self::Start(start) | Self::Replace(start) => start.drain = None,
            Self::Stop(stop) | Self::Remove(stop) => stop.drain = None,
            Self::Install(_) | Self::Fetch(_) | Self::Update(_) | Self::Prune(_) => {}
        }
    }

    /// Whether a server that runs would end.
    pub const fn stops_a_server(&self) -> bool {
        match self {
            Self::Replace(_) | Self::Stop(_) | Self::Remove(_) => true,
            Self::Install(_)
            | Self::Fetch(_)
            | Self::Start(_)
            | Self::Update(_)
            | Self::Prune(_) => false,
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
