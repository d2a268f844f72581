//! The heart: compares what is wanted with what was seen and decides everything there is to decide.
//!
//! [`plan`] is pure, total and deterministic; `Observed::at` is its only clock. Doing what it says
//! is left to [`crate::apply`], which decides nothing.

pub mod action;
mod draft;
mod graph;
pub mod json;
#[cfg(test)]
mod tests;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::desired::{Desired, Wanted, WantedInstance};
use crate::instance::record::{FailedLaunch, RecordedLaunch};
use crate::instance::state::Health;
use crate::instance::{BinaryId, InstanceName};
use crate::observed::{
    Comparison, Memory, Observed, ObservedInstance, ObservedServer, Seen, Unseen, Verdict,
};
use action::{
    Action, Ago, BlockReason, Blocker, Hold, HoldReason, Needs, PlannedLaunch, Prune, Reason,
    Start, Step, Stop, Subject, Unused, Update,
};
use draft::{Draft, Drafts};

/// The graph of steps that leads from what was seen to what is wanted, and what is left for later.
/// The only way to get one is [`plan`].
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
    holds: Vec<Hold>,
    blockers: Vec<Blocker>,
    unused: Vec<Unused>,
    limits: Limits,
}

/// How many steps of a kind may run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Restarts at a time.
    pub max_parallel: usize,
    /// Starts at a time.
    pub start_parallel: usize,
}

/// Compares and decides. Total (never fails), deterministic, no I/O.
///
/// # Guarantees
/// - The plan has no steps if `observed` already satisfies `desired`.
/// - An instance whose inputs are unchanged and that is healthy is never stopped.
/// - Nothing is stopped, removed or pruned on the strength of an unknown.
/// - A build is pruned only if it is ours, nothing desired uses it, nothing runs it and it is
///   neither proven for a rollback nor within `keep`.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut planner = Planner {
        desired,
        observed,
        drafts: Drafts::default(),
        holds: Vec::new(),
        blockers: Vec::new(),
        up: BTreeSet::new(),
        installed: BTreeMap::new(),
    };
    planner.install();
    let absent = ObservedInstance::absent();
    for (name, wanted) in &desired.instances {
        let seen = observed.instances.get(name).unwrap_or(&absent);
        planner.instance(name, wanted, seen);
    }
    planner.removals();
    planner.free_ports();
    planner.await_dependencies();
    let unused = planner.unused();
    planner.finish(unused)
}

/// The plan that ends the servers of these instances and nothing else: what `down` asks for, with
/// or without a manifest.
#[must_use]
pub fn ending(observed: &Observed, names: &BTreeSet<InstanceName>, reason: Option<&str>) -> Plan {
    let desired = Desired::nothing();
    let mut planner = Planner {
        desired: &desired,
        observed,
        drafts: Drafts::default(),
        holds: Vec::new(),
        blockers: Vec::new(),
        up: BTreeSet::new(),
        installed: BTreeMap::new(),
    };
    for name in names {
        let Some(seen) = observed.instances.get(name) else {
            continue;
        };
        match (&seen.supervisor, &seen.server) {
            (Seen::Known(None), Seen::Known(None)) => {}
            // Its record may be damaged; what lives can be ended all the same.
            (Seen::Known(supervisor), Seen::Known(_)) => {
                let stop_timeout = supervisor.as_ref().map_or_else(
                    || crate::instance::Supervision::default().stop_timeout,
                    |supervisor| supervisor.settings.stop_timeout,
                );
                let revision = seen.revision.clone();
                let stop = Stop {
                    instance: name.clone(),
                    revision,
                    stop_timeout,
                };
                let reason = Reason::PutDown(reason.map(str::to_owned));
                planner.drafts.add(Draft::new(Action::Stop(stop), reason));
            }
            _ => planner.unseen(name, seen),
        }
    }
    planner.finish(Vec::new())
}

