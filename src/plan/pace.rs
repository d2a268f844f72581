//! The pace of changes across passes: what an earlier pass has begun counts for this one.

use std::collections::BTreeSet;

use super::Plan;
use super::action::{Action, Hold, HoldReason, Step, StepId, Subject};
use crate::instance::InstanceName;
use crate::observed::{Observed, Seen, Verdict};

impl Plan {
    /// The same plan with the restarts on hold that would make more than `max_parallel` instances change
    /// at a time, those counted that start already. One that starts is no reason to hold its own restart:
    /// that may be what mends it.
    #[must_use]
    pub fn paced(mut self) -> Self {
        let Some(first) = self.underway.first().cloned() else {
            return self;
        };
        let mut room = self.limits.max_parallel.saturating_sub(self.underway.len());
        let mut held: BTreeSet<StepId> = BTreeSet::new();
        for step in &self.steps {
            let Some(name) = replaces(step).filter(|name| !self.underway.contains(*name)) else {
                continue;
            };
            if room > 0 {
                room -= 1;
                continue;
            }
            held.insert(step.id);
            self.holds.push(Hold {
                subject: Subject::Instance(name.clone()),
                why: HoldReason::AfterAnother(first.clone()),
                until: None,
            });
        }
        self.keep_steps_because(
            |step| !held.contains(&step.id),
            |_, _| HoldReason::AfterAnother(first.clone()),
        );
        self
    }
}

fn replaces(step: &Step) -> Option<&InstanceName> {
    match &step.action {
        Action::Replace(start) => Some(&start.instance),
        Action::Install(_)
        | Action::Fetch(_)
        | Action::Start(_)
        | Action::Update(_)
        | Action::Stop(_)
        | Action::Remove(_)
        | Action::Prune(_) => None,
    }
}

/// The instances whose gate is not decided, be what they start still wanted or not.
pub(super) fn underway(observed: &Observed) -> BTreeSet<InstanceName> {
    let starts = observed.instances.iter().filter(|(_, seen)| {
        let supervisor = seen.supervisor.known().and_then(Option::as_ref);
        match (supervisor, &seen.server) {
            (_, Seen::Known(Some(server))) => server.verdict == Verdict::Starting,
            // Between its assignment and its server.
            (Some(supervisor), Seen::Known(None)) => supervisor.backing_off.is_none(),
            (None, Seen::Known(None)) | (_, Seen::Unknown(_)) => false,
        }
    });
    starts.map(|(name, _)| name.clone()).collect()
}
