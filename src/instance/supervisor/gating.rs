//! Taking a server through its gate, and watching over it afterwards.
//!
//! What is asked of the server is in [`super::ask`]; what the answers mean is judged in
//! [`super::super::gate`]; what follows when it is down is in [`super::aftermath`].

use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::ask::Access;
use super::life::{Fate, Supervisor};
use super::wait::Event;
use crate::instance::gate::{self, Finding, GateFacts, Need, Verdict, gpu};
use crate::instance::listener::{self, Listener};
use crate::instance::process;
use crate::instance::record::{Failure, LoadFacts};
use crate::instance::state::{Health, Phase, Role};
use crate::instance::{Liveness, is_socket};
use crate::kill_point;

/// The wait between two looks at a server that is loading: at first, at last, and how it grows.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_GROWTH: f64 = 1.25;

/// The instants behind the durations of [`GateFacts`].
struct Clock {
    spawned: Instant,
    bound: Option<Instant>,
    healthy: Option<Instant>,
}

impl Supervisor {
    /// Takes a server through its gate. `None` when it passed, or failed and was left as it is.
    pub(super) fn pass_gate(&mut self) -> io::Result<Option<Fate>> {
        let access = self.access();
        let mut clock = self.clock();
        let mut facts = GateFacts {
            baseline: self.baseline(),
            ..GateFacts::default()
        };
        let mut pause = FIRST_PAUSE;
        loop {
            facts.age = clock.spawned.elapsed();
            facts.bound = clock.bound.map(|at| at.elapsed());
            facts.healthy = clock.healthy.map(|at| at.elapsed());
            let verdict = gate::judge(
                &self.state.supervision.gate,
                &self.state.launch.launch,
                &facts,
            );
            let wait = match verdict {
                Verdict::Passed => {
                    self.passed(&clock, facts.load);
                    return Ok(None);
                }
                Verdict::Failed { reason, transient } if self.leaves(transient) => {
                    self.leave(reason);
                    return Ok(None);
                }
                Verdict::Failed { reason, transient } => {
                    return Ok(Some(self.unfit(reason, transient)));
                }
                Verdict::Starting(Need::Patience(left)) => left,
                Verdict::Starting(need) => {
                    if self.find_out(need, &access, &mut facts, &mut clock) {
                        pause = FIRST_PAUSE;
                        Duration::ZERO
                    } else {
                        let now = pause;
                        pause = pause.mul_f64(PAUSE_GROWTH).min(LAST_PAUSE);
                        now
                    }
                }
            };
            match self.wait(Instant::now() + wait)? {
                Event::Due | Event::Refreshed => {}
                Event::Asked => return Ok(Some(Fate::Asked)),
                Event::Ended(exit) => return Ok(Some(self.ended(exit))),
            }
        }
    }

    /// Watches over a server whose gate is decided, to its end. One that was left although it failed
    /// is neither proven nor started again.
    pub(super) fn watch(&mut self) -> io::Result<Fate> {
        let access = self.access();
        let passed = self.state.phase == Phase::Running;
        let mut misses = 0;
        let mut healthy_since =
            (self.state.health == Health::Healthy).then(|| before(self.state.since));
        let mut last_probe = Instant::now();
        loop {
            let settings = &self.state.supervision;
            let next_probe = last_probe + settings.gate.interval.max(FIRST_PAUSE);
            let unproven = passed && (!self.state.proven || self.state.restarts.in_a_row > 0);
            let proof = healthy_since
                .filter(|_| unproven)
                .map(|since| since + settings.prove_after);
            match self.wait(proof.map_or(next_probe, |proof| proof.min(next_probe)))? {
                Event::Asked => return Ok(Fate::Asked),
                Event::Ended(exit) => return Ok(self.ended(exit)),
                Event::Refreshed => continue,
                Event::Due => {}
            }
            if proof.is_some_and(|proof| proof <= Instant::now()) {
                self.state.proven = true;
                self.remember_load();
                self.state.restarts.in_a_row = 0;
                self.notes.note("the launch is proven");
                self.save_or_note();
            }
            if next_probe > Instant::now() {
                continue;
            }
            last_probe = Instant::now();
            self.rotate_log();
            match self.ask_health(&access) {
                Ok(()) => {
                    misses = 0;
                    if self.state.health != Health::Healthy {
                        healthy_since = Some(Instant::now());
                        self.say_health(Health::Healthy, "answers again");
                    }
                }
                // Whatever interrupted the question is dealt with by the next wait.
                Err(None) => {}
                Err(Some(why)) => {
                    misses += 1;
                    let gate = &self.state.supervision.gate;
                    if misses < gate.retries.max(1) {
                        continue;
                    }
                    let restarts = passed && gate.liveness == Liveness::Restart;
                    if self.state.health != Health::Unresponsive {
                        healthy_since = None;
                        self.say_health(Health::Unresponsive, &format!("does not answer: {why}"));
                    }
                    if restarts {
                        return Ok(self.wedged(misses));
                    }
                }
            }
        }
    }

    /// Ends a server that has passed its gate and answers no more.
    fn wedged(&mut self, misses: u32) -> Fate {
        let reason = format!("did not answer {misses} probes in a row");
        let log_tail = self.log_tail();
        self.notes.note(format!("the server {reason}"));
        if !self.end_server(Some(&reason)) {
            return Fate::Stuck;
        }
        Fate::Down {
            failure: Failure { reason, log_tail },
            transient: false,
        }
    }

