//! What one supervisor takes over from the one before: its state, and its server or what is left
//! of it.

use std::error::Error;

use jiff::Timestamp;

use super::life::Supervisor;
use super::standing::{self, Ending, Standing};
use super::vacated::Gone;
use crate::instance::identity::{self, ProcessIdentity};
use crate::instance::process::{EndError, Process};
use crate::instance::record::{Assignment, RecordedLaunch};
use crate::instance::state::{self, Exit, Health, Phase, Restarts, Role, Server, State};
use crate::kill_point;
use crate::release::Digest;

/// What is true before anything was done: what the supervisor before left of the same assignment,
/// or a new beginning.
pub(super) fn begin_state(
    me: ProcessIdentity,
    program: Digest,
    assignment: &Assignment,
    proven: &[RecordedLaunch],
    old: Option<&State>,
) -> State {
    let mut state = State {
        schema: state::SCHEMA,
        protocol: state::PROTOCOL,
        program,
        assignment: assignment.id,
        supervision: assignment.supervision.clone(),
        launch: assignment.launch.clone(),
        role: Role::Wanted,
        phase: Phase::TakingOver,
        since: Timestamp::now(),
        server: old.and_then(|old| old.server.clone()),
        load: None,
        loaded: None,
        proven: is_proven(proven, &assignment.launch),
        health: Health::Unknown,
        health_since: None,
        restarts: Restarts::default(),
        failed: None,
        other: old.map(|old| old.other.clone()).unwrap_or_default(),
        supervisor: me,
    };
    if let Some(old) = old
        && old.assignment == assignment.id
        && !matches!(old.phase, Phase::Failed)
    {
        state.launch.clone_from(&old.launch);
        state.role = old.role;
        state.failed.clone_from(&old.failed);
        state.load = old.load;
        state.loaded.clone_from(&old.loaded);
        state.proven = old.proven || is_proven(proven, &old.launch);
        // Giving up and waiting are forgotten with the boot they happened on.
        if old.supervisor.boot == state.supervisor.boot
            && !matches!(old.phase, Phase::GaveUp { .. })
        {
            state.restarts = old.restarts.clone();
        }
    }
    state
}

/// Whether a launch is among the proven ones.
pub(super) fn is_proven(proven: &[RecordedLaunch], launch: &RecordedLaunch) -> bool {
    let fingerprint = launch.fingerprint();
    proven
        .iter()
        .any(|proven| proven.fingerprint() == fingerprint)
}

impl Supervisor {
    /// Deals with what the supervisor before left: adopts its server or ends it.
    pub(super) fn take_over(&mut self, old: Option<State>) -> Result<(), Box<dyn Error>> {
        let standing = standing::look(&self.folder, old.as_ref())?;
        let asked = old.as_ref().is_some_and(standing::is_ending);
        let (nonce, mut process) = match standing {
            Standing::Unknown => {
                self.stop_failed(&EndError::LockHeld);
                return Ok(());
            }
            Standing::Free => {
                let Some(old) = old else { return Ok(()) };
                let lived = old.server.as_ref().is_some_and(|it| it.process.is_some());
                // Whoever backed off has seen the end and written it down.
                if lived && !matches!(old.phase, Phase::BackingOff { .. }) {
                    self.note_end(&Ending {
                        exit: Exit::Unobserved,
                        asked: false,
                        within_gate: standing::is_gating(&old),
                        fingerprint: old.runs(),
                        reason: None,
                    });
                }
                self.state.server = None;
                return self.resume_wait(&old);
            }
            Standing::Server(process) => {
                let fits = |old: &State| {
                    old.assignment == self.assignment.id
                        || (old.runs() == self.state.runs() && !self.assignment.anew)
                };
                if let Some(old) = old.as_ref().filter(|old| fits(old))
                    && !asked
                    && !self.has_failed()
                {
                    self.adopt(process, old.clone());
                    return Ok(());
                }
                (process.identity().nonce, Some(process))
            }
            Standing::Stray(process) => (process.identity().nonce, Some(process)),
            Standing::Leftovers(nonce) => (nonce, None),
        };
        if let (Some(process), Some(old)) = (&process, &old) {
            self.gone = Some(Gone::of(process.identity(), old));
        }
        self.save_or_note();
        kill_point::reached("supervisor.succeeding");
        self.notes.note("ends the server of the launch before");
        let grace = old
            .as_ref()
            .map_or(&self.state.supervision, |old| &old.supervision)
            .stop_timeout;
        match standing::clear(&self.folder, nonce, process.as_mut(), grace, asked) {
            Ok(exit) => {
                if let Some(old) = old {
                    self.note_end(&Ending {
                        exit,
                        asked: true,
                        within_gate: standing::is_gating(&old),
                        fingerprint: old.runs(),
                        reason: None,
                    });
                }
                self.state.server = None;
            }
            Err(error) => self.stop_failed(&error),
        }
        Ok(())
    }

    fn adopt(&mut self, process: Process, old: State) {
        self.gone = None;
        self.notes.note(format!(
            "adopts the server, process {}",
            process.identity().pid
        ));
        kill_point::reached("supervisor.adopting");
        self.state.server = old.server.map(|server| Server {
            process: Some(process.identity().clone()),
            adopted: true,
            ..server
        });
        let server = self.state.server.as_ref();
        self.log_offset = server.and_then(|server| server.log_offset).unwrap_or(0);
        self.state.load = old.load;
        self.state.loaded = old.loaded;
        self.state.proven |= old.proven;
        (self.state.health, self.state.health_since) = (old.health, old.health_since);
        self.state.since = old.since;
        self.state.phase = match old.phase {
            Phase::Running => Phase::Running,
            Phase::Starting { bound } => Phase::Starting { bound },
            _ => Phase::Starting { bound: None },
        };
        self.server = Some(process);
        self.save_or_note();
    }

    /// Goes on waiting for a restart the supervisor before had scheduled.
    fn resume_wait(&mut self, old: &State) -> Result<(), Box<dyn Error>> {
        if let Phase::BackingOff { until } = old.phase
            && old.assignment == self.assignment.id
            && old.supervisor.boot == identity::boot()?
        {
            self.state.phase = Phase::BackingOff { until };
            self.save_or_note();
        }
        Ok(())
    }
}
