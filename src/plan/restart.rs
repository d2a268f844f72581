//! Restarts that a person asks for although nothing has changed.

use super::Planner;
use super::action::{Action, PlannedLaunch, Reason, Start};
use super::drain::drain_of;
use super::rollback::Aim;
use crate::instance::InstanceName;
use crate::observed::{Comparison, Memory, ObservedInstance, ObservedServer, Seen, Verdict};

impl Planner<'_> {
    /// Whether a person wants an instance restarted.
    pub(super) fn is_to_restart(&self, name: &InstanceName) -> bool {
        self.desired.restart.contains_key(name)
    }

    /// Restarts a server that runs what it is to run. `false` where there is none or nobody asked for
    /// that. A gate that fails is followed by what follows any other start of this launch.
    pub(super) fn restart_as_it_is(
        &mut self,
        name: &InstanceName,
        aim: Aim<'_>,
        seen: &ObservedInstance,
        memory: &Memory,
    ) -> bool {
        let Seen::Known(Some(server)) = &seen.server else {
            return false;
        };
        // What has failed is not tried again unless that is what was asked for.
        if !self.is_to_restart(name)
            || seen.comparison != Comparison::Match
            || server.verdict == Verdict::Failed
        {
            return false;
        }
        let start = Start {
            drain: drain_of(seen, &aim.wanted.supervision),
            anew: true,
            ..self.start_of(name, aim, seen, memory, None)
        };
        let reason = self.asked_for(name, server, memory);
        self.try_start(name, Action::Replace(Box::new(start)), reason, seen);
        true
    }

    /// Restarts what runs in the stead of a launch that has failed. `false` where nobody asked for
    /// that, or it has not come up itself.
    pub(super) fn restart_in_its_stead(
        &mut self,
        name: &InstanceName,
        aim: Aim<'_>,
        seen: &ObservedInstance,
        memory: &Memory,
    ) -> bool {
        let Seen::Known(Some(server)) = &seen.server else {
            return false;
        };
        if !self.is_to_restart(name) || server.verdict != Verdict::Passed {
            return false;
        }
        let start = Start {
            launch: PlannedLaunch::Proven(Box::new(server.launch.clone())),
            fallback: None,
            drain: drain_of(seen, &aim.wanted.supervision),
            anew: true,
            ..self.start_of(name, aim, seen, memory, None)
        };
        let reason = self.asked_for(name, server, memory);
        self.try_start(name, Action::Replace(Box::new(start)), reason, seen);
        true
    }

    fn asked_for(&self, name: &InstanceName, server: &ObservedServer, memory: &Memory) -> Reason {
        Reason::AskedFor {
            why: self.desired.restart.get(name).cloned().flatten(),
            last_load: server.load.or(memory.last_load),
        }
    }
}
