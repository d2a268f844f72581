//! A simulated machine with a clock of its own: the public [`Backend`] from outside the crate. What a
//! story does to it (a crash, a lost supervisor, a bad build) is told by its fields and methods.
//!
//! The life of a server is in [`life`], the release source in [`releases`]. Nothing is slept for:
//! time passes where a step waits for a verdict, and where a story says so.

mod life;
mod look;
pub(crate) mod releases;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::Utf8PathBuf;
use jiff::Timestamp;
use llama_orch::backend::{ActionError, Backend, Progress};
use llama_orch::desired::resolve::InstalledBuild;
use llama_orch::desired::{Desired, WantedBinary, WantedInstance};
use llama_orch::instance::record::{
    Assignment, PROVEN_KEPT, PutDown, Record, RecordedLaunch, RolledBack, Suspended,
};
use llama_orch::instance::state::Exit;
use llama_orch::instance::{BinaryId, InstanceName};
use llama_orch::observed::{Observed, ObservedBinary, Revision};
use llama_orch::plan::action::{Action, PlannedLaunch, Start, Stop, Update};
use llama_orch::release::BuildName;
use uuid::Uuid;

use life::Work;

/// The machine, as the executor is given it.
#[derive(Debug)]
pub(crate) struct Simulation(Mutex<World>);

impl Simulation {
    /// A machine on which nothing is installed and nothing runs.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Mutex::new(World {
            now,
            journal: Vec::new(),
            bad: BTreeSet::new(),
            spoiled: BTreeSet::new(),
            unreachable: false,
            nobody_waits: false,
            missing: BTreeSet::new(),
            strangers: BTreeMap::new(),
            binaries: BTreeMap::new(),
            instances: BTreeMap::new(),
            spawned: 100,
            assigned: 0,
            boot: 0,
        }))
    }

    /// The machine itself, to look into and to do things to.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Simulation {
    async fn observe(&self, desired: &Desired) -> Observed {
        self.world().look(desired)
    }

    async fn perform(&self, action: &Action, _progress: &dyn Progress) -> Result<(), ActionError> {
        let performed = self.world().perform(action);
        if let Some(result) = performed {
            result
        } else {
            std::future::pending().await
        }
    }
}

impl World {
    /// Does what an action says. `None` where nobody waits for what comes of it.
    fn perform(&mut self, action: &Action) -> Option<Result<(), ActionError>> {
        let world = self;
        let result = match action {
            Action::Install(binary) => world.install(binary),
            Action::Fetch(_) => Ok(()),
            Action::Start(start) | Action::Replace(start) => world.start(start),
            Action::Update(update) => world.update(update),
            Action::Stop(stop) => world.stop(stop),
            Action::Remove(stop) => world.stop(stop).map(|()| {
                world.instances.remove(&stop.instance);
            }),
            Action::Prune(prune) => {
                world.binaries.remove(&prune.binary);
                Ok(())
            }
        };
        let starts = matches!(action, Action::Start(_) | Action::Replace(_));
        (!(world.nobody_waits && starts && result.is_ok())).then_some(result)
    }
}

/// Everything that is true of the machine.
#[derive(Debug)]
pub(crate) struct World {
    /// The time.
    pub(crate) now: Timestamp,
    /// What happened since it was last taken, one line each.
    pub(crate) journal: Vec<String>,
    /// Builds whose servers do not pass their gate.
    pub(crate) bad: BTreeSet<BuildName>,
    /// Builds whose archives do not arrive whole.
    pub(crate) spoiled: BTreeSet<BuildName>,
    /// Whether the release source is out of reach.
    pub(crate) unreachable: bool,
    /// Whether the pass that starts something leaves before its gate is decided.
    pub(crate) nobody_waits: bool,
    /// Files that are not there; every other one is.
    pub(crate) missing: BTreeSet<Utf8PathBuf>,
    /// Who else listens, by port.
    pub(crate) strangers: BTreeMap<u16, String>,
    binaries: BTreeMap<BinaryId, ObservedBinary>,
    instances: BTreeMap<InstanceName, Kept>,
    /// The last process id.
    spawned: u32,
    /// The last assignment.
    assigned: u128,
    /// How often the machine was started.
    boot: u32,
}

