//! A plan with steps left out: because nobody agreed to them, or because only some instances were
//! asked for. What needs a step that is left out is held.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::action::{Action, Ago, Hold, HoldReason, Needs, Reason, Step, StepId, Subject};
use super::{Plan, graph};
use crate::instance::InstanceName;

impl Plan {
    /// The same plan without the removals, which become holds: nobody has agreed to them.
    #[must_use]
    pub fn without_removals(mut self) -> Self {
        let removes = |step: &Step| matches!(step.action, Action::Remove(_));
        let needs_consent: Vec<Hold> = self
            .steps
            .iter()
            .filter(|step| removes(step))
            .map(|step| Hold {
                subject: step.action.subject(),
                why: HoldReason::NeedsConsent,
                until: None,
            })
            .collect();
        self.holds.extend(needs_consent);
        self.keep_steps(|step| !removes(step));
        self
    }

    /// The same plan without the steps that were tried and have failed, as far as it is told how, and
    /// when they are to be tried again. They become holds.
    #[must_use]
    pub(crate) fn without_tried(
        mut self,
        tried: impl Fn(&Step) -> Option<(String, Timestamp)>,
        now: Timestamp,
    ) -> Self {
        let mut held: BTreeSet<StepId> = BTreeSet::new();
        for step in &self.steps {
            if let Some((why, until)) = tried(step) {
                let subject = step.action.subject();
                held.insert(step.id);
                let in_seconds = Ago::between(now, until);
                let why = HoldReason::TriedBefore { why, in_seconds };
                let until = Some(until);
                self.holds.push(Hold {
                    subject,
                    why,
                    until,
                });
            }
        }
        self.keep_steps(|step| !held.contains(&step.id));
        self
    }

    /// The same plan with nothing to start in place of what fails: a rollback by hand is never rolled
    /// back by itself.
    #[must_use]
    pub fn without_fallbacks(mut self) -> Self {
        for step in &mut self.steps {
            if let Action::Start(start) | Action::Replace(start) = &mut step.action {
                start.fallback = None;
            }
        }
        self
    }

    /// Only what concerns these instances, with the installs they need. A step that would need
    /// another instance's step is held.
    #[must_use]
    pub fn narrowed(mut self, names: &BTreeSet<InstanceName>) -> Self {
        let asked = |subject: &Subject| subject.instance().is_some_and(|name| names.contains(name));
        let installs = |step: &Step| matches!(step.action, Action::Install(_));
        self.holds.retain(|hold| asked(&hold.subject));
        self.blockers.retain(|blocker| asked(&blocker.subject));
        self.warnings.retain(|warning| asked(&warning.subject));
        self.unused.clear();
        self.keep_steps(|step| asked(&step.action.subject()) || installs(step));
        let needed: BTreeSet<StepId> = self
            .steps
            .iter()
            .flat_map(|step| step.after.iter().map(|after| after.step))
            .collect();
        self.keep_steps(|step| !installs(step) || needed.contains(&step.id));
        self
    }

    /// Only the prunes, for whoever asked for nothing else. A build is pruned only where nothing that
    /// was seen or is wanted uses it, so none of them needs a step that is left out.
    #[must_use]
    pub fn prunes(mut self) -> Self {
        self.holds.clear();
        self.blockers.clear();
        self.keep_steps(|step| matches!(step.action, Action::Prune(_)));
        self
    }

    /// Drops steps, and those that need the success of a dropped one, which become holds.
    fn keep_steps(&mut self, keep: impl Fn(&Step) -> bool) {
        self.keep_steps_because(keep, |_, needs| HoldReason::LeftOut(needs.clone()));
    }

    /// The same, with what to say of a step that needs one which is dropped. It is asked for each after
    /// those it comes after.
    pub(super) fn keep_steps_because(
        &mut self,
        keep: impl Fn(&Step) -> bool,
        mut because: impl FnMut(&Step, &Subject) -> HoldReason,
    ) {
        let mut dropped: BTreeMap<StepId, Subject> = BTreeMap::new();
        for step in &self.steps {
            if !keep(step) {
                dropped.insert(step.id, step.action.subject());
            }
        }
        // Each round can drop a stop that makes way for a start which is dropped itself, and with it
        // what needed that stop.
        loop {
            let mut stuck: BTreeMap<StepId, (Hold, bool)> = BTreeMap::new();
            for step in self
                .steps
                .iter()
                .filter(|step| !dropped.contains_key(&step.id))
            {
                let other = step
                    .after
                    .iter()
                    .filter(|after| after.needs == Needs::Success)
                    .find_map(|after| match stuck.get(&after.step) {
                        Some((hold, _)) => Some(&hold.subject),
                        None => dropped.get(&after.step),
                    });
                if let Some(other) = other {
                    let subject = step.action.subject();
                    let own = subject == *other;
                    let why = because(step, other);
                    let until = None;
                    let hold = Hold {
                        subject,
                        why,
                        until,
                    };
                    stuck.insert(step.id, (hold, own));
                }
            }
            for (id, (hold, own)) in stuck {
                dropped.insert(id, hold.subject.clone());
                // The steps of one subject are one to whoever reads it.
                let told = self
                    .holds
                    .iter()
                    .any(|other| *other == hold || (own && other.subject == hold.subject));
                if !told {
                    self.holds.push(hold);
                }
            }
            let starts_later = |stop: &Step| {
                self.steps.iter().any(|step| {
                    !dropped.contains_key(&step.id)
                        && matches!(step.action, Action::Start(_))
                        && step.action.subject() == stop.action.subject()
                })
            };
            let idle: Vec<_> = self
                .steps
                .iter()
                .filter(|step| {
                    !dropped.contains_key(&step.id)
                        && step.reason == Reason::SwapsPort
                        && !starts_later(step)
                })
                .map(|step| (step.id, step.action.subject()))
                .collect();
            if idle.is_empty() {
                break;
            }
            dropped.extend(idle);
        }
        let kept = std::mem::take(&mut self.steps)
            .into_iter()
            .filter(|step| !dropped.contains_key(&step.id))
            .collect();
        self.steps = graph::renumber(kept);
        let starts: BTreeSet<Subject> = self
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::Start(_) | Action::Replace(_)))
            .map(|step| step.action.subject())
            .collect();
        self.warnings
            .retain(|warning| starts.contains(&warning.subject));
        self.holds.sort_by(|a, b| a.subject.cmp(&b.subject));
    }
}