struct Planner<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    drafts: Drafts,
    holds: Vec<Hold>,
    blockers: Vec<Blocker>,
    /// Instances whose server has passed its gate.
    up: BTreeSet<&'a InstanceName>,
    /// What became of each wanted build: there already, a step, or why not.
    installed: BTreeMap<BinaryId, Build>,
}

/// What became of a wanted build.
enum Build {
    Present,
    Step(usize),
    Blocked(BlockReason),
    Unseen(Unseen),
}

impl<'a> Planner<'a> {
    /// Installs what enabled instances are pinned to and what is not there.
    fn install(&mut self) {
        let mut pinned: BTreeSet<BinaryId> = BTreeSet::new();
        for (name, wanted) in &self.desired.instances {
            let put_down = self
                .observed
                .instances
                .get(name)
                .and_then(|seen| seen.memory.known())
                .is_some_and(|memory| memory.put_down.is_some());
            if let WantedInstance::Resolved(wanted) = wanted
                && wanted.enabled
                && !put_down
            {
                pinned.insert(wanted.launch.binary);
            }
        }
        let mut free = match self.observed.host.free_disk {
            Seen::Known(free) => free,
            // An installer that runs out of space leaves nothing behind; not knowing is no reason
            // to hold it.
            Seen::Unknown(_) => u64::MAX,
        };
        for id in pinned {
            let build = self.install_one(id, &mut free);
            self.installed.insert(id, build);
        }
    }

    fn install_one(&mut self, id: BinaryId, free: &mut u64) -> Build {
        let present = match &self.observed.binaries {
            Seen::Unknown(why) => return Build::Unseen(why.clone()),
            Seen::Known(binaries) => binaries.get(&id).or_else(|| {
                binaries
                    .values()
                    .find(|binary| binary.aliases.contains(&id))
            }),
        };
        let damage = present.and_then(|binary| binary.damage.as_ref());
        if present.is_some() && damage.is_none() {
            return Build::Present;
        }
        let Some(wanted) = self
            .desired
            .binaries
            .get(&id)
            .filter(|wanted| !wanted.archives.is_empty())
        else {
            let why = match damage {
                Some(damage) => {
                    format!("its build {id} is damaged ({damage}) and cannot be fetched")
                }
                None => format!("its build {id} is not installed and cannot be fetched"),
            };
            return Build::Blocked(BlockReason::NotInstallable(why));
        };
        let download: Option<u64> = wanted.archives.iter().map(|archive| archive.size).sum();
        // An archive unpacks to about four times its size (measured on releases of 2026).
        let needs = download.unwrap_or(0).saturating_mul(5);
        if needs > *free {
            return Build::Blocked(BlockReason::NoSpace { needs, free: *free });
        }
        *free -= needs;
        let reason = damage.map_or(Reason::NotInstalled { download }, |damage| {
            Reason::Damaged(damage.clone())
        });
        Build::Step(
            self.drafts
                .add(Draft::new(Action::Install(wanted.clone()), reason)),
        )
    }

