//! One row of `status`, out of what is wanted, seen and planned.

use std::collections::BTreeMap;

use super::{ExitWords, HealthWord, InstanceState, Row, SuspendedWords, address};
use crate::desired::{Desired, WantedInstance};
use crate::instance::InstanceName;
use crate::instance::state::Health;
use crate::observed::{
    Comparison, GaveUp, Observed, ObservedInstance, ObservedServer, Pulse, Seen, Verdict, Vitals,
};
use crate::plan::Plan;
use crate::plan::action::{Action, Ago, Blocker, Hold, HoldReason, Step};

/// What the rows are made from, with what the plan says found by name.
pub(super) struct View<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    vitals: &'a BTreeMap<InstanceName, Vitals>,
    steps: BTreeMap<&'a InstanceName, &'a Step>,
    holds: BTreeMap<&'a InstanceName, &'a Hold>,
    blockers: BTreeMap<&'a InstanceName, &'a Blocker>,
}

impl<'a> View<'a> {
    pub(super) fn of(
        desired: &'a Desired,
        observed: &'a Observed,
        plan: &'a Plan,
        vitals: &'a BTreeMap<InstanceName, Vitals>,
    ) -> Self {
        // The first one of each is what is told.
        let steps = plan.steps().iter().rev();
        let steps = steps.filter_map(|step| match &step.action {
            Action::Install(_) | Action::Fetch(_) | Action::Prune(_) => None,
            Action::Start(start) | Action::Replace(start) => Some((&start.instance, step)),
            Action::Update(update) => Some((&update.instance, step)),
            Action::Stop(stop) | Action::Remove(stop) => Some((&stop.instance, step)),
        });
        let holds = plan.holds().iter().rev();
        let blockers = plan.blockers().iter().rev();
        Self {
            desired,
            observed,
            vitals,
            steps: steps.collect(),
            holds: holds
                .filter_map(|hold| Some((hold.subject.instance()?, hold)))
                .collect(),
            blockers: blockers
                .filter_map(|blocker| Some((blocker.subject.instance()?, blocker)))
                .collect(),
        }
    }

    pub(super) fn row(&self, name: &InstanceName) -> Row {
        let absent = ObservedInstance::absent();
        let unseen = Vitals::default();
        let seen = self.observed.instances.get(name).unwrap_or(&absent);
        let vitals = self.vitals.get(name).unwrap_or(&unseen);
        let now = self.observed.at;
        let memory = seen.memory.known();
        // What a state says that cannot be true is not told as if it were.
        let believed = !vitals.is_contradictory();
        let server = seen.server.known().and_then(Option::as_ref);
        let server = server.filter(|_| believed);
        let supervisor = seen.supervisor.known().and_then(Option::as_ref);
        let supervisor = supervisor.filter(|_| believed);
        let wanted = match self.desired.instances.get(name) {
            Some(WantedInstance::Resolved(wanted)) => Some(wanted),
            Some(WantedInstance::Unresolved(_)) | None => None,
        };
        let launch = server.map(|server| &server.launch.launch);
        let address = launch
            .map(|launch| (&launch.host, launch.port))
            .or_else(|| wanted.map(|wanted| (&wanted.launch.host, wanted.launch.port)))
            .map(|(host, port)| address(host, port));
        let build = launch.map(|launch| launch.build.to_string()).or_else(|| {
            memory.and_then(|memory| memory.last_build.as_ref().map(ToString::to_string))
        });
        let state = self.state(name, seen, vitals);
        let health = server.map(|server| health(server, state));
        Row {
            name: name.to_string(),
            state,
            build,
            address,
            seconds: server.map(|server| Ago::between(server.since, now)),
            retry_in_seconds: supervisor
                .and_then(|supervisor| supervisor.backing_off)
                .map(|until| Ago::between(now, until)),
            health,
            health_seconds: health
                .filter(|health| *health != HealthWord::Unknown)
                // A suspended server is seen by ourselves, not told by its supervisor.
                .filter(|_| vitals.server != Pulse::Suspended)
                .and(vitals.health_since)
                .map(|since| Ago::between(since, now)),
            load_seconds: server.and_then(|server| server.load),
            memory_bytes: vitals.resident.filter(|_| believed),
            gpu_memory_bytes: vitals.gpu.filter(|_| believed),
            restarts: server
                .map(|server| server.restarts)
                .or_else(|| memory.map(|memory| memory.restarts))
                .unwrap_or_default(),
            last_exit: vitals
                .last_exit
                .as_ref()
                .map(|exit| ExitWords::of(exit, now)),
            proven: server.is_some_and(|server| server.proven),
            process: server.map(|server| server.process.clone()),
            in_manifest: Some(self.desired.instances.contains_key(name)),
            matches: wanted.is_some_and(|wanted| match &seen.server {
                Seen::Known(Some(_)) if !believed => false,
                Seen::Known(Some(_)) => {
                    let rolled_back = memory.and_then(|it| it.rollback_against(&wanted.launch));
                    wanted.enabled && seen.comparison == Comparison::Match && rolled_back.is_none()
                }
                Seen::Known(None) => !wanted.enabled,
                Seen::Unknown(_) => false,
            }),
            suspended: memory
                .and_then(|memory| memory.suspended.as_ref())
                .map(|suspended| SuspendedWords {
                    at: suspended.at.to_string(),
                    seconds_ago: Ago::between(suspended.at, now),
                    reason: suspended.reason.clone(),
                }),
            note: contradiction(vitals).or_else(|| self.note(name, state, vitals)),
        }
    }

