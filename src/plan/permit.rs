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
    let cause = Cause::of(&step.reason);
    match (&step.action, cause) {
        (Action::Install(_) | Action::Start(_), Cause::Harm) => Some(Switch::Heal),
        (Action::Install(_) | Action::Fetch(_), _) => Some(Switch::Install),
        (Action::Start(_), Cause::New) | (Action::Stop(_), Cause::Person) => None,
        // A start that is the second half of a restart: the first has made way for another.
        (Action::Start(_) | Action::Replace(_) | Action::Stop(_), _) => Some(Switch::Restart),
        (Action::Update(update), _) if update.adopt => Some(Switch::Heal),
        (Action::Update(_) | Action::Remove(_) | Action::Prune(_), _) => None,
    }
}

/// What is behind a reason, as far as the switches tell it apart.
#[derive(Clone, Copy)]
enum Cause {
    /// Something that was well has come to harm.
    Harm,
    /// A person said so, on this machine.
    Person,
    /// It is wanted and was not there.
    New,
    /// Something is wanted otherwise than it is.
    Change,
}

impl Cause {
    const fn of(reason: &Reason) -> Self {
        match reason {
            Reason::Damaged { .. }
            | Reason::Crashed(_)
            | Reason::NotRestarted(_)
            | Reason::FallsBack(_)
            | Reason::Unsupervised => Self::Harm,
            Reason::PutDown(_) => Self::Person,
            Reason::NotRunning | Reason::NotInstalled { .. } | Reason::NotFetched(_) => Self::New,
            Reason::Drift { .. }
            | Reason::RolledBack { .. }
            | Reason::Settings(_)
            | Reason::AskedFor { .. }
            | Reason::TriedAgain
            | Reason::NoLongerWanted
            | Reason::Disabled
            | Reason::SwapsPort
            | Reason::Unused => Self::Change,
        }
    }
}
