//! What `doctor` has seen, as plain values. What follows from it is said beside them; a part that could
//! not be looked at says why.

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::instance::InstanceName;
use crate::manifest::GpuBackend;
use crate::observed::{Pulse, Seen, Stranger};
use crate::release::host::{Glibc, Host};
use crate::release::{BuildName, Variant};

/// Everything that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// When.
    pub(crate) at: Timestamp,
    /// The machine.
    pub(crate) machine: Machine,
    /// The release source.
    pub(crate) source: Source,
    /// The root; `None` outside of any.
    pub(crate) home: Option<Home>,
}

/// A machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// What it can run; `None` where llama.cpp publishes nothing for it.
    pub(crate) host: Option<Host>,
    /// Its limits.
    pub(crate) limits: Limits,
    /// What there is to compare its clock with.
    pub(crate) clock: Clock,
    /// The names of variables that a server would take for options.
    pub(crate) stray: Vec<String>,
}

/// How much processes may have. An inner `None` stands for no limit.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Files open at once.
    pub(crate) files: Seen<Option<u64>>,
    /// Processes and threads of this user.
    pub(crate) processes: Seen<Option<u64>>,
    /// Bytes that may be locked in memory.
    pub(crate) locked: Seen<Option<u64>>,
    /// Bytes of what a crash leaves behind.
    pub(crate) core: Seen<Option<u64>>,
    /// Bytes the control group may use.
    pub(crate) group: Option<u64>,
}

/// What there is to compare a clock with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    /// What the release source said, and what it was here in that moment.
    pub(crate) remote: Option<(Timestamp, Timestamp)>,
    /// The youngest file of the root that was looked at.
    pub(crate) youngest: Option<(String, Timestamp)>,
}

/// The release source.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// What it is.
    pub(crate) kind: SourceKind,
    /// Where downloads come from instead, and whether that answers.
    pub(crate) mirror: Option<(String, Reach)>,
}

/// What a release source is.
#[derive(Debug, Clone)]
pub(crate) enum SourceKind {
    /// It stands in a manifest that cannot be read.
    Unknown(String),
    /// An API.
    Api {
        /// Its address.
        url: String,
        /// The variable a token is taken from.
        token: Option<String>,
        /// The variables one is looked for in.
        variables: Vec<String>,
        /// What came of asking it.
        reach: Reach,
    },
    /// A folder.
    Directory {
        /// Which one.
        path: Utf8PathBuf,
        /// How many archives it has.
        archives: Result<usize, String>,
    },
}

/// What came of asking somebody.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// It was not asked, for this reason.
    NotAsked(String),
    /// It answered.
    Answered {
        /// Requests that are left, of how many, until when.
        quota: Option<Quota>,
    },
    /// It did not.
    Failed(Failure),
}

/// How many requests are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    /// In this span of time.
    pub(crate) limit: u64,
    /// Of these.
    pub(crate) left: u64,
    /// When it begins anew.
    pub(crate) reset: Option<Timestamp>,
}

/// Why somebody did not answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// What kind of failure.
    pub(crate) kind: FailureKind,
    /// In words, with its causes.
    pub(crate) why: String,
    /// What a person can do about it.
    pub(crate) fix: Option<String>,
}

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Nobody is there, or has trouble of their own.
    Unreachable,
    /// It answers no more requests for now.
    Limited,
    /// It refuses the token.
    Token,
    /// The token cannot be sent.
    BadToken,
    /// What answers is no release source.
    Wrong,
}

/// A root.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// Where.
    pub(crate) root: Utf8PathBuf,
    /// The instances of the manifest.
    pub(crate) wanted: Seen<Vec<Wanted>>,
    /// Whether builds are llama.cpp's own.
    pub(crate) official: bool,
    /// Files that were read, and could be.
    pub(crate) whole: usize,
    /// Files that were read, and could not be.
    pub(crate) unread: Vec<Unread>,
    /// The builds that are installed.
    pub(crate) builds: Seen<Vec<Build>>,
    /// Who may do what.
    pub(crate) access: Access,
    /// Free bytes by folder: that of builds first, then the root where it is another file system.
    pub(crate) free: Vec<(Utf8PathBuf, Seen<u64>)>,
    /// Bytes that installs will take, as far as known.
    pub(crate) needed: Option<u64>,
    /// The lock of passes.
    pub(crate) pass: Pass,
    /// What is alive.
    pub(crate) servers: Vec<Life>,
    /// Who else listens where instances are to.
    pub(crate) strangers: Seen<Vec<Stranger>>,
}

