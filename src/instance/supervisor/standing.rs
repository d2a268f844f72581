//! What an earlier supervisor left behind: finding its server, adopting it or ending it.
//!
//! Everything here is done by whoever holds `supervisor.lock`.

use std::io;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use jiff::Timestamp;
use uuid::Uuid;

use crate::durable::{self, FileError, FileLock};
use crate::instance::Fingerprint;
use crate::instance::folder::InstanceFolder;
use crate::instance::identity::{self, IdentityError};
use crate::instance::process::{self, EndError, Process};
use crate::instance::state::{self, Exit, ExitRecord, Phase, State};
use crate::registry::REFERENCE;

/// What stands where a server is to run.
pub(super) enum Standing {
    /// Nothing: nobody holds `server.lock`.
    Free,
    /// The server the state tells of.
    Server(Process),
    /// A server of ours, told by the lock it holds and the program it runs, of which the state says
    /// nothing: which launch it is cannot be known.
    Stray(Process),
    /// Children of a server that is gone itself, and the nonce they carry.
    Leftovers(Uuid),
    /// Somebody holds the lock, and nobody knows who.
    Unknown,
}

/// Finds out what stands there, from the lock first and `state` second. A server that is just
/// being spawned has the lock before it can be told by its nonce, so a holder that is not known is
/// looked for a while.
pub(super) fn look(
    folder: &InstanceFolder,
    state: Option<&State>,
) -> Result<Standing, StandingError> {
    let deadline = Instant::now() + SEARCH;
    loop {
        let standing = glance(folder, state)?;
        if !matches!(standing, Standing::Unknown) || Instant::now() >= deadline {
            return Ok(standing);
        }
    }
}

fn glance(folder: &InstanceFolder, state: Option<&State>) -> Result<Standing, StandingError> {
    if FileLock::take_within(&folder.server_lock(), LOOK)?.is_some() {
        return Ok(Standing::Free);
    }
    let Some(server) = state.and_then(|state| state.server.as_ref()) else {
        return Ok(stray(folder)?.map_or(Standing::Unknown, Standing::Stray));
    };
    if let Some(process) = &server.process
        && let Some(found) = process::adopt(process)?
    {
        return Ok(Standing::Server(found));
    }
    let carrying = identity::carrying(server.nonce).map_err(StandingError::Search)?;
    if server.process.is_none() {
        // Its supervisor died between the spawn and its record. The server is the head of the
        // group that it and its children form.
        for candidate in &carrying {
            if identity::members(candidate.pid)
                .map_err(StandingError::Search)?
                .contains(&candidate.pid)
                && let Some(found) = process::adopt(candidate)?
            {
                return Ok(Standing::Server(found));
            }
        }
    }
    if !carrying.is_empty() {
        return Ok(Standing::Leftovers(server.nonce));
    }
    Ok(match stray(folder)? {
        // It was being spawned while we looked.
        Some(found) if found.identity().nonce == server.nonce => Standing::Server(found),
        Some(found) => Standing::Stray(found),
        None => Standing::Unknown,
    })
}

/// The process that has `server.lock` open and runs a build from below the root, or one that is
/// only referenced from there.
fn stray(folder: &InstanceFolder) -> Result<Option<Process>, StandingError> {
    let [bins, bin] = ["bins", "bin"].map(|builds| folder.root().join(builds));
    let homes = bins.read_dir_utf8().into_iter().flatten().flatten();
    let referenced = homes.map(|home| home.path().join(REFERENCE));
    let builds: Vec<Utf8PathBuf> = referenced.chain([bins, bin]).collect();
    let found = identity::holding(&folder.server_lock(), &builds).map_err(StandingError::Search)?;
    let first = found.into_iter().next();
    Ok(first.map(|(identity, running)| process::held(identity, running)))
}

/// A look at a lock by somebody else holds it for an instant.
const LOOK: Duration = Duration::from_millis(200);

/// How long the holder of `server.lock` is looked for.
const SEARCH: Duration = Duration::from_secs(2);

/// Why it could not be found out what stands there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandingError {
    /// The lock cannot be looked at.
    #[error(transparent)]
    Lock(#[from] FileError),
    /// A process cannot be looked into.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The list of processes cannot be read.
    #[error("cannot look through the processes")]
    Search(#[source] io::Error),
}

/// Ends what is left of a server: itself where it lives, then its children, and returns how it
/// ended once nobody holds `server.lock` any more.
pub(super) fn clear(
    folder: &InstanceFolder,
    nonce: Uuid,
    process: Option<&mut Process>,
    grace: Duration,
    already_asked: bool,
) -> Result<Exit, EndError> {
    let exit = match process {
        Some(process) if already_asked => process.insist(grace)?,
        Some(process) => process.stop(grace)?,
        None => Exit::Unobserved,
    };
    process::take_lock_after(&folder.server_lock(), nonce)?;
    Ok(exit)
}

/// Whether the server of `state` was told to end already, so that it must not be told twice.
pub(super) fn is_ending(state: &State) -> bool {
    matches!(
        state.phase,
        Phase::TakingOver | Phase::Stopping | Phase::StopFailed { .. }
    )
}

/// What is written down of a server that ended.
pub(super) struct Ending<'a> {
    /// How.
    pub(super) exit: Exit,
    /// Whether it was asked to.
    pub(super) asked: bool,
    /// Whether that was before it had passed its gate.
    pub(super) within_gate: bool,
    /// Which launch it was.
    pub(super) fingerprint: Fingerprint,
    /// Why, where that is known.
    pub(super) reason: Option<&'a str>,
}

/// Writes down how a server ended.
pub(super) fn write_exit(folder: &InstanceFolder, ending: &Ending<'_>) -> Result<(), FileError> {
    let record = ExitRecord {
        schema: state::SCHEMA,
        exit: ending.exit,
        at: Timestamp::now(),
        asked: ending.asked,
        reason: ending.reason.map(str::to_owned),
        within_gate: ending.within_gate,
        fingerprint: ending.fingerprint,
        other: serde_json::Map::new(),
    };
    durable::write_json(&folder.exit(), &record)
}

/// Whether the server of a state ends without having passed its gate, should it end now.
pub(super) fn is_gating(state: &State) -> bool {
    matches!(state.phase, Phase::Starting { .. } | Phase::Failed)
}
