//! Looks at the machine: records, states and locks of instances, installed builds, ports, space.
//!
//! Locks say what lives, files say what it is. Nothing is written, nothing is signalled, and no
//! request is made.

mod living;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use uuid::Uuid;

use super::facts::{self, Located};
use super::listeners;
use super::memory;
use super::models::Models;
use super::{Local, failed_of, read_record, read_state, settled};
use crate::desired::{Desired, WantedInstance};
use crate::durable;
use crate::history::chain;
use crate::install;
use crate::instance::folder::{self, InstanceFolder};
use crate::instance::record::{FailedLaunch, Record, RecordedLaunch, RolledBack};
use crate::instance::state::{self, ExitRecord, Phase, State};
use crate::instance::{InstanceName, Launch, identity};
use crate::observed::{
    Comparison, GaveUp, HostFacts, Memory, Observed, ObservedInstance, Revision, Seen, Unseen,
};
use crate::registry::Registry;

impl Local {
    /// Looks at everything that is wanted or has left a trace.
    pub(super) fn look(&self, desired: &Desired) -> Observed {
        self.look_closely(desired, |_, _| {})
    }

    /// Looks, and shows what the files and locks of each instance say.
    pub(super) fn look_closely(
        &self,
        desired: &Desired,
        mut show: impl FnMut(&InstanceName, &Sight),
    ) -> Observed {
        let at = Timestamp::now();
        let registry = install::listed(&self.root.bins());
        let empty = Registry::default();
        let known = registry.as_ref().unwrap_or(&empty);
        let boot = identity::boot().ok();
        let mut names: BTreeSet<InstanceName> = desired.instances.keys().cloned().collect();
        // A folder that cannot be listed hides instances that are not wanted; those that are wanted
        // are looked at by name.
        names.extend(folder::list(self.root.path()).unwrap_or_default());
        let mut instances = BTreeMap::new();
        let mut pids = BTreeSet::new();
        let mut models = Models::default();
        for name in names {
            let wanted = match desired.instances.get(&name) {
                Some(WantedInstance::Resolved(wanted)) => Some(wanted.as_ref()),
                Some(WantedInstance::Unresolved(_)) | None => None,
            };
            let mut sight = Sight::of(&self.folder(&name));
            if let Some(rolled_back) = self.proposed.get(&name) {
                sight.propose(rolled_back.clone());
            }
            let located = wanted.map(|wanted| self.aim_of(&mut sight, known, &wanted.launch));
            pids.extend(sight.pid());
            show(&name, &sight);
            let (mut seen, launch) = sight.observed(located, at, boot);
            if let Some(launch) = launch.filter(|_| !rests(&seen)) {
                let defects = models.defects(self.root.path(), &launch);
                seen.missing.extend(defects);
                seen.model_size = launch.model_size();
                seen.fetched = launch.launch.fetches && self.is_fetched(&launch.launch);
            }
            instances.insert(name, seen);
        }
        let abilities = self.known_abilities(desired, known, &instances);
        let strangers = listeners::strangers(&self.root, desired, &instances, &pids);
        Observed {
            at,
            host: HostFacts {
                free_disk: self.free_disk(),
                boot,
                memory: memory::look(),
                strangers,
            },
            binaries: match &registry {
                Ok(registry) => Seen::Known(self.binaries(registry)),
                Err(error) => Seen::Unknown(Unseen(chain(error))),
            },
            abilities,
            instances,
        }
    }

