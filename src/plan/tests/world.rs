//! A small world the planner can be asked about, and in which what it plans comes true at once.
//!
//! No clock, no gates that take time: those are the simulation's, in `tests/it`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::desired::{
    ArchiveOrigin, Desired, Unanswered, Unresolved, Wanted, WantedArchive, WantedBinary,
    WantedInstance,
};
use crate::instance::record::{
    FailedLaunch, Failure, PutDown, RecordedLaunch, RolledBack, Suspended,
};
use crate::instance::state::{Exit, Health, PROTOCOL};
use crate::instance::{BinaryId, InstanceName, Launch, LaunchInputs, Supervision};
use crate::manifest::OnFailure;
use crate::observed::{
    Comparison, ListensAt, Observed, ObservedBinary, ObservedInstance, ObservedServer, Revision,
    Seen, Stranger, Supervisor, Unseen, Verdict,
};
use crate::plan::action::{Action, PlannedLaunch, Start};
use crate::plan::ports::overlap;
use crate::plan::{Plan, plan};
use crate::release::{BuildName, Digest, Tag, Variant};

pub(super) fn name(text: &str) -> InstanceName {
    text.parse().expect("the name of an instance")
}

fn build(text: &str) -> BuildName {
    text.parse().expect("the name of a build")
}

pub(super) fn id(text: &str) -> BinaryId {
    let digest = Digest::of(text).to_string();
    let bits = u128::from_str_radix(&digest[..32], 16).expect("hexadecimal digits");
    BinaryId::new(Uuid::from_u128(bits))
}

/// A launch on a build, on port 8071 unless said otherwise.
pub(super) fn on(version: &str) -> Launch {
    let mut inputs = LaunchInputs::default();
    inputs.set("binary", serde_json::json!({ "build": version }));
    let launch = Launch {
        binary: id(version),
        build: build(version),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        host: "127.0.0.1".to_owned(),
        port: 0,
        api_key: None,
        files: BTreeMap::new(),
        fetches: false,
        router: false,
        foreign: false,
        gpu: None,
        inputs,
    };
    launch.at(8071)
}

impl Launch {
    pub(super) fn at(mut self, port: u16) -> Self {
        self.port = port;
        self.inputs.set("server.port", port);
        self
    }

    pub(super) fn at_host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self.inputs.set("server.host", host);
        self
    }

    pub(super) fn with(mut self, field: &str, value: impl Into<serde_json::Value>) -> Self {
        self.inputs.set(field, value);
        self
    }

    pub(super) fn recorded(self) -> RecordedLaunch {
        RecordedLaunch {
            program: format!("bins/{}/llama-server", self.binary).into(),
            launch: self,
            facts: BTreeMap::new(),
        }
    }
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    /// The launch each instance was last assigned, and those of it that have failed.
    assigned: BTreeMap<InstanceName, RecordedLaunch>,
    failed: BTreeMap<InstanceName, Vec<FailedLaunch>>,
    /// Builds that do not pass their gate.
    pub(super) bad: BTreeSet<BuildName>,
}

/// Short enough to be read when a property does not hold.
impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |launch: &Launch| format!("{} at {}", launch.build, launch.port);
        writeln!(
            f,
            "bad: {:?}, ports: {:?}",
            self.bad, self.observed.host.strangers
        )?;
        for (name, wanted) in &self.desired.instances {
            match wanted {
                WantedInstance::Resolved(wanted) => writeln!(
                    f,
                    "{name} wants {} (enabled: {}, after {:?})",
                    at(&wanted.launch),
                    wanted.enabled,
                    wanted.depends_on
                )?,
                WantedInstance::Unresolved(_) => writeln!(f, "{name} is not resolved")?,
            }
        }
        for (name, seen) in &self.observed.instances {
            let server = seen.server.known().and_then(Option::as_ref);
            let runs = server.map(|server| (at(&server.launch.launch), server.verdict));
            let supervisor = seen.supervisor.known().and_then(Option::as_ref);
            let backing_off = supervisor.map(|supervisor| supervisor.backing_off);
            let put_down = seen.memory.known().map(|memory| memory.put_down.is_some());
            let failed = self.failed.get(name).map_or(0, Vec::len);
            writeln!(
                f,
                "{name} runs {runs:?}, supervisor {backing_off:?}, put down {put_down:?}, \
                 {failed} failed, unseen {:?}, missing {:?}",
                seen.unseen(),
                seen.missing
            )?;
        }
        write!(f, "{}", self.plan())
    }
}