    /// Decides about one instance of the manifest.
    fn instance(
        &mut self,
        name: &'a InstanceName,
        wanted: &WantedInstance,
        seen: &'a ObservedInstance,
    ) {
        if let Seen::Known(Some(server)) = &seen.server
            && server.verdict == Verdict::Passed
        {
            self.up.insert(name);
        }
        let wanted = match wanted {
            WantedInstance::Unresolved(why) => {
                return self.block(name, BlockReason::Unresolved(why.clone()));
            }
            WantedInstance::Resolved(wanted) => wanted,
        };
        let (memory, supervisor, server) = match (&seen.memory, &seen.supervisor, &seen.server) {
            _ if seen.unseen().is_some() => return self.unseen(name, seen),
            (Seen::Known(memory), Seen::Known(supervisor), Seen::Known(server)) => {
                (memory, supervisor.as_ref(), server.as_ref())
            }
            _ => return self.unseen(name, seen),
        };
        if memory.put_down.is_some() || !wanted.enabled {
            if server.is_some() || supervisor.is_some() {
                let reason = memory
                    .put_down
                    .as_ref()
                    .map_or(Reason::Disabled, |put_down| {
                        Reason::PutDown(put_down.reason.clone())
                    });
                self.drafts
                    .add(Draft::new(Action::Stop(stop(name, seen, wanted)), reason));
            } else if let Some(put_down) = &memory.put_down
                && wanted.enabled
            {
                self.hold(
                    name,
                    HoldReason::PutDown {
                        reason: put_down.reason.clone(),
                    },
                    None,
                );
            }
            return;
        }
        if let Some(failed) = &seen.failed {
            return self.failed_before(name, wanted, seen, memory, failed);
        }
        match (server, &seen.comparison) {
            (Some(server), Comparison::Match) => self.matching(name, wanted, seen, server),
            (Some(server), Comparison::Differs(changes)) => {
                let reason = Reason::Drift {
                    changes: changes.clone(),
                    last_load: server.load.or(memory.last_load),
                };
                let fallback = Some(&server.launch).filter(|_| server.verdict == Verdict::Passed);
                let start = self.start_of(name, wanted, seen, memory, fallback);
                self.try_start(name, Action::Replace(Box::new(start)), reason, seen);
            }
            (None, comparison) => {
                let same = *comparison == Comparison::Match;
                if same && let Some(supervisor) = supervisor {
                    return self.no_server_yet(name, supervisor);
                }
                if same && let Some(why) = &memory.gave_up {
                    return self.hold(name, HoldReason::GaveUp(why.clone()), None);
                }
                let reason = match memory.last_exit {
                    Some((exit, _)) if !memory.ended_on_request => Reason::Crashed(exit),
                    _ => Reason::NotRunning,
                };
                let start = self.start_of(name, wanted, seen, memory, None);
                self.try_start(name, Action::Start(Box::new(start)), reason, seen);
            }
            (Some(_), Comparison::Unknown(_)) => self.unseen(name, seen),
        }
    }

    /// What runs is what is wanted: at most its supervision is to be mended.
    fn matching(
        &mut self,
        name: &InstanceName,
        wanted: &Wanted,
        seen: &ObservedInstance,
        server: &ObservedServer,
    ) {
        self.mend_supervision(name, wanted, seen);
        if server.verdict == Verdict::Starting {
            let for_seconds = Ago::between(server.since, self.observed.at);
            self.hold(name, HoldReason::Starting { for_seconds }, None);
        } else if server.health == Health::Unresponsive {
            self.hold(name, HoldReason::Unresponsive, None);
        }
    }

    fn mend_supervision(&mut self, name: &InstanceName, wanted: &Wanted, seen: &ObservedInstance) {
        let reason = match &seen.supervisor {
            Seen::Known(None) => Reason::Unsupervised,
            Seen::Known(Some(supervisor)) => {
                let fields = supervisor.settings.changed_fields(&wanted.supervision);
                if fields.is_empty() {
                    return;
                }
                Reason::Settings(fields)
            }
            Seen::Unknown(_) => return,
        };
        let update = Update {
            instance: name.clone(),
            revision: seen.revision.clone(),
            supervision: wanted.supervision.clone(),
            adopt: reason == Reason::Unsupervised,
        };
        self.drafts
            .add(Draft::new(Action::Update(Box::new(update)), reason));
    }

    fn no_server_yet(&mut self, name: &InstanceName, supervisor: &crate::observed::Supervisor) {
        match supervisor.backing_off {
            Some(until) => {
                let why = HoldReason::BackingOff {
                    restarts: supervisor.restarts,
                    in_seconds: Ago::between(self.observed.at, until),
                };
                self.hold(name, why, Some(until));
            }
            None => self.hold(name, HoldReason::Starting { for_seconds: 0 }, None),
        }
    }

