//! What is to become of one instance of the manifest, looked at by itself.
//!
//! What instances have to do with each other (ports, dependencies, the canary) is judged
//! afterwards, in `order`.

use super::Planner;
use super::action::{
    Action, Ago, BlockReason, HoldReason, Needs, PlannedLaunch, Reason, Start, Stop, Update,
};
use super::draft::Draft;
use super::drain::drain_of;
use super::installs::Build;
use super::rollback::Aim;
use crate::desired::{Unanswered, WantedInstance};
use crate::instance::InstanceName;
use crate::instance::record::{FailedLaunch, RecordedLaunch, Suspended};
use crate::instance::state::Health;
use crate::observed::{
    Comparison, GaveUp, Memory, ObservedInstance, ObservedServer, Seen, Supervisor, Verdict,
};

impl Planner<'_> {
    /// Decides about one instance of the manifest.
    pub(super) fn instance(
        &mut self,
        name: &InstanceName,
        instance: &WantedInstance,
        seen: &ObservedInstance,
    ) {
        let (Seen::Known(memory), Seen::Known(_), Seen::Known(_)) =
            (&seen.memory, &seen.supervisor, &seen.server)
        else {
            if let WantedInstance::Unresolved(unresolved) = instance {
                self.unresolved(name, &unresolved.why);
            }
            return self.unseen(name, seen);
        };
        if let Some(suspended) = &memory.suspended {
            return self.leave_as_it_is(name, suspended);
        }
        if memory.put_down.is_some() || !instance.enabled() {
            return self.keep_down(name, instance, seen, memory);
        }
        let wanted = match instance {
            WantedInstance::Unresolved(unresolved) => {
                self.mend_supervision(name, instance, seen);
                return self.unresolved(name, &unresolved.why);
            }
            WantedInstance::Resolved(wanted) => wanted.as_ref(),
        };
        if let Comparison::Unknown(_) = seen.comparison {
            return self.unseen(name, seen);
        }
        let aim = Aim::of(wanted, memory);
        self.towards(name, instance, aim, seen, memory);
        // What is wrong, if anything is, is told first.
        self.tell_rollback(name, aim);
    }

    /// Decides about one instance that is to run, of which everything was seen.
    fn towards(
        &mut self,
        name: &InstanceName,
        instance: &WantedInstance,
        aim: Aim<'_>,
        seen: &ObservedInstance,
        memory: &Memory,
    ) {
        let server = seen.server.known().and_then(Option::as_ref);
        let supervisor = seen.supervisor.known().and_then(Option::as_ref);
        let runs_what_failed = server.is_some() && seen.comparison == Comparison::Match;
        if let Some(failed) = seen.failed.as_ref().filter(|_| !runs_what_failed) {
            return self.failed_before(name, aim, seen, memory, failed);
        }
        if self.restart_as_it_is(name, aim, seen, memory) {
            return;
        }
        match (server, &seen.comparison) {
            (_, Comparison::Unknown(_)) => self.unseen(name, seen),
            (Some(server), Comparison::Match)
                if server.verdict == Verdict::Failed && seen.failed.is_none() =>
            {
                let start = self.start_of(name, aim, seen, memory, None);
                let action = Action::Replace(Box::new(start));
                self.try_start(name, action, Reason::TriedAgain, seen);
            }
            (Some(server), Comparison::Match) => {
                self.mend_supervision(name, instance, seen);
                self.matching(name, seen, server);
            }
            (Some(server), Comparison::Differs(changes)) => {
                let reason = aim.drift(changes, server.load.or(memory.last_load));
                let replaced = Some(&server.launch).filter(|_| server.verdict == Verdict::Passed);
                let start = Start {
                    drain: drain_of(seen, &aim.wanted.supervision),
                    ..self.start_of(name, aim, seen, memory, replaced)
                };
                self.try_start(name, Action::Replace(Box::new(start)), reason, seen);
            }
            // A person does not wait for the time that its supervisor waits for.
            (None, Comparison::Match)
                if supervisor
                    .is_some_and(|it| it.backing_off.is_none() || !self.is_to_restart(name)) =>
            {
                self.no_server_yet(name, seen);
            }
            (None, comparison) => {
                let gave_up = memory.gave_up.as_ref();
                let gave_up = gave_up
                    .filter(|_| *comparison == Comparison::Match && !self.is_to_restart(name));
                let never = !aim.wanted.supervision.restart_policy.enabled;
                let reason = match (gave_up, memory.last_exit) {
                    (Some(GaveUp::TooOften(why)), _) => {
                        return self.hold(name, HoldReason::GaveUp(why.clone()), None);
                    }
                    (Some(GaveUp::ByPolicy(why)), _) if never && !self.desired.attended => {
                        return self.hold(name, HoldReason::NotRestarted(why.clone()), None);
                    }
                    (Some(GaveUp::ByPolicy(why)), _) if never => Reason::NotRestarted(why.clone()),
                    (_, Some((exit, _))) if !memory.ended_on_request => Reason::Crashed(exit),
                    (_, Some(_) | None) => Reason::NotRunning,
                };
                let start = self.start_of(name, aim, seen, memory, None);
                self.try_start(name, Action::Start(Box::new(start)), reason, seen);
            }
        }
    }

    /// A person suspended it: whatever it is at, it stays as it is.
    pub(super) fn leave_as_it_is(&mut self, name: &InstanceName, suspended: &Suspended) {
        let why = HoldReason::Suspended {
            seconds_ago: Ago::between(suspended.at, self.observed.at),
            reason: suspended.reason.clone(),
        };
        self.hold(name, why, None);
    }

    /// A person put it down, or the manifest says that it is not to run. No build is needed for that.
    fn keep_down(
        &mut self,
        name: &InstanceName,
        wanted: &WantedInstance,
        seen: &ObservedInstance,
        memory: &Memory,
    ) {
        let lives = |seen: &ObservedInstance| {
            matches!(seen.server, Seen::Known(Some(_)))
                || matches!(seen.supervisor, Seen::Known(Some(_)))
        };
        match (&memory.put_down, lives(seen)) {
            (put_down, true) => {
                let reason = put_down.as_ref().map_or(Reason::Disabled, |put_down| {
                    Reason::PutDown(put_down.reason.clone())
                });
                let stop = Stop {
                    by_hand: false,
                    instance: name.clone(),
                    revision: seen.revision.clone(),
                    stop_timeout: wanted.supervision().stop_timeout,
                    drain: drain_of(seen, wanted.supervision()),
                    successor: None,
                };
                self.drafts.add(Draft::new(Action::Stop(stop), reason));
            }
            (Some(put_down), false) if wanted.enabled() => {
                let reason = put_down.reason.clone();
                self.hold(name, HoldReason::PutDown { reason }, None);
            }
            (Some(_) | None, false) => {}
        }
    }

    fn unresolved(&mut self, name: &InstanceName, why: &Unanswered) {
        match why {
            Unanswered::NotLocked(what) => {
                self.hold(name, HoldReason::Locked(what.clone()), None);
            }
            Unanswered::Source { .. }
            | Unanswered::NotPublished { .. }
            | Unanswered::CompanionMissing { .. }
            | Unanswered::NoDigest { .. }
            | Unanswered::Contradiction(_)
            | Unanswered::Impossible { .. } => {
                self.block(name, BlockReason::Unresolved(why.clone()));
            }
        }
    }

    /// What runs is what is wanted.
    fn matching(&mut self, name: &InstanceName, seen: &ObservedInstance, server: &ObservedServer) {
        if server.verdict == Verdict::Starting {
            let for_seconds = Ago::between(server.since, self.observed.at);
            self.hold(name, HoldReason::Starting { for_seconds }, None);
        } else if let (Verdict::Failed, Some(failed)) = (server.verdict, &seen.failed) {
            let why = HoldReason::FailedAndLeft {
                build: failed.build.clone(),
                failure: failed.failure.clone(),
                seconds_ago: Ago::between(failed.at, self.observed.at),
            };
            self.hold(name, why, None);
        } else if server.health == Health::Unresponsive && !is_unsupervised(seen) {
            // Without a supervisor nobody has asked it lately.
            self.hold(name, HoldReason::Unresponsive, None);
        }
    }

    /// Mends the supervision of an instance that goes on running what it runs.
    pub(super) fn mend(&mut self, name: &InstanceName) {
        let desired = self.desired;
        let observed = self.observed;
        if let (Some(wanted), Some(seen)) =
            (desired.instances.get(name), observed.instances.get(name))
        {
            self.mend_supervision(name, wanted, seen);
        }
    }

    fn mend_supervision(
        &mut self,
        name: &InstanceName,
        wanted: &WantedInstance,
        seen: &ObservedInstance,
    ) {
        let supervision = wanted.supervision();
        let protect = self.desired.protect.contains(name);
        let unprotected = protect && seen.memory.known().is_some_and(|memory| !memory.protected);
        let reason = match (&seen.supervisor, &seen.server) {
            (Seen::Known(None), Seen::Known(Some(_))) => Reason::Unsupervised,
            (Seen::Known(Some(supervisor)), Seen::Known(server))
                // One that neither has a server nor waits to start one is too busy to listen.
                if server.is_some() || supervisor.backing_off.is_some() =>
            {
                let mut fields = supervisor
                    .settings
                    .changed_fields(supervision, supervisor.protocol);
                if unprotected {
                    fields.push("protect");
                }
                if fields.is_empty() {
                    return;
                }
                Reason::Settings(fields)
            }
            (Seen::Known(_) | Seen::Unknown(_), Seen::Known(_) | Seen::Unknown(_)) => return,
        };
        let update = Update {
            instance: name.clone(),
            revision: seen.revision.clone(),
            supervision: supervision.clone(),
            adopt: reason == Reason::Unsupervised,
            protect,
        };
        self.drafts
            .add(Draft::new(Action::Update(Box::new(update)), reason));
    }

    /// A supervisor has the wanted launch in hand and no server at the moment.
    fn no_server_yet(&mut self, name: &InstanceName, seen: &ObservedInstance) {
        let Seen::Known(Some(supervisor)) = &seen.supervisor else {
            return;
        };
        match supervisor.backing_off {
            Some(until) => {
                self.mend(name);
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
        aim: Aim<'_>,
        seen: &ObservedInstance,
        memory: &Memory,
        failed: &FailedLaunch,
    ) {
        let server = seen.server.known().and_then(Option::as_ref);
        let supervisor = seen.supervisor.known().and_then(Option::as_ref);
        let why = HoldReason::FailedInputs {
            build: failed.build.clone(),
            failure: failed.failure.clone(),
            seconds_ago: Ago::between(failed.at, self.observed.at),
            runs: server.map(|server| server.launch.launch.build.clone()),
        };
        let until = match (server, supervisor) {
            (None, Some(Supervisor { backing_off, .. })) => *backing_off,
            (Some(_), _) | (None, None) => None,
        };
        self.hold(name, why, until);
        if self.restart_in_its_stead(name, aim, seen, memory) {
            return;
        }
        if server.is_some() || supervisor.is_some() {
            return self.mend(name);
        }
        let proven = memory.proven.iter().find(|launch| {
            launch.launch.inputs != aim.launch().inputs && self.is_installed(launch.launch.binary)
        });
        let never = !aim.wanted.supervision.restart_policy.enabled;
        let stays_down = match &memory.gave_up {
            Some(GaveUp::TooOften(_)) => true,
            Some(GaveUp::ByPolicy(_)) => never && !self.desired.attended,
            None => false,
        };
        if let (true, false, Some(proven)) = (aim.falls_back(), stays_down, proven) {
            if let Some(why) = self.port_held(&proven.launch) {
                return self.block(name, why);
            }
            let start = Start {
                launch: PlannedLaunch::Proven(Box::new(proven.clone())),
                fallback: None,
                ..self.start_of(name, aim, seen, memory, None)
            };
            let reason = Reason::FallsBack(failed.failure.clone());
            self.drafts
                .add(Draft::new(Action::Start(Box::new(start)), reason));
        }
    }

    /// The start of the launch that is aimed at. It falls back to the launch it replaces, if that had
    /// passed its gate, else to the newest proven one; never to the same inputs, which fail alike.
    pub(super) fn start_of(
        &self,
        name: &InstanceName,
        aim: Aim<'_>,
        seen: &ObservedInstance,
        memory: &Memory,
        replaced: Option<&RecordedLaunch>,
    ) -> Start {
        let fallback = replaced
            .into_iter()
            .chain(&memory.proven)
            .filter(|_| aim.falls_back())
            .find(|launch| {
                launch.launch.inputs != aim.launch().inputs
                    && self.is_installed(launch.launch.binary)
            })
            .cloned();
        Start {
            instance: name.clone(),
            revision: seen.revision.clone(),
            launch: aim.planned(),
            fallback,
            supervision: aim.wanted.supervision.clone(),
            protect: self.desired.protect.contains(name),
            drain: None,
            anew: false,
        }
    }

    /// Adds the step if nothing is in its way. Says what is otherwise, and sees to it that what runs
    /// goes on running well.
    pub(super) fn try_start(
        &mut self,
        name: &InstanceName,
        action: Action,
        reason: Reason,
        seen: &ObservedInstance,
    ) {
        let mut draft = Draft::new(action, reason);
        let Some((_, launch)) = draft.starts() else {
            return;
        };
        let build = self.builds.get(&launch.binary);
        let blocked = if seen.missing.is_empty() {
            let misfit = match build {
                Some(Build::Present) | None => self.misfit(launch),
                Some(Build::Blocked(_) | Build::Unseen(_) | Build::Step(_)) => None,
            };
            misfit
                .or_else(|| self.port_held(launch))
                .or_else(|| self.build_gone(&draft))
        } else {
            Some(BlockReason::Missing(seen.missing.clone()))
        };
        match (blocked, build) {
            (Some(why), _) => self.block(name, why),
            (None, Some(Build::Blocked(why))) => {
                let why = why.clone();
                self.block(name, why);
            }
            (None, Some(Build::Unseen(why))) => {
                let why = HoldReason::Unseen(why.clone());
                self.hold(name, why, None);
            }
            (None, Some(Build::Step(install))) => {
                draft.after(*install, Needs::Success);
                return self.add_start(draft, seen);
            }
            (None, Some(Build::Present) | None) => return self.add_start(draft, seen),
        }
        self.mend(name);
    }
}

fn is_unsupervised(seen: &ObservedInstance) -> bool {
    matches!(seen.supervisor, Seen::Known(None))
}
