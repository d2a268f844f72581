//! Going back by hand: what an instance aims at once a person has rolled it back.
//!
//! Which launch that is chosen in [`target`]; falling back by itself is decided in `decide`.

mod target;

use std::sync::Arc;

pub use target::{NoTarget, Proven, target};

use super::Planner;
use super::action::{Action, Ago, BlockReason, HoldReason, PlannedLaunch, Reason};
use super::draft::Draft;
use crate::desired::Wanted;
use crate::instance::record::RolledBack;
use crate::instance::{Change, InstanceName, Launch};
use crate::manifest::OnFailure;
use crate::observed::{Memory, Seen};

/// What an instance is to run: the manifest's launch, or the one a person rolled it back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) rolled_back: Option<&'a RolledBack>,
}

impl<'a> Aim<'a> {
    pub(super) fn of(wanted: &'a Wanted, memory: &'a Memory) -> Self {
        Self {
            wanted,
            rolled_back: memory.rollback_against(&wanted.launch),
        }
    }

    pub(super) fn launch(self) -> &'a Launch {
        match self.rolled_back {
            Some(rolled_back) => &rolled_back.launch.launch,
            None => &self.wanted.launch,
        }
    }

    pub(super) fn planned(self) -> PlannedLaunch {
        match self.rolled_back {
            Some(rolled_back) => PlannedLaunch::Proven(Box::new(rolled_back.launch.clone())),
            None => PlannedLaunch::Wanted(Arc::clone(&self.wanted.launch)),
        }
    }

    /// Whether something else is started where this fails: a rollback is never rolled back by itself.
    pub(super) fn falls_back(self) -> bool {
        self.rolled_back.is_none() && self.wanted.on_failure == OnFailure::Rollback
    }

    /// Why a server that runs something else is restarted.
    pub(super) fn drift(self, changes: &[Change], last_load: Option<f64>) -> Reason {
        let changes = changes.to_vec();
        match self.rolled_back {
            Some(rolled_back) => Reason::RolledBack {
                build: rolled_back.launch.launch.build.clone(),
                changes,
                last_load,
            },
            None => Reason::Drift { changes, last_load },
        }
    }
}

impl Planner<'_> {
    /// Says that an instance is rolled back, for as long as it is.
    pub(super) fn tell_rollback(&mut self, name: &InstanceName, aim: Aim<'_>) {
        if let Some(rolled_back) = aim.rolled_back {
            let why = HoldReason::RolledBack {
                build: rolled_back.launch.launch.build.clone(),
                instead_of: aim.wanted.launch.build.clone(),
                seconds_ago: Ago::between(rolled_back.at, self.observed.at),
                reason: rolled_back.reason.clone(),
            };
            self.hold(name, why, None);
        }
    }

    /// Why a launch from the record cannot be started: nobody fetches its build for it.
    pub(super) fn build_gone(&self, draft: &Draft) -> Option<BlockReason> {
        let (Action::Start(start) | Action::Replace(start)) = &draft.action else {
            return None;
        };
        let (PlannedLaunch::Proven(launch), Seen::Known(_)) =
            (&start.launch, &self.observed.binaries)
        else {
            return None;
        };
        let build = &launch.launch.build;
        (!self.is_installed(launch.launch.binary)).then(|| {
            let gone = format!("{build}, which it is rolled back to, is not installed any more");
            BlockReason::NotInstallable(match build.tag() {
                Some(tag) => format!("{gone}; `llama-orch binary install {tag}` fetches it again"),
                None => gone,
            })
        })
    }
}
