//! Becoming the supervisor of an instance: getting `supervisor.lock`, from a supervisor that still
//! holds it where need be.

use std::io;
use std::time::{Duration, Instant};

use super::notes::Notes;
use crate::durable::{self, FileError, FileLock};
use crate::instance::folder::{InstanceFolder, PRIVATE};
use crate::instance::identity::{self, IdentityError, ProcessIdentity, Running};
use crate::instance::orders::{self, Order};
use crate::instance::process::LAST_WAIT;
use crate::instance::state::{self, Phase, State};
use crate::kill_point;

/// How often a lock that is held is asked for again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a holder nobody knows may keep the lock.
const UNKNOWN_WAIT: Duration = Duration::from_secs(10);

/// How to deal with a supervisor of which no state tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unknown {
    /// How long it is let be: it may have just started and not yet written its state.
    pub(super) patience: Duration,
    /// How long its server may take to end.
    pub(super) stop_timeout: Duration,
}

/// How claiming the lock ended.
pub(super) enum Claim {
    /// We are the supervisor now.
    Ours(FileLock),
    /// Another one is at work and is to be kept.
    Already,
}

/// Gets the lock. A supervisor at work is asked to end its server and itself, once, unless `keep`
/// says to leave it alone; if it does not end, it is killed, and its server is left to the caller.
///
/// It is asked whatever it is doing: one that ends a server whose gate failed would go on to its
/// fallback. It never passes an order on as a second SIGTERM to its server.
pub(super) fn claim(
    folder: &InstanceFolder,
    notes: &Notes,
    unknown: Unknown,
    keep: impl Fn(&State) -> Result<bool, FileError>,
) -> Result<Claim, ClaimError> {
    // The supervisor that was asked, and by when it should be gone.
    let mut asked: Option<(ProcessIdentity, Instant)> = None;
    let mut unknown_since: Option<Instant> = None;
    loop {
        if let Some(lock) = FileLock::try_take(&folder.supervisor_lock())? {
            return Ok(Claim::Ours(lock));
        }
        let state: Option<State> = match durable::read_json(&folder.state(), state::SCHEMA) {
            Err(FileError::Damaged { .. }) => None,
            read => read?,
        };
        let told = match &state {
            Some(state) => state.supervisor.find()?.map(|running| Holder {
                identity: state.supervisor.clone(),
                running,
                state: Some(state),
            }),
            None => None,
        };
        let holder = if told.is_some() {
            told
        } else if unknown_since.get_or_insert_with(Instant::now).elapsed() >= unknown.patience {
            found(folder)?
        } else {
            None
        };
        match (holder, &asked) {
            (Some(holder), Some((identity, deadline))) if holder.is(identity) => {
                if Instant::now() >= *deadline {
                    holder.kill(notes)?;
                }
            }
            (Some(holder), _) => {
                if let Some(state) = holder.state
                    && is_at_work(state)
                    && keep(state)?
                {
                    return Ok(Claim::Already);
                }
                notes.note(format!("asks supervisor {} to end", holder.identity.pid));
                orders::give(&holder.running, Order::End)?;
                kill_point::reached("claim.asked");
                let stop_timeout = holder
                    .state
                    .map_or(unknown.stop_timeout, |state| state.supervision.stop_timeout);
                asked = Some((
                    holder.identity,
                    Instant::now() + stop_timeout + LAST_WAIT * 2,
                ));
                unknown_since = None;
            }
            (None, _) => {
                let since = *unknown_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= UNKNOWN_WAIT.max(unknown.patience * 2) {
                    return Err(ClaimError::UnknownHolder);
                }
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A supervisor that holds the lock.
struct Holder<'a> {
    identity: ProcessIdentity,
    running: Running,
    state: Option<&'a State>,
}

impl Holder<'_> {
    fn is(&self, identity: &ProcessIdentity) -> bool {
        (self.identity.pid, self.identity.started) == (identity.pid, identity.started)
    }

    fn kill(&self, notes: &Notes) -> Result<(), ClaimError> {
        let pid = self.identity.pid;
        notes.note(format!("kills supervisor {pid}, which does not end"));
        self.running.kill()?;
        if self.running.ended_within(LAST_WAIT)? {
            Ok(())
        } else {
            Err(ClaimError::StillThere { pid })
        }
    }
}

/// The supervisor that has the lock's file open, whatever the state tells.
fn found(folder: &InstanceFolder) -> Result<Option<Holder<'static>>, ClaimError> {
    let programs = [folder.root().join(PRIVATE).join("supervisors")];
    let found = identity::holding(&folder.supervisor_lock(), &programs)?;
    Ok(found.into_iter().next().map(|(identity, running)| Holder {
        identity,
        running,
        state: None,
    }))
}

fn is_at_work(state: &State) -> bool {
    match state.phase {
        Phase::TakingOver | Phase::Starting { .. } | Phase::Running | Phase::BackingOff { .. } => {
            true
        }
        Phase::Failed => state.server.is_some(),
        Phase::GaveUp { .. } | Phase::Stopping | Phase::Stopped | Phase::StopFailed { .. } => false,
    }
}

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Somebody has it, and nobody knows who.
    #[error("`supervisor.lock` is held by an unknown process")]
    UnknownHolder,
    /// A supervisor is still there after SIGKILL.
    #[error("supervisor {pid} is still there {} s after SIGKILL", LAST_WAIT.as_secs())]
    StillThere {
        /// The process.
        pid: u32,
    },
    /// A file cannot be read or locked.
    #[error(transparent)]
    File(#[from] FileError),
    /// It could not be found out who holds it.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system refused.
    #[error("cannot find, signal or wait for the supervisor")]
    System(#[from] io::Error),
}
