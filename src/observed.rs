//! One snapshot of what is there: builds, servers, supervisors, what is remembered of them. Each
//! part may be unknown, and none of it is younger than the moment it was looked at.
//!
//! Pure values; looking is a [`crate::backend::Backend`]'s business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::abilities::Abilities;
use crate::instance::record::{FailedLaunch, PutDown, RecordedLaunch, RolledBack, Suspended};
use crate::instance::state::{Exit, Health};
use crate::instance::{BinaryId, Change, InstanceName, Launch, Supervision};
use crate::release::{BuildName, Digest, Variant};

/// What was seen, and when. Collected over some time, so already slightly out of date.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The planner's only clock.
    pub at: Timestamp,
    /// Facts about the machine.
    pub host: HostFacts,
    /// The builds that are installed; an absent key is one that is not.
    pub binaries: Seen<BTreeMap<BinaryId, ObservedBinary>>,
    /// What the servers of installed builds said they can do, for those that something may be started
    /// from; an absent key is one that was not asked, or could not be understood.
    pub abilities: BTreeMap<BinaryId, Arc<Abilities>>,
    /// Every instance that left a trace, in the manifest or not.
    pub instances: BTreeMap<InstanceName, ObservedInstance>,
}

impl Observed {
    /// A snapshot in which nothing is installed and nothing runs.
    pub fn nothing(at: Timestamp) -> Self {
        Self {
            at,
            host: HostFacts::default(),
            binaries: Seen::Known(BTreeMap::new()),
            abilities: BTreeMap::new(),
            instances: BTreeMap::new(),
        }
    }
}

/// Something that was looked at. "Could not look" is never "not there".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    /// It was seen so.
    Known(T),
    /// It could not be seen.
    Unknown(Unseen),
}

impl<T> Seen<T> {
    /// The value, where there is one.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// Why something could not be seen: one line with the chain of causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen(pub String);

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Facts about the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFacts {
    /// Free bytes where builds are installed.
    pub free_disk: Seen<u64>,
    /// Which boot of the machine this is, where it tells.
    pub boot: Option<Uuid>,
    /// How much memory there is to give.
    pub memory: MemoryFacts,
    /// Who listens at the wanted ports and sockets, our own servers left out.
    pub strangers: Seen<Vec<Stranger>>,
}

impl Default for HostFacts {
    fn default() -> Self {
        Self {
            free_disk: Seen::Known(u64::MAX),
            boot: None,
            memory: MemoryFacts::default(),
            strangers: Seen::Known(Vec::new()),
        }
    }
}

/// How much memory the machine has to give, as far as it tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryFacts {
    /// Bytes a new process can have without swapping.
    pub available: Option<u64>,
    /// Bytes one may lock (`ulimit -l`); `None` also where nothing limits it.
    pub lockable: Option<u64>,
}

/// Somebody who listens on this machine and is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Where.
    pub at: ListensAt,
    /// Who, for people.
    pub who: String,
}

/// Where somebody listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListensAt {
    /// At a port of one address, or of every one (`0.0.0.0`, `::`).
    Port(IpAddr, u16),
    /// At a Unix socket, by its path as a launch writes it.
    Socket(String),
}

/// One installed build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedBinary {
    /// What it is called.
    pub build: BuildName,
    /// Which variant it is.
    pub variant: Variant,
    /// Bytes on disk.
    pub size: u64,
    /// When it was installed, where known.
    pub installed: Option<Timestamp>,
    /// What its archive hashed to, where known.
    pub digest: Option<Digest>,
    /// Why it cannot be used, where it cannot.
    pub damage: Option<String>,
    /// Further ids it answers to.
    pub aliases: Vec<BinaryId>,
    /// Whether it is ours to prune: inside `bins/`, and not registered by hand.
    pub prunable: bool,
}

/// One instance. Each part is seen by itself, so that odd states can be said: a server without a
/// supervisor, a proven launch running while the wanted one has failed.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedInstance {
    /// What `perform` compares before it acts.
    pub revision: Revision,
    /// The supervisor, if one lives.
    pub supervisor: Seen<Option<Supervisor>>,
    /// The server, if one lives.
    pub server: Seen<Option<ObservedServer>>,
    /// What is remembered of it.
    pub memory: Seen<Memory>,
    /// How what runs, or is tried, differs from what is wanted: the manifest's launch, or the one it
    /// is rolled back to.
    pub comparison: Comparison,
    /// Whether that launch has failed before, with what it says now.
    pub failed: Option<FailedLaunch>,
    /// Files and variables that launch needs and that are not there or not what they should be, in
    /// words.
    pub missing: Vec<String>,
    /// Bytes of that launch's model and what is loaded with it.
    pub model_size: u64,
    /// Whether what that launch fetches by name was fetched before and is there still.
    pub fetched: bool,
}

impl ObservedInstance {
    /// An instance that has never been seen.
    pub fn absent() -> Self {
        Self {
            revision: Revision::default(),
            supervisor: Seen::Known(None),
            server: Seen::Known(None),
            memory: Seen::Known(Memory::default()),
            comparison: Comparison::Match,
            failed: None,
            missing: Vec::new(),
            model_size: 0,
            fetched: false,
        }
    }

    /// Why some part could not be seen, if any could not.
    pub fn unseen(&self) -> Option<&Unseen> {
        match (
            &self.memory,
            &self.supervisor,
            &self.server,
            &self.comparison,
        ) {
            (Seen::Unknown(why), ..)
            | (_, Seen::Unknown(why), ..)
            | (_, _, Seen::Unknown(why), _)
            | (_, _, _, Comparison::Unknown(why)) => Some(why),
            _ => None,
        }
    }
}

