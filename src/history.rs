//! `history.jsonl`: one line for each pass that carried something out, and for what watch told people.
//!
//! Several processes append to it. How it is turned over is in `rotation`, how its files are read as one while
//! that goes on in `files`, and how one goes on reading in `follow`.

mod event;
mod files;
mod follow;
mod rotation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::apply::{Outcome, Report};
use crate::durable::FileError;
use crate::plan::action::Step;
use crate::root::Root;
use crate::watch::notice::Notice;

pub use event::{Event, EventKind};
pub use files::{Files, Line};
pub use follow::Follow;
pub use rotation::append;

/// The number in `schema` that this version writes.
pub const SCHEMA: u32 = 1;

/// One pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Version of this form.
    pub schema: u32,
    /// When it began (RFC 3339).
    pub at: String,
    /// Seconds it took.
    pub seconds: f64,
    /// What asked for it: `apply`, `up`, `down`.
    pub verb: String,
    /// Why, where the person who asked for it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether every step was done.
    pub succeeded: bool,
    /// Whether it was interrupted by a person before all of it was done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// What was done, in the order it ended.
    pub steps: Vec<StepEntry>,
    /// Whom it concerned was told this, where watch had something to tell; such an entry is no pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
}

/// What asks for a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The verb.
    pub verb: &'a str,
    /// Why, where the person said so.
    pub reason: Option<&'a str>,
}

impl<'a> From<&'a str> for Asked<'a> {
    fn from(verb: &'a str) -> Self {
        Self { verb, reason: None }
    }
}

/// One step of a pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepEntry {
    /// `install`, `restart`, `start` and so on.
    pub action: String,
    /// What it was about.
    pub subject: String,
    /// Why it was done.
    pub reason: String,
    /// `done`, `failed`, `skipped`, `given_up` or `interrupted`.
    pub outcome: String,
    /// Seconds it took, where it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StepEntry {
    /// What became of a step.
    pub fn of(step: &Step, outcome: &Outcome) -> Self {
        let (word, seconds, error) = match outcome {
            Outcome::Done { took } => ("done", Some(took.as_secs_f64()), None),
            Outcome::Failed(error) => ("failed", None, Some(chain(error))),
            Outcome::Skipped { because_of } => {
                ("skipped", None, Some(format!("needs {because_of}")))
            }
            Outcome::GivenUp(_) => ("given_up", None, None),
        };
        Self {
            outcome: word.to_owned(),
            seconds,
            error,
            ..Self::interrupted(step)
        }
    }

    /// A step that had begun, and whose end nobody waited for.
    pub fn interrupted(step: &Step) -> Self {
        Self {
            action: step.action.verb().to_owned(),
            subject: step.action.subject().to_string(),
            reason: step.reason.to_string(),
            outcome: "interrupted".to_owned(),
            seconds: None,
            error: None,
        }
    }
}

impl Entry {
    /// What a report says of a pass.
    pub fn of(asked: Asked<'_>, at: Timestamp, took: Duration, report: &Report) -> Self {
        let steps = report.outcomes.iter();
        let steps = steps.map(|(step, outcome)| StepEntry::of(step, outcome));
        Self {
            schema: SCHEMA,
            at: at.to_string(),
            seconds: took.as_secs_f64(),
            verb: asked.verb.to_owned(),
            reason: asked.reason.map(str::to_owned),
            succeeded: report.succeeded(),
            interrupted: false,
            steps: steps.collect(),
            notices: Vec::new(),
        }
    }

    /// What watch told people, beside any pass.
    pub fn noticed(at: Timestamp, notices: Vec<Notice>) -> Self {
        Self {
            notices,
            ..Self::of("watch".into(), at, Duration::ZERO, &Report::default())
        }
    }

    /// A pass that a person interrupted, with the steps that had begun by then.
    pub fn interrupted(
        asked: Asked<'_>,
        at: Timestamp,
        took: Duration,
        steps: Vec<StepEntry>,
    ) -> Self {
        Self {
            succeeded: false,
            interrupted: true,
            steps,
            ..Self::of(asked, at, took, &Report::default())
        }
    }
}

/// An error with its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The passes that are on record, oldest first, and how many lines could not be read (a crash can
/// tear the last one).
pub fn read(root: &Root) -> Result<(Vec<Entry>, usize), FileError> {
    let mut unreadable = 0;
    let mut entries = Vec::new();
    for line in Files::open(root)?.newest_first() {
        match line? {
            Line::Entry(entry) => entries.push(*entry),
            Line::Unreadable => unreadable += 1,
        }
    }
    entries.reverse();
    Ok((entries, unreadable))
}

/// The last `count` entries, oldest first. Reads no more than that takes.
pub fn last(root: &Root, count: usize) -> Result<Vec<Entry>, FileError> {
    let mut entries = Vec::new();
    let files = Files::open(root)?;
    let mut lines = files.newest_first();
    while entries.len() < count
        && let Some(line) = lines.next()
    {
        if let Line::Entry(entry) = line? {
            entries.push(*entry);
        }
    }
    entries.reverse();
    Ok(entries)
}

/// The JSON Schema of an [`Entry`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Entry).to_value()
}

/// The JSON Schema of an [`Event`].
pub fn event_schema() -> serde_json::Value {
    schemars::schema_for!(Event).to_value()
}