    /// The wanted launch has failed: it is not tried again, and something proven runs in its stead.
    fn failed_before(
        &mut self,
        name: &InstanceName,
        wanted: &Wanted,
        seen: &ObservedInstance,
        memory: &Memory,
        failed: &FailedLaunch,
    ) {
        let server = seen.server.known().and_then(Option::as_ref);
        let supervised = seen.supervisor.known().is_some_and(Option::is_some);
        let why = HoldReason::FailedInputs {
            build: failed.build.clone(),
            failure: failed.failure.clone(),
            seconds_ago: Ago::between(failed.at, self.observed.at),
            runs: server.map(|server| server.launch.launch.build.clone()),
        };
        self.hold(name, why, None);
        if server.is_some() {
            self.mend_supervision(name, wanted, seen);
            return;
        }
        let proven = memory.proven.iter().find(|launch| {
            launch.fingerprint() != failed.fingerprint && self.is_installed(launch.launch.binary)
        });
        if let (false, Some(proven), None) = (supervised, proven, &memory.gave_up) {
            let start = Start {
                instance: name.clone(),
                revision: seen.revision.clone(),
                launch: PlannedLaunch::Proven(proven.clone()),
                fallback: None,
                supervision: wanted.supervision.clone(),
                protect: self.desired.protect.contains(name),
            };
            let reason = Reason::FallsBack(failed.failure.clone());
            if let Some(by) = self.port_holder(start.launch.launch().port) {
                let port = start.launch.launch().port;
                return self.block(name, BlockReason::PortHeld { port, by });
            }
            self.drafts
                .add(Draft::new(Action::Start(Box::new(start)), reason));
        }
    }

    fn start_of(
        &self,
        name: &InstanceName,
        wanted: &Wanted,
        seen: &ObservedInstance,
        memory: &Memory,
        replaced: Option<&RecordedLaunch>,
    ) -> Start {
        let fallback = replaced
            .into_iter()
            .chain(&memory.proven)
            .find(|launch| {
                launch.launch.inputs != wanted.launch.inputs
                    && self.is_installed(launch.launch.binary)
            })
            .cloned();
        Start {
            instance: name.clone(),
            revision: seen.revision.clone(),
            launch: PlannedLaunch::Wanted(wanted.launch.clone()),
            fallback,
            supervision: wanted.supervision.clone(),
            protect: self.desired.protect.contains(name),
        }
    }

    /// Adds the step if nothing is in its way; says what is otherwise.
    fn try_start(
        &mut self,
        name: &InstanceName,
        action: Action,
        reason: Reason,
        seen: &ObservedInstance,
    ) {
        let (Action::Start(start) | Action::Replace(start)) = &action else {
            return;
        };
        let launch = start.launch.launch();
        if !seen.missing.is_empty() {
            return self.block(name, BlockReason::Missing(seen.missing.clone()));
        }
        if let Some(by) = self.port_holder(launch.port) {
            return self.block(
                name,
                BlockReason::PortHeld {
                    port: launch.port,
                    by,
                },
            );
        }
        let mut draft = Draft::new(action.clone(), reason);
        match self.installed.get(&launch.binary) {
            Some(Build::Step(install)) => draft.after(*install, Needs::Success),
            Some(Build::Blocked(why)) => {
                let why = why.clone();
                return self.block(name, why);
            }
            Some(Build::Unseen(why)) => {
                let why = HoldReason::Unseen(why.clone());
                return self.hold(name, why, None);
            }
            Some(Build::Present) | None => {}
        }
        self.drafts.add(draft);
    }

    fn port_holder(&self, port: u16) -> Option<String> {
        self.observed.host.ports.known()?.get(&port).cloned()
    }

    fn is_installed(&self, id: BinaryId) -> bool {
        self.observed.binaries.known().is_some_and(|binaries| {
            binaries.iter().any(|(key, binary)| {
                (*key == id || binary.aliases.contains(&id)) && binary.damage.is_none()
            })
        })
    }

