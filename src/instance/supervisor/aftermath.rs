//! What follows a server that is down: the same launch again, the fallback, or the end.

use std::time::Duration;

use jiff::Timestamp;

use super::life::Supervisor;
use super::succession::is_proven;
use crate::instance::RestartPolicy;
use crate::instance::backoff::{NextStart, next_start};
use crate::instance::record::{FailedLaunch, Failure};
use crate::instance::state::{Phase, Restarts, Role};
use crate::kill_point;

impl Supervisor {
    /// Decides what follows a server that is down: again, the fallback, or the end (`false`).
    pub(super) fn go_on_after(&mut self, failure: Failure, transient: bool) -> bool {
        if self.state.phase == Phase::Failed {
            // It had been left as it was.
            return self.fail();
        }
        let policy = &self.state.supervision.restart_policy;
        let passed = self.is_trusted();
        if !passed && !transient {
            return self.fall_back(failure, false);
        }
        let now = Timestamp::now();
        let next = if passed {
            next_start(policy, &self.state.restarts, self.state.proven, now)
        } else {
            let patient = RestartPolicy {
                max_retries: None,
                ..policy.clone()
            };
            let next = next_start(&patient, &self.state.restarts, true, now);
            if self.is_out_of_time(next, now) {
                NextStart::GiveUp
            } else {
                next
            }
        };
        let until = match next {
            NextStart::Now => now,
            NextStart::At(until) => until,
            NextStart::GiveUp => {
                let crashed = passed && policy.enabled && !self.state.proven;
                let never_passed = self.state.role == Role::Fallback && self.state.load.is_none();
                // Its cause may go by itself, but until then what ran before is better than nothing.
                let can_fall_back =
                    self.state.role == Role::Wanted && self.assignment.fallback.is_some();
                return match (crashed, self.state.role, never_passed) {
                    (true, Role::Wanted, _) => self.fall_back(failure, false),
                    _ if !passed && can_fall_back => self.fall_back(failure, true),
                    (true, Role::Fallback, true) => self.fail(),
                    _ => self.give_up(failure),
                };
            }
        };
        let restarts = &mut self.state.restarts;
        restarts.in_a_row = restarts.in_a_row.saturating_add(1);
        restarts.total = restarts.total.saturating_add(1);
        restarts.last = Some(now);
        self.enter(Phase::BackingOff { until });
        kill_point::reached("supervisor.backing-off");
        true
    }

    /// Whether a launch that never passed would be tried again after its `start_period` is over.
    fn is_out_of_time(&self, next: NextStart, now: Timestamp) -> bool {
        let spent = self
            .first_try
            .map_or(Duration::ZERO, |first| first.elapsed());
        let wait = match next {
            NextStart::At(until) => until.duration_since(now).try_into().unwrap_or_default(),
            NextStart::Now | NextStart::GiveUp => Duration::ZERO,
        };
        spent + wait >= self.state.supervision.gate.start_period
    }

    /// Whether the launch is past its trial: it is not held against it when its server goes down.
    pub(super) fn is_trusted(&self) -> bool {
        self.state.proven || self.state.role == Role::Fallback || self.state.load.is_some()
    }

    /// Records a gate that the server failed alive, to be written before the server is ended: from
    /// then on the verdict stands, whoever dies.
    pub(super) fn record_verdict(&mut self, failure: &Failure, transient: bool) {
        if !transient && !self.is_trusted() {
            self.condemn(failure.clone(), transient);
        }
    }

    /// Whether the assigned launch has failed and nothing has followed yet.
    pub(super) fn has_failed(&self) -> bool {
        let assigned = self.assignment.launch.fingerprint();
        let failed = self.state.failed.as_ref();
        self.state.role == Role::Wanted && failed.is_some_and(|it| it.fingerprint == assigned)
    }

    /// Goes on where the supervisor before had come to a verdict and no further. `false` where
    /// that is the end.
    pub(super) fn resume_failure(&mut self) -> bool {
        match self.state.failed.clone().filter(|_| self.has_failed()) {
            Some(failed) if !matches!(self.state.phase, Phase::StopFailed { .. }) => {
                self.fall_back(failed.failure, failed.transient)
            }
            _ => true,
        }
    }

    pub(super) fn condemn(&mut self, failure: Failure, transient: bool) {
        self.notes.note(format!(
            "{} failed: {}",
            self.state.launch.launch.build, failure.reason
        ));
        if self.state.role == Role::Wanted {
            self.state.failed = Some(FailedLaunch {
                fingerprint: self.state.runs(),
                build: self.state.launch.launch.build.clone(),
                failure,
                at: Timestamp::now(),
                transient,
            });
        }
    }

    fn fall_back(&mut self, failure: Failure, transient: bool) -> bool {
        if !self.has_failed() {
            self.condemn(failure, transient);
        }
        if self.state.role == Role::Wanted
            && let Some(fallback) = self.assignment.fallback.clone()
        {
            self.notes
                .note(format!("falls back to {}", fallback.launch.build));
            self.state.proven = is_proven(&self.proven, &fallback);
            self.state.launch = fallback;
            self.state.role = Role::Fallback;
            self.state.load = None;
            self.state.restarts = Restarts::default();
            self.first_try = None;
            let until = Timestamp::now();
            self.enter(Phase::BackingOff { until });
            kill_point::reached("supervisor.fell-back");
            return true;
        }
        self.fail()
    }

    fn fail(&mut self) -> bool {
        self.state.server = None;
        self.enter(Phase::Failed);
        false
    }

    fn give_up(&mut self, failure: Failure) -> bool {
        self.notes.note(format!("gives up: {}", failure.reason));
        self.state.server = None;
        self.enter(Phase::GaveUp { failure });
        false
    }
}
