//! Starting a server and ending it, once for all systems; the primitives are in `os`.
//!
//! Nobody starts a server without its lock: [`spawn`] takes the lock and hands it on to the server
//! alone. Who is signalled is settled by [`super::identity`]; when to start and to stop is left to
//! [`super::supervisor`].

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "starts processes and waits for them"
)]

#[cfg_attr(unix, path = "process/unix.rs")]
#[cfg_attr(windows, path = "process/windows.rs")]
mod os;

mod environment;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use uuid::Uuid;

use super::identity::{self, IdentityError, ProcessIdentity, Running};
use super::record::RecordedLaunch;
use super::state::Exit;
use super::waiting::{self, Awaited};
use crate::durable::{self, FileError, FileLock};

pub use environment::{EnvironmentError, api_key, of_server as environment_of};
#[cfg(windows)]
pub(in crate::instance) use os::interrupt;
pub(crate) use os::{other_entry, release_code, settle_in, spawn_detached};

/// How long a process may take to disappear after SIGKILL before it is given up.
pub const LAST_WAIT: Duration = Duration::from_secs(10);

/// How long the lock of a server that ended may stay held by children it left behind.
const LEFTOVERS_WAIT: Duration = Duration::from_secs(2);

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A variable of its environment cannot be had.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// Its log cannot be opened.
    #[error("cannot open `{path}`")]
    Log {
        /// The log.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program cannot be executed.
    #[error("cannot execute `{path}`")]
    Program {
        /// The program.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be looked at, and was ended.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What is about to be started could not be written down.
    #[error(transparent)]
    State(#[from] FileError),
}

impl SpawnError {
    /// Whether the same launch may start at another time: it is the machine that is short of
    /// something, not the launch that is wrong.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Log { .. } | Self::State(_) => true,
            Self::Environment(_) | Self::Identity(_) => false,
            Self::Program { source, .. } => os::is_shortage(source),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Environment(error) => error.hint(),
            Self::Log { .. } | Self::Identity(_) => None,
            Self::State(error) => error.hint(),
            Self::Program { .. } => {
                Some("`llama-orch plan` tells whether the build is installed and intact".to_owned())
            }
        }
    }
}

