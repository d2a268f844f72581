//! A closer look, for `status` and `describe`: what the system says of the processes that the
//! states name, beside what a pass observes.
//!
//! A state is written by a supervisor on transitions only, so by itself it may speak of a process
//! that is long gone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Local;
use super::observe::Sight;
use crate::desired::Desired;
use crate::instance::InstanceName;
use crate::instance::census::Census;
use crate::instance::identity::ProcessIdentity;
use crate::observed::{LastExit, Observed, Pulse, Vitals};

/// How often it is looked again where a process a state names is gone and its supervisor may be
/// about to say so, and how long apart.
const LOOKS: u32 = 10;
const APART: Duration = Duration::from_millis(20);

/// What a pass observes, and what is seen beyond that.
#[derive(Debug)]
pub struct Survey {
    /// What a pass observes.
    pub observed: Observed,
    /// What is seen of each instance beyond that.
    pub vitals: BTreeMap<InstanceName, Vitals>,
}

/// The processes an instance's state names, as far as its locks say that they live.
#[derive(Default)]
struct Named {
    server: Option<ProcessIdentity>,
    supervisor: Option<ProcessIdentity>,
    vitals: Vitals,
}

impl Local {
    /// Observes, and looks at the processes behind.
    pub fn survey(&self, desired: &Desired) -> Survey {
        for _ in 1..LOOKS {
            let survey = self.survey_once(desired);
            let settled = survey
                .vitals
                .values()
                .all(|vitals| vitals.supervisor == Pulse::Unknown || !vitals.is_contradictory());
            if settled {
                return survey;
            }
            std::thread::sleep(APART);
        }
        self.survey_once(desired)
    }

    fn survey_once(&self, desired: &Desired) -> Survey {
        let mut named = BTreeMap::new();
        let observed = self.look_closely(desired, |name, sight| {
            named.insert(name.clone(), Named::in_sight(sight));
        });
        let census = Census::take();
        let mut claims: BTreeMap<u32, usize> = BTreeMap::new();
        for server in named.values().filter_map(|named| named.server.as_ref()) {
            *claims.entry(server.pid).or_default() += 1;
        }
        let vitals = named.into_iter().map(|(name, named)| {
            let mut vitals = named.vitals;
            if let Some(supervisor) = &named.supervisor {
                vitals.supervisor = census.pulse(supervisor);
            }
            if let Some(server) = &named.server {
                let disputed = claims.get(&server.pid).is_some_and(|claims| *claims > 1);
                if disputed {
                    vitals.server = Pulse::Disputed;
                } else {
                    vitals.server = census.pulse(server);
                    vitals.resident = census.resident(server);
                    vitals.gpu = census.gpu(server);
                }
            }
            (name, vitals)
        });
        Survey {
            observed,
            vitals: vitals.collect(),
        }
    }
}

impl Named {
    fn in_sight(sight: &Sight) -> Self {
        let state = sight.state.as_ref().ok().and_then(Option::as_ref);
        let server = state.and_then(|state| state.server.as_ref());
        let lives = |lock: &Result<bool, _>| matches!(lock, Ok(true));
        Self {
            server: server
                .filter(|_| lives(&sight.server_lives))
                .and_then(|server| server.process.clone()),
            supervisor: state
                .filter(|_| lives(&sight.supervisor_lives))
                .map(|state| state.supervisor.clone()),
            vitals: Vitals {
                health_since: state.and_then(|state| state.health_since),
                last_exit: sight.exit.as_ref().map(|exit| LastExit {
                    exit: exit.exit,
                    at: exit.at,
                    asked: exit.asked,
                    within_gate: exit.within_gate,
                    reason: exit.reason.clone(),
                }),
                ..Vitals::default()
            },
        }
    }
}
