//! The local machine: composes the installer, the registry and the supervisors of instances.
//!
//! Looking is in `observe`, doing in `perform`, waiting for what comes of it in `verdict`.
//! None of them decides: what is compared and what follows from it is the planner's.

#![expect(
    clippy::disallowed_methods,
    reason = "the local machine is looked at and changed here"
)]

mod abilities;
mod builds;
mod checkup;
mod closeup;
mod doctor;
mod drain;
mod facts;
mod fetch;
mod listeners;
mod memory;
mod models;
mod observe;
mod perform;
mod speed;
mod survey;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use closeup::CloseUp;
pub use doctor::examine;
pub use survey::Survey;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{ActionError, Backend, Progress};
use crate::desired::argv::Salt;
use crate::desired::resolve::Terms;
use crate::desired::{Desired, WantedInstance};
use crate::durable::{self, FileError, FileLock};
use crate::install::{self, InstallError};
use crate::instance::folder::{self, InstanceFolder};
use crate::instance::record::{self, FailedLaunch, PROVEN_KEPT, ProvenLoad, Record, RolledBack};
use crate::instance::state::{self, State};
use crate::instance::supervisor::Program;
use crate::instance::{Fingerprint, InstanceName};
use crate::kill_point;
use crate::observed::Observed;
use crate::plan::action::Action;
use crate::reconcile::Loaded;
use crate::release::source::AnySource;
use crate::root::Root;

/// How long a command waits for another one that works on the same instance, beyond the time that
/// one may need to stop a server.
const INSTANCE_LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// How long it is waited for to note what can as well be noted later.
const NOTE_PATIENCE: Duration = Duration::from_secs(1);

/// The local machine.
#[derive(Debug)]
pub struct Local {
    root: Root,
    /// Where builds come from; `None` for a backend that only looks and ends.
    source: Option<AnySource>,
    salt: Salt,
    /// The manifest's literal secrets, by the variables that carry them to supervisors.
    secrets: BTreeMap<String, String>,
    /// Rollbacks that are looked at and not on record yet.
    proposed: BTreeMap<InstanceName, RolledBack>,
    /// Whether the source is llama.cpp's own.
    official: bool,
    /// How many archives are received at once.
    slots: Semaphore,
    /// Whether it was said what supervisors are kept out of.
    told: AtomicBool,
}

impl Local {
    /// The machine of a root that was read.
    pub fn new(loaded: &Loaded, terms: Terms) -> Self {
        Self {
            root: loaded.root.clone(),
            source: Some(loaded.source(terms)),
            salt: loaded.machine.salt(),
            secrets: facts::secrets(&loaded.manifest, &loaded.machine.salt()),
            proposed: BTreeMap::new(),
            official: loaded.manifest.source.is_official(),
            slots: Semaphore::new(loaded.manifest.source.parallel_downloads),
            told: AtomicBool::new(false),
        }
    }

    /// The machine of a root whose manifest may not be readable: good for looking and ending.
    pub fn bare(root: &Root) -> Self {
        Self {
            root: root.clone(),
            source: None,
            salt: Salt::new(""),
            secrets: BTreeMap::new(),
            proposed: BTreeMap::new(),
            official: false,
            slots: Semaphore::new(1),
            told: AtomicBool::new(false),
        }
    }

    fn folder(&self, name: &InstanceName) -> InstanceFolder {
        InstanceFolder::new(self.root.path(), name)
    }

    /// Changes an instance's record under its lock. `change` is given the assignment its supervisor
    /// last spoke of.
    pub fn change_record(
        &self,
        name: &InstanceName,
        change: impl FnOnce(&mut Record, Option<Uuid>),
    ) -> Result<(), FileError> {
        self.root.create_state()?;
        let folder = self.folder(name);
        let lock = lock_instance(&folder)?;
        change_locked(&folder, &lock, change)
    }

    /// The same for what we noticed ourselves: left to the next pass while somebody works on the instance, which may
    /// take as long as a server takes to stop.
    fn note_record(
        &self,
        name: &InstanceName,
        change: impl FnOnce(&mut Record, Option<Uuid>),
    ) -> Result<(), FileError> {
        let folder = self.folder(name);
        match FileLock::take_within(&folder.instance_lock(), NOTE_PATIENCE)? {
            Some(lock) => change_locked(&folder, &lock, change),
            None => Ok(()),
        }
    }

    /// Looks from now on as if an instance were rolled back already, so that what follows can be shown
    /// before it is put on record.
    pub fn propose(&mut self, name: &InstanceName, rolled_back: RolledBack) {
        self.proposed.insert(name.clone(), rolled_back);
    }

    /// Forgets rollbacks that no longer hold, since the manifest wants something else by now.
    pub fn forget_rollbacks(
        &self,
        desired: &Desired,
        observed: &Observed,
    ) -> Result<(), FileError> {
        for (name, wanted) in &desired.instances {
            let seen = observed.instances.get(name);
            let memory = seen.and_then(|seen| seen.memory.known());
            if let (WantedInstance::Resolved(wanted), Some(memory)) = (wanted, memory)
                && memory.rolled_back.is_some()
                && memory.rollback_against(&wanted.launch).is_none()
            {
                self.note_record(name, |record, _| record.rolled_back = None)?;
            }
        }
        Ok(())
    }

