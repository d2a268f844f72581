//! The settings of a supervisor: what a start must pass, what happens when a server ends, how its
//! log is kept.
//!
//! Plain values with their defaults. Acting on them is left to [`super::gate`],
//! [`super::backoff`], [`super::log`] and [`super::supervisor`].

use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::state::PROTOCOL;

/// The request a gate makes once the server says it is healthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// No request.
    #[default]
    None,
    /// One token from `/completion`.
    Completion,
    /// One vector from `/embedding`.
    Embedding,
    /// One score from `/rerank`.
    Rerank,
}

/// How the probe asks a server whether it is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// A request to [`GateSpec::path`].
    #[default]
    Http,
    /// A connection to its port, nothing more.
    Tcp,
    /// A program that ends with code 0 when it is.
    Custom {
        /// The program, relative to the root or absolute.
        script: Utf8PathBuf,
    },
}

/// What is done about a server that passed its gate and stops answering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// It is told of, and left as it is: a long prompt delays answers as well.
    #[default]
    Report,
    /// It is ended, and started again as after a crash.
    Restart,
}

/// What a start must pass. Durations are written as seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateSpec {
    /// How the probe asks.
    pub kind: CheckKind,
    /// The path asked until it answers with one of `expected_status`.
    pub path: String,
    /// HTTP status codes that mean healthy.
    pub expected_status: Vec<u16>,
    /// Text the answer must contain.
    pub expected_body: Option<String>,
    /// Time between two probes once the gate is passed.
    #[serde(with = "seconds")]
    pub interval: Duration,
    /// How long one probe may take.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// How long a server may load, counted from the moment it has bound its port.
    #[serde(with = "seconds")]
    pub start_period: Duration,
    /// Probes that must fail in a row before a server that had passed is called unresponsive.
    pub retries: u32,
    /// What is done then. Supervisors know it from protocol 2 on.
    pub liveness: Liveness,
    /// The request made after `/health`.
    pub probe: ProbeKind,
    /// How long the server must stay up after that.
    #[serde(with = "seconds")]
    pub min_healthy: Duration,
}

impl Default for GateSpec {
    fn default() -> Self {
        Self {
            kind: CheckKind::Http,
            path: "/health".to_owned(),
            expected_status: vec![200],
            expected_body: None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            start_period: Duration::from_mins(1),
            retries: 3,
            liveness: Liveness::Report,
            probe: ProbeKind::None,
            min_healthy: Duration::from_secs(2),
        }
    }
}

/// When and how often a server that ended is started again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// Whether it is started again at all.
    pub enabled: bool,
    /// Starts in a row before giving up. `None`: without end for a proven launch, five for one
    /// that is not proven yet.
    pub max_retries: Option<u32>,
    /// Wait before the first restart.
    #[serde(with = "seconds")]
    pub initial_delay: Duration,
    /// Factor by which the wait grows.
    pub backoff_multiplier: f64,
    /// Longest wait.
    #[serde(with = "seconds")]
    pub max_delay: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            max_retries: None,
            initial_delay: Duration::from_secs(1),
            backoff_multiplier: 2.0,
            max_delay: Duration::from_mins(5),
        }
    }
}

/// When a server's log is turned over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogPolicy {
    /// Size in MiB at which `server.log` is rotated; 0 means never.
    pub max_size_mb: u64,
    /// How many rotated files are kept.
    pub rotation: u32,
}

impl Default for LogPolicy {
    fn default() -> Self {
        Self {
            max_size_mb: 100,
            rotation: 5,
        }
    }
}

/// The settings of a supervisor: they reach it while its server goes on running. Compared field by
/// field after reading, so that fields this version does not know yet never count as a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supervision {
    /// What a start must pass, and the probe afterwards.
    pub gate: GateSpec,
    /// What happens when the server ends by itself.
    pub restart_policy: RestartPolicy,
    /// Rotation of the server's log.
    pub logs: LogPolicy,
    /// Wait between SIGTERM and SIGKILL.
    #[serde(with = "seconds")]
    pub stop_timeout: Duration,
    /// How long a launch must stay healthy to count as proven.
    #[serde(with = "seconds")]
    pub prove_after: Duration,
    /// How long whoever ends a healthy server waits for its open requests; the supervisor only keeps
    /// it for them. `None` waits for nothing.
    #[serde(with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    pub drain: Option<Duration>,
    /// Whether a server that fails its gate alive is left running (`rollout.on_failure: leave`).
    /// Supervisors know it from protocol 2 on.
    pub leave_failed: bool,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            gate: GateSpec::default(),
            restart_policy: RestartPolicy::default(),
            logs: LogPolicy::default(),
            stop_timeout: Duration::from_secs(30),
            prove_after: Duration::from_mins(10),
            drain: None,
            leave_failed: false,
        }
    }
}

impl Supervision {
    /// The manifest fields in which `self`, which a supervisor of `protocol` works by, and `newer`
    /// differ. What such a supervisor does not know is no difference: it could never take it up.
    pub fn changed_fields(&self, newer: &Self, protocol: u32) -> Vec<&'static str> {
        let knows_all = protocol >= 2;
        let gate = GateSpec {
            liveness: if knows_all {
                newer.gate.liveness
            } else {
                self.gate.liveness
            },
            ..newer.gate.clone()
        };
        let mut fields = Vec::new();
        let mut note = |differs: bool, field| {
            if differs {
                fields.push(field);
            }
        };
        note(self.gate != gate, "healthcheck");
        note(
            self.restart_policy != newer.restart_policy,
            "restart_policy",
        );
        note(self.logs != newer.logs, "logs");
        note(self.stop_timeout != newer.stop_timeout, "stop_timeout");
        note(self.prove_after != newer.prove_after, "rollout.prove_after");
        note(knows_all && self.drain != newer.drain, "rollout.drain");
        note(
            knows_all && self.leave_failed != newer.leave_failed,
            "rollout.on_failure",
        );
        fields
    }

    /// The manifest fields in which a supervisor of `protocol` works by other settings than `newer`
    /// and cannot be told: they take effect once it makes way for another.
    pub fn deferred_fields(&self, newer: &Self, protocol: u32) -> Vec<&'static str> {
        let told = self.changed_fields(newer, protocol);
        let mut fields = self.changed_fields(newer, PROTOCOL);
        fields.retain(|field| !told.contains(field));
        fields
    }
}

/// Durations in stored files are numbers of seconds.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// The same, for durations that need not be there.
mod maybe_seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[expect(
        clippy::ref_option,
        reason = "serde hands over a reference to the field"
    )]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_some(&value.as_secs_f64()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(from)?
            .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(D::Error::custom))
            .transpose()
    }
}