    /// Decides about instances that left the manifest.
    fn removals(&mut self) {
        let known = self
            .observed
            .instances
            .values()
            .filter(|seen| seen.memory.known().is_none_or(|memory| memory.traces))
            .count();
        let gone: Vec<_> = self
            .observed
            .instances
            .iter()
            .filter(|(name, _)| !self.desired.instances.contains_key(*name))
            .collect();
        let most = known >= 3 && gone.len() * 2 > known;
        let refused = !self.desired.allow_empty && (self.desired.instances.is_empty() || most);
        for (name, seen) in &gone {
            let Seen::Known(memory) = &seen.memory else {
                self.unseen(name, seen);
                continue;
            };
            if seen.unseen().is_some() {
                self.unseen(name, seen);
            } else if memory.protected {
                self.hold(name, HoldReason::Protected, None);
            } else if refused {
                let why = HoldReason::TooManyRemovals {
                    removed: gone.len(),
                    of: known,
                };
                self.hold(name, why, None);
            } else {
                let stop_timeout = match &seen.supervisor {
                    Seen::Known(Some(supervisor)) => supervisor.settings.stop_timeout,
                    _ => crate::instance::Supervision::default().stop_timeout,
                };
                let stop = Stop {
                    instance: (*name).clone(),
                    revision: seen.revision.clone(),
                    stop_timeout,
                };
                self.drafts
                    .add(Draft::new(Action::Remove(stop), Reason::NoLongerWanted));
            }
        }
    }

    /// A start that takes a port comes after whatever frees it. Two that swap ports are stopped
    /// first; one whose port is not going to be freed is blocked.
    fn free_ports(&mut self) {
        let mut holders: BTreeMap<u16, &InstanceName> = BTreeMap::new();
        for (name, seen) in &self.observed.instances {
            if let Seen::Known(Some(server)) = &seen.server {
                holders.insert(server.launch.launch.port, name);
            }
        }
        loop {
            let stuck = self.drafts.iter().find_map(|(index, draft)| {
                let (name, port) = draft.takes_port()?;
                let holder = *holders.get(&port)?;
                (holder != name && self.drafts.frees_port(holder, port).is_none())
                    .then(|| (index, name.clone(), port, holder.clone()))
            });
            let Some((index, name, port, holder)) = stuck else {
                break;
            };
            self.drafts.remove(index);
            let by = format!("`{holder}`, which is left as it is");
            self.block(&name, BlockReason::PortHeld { port, by });
        }
        self.drafts.order_by_ports(&holders);
    }

    /// A start comes after the starts of what it depends on, and waits where those are not up.
    fn await_dependencies(&mut self) {
        loop {
            let stuck = self.drafts.iter().find_map(|(index, draft)| {
                let (name, _) = draft.takes_port()?;
                let WantedInstance::Resolved(wanted) = self.desired.instances.get(name)? else {
                    return None;
                };
                let missing = wanted.depends_on.iter().find(|other| {
                    !self.up.contains(*other) && self.drafts.start_of(other).is_none()
                })?;
                Some((index, name.clone(), missing.clone()))
            });
            let Some((index, name, missing)) = stuck else {
                break;
            };
            let running = matches!(
                self.observed.instances.get(&name).map(|seen| &seen.server),
                Some(Seen::Known(Some(_)))
            );
            self.drafts.remove(index);
            self.hold(&name, HoldReason::WaitsFor(missing), None);
            // The instance goes on running what it runs, so nothing that waits for it is stuck.
            if !running {
                self.up.remove(&name);
            }
        }
        for (name, wanted) in &self.desired.instances {
            if let WantedInstance::Resolved(wanted) = wanted {
                self.drafts.depend(name, &wanted.depends_on);
            }
        }
        if let Some(canary) = &self.desired.rollout.canary {
            self.drafts.follow_canary(canary);
        }
    }

