//! Becoming the supervisor of an instance: getting `supervisor.lock`, from a supervisor that still
//! holds it where need be.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use uuid::Uuid;

use super::notes::Notes;
use crate::durable::{self, FileError, FileLock};
use crate::instance::folder::InstanceFolder;
use crate::instance::identity::IdentityError;
use crate::instance::process::LAST_WAIT;
use crate::instance::state::{self, Phase, State};

/// How often a lock that is held is asked for again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a holder nobody knows may keep the lock: it may be one that has just started and not
/// yet written its state.
const UNKNOWN_WAIT: Duration = Duration::from_secs(10);

/// How claiming the lock ended.
pub(super) enum Claim {
    /// We are the supervisor now.
    Ours(FileLock),
    /// Another one is at work and is to be kept.
    Already,
}

/// Gets the lock. A supervisor at work is asked to end its server and itself, once, unless `keep`
/// says to leave it alone; if it does not end, it is killed, and its server is left to the caller.
pub(super) fn claim(
    folder: &InstanceFolder,
    notes: &Notes,
    keep: impl Fn(&State) -> Result<bool, FileError>,
) -> Result<Claim, ClaimError> {
    let began = Instant::now();
    // The supervisor that was asked, and by when it should be gone.
    let mut asked: Option<(Uuid, Instant)> = None;
    loop {
        if let Some(lock) = FileLock::try_take(&folder.supervisor_lock())? {
            return Ok(Claim::Ours(lock));
        }
        let state: Option<State> = durable::read_json(&folder.state(), state::SCHEMA)?;
        let holder = match &state {
            Some(state) => state.supervisor.find()?.map(|running| (state, running)),
            None => None,
        };
        match (holder, asked) {
            (Some((state, running)), Some((nonce, deadline)))
                if nonce == state.supervisor.nonce =>
            {
                if Instant::now() >= deadline {
                    notes.note(format!(
                        "kills supervisor {}, which does not end",
                        running.pid()
                    ));
                    running.signal(Signal::KILL)?;
                    running.ended_within(LAST_WAIT)?;
                }
            }
            (Some((state, running)), _) => {
                let at_work = matches!(
                    state.phase,
                    Phase::TakingOver
                        | Phase::Starting { .. }
                        | Phase::Running
                        | Phase::BackingOff { .. }
                );
                if at_work && keep(state)? {
                    return Ok(Claim::Already);
                }
                // One that is not at work is about to end by itself.
                if at_work {
                    notes.note(format!("asks supervisor {} to end", running.pid()));
                    running.signal(Signal::TERM)?;
                }
                let grace = state.supervision.stop_timeout + LAST_WAIT * 2;
                asked = Some((state.supervisor.nonce, Instant::now() + grace));
            }
            (None, asked) => {
                let patience = asked.map_or(began, |(_, deadline)| deadline) + UNKNOWN_WAIT;
                if Instant::now() >= patience {
                    return Err(ClaimError::UnknownHolder);
                }
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Somebody has it, and nobody knows who.
    #[error("`supervisor.lock` is held by an unknown process")]
    UnknownHolder,
    /// A file cannot be read or locked.
    #[error(transparent)]
    File(#[from] FileError),
    /// It could not be found out who holds it.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system refused.
    #[error("cannot signal or wait for the supervisor")]
    System(#[from] io::Error),
}