    fn state(
        &self,
        name: &InstanceName,
        seen: &ObservedInstance,
        vitals: &Vitals,
    ) -> InstanceState {
        let memory = seen.memory.known();
        let server = seen.server.known().and_then(Option::as_ref);
        let supervisor = seen.supervisor.known().and_then(Option::as_ref);
        let enabled = self
            .desired
            .instances
            .get(name)
            .is_none_or(WantedInstance::enabled);
        let put_down = memory.is_some_and(|memory| memory.put_down.is_some());
        let watched = supervisor.is_some() && vitals.supervisor != Pulse::Suspended;
        match server {
            _ if seen.unseen().is_some() || vitals.is_contradictory() => InstanceState::Unknown,
            Some(_) if !watched => InstanceState::Unsupervised,
            Some(_) if vitals.server == Pulse::Suspended => InstanceState::Unresponsive,
            Some(server) if server.verdict == Verdict::Starting => InstanceState::Starting,
            Some(server) if server.verdict == Verdict::Failed => InstanceState::Failed,
            Some(server) if server.health == Health::Unresponsive => InstanceState::Unresponsive,
            Some(_) => InstanceState::Running,
            None => match supervisor {
                Some(supervisor) if supervisor.backing_off.is_some() => InstanceState::BackingOff,
                Some(_) => InstanceState::Starting,
                None if put_down || !enabled => InstanceState::Down,
                None if memory
                    .is_some_and(|memory| matches!(memory.gave_up, Some(GaveUp::TooOften(_)))) =>
                {
                    InstanceState::GaveUp
                }
                None if seen.failed.is_some() => InstanceState::Failed,
                // Nobody wants it to run any more.
                None if !self.desired.instances.contains_key(name) => InstanceState::Down,
                None if self.is_held(name) => InstanceState::Held,
                None => InstanceState::Stopped,
            },
        }
    }

    /// Whether the plan holds the start of an instance back. That its pin is not resolved is this
    /// view's own doing, since it asks nobody.
    fn is_held(&self, name: &InstanceName) -> bool {
        self.holds
            .get(name)
            .is_some_and(|hold| !matches!(hold.why, HoldReason::Locked(_)))
            && !self.steps.contains_key(name)
    }

    fn note(&self, name: &InstanceName, state: InstanceState, vitals: &Vitals) -> Option<String> {
        let step = self.steps.get(name);
        let blocker = self.blockers.get(name);
        let note = match (blocker, self.holds.get(name), step) {
            (Some(blocker), ..) => Some(format!("blocked: {}", blocker.why)),
            (None, Some(hold), _) if matches!(hold.why, HoldReason::Locked(_)) => {
                Some("not resolved yet; see `llama-orch plan`".to_owned())
            }
            (None, Some(hold), _) => Some(hold.text()),
            (None, None, Some(step)) => Some(match &step.action {
                Action::Replace(_) | Action::Update(_) => {
                    format!("`apply` would {} it: {}", step.action.verb(), step.reason)
                }
                _ => step.reason.to_string(),
            }),
            (None, None, None) => None,
        };
        // Other states say in their own words how they came about.
        let exit = vitals.last_exit.as_ref().filter(|exit| {
            matches!(
                state,
                InstanceState::BackingOff | InstanceState::Stopped | InstanceState::Held
            ) && !exit.asked
        });
        match (note, exit) {
            (Some(note), Some(exit)) => Some(format!("{note}; last time it {exit}")),
            (None, Some(exit)) => Some(format!("last time it {exit}")),
            (note, None) => note,
        }
    }
}

/// What is wrong with what the state of an instance says, and what to do.
pub(super) fn contradiction(vitals: &Vitals) -> Option<String> {
    let text = match (vitals.server, vitals.supervisor) {
        (Pulse::Disputed, _) => {
            "the `state.json` of another instance names the same process; one of them was not written \
             by its supervisor"
        }
        (Pulse::Gone, _) => {
            "its `server.lock` is held, and the process that its `state.json` names is gone"
        }
        (_, Pulse::Gone | Pulse::Disputed) => {
            "its `supervisor.lock` is held, and not by the supervisor that its `state.json` names"
        }
        (_, Pulse::Suspended) => {
            "its supervisor is suspended by a signal and watches nothing; SIGCONT wakes it"
        }
        (Pulse::Suspended, _) => {
            "its process is suspended by a signal and answers nothing; SIGCONT wakes it"
        }
        (Pulse::Unknown | Pulse::Alive, Pulse::Unknown | Pulse::Alive) => return None,
    };
    Some(text.to_owned())
}

/// What can be said of a server's health: what its supervisor said last, while it watches.
const fn health(server: &ObservedServer, state: InstanceState) -> HealthWord {
    match (state, server.health) {
        (InstanceState::Unresponsive, _) => HealthWord::Unresponsive,
        (InstanceState::Unsupervised, _) | (_, Health::Unknown) => HealthWord::Unknown,
        (_, Health::Healthy) => HealthWord::Healthy,
        (_, Health::Unresponsive) => HealthWord::Unresponsive,
    }
}
