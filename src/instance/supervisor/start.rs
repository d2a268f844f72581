//! The commands' side: starting a supervisor and telling it to read its settings again.
//!
//! Blocking, and bounded. Ending one is in [`super::end`].

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::confinement::Confinement;
use super::program::Program;
use super::{ALREADY, WORD};
use crate::durable::{self, FileError};
use crate::instance::folder::InstanceFolder;
use crate::instance::identity::{IdentityError, NONCE};
use crate::instance::log;
use crate::instance::orders::{self, Order};
use crate::instance::process::{self, LAST_WAIT};
use crate::instance::record::{self, Record};
use crate::instance::state::{self, State};
use crate::watch::service_manager;

/// How long a supervisor may take until it has shown itself, beyond the time the one before it
/// needs to end its server.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the caller looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How many of its last notes are shown with an error.
const NOTES_SHOWN: usize = 5;

/// Why a supervisor could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The instance's folder cannot be made.
    #[error("cannot create `{path}`")]
    Folder {
        /// The folder.
        path: camino::Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The copy of this program cannot be executed.
    #[error("cannot execute `{path}`")]
    Spawn {
        /// The copy.
        path: camino::Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It ended before it had taken over.
    #[error("the supervisor of `{name}` ended at once{}{}", in_brackets(*.status), listed(.notes))]
    Died {
        /// The instance.
        name: String,
        /// How it ended; `None` where this process ignores SIGCHLD, which hides it.
        status: Option<ExitStatus>,
        /// The last of what it noted.
        notes: Vec<String>,
    },
    /// It lives and has not taken over; it may still do so.
    #[error("the supervisor of `{name}` has not taken over within {} s{}", .waited.as_secs(), listed(.notes))]
    Silent {
        /// The instance.
        name: String,
        /// How long it was waited for.
        waited: Duration,
        /// The last of what it noted.
        notes: Vec<String>,
    },
    /// Its state cannot be read.
    #[error(transparent)]
    State(#[from] FileError),
}

impl StartError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder { .. } | Self::Spawn { .. } => None,
            Self::Died { name, .. } | Self::Silent { name, .. } => {
                Some(format!("`llama-orch status` shows where `{name}` stands"))
            }
            Self::State(error) => error.hint(),
        }
    }
}

fn in_brackets(status: Option<ExitStatus>) -> String {
    status.map_or_else(String::new, |status| format!(" ({status})"))
}

fn listed(notes: &[String]) -> String {
    notes.iter().flat_map(|note| ["\n  ", note]).collect()
}

/// Starts a supervisor for what `record.json` wants, detached from the caller, and returns once it
/// has taken over from whoever was there before, or found that another one is at work on the very
/// same assignment already. `environment` is added to the caller's own; `confinement` is where the
/// caller is, and what the supervisor is kept out of.
pub fn start(
    folder: &InstanceFolder,
    program: &Program,
    environment: &BTreeMap<String, String>,
    confinement: &Confinement,
) -> Result<(), StartError> {
    folder.create().map_err(|source| StartError::Folder {
        path: folder.path().to_owned(),
        source,
    })?;
    let before: Option<State> = durable::read_json(&folder.state(), state::SCHEMA)?;
    let patience = PATIENCE
        + before.map_or(Duration::ZERO, |state| {
            state.supervision.stop_timeout + LAST_WAIT * 2
        });
    let nonce = Uuid::new_v4();
    let mut command = confinement.command(program, folder, nonce);
    command
        .args([WORD, folder.root().as_str(), folder.name().as_str()])
        .envs(environment)
        .env(NONCE, nonce.to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for variable in service_manager::VARIABLES {
        command.env_remove(variable);
    }
    let mut child = process::spawn_detached(&mut command).map_err(|source| StartError::Spawn {
        path: program.path.clone(),
        source,
    })?;
    let shown = || -> Result<bool, FileError> {
        let state: Option<State> = durable::read_json(&folder.state(), state::SCHEMA)?;
        Ok(state.is_some_and(|state| state.supervisor.nonce == nonce))
    };
    let notes = || log::tail(&folder.supervisor_log(), NOTES_SHOWN).unwrap_or_default();
    let name = || folder.name().to_string();
    let deadline = Instant::now() + patience;
    let result = loop {
        match shown() {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error.into()),
        }
        let ended = match child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(Some(status)),
            Err(_) => Some(None),
        };
        if let Some(status) = ended {
            // It may have shown itself and ended since we looked.
            let settled = shown()?
                || match status {
                    Some(status) => status.code() == Some(ALREADY.into()),
                    None => is_supervised(folder)?,
                };
            let died = || StartError::Died {
                name: name(),
                status,
                notes: notes(),
            };
            return settled.then_some(()).ok_or_else(died);
        }
        if Instant::now() >= deadline {
            break Err(StartError::Silent {
                name: name(),
                waited: patience,
                notes: notes(),
            });
        }
        std::thread::sleep(LOOK_EVERY);
    };
    // Waited for in the background, so that it leaves no zombie under a caller that lives on.
    // Without a thread for that, it is the system that waits once the caller has ended.
    let _ = std::thread::Builder::new().spawn(move || child.wait());
    result
}

/// Whether a supervisor is at work on what `record.json` wants.
fn is_supervised(folder: &InstanceFolder) -> Result<bool, FileError> {
    let record: Option<Record> = durable::read_json(&folder.record(), record::SCHEMA)?;
    let state: Option<State> = durable::read_json(&folder.state(), state::SCHEMA)?;
    let wanted = record
        .and_then(|record| record.wanted)
        .map(|wanted| wanted.id);
    Ok(state.is_some_and(|state| {
        wanted == Some(state.assignment) && state.supervisor.find().is_ok_and(|it| it.is_some())
    }))
}

/// Tells the supervisor of an instance to read its settings from `record.json` again. `false` when
/// there is no supervisor.
pub fn refresh(folder: &InstanceFolder) -> Result<bool, RefreshError> {
    if !durable::is_locked(&folder.supervisor_lock())? {
        return Ok(false);
    }
    let state: Option<State> = durable::read_json(&folder.state(), state::SCHEMA)?;
    let Some(state) = state else { return Ok(false) };
    if !state::is_understood(state.protocol) {
        return Err(RefreshError::Protocol(state.protocol));
    }
    let Some(supervisor) = state.supervisor.find()? else {
        return Ok(false);
    };
    orders::give(&supervisor, Order::Refresh)?;
    Ok(true)
}

/// Why a supervisor could not be told to read its settings again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// It is of a version that this program knows nothing of, so what a signal means to it is
    /// unknown as well.
    #[error("its supervisor speaks protocol {0}, which this version does not")]
    Protocol(u32),
    /// Its files cannot be read.
    #[error(transparent)]
    State(#[from] FileError),
    /// It could not be found out whether it is ours.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system refused.
    #[error("cannot signal the supervisor")]
    Signal(#[from] io::Error),
}
