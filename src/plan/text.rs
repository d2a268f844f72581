//! A plan as the lines people read. Plain: colour is the terminal's business.

use std::fmt;

use serde_json::Value;

use super::Plan;
use super::action::{Action, Bytes};
use crate::instance::Change;

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The sign that says the same as the colour.
    pub rune: &'static str,
    /// What is done, or why not.
    pub verb: &'static str,
    /// What it is about.
    pub subject: String,
    /// The reason.
    pub detail: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rune,
            verb,
            subject,
            detail,
        } = self;
        write!(f, "{rune:>3} {verb:<8} {subject:<23} {detail}")
    }
}

impl Plan {
    /// Everything the plan says: steps, then holds, blockers, warnings and unused builds.
    pub fn lines(&self) -> Vec<Line> {
        let steps = self.steps.iter().map(|step| Line {
            rune: step.action.rune(),
            verb: step.action.verb(),
            subject: step.action.subject().to_string(),
            detail: match &step.action {
                Action::Prune(prune) => format!("{}, {}", Bytes(prune.size), step.reason),
                Action::Install(_)
                | Action::Fetch(_)
                | Action::Start(_)
                | Action::Replace(_)
                | Action::Update(_)
                | Action::Stop(_)
                | Action::Remove(_) => step.text(),
            },
        });
        let holds = self.holds.iter().map(|hold| Line {
            rune: "!",
            verb: "hold",
            subject: hold.subject.to_string(),
            detail: hold.text(),
        });
        let blockers = self.blockers.iter().map(|blocker| Line {
            rune: "x",
            verb: "blocked",
            subject: blocker.subject.to_string(),
            detail: blocker.why.to_string(),
        });
        let warnings = self.warnings.iter().map(|warning| Line {
            rune: "?",
            verb: "warning",
            subject: warning.subject.to_string(),
            detail: warning.why.to_string(),
        });
        let unused = self.unused.iter().map(|unused| Line {
            rune: ".",
            verb: "unused",
            subject: unused.subject.to_string(),
            detail: format!("{}; `apply --prune` removes it", Bytes(unused.size)),
        });
        steps
            .chain(holds)
            .chain(blockers)
            .chain(warnings)
            .chain(unused)
            .collect()
    }

    /// How many of each: `Plan: 1 to install, 1 to restart; 1 held.` `None` when there is nothing
    /// to count.
    pub fn summary(&self) -> Option<String> {
        const VERBS: [&str; 8] = [
            "install", "fetch", "restart", "update", "stop", "start", "remove", "prune",
        ];
        let steps: Vec<String> = VERBS
            .iter()
            .filter_map(|verb| {
                let count = self
                    .steps
                    .iter()
                    .filter(|step| step.action.verb() == *verb)
                    .count();
                (count > 0).then(|| format!("{count} to {verb}"))
            })
            .collect();
        let left: Vec<String> = [(self.holds.len(), "held"), (self.blockers.len(), "blocked")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let steps = if steps.is_empty() {
            "nothing to do".to_owned()
        } else {
            steps.join(", ")
        };
        match (self.steps.is_empty(), left.is_empty()) {
            (true, true) => None,
            (_, true) => Some(format!("Plan: {steps}.")),
            (_, false) => Some(format!("Plan: {steps}; {}.", left.join(", "))),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "{line}")?;
        }
        let gap = if self.lines().is_empty() { "" } else { "\n" };
        let end = self.summary();
        let end = end
            .as_deref()
            .unwrap_or("Nothing to do: everything is as orchestrator.yaml says.");
        write!(f, "{gap}{end}")
    }
}

/// The changes of a step as two texts of the same shape, old and new, for a diff.
pub fn change_texts(changes: &[Change]) -> (String, String) {
    let side = |value: &dyn Fn(&Change) -> Option<Value>| {
        changes
            .iter()
            .filter_map(|change| {
                let value = value(change)?;
                Some(match value {
                    // One argument a line, so that one that moved is one line of the diff.
                    Value::Array(items) => items
                        .iter()
                        .fold(format!("{}:\n", change.field), |text, item| {
                            text + &format!("  - {}\n", scalar(item))
                        }),
                    Value::Object(fields) => fields
                        .iter()
                        .fold(format!("{}:\n", change.field), |text, (key, item)| {
                            text + &format!("  {key}: {}\n", scalar(item))
                        }),
                    other
                    @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                        format!("{}: {}\n", change.field, scalar(&other))
                    }
                })
            })
            .collect::<String>()
    };
    (
        side(&|change| change.from.clone()),
        side(&|change| change.to.clone()),
    )
}

fn scalar(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
