//! Does one action on the machine. Each may be repeated: what is done already succeeds.
//!
//! The order within an action is what makes a crash harmless: first the record says what is
//! wanted, then a supervisor is started that reads it. From then on the supervisor needs nobody;
//! this process only waits for its word.

use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::facts::{self, Located};
use super::models::Models;
use super::observe::Sight;
use super::{Local, lock_instance, read_record, read_state, settled};
use crate::backend::{ActionError, Progress};
use crate::desired::{ArchiveOrigin, WantedBinary};
use crate::durable::{self, FileLock};
use crate::install::{self, InstallRequest};
use crate::instance::folder::InstanceFolder;
use crate::instance::record::{Assignment, Record, RecordedLaunch};
use crate::instance::state::{Role, State};
use crate::instance::supervisor::{self, Confinement, Program};
use crate::kill_point;
use crate::observed::Revision;
use crate::plan::action::{Action, PlannedLaunch, Prune, Start, Stop, Update};
use crate::registry::Registry;
use crate::release::host::Host;

/// How often a state that is waited for is read again.
pub(super) const POLL: Duration = Duration::from_millis(25);

/// How long a supervisor may take to read new settings.
const REFRESH_PATIENCE: Duration = Duration::from_secs(5);

pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of one of the layers below, with what could not be done.
pub(super) fn failed<E: Into<Cause>>(
    what: String,
    hint: Option<String>,
) -> impl FnOnce(E) -> ActionError {
    move |error| ActionError::failed(what, error, hint)
}

impl Local {
    pub(super) async fn act(
        &self,
        action: &Action,
        progress: &dyn Progress,
    ) -> Result<(), ActionError> {
        match action {
            Action::Install(binary) => self.install(binary, progress).await,
            Action::Fetch(fetch) => self.fetch(fetch, progress).await,
            Action::Start(start) | Action::Replace(start) => self.start(start, progress).await,
            Action::Update(update) => self.update(update, progress).await,
            Action::Stop(stop) => self.stop(stop, progress).await,
            Action::Remove(stop) => self.remove(stop, progress).await,
            Action::Prune(prune) => self.prune(prune),
        }
    }

    async fn install(
        &self,
        binary: &WantedBinary,
        progress: &dyn Progress,
    ) -> Result<(), ActionError> {
        let what = || format!("cannot install {} {}", binary.build, binary.variant.short());
        let Some(source) = &self.source else {
            return Err(ActionError::Failed {
                what: what(),
                source: None,
                hint: None,
                unreachable: false,
            });
        };
        let bins = self.root.bins();
        let host = Host::detect();
        let from_release = binary
            .archives
            .iter()
            .all(|archive| matches!(archive.origin, ArchiveOrigin::Release(_)));
        let request = InstallRequest {
            binary,
            bins: &bins,
            host: host.as_ref(),
            official: self.official && from_release,
            slots: &self.slots,
            unverified: false,
            minted: false,
        };
        let told = |told: install::Progress| match told {
            install::Progress::Receiving { bytes, total } => progress.received(bytes, total),
            install::Progress::Pausing(pause) => progress.remark(&pause.to_string()),
            install::Progress::Waiting => progress.phase("waiting for another install"),
            install::Progress::Checking => progress.phase("checking"),
        };
        match install::install(&request, source, &told).await {
            Ok(installed) => {
                for remark in &installed.remarks {
                    progress.remark(remark);
                }
                progress.phase("asking what it can do");
                self.introduce(binary.id).await;
                Ok(())
            }
            Err(error) => {
                let unreachable = error.is_unreachable();
                let hint = error.hint();
                Err(ActionError::Failed {
                    what: what(),
                    source: Some(error.into()),
                    hint,
                    unreachable,
                })
            }
        }
    }

    async fn start(&self, start: &Start, progress: &dyn Progress) -> Result<(), ActionError> {
        let name = &start.instance;
        let what = || format!("cannot start `{name}`");
        let folder = self.folder(name);
        self.root.create_state().map_err(|error| {
            let hint = error.hint();
            failed(what(), hint)(error)
        })?;
        let abilities = match &start.launch {
            PlannedLaunch::Wanted(launch) => self.check_fit(launch, &what()).await?,
            PlannedLaunch::Proven(_) => None,
        };
        if let Some(patience) = start.drain {
            self.drain(&folder, patience, true, progress).await?;
        }
        let (lock, record) = locked_record(&folder, &start.revision, &what()).await?;
        let launch = match &start.launch {
            PlannedLaunch::Wanted(launch) => {
                let registry = Registry::load(&self.root.bins()).map_err(|error| {
                    let hint = error.hint();
                    failed(what(), hint)(error)
                })?;
                let Located {
                    mut launch,
                    mut missing,
                } = facts::locate(&self.root, &registry, launch, &self.salt);
                missing.extend(Models::default().defects(self.root.path(), &launch));
                if !missing.is_empty() {
                    return Err(failed(what(), None)(missing.join("; ")));
                }
                self.go_offline(&mut launch.launch, abilities.as_ref());
                launch
            }
            PlannedLaunch::Proven(launch) => RecordedLaunch::clone(launch),
        };
        let assignment = Assignment {
            id: Uuid::new_v4(),
            launch,
            fallback: start.fallback.clone(),
            supervision: start.supervision.clone(),
            anew: start.anew,
        };
        let id = assignment.id;
        progress.phase("starting");
        self.assign(&folder, record, assignment, start.protect, progress)
            .await
            .map_err(|(error, hint)| failed(what(), hint)(error))?;
        drop(lock);
        self.verdict(&folder, id, progress).await
    }