/// What lies on disk of an instance, and the supervisor at work on it.
#[derive(Debug, Default)]
struct Kept {
    record: Record,
    exit: Option<LastExit>,
    work: Option<Work>,
}

#[derive(Debug, Clone, Copy)]
struct LastExit {
    exit: Exit,
    at: Timestamp,
    asked: bool,
}

impl World {
    /// The installed builds, as far as resolving looks at them.
    pub(crate) fn installed(&self) -> Vec<InstalledBuild> {
        let binaries = self.binaries.iter();
        binaries
            .map(|(id, binary)| InstalledBuild {
                id: *id,
                aliases: binary.aliases.clone(),
                build: binary.build.clone(),
                variant: binary.variant.clone(),
                digest: binary.digest,
                companions: Vec::new(),
                damaged: binary.damage.is_some(),
            })
            .collect()
    }

    /// A person's wish that an instance stays down.
    pub(crate) fn put_down(&mut self, name: &InstanceName, reason: Option<String>) {
        let at = self.now;
        self.instances
            .entry(name.clone())
            .or_default()
            .record
            .put_down = Some(PutDown { at, reason });
    }

    /// A person's wish that passes leave an instance as it is.
    pub(crate) fn suspend(&mut self, name: &InstanceName, reason: Option<String>) {
        let at = self.now;
        let kept = self.instances.entry(name.clone()).or_default();
        kept.record.suspended = Some(Suspended { at, reason });
    }

    /// Takes that wish back.
    pub(crate) fn resume(&mut self, name: &InstanceName) {
        let kept = self.instances.entry(name.clone()).or_default();
        kept.record.suspended = None;
    }

    /// Takes that wish back, and forgets that its supervisor gave up.
    pub(crate) fn bring_up(&mut self, name: &InstanceName) {
        let kept = self.instances.entry(name.clone()).or_default();
        kept.record.put_down = None;
        let assignment = kept.work.as_ref().map(|work| work.assignment);
        kept.record.pardon_giving_up(assignment);
    }

    /// Forgets that launches of an instance failed.
    pub(crate) fn pardon(&mut self, name: &InstanceName) {
        let kept = self.instances.entry(name.clone()).or_default();
        kept.record.failed.clear();
        kept.record.rolled_back = None;
        let assignment = kept.work.as_ref().map(|work| work.assignment);
        kept.record.pardon(assignment);
    }

    /// Puts a rollback on record.
    pub(crate) fn roll_back(&mut self, name: &InstanceName, rolled_back: RolledBack) {
        let kept = self.instances.entry(name.clone()).or_default();
        let assignment = kept.work.as_ref().map(|work| work.assignment);
        kept.record.roll_back(rolled_back, assignment);
    }

    /// Forgets rollbacks that no longer hold.
    pub(crate) fn forget_rollbacks(&mut self, desired: &Desired) {
        for (name, wanted) in &desired.instances {
            if let (WantedInstance::Resolved(wanted), Some(kept)) =
                (wanted, self.instances.get_mut(name))
                && let Some(rolled_back) = &kept.record.rolled_back
                && !rolled_back.holds_against(&wanted.launch)
            {
                kept.record.rolled_back = None;
            }
        }
    }

    /// Copies what supervisors say and what has to outlive them into the records.
    pub(crate) fn settle(&mut self) {
        for kept in self.instances.values_mut() {
            if let Some(work) = &kept.work {
                settle(&mut kept.record, work);
            }
        }
    }

    fn note(&mut self, name: &InstanceName, text: impl std::fmt::Display) {
        let at = self.now.strftime("%H:%M:%S");
        self.journal.push(format!("{at} {name} {text}"));
    }

