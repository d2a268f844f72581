//! Waiting for the word of a supervisor. It comes to it whether or not anybody waits.

use uuid::Uuid;

use super::perform::{POLL, failed};
use super::{Local, read_record, read_state};
use crate::backend::{ActionError, Progress};
use crate::durable;
use crate::instance::InstanceName;
use crate::instance::folder::InstanceFolder;
use crate::instance::record::{Failure, RecordedLaunch};
use crate::instance::state::{Phase, Role, State};
use crate::kill_point;
use crate::release::BuildName;

impl Local {
    /// Waits until the gate of an instance that starts already is decided.
    ///
    /// # Errors
    /// Says why the gate was not passed, as for a step that starts it.
    pub async fn await_gate(&self, name: &InstanceName) -> Result<(), ActionError> {
        /// Tells nobody.
        struct Silent;
        impl Progress for Silent {
            fn received(&self, _bytes: u64, _total: Option<u64>) {}
            fn phase(&self, _phase: &str) {}
            fn remark(&self, _remark: &str) {}
        }
        let folder = self.folder(name);
        let state = read_state(&folder).map_err(|error| {
            let hint = error.hint();
            failed(format!("cannot wait for `{name}`"), hint)(error)
        })?;
        match state {
            Some(state) => self.verdict(&folder, state.assignment, &Silent).await,
            None => Err(ActionError::Stale(name.to_string())),
        }
    }

    /// Waits for the word of the supervisor that has this assignment. It comes to it whether or not
    /// anybody waits.
    pub(super) async fn verdict(
        &self,
        folder: &InstanceFolder,
        id: Uuid,
        progress: &dyn Progress,
    ) -> Result<(), ActionError> {
        let name = folder.name();
        let what = || format!("cannot start `{name}`");
        let mut shown = "";
        loop {
            let unread = |error: durable::FileError| {
                let hint = error.hint();
                failed(what(), hint)(error)
            };
            // Asked before the state is read: what it wrote last, it wrote while it lived.
            let lives = durable::is_locked(&folder.supervisor_lock()).map_err(unread)?;
            let state = read_state(folder).map_err(unread)?;
            if read_record(folder)
                .map_err(unread)?
                .is_some_and(|record| record.put_down.is_some())
            {
                return Err(ActionError::PutDown(name.to_string()));
            }
            let Some(state) = state.filter(|state| state.assignment == id) else {
                return Err(ActionError::Stale(name.to_string()));
            };
            if let Some(verdict) = judge(&state, lives) {
                return verdict;
            }
            let phase = match (&state.phase, state.role) {
                (Phase::TakingOver, _) => "stopping the old server",
                (Phase::Starting { bound: None }, Role::Wanted) => "starting",
                (Phase::Starting { bound: Some(_) }, Role::Wanted) => "loading",
                (Phase::BackingOff { .. }, Role::Wanted) => "backing off",
                (_, Role::Fallback) => "failed; rolling back",
                _ => "waiting",
            };
            if phase != shown {
                progress.phase(phase);
                shown = phase;
                kill_point::reached("apply.waiting");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// What a state says of an assignment, once it says anything final.
fn judge(state: &State, supervisor_lives: bool) -> Option<Result<(), ActionError>> {
    let failure = || {
        state.failed.as_ref().map_or_else(
            || Failure {
                reason: "did not pass its gate".to_owned(),
                log_tail: Vec::new(),
            },
            |failed| failed.failure.clone(),
        )
    };
    let build = |launch: &RecordedLaunch| launch.launch.build.clone();
    let wanted = || {
        state
            .failed
            .as_ref()
            .map_or_else(|| build(&state.launch), |failed| failed.build.clone())
    };
    let gate_failed = |failure: Failure, runs: Option<BuildName>| {
        Some(Err(ActionError::GateFailed {
            build: wanted(),
            failure,
            runs,
            left: state.phase == Phase::Failed && state.server.is_some(),
        }))
    };
    match (&state.phase, state.role) {
        (Phase::Running, Role::Wanted) => Some(Ok(())),
        (Phase::Running, Role::Fallback) => gate_failed(failure(), Some(build(&state.launch))),
        (Phase::Failed, _) => gate_failed(failure(), None),
        // What it was rolled back to does not start either; its supervisor goes on trying. Before its
        // first try it is in this phase as well.
        (Phase::BackingOff { .. }, Role::Fallback) if state.restarts.total > 0 => {
            gate_failed(failure(), None)
        }
        // A launch that has passed before is tried without end: nobody can wait for that.
        (Phase::BackingOff { until }, Role::Wanted) if state.proven || state.load.is_some() => {
            let reason = format!("ended again; its supervisor tries it next at {until:.0}");
            gate_failed(
                Failure {
                    reason,
                    log_tail: Vec::new(),
                },
                None,
            )
        }
        (Phase::GaveUp { failure }, _) => gate_failed(failure.clone(), None),
        (Phase::StopFailed { reason }, _) => Some(Err(ActionError::Failed {
            what: "the server before it would not end".to_owned(),
            source: Some(reason.clone().into()),
            hint: None,
            unreachable: false,
        })),
        (Phase::Stopped, _) if !supervisor_lives => gate_failed(
            Failure {
                reason: "was stopped".to_owned(),
                log_tail: Vec::new(),
            },
            None,
        ),
        _ if !supervisor_lives => Some(Err(ActionError::Failed {
            what: "its supervisor ended before it came to a verdict".to_owned(),
            source: None,
            hint: Some("run `llama-orch apply` again".to_owned()),
            unreachable: false,
        })),
        _ => None,
    }
}
