//! The commands' side: ending a server, whether or not a supervisor lives to do it.

use std::time::Duration;

use jiff::Timestamp;

use super::claim::{Claim, ClaimError, claim};
use super::notes::{Notes, chain};
use super::standing::{self, Standing, StandingError};
use crate::durable::{self, FileError};
use crate::instance::folder::InstanceFolder;
use crate::instance::process::{EndError, Process};
use crate::instance::state::{self, Exit, ExitRecord, Phase, Server, State};

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
/// the time between SIGTERM and SIGKILL.
pub fn end(folder: &InstanceFolder, stop_timeout: Duration) -> Result<Ended, StopError> {
    let name = || folder.name().to_string();
    if !folder.path().is_dir() {
        return Ok(Ended::NotRunning);
    }
    let before = server_of(durable::read_json(&folder.state(), state::SCHEMA)?);
    let notes = Notes::new(folder.supervisor_log());
    let claimed = claim(folder, &notes, |_| Ok(false));
    let _lock = match claimed.map_err(|source| StopError::Supervisor {
        name: name(),
        source,
    })? {
        Claim::Ours(lock) => lock,
        Claim::Already => return Ok(Ended::NotRunning),
    };
    let mut state: Option<State> = durable::read_json(&folder.state(), state::SCHEMA)?;
    let standing = standing::look(folder, state.as_ref()).map_err(|source| StopError::Look {
        name: name(),
        source,
    })?;
    let (exit, state) = match (standing, &mut state) {
        (Standing::Free, state) => {
            settle(folder, state.as_mut())?;
            return last_exit(folder, before.is_some());
        }
        (Standing::Unknown, _) | (_, None) => {
            return Err(StopError::StillThere {
                name: name(),
                reason: EndError::LockHeld.to_string(),
            });
        }
        (Standing::Server(mut process), Some(state)) => (
            clear(folder, state, Some(&mut process), stop_timeout),
            state,
        ),
        (Standing::Leftovers, Some(state)) => (clear(folder, state, None, stop_timeout), state),
    };
    match exit? {
        Ok(exit) => {
            standing::write_exit(folder, exit, true, state.runs())?;
            settle(folder, Some(state))?;
            notes.note(format!("the server {exit}, ended by a command"));
            Ok(Ended::Exit(exit))
        }
        Err(error) => {
            let reason = chain(&error);
            enter(
                folder,
                state,
                Phase::StopFailed {
                    reason: reason.clone(),
                },
            )?;
            Err(StopError::StillThere {
                name: name(),
                reason,
            })
        }
    }
}

fn server_of(state: Option<State>) -> Option<Server> {
    state.and_then(|state| state.server)
}

fn clear(
    folder: &InstanceFolder,
    state: &mut State,
    process: Option<&mut Process>,
    stop_timeout: Duration,
) -> Result<Result<Exit, EndError>, FileError> {
    let Some(server) = state.server.clone() else {
        return Ok(Err(EndError::LockHeld));
    };
    let already_asked = standing::is_ending(state);
    enter(folder, state, Phase::Stopping)?;
    Ok(standing::clear(
        folder,
        &server,
        process,
        stop_timeout,
        already_asked,
    ))
}

/// Brings a state that tells of a server or a supervisor at work to its end.
fn settle(folder: &InstanceFolder, state: Option<&mut State>) -> Result<(), FileError> {
    let Some(state) = state else { return Ok(()) };
    let over = matches!(
        state.phase,
        Phase::Stopped | Phase::Failed | Phase::GaveUp { .. }
    );
    if over && state.server.is_none() {
        return Ok(());
    }
    state.server = None;
    if over {
        durable::write_json(&folder.state(), state)
    } else {
        enter(folder, state, Phase::Stopped)
    }
}

fn enter(folder: &InstanceFolder, state: &mut State, phase: Phase) -> Result<(), FileError> {
    (state.phase, state.since) = (phase, Timestamp::now());
    durable::write_json(&folder.state(), state)
}

/// How the server ended that was there before a supervisor ended it for us.
fn last_exit(folder: &InstanceFolder, was_there: bool) -> Result<Ended, StopError> {
    if !was_there {
        return Ok(Ended::NotRunning);
    }
    let record: Option<ExitRecord> = durable::read_json(&folder.exit(), state::SCHEMA)?;
    Ok(record.map_or(Ended::NotRunning, |record| Ended::Exit(record.exit)))
}