    /// Writes an assignment down and starts a supervisor for it. To be called under the instance's
    /// lock. From the moment this returns, nobody but the supervisor is needed.
    async fn assign(
        &self,
        folder: &InstanceFolder,
        mut record: Record,
        assignment: Assignment,
        protect: bool,
        progress: &dyn Progress,
    ) -> Result<(), (Cause, Option<String>)> {
        let confinement = tokio::task::spawn_blocking(Confinement::find)
            .await
            .map_err(|error| (error.into(), None))?
            .map_err(|error| {
                let hint = error.hint();
                (error.into(), Some(hint))
            })?;
        if !self.told.swap(true, Ordering::Relaxed) {
            for remark in confinement.remarks() {
                progress.remark(remark);
            }
        }
        let unread = |error: durable::FileError| {
            let hint = error.hint();
            (error.into(), hint)
        };
        let state = read_state(folder).map_err(unread)?;
        if let Some(state) = &state {
            // What the supervisor before had to say outlives its state file.
            record = settled(record, state);
        }
        let launches = std::iter::once(&assignment.launch).chain(&assignment.fallback);
        let carried = facts::carried(launches, &self.secrets, state.as_ref());
        record.wanted = Some(assignment);
        record.protected |= protect;
        durable::write_json(&folder.record(), &record).map_err(unread)?;
        kill_point::reached("apply.recorded");
        let root = self.root.path().to_owned();
        let asked = folder.clone();
        tokio::task::spawn_blocking(move || -> Result<(), (Cause, Option<String>)> {
            let program = Program::install(&root).map_err(|error| (error.into(), None))?;
            supervisor::start(&asked, &program, &carried, &confinement).map_err(|error| {
                let hint = error.hint();
                (error.into(), hint)
            })
        })
        .await
        .map_err(|error| (error.into(), None))??;
        kill_point::reached("apply.started");
        Ok(())
    }

    async fn update(&self, update: &Update, progress: &dyn Progress) -> Result<(), ActionError> {
        let name = &update.instance;
        let what = || format!("cannot update `{name}`");
        let folder = self.folder(name);
        let (lock, mut record) = locked_record(&folder, &update.revision, &what()).await?;
        let state = read_state(&folder).map_err(failed(what(), None))?;
        let Some(state) = state else {
            return Err(ActionError::Stale(name.to_string()));
        };
        let same = record
            .wanted
            .as_ref()
            .filter(|wanted| wanted.id == state.assignment);
        if !update.adopt {
            // An assignment that never reached a supervisor is not what runs: what runs is written
            // down again, with the new settings.
            record.wanted = Some(Assignment {
                id: state.assignment,
                launch: same.map_or_else(|| state.launch.clone(), |same| same.launch.clone()),
                fallback: same.and_then(|same| same.fallback.clone()),
                supervision: update.supervision.clone(),
                anew: false,
            });
            record.protected |= update.protect;
            durable::write_json(&folder.record(), &record).map_err(failed(what(), None))?;
            kill_point::reached("apply.updated");
            supervisor::refresh(&folder).map_err(failed(what(), None))?;
            drop(lock);
            return self.refreshed(&folder, update, &what()).await;
        }
        // It is not proven by being taken over: what was to follow a failure still is.
        let fallback = same
            .filter(|_| state.role == Role::Wanted)
            .and_then(|wanted| wanted.fallback.clone());
        let assignment = Assignment {
            id: Uuid::new_v4(),
            launch: state.launch.clone(),
            fallback,
            supervision: update.supervision.clone(),
            anew: false,
        };
        let id = assignment.id;
        progress.phase("taking over");
        self.assign(&folder, record, assignment, update.protect, progress)
            .await
            .map_err(|(error, hint)| failed(what(), hint)(error))?;
        drop(lock);
        self.verdict(&folder, id, progress).await
    }

