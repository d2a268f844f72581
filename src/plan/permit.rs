//! What `watch` may do by itself: a plan without the steps that the manifest leaves to a person.

use std::collections::BTreeMap;

use super::Plan;
use super::action::{Action, Hold, HoldReason, Reason, Step, Subject, Switch};
use crate::desired::Desired;
use crate::manifest::Watch;

impl Desired {
    /// The same wish where no person is there: nobody has agreed to remove everything, what its policy
    /// never restarts stays down, and builds are pruned where the manifest says so.
    #[must_use]
    pub fn unattended(mut self, watch: &Watch) -> Self {
        self.attended = false;
        self.allow_empty = false;
        self.retention.prune = watch.prune;
        self
    }
}

impl Plan {
    /// The same plan without the steps that `watch` may not do by itself, which become holds, as do
    /// those that need one of them.
    #[must_use]
    pub fn permitted(self, watch: &Watch) -> Self {
        let mut plan = if watch.remove {
            self
        } else {
            self.without_removals()
        };
        let off = |step: &Step| {
            switch_of(step).filter(|switch| match switch {
                Switch::Install => !watch.install,
                Switch::Restart => !watch.restart,
                Switch::Heal => !watch.heal,
            })
        };
        let mut waiting: BTreeMap<Subject, Switch> = BTreeMap::new();
        for step in &plan.steps {
            let subject = step.action.subject();
            if let Some(switch) = off(step)
                && !waiting.contains_key(&subject)
            {
                waiting.insert(subject.clone(), switch);
                plan.holds.push(Hold {
                    subject,
                    why: HoldReason::NotByItself(switch),
                    until: None,
                });
            }
        }
        plan.keep_steps_because(
            |step| off(step).is_none(),
            |step, needs| {
                let subject = step.action.subject();
                // Its own step that is left out says more than another's.
                if let Some(switch) = waiting.get(&subject) {
                    return HoldReason::NotByItself(*switch);
                }
                match waiting.get(needs).copied() {
                    Some(switch) => {
                        let needs = needs.clone();
                        waiting.insert(subject, switch);
                        HoldReason::NeedsPerson { needs, switch }
                    }
                    None => HoldReason::LeftOut(needs.clone()),
                }
            },
        );
        plan
    }
}

/// What has to be switched on for a step; `None` where it is always permitted, or is a removal, to
/// which a person consents in another way.
const fn switch_of(step: &Step) -> Option<Switch> {
    match &step.action {
        Action::Install(_) => match step.reason {
            Reason::Damaged { .. } => Some(Switch::Heal),
            Reason::NotInstalled { .. }
            | Reason::NotFetched(_)
            | Reason::NotRunning
            | Reason::Crashed(_)
            | Reason::NotRestarted(_)
            | Reason::Drift { .. }
            | Reason::RolledBack { .. }
            | Reason::Settings(_)
            | Reason::Unsupervised
            | Reason::FallsBack(_)
            | Reason::AskedFor { .. }
            | Reason::TriedAgain
            | Reason::NoLongerWanted
            | Reason::PutDown(_)
            | Reason::Disabled
            | Reason::SwapsPort
            | Reason::Unused => Some(Switch::Install),
        },
        Action::Fetch(_) => Some(Switch::Install),
        Action::Start(_) => match step.reason {
            Reason::NotRunning => None,
            Reason::Crashed(_) | Reason::FallsBack(_) | Reason::NotRestarted(_) => {
                Some(Switch::Heal)
            }
            // The second half of a restart: the first has made way for another.
            Reason::NotInstalled { .. }
            | Reason::Damaged { .. }
            | Reason::NotFetched(_)
            | Reason::Drift { .. }
            | Reason::RolledBack { .. }
            | Reason::Settings(_)
            | Reason::Unsupervised
            | Reason::AskedFor { .. }
            | Reason::TriedAgain
            | Reason::NoLongerWanted
            | Reason::PutDown(_)
            | Reason::Disabled
            | Reason::SwapsPort
            | Reason::Unused => Some(Switch::Restart),
        },
        Action::Replace(_) => Some(Switch::Restart),
        Action::Update(update) => {
            if update.adopt {
                Some(Switch::Heal)
            } else {
                None
            }
        }
        Action::Stop(_) => match step.reason {
            Reason::PutDown(_) => None,
            Reason::NotInstalled { .. }
            | Reason::Damaged { .. }
            | Reason::NotFetched(_)
            | Reason::NotRunning
            | Reason::Crashed(_)
            | Reason::NotRestarted(_)
            | Reason::Drift { .. }
            | Reason::RolledBack { .. }
            | Reason::Settings(_)
            | Reason::Unsupervised
            | Reason::FallsBack(_)
            | Reason::AskedFor { .. }
            | Reason::TriedAgain
            | Reason::NoLongerWanted
            | Reason::Disabled
            | Reason::SwapsPort
            | Reason::Unused => Some(Switch::Restart),
        },
        Action::Remove(_) | Action::Prune(_) => None,
    }
}
