//! `state.json` and `exit.json`: what one supervisor has to say of its server.
//!
//! Written by the supervisor alone (or by whoever holds `supervisor.lock` in its place), and only
//! when something changes. Whether the supervisor and the server still live is told by their
//! locks, never by these files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::identity::ProcessIdentity;
use super::record::{FailedLaunch, Failure, LoadFacts, RecordedLaunch};
use super::{Fingerprint, Supervision};
use crate::release::Digest;

/// The number in `schema` that this version writes.
pub const SCHEMA: u32 = 1;

/// The protocol between commands and supervisors: which signal means what, and which fields of
/// `record.json` a supervisor understands. A supervisor of this number or one less is understood.
///
/// | protocol | what came with it |
/// | --- | --- |
/// | 1 | the first |
/// | 2 | `liveness`, `leave_failed`, `drain`, the GPU in the gate, load facts and `within_gate` |
pub const PROTOCOL: u32 = 2;

/// Whether a supervisor of this protocol can be told anything by this program.
pub const fn is_understood(protocol: u32) -> bool {
    protocol <= PROTOCOL && protocol + 1 >= PROTOCOL
}

/// Everything in `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this file's form.
    pub schema: u32,
    /// What the supervisor that wrote it understands.
    pub protocol: u32,
    /// The supervisor that wrote it.
    pub supervisor: ProcessIdentity,
    /// The sha256 of the program it runs from, which names its folder under `supervisors/`.
    pub program: Digest,
    /// The [`super::record::Assignment`] it works on.
    pub assignment: Uuid,
    /// The settings in force.
    pub supervision: Supervision,
    /// The launch that is running or being tried.
    pub launch: RecordedLaunch,
    /// Whether that is what was assigned or the fallback.
    pub role: Role,
    /// Where things stand.
    pub phase: Phase,
    /// Since when they stand so.
    pub since: Timestamp,
    /// The server, from the moment before it is spawned to the moment its end is known.
    #[serde(default)]
    pub server: Option<Server>,
    /// How long the load took, in seconds, from the bound port to healthy; `None` before.
    #[serde(default)]
    pub load: Option<f64>,
    /// What the server said of its load, once it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<LoadFacts>,
    /// Whether `launch` has stayed healthy for `prove_after`.
    #[serde(default)]
    pub proven: bool,
    /// The last word of the probe after the gate was passed.
    #[serde(default)]
    pub health: Health,
    /// Since when that is its word; `None` in states of earlier versions, and before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_since: Option<Timestamp>,
    /// Restarts since the launch was last proven or newly assigned.
    #[serde(default)]
    pub restarts: Restarts,
    /// The assigned launch, where it failed.
    #[serde(default)]
    pub failed: Option<FailedLaunch>,
    /// Keys of a later version, kept as they were.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl State {
    /// The hash of the launch that is running or being tried.
    pub fn runs(&self) -> Fingerprint {
        self.launch.fingerprint()
    }
}

/// Which of an assignment's two launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The launch itself.
    Wanted,
    /// The one that replaces it after it failed.
    Fallback,
}

/// Where a supervisor stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Phase {
    /// Waits for the supervisor and server before it to end.
    TakingOver,
    /// The server is spawned or about to be, and its gate is not decided.
    Starting {
        /// When its port was first seen bound.
        #[serde(default)]
        bound: Option<Timestamp>,
    },
    /// The gate was passed and the server lives.
    Running,
    /// The server ended; it is started again at a time.
    BackingOff {
        /// When.
        until: Timestamp,
    },
    /// The server ended and is not started again: too often, or the policy says so.
    GaveUp {
        /// Why it ended the last time.
        failure: Failure,
    },
    /// The gate failed and there is nothing to fall back to. Where [`State::server`] is known, it was
    /// left running as it is (`rollout.on_failure: leave`).
    Failed,
    /// The server is being ended.
    Stopping,
    /// The server was ended on request.
    Stopped,
    /// The server would not end, even by SIGKILL, or nobody knows who holds its lock; no successor
    /// may start.
    StopFailed {
        /// What stands in the way.
        reason: String,
    },
}

/// A server process, known before and after its spawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// A random text in the server's environment, written down before the spawn, so that a server
    /// whose supervisor died between spawn and record is found again.
    pub nonce: Uuid,
    /// The process, once it is spawned.
    #[serde(default)]
    pub process: Option<ProcessIdentity>,
    /// When it was spawned.
    pub spawned: Timestamp,
    /// Whether this supervisor is not its parent, so that how it ends may stay unknown.
    #[serde(default)]
    pub adopted: bool,
    /// How many bytes its log had when it was spawned; `None` in states of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_offset: Option<u64>,
}

/// The last word of the probe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answers.
    Healthy,
    /// It lives and did not answer `retries` times in a row.
    Unresponsive,
}

/// How often a launch was started again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Restarts in a row, forgotten after `prove_after` of health.
    pub in_a_row: u32,
    /// All restarts of this assignment.
    pub total: u32,
    /// When the last one happened.
    #[serde(default)]
    pub last: Option<Timestamp>,
}

/// Everything in `exit.json`: how the server last ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Version of this file's form.
    pub schema: u32,
    /// How it ended.
    pub exit: Exit,
    /// When that was noticed.
    pub at: Timestamp,
    /// Whether it was asked to.
    pub asked: bool,
    /// How and why, in words, as far as its log told: `exited with code 1: out of memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it ended before it had passed its gate; `false` in records of earlier versions.
    #[serde(default)]
    pub within_gate: bool,
    /// Which launch it was.
    pub fingerprint: Fingerprint,
    /// Keys of a later version, kept as they were.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Unseen: its supervisor had died before it, and the kernel told nobody else.
    Unobserved,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(0) => f.write_str("exited cleanly"),
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was ended by {name}"),
                None => write!(f, "was ended by signal {signal}"),
            },
            Self::Unobserved => f.write_str("ended unobserved"),
        }
    }
}

/// The names of the signals that end servers. Their numbers are those of Linux, and of macOS where it
/// has the same ones.
const fn signal_name(signal: i32) -> Option<&'static str> {
    let linux = !cfg!(target_os = "macos");
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 if linux => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 if !linux => "SIGBUS",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 if linux => "SIGSYS",
        _ => return None,
    })
}
