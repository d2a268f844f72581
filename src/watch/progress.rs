//! What a pass is at: kept for whoever looks, and handed on to whoever tells it as it happens.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::snapshot::Doing;
use crate::apply::{Events, Outcome};
use crate::backend::ActionError;
use crate::history::{self, StepEntry};
use crate::plan::action::{Step, StepId};

/// The steps of one pass, as they come and go.
pub(super) struct Progress<'a> {
    told: &'a dyn Events,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    doing: BTreeMap<StepId, Doing>,
    entries: BTreeMap<StepId, StepEntry>,
    received: BTreeMap<StepId, u64>,
    tried: Vec<(Step, Option<String>)>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(told: &'a dyn Events) -> Self {
        Self {
            told,
            kept: Mutex::new(Kept::default()),
        }
    }

    /// The steps that are being done.
    pub(super) fn doing(&self) -> Vec<Doing> {
        self.kept().doing.values().cloned().collect()
    }

    /// What is to be said of the steps that have begun, should nobody wait for the rest.
    pub(super) fn entries(&self) -> Vec<StepEntry> {
        self.kept().entries.values().cloned().collect()
    }

    /// The steps that were tried to their end, with how those failed that did.
    pub(super) fn tried(&self) -> Vec<(Step, Option<String>)> {
        self.kept().tried.clone()
    }

    /// Bytes of archives that have come.
    pub(super) fn received(&self) -> u64 {
        self.kept().received.values().sum()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events for Progress<'_> {
    fn started(&self, step: &Step) {
        let mut kept = self.kept();
        kept.entries.insert(step.id, StepEntry::interrupted(step));
        let doing = Doing {
            action: step.action.verb().to_owned(),
            subject: step.action.subject().to_string(),
            reason: step.reason.to_string(),
            phase: None,
            received_bytes: None,
            total_bytes: None,
        };
        kept.doing.insert(step.id, doing);
        drop(kept);
        self.told.started(step);
    }

    fn received(&self, step: &Step, bytes: u64, total: Option<u64>) {
        let mut kept = self.kept();
        kept.received.insert(step.id, bytes);
        if let Some(doing) = kept.doing.get_mut(&step.id) {
            doing.received_bytes = Some(bytes);
            doing.total_bytes = total;
        }
        drop(kept);
        self.told.received(step, bytes, total);
    }

    fn phase(&self, step: &Step, phase: &str) {
        if let Some(doing) = self.kept().doing.get_mut(&step.id) {
            doing.phase = Some(phase.to_owned());
        }
        self.told.phase(step, phase);
    }

    fn remark(&self, step: &Step, remark: &str) {
        self.told.remark(step, remark);
    }

    fn ended(&self, step: &Step, outcome: &Outcome) {
        let mut kept = self.kept();
        kept.doing.remove(&step.id);
        kept.entries.insert(step.id, StepEntry::of(step, outcome));
        if was_tried(outcome) {
            kept.tried.push((step.clone(), why_failed(outcome)));
        }
        drop(kept);
        self.told.ended(step, outcome);
    }
}

/// Whether an outcome says anything of trying again.
const fn was_tried(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed(
            ActionError::Stale(_) | ActionError::PutDown(_) | ActionError::Suspended(_),
        )
        | Outcome::Skipped { .. }
        | Outcome::GivenUp(_) => false,
        // A gate that failed for good is on record and planned no more; one that failed for a cause that may pass
        // would be tried without end, each time at the cost of what runs in its stead.
        Outcome::Done { .. }
        | Outcome::Failed(ActionError::Failed { .. } | ActionError::GateFailed { .. }) => true,
    }
}

fn why_failed(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed(error) => Some(history::chain(error)),
        Outcome::Done { .. } | Outcome::Skipped { .. } | Outcome::GivenUp(_) => None,
    }
}