    /// Waits until a supervisor works by its new settings.
    async fn refreshed(
        &self,
        folder: &InstanceFolder,
        update: &Update,
        what: &str,
    ) -> Result<(), ActionError> {
        let deadline = tokio::time::Instant::now() + REFRESH_PATIENCE;
        loop {
            let state = read_state(folder).map_err(failed(what.to_owned(), None))?;
            // One of an earlier version takes up what it knows of them.
            let taken_up = |state: State| {
                let changed = state
                    .supervision
                    .changed_fields(&update.supervision, state.protocol);
                changed.is_empty()
            };
            if state.is_some_and(taken_up) {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                let why = "its supervisor has not taken the new settings up";
                return Err(failed(what.to_owned(), None)(why));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn stop(&self, stop: &Stop, progress: &dyn Progress) -> Result<(), ActionError> {
        let what = format!("cannot stop `{}`", stop.instance);
        let folder = self.folder(&stop.instance);
        if let Some(launch) = &stop.successor {
            self.check_fit(launch, &what).await?;
        }
        if let Some(patience) = stop.drain {
            self.drain(&folder, patience, false, progress).await?;
        }
        let lock = lock_within(&folder)
            .await
            .map_err(failed(what.clone(), None))?;
        // A damaged record is no reason to leave a server that is to end.
        if let Ok(Some(mut record)) = read_record(&folder) {
            if record.suspended.is_some() && !stop.by_hand {
                return Err(ActionError::Suspended(stop.instance.to_string()));
            }
            if let Ok(Some(state)) = read_state(&folder) {
                record = settled(record, &state);
            }
            record.wanted = None;
            durable::write_json(&folder.record(), &record).map_err(failed(what.clone(), None))?;
        }
        kill_point::reached("apply.unwanted");
        progress.phase("stopping");
        let grace = stop.stop_timeout;
        tokio::task::spawn_blocking(move || {
            let ended = supervisor::end(&folder, grace);
            drop(lock);
            ended
        })
        .await
        .map_err(failed(what.clone(), None))?
        .map_err(|error| {
            let hint = error.hint();
            failed(what, hint)(error)
        })?;
        kill_point::reached("apply.ended");
        Ok(())
    }

    async fn remove(&self, stop: &Stop, progress: &dyn Progress) -> Result<(), ActionError> {
        self.stop(stop, progress).await?;
        let folder = self.folder(&stop.instance);
        let what = format!("cannot remove what is known of `{}`", stop.instance);
        let _lock = lock_within(&folder)
            .await
            .map_err(failed(what.clone(), None))?;
        std::fs::remove_dir_all(folder.path()).map_err(failed(what, None))
    }

    fn prune(&self, prune: &Prune) -> Result<(), ActionError> {
        let what = format!("cannot prune {} {}", prune.build, prune.variant.short());
        install::uninstall(&self.root.bins(), prune.binary)
            .map(drop)
            .map_err(|error| {
                let hint = error.hint();
                failed(what, hint)(error)
            })
    }
}

/// The record under its lock, if the instance is still as it was seen and nobody minds by now.
async fn locked_record(
    folder: &InstanceFolder,
    revision: &Revision,
    what: &str,
) -> Result<(FileLock, Record), ActionError> {
    let unread = |error: durable::FileError| {
        let hint = error.hint();
        failed(what.to_owned(), hint)(error)
    };
    let lock = lock_within(folder).await.map_err(unread)?;
    let record = read_record(folder).map_err(unread)?.unwrap_or_default();
    // Looked at first: whoever put it down has changed what was seen.
    if let Some(objection) = objection(folder, &record) {
        return Err(objection);
    }
    if *revision != Revision::default() && Sight::of(folder).revision() != *revision {
        return Err(ActionError::Stale(folder.name().to_string()));
    }
    Ok((lock, record))
}

/// Why a step is given up, where a person has wished so since it was planned.
pub(super) fn objection(folder: &InstanceFolder, record: &Record) -> Option<ActionError> {
    let name = folder.name().to_string();
    if record.put_down.is_some() {
        Some(ActionError::PutDown(name))
    } else if record.suspended.is_some() {
        Some(ActionError::Suspended(name))
    } else {
        None
    }
}

/// The instance's lock, waited for away from the thread that everything else runs on.
async fn lock_within(folder: &InstanceFolder) -> Result<FileLock, durable::FileError> {
    let path = folder.instance_lock();
    let folder = folder.clone();
    tokio::task::spawn_blocking(move || lock_instance(&folder))
        .await
        .unwrap_or_else(|error| {
            let source = std::io::Error::other(error);
            Err(durable::FileError::Write { path, source })
        })
}
