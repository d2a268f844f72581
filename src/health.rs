//! What `health` shows: how each server answers right now, made from its state and its answer.
//!
//! Pure; asking is the business of [`crate::backend::local`]. What supervisors said before is
//! `status`'s.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::instance::state::{Phase, State};

/// The number in `format_version`.
pub const FORMAT_VERSION: u32 = 1;

/// The health of several instances at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Health {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// When it was asked (RFC 3339).
    pub at: String,
    /// Whether every instance that was asked for is well.
    pub healthy: bool,
    /// One entry each, by name.
    pub instances: Vec<Checkup>,
}

/// How one server answers.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Checkup {
    /// The instance.
    pub name: String,
    /// How it is.
    pub health: Word,
    /// Milliseconds its answer took; `null` where there was none.
    pub latency_ms: Option<f64>,
    /// The build that was asked.
    pub build: Option<String>,
    /// Where it was asked, as `host:port`.
    pub address: Option<String>,
    /// Whether it is down because somebody wants it so.
    pub meant: bool,
    /// Why it is not well, or what is not known.
    pub reason: Option<String>,
}

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It answers as its `healthcheck` expects.
    Healthy,
    /// It does, and has put its model out of memory until a request comes.
    Sleeping,
    /// It loads its model, or does not listen yet.
    Loading,
    /// It lives, and answers wrongly or not at all.
    Unresponsive,
    /// It does not run.
    Down,
    /// Nobody knows.
    Unknown,
}

impl Word {
    /// The word people read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Sleeping => "sleeping",
            Self::Loading => "loading",
            Self::Unresponsive => "unresponsive",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it would serve a request.
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Healthy | Self::Sleeping)
    }
}

/// What came of asking a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// It answered as expected, after so long.
    Well {
        /// How long the answer took.
        latency: Duration,
        /// Whether it sleeps, where it says so.
        sleeps: bool,
    },
    /// It answered, and says that it loads its model.
    Loads(Duration),
    /// It did not answer as expected, for this reason.
    Unwell {
        /// How long the answer took; `None` where there was none.
        latency: Option<Duration>,
        /// What is wrong.
        why: String,
    },
}

impl Checkup {
    /// A server that was asked.
    pub(crate) fn asked(name: &str, state: &State, asked: Asked) -> Self {
        let starts = matches!(state.phase, Phase::Starting { .. } | Phase::TakingOver);
        let launch = &state.launch.launch;
        let (health, latency, reason) = match asked {
            Asked::Well { latency, sleeps } => {
                let health = if sleeps {
                    Word::Sleeping
                } else {
                    Word::Healthy
                };
                (health, Some(latency), None)
            }
            Asked::Loads(latency) => (Word::Loading, Some(latency), None),
            Asked::Unwell { latency, why } if starts => (Word::Loading, latency, Some(why)),
            Asked::Unwell { latency, why } => (Word::Unresponsive, latency, Some(why)),
        };
        Self {
            latency_ms: latency.map(|latency| latency.as_secs_f64() * 1000.0),
            build: Some(launch.build.to_string()),
            address: Some(crate::status::address(&launch.host, launch.port)),
            reason,
            ..Self::unasked(name, health)
        }
    }

    /// A server that was not asked.
    pub(crate) fn unasked(name: &str, health: Word) -> Self {
        Self {
            name: name.to_owned(),
            health,
            latency_ms: None,
            build: None,
            address: None,
            meant: false,
            reason: None,
        }
    }
}

impl Health {
    /// The health of these instances. One that is down on purpose counts only where it was asked for
    /// by name.
    pub fn of(at: jiff::Timestamp, instances: Vec<Checkup>, by_name: bool) -> Self {
        let well = |one: &Checkup| one.health.is_well() || (one.meant && !by_name);
        Self {
            format_version: FORMAT_VERSION,
            at: at.to_string(),
            healthy: instances.iter().all(well),
            instances,
        }
    }
}

/// The JSON Schema of [`Health`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Health).to_value()
}