    /// What no instance uses or could need for a rollback, beyond what is kept.
    fn unused(&mut self) -> Vec<Unused> {
        let Seen::Known(binaries) = &self.observed.binaries else {
            return Vec::new();
        };
        let mut used: BTreeSet<BinaryId> = self.desired.binaries.keys().copied().collect();
        for seen in self.observed.instances.values() {
            let (Seen::Known(memory), Seen::Known(server)) = (&seen.memory, &seen.server) else {
                return Vec::new();
            };
            used.extend(memory.proven.iter().map(|launch| launch.launch.binary));
            used.extend(server.iter().map(|server| server.launch.launch.binary));
        }
        for wanted in self.desired.instances.values() {
            match wanted {
                WantedInstance::Resolved(wanted) => used.extend([wanted.launch.binary]),
                // It may turn out to be pinned to anything that is here.
                WantedInstance::Unresolved(_) => return Vec::new(),
            }
        }
        let mut idle: Vec<_> = binaries
            .iter()
            .filter(|(id, binary)| {
                binary.prunable
                    && !used.contains(id)
                    && !binary.aliases.iter().any(|alias| used.contains(alias))
            })
            .collect();
        idle.sort_by_key(|(id, binary)| (std::cmp::Reverse(binary.installed), **id));
        let mut unused = Vec::new();
        for (id, binary) in idle.into_iter().skip(self.desired.retention.keep) {
            if self.desired.retention.prune {
                let prune = Prune {
                    binary: *id,
                    build: binary.build.clone(),
                    variant: binary.variant.clone(),
                    size: binary.size,
                };
                self.drafts
                    .add_last(Draft::new(Action::Prune(prune), Reason::Unused));
            } else {
                let subject = Subject::Binary {
                    build: binary.build.clone(),
                    variant: binary.variant.clone(),
                };
                unused.push(Unused {
                    binary: *id,
                    subject,
                    size: binary.size,
                });
            }
        }
        unused
    }

    fn finish(self, unused: Vec<Unused>) -> Plan {
        let Self {
            desired,
            drafts,
            mut holds,
            mut blockers,
            ..
        } = self;
        holds.sort_by(|a, b| a.subject.cmp(&b.subject));
        blockers.sort_by(|a, b| a.subject.cmp(&b.subject));
        Plan {
            steps: graph::arrange(drafts),
            holds,
            blockers,
            unused,
            limits: Limits {
                max_parallel: desired.rollout.max_parallel.max(1),
                start_parallel: desired.rollout.start_parallel.max(1),
            },
        }
    }

    fn hold(&mut self, name: &InstanceName, why: HoldReason, until: Option<Timestamp>) {
        self.holds.push(Hold {
            subject: Subject::Instance(name.clone()),
            why,
            until,
        });
    }

    fn block(&mut self, name: &InstanceName, why: BlockReason) {
        self.blockers.push(Blocker {
            subject: Subject::Instance(name.clone()),
            why,
        });
    }

    fn unseen(&mut self, name: &InstanceName, seen: &ObservedInstance) {
        if let Some(why) = seen.unseen() {
            self.hold(name, HoldReason::Unseen(why.clone()), None);
        }
    }
}

fn stop(name: &InstanceName, seen: &ObservedInstance, wanted: &Wanted) -> Stop {
    Stop {
        instance: name.clone(),
        revision: seen.revision.clone(),
        stop_timeout: wanted.supervision.stop_timeout,
    }
}

