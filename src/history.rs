//! `history.jsonl`: one line for each pass that carried something out, and for what watch told people.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::apply::{Outcome, Report};
use crate::durable::{self, FileError};
use crate::plan::action::Step;
use crate::root::Root;
use crate::watch::notice::Notice;

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

/// Appends a pass.
pub fn append(root: &Root, entry: &Entry) -> Result<(), FileError> {
    let line = serde_json::to_string(entry).map_err(|error| FileError::Write {
        path: root.history(),
        source: error.into(),
    })?;
    durable::append_line(&root.history(), &line)
}

/// The passes that are on record, oldest first, and how many lines could not be read (a crash can
/// tear the last one).
pub fn read(root: &Root) -> Result<(Vec<Entry>, usize), FileError> {
    let text = durable::read_text(&root.history())?.unwrap_or_default();
    let mut unreadable = 0;
    let entries = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .filter_map(|line| {
            let entry = serde_json::from_str(line).ok();
            unreadable += usize::from(entry.is_none());
            entry
        })
        .collect();
    Ok((entries, unreadable))
}

/// The JSON Schema of an [`Entry`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Entry).to_value()
}
