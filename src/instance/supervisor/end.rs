//! The commands' side: ending a server, whether or not a supervisor lives to do it.

use std::time::Duration;

use jiff::Timestamp;

use super::claim::{Claim, ClaimError, Unknown, claim};
use super::notes::{Notes, chain};
use super::standing::{self, Ending, Standing, StandingError};
use crate::durable::{self, FileError};
use crate::instance::folder::InstanceFolder;
use crate::instance::process::EndError;
use crate::instance::state::{self, Exit, ExitRecord, Phase, State};
use crate::kill_point;

/// How a server that was to be ended came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// There was none.
    NotRunning,
    /// It ended so.
    Exit(Exit),
}

/// Why a server could not be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// It, or something that holds its lock, is still there.
    #[error("the server of `{name}` would not end: {reason}")]
    StillThere {
        /// The instance.
        name: String,
        /// What is still there.
        reason: String,
    },
    /// Its supervisor would not make room.
    #[error("cannot take the place of the supervisor of `{name}`")]
    Supervisor {
        /// The instance.
        name: String,
        /// Why.
        source: ClaimError,
    },
    /// It could not be found out what runs.
    #[error("cannot find the server of `{name}`")]
    Look {
        /// The instance.
        name: String,
        /// Why.
        source: StandingError,
    },
    /// Its files cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl StopError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::StillThere { name, .. } => Some(format!(
                "`llama-orch status` shows its pid; nothing is started in its place until it is gone, then run `llama-orch down {name}` again"
            )),
            Self::File(error) => error.hint(),
            Self::Supervisor { .. } | Self::Look { .. } => None,
        }
    }
}

/// Ends the server of an instance and its supervisor, and returns once both locks are free. A
/// supervisor that lives does it with its own `stop_timeout`; where none lives, `stop_timeout` is
/// the time between SIGTERM and SIGKILL. What the files do not tell is found by who holds the locks
/// and runs from below the root; that nothing can be written down keeps nothing from being ended.
pub fn end(folder: &InstanceFolder, stop_timeout: Duration) -> Result<Ended, StopError> {
    let name = || folder.name().to_string();
    if !folder.path().is_dir() {
        return Ok(Ended::NotRunning);
    }
    let was_there = durable::is_locked(&folder.server_lock())?;
    let notes = Notes::new(folder.supervisor_log());
    let unknown = Unknown {
        patience: Duration::ZERO,
        stop_timeout,
    };
    let claimed = claim(folder, &notes, unknown, |_| Ok(false));
    let _lock = match claimed.map_err(|source| StopError::Supervisor {
        name: name(),
        source,
    })? {
        Claim::Ours(lock) => lock,
        Claim::Already => return Ok(Ended::NotRunning),
    };
    let mut state = read_state(folder)?;
    let standing = standing::look(folder, state.as_ref()).map_err(|source| StopError::Look {
        name: name(),
        source,
    })?;
    let still_there = |error: &EndError| StopError::StillThere {
        name: name(),
        reason: chain(error),
    };
    let (nonce, mut process) = match standing {
        Standing::Free => {
            settle(folder, state.as_mut(), &notes);
            return last_exit(folder, was_there);
        }
        Standing::Unknown => return Err(still_there(&EndError::LockHeld)),
        Standing::Leftovers(nonce) => (nonce, None),
        Standing::Server(process) | Standing::Stray(process) => {
            (process.identity().nonce, Some(process))
        }
    };
    let asked = state.as_ref().is_some_and(standing::is_ending);
    let within_gate = state.as_ref().is_some_and(standing::is_gating);
    enter(folder, state.as_mut(), Phase::Stopping, &notes);
    kill_point::reached("end.stopping");
    match standing::clear(folder, nonce, process.as_mut(), stop_timeout, asked) {
        Ok(exit) => {
            kill_point::reached("end.ended");
            if let Some(state) = &state {
                let ending = Ending {
                    exit,
                    asked: true,
                    within_gate,
                    fingerprint: state.runs(),
                    reason: None,
                };
                let written = standing::write_exit(folder, &ending);
                note_failure(&notes, written);
            }
            settle(folder, state.as_mut(), &notes);
            notes.note(format!("the server {exit}, ended by a command"));
            Ok(Ended::Exit(exit))
        }
        Err(error) => {
            let reason = chain(&error);
            let failed = Phase::StopFailed { reason };
            enter(folder, state.as_mut(), failed, &notes);
            Err(still_there(&error))
        }
    }
}

/// What the supervisor has to say. A damaged file says nothing, and is left as it is: it must not
/// keep a server from being ended.
fn read_state(folder: &InstanceFolder) -> Result<Option<State>, FileError> {
    match durable::read_json(&folder.state(), state::SCHEMA) {
        Err(FileError::Damaged { .. }) => Ok(None),
        read => read,
    }
}

/// Brings a state that tells of a server or a supervisor at work to its end.
fn settle(folder: &InstanceFolder, state: Option<&mut State>, notes: &Notes) {
    let Some(state) = state else { return };
    let over = matches!(
        state.phase,
        Phase::Stopped | Phase::Failed | Phase::GaveUp { .. }
    );
    if over && state.server.is_none() {
        return;
    }
    state.server = None;
    if over {
        note_failure(notes, durable::write_json(&folder.state(), state));
    } else {
        enter(folder, Some(state), Phase::Stopped, notes);
    }
}

/// Writes down where things stand. A server that is to end is ended all the same where that fails.
fn enter(folder: &InstanceFolder, state: Option<&mut State>, phase: Phase, notes: &Notes) {
    let Some(state) = state else { return };
    (state.phase, state.since) = (phase, Timestamp::now());
    note_failure(notes, durable::write_json(&folder.state(), state));
}

fn note_failure(notes: &Notes, written: Result<(), FileError>) {
    if let Err(error) = written {
        notes.error(&error);
    }
}

/// How the server ended that was there before a supervisor ended it for us.
fn last_exit(folder: &InstanceFolder, was_there: bool) -> Result<Ended, StopError> {
    if !was_there {
        return Ok(Ended::NotRunning);
    }
    let record: Option<ExitRecord> = durable::read_json(&folder.exit(), state::SCHEMA)?;
    Ok(record.map_or(Ended::NotRunning, |record| Ended::Exit(record.exit)))
}