impl World {
    pub(super) fn new() -> Self {
        let mut desired = Desired::nothing();
        desired.retention.keep = 0;
        Self {
            desired,
            observed: Observed::nothing("2026-11-23T12:00:00Z".parse().expect("a timestamp")),
            assigned: BTreeMap::new(),
            failed: BTreeMap::new(),
            bad: BTreeSet::new(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.observed.at
    }

    // What is wanted.

    pub(super) fn wants(mut self, who: &str, launch: Launch) -> Self {
        self.desired
            .binaries
            .insert(launch.binary, wanted_binary(&launch.build));
        let wanted = Wanted {
            launch: Arc::new(launch),
            supervision: Supervision::default(),
            enabled: true,
            depends_on: BTreeSet::new(),
            on_failure: OnFailure::Rollback,
        };
        let wanted = WantedInstance::Resolved(Box::new(wanted));
        self.desired.instances.insert(name(who), wanted);
        self
    }

    pub(super) fn unresolved(mut self, who: &str, why: Unanswered) -> Self {
        let unresolved = Unresolved {
            why,
            supervision: Supervision::default(),
            enabled: true,
        };
        let wanted = WantedInstance::Unresolved(Box::new(unresolved));
        self.desired.instances.insert(name(who), wanted);
        self
    }

    pub(super) fn wanted(mut self, who: &str, change: impl FnOnce(&mut Wanted)) -> Self {
        let Some(WantedInstance::Resolved(wanted)) = self.desired.instances.get_mut(&name(who))
        else {
            panic!("{who} is not wanted");
        };
        change(wanted);
        self
    }

    pub(super) fn depends(self, who: &str, on: &[&str]) -> Self {
        self.wanted(who, |wanted| {
            wanted.depends_on = on.iter().map(|other| name(other)).collect();
        })
    }

    pub(super) fn desired(mut self, change: impl FnOnce(&mut Desired)) -> Self {
        change(&mut self.desired);
        self
    }

    // What there is.

    pub(super) fn installed(mut self, version: &str) -> Self {
        let Seen::Known(binaries) = &mut self.observed.binaries else {
            panic!("the builds are not seen");
        };
        binaries.insert(
            id(version),
            observed_binary(&build(version), self.observed.at),
        );
        self
    }

    /// A server that has passed its gate, with its supervisor.
    pub(super) fn runs(mut self, who: &str, launch: Launch) -> Self {
        self = self.installed(launch.build.as_str());
        self.start(&name(who), launch.recorded());
        self
    }

    pub(super) fn starting(self, who: &str, launch: Launch) -> Self {
        let since = self.now() - SignedDuration::from_secs(40);
        self.runs(who, launch).server(who, |server| {
            server.verdict = Verdict::Starting;
            server.since = since;
        })
    }

    /// Known, and nothing lives: it was stopped on request.
    pub(super) fn stopped(mut self, who: &str, launch: Launch) -> Self {
        self = self.runs(who, launch);
        self.stop(&name(who));
        self
    }

    /// Nothing lives, and nobody asked for that.
    pub(super) fn crashed(self, who: &str, launch: Launch) -> Self {
        let now = self.now();
        self.stopped(who, launch).memory(who, |memory| {
            memory.ended_on_request = false;
            memory.last_exit = Some((Exit::Signal(9), now));
        })
    }

    /// Its supervisor waits to start its server again.
    pub(super) fn backing_off(self, who: &str, launch: Launch, seconds: i64) -> Self {
        let until = self.now() + SignedDuration::from_secs(seconds);
        self.runs(who, launch).see(who, |seen| {
            seen.server = Seen::Known(None);
            let Seen::Known(Some(supervisor)) = &mut seen.supervisor else {
                panic!("no supervisor");
            };
            supervisor.backing_off = Some(until);
            supervisor.restarts = 4;
        })
    }

    pub(super) fn unsupervised(self, who: &str) -> Self {
        self.see(who, |seen| seen.supervisor = Seen::Known(None))
    }

    pub(super) fn put_down(self, who: &str, reason: Option<&str>) -> Self {
        let at = self.now();
        self.memory(who, |memory| {
            memory.put_down = Some(PutDown {
                at,
                reason: reason.map(str::to_owned),
            });
        })
    }

    /// A person wants it left as it is.
    pub(super) fn suspended(self, who: &str, reason: Option<&str>) -> Self {
        let at = self.now() - SignedDuration::from_mins(3);
        self.memory(who, |memory| {
            memory.suspended = Some(Suspended {
                at,
                reason: reason.map(str::to_owned),
            });
        })
    }

    /// A person wants it restarted, whether or not it has changed.
    pub(super) fn restart(self, who: &str, why: Option<&str>) -> Self {
        self.desired(|desired| {
            desired.restart.insert(name(who), why.map(str::to_owned));
        })
    }

    /// A person went back to a launch when the manifest said another one.
    pub(super) fn rolled_back(self, who: &str, to: Launch, instead_of: &Launch) -> Self {
        let rolled_back = RolledBack {
            launch: to.recorded(),
            instead_of: instead_of.fingerprint(),
            instead_of_build: instead_of.build.clone(),
            at: self.now() - SignedDuration::from_hours(2),
            reason: Some("it is slow".to_owned()),
        };
        self.memory(who, |memory| memory.rolled_back = Some(rolled_back))
    }

    pub(super) fn proven(self, who: &str, launch: Launch) -> Self {
        self.installed(launch.build.as_str())
            .memory(who, |memory| memory.proven.push(launch.recorded()))
    }

    pub(super) fn failed(mut self, who: &str, launch: Launch) -> Self {
        let failed = failed_launch(
            &launch.recorded(),
            self.now() - SignedDuration::from_hours(2),
        );
        self.failed.entry(name(who)).or_default().push(failed);
        self.refresh();
        self
    }

    pub(super) fn memory(
        self,
        who: &str,
        change: impl FnOnce(&mut crate::observed::Memory),
    ) -> Self {
        self.see(who, |seen| {
            let Seen::Known(memory) = &mut seen.memory else {
                panic!("the memory is not seen");
            };
            change(memory);
        })
    }

    pub(super) fn server(self, who: &str, change: impl FnOnce(&mut ObservedServer)) -> Self {
        self.see(who, |seen| {
            let Seen::Known(Some(server)) = &mut seen.server else {
                panic!("no server");
            };
            change(server);
        })
    }

    pub(super) fn see(mut self, who: &str, change: impl FnOnce(&mut ObservedInstance)) -> Self {
        let seen = self.observed.instances.entry(name(who));
        change(seen.or_insert_with(ObservedInstance::absent));
        self
    }

    pub(super) fn observed(mut self, change: impl FnOnce(&mut Observed)) -> Self {
        change(&mut self.observed);
        self
    }

    pub(super) fn stranger_at(self, port: u16, who: &str) -> Self {
        self.stranger(ListensAt::Port([0, 0, 0, 0].into(), port), who)
    }

    pub(super) fn stranger(self, at: ListensAt, who: &str) -> Self {
        self.observed(|observed| {
            let Seen::Known(strangers) = &mut observed.host.strangers else {
                panic!("the ports are not seen");
            };
            strangers.push(Stranger {
                at,
                who: who.to_owned(),
            });
        })
    }

    // What follows.

    /// Compares anew what was assigned with what is wanted now.
    pub(super) fn refresh(&mut self) {
        for (name, seen) in &mut self.observed.instances {
            let Some(WantedInstance::Resolved(wanted)) = self.desired.instances.get(name) else {
                continue;
            };
            let rolled_back = seen.memory.known();
            let rolled_back = rolled_back.and_then(|it| it.rollback_against(&wanted.launch));
            let wanted = match rolled_back {
                Some(rolled_back) => rolled_back.launch.clone(),
                None => Launch::clone(&wanted.launch).recorded(),
            };
            let running = match &seen.server {
                Seen::Known(Some(server)) => Some(&server.launch),
                Seen::Known(None) | Seen::Unknown(_) => None,
            };
            if !matches!(seen.comparison, Comparison::Unknown(_)) {
                let changes = running
                    .or(self.assigned.get(name))
                    .map(|launch| launch.changes_to(&wanted))
                    .unwrap_or_default();
                seen.comparison = if changes.is_empty() {
                    Comparison::Match
                } else {
                    Comparison::Differs(changes)
                };
            }
            let failed = self.failed.get(name).into_iter().flatten();
            seen.failed = failed
                .rev()
                .find(|failed| failed.fingerprint == wanted.fingerprint())
                .cloned();
        }
    }

    pub(super) fn plan(&self) -> Plan {
        let mut fresh = self.clone();
        fresh.refresh();
        plan(&fresh.desired, &fresh.observed)
    }

    /// The plan as people see it.
    pub(super) fn shown(&self) -> String {
        self.plan().to_string()
    }

    /// Makes a plan come true, but for the steps that fail and those that need them.
    pub(super) fn carry_out(&mut self, plan: &Plan) {
        self.carry_out_but(plan, |_| false);
    }

    pub(super) fn carry_out_but(&mut self, plan: &Plan, fails: impl Fn(&Action) -> bool) {
        let mut done = Vec::new();
        for step in plan.steps() {
            let ready = step.after.iter().all(|after| {
                done[after.step.index()] || after.needs == crate::plan::action::Needs::Ended
            });
            done.push(ready && !fails(&step.action) && self.perform(&step.action));
        }
        self.refresh();
    }

    fn perform(&mut self, action: &Action) -> bool {
        match action {
            Action::Install(binary) => {
                let Seen::Known(binaries) = &mut self.observed.binaries else {
                    panic!("installed blindly");
                };
                binaries.insert(binary.id, observed_binary(&binary.build, self.observed.at));
            }
            Action::Fetch(fetch) => {
                let seen = self.observed.instances.entry(fetch.instance.clone());
                seen.or_insert_with(ObservedInstance::absent).fetched = true;
            }
            Action::Start(start) => {
                assert!(self.server_of(&start.instance).is_none(), "two servers");
                return self.perform_start(start);
            }
            Action::Replace(start) => {
                assert!(
                    self.server_of(&start.instance).is_some(),
                    "nothing to replace"
                );
                return self.perform_start(start);
            }
            Action::Update(update) => {
                let launch = self.server_of(&update.instance);
                let seen = self.observed.instances.get_mut(&update.instance);
                let seen = seen.expect("an instance to update");
                if let (Seen::Known(None), Some(launch)) = (&seen.supervisor, &launch) {
                    assert!(update.adopt, "a supervisor to take over");
                    seen.supervisor = Seen::Known(Some(supervisor(launch, None)));
                }
                let Seen::Known(Some(supervisor)) = &mut seen.supervisor else {
                    panic!("no supervisor to update");
                };
                supervisor.settings = update.supervision.clone();
                let Seen::Known(memory) = &mut seen.memory else {
                    panic!("updated blindly");
                };
                memory.protected |= update.protect;
            }
            Action::Stop(stop) => self.stop(&stop.instance),
            Action::Remove(stop) => {
                self.observed.instances.remove(&stop.instance);
                self.assigned.remove(&stop.instance);
            }
            Action::Prune(prune) => {
                let Seen::Known(binaries) = &mut self.observed.binaries else {
                    panic!("pruned blindly");
                };
                binaries.remove(&prune.binary);
            }
        }
        true
    }

    fn perform_start(&mut self, start: &Start) -> bool {
        self.desired.restart.remove(&start.instance);
        let launch = match &start.launch {
            PlannedLaunch::Wanted(launch) => Launch::clone(launch).recorded(),
            PlannedLaunch::Proven(launch) => RecordedLaunch::clone(launch),
        };
        // A proven launch has passed here before: its supervisor tries it without end.
        let proven = matches!(start.launch, PlannedLaunch::Proven(_));
        let passes = proven || !self.bad.contains(&launch.launch.build);
        if passes {
            self.start(&start.instance, launch);
        } else {
            let failed = failed_launch(&launch, self.observed.at);
            let all = self.failed.entry(start.instance.clone()).or_default();
            all.push(failed);
            if let Some(fallback) = &start.fallback {
                self.start(&start.instance, fallback.clone());
            } else {
                self.assigned.insert(start.instance.clone(), launch);
                self.stop(&start.instance);
            }
        }
        if let Some(seen) = self.observed.instances.get_mut(&start.instance) {
            if let Seen::Known(memory) = &mut seen.memory {
                memory.protected |= start.protect;
            }
            if let Seen::Known(Some(supervisor)) = &mut seen.supervisor {
                supervisor.settings = start.supervision.clone();
            }
        }
        passes
    }

    fn server_of(&self, name: &InstanceName) -> Option<RecordedLaunch> {
        match &self.observed.instances.get(name)?.server {
            Seen::Known(server) => server.as_ref().map(|server| server.launch.clone()),
            Seen::Unknown(_) => panic!("acted upon what was not seen"),
        }
    }

    fn start(&mut self, name: &InstanceName, launch: RecordedLaunch) {
        assert!(
            self.is_installed(launch.launch.binary),
            "{name} started from a build that is not there"
        );
        for (other, seen) in &self.observed.instances {
            if let Seen::Known(Some(server)) = &seen.server
                && other != name
            {
                let both = format!("{name} and {other}");
                assert!(
                    !overlap(&server.launch.launch, &launch.launch),
                    "{both} listen on one address"
                );
            }
        }
        let since = self.observed.at - SignedDuration::from_hours(1);
        let seen = self.observed.instances.entry(name.clone());
        let seen = seen.or_insert_with(ObservedInstance::absent);
        seen.revision = Revision::new(*b"it runs");
        seen.supervisor = Seen::Known(Some(supervisor(&launch, None)));
        seen.server = Seen::Known(Some(ObservedServer {
            launch: launch.clone(),
            verdict: Verdict::Passed,
            health: Health::Healthy,
            proven: false,
            since,
            load: Some(11.6),
            process: "pid 4121".to_owned(),
            restarts: 0,
        }));
        if let Seen::Known(memory) = &mut seen.memory {
            memory.traces = true;
            memory.last_load = Some(11.6);
        }
        self.assigned.insert(name.clone(), launch);
        self.refresh();
    }

    pub(super) fn is_installed(&self, id: BinaryId) -> bool {
        self.observed.binaries.known().is_some_and(|binaries| {
            binaries
                .iter()
                .any(|(key, binary)| *key == id || binary.aliases.contains(&id))
        })
    }

    fn stop(&mut self, name: &InstanceName) {
        let seen = self.observed.instances.entry(name.clone());
        let seen = seen.or_insert_with(ObservedInstance::absent);
        seen.revision = Revision::new(*b"it is down");
        seen.supervisor = Seen::Known(None);
        seen.server = Seen::Known(None);
        if let Seen::Known(memory) = &mut seen.memory {
            memory.traces = true;
            memory.ended_on_request = true;
            memory.last_exit = Some((Exit::Signal(15), self.observed.at));
        }
    }

    /// The plan comes true, and nothing is left to do.
    pub(super) fn assert_settles(mut self) {
        let first = self.plan();
        self.carry_out(&first);
        let second = self.plan();
        assert!(
            !second.has_changes(),
            "the second plan is not empty:\n{second}\n\nthe first was:\n{first}"
        );
    }
}

pub(super) fn supervisor(launch: &RecordedLaunch, backing_off: Option<Timestamp>) -> Supervisor {
    Supervisor {
        settings: Supervision::default(),
        protocol: PROTOCOL,
        backing_off,
        restarts: 0,
        builds: BTreeSet::from([launch.launch.binary]),
    }
}

fn failed_launch(launch: &RecordedLaunch, at: Timestamp) -> FailedLaunch {
    FailedLaunch {
        fingerprint: launch.fingerprint(),
        build: launch.launch.build.clone(),
        failure: Failure {
            reason: "exited with code 1".to_owned(),
            log_tail: Vec::new(),
        },
        at,
        transient: false,
    }
}

pub(super) fn wanted_binary(build: &BuildName) -> WantedBinary {
    WantedBinary {
        id: id(build.as_str()),
        build: build.clone(),
        variant: Variant::new("ubuntu-vulkan-x64"),
        archives: vec![WantedArchive {
            name: format!("llama-{build}-bin-ubuntu-vulkan-x64.tar.gz"),
            size: Some(31_247_565),
            digest: Digest::of(build.as_str()),
            origin: ArchiveOrigin::Release(Tag::new(1)),
        }],
    }
}

fn observed_binary(build: &BuildName, at: Timestamp) -> ObservedBinary {
    ObservedBinary {
        build: build.clone(),
        variant: Variant::new("ubuntu-vulkan-x64"),
        size: 64_000_000,
        installed: Some(at),
        digest: Some(Digest::of(build.as_str())),
        damage: None,
        aliases: Vec::new(),
        prunable: true,
    }
}

pub(super) fn unseen(why: &str) -> Unseen {
    Unseen(why.to_owned())
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
