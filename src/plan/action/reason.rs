//! Why a step is done.

use std::fmt;

use super::Bytes;
use crate::instance::Change;
use crate::instance::record::Failure;
use crate::instance::state::Exit;
use crate::release::BuildName;

/// Why a step is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The build is not there.
    NotInstalled {
        /// Bytes to fetch, where known.
        download: Option<u64>,
    },
    /// The build is there and cannot be used.
    Damaged {
        /// What is wrong with it.
        why: String,
        /// Bytes to fetch, where known.
        download: Option<u64>,
    },
    /// What its model is called, where it was not fetched before.
    NotFetched(Vec<String>),
    /// The instance has never run, or was ended on request.
    NotRunning,
    /// Its server ended by itself and nobody starts it again.
    Crashed(Exit),
    /// Its server ended, its policy restarts it never, and a person asks for it now.
    NotRestarted(String),
    /// What runs differs from what is wanted.
    Drift {
        /// In what.
        changes: Vec<Change>,
        /// Seconds the last load took.
        last_load: Option<f64>,
    },
    /// A person rolled it back, and what runs is something else.
    RolledBack {
        /// The build it goes back to.
        build: BuildName,
        /// In what that differs from what runs.
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
    /// A person asked for it, although nothing has changed.
    AskedFor {
        /// Why, where they said so.
        why: Option<String>,
        /// Seconds the last load took.
        last_load: Option<f64>,
    },
    /// What runs had failed its gate and was left, and that is forgotten.
    TriedAgain,
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
            Self::Damaged {
                why,
                download: Some(bytes),
            } => write!(f, "damaged: {why}; {} download", Bytes(*bytes)),
            Self::Damaged {
                why,
                download: None,
            } => write!(f, "damaged: {why}"),
            Self::NotFetched(names) => write!(f, "model {}", names.join(", ")),
            Self::NotRunning => f.write_str("not running"),
            Self::Crashed(exit) => write!(f, "not running: it {exit}"),
            Self::NotRestarted(why) => write!(
                f,
                "not running: it {why}; `restart_policy.enabled` is false, `apply` starts it"
            ),
            Self::Drift { changes, last_load } => {
                f.write_str(&summary(changes))?;
                write_downtime(f, *last_load)
            }
            Self::RolledBack {
                build,
                changes,
                last_load,
            } => {
                write!(f, "rolled back to {build}: {}", summary(changes))?;
                write_downtime(f, *last_load)
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
            Self::AskedFor { why, last_load } => {
                f.write_str("asked for")?;
                if let Some(why) = why {
                    write!(f, ": {why}")?;
                }
                write_downtime(f, *last_load)
            }
            Self::TriedAgain => {
                f.write_str("tried again: it had failed its gate and was left running")
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

fn write_downtime(f: &mut fmt::Formatter<'_>, last_load: Option<f64>) -> fmt::Result {
    match last_load {
        Some(load) => {
            let down = load.max(1.0);
            write!(f, "; about {down:.0} s down (last load {load:.1} s)")
        }
        None => f.write_str("; down while it loads"),
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
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Some(other.to_string()),
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

impl Reason {
    /// The changes behind a restart, for a diff.
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::Drift { changes, .. } | Self::RolledBack { changes, .. } => changes,
            Self::NotInstalled { .. }
            | Self::Damaged { .. }
            | Self::NotFetched(_)
            | Self::NotRunning
            | Self::Crashed(_)
            | Self::NotRestarted(_)
            | Self::Settings(_)
            | Self::Unsupervised
            | Self::FallsBack(_)
            | Self::AskedFor { .. }
            | Self::TriedAgain
            | Self::NoLongerWanted
            | Self::PutDown(_)
            | Self::Disabled
            | Self::SwapsPort
            | Self::Unused => &[],
        }
    }

    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotInstalled { .. } => "not_installed",
            Self::Damaged { .. } => "damaged",
            Self::NotFetched(_) => "not_fetched",
            Self::NotRunning => "not_running",
            Self::Crashed(_) => "crashed",
            Self::NotRestarted(_) => "not_restarted",
            Self::Drift { .. } => "drift",
            Self::RolledBack { .. } => "rolled_back",
            Self::Settings(_) => "settings",
            Self::Unsupervised => "unsupervised",
            Self::FallsBack(_) => "falls_back",
            Self::AskedFor { .. } => "asked_for",
            Self::TriedAgain => "tried_again",
            Self::NoLongerWanted => "no_longer_wanted",
            Self::PutDown(_) => "put_down",
            Self::Disabled => "disabled",
            Self::SwapsPort => "swaps_port",
            Self::Unused => "unused",
        }
    }
}