/// What `observe` saw of one thing, as one opaque token. `perform` refuses when it no longer holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Revision(Box<[u8]>);

impl Revision {
    /// Wraps whatever the backend compares by.
    pub fn new(token: impl Into<Box<[u8]>>) -> Self {
        Self(token.into())
    }
}

/// A living supervisor.
#[derive(Debug, Clone, PartialEq)]
pub struct Supervisor {
    /// The settings it works by.
    pub settings: Supervision,
    /// Which protocol it speaks ([`PROTOCOL`](crate::instance::state::PROTOCOL)), and so which
    /// settings it knows.
    pub protocol: u32,
    /// When it starts its server again, where it waits to.
    pub backing_off: Option<Timestamp>,
    /// Restarts in a row.
    pub restarts: u32,
    /// The builds it may start by itself: that of its launch and that of its fallback.
    pub builds: BTreeSet<BinaryId>,
}

/// A living server.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedServer {
    /// What it runs.
    pub launch: RecordedLaunch,
    /// Whether it has passed its gate.
    pub verdict: Verdict,
    /// The last word of the probe.
    pub health: Health,
    /// Whether it has stayed healthy long enough to be rolled back to.
    pub proven: bool,
    /// Since when it runs, or starts.
    pub since: Timestamp,
    /// Seconds its load took, once it is loaded.
    pub load: Option<f64>,
    /// How the system names it, for people: `pid 4121`.
    pub process: String,
    /// Restarts of this launch.
    pub restarts: u32,
}

/// What the gate says of a living server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided yet.
    Starting,
    /// Passed.
    Passed,
    /// Failed, and the server was left as it is.
    Failed,
}

/// What is remembered of an instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// Whether there is anything on disk about it.
    pub traces: bool,
    /// Launches that may be rolled back to, newest first.
    pub proven: Vec<RecordedLaunch>,
    /// A person's wish that it stays down.
    pub put_down: Option<PutDown>,
    /// A person's wish that passes leave it as it is.
    pub suspended: Option<Suspended>,
    /// A person's wish that it runs an earlier launch, its files as they are now. Where it holds
    /// against the manifest's launch, it is what is compared.
    pub rolled_back: Option<RolledBack>,
    /// Whether it may not be removed.
    pub protected: bool,
    /// How its server last ended, and when.
    pub last_exit: Option<(Exit, Timestamp)>,
    /// Whether that end was asked for.
    pub ended_on_request: bool,
    /// Why its supervisor gave up on the launch that is compared, on this boot.
    pub gave_up: Option<GaveUp>,
    /// Restarts of the launch it was last assigned.
    pub restarts: u32,
    /// Seconds the last load took.
    pub last_load: Option<f64>,
    /// The build that was last assigned.
    pub last_build: Option<BuildName>,
}

/// What is seen of an instance beyond what a plan needs: for people who look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vitals {
    /// Whether the process its state names as the server is there.
    pub server: Pulse,
    /// Whether the process its state names as the supervisor is there.
    pub supervisor: Pulse,
    /// Bytes of memory the server and its children have in place; what several processes share
    /// counts in each.
    pub resident: Option<u64>,
    /// Bytes of GPU memory, where the driver tells.
    pub gpu: Option<u64>,
    /// Since when the probe's last word holds.
    pub health_since: Option<Timestamp>,
    /// How its server last ended, whichever launch that was.
    pub last_exit: Option<LastExit>,
}

impl Vitals {
    /// Whether a state names a process that is not what its lock says lives.
    pub fn is_contradictory(&self) -> bool {
        let wrong = |pulse| matches!(pulse, Pulse::Gone | Pulse::Disputed);
        wrong(self.server) || wrong(self.supervisor)
    }
}

/// Whether a process is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing is recorded, or it cannot be told here.
    #[default]
    Unknown,
    /// It lives.
    Alive,
    /// It lives and is stopped by a signal (SIGSTOP), so that it does nothing.
    Suspended,
    /// It is not there any more, or its number means another process.
    Gone,
    /// The states of several instances name it.
    Disputed,
}

/// How a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastExit {
    /// How.
    pub exit: Exit,
    /// When that was noticed.
    pub at: Timestamp,
    /// Whether it was asked to.
    pub asked: bool,
    /// Whether it had not passed its gate.
    pub within_gate: bool,
    /// How and why, in words, as far as its log told.
    pub reason: Option<String>,
}

impl fmt::Display for LastExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.reason, self.asked) {
            (Some(reason), _) => f.write_str(reason)?,
            (None, true) => return write!(f, "{}, as asked", self.exit),
            (None, false) => self.exit.fmt(f)?,
        }
        if self.within_gate && !self.asked {
            f.write_str(", before it had passed its gate")?;
        }
        Ok(())
    }
}

/// Why a supervisor starts its server no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GaveUp {
    /// It ended too often, the last time for this reason.
    TooOften(String),
    /// Its `restart_policy` says that it is never restarted; it ended for this reason.
    ByPolicy(String),
}

impl Memory {
    /// What a person rolled it back to, where that holds against what the manifest wants now.
    pub fn rollback_against(&self, wanted: &Launch) -> Option<&RolledBack> {
        let rolled_back = self.rolled_back.as_ref();
        rolled_back.filter(|rolled_back| rolled_back.holds_against(wanted))
    }
}

/// How what runs, or is tried, differs from what is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// Not at all, or nothing runs.
    Match,
    /// In these fields.
    Differs(Vec<Change>),
    /// It could not be told.
    Unknown(Unseen),
}