    /// Finishes what an interrupted run left behind: half-done installs, and copies of this program
    /// that no supervisor runs from any more. To be called under the pass lock.
    pub fn tidy(&self) -> Result<(), InstallError> {
        if self.root.bins().is_dir() {
            install::recover(&self.root.bins())?;
        }
        self.sweep_abilities();
        let names = folder::list(self.root.path()).unwrap_or_default();
        for name in &names {
            fetch::end_stray(&self.folder(name));
        }
        let mut used = BTreeSet::new();
        for name in names {
            match read_state(&self.folder(&name)) {
                Ok(state) => used.extend(state.map(|state| state.program)),
                // What it says cannot be known, so nothing is known to be unused.
                Err(_) => return Ok(()),
            }
        }
        Program::sweep(self.root.path(), &used);
        Ok(())
    }

    /// Copies from what supervisors say what has to outlive them: proven and failed launches.
    pub fn settle(&self) -> Result<(), FileError> {
        let names = folder::list(self.root.path()).map_err(|source| FileError::Read {
            path: self.root.state(),
            source,
        })?;
        for name in names {
            let folder = self.folder(&name);
            // A damaged file is `observe`'s to report; the others are settled all the same.
            let Ok(Some(state)) = read_state(&folder) else {
                continue;
            };
            let Ok(record) = read_record(&folder) else {
                continue;
            };
            let record = record.unwrap_or_default();
            if settled(record.clone(), &state) != record {
                self.note_record(&name, |record, _| *record = settled(record.clone(), &state))?;
                kill_point::reached("apply.settled");
            }
        }
        Ok(())
    }
}

/// The record with what its supervisor has to say added.
fn settled(mut record: Record, state: &State) -> Record {
    if state.proven {
        let runs = state.runs();
        let newest = record
            .proven
            .first()
            .map(record::RecordedLaunch::fingerprint);
        if newest != Some(runs) {
            record.proven.retain(|launch| launch.fingerprint() != runs);
            record.proven.insert(0, state.launch.clone());
            record.proven.truncate(PROVEN_KEPT);
        }
        note_load(&mut record, state, runs);
    }
    if let Some(failed) = failed_of(&record, state)
        && !record
            .failed
            .iter()
            .any(|known| known.fingerprint == failed.fingerprint)
    {
        record.failed.push(failed.clone());
        let excess = record.failed.len().saturating_sub(FAILED_KEPT);
        record.failed.drain(..excess);
    }
    if state.load.is_some() {
        record.last_load = state.load;
    }
    record
}

/// Keeps what the server of a proven launch said of its load, and forgets it with the launch.
fn note_load(record: &mut Record, state: &State, runs: Fingerprint) {
    let Some(facts) = &state.loaded else { return };
    let load = ProvenLoad {
        fingerprint: runs,
        facts: facts.clone(),
    };
    if record.loads.contains(&load) {
        return;
    }
    let proven: Vec<Fingerprint> = record
        .proven
        .iter()
        .map(record::RecordedLaunch::fingerprint)
        .collect();
    record
        .loads
        .retain(|old| old.fingerprint != runs && proven.contains(&old.fingerprint));
    record.loads.push(load);
}

/// How many failed launches are remembered of one instance.
const FAILED_KEPT: usize = 20;

/// The failure a supervisor speaks of, unless a person has pardoned it or time may have.
fn failed_of<'a>(record: &Record, state: &'a State) -> Option<&'a FailedLaunch> {
    state
        .failed
        .as_ref()
        .filter(|failed| !failed.transient && record.pardoned != Some(state.assignment))
}

fn lock_instance(folder: &InstanceFolder) -> Result<FileLock, FileError> {
    let path = folder.instance_lock();
    folder.create().map_err(|source| FileError::Write {
        path: folder.path().to_owned(),
        source,
    })?;
    let stopping = read_state(folder).ok().flatten();
    let patience = INSTANCE_LOCK_PATIENCE
        + stopping.map_or(Duration::ZERO, |state| state.supervision.stop_timeout);
    FileLock::take_within(&path, patience)?.ok_or_else(|| FileError::Write {
        path,
        source: std::io::Error::new(
            std::io::ErrorKind::WouldBlock,
            "another llama-orch works on this instance",
        ),
    })
}

/// Changes the record of an instance whose lock is held.
fn change_locked(
    folder: &InstanceFolder,
    _lock: &FileLock,
    change: impl FnOnce(&mut Record, Option<Uuid>),
) -> Result<(), FileError> {
    let mut record = read_record(folder)?.unwrap_or_default();
    let before = record.clone();
    let assignment = read_state(folder)?.map(|state| state.assignment);
    change(&mut record, assignment);
    if record == before {
        Ok(())
    } else {
        durable::write_json(&folder.record(), &record)
    }
}

fn read_record(folder: &InstanceFolder) -> Result<Option<Record>, FileError> {
    durable::read_json(&folder.record(), record::SCHEMA)
}

fn read_state(folder: &InstanceFolder) -> Result<Option<State>, FileError> {
    durable::read_json(&folder.state(), state::SCHEMA)
}

impl Backend for Local {
    async fn observe(&self, desired: &Desired) -> Observed {
        self.look(desired)
    }

    async fn perform(&self, action: &Action, progress: &dyn Progress) -> Result<(), ActionError> {
        self.act(action, progress).await
    }
}
