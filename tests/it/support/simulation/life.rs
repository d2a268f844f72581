//! The life of a simulated server: it loads, passes its gate or does not, ends, and is started
//! again when the real arithmetic of the backoff says so.

use std::time::Duration;

use jiff::Timestamp;
use llama_orch::backend::ActionError;
use llama_orch::instance::backoff::{NextStart, next_start};
use llama_orch::instance::record::{Assignment, FailedLaunch, Failure, Record, RecordedLaunch};
use llama_orch::instance::state::{Exit, Restarts, Role};
use llama_orch::instance::{InstanceName, Supervision};
use uuid::Uuid;

use super::{LastExit, World, settle};

/// How long every model takes to load.
const LOAD: Duration = Duration::from_secs(10);

/// How long a server of a bad build lives.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// A supervisor and what it works on, alive or as it left it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) assignment: Uuid,
    pub(super) launch: RecordedLaunch,
    fallback: Option<RecordedLaunch>,
    pub(super) supervision: Supervision,
    role: Role,
    pub(super) phase: Phase,
    /// Whether its supervisor lives, while there is something to supervise.
    pub(super) supervised: bool,
    /// The pid of the server, if one lives.
    pub(super) server: Option<u32>,
    pub(super) spawned: Timestamp,
    pub(super) load: Option<f64>,
    pub(super) proven: bool,
    pub(super) restarts: Restarts,
    failed: Option<FailedLaunch>,
    pub(super) boot: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    Starting { until: Timestamp },
    Running { since: Timestamp },
    BackingOff { until: Timestamp },
    GaveUp(Failure),
    Failed,
    Stopped,
}

impl Work {
    pub(super) fn is_supervised(&self) -> bool {
        let at_work = matches!(
            self.phase,
            Phase::Starting { .. } | Phase::Running { .. } | Phase::BackingOff { .. }
        );
        self.supervised && at_work
    }

    /// The failure it speaks of, unless a person has pardoned it.
    pub(super) fn failed_of(&self, record: &Record) -> Option<&FailedLaunch> {
        let failed = self.failed.as_ref();
        failed.filter(|_| record.pardoned != Some(self.assignment))
    }

    /// A new supervisor takes the server over.
    pub(super) fn adopt(&mut self, assignment: Uuid) {
        self.assignment = assignment;
        self.supervised = true;
        if self.role == Role::Fallback {
            self.fallback = None;
            self.role = Role::Wanted;
        }
        self.failed = None;
    }

    pub(super) fn as_assigned(&self) -> Assignment {
        Assignment {
            id: self.assignment,
            launch: self.launch.clone(),
            fallback: self.fallback.clone(),
            supervision: self.supervision.clone(),
            anew: false,
        }
    }

    /// When something happens to it by itself.
    fn due(&self) -> Option<Timestamp> {
        match self.phase {
            _ if !self.supervised => None,
            Phase::Starting { until } | Phase::BackingOff { until } => Some(until),
            Phase::Running { since } if !self.proven => Some(since + self.supervision.prove_after),
            Phase::Running { .. } | Phase::GaveUp(_) | Phase::Failed | Phase::Stopped => None,
        }
    }

    /// What is final about its assignment, as a step that waits for it is told.
    fn judge(&self) -> Option<Result<(), ActionError>> {
        let gate_failed = |failure: Option<Failure>, runs: bool| {
            let failed = self.failed.as_ref();
            let failure = failure.or_else(|| failed.map(|failed| failed.failure.clone()));
            let launch = &self.launch.launch;
            Some(Err(ActionError::GateFailed {
                build: failed.map_or(&launch.build, |failed| &failed.build).clone(),
                failure: failure.expect("a reason"),
                runs: runs.then(|| launch.build.clone()),
                left: false,
            }))
        };
        match (&self.phase, self.role) {
            (Phase::Running { .. }, Role::Wanted) => Some(Ok(())),
            (Phase::Running { .. }, Role::Fallback) => gate_failed(None, true),
            (Phase::Failed, _) | (Phase::BackingOff { .. }, Role::Fallback) => {
                gate_failed(None, false)
            }
            // A launch that has passed before is tried without end: nobody can wait for that.
            (Phase::BackingOff { until }, Role::Wanted) if self.proven || self.load.is_some() => {
                let reason = format!("ended again; its supervisor tries it next at {until:.0}");
                let log_tail = Vec::new();
                gate_failed(Some(Failure { reason, log_tail }), false)
            }
            (Phase::GaveUp(failure), _) => gate_failed(Some(failure.clone()), false),
            _ => None,
        }
    }
}