    /// Makes what the server of a launch that was just proven said of its load what the next start
    /// has to measure up to.
    fn remember_load(&mut self) {
        if let Some(load) = &self.state.loaded {
            self.proven_load = Some((self.state.launch.clone(), load.clone()));
        }
    }

    fn say_health(&mut self, health: Health, what: &str) {
        self.notes.note(format!("the server {what}"));
        (self.state.health, self.state.health_since) = (health, Some(Timestamp::now()));
        self.save_or_note();
    }

    /// What the load of the launch has to measure up to.
    fn baseline(&self) -> Option<LoadFacts> {
        let (last, load) = self.proven_load.as_ref()?;
        gpu::baseline(&self.state.launch, last, load)
    }

    fn passed(&mut self, clock: &Clock, load: Option<LoadFacts>) {
        let from = clock.bound.unwrap_or(clock.spawned);
        let took = clock
            .healthy
            .map_or(Duration::ZERO, |healthy| healthy.duration_since(from));
        self.state.load = Some(took.as_secs_f64());
        self.state.loaded = load.filter(|load| *load != LoadFacts::default());
        (self.state.health, self.state.health_since) = (Health::Healthy, Some(Timestamp::now()));
        self.notes.note("the gate is passed");
        (self.state.phase, self.state.since) = (Phase::Running, Timestamp::now());
        self.save_or_note();
        process::release_code();
    }

    /// Whether a server that fails its gate alive is left as it is. A launch that is past its trial is
    /// not, nor is a server whose trouble may pass: it shares a port, or computes on another device.
    fn leaves(&self, transient: bool) -> bool {
        self.state.supervision.leave_failed
            && self.state.role == Role::Wanted
            && !transient
            && !self.is_trusted()
    }

    /// Leaves a server that failed its gate as it is.
    fn leave(&mut self, reason: String) {
        let log_tail = self.log_tail();
        self.notes
            .note(format!("the gate failed, the server is left: it {reason}"));
        self.condemn(Failure { reason, log_tail }, false);
        self.enter(Phase::Failed);
    }

    /// Ends a server that failed its gate alive.
    fn unfit(&mut self, reason: String, transient: bool) -> Fate {
        let log_tail = self.log_tail();
        self.notes
            .note(format!("the gate failed: the server {reason}"));
        let failure = Failure { reason, log_tail };
        self.record_verdict(&failure, transient);
        if !self.end_server(None) {
            return Fate::Stuck;
        }
        kill_point::reached("supervisor.failed");
        Fate::Down { failure, transient }
    }

    fn clock(&self) -> Clock {
        let spawned = self
            .state
            .server
            .as_ref()
            .map_or_else(Timestamp::now, |server| server.spawned);
        let bound = match self.state.phase {
            Phase::Starting { bound } => bound,
            _ => None,
        };
        Clock {
            spawned: before(spawned),
            bound: bound.map(before),
            healthy: None,
        }
    }

    /// Finds out one thing. Tells whether that brought the gate further.
    fn find_out(
        &mut self,
        need: Need,
        access: &Access,
        facts: &mut GateFacts,
        clock: &mut Clock,
    ) -> bool {
        match need {
            Need::Listener => {
                let listener = self.listener(access);
                let bound = !matches!(listener, Listener::Nobody | Listener::Stranger(_));
                facts.listener = Some(listener);
                if bound {
                    self.bound(clock);
                }
                bound
            }
            Need::Health => match self.ask_health(access) {
                Ok(()) => {
                    clock.healthy = Some(Instant::now());
                    true
                }
                Err(why) => {
                    facts.last_answer = why.or(facts.last_answer.take());
                    false
                }
            },
            Need::Build => settle(&mut facts.build, self.check_build(access)),
            Need::Alias => settle(&mut facts.alias, self.check_alias(access)),
            Need::Load => {
                let load = self.read_load();
                if self.state.launch.launch.gpu.is_some() && !gpu::is_told(&load) {
                    self.notes
                        .note("the log does not say what the server computes on: not checked");
                }
                facts.load = Some(load);
                true
            }
            Need::Probe => settle(&mut facts.probe, self.check_probe(access)),
            Need::Patience(_) => true,
        }
    }

    /// Who listens where the server should. Where that cannot be told, as of a socket that can be
    /// connected to, the server is asked for its alias.
    fn listener(&self, access: &Access) -> Listener {
        let launch = &self.state.launch.launch;
        if is_socket(&launch.host) {
            return if self.connects(access) {
                Listener::Unreadable
            } else {
                Listener::Nobody
            };
        }
        let pid = self
            .server
            .as_ref()
            .map_or(0, |server| server.identity().pid);
        listener::judge(launch.port, pid).unwrap_or(Listener::Unreadable)
    }

    fn bound(&mut self, clock: &mut Clock) {
        if let Some(mut process) = self.server.take() {
            if process.refresh() {
                self.know(&process);
            }
            self.server = Some(process);
        }
        if clock.bound.is_none() {
            clock.bound = Some(Instant::now());
            self.state.phase = Phase::Starting {
                bound: Some(Timestamp::now()),
            };
            self.save_or_note();
        }
    }
}

fn settle(place: &mut Finding, finding: Option<Finding>) -> bool {
    let found = finding.is_some();
    *place = finding.unwrap_or_default();
    found
}

/// The instant of a time that has passed, as far as this boot reaches.
fn before(time: Timestamp) -> Instant {
    let now = Instant::now();
    let age = Duration::try_from(Timestamp::now().duration_since(time)).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}