/// Why a server could not be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndError {
    /// It is still there after SIGKILL.
    #[error("process {pid} is still there {} s after SIGKILL", LAST_WAIT.as_secs())]
    StillThere {
        /// The process.
        pid: u32,
    },
    /// It ended, and somebody still holds its lock.
    #[error("`server.lock` is held by an unknown process")]
    LockHeld,
    /// It could not be found out who is who.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system refused.
    #[error("cannot signal or wait for the server")]
    System(#[from] io::Error),
    /// The lock could not be looked at.
    #[error(transparent)]
    Lock(#[from] FileError),
}

/// A server that was spawned or adopted.
#[derive(Debug)]
pub struct Process {
    identity: ProcessIdentity,
    running: Running,
    child: Option<(Child, os::Group)>,
}

/// Starts the server of `launch`, detached from our terminal and descriptors, its output appended
/// to `log` and `lock` inherited: from here on the lock is the server's alone.
pub fn spawn(
    root: &Utf8Path,
    launch: &RecordedLaunch,
    nonce: Uuid,
    environment: BTreeMap<OsString, OsString>,
    log: &Utf8Path,
    lock: FileLock,
) -> Result<Process, SpawnError> {
    let path = root.join(&launch.program);
    let output = durable::closed_to_others(&mut OpenOptions::new())
        .create(true)
        .append(true)
        .open(log);
    let output = output.and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = output.map_err(|source| SpawnError::Log {
        path: log.to_owned(),
        source,
    })?;
    let mut command = Command::new(path.as_std_path());
    command
        .args(&launch.launch.arguments)
        .env_clear()
        .envs(environment)
        .current_dir(root);
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let spawned = os::inherit(lock.file()).and_then(|()| os::Group::spawn(&mut command, nonce));
    drop(lock);
    let (mut child, group) = spawned.map_err(|source| SpawnError::Program { path, source })?;
    match known(child.id(), nonce) {
        Ok((running, identity)) => Ok(Process {
            identity,
            running,
            child: Some((child, group)),
        }),
        Err(error) => {
            // Nobody would know of it.
            let _ = group.kill();
            let _ = child.wait();
            Err(error.into())
        }
    }
}

/// What a child just spawned is told by.
fn known(pid: u32, nonce: Uuid) -> Result<(Running, ProcessIdentity), IdentityError> {
    let running = Running::child(pid).map_err(|source| IdentityError { pid, source })?;
    Ok((running, ProcessIdentity::of(pid, nonce)?))
}

/// Takes over a server that runs already. `None` when it is gone.
pub fn adopt(identity: &ProcessIdentity) -> Result<Option<Process>, IdentityError> {
    let running = identity.find()?;
    Ok(running.map(|running| Process {
        identity: identity.clone(),
        running,
        child: None,
    }))
}

/// Takes over a server that was found and is held already.
pub(crate) fn held(identity: ProcessIdentity, running: Running) -> Process {
    Process {
        identity,
        running,
        child: None,
    }
}

impl Process {
    /// What it is told by.
    pub fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// Looks again which executable it runs: one that was a script at first may have replaced
    /// itself. Tells whether that changed. Only asked of a child, which nobody else can be.
    pub fn refresh(&mut self) -> bool {
        let Some(now) = self
            .child
            .as_ref()
            .and_then(|_| ProcessIdentity::of(self.identity.pid, self.identity.nonce).ok())
            .filter(|now| now.started == self.identity.started && *now != self.identity)
            .filter(|now| now.program != Utf8Path::new(""))
        else {
            return false;
        };
        self.identity = now;
        true
    }

    /// What to wait for: happens once it has ended.
    pub(crate) fn awaited(&self) -> Awaited<'_> {
        self.running.awaited()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> io::Result<Option<Exit>> {
        self.ended_within(Duration::ZERO)
    }

    fn ended_within(&mut self, patience: Duration) -> io::Result<Option<Exit>> {
        if !self.running.ended_within(patience)? {
            return Ok(None);
        }
        match &mut self.child {
            Some((child, _)) => Ok(Some(exit_of(child)?)),
            None => Ok(Some(self.running.exit())),
        }
    }

    /// Ends it: one SIGTERM, then `grace`, then SIGKILL to it and all it started.
    pub fn stop(&mut self, grace: Duration) -> Result<Exit, EndError> {
        self.running.ask_to_end()?;
        self.insist(grace)
    }

    /// Ends it like [`Process::stop`] where SIGTERM was sent before: a second one would make
    /// `llama-server` drop what it is doing.
    pub fn insist(&mut self, grace: Duration) -> Result<Exit, EndError> {
        if let Some(exit) = self.ended_within(grace)? {
            return Ok(exit);
        }
        if let Some((_, group)) = &self.child {
            group.kill()?;
        }
        self.running.kill()?;
        kill_leftovers(self.identity.nonce)?;
        self.ended_within(LAST_WAIT)?.ok_or(EndError::StillThere {
            pid: self.identity.pid,
        })
    }
}

/// Takes the lock of a server that ended, ending the children it may have left behind: they still
/// hold its port or memory, and no successor can start beside them.
pub fn take_lock_after(path: &Utf8Path, nonce: Uuid) -> Result<FileLock, EndError> {
    let tried = FileLock::take_within(path, LEFTOVERS_WAIT);
    if let Ok(Some(lock)) = tried {
        return Ok(lock);
    }
    kill_leftovers(nonce)?;
    tried?;
    FileLock::take_within(path, LAST_WAIT)?.ok_or(EndError::LockHeld)
}

/// How a child that has ended did so: unseen where somebody else in this process has waited for it.
fn exit_of(child: &mut Child) -> io::Result<Exit> {
    match child.wait() {
        Ok(status) => Ok(os::exit_of(status)),
        Err(error) if os::is_not_our_child(&error) => Ok(Exit::Unobserved),
        Err(error) => Err(error),
    }
}

/// Runs a program to its end, in a group of its own that is killed when it takes longer than
/// `timeout` or one of `others` happens; that is an error without words. An exit code other
/// than 0 is an error.
pub(crate) fn run_bounded(
    mut command: Command,
    timeout: Duration,
    others: &[Awaited<'_>],
) -> Result<(), Option<String>> {
    let failed = |error: io::Error| Some(error.to_string());
    let program = command.get_program().to_string_lossy().into_owned();
    let (mut child, group) = os::Group::spawn(&mut command, Uuid::new_v4())
        .map_err(|error| Some(format!("cannot execute `{program}`: {error}")))?;
    let ended = Running::child(child.id()).and_then(|running| {
        let awaited: Vec<Awaited<'_>> = [running.awaited()]
            .into_iter()
            .chain(others.iter().copied())
            .collect();
        waiting::first_of(&awaited, timeout)
    });
    if !matches!(ended, Ok(Some(0))) {
        group.kill().map_err(failed)?;
    }
    let exit = exit_of(&mut child).map_err(failed)?;
    match ended.map_err(failed)? {
        None => Err(Some(format!(
            "no answer within {} s",
            timeout.as_secs_f64()
        ))),
        Some(0) if exit == Exit::Code(0) => Ok(()),
        Some(0) => Err(Some(format!("`{program}` {exit}"))),
        Some(_) => Err(None),
    }
}

/// Kills every process that carries `nonce`, also those that are started meanwhile.
fn kill_leftovers(nonce: Uuid) -> Result<(), EndError> {
    let deadline = Instant::now() + LAST_WAIT;
    loop {
        let found = identity::carrying(nonce)?;
        if found.is_empty() || Instant::now() >= deadline {
            return Ok(());
        }
        for identity in found {
            if let Some(running) = identity.find()? {
                running.kill()?;
                running.ended_within(Duration::from_millis(100))?;
            }
        }
    }
}
