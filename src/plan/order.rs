//! What instances have to do with each other: addresses that change hands, dependencies, the canary.

use std::collections::{BTreeMap, BTreeSet};

use super::Planner;
use super::action::{Action, BlockReason, HoldReason, Needs, PlannedLaunch, Reason};
use super::draft::Draft;
use super::ports::{Holders, Takers, held, overlap};
use crate::desired::{Wanted, WantedInstance};
use crate::instance::InstanceName;
use crate::observed::{Comparison, Seen, Verdict};

/// What keeps a step from being done in this pass.
enum Obstacle {
    /// Another instance keeps its address, or is to start where a launch on record would listen.
    Address(BlockReason),
    /// An instance it depends on is not up.
    Dependency(InstanceName),
    /// The canary has not come through.
    Canary(InstanceName),
}

impl Planner<'_> {
    /// Takes back what cannot be done in this pass because of other instances, and orders the rest.
    pub(super) fn settle_order(&mut self) {
        let observed = self.observed;
        let holders = Holders::of(observed);
        self.take_back(&holders);
        self.order_by_ports(&holders);
        self.settle_fallbacks(&holders);
        self.order_by_dependencies();
        self.follow_canary();
    }

    /// Takes back steps that meet an obstacle. One that is taken back may be the obstacle of others,
    /// so those that lean on it are looked at again.
    fn take_back(&mut self, holders: &Holders<'_>) {
        let takers = Takers::of(&self.drafts);
        let mut canary = self.troubled_canary();
        let meets_one = |(name, index, wanted): (&InstanceName, usize, Option<&Wanted>)| {
            let obstacle = self.obstacle(name, index, wanted, holders, &takers, canary.as_ref());
            obstacle.map(|_| name.clone())
        };
        let mut open: BTreeSet<InstanceName> = self.starting().filter_map(meets_one).collect();
        if open.is_empty() {
            return;
        }
        let lean_on = self.who_leans_on_whom(holders);
        while let Some(name) = open.pop_first() {
            let Some(index) = self.drafts.starts().get(&name).copied() else {
                continue;
            };
            let wanted = resolved(self.desired.instances.get(&name));
            let obstacle = self.obstacle(&name, index, wanted, holders, &takers, canary.as_ref());
            let Some(obstacle) = obstacle else {
                continue;
            };
            self.drafts.remove(index);
            match obstacle {
                Obstacle::Address(why) => self.block(&name, why),
                Obstacle::Dependency(other) => self.hold(&name, HoldReason::WaitsFor(other), None),
                Obstacle::Canary(canary) => {
                    self.hold(&name, HoldReason::WaitsForCanary(canary), None);
                }
            }
            self.mend(&name);
            if self.desired.rollout.canary.as_ref() == Some(&name) {
                open.extend(self.drafts.starts().keys().cloned());
                canary = Some(name);
            } else if let Some(others) = lean_on.get(&name) {
                open.extend(others.iter().cloned());
            }
        }
    }

    /// For each instance the others whose steps count on a step of it.
    fn who_leans_on_whom(
        &self,
        holders: &Holders<'_>,
    ) -> BTreeMap<InstanceName, Vec<InstanceName>> {
        let mut lean_on: BTreeMap<InstanceName, Vec<InstanceName>> = BTreeMap::new();
        for (name, index, wanted) in self.starting() {
            let Some((_, launch)) = self.drafts.get(index).and_then(Draft::starts) else {
                continue;
            };
            let depends_on = wanted.into_iter().flat_map(|wanted| &wanted.depends_on);
            for other in depends_on.chain(holders.in_the_way_of(name, launch)) {
                lean_on.entry(other.clone()).or_default().push(name.clone());
            }
        }
        lean_on
    }

    /// Every draft that starts a server, with what is wanted of its instance, by name.
    fn starting(&self) -> impl Iterator<Item = (&InstanceName, usize, Option<&Wanted>)> {
        // Both are sorted by name, so one walk finds what belongs together.
        let mut all = self.desired.instances.iter().peekable();
        self.drafts.starts().iter().map(move |(name, index)| {
            while all.next_if(|(other, _)| *other < name).is_some() {}
            let own = all.next_if(|(other, _)| *other == name);
            (name, *index, resolved(own.map(|(_, wanted)| wanted)))
        })
    }

    fn obstacle(
        &self,
        name: &InstanceName,
        index: usize,
        wanted: Option<&Wanted>,
        holders: &Holders<'_>,
        takers: &Takers,
        canary: Option<&InstanceName>,
    ) -> Option<Obstacle> {
        let draft = self.drafts.get(index)?;
        let (_, launch) = draft.starts()?;
        let keeps = |holder: &&InstanceName| {
            let end = self.drafts.ends().get(*holder);
            end.and_then(|end| self.drafts.get(*end))
                .is_none_or(|end| end.starts().is_some_and(|(_, next)| overlap(next, launch)))
        };
        if let Some(holder) = holders.in_the_way_of(name, launch).find(keeps) {
            let by = format!("`{holder}`, which is left as it is");
            return Some(Obstacle::Address(held(launch, by)));
        }
        if let Some(rival) = self.rival(name, draft, takers) {
            let by = format!("`{rival}`, which is to start there");
            return Some(Obstacle::Address(held(launch, by)));
        }
        let mut depends_on = wanted.into_iter().flat_map(|wanted| &wanted.depends_on);
        if let Some(other) = depends_on.find(|other| !self.will_be_up(other)) {
            return Some(Obstacle::Dependency(other.clone()));
        }
        canary
            .filter(|canary| *canary != name && matches!(draft.reason, Reason::Drift { .. }))
            .map(|canary| Obstacle::Canary(canary.clone()))
    }

    /// Who is to start where a launch from the record would listen. Those from the manifest have an
    /// address each, or it would not be valid.
    fn rival(&self, name: &InstanceName, draft: &Draft, takers: &Takers) -> Option<InstanceName> {
        let (Action::Start(start) | Action::Replace(start)) = &draft.action else {
            return None;
        };
        let PlannedLaunch::Proven(ours) = &start.launch else {
            return None;
        };
        takers
            .at_port_of(&ours.launch)
            .filter_map(|index| self.drafts.get(index)?.starts())
            .find(|(other, theirs)| *other != name && overlap(theirs, &ours.launch))
            .map(|(other, _)| other.clone())
    }

    /// Whether an instance has passed its gate, or will have once the plan is carried out.
    fn will_be_up(&self, name: &InstanceName) -> bool {
        if self.drafts.starts().contains_key(name) {
            return true;
        }
        let passed = |seen: &crate::observed::ObservedInstance| matches!(&seen.server, Seen::Known(Some(server)) if server.verdict == Verdict::Passed);
        !self.drafts.ends().contains_key(name)
            && self.observed.instances.get(name).is_some_and(passed)
    }

    /// The canary, where it is to run and does not come through: nothing changes after it then. One that
    /// is suspended has come through if it runs what is wanted already.
    fn troubled_canary(&self) -> Option<InstanceName> {
        let canary = self.desired.rollout.canary.as_ref()?;
        let of_canary = |subject: &super::Subject| subject.instance() == Some(canary);
        let held = self.holds.iter().any(|hold| {
            of_canary(&hold.subject)
                && (hold.why.is_failure()
                    || (matches!(hold.why, HoldReason::Suspended { .. })
                        && !self.is_through(canary))
                    || matches!(
                        hold.why,
                        HoldReason::Starting { .. } | HoldReason::RolledBack { .. }
                    ))
        });
        let blocked = self.blockers.iter().any(|one| of_canary(&one.subject));
        (held || blocked).then(|| canary.clone())
    }

    /// Whether an instance runs what is wanted and has passed its gate.
    fn is_through(&self, name: &InstanceName) -> bool {
        self.observed.instances.get(name).is_some_and(|seen| {
            let server = seen.server.known().and_then(Option::as_ref);
            seen.comparison == Comparison::Match
                && server.is_some_and(|server| server.verdict == Verdict::Passed)
        })
    }

    /// Puts each start after the starts of what it depends on, and so the stop that makes way for it.
    fn order_by_dependencies(&mut self) {
        let starts = self.drafts.starts();
        let mut edges: Vec<(usize, usize)> = Vec::new();
        for (name, start, wanted) in self.starting() {
            let depends_on = wanted.into_iter().flat_map(|wanted| &wanted.depends_on);
            for before in depends_on.filter_map(|other| starts.get(other)) {
                let stop = self.drafts.ends().get(name).copied();
                let stop = stop.filter(|stop| *stop != start);
                edges.extend(stop.into_iter().chain([start]).map(|own| (own, *before)));
            }
        }
        for (own, before) in edges {
            if let Some(draft) = self.drafts.get_mut(own)
                && belongs_to_start(draft)
            {
                draft.wishes.push((before, Needs::Success));
            }
        }
    }

    /// Puts every other start after that of the canary, but for what the canary itself needs.
    fn follow_canary(&mut self) {
        let canary = self.desired.rollout.canary.as_ref();
        let Some(first) = canary.and_then(|canary| self.drafts.starts().get(canary).copied())
        else {
            return;
        };
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        let mut open = vec![first];
        while let Some(index) = open.pop() {
            if needed.insert(index)
                && let Some(draft) = self.drafts.get(index)
            {
                let before = draft.after.iter().chain(&draft.wishes);
                open.extend(before.map(|(before, _)| *before));
            }
        }
        let starts = self.drafts.starts().values();
        let later: BTreeSet<usize> = starts
            .chain(self.drafts.ends().values())
            .copied()
            .filter(|index| !needed.contains(index))
            .collect();
        for index in later {
            if let Some(draft) = self.drafts.get_mut(index)
                && belongs_to_start(draft)
            {
                draft.wishes.push((first, Needs::Success));
            }
        }
    }
}

fn resolved(wanted: Option<&WantedInstance>) -> Option<&Wanted> {
    match wanted? {
        WantedInstance::Resolved(wanted) => Some(wanted),
        WantedInstance::Unresolved(_) => None,
    }
}

/// Whether a draft starts a server, or ends one only to make way for its start.
fn belongs_to_start(draft: &Draft) -> bool {
    match draft.action {
        Action::Start(_) | Action::Replace(_) => true,
        Action::Stop(_) => draft.reason == Reason::SwapsPort,
        Action::Install(_)
        | Action::Fetch(_)
        | Action::Update(_)
        | Action::Remove(_)
        | Action::Prune(_) => false,
    }
}