/// An instance of the manifest.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Wanted {
    /// Its name.
    pub(crate) name: InstanceName,
    /// Whether it is to run.
    pub(crate) enabled: bool,
    /// Where it listens.
    pub(crate) host: String,
    /// And at which port.
    pub(crate) port: u16,
    /// Whether it asks for a key.
    pub(crate) has_key: bool,
    /// What it is to compute on, where that is written.
    pub(crate) backend: Option<GpuBackend>,
    /// Whether it cannot do without.
    pub(crate) required: bool,
    /// The build it comes to, where known.
    pub(crate) build: Option<BuildName>,
    /// The variant it comes to, where known.
    pub(crate) variant: Option<Variant>,
    /// Whether it comes from a URL of its own.
    pub(crate) foreign: bool,
    /// Whether that is installed.
    pub(crate) installed: bool,
    /// Whether something has to be asked before it can be.
    pub(crate) unresolved: bool,
    /// The further options of its server.
    pub(crate) args: Vec<String>,
    /// Bytes of its model, where that is a file.
    pub(crate) model: u64,
    /// The devices its server says that it computes on; `None` where it says nothing or none runs.
    pub(crate) devices: Option<Vec<String>>,
}

/// A file that could not be read.
#[derive(Debug, Clone)]
pub(crate) struct Unread {
    /// Which one, and where in it.
    pub(crate) file: String,
    /// What is wrong with it.
    pub(crate) why: Why,
    /// What a person can do about it.
    pub(crate) fix: Option<String>,
}

/// Why a file could not be read.
#[derive(Debug, Clone)]
pub(crate) enum Why {
    /// There is no manifest.
    NoManifest,
    /// Somebody wrote something that is wrong.
    Mistake(String),
    /// It is not what this program writes.
    Damaged(String),
    /// A later version wrote it.
    Newer(String),
    /// So many lines of the history.
    Lines(usize),
    /// The system did not let us.
    Unseen(String),
}

/// An installed build.
#[derive(Debug, Clone, Default)]
pub(crate) struct Build {
    /// What it is called, with its variant.
    pub(crate) name: String,
    /// The beginning of its id.
    pub(crate) id: String,
    /// The instances that are pinned to it or run it.
    pub(crate) used_by: Vec<String>,
    /// What is wrong with it at a glance.
    pub(crate) damage: Option<String>,
    /// Libraries that should lie beside what needs them: the file and the library.
    pub(crate) missing: Vec<Lacking>,
    /// What of the server needs a newer glibc than there is.
    pub(crate) too_new: Option<(String, Glibc)>,
    /// A backend that cannot be loaded for that reason, in words.
    pub(crate) backend_too_new: Option<String>,
    /// Why its files could not be looked into.
    pub(crate) unread: Vec<String>,
}

/// A library that is not where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// What needs it.
    pub(crate) file: String,
    /// Its name.
    pub(crate) library: String,
    /// Whether it belongs to the CUDA runtime.
    pub(crate) of_cuda: bool,
}

/// Who may do what with the files of a root.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// Why it cannot be told, where the system has other means.
    pub(crate) untold: Option<String>,
    /// How many files and folders were looked at.
    pub(crate) looked_at: usize,
    /// What could not be looked at.
    pub(crate) unseen: Vec<String>,
    /// What everybody may write.
    pub(crate) by_all: Vec<Utf8PathBuf>,
    /// What a group may write that has more members than its owner.
    pub(crate) by_group: Vec<Utf8PathBuf>,
    /// Secrets that others may read.
    pub(crate) secrets: Vec<Utf8PathBuf>,
    /// Whether others may look into our own folder.
    pub(crate) state_open: bool,
    /// The root's owner and this user, where they are not the same.
    pub(crate) other_owner: Option<(u32, u32)>,
    /// The network file system it lies on.
    pub(crate) network: Option<String>,
    /// A folder that this user should be able to write to and is not.
    pub(crate) closed: Option<Utf8PathBuf>,
}

/// The lock of passes.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    /// Whether somebody holds it.
    pub(crate) held: Seen<bool>,
    /// Who says to, in words.
    pub(crate) holder: Option<String>,
    /// Since when.
    pub(crate) since: Option<Timestamp>,
    /// Whether the process that says so is there.
    pub(crate) alive: Option<bool>,
}

/// What lives of one instance.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    /// The instance.
    pub(crate) name: InstanceName,
    /// Whether its server's lock is held.
    pub(crate) server: Seen<bool>,
    /// Whether its supervisor's lock is held.
    pub(crate) supervisor: Seen<bool>,
    /// Whether it has a state that can be read; `None` where that cannot be told.
    pub(crate) has_state: Option<bool>,
    /// The pids of who holds the server's lock, where there is no state.
    pub(crate) holders: Vec<u32>,
    /// Whether the process the state names as the server is there.
    pub(crate) server_pulse: Pulse,
    /// Whether the process the state names as the supervisor is there.
    pub(crate) supervisor_pulse: Pulse,
    /// The protocol its supervisor speaks.
    pub(crate) protocol: Option<u32>,
    /// Whether its supervisor runs another copy of this program, where known.
    pub(crate) other_program: Option<bool>,
}