impl Plan {
    /// Whether there is anything to do.
    pub fn has_changes(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether what was seen is what is wanted: no step, no blocker, nothing starting, and no
    /// failure on hold.
    pub fn is_converged(&self) -> bool {
        self.steps.is_empty()
            && self.blockers.is_empty()
            && self.holds.iter().all(|hold| {
                !hold.why.is_failure() && !matches!(hold.why, HoldReason::Starting { .. })
            })
    }

    /// Whether something is blocked, or on hold after a failure.
    pub fn needs_attention(&self) -> bool {
        !self.blockers.is_empty() || self.holds.iter().any(|hold| hold.why.is_failure())
    }

    /// The steps, each after those it comes after; ties by kind and name, stable to the byte.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is not done in this pass.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// What is wanted and cannot be done.
    pub fn blockers(&self) -> &[Blocker] {
        &self.blockers
    }

    /// Builds that `--prune` would take away.
    pub fn unused(&self) -> &[Unused] {
        &self.unused
    }

    /// How many steps of a kind may run at a time.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The instances whose gate is not decided, so that they are neither converged nor to be touched.
    pub fn starting(&self) -> Vec<InstanceName> {
        self.holds
            .iter()
            .filter(|hold| matches!(hold.why, HoldReason::Starting { .. }))
            .filter_map(|hold| hold.subject.instance().cloned())
            .collect()
    }

    /// Whether some instance waits for another one that is not up.
    pub fn waits_for_another(&self) -> bool {
        self.holds
            .iter()
            .any(|hold| matches!(hold.why, HoldReason::WaitsFor(_)))
    }

    /// When the earliest hold that time alone ends is over.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.holds.iter().filter_map(|hold| hold.until).min()
    }

    /// The same plan without the removals, which become holds: nobody has agreed to them.
    #[must_use]
    pub fn without_removals(mut self) -> Self {
        let removals: Vec<Subject> = self
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::Remove(_)))
            .map(|step| step.action.subject())
            .collect();
        self.keep_steps(|step| !matches!(step.action, Action::Remove(_)));
        self.holds.extend(removals.into_iter().map(|subject| Hold {
            subject,
            why: HoldReason::NeedsConsent,
            until: None,
        }));
        self.holds.sort_by(|a, b| a.subject.cmp(&b.subject));
        self
    }

    /// Only what concerns these instances, with the installs they need. A step that would need
    /// another instance's step is held.
    #[must_use]
    pub fn narrowed(mut self, names: &BTreeSet<InstanceName>) -> Self {
        let asked = |subject: &Subject| subject.instance().is_some_and(|name| names.contains(name));
        let needed: BTreeSet<_> = self
            .steps
            .iter()
            .filter(|step| asked(&step.action.subject()))
            .flat_map(|step| step.after.iter().map(|after| after.step))
            .collect();
        self.keep_steps(|step| {
            asked(&step.action.subject())
                || (needed.contains(&step.id) && matches!(step.action, Action::Install(_)))
        });
        self.holds.retain(|hold| asked(&hold.subject));
        self.blockers.retain(|blocker| asked(&blocker.subject));
        self.unused.clear();
        self
    }

    /// Drops steps, and those that need the success of a dropped one, which become holds.
    fn keep_steps(&mut self, keep: impl Fn(&Step) -> bool) {
        let mut dropped: BTreeMap<action::StepId, Subject> = BTreeMap::new();
        let mut kept: Vec<Step> = Vec::new();
        for step in std::mem::take(&mut self.steps) {
            if !keep(&step) {
                dropped.insert(step.id, step.action.subject());
                continue;
            }
            let stuck = step
                .after
                .iter()
                .filter(|after| after.needs == Needs::Success)
                .find_map(|after| dropped.get(&after.step)?.instance());
            if let Some(other) = stuck {
                let why = HoldReason::WaitsFor(other.clone());
                self.holds.push(Hold {
                    subject: step.action.subject(),
                    why,
                    until: None,
                });
                dropped.insert(step.id, step.action.subject());
            } else {
                kept.push(step);
            }
        }
        self.steps = graph::renumber(kept);
        self.holds.sort_by(|a, b| a.subject.cmp(&b.subject));
    }
}

/// How long a replaced model file must have been still before it counts: a copy in progress is
/// not a new model.
pub const MODEL_STILL_FOR: SignedDuration = SignedDuration::from_secs(60);