    fn install(&mut self, binary: &WantedBinary) -> Result<(), ActionError> {
        let what = format!("cannot install {} {}", binary.build, binary.variant.short());
        if self.unreachable {
            return Err(ActionError::Failed {
                what,
                source: Some("the release source is out of reach".into()),
                hint: None,
                unreachable: true,
            });
        }
        if self.spoiled.contains(&binary.build) {
            let why = "the archive is not what the lock says it is";
            return Err(ActionError::failed(what, why, None));
        }
        let size = binary.archives.iter().filter_map(|archive| archive.size);
        let observed = ObservedBinary {
            build: binary.build.clone(),
            variant: binary.variant.clone(),
            size: size.sum::<u64>() * 2,
            installed: Some(self.now),
            digest: binary.digest(),
            damage: None,
            aliases: Vec::new(),
            prunable: true,
        };
        self.binaries.insert(binary.id, observed);
        Ok(())
    }

    fn check_revision(&self, name: &InstanceName, seen: &Revision) -> Result<(), ActionError> {
        let now = self.instances.get(name).map(Kept::revision);
        if *seen == Revision::default() || now.as_ref() == Some(seen) {
            Ok(())
        } else {
            Err(ActionError::Stale(name.to_string()))
        }
    }

    fn start(&mut self, start: &Start) -> Result<(), ActionError> {
        let name = &start.instance;
        self.check_revision(name, &start.revision)?;
        let launch = match &start.launch {
            PlannedLaunch::Wanted(launch) => {
                let (launch, missing) = self.locate(launch);
                if !missing.is_empty() {
                    let what = format!("cannot start `{name}`");
                    return Err(ActionError::failed(what, missing.join("; "), None));
                }
                launch
            }
            PlannedLaunch::Proven(launch) => RecordedLaunch::clone(launch),
        };
        let assignment = Assignment {
            id: self.assignment(),
            launch,
            fallback: start.fallback.clone(),
            supervision: start.supervision.clone(),
            anew: start.anew,
        };
        let kept = self.instances.entry(name.clone()).or_default();
        if kept.record.put_down.is_some() {
            return Err(ActionError::PutDown(name.to_string()));
        }
        assert!(kept.record.suspended.is_none(), "{name} is suspended");
        kept.record.protected |= start.protect;
        self.assign(name, assignment)
    }

    fn update(&mut self, update: &Update) -> Result<(), ActionError> {
        let name = &update.instance;
        self.check_revision(name, &update.revision)?;
        let id = self.assignment();
        let stale = || ActionError::Stale(name.to_string());
        let kept = self.instances.get_mut(name).ok_or_else(stale)?;
        let work = kept.work.as_mut().ok_or_else(stale)?;
        assert_eq!(
            update.adopt, !work.supervised,
            "{name} has a supervisor or not"
        );
        work.supervision = update.supervision.clone();
        kept.record.protected |= update.protect;
        if update.adopt {
            work.adopt(id);
            kept.record.wanted = Some(work.as_assigned());
            self.note(name, "has a supervisor again");
        }
        Ok(())
    }

    fn stop(&mut self, stop: &Stop) -> Result<(), ActionError> {
        let name = &stop.instance;
        self.check_revision(name, &stop.revision)?;
        if let Some(kept) = self.instances.get_mut(name) {
            let suspended = kept.record.suspended.is_some();
            assert!(!suspended || stop.by_hand, "{name} is suspended");
            kept.record.wanted = None;
        }
        self.end(name);
        Ok(())
    }

    fn assignment(&mut self) -> Uuid {
        self.assigned += 1;
        Uuid::from_u128(self.assigned)
    }
}

impl Kept {
    fn revision(&self) -> Revision {
        let work = self.work.as_ref();
        let work = work.map(|work| (work.assignment, work.server, work.is_supervised()));
        Revision::new(format!("{work:?}").into_bytes())
    }
}

/// The record with what a supervisor has to say added.
fn settle(record: &mut Record, work: &Work) {
    if work.proven {
        let is_other = |launch: &RecordedLaunch| launch.fingerprint() != work.launch.fingerprint();
        record.proven.retain(is_other);
        record.proven.insert(0, work.launch.clone());
        record.proven.truncate(PROVEN_KEPT);
    }
    if let Some(failed) = work.failed_of(record).cloned() {
        let known = record.failed.iter();
        if known
            .clone()
            .all(|known| known.fingerprint != failed.fingerprint)
        {
            record.failed.push(failed);
        }
    }
    record.last_load = work.load.or(record.last_load);
}
