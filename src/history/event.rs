//! What the history says one by one: each step of each pass, and each notice.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Entry, StepEntry};
use crate::watch::notice::Notice;

/// The number in `schema` of an [`Event`].
pub(super) const EVENT_SCHEMA: u32 = 1;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    /// Version of this form; moves when a field goes or changes meaning.
    pub schema: u32,
    /// When it happened, or when the pass began that it is a step of (RFC 3339).
    pub at: String,
    /// Which kind.
    pub kind: EventKind,
    /// What asked for the pass: `apply`, `up`, `watch`.
    pub verb: String,
    /// What it is about: an instance, a build, or what a notice is about. None of a pass as a whole.
    pub subject: Option<String>,
    /// The step; `null` where it is none.
    pub step: Option<StepEntry>,
    /// The notice; `null` where it is none.
    pub notice: Option<Notice>,
    /// What happened, in one line.
    pub text: String,
}

/// Which kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A step of a pass.
    Step,
    /// Something that people were told.
    Notice,
    /// A pass that failed or was interrupted before any step.
    Pass,
}

impl Event {
    /// What an entry says one by one, in order.
    pub fn all_of(entry: &Entry) -> Vec<Self> {
        let steps = entry.steps.iter().map(|step| Self::of_step(entry, step));
        let notices = entry.notices.iter();
        let notices = notices.map(|notice| Self::of_notice(entry, notice));
        let mut events: Vec<Self> = steps.chain(notices).collect();
        if events.is_empty() && !entry.succeeded {
            events.push(Self::of_pass(entry));
        }
        events
    }

    /// What is done, in one word.
    pub fn word(&self) -> &str {
        match (&self.step, self.kind) {
            (Some(step), _) => &step.action,
            (None, EventKind::Notice) => "notice",
            (None, EventKind::Step | EventKind::Pass) => &self.verb,
        }
    }

    fn of_step(entry: &Entry, step: &StepEntry) -> Self {
        let outcome = step.outcome.replace('_', " ");
        let took = step.seconds.map(|seconds| format!(" in {seconds:.1} s"));
        let why = step.error.as_ref().unwrap_or(&step.reason);
        let gap = if why.is_empty() { "" } else { ": " };
        Self {
            kind: EventKind::Step,
            subject: Some(step.subject.clone()),
            step: Some(step.clone()),
            text: format!("{outcome}{}{gap}{why}", took.unwrap_or_default()),
            ..Self::of_pass(entry)
        }
    }

    fn of_notice(entry: &Entry, notice: &Notice) -> Self {
        Self {
            at: notice.at.clone(),
            kind: EventKind::Notice,
            subject: Some(notice.subject.clone()),
            notice: Some(notice.clone()),
            text: notice.without_subject().to_owned(),
            ..Self::of_pass(entry)
        }
    }

    fn of_pass(entry: &Entry) -> Self {
        let ended = if entry.interrupted {
            "interrupted"
        } else {
            "failed"
        };
        let reason = entry.reason.as_ref().map(|reason| format!(": {reason}"));
        Self {
            schema: EVENT_SCHEMA,
            at: entry.at.clone(),
            kind: EventKind::Pass,
            verb: entry.verb.clone(),
            subject: None,
            step: None,
            notice: None,
            text: format!(
                "{ended} after {:.1} s{}",
                entry.seconds,
                reason.unwrap_or_default()
            ),
        }
    }
}
