//! How long a server is given to finish its open requests before it ends. Waiting is left to the
//! backend.

use std::time::Duration;

use super::Plan;
use crate::instance::Supervision;
use crate::instance::state::Health;
use crate::observed::{ObservedInstance, Verdict};

impl Plan {
    /// The same plan, waiting for no open requests of the servers it ends.
    #[must_use]
    pub fn without_drain(mut self) -> Self {
        for step in &mut self.steps {
            step.action.forget_drain();
        }
        self
    }
}

/// How long the server of an instance is given to finish its open requests before it ends: one that
/// has not passed its gate, or does not answer, has none worth waiting for.
pub(super) fn drain_of(seen: &ObservedInstance, supervision: &Supervision) -> Option<Duration> {
    let server = seen.server.known()?.as_ref()?;
    let is_up = server.verdict == Verdict::Passed && server.health != Health::Unresponsive;
    supervision.drain.filter(|_| is_up)
}
