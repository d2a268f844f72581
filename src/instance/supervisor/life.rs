//! The life of a supervisor: from taking over to the end of its server.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use jiff::Timestamp;
use uuid::Uuid;

use super::ALREADY;
use super::claim::{Claim, Unknown, claim};
use super::notes::{Notes, chain};
use super::program::Program;
use super::succession::begin_state;
use super::vacated::Gone;
use crate::durable::{self, FileError, FileLock, Place};
use crate::instance::Supervision;
use crate::instance::folder::InstanceFolder;
use crate::instance::identity::{NONCE, ProcessIdentity};
use crate::instance::log;
use crate::instance::orders::Orders;
use crate::instance::process::{self, Process, SpawnError};
use crate::instance::record::{self, Assignment, Failure, LoadFacts, Record, RecordedLaunch};
use crate::instance::state::{self, Health, Phase, Server, State};
use crate::kill_point;

/// How long another supervisor may take until its state tells of it.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(5);

/// Lives a whole life and says how it ended.
pub(super) fn live(folder: &InstanceFolder) -> ExitCode {
    let notes = Notes::new(folder.supervisor_log());
    match begin(folder, &notes) {
        Ok(code) => code,
        Err(error) => {
            notes.note(format!("ends: {}", chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn begin(folder: &InstanceFolder, notes: &Notes) -> Result<ExitCode, Box<dyn Error>> {
    process::settle_in()?;
    let orders = Orders::listen()?;
    let wanted = || -> Result<Option<Record>, FileError> {
        durable::read_json(&folder.record(), record::SCHEMA)
    };
    let same = |state: &State| {
        let wanted = wanted()?.and_then(|record| record.wanted);
        Ok(wanted.is_some_and(|wanted| wanted.id == state.assignment))
    };
    // A damaged state is told of before anybody is asked to make room.
    let before: Option<State> = durable::read_json(&folder.state(), state::SCHEMA)?;
    let stop_timeout = wanted()?
        .and_then(|record| record.wanted)
        .map_or_else(Supervision::default, |wanted| wanted.supervision)
        .stop_timeout;
    let unknown = Unknown {
        patience: UNKNOWN_PATIENCE,
        stop_timeout,
    };
    let lock = match claim(folder, notes, unknown, same)? {
        Claim::Ours(lock) => lock,
        Claim::Already => return Ok(ExitCode::from(ALREADY)),
    };
    let record = wanted()?.unwrap_or_default();
    let proven_load = record
        .last_proven_load()
        .map(|(launch, load)| (launch.clone(), load.clone()));
    let (Some(assignment), proven) = (record.wanted, record.proven) else {
        notes.note("ends: nothing is wanted here");
        return Ok(ExitCode::SUCCESS);
    };
    let old: Option<State> = durable::read_json(&folder.state(), state::SCHEMA)?;
    let program = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let digest = Program::digest_in(&program).ok_or("not run from its place in `supervisors/`")?;
    let nonce = std::env::var(NONCE)
        .map_err(|_| "not started by `llama-orch`")?
        .parse()?;
    let me = ProcessIdentity::of(std::process::id(), nonce)?;
    let state = begin_state(me, digest, &assignment, &proven, old.as_ref());
    let mut supervisor = Supervisor {
        folder: folder.clone(),
        place: folder.place()?,
        notes: Notes::new(folder.supervisor_log()),
        orders,
        assignment,
        proven,
        proven_load,
        state,
        server: None,
        // The supervisor before may end it while we wait for its place.
        gone: before.as_ref().and_then(Gone::told_by),
        log_offset: 0,
        first_try: None,
        unsaved: false,
        _lock: lock,
    };
    supervisor.take_over(old)?;
    if supervisor.resume_failure() {
        supervisor.run()?;
    } else {
        supervisor.linger()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A supervisor at work.
pub(super) struct Supervisor {
    pub(super) folder: InstanceFolder,
    /// Which folder that was at first.
    place: Option<Place>,
    pub(super) notes: Notes,
    pub(super) orders: Orders,
    pub(super) assignment: Assignment,
    pub(super) proven: Vec<RecordedLaunch>,
    /// The launch that was proven last, and what its server said of its load.
    pub(super) proven_load: Option<(RecordedLaunch, LoadFacts)>,
    pub(super) state: State,
    pub(super) server: Option<Process>,
    /// The server before, as long as it may still hold something.
    pub(super) gone: Option<Gone>,
    /// Where the log stood when the server was spawned.
    pub(super) log_offset: u64,
    /// When this launch was tried first, for causes that may pass.
    pub(super) first_try: Option<Instant>,
    /// Whether the state could not be written the last time; it is tried again while waiting.
    pub(super) unsaved: bool,
    _lock: FileLock,
}

/// How the service of one server process ended.
pub(super) enum Fate {
    /// Somebody wants it so.
    Asked,
    /// It is down, for this reason.
    Down {
        /// Why.
        failure: Failure,
        /// Whether the same launch may do better at another time.
        transient: bool,
    },
    /// Something would not end, and nothing may be started beside it.
    Stuck,
}

impl Supervisor {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            if matches!(self.state.phase, Phase::StopFailed { .. }) {
                return Ok(self.linger()?);
            }
            let until = match self.state.phase {
                Phase::BackingOff { until } => until,
                _ => Timestamp::now(),
            };
            // An order may have come while nobody listened.
            if self.server.is_none() && !self.wait_until(until)? {
                self.stop();
                return Ok(());
            }
            let goes_on = match self.serve()? {
                Fate::Asked => {
                    self.stop();
                    return Ok(());
                }
                Fate::Down { failure, transient } => self.go_on_after(failure, transient),
                Fate::Stuck => true,
            };
            if !goes_on {
                return Ok(self.linger()?);
            }
        }
    }

    /// Starts the server if there is none, gates it and watches over it to its end.
    fn serve(&mut self) -> io::Result<Fate> {
        if self.server.is_none() {
            if !self.wait_vacated()? {
                return Ok(Fate::Asked);
            }
            let lock = match process::take_lock_after(&self.folder.server_lock(), self.last_nonce())
            {
                Ok(lock) => lock,
                Err(error) => {
                    self.stop_failed(&error);
                    return Ok(Fate::Stuck);
                }
            };
            if let Err(error) = self.spawn(lock) {
                self.notes.error(&error);
                self.state.server = None;
                return Ok(Fate::Down {
                    failure: Failure {
                        reason: chain(&error),
                        log_tail: Vec::new(),
                    },
                    transient: error.is_transient(),
                });
            }
        }
        if self.state.phase != Phase::Running
            && let Some(fate) = self.pass_gate()?
        {
            return Ok(fate);
        }
        self.watch()
    }

    pub(super) fn last_nonce(&self) -> Uuid {
        self.state
            .server
            .as_ref()
            .map_or_else(Uuid::new_v4, |server| server.nonce)
    }

    /// Starts the server. Without the nonce on disk it is not started: should we die at once, the
    /// next supervisor finds it by that alone. What cannot be written afterwards is tried again.
    fn spawn(&mut self, lock: FileLock) -> Result<(), SpawnError> {
        self.first_try.get_or_insert_with(Instant::now);
        let nonce = Uuid::new_v4();
        let root = self.folder.root().to_owned();
        let environment =
            process::environment_of(&root, &self.state.launch, nonce, std::env::vars_os())?;
        self.rotate_log();
        let log = self.folder.server_log();
        self.log_offset = log::size(&log).map_err(|source| SpawnError::Log {
            path: log.clone(),
            source,
        })?;
        let server = Server {
            nonce,
            process: None,
            spawned: Timestamp::now(),
            adopted: false,
            log_offset: Some(self.log_offset),
        };
        self.state.server = Some(server);
        self.state.loaded = None;
        (self.state.health, self.state.health_since) = (Health::Unknown, None);
        (self.state.phase, self.state.since) = (Phase::Starting { bound: None }, Timestamp::now());
        self.save()?;
        kill_point::reached("supervisor.before-spawn");
        let process = process::spawn(&root, &self.state.launch, nonce, environment, &log, lock)?;
        kill_point::reached("supervisor.spawned");
        self.notes.note(format!(
            "started {} as process {}",
            self.state.launch.launch.build,
            process.identity().pid
        ));
        self.know(&process);
        self.server = Some(process);
        self.save_or_note();
        kill_point::reached("supervisor.gating");
        Ok(())
    }

    pub(super) fn know(&mut self, process: &Process) {
        if let Some(server) = &mut self.state.server {
            server.process = Some(process.identity().clone());
        }
    }

    /// Turns the log over where it is due.
    pub(super) fn rotate_log(&self) {
        if let Err(error) = log::rotate(&self.folder.server_log(), &self.state.supervision.logs) {
            self.notes.error(&error);
        }
    }

    /// Goes over to a phase and writes it down. Where it cannot be written it is gone over to all
    /// the same.
    pub(super) fn enter(&mut self, phase: Phase) {
        (self.state.phase, self.state.since) = (phase, Timestamp::now());
        self.save_or_note();
    }

    /// Whether the instance's folder was moved away or removed: it is no longer this instance's
    /// server that we keep, and another supervisor may be at work in its place. A folder that
    /// cannot be looked at is still there.
    pub(super) fn is_homeless(&self) -> bool {
        self.folder.place().is_ok_and(|place| place != self.place)
    }

    pub(super) fn at_home(&self) -> Result<(), FileError> {
        if !self.is_homeless() {
            return Ok(());
        }
        Err(FileError::Write {
            path: self.folder.path().to_owned(),
            source: io::Error::new(io::ErrorKind::NotFound, "it was moved away or removed"),
        })
    }

    fn save(&mut self) -> Result<(), FileError> {
        let saved = self
            .at_home()
            .and_then(|()| durable::write_json(&self.folder.state(), &self.state));
        self.unsaved = saved.is_err();
        saved
    }

    /// Writes the state. Where that fails it is noted once and tried again while waiting.
    pub(super) fn save_or_note(&mut self) {
        let known = self.unsaved;
        if let Err(error) = self.save()
            && !known
        {
            self.notes.error(&error);
        }
    }
}