impl World {
    /// Lets time pass, and whatever is due in it happen.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((due, name)) = self.next().filter(|(due, _)| *due <= end) {
            self.happen(due, &name);
        }
        self.now = end;
    }

    /// When something happens by itself next.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.next().map(|(due, _)| due)
    }

    /// Whether an instance has a server that has passed its gate, and a supervisor.
    pub(crate) fn is_well(&self, name: &InstanceName) -> bool {
        let work = self.instances.get(name).and_then(|kept| kept.work.as_ref());
        work.is_some_and(|work| {
            work.is_supervised()
                && work.server.is_some()
                && matches!(work.phase, Phase::Running { .. })
        })
    }

    /// The same, for long enough that a crash says nothing of its launch.
    pub(crate) fn is_proven(&self, name: &InstanceName) -> bool {
        let work = self.instances.get(name).and_then(|kept| kept.work.as_ref());
        self.is_well(name) && work.is_some_and(|work| work.proven)
    }

    /// Waits for the gate of an instance that starts already.
    pub(crate) fn await_gate(&mut self, name: &InstanceName) -> Result<(), ActionError> {
        loop {
            let work = self.instances.get(name).and_then(|kept| kept.work.as_ref());
            let Some(work) = work else {
                return Err(ActionError::Stale(name.to_string()));
            };
            if let Some(verdict) = work.judge() {
                return verdict;
            }
            let (due, next) = self.next().expect("something that is waited for");
            self.happen(due, &next);
        }
    }

    /// A server ends by itself.
    pub(crate) fn crash(&mut self, name: &InstanceName) {
        let lives = self.work(name).server.is_some();
        assert!(lives, "{name} has no server that could crash");
        self.fall(name, Exit::Signal(11));
    }

    /// A server ends by itself, and nothing is wrong.
    pub(crate) fn exit(&mut self, name: &InstanceName) {
        assert!(self.work(name).server.is_some(), "{name} has no server");
        self.fall(name, Exit::Code(0));
    }

    /// A supervisor is killed, and its server lives on.
    pub(crate) fn lose_supervisor(&mut self, name: &InstanceName) {
        let work = self.work(name);
        assert!(work.is_supervised(), "{name} has no supervisor to lose");
        work.supervised = false;
        self.note(name, "has lost its supervisor");
    }

    /// The machine goes down and comes up again: every process is gone, and no end was seen.
    pub(crate) fn reboot(&mut self) {
        self.boot += 1;
        for work in self
            .instances
            .values_mut()
            .filter_map(|kept| kept.work.as_mut())
        {
            work.supervised = false;
            work.server = None;
        }
    }

    /// Gives an instance to a new supervisor, and waits for its word.
    pub(super) fn assign(
        &mut self,
        name: &InstanceName,
        assignment: Assignment,
    ) -> Result<(), ActionError> {
        self.end(name);
        let (now, boot) = (self.now, self.boot);
        let kept = self.instances.entry(name.clone()).or_default();
        if let Some(work) = &kept.work {
            settle(&mut kept.record, work);
        }
        kept.record.wanted = Some(assignment.clone());
        let mut work = Work {
            assignment: assignment.id,
            launch: assignment.launch,
            fallback: assignment.fallback,
            supervision: assignment.supervision,
            role: Role::Wanted,
            phase: Phase::Stopped,
            supervised: true,
            server: None,
            spawned: now,
            load: None,
            proven: false,
            restarts: Restarts::default(),
            failed: None,
            boot,
        };
        work.proven = is_proven(&kept.record, &work.launch);
        kept.work = Some(work);
        self.spawn(name);
        if self.nobody_waits {
            return Ok(());
        }
        self.await_gate(name)
    }

    /// Ends the server of an instance and its supervisor.
    pub(super) fn end(&mut self, name: &InstanceName) {
        let now = self.now;
        let Some(kept) = self.instances.get_mut(name) else {
            return;
        };
        let Some(work) = &mut kept.work else { return };
        work.supervised = false;
        if !matches!(work.phase, Phase::GaveUp(_) | Phase::Failed) {
            work.phase = Phase::Stopped;
        }
        if work.server.take().is_some() {
            kept.exit = Some(LastExit {
                exit: Exit::Signal(15),
                at: now,
                asked: true,
            });
            self.note(name, "was stopped");
        }
    }

    fn work(&mut self, name: &InstanceName) -> &mut Work {
        let kept = self
            .instances
            .get_mut(name)
            .expect("an instance that was started");
        kept.work.as_mut().expect("an instance that was started")
    }

    fn next(&self) -> Option<(Timestamp, InstanceName)> {
        let due = |(name, kept): (&InstanceName, &super::Kept)| {
            Some((kept.work.as_ref()?.due()?, name.clone()))
        };
        self.instances.iter().filter_map(due).min()
    }

    fn happen(&mut self, due: Timestamp, name: &InstanceName) {
        self.now = self.now.max(due);
        let now = self.now;
        let is_bad = self.runs_a_bad_build(name);
        let work = self.work(name);
        match work.phase {
            Phase::Starting { .. } if is_bad => self.fall(name, Exit::Code(1)),
            Phase::Starting { .. } => {
                work.phase = Phase::Running { since: now };
                work.load = Some(LOAD.as_secs_f64());
                self.note(name, "passed its gate");
            }
            Phase::BackingOff { .. } => self.spawn(name),
            Phase::Running { .. } => {
                work.proven = true;
                work.restarts.in_a_row = 0;
                self.note(name, "is proven");
            }
            Phase::GaveUp(_) | Phase::Failed | Phase::Stopped => {}
        }
    }

    fn runs_a_bad_build(&mut self, name: &InstanceName) -> bool {
        let build = self.work(name).launch.launch.build.clone();
        self.bad.contains(&build)
    }

    fn spawn(&mut self, name: &InstanceName) {
        self.spawned += 1;
        let (pid, now, boot) = (self.spawned, self.now, self.boot);
        let is_bad = self.runs_a_bad_build(name);
        let work = self.work(name);
        assert!(work.server.is_none(), "two servers of {name}");
        let life = if is_bad {
            SHORT_LIFE
        } else {
            LOAD + work.supervision.gate.min_healthy
        };
        work.phase = Phase::Starting { until: now + life };
        (work.server, work.spawned, work.boot) = (Some(pid), now, boot);
        let launch = work.launch.launch.clone();
        let is_there = self.binaries.contains_key(&launch.binary);
        assert!(
            is_there,
            "{name} was started from a build that is not there"
        );
        for (other, kept) in &self.instances {
            if let Some(work) = kept.work.as_ref().filter(|work| work.server.is_some()) {
                let apart = other == name || work.launch.launch.port != launch.port;
                assert!(apart, "{name} and {other} listen on one port");
            }
        }
        let is_free = !self.strangers.contains_key(&launch.port);
        assert!(is_free, "{name} was started where somebody else listens");
        self.note(name, format_args!("starts on {} (pid {pid})", launch.build));
    }

    /// A server has ended unasked; its supervisor goes on by the rules of a real one.
    fn fall(&mut self, name: &InstanceName, exit: Exit) {
        let now = self.now;
        self.note(name, exit);
        let work = self.work(name);
        work.server = None;
        if !work.supervised {
            return; // Nobody saw it.
        }
        let failure = Failure {
            reason: exit.to_string(),
            log_tail: Vec::new(),
        };
        let passed = work.proven || work.role == Role::Fallback || work.load.is_some();
        let policy = &work.supervision.restart_policy;
        let next = next_start(policy, &work.restarts, work.proven, now);
        let (crashed, role) = (passed && policy.enabled && !work.proven, work.role);
        let never_passed = role == Role::Fallback && work.load.is_none();
        let until = match next {
            _ if !passed => return self.fall_back(name, failure),
            NextStart::Now => now,
            NextStart::At(until) => until,
            NextStart::GiveUp if crashed && role == Role::Wanted => {
                self.exited(name, exit);
                return self.fall_back(name, failure);
            }
            NextStart::GiveUp => {
                work.phase = if crashed && never_passed {
                    Phase::Failed
                } else {
                    Phase::GaveUp(failure)
                };
                self.exited(name, exit);
                return self.note(name, "is not started again");
            }
        };
        work.restarts.in_a_row += 1;
        work.restarts.total += 1;
        work.restarts.last = Some(now);
        work.phase = Phase::BackingOff { until };
        self.exited(name, exit);
    }

    fn exited(&mut self, name: &InstanceName, exit: Exit) {
        let at = self.now;
        if let Some(kept) = self.instances.get_mut(name) {
            let asked = false;
            kept.exit = Some(LastExit { exit, at, asked });
        }
    }

    fn fall_back(&mut self, name: &InstanceName, failure: Failure) {
        let now = self.now;
        let kept = self
            .instances
            .get_mut(name)
            .expect("an instance that was started");
        let work = kept.work.as_mut().expect("an instance that was started");
        if work.role == Role::Wanted {
            work.failed = Some(FailedLaunch {
                fingerprint: work.launch.fingerprint(),
                build: work.launch.launch.build.clone(),
                failure,
                at: now,
                transient: false,
            });
            if let Some(fallback) = work.fallback.clone() {
                work.proven = is_proven(&kept.record, &fallback);
                work.launch = fallback;
                work.role = Role::Fallback;
                work.load = None;
                work.restarts = Restarts::default();
                self.note(name, "falls back");
                return self.spawn(name);
            }
        }
        work.phase = Phase::Failed;
        self.note(name, "has failed");
    }
}

fn is_proven(record: &Record, launch: &RecordedLaunch) -> bool {
    let fingerprint = launch.fingerprint();
    let mut proven = record.proven.iter();
    proven.any(|proven| proven.fingerprint() == fingerprint)
}