    /// What an instance is to run, as it is on this machine: the manifest's launch, or the one a
    /// person rolled it back to.
    fn aim_of(&self, sight: &mut Sight, registry: &Registry, wanted: &Launch) -> Located {
        let state = sight.state.as_ref().ok().and_then(Option::as_ref);
        let record = sight.record.as_mut().ok().and_then(Option::as_mut);
        let rolled_back = record.and_then(|record| record.rolled_back.as_mut());
        let Some(rolled_back) = rolled_back.filter(|it| it.holds_against(wanted)) else {
            return facts::locate(&self.root, registry, wanted, &self.salt);
        };
        let launch = &mut rolled_back.launch;
        let handed = facts::carried(std::iter::once(&*launch), &self.secrets, state);
        let handed = handed.into_keys().collect();
        let located = facts::relocate(&self.root, registry, launch, &handed, &self.salt);
        launch.clone_from(&located.launch);
        located
    }

    fn free_disk(&self) -> Seen<u64> {
        // It may be a file system of its own.
        let bins = self.root.bins();
        let folder = if bins.is_dir() {
            &bins
        } else {
            self.root.path()
        };
        match install::free_bytes(folder) {
            Ok(free) => Seen::Known(free),
            Err(error) => Seen::Unknown(Unseen(format!("cannot ask for free space: {error}"))),
        }
    }
}

/// Whether an instance runs what it is to run, so that nothing is started from what its launch names.
pub(super) fn rests(seen: &ObservedInstance) -> bool {
    matches!(seen.server, Seen::Known(Some(_))) && seen.comparison == Comparison::Match
}

/// What the files and locks of one instance say, as far as they can be read.
pub(super) struct Sight {
    pub(super) record: Result<Option<Record>, Unseen>,
    pub(super) state: Result<Option<State>, Unseen>,
    pub(super) exit: Option<ExitRecord>,
    pub(super) supervisor_lives: Result<bool, Unseen>,
    pub(super) server_lives: Result<bool, Unseen>,
}

/// How long a supervisor that has its lock may take to write its first state. It does so at once.
const FIRST_WORD: Duration = Duration::from_millis(500);

impl Sight {
    /// Looks at the locks first: what a file says of something that lives was written while it
    /// lived.
    pub(super) fn of(folder: &InstanceFolder) -> Self {
        let unseen = |error: durable::FileError| {
            let way_out = error.hint().map(|hint| format!("; {hint}"));
            Unseen(chain(&error) + &way_out.unwrap_or_default())
        };
        let began = Instant::now();
        loop {
            let sight = Self {
                supervisor_lives: durable::is_locked(&folder.supervisor_lock()).map_err(unseen),
                server_lives: durable::is_locked(&folder.server_lock()).map_err(unseen),
                state: read_state(folder).map_err(unseen),
                record: read_record(folder).map_err(unseen),
                exit: durable::read_json(&folder.exit(), state::SCHEMA)
                    .ok()
                    .flatten(),
            };
            let is_silent = matches!(
                (&sight.supervisor_lives, &sight.state),
                (Ok(true), Ok(None))
            );
            if !is_silent || began.elapsed() >= FIRST_WORD {
                return sight;
            }
            std::thread::sleep(FIRST_WORD / 100);
        }
    }

    /// Looks as if a person had rolled it back already.
    fn propose(&mut self, rolled_back: RolledBack) {
        let state = self.state.as_ref().ok().and_then(Option::as_ref);
        let assignment = state.map(|state| state.assignment);
        if let Ok(record) = &mut self.record {
            let record = record.get_or_insert_default();
            record.roll_back(rolled_back, assignment);
        }
    }

    /// The process id of the server, if one lives.
    fn pid(&self) -> Option<u32> {
        let state = self.state.as_ref().ok()?.as_ref()?;
        Some(state.server.as_ref()?.process.as_ref()?.pid)
    }

    /// What has to be the same still when something is done about the instance.
    pub(super) fn revision(&self) -> Revision {
        let state = self.state.as_ref().ok().and_then(Option::as_ref);
        let text = format!(
            "{:?} {:?} {:?} {:?}",
            state.map(|state| state.assignment),
            state
                .and_then(|state| state.server.as_ref())
                .map(|server| server.nonce),
            self.supervisor_lives,
            self.server_lives,
        );
        Revision::new(text.into_bytes())
    }

