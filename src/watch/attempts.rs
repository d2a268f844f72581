//! What was tried and failed, so that it is not tried over and over: again when its inputs change, or
//! after a time.
//!
//! A launch that fails its gate is on record with its instance and is no matter of this. Nothing here is
//! stored: a watch that begins anew tries once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::manifest::Source;
use crate::plan::Plan;
use crate::plan::action::{Action, HoldReason, Step, Subject};

/// The steps that failed last time they were tried.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    failed: BTreeMap<Key, Attempt>,
    /// Where builds were to be had from.
    source: Option<Source>,
}

/// What makes a step the same as one that was tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    verb: &'static str,
    subject: Subject,
    inputs: String,
}

#[derive(Debug, Clone)]
struct Attempt {
    at: Timestamp,
    why: String,
}

impl Attempts {
    /// Notes what became of steps that were tried, with how those failed that did. A step that was given
    /// up for a person's wish, or of which it turned out that things have changed since they were seen,
    /// was not tried.
    pub fn note<'a>(
        &mut self,
        outcomes: impl IntoIterator<Item = (&'a Step, Option<String>)>,
        now: Timestamp,
    ) {
        for (step, failed) in outcomes {
            let key = Key::of(step);
            match failed {
                Some(why) => {
                    // One with other inputs is another one, whose turn may never come again.
                    self.failed.retain(|known, _| {
                        (known.verb, &known.subject) != (key.verb, &key.subject)
                    });
                    self.failed.insert(key, Attempt { at: now, why });
                }
                None => drop(self.failed.remove(&key)),
            }
        }
    }

    /// The plan without the steps that failed less than `retry_interval` ago, which become holds. What
    /// the plan does not mention is forgotten, so it has to be all that is to be done.
    #[must_use]
    pub fn held_back(&mut self, plan: Plan, now: Timestamp, retry_interval: Duration) -> Plan {
        let mentioned: BTreeSet<Key> = plan.steps().iter().map(Key::of).collect();
        // What only waits, for its turn or for what runs in its stead, is still to be done.
        let waits = |why: &HoldReason| {
            matches!(
                why,
                HoldReason::AfterAnother(_)
                    | HoldReason::Starting { .. }
                    | HoldReason::BackingOff { .. }
                    | HoldReason::Locked(_)
                    | HoldReason::Unresponsive
                    | HoldReason::Unseen(_)
            )
        };
        let waiting: BTreeSet<&Subject> = plan
            .holds()
            .iter()
            .filter(|hold| waits(&hold.why))
            .map(|hold| &hold.subject)
            .collect();
        self.failed
            .retain(|key, _| mentioned.contains(key) || waiting.contains(&key.subject));
        plan.without_tried(
            |step| {
                let attempt = self.failed.get(&Key::of(step))?;
                let until = until(attempt.at, now, retry_interval)?;
                Some((attempt.why.clone(), until))
            },
            now,
        )
    }

    /// Forgets what could not be had from another source than this.
    pub fn from_source(&mut self, source: &Source) {
        if self.source.as_ref() != Some(source) {
            self.failed
                .retain(|key, _| !matches!(key.verb, "install" | "fetch"));
            self.source = Some(source.clone());
        }
    }

    /// How many failures are remembered.
    pub fn len(&self) -> usize {
        self.failed.len()
    }

    /// Whether nothing is remembered to have failed.
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }
}

/// When an interval is over that began then; `None` where it is, or the clock was set back since.
fn until(began: Timestamp, now: Timestamp, interval: Duration) -> Option<Timestamp> {
    let until = began.checked_add(interval).unwrap_or(Timestamp::MAX);
    (began <= now && now < until).then_some(until)
}

impl Key {
    fn of(step: &Step) -> Self {
        let inputs = match &step.action {
            // The id of a build that is not there is another one in each pass.
            Action::Install(binary) => {
                let archives = binary.archives.iter();
                let archives: Vec<String> = archives
                    .map(|archive| format!("{} {}", archive.name, archive.digest))
                    .collect();
                archives.join(", ")
            }
            // A gate that is given more time is worth another try.
            Action::Start(start) | Action::Replace(start) => {
                let launch = start.launch.launch().fingerprint();
                format!("{launch} {:?}", start.supervision)
            }
            Action::Update(update) => format!("{:?}", update.supervision),
            Action::Fetch(fetch) => fetch.launch.fingerprint().to_string(),
            Action::Stop(_) | Action::Remove(_) | Action::Prune(_) => step.reason.code().to_owned(),
        };
        let verb = match &step.action {
            // Whether another one runs in its stead makes it no other launch.
            Action::Replace(_) => "start",
            action => action.verb(),
        };
        Self {
            verb,
            subject: step.action.subject(),
            inputs,
        }
    }
}

#[cfg(test)]
mod tests;