    /// What was seen of the instance, and the launch it was compared with.
    fn observed(
        self,
        located: Option<Located>,
        now: Timestamp,
        boot: Option<Uuid>,
    ) -> (ObservedInstance, Option<RecordedLaunch>) {
        let revision = self.revision();
        let Self {
            record,
            state,
            exit,
            supervisor_lives,
            server_lives,
        } = self;
        let state_known = state.as_ref().ok().and_then(Option::as_ref);
        let (wanted, missing) = match located {
            Some(located) => (Some(located.launch), located.missing),
            None => (None, Vec::new()),
        };
        let comparison = match (state_known, &wanted) {
            (Some(state), Some(wanted)) => {
                let wanted = facts::settled_facts(wanted.clone(), &state.launch, now);
                match state.launch.changes_to(&wanted) {
                    changes if changes.is_empty() => Comparison::Match,
                    changes => Comparison::Differs(changes),
                }
            }
            _ => Comparison::Match,
        };
        let failed = match (&record, &wanted) {
            (Ok(record), Some(wanted)) => {
                let record = record.clone().unwrap_or_default();
                let is_ours = |failed: &&FailedLaunch| {
                    failed.fingerprint == wanted.fingerprint()
                        || failed.fingerprint == wanted.fingerprint_of_named()
                };
                let told = state_known.and_then(|state| failed_of(&record, state));
                let mut known = told.into_iter().chain(&record.failed);
                known.find(is_ours).cloned()
            }
            _ => None,
        };
        let memory = match &record {
            Err(why) => Seen::Unknown(why.clone()),
            Ok(record) => Seen::Known(memory(record.as_ref(), state_known, exit.as_ref(), boot)),
        };
        let seen = ObservedInstance {
            revision,
            supervisor: living::supervisor(&supervisor_lives, &state, record.as_ref().ok()),
            server: living::server(&server_lives, &state),
            memory,
            comparison,
            failed,
            missing,
            model_size: 0,
            fetched: false,
        };
        (seen, wanted)
    }
}

fn memory(
    record: Option<&Record>,
    state: Option<&State>,
    exit: Option<&ExitRecord>,
    boot: Option<Uuid>,
) -> Memory {
    let traces = record.is_some() || state.is_some();
    // An end from before the last spawn says nothing of it: the machine may have gone down since.
    let spawned = state
        .and_then(|state| state.server.as_ref())
        .map(|server| server.spawned);
    let exit = exit.filter(|exit| spawned.is_none_or(|spawned| exit.at >= spawned));
    let record = record.cloned().unwrap_or_default();
    let pardoned = record.pardoned_giving_up;
    let mut record = match state {
        Some(state) => settled(record, state),
        None => record,
    };
    let passed = state.map_or_else(Vec::new, |state| facts::passed(state, &record));
    record.proven.extend(passed);
    let gave_up = state.and_then(|state| match &state.phase {
        // What went wrong on another boot says nothing of this one.
        Phase::GaveUp { failure }
            if Some(state.supervisor.boot) == boot && pardoned != Some(state.assignment) =>
        {
            Some(if state.supervision.restart_policy.enabled {
                GaveUp::TooOften(failure.reason.clone())
            } else {
                GaveUp::ByPolicy(failure.reason.clone())
            })
        }
        _ => None,
    });
    Memory {
        traces,
        put_down: record.put_down,
        suspended: record.suspended,
        rolled_back: record.rolled_back,
        protected: record.protected,
        last_exit: exit.map(|exit| (exit.exit, exit.at)),
        ended_on_request: exit.is_some_and(|exit| exit.asked),
        gave_up,
        restarts: state.map_or(0, |state| state.restarts.total),
        last_load: record.last_load,
        last_build: record
            .wanted
            .as_ref()
            .map(|wanted| wanted.launch.launch.build.clone()),
        proven: record.proven,
    }
}
