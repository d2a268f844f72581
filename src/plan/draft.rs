//! Steps while the plan is being made: edges name drafts by their place, and drafts may still be
//! taken back or split. Arranging them is left to [`super::graph`].

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Needs, Reason, Stop};
use crate::instance::InstanceName;

/// A step in the making.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) action: Action,
    pub(super) reason: Reason,
    pub(super) after: Vec<(usize, Needs)>,
    /// Edges that are given up where they would close a circle.
    pub(super) wishes: Vec<(usize, Needs)>,
}

impl Draft {
    pub(super) const fn new(action: Action, reason: Reason) -> Self {
        Self {
            action,
            reason,
            after: Vec::new(),
            wishes: Vec::new(),
        }
    }

    pub(super) fn after(&mut self, draft: usize, needs: Needs) {
        self.after.push((draft, needs));
    }

    /// The instance and port of a step that starts a server.
    pub(super) fn takes_port(&self) -> Option<(&InstanceName, u16)> {
        match &self.action {
            Action::Start(start) | Action::Replace(start) => {
                Some((&start.instance, start.launch.launch().port))
            }
            Action::Install(_)
            | Action::Update(_)
            | Action::Stop(_)
            | Action::Remove(_)
            | Action::Prune(_) => None,
        }
    }

    /// The instance whose server this step ends, and the port it takes instead, if any.
    fn ends_server(&self) -> Option<(&InstanceName, Option<u16>)> {
        match &self.action {
            Action::Replace(start) => Some((&start.instance, Some(start.launch.launch().port))),
            Action::Stop(stop) | Action::Remove(stop) => Some((&stop.instance, None)),
            Action::Install(_) | Action::Start(_) | Action::Update(_) | Action::Prune(_) => None,
        }
    }
}

/// All drafts of a plan. A place stays valid when another draft is removed.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    list: Vec<Option<Draft>>,
    starts: BTreeMap<InstanceName, usize>,
    ends: BTreeMap<InstanceName, usize>,
}

impl Drafts {
    pub(super) fn add(&mut self, draft: Draft) -> usize {
        let index = self.list.len();
        if let Some((name, _)) = draft.takes_port() {
            self.starts.insert(name.clone(), index);
        }
        if let Some((name, _)) = draft.ends_server() {
            self.ends.insert(name.clone(), index);
        }
        self.list.push(Some(draft));
        index
    }

    /// Adds a draft that comes after everything that starts or ends a server.
    pub(super) fn add_last(&mut self, mut draft: Draft) {
        let servers: BTreeSet<usize> = self
            .starts
            .values()
            .chain(self.ends.values())
            .copied()
            .collect();
        draft
            .after
            .extend(servers.into_iter().map(|index| (index, Needs::Ended)));
        self.add(draft);
    }

    pub(super) fn remove(&mut self, index: usize) {
        self.list[index] = None;
        self.starts.retain(|_, at| *at != index);
        self.ends.retain(|_, at| *at != index);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Draft)> {
        self.list
            .iter()
            .enumerate()
            .filter_map(|(index, draft)| Some((index, draft.as_ref()?)))
    }

    pub(super) fn into_list(self) -> Vec<Option<Draft>> {
        self.list
    }

    /// The draft that starts an instance.
    pub(super) fn start_of(&self, name: &InstanceName) -> Option<usize> {
        self.starts.get(name).copied()
    }

    /// The draft after which an instance no longer holds a port.
    pub(super) fn frees_port(&self, name: &InstanceName, port: u16) -> Option<usize> {
        let index = *self.ends.get(name)?;
        let (_, takes) = self.list[index].as_ref()?.ends_server()?;
        (takes != Some(port)).then_some(index)
    }

    /// Puts each start after what frees its port. Restarts that wait for each other in a circle are
    /// split: first all of them stop, then each starts.
    pub(super) fn order_by_ports(&mut self, holders: &BTreeMap<u16, &InstanceName>) {
        let mut waits: BTreeMap<usize, InstanceName> = BTreeMap::new();
        for (index, draft) in self.iter() {
            if let Some((name, port)) = draft.takes_port()
                && let Some(holder) = holders.get(&port)
                && *holder != name
            {
                waits.insert(index, (*holder).clone());
            }
        }
        for index in self.circles(&waits) {
            self.split(index);
        }
        for (index, holder) in waits {
            // A split draft kept its place for the start; the stop has a place of its own.
            if let Some(frees) = self.ends.get(&holder).copied()
                && let Some(draft) = self.list[index].as_mut()
            {
                draft.after(frees, Needs::Success);
            }
        }
    }

    /// The restarts that wait for themselves through others.
    fn circles(&self, waits: &BTreeMap<usize, InstanceName>) -> BTreeSet<usize> {
        let next = |index: usize| -> Option<usize> { self.ends.get(waits.get(&index)?).copied() };
        let mut circles = BTreeSet::new();
        let mut done: BTreeSet<usize> = BTreeSet::new();
        for start in waits.keys() {
            let mut path = Vec::new();
            let mut at = Some(*start);
            while let Some(index) = at {
                if let Some(place) = path.iter().position(|seen| *seen == index) {
                    circles.extend(path[place..].iter().copied());
                    break;
                }
                if done.contains(&index) {
                    break;
                }
                path.push(index);
                at = next(index);
            }
            done.extend(path);
        }
        circles
    }

    /// Turns a restart into a stop and a start that comes after it.
    fn split(&mut self, index: usize) {
        let Some(draft) = self.list[index].take() else {
            return;
        };
        let Action::Replace(mut start) = draft.action else {
            self.list[index] = Some(draft);
            return;
        };
        let stop = Stop {
            instance: start.instance.clone(),
            revision: start.revision.clone(),
            stop_timeout: start.supervision.stop_timeout,
        };
        let mut stop = Draft::new(Action::Stop(stop), Reason::SwapsPort);
        // What the start will find is what the stop left, not what was seen.
        start.revision = crate::observed::Revision::default();
        // The build must be there before anything stops.
        stop.after.clone_from(&draft.after);
        let stop = self.add(stop);
        let mut start = Draft {
            action: Action::Start(start),
            ..draft
        };
        start.after(stop, Needs::Success);
        self.list[index] = Some(start);
    }

    /// Puts the start of an instance after the starts of others, where there are any.
    pub(super) fn depend(&mut self, name: &InstanceName, on: &BTreeSet<InstanceName>) {
        let Some(index) = self.start_of(name) else {
            return;
        };
        let wishes: Vec<_> = on
            .iter()
            .filter_map(|other| Some((self.start_of(other)?, Needs::Success)))
            .collect();
        if let Some(draft) = self.list[index].as_mut() {
            draft.wishes.extend(wishes);
        }
    }

    /// Puts every other start after that of the canary, but for what the canary itself needs.
    pub(super) fn follow_canary(&mut self, canary: &InstanceName) {
        let Some(first) = self.start_of(canary) else {
            return;
        };
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        let mut open = vec![first];
        while let Some(index) = open.pop() {
            if needed.insert(index)
                && let Some(draft) = &self.list[index]
            {
                open.extend(
                    draft
                        .after
                        .iter()
                        .chain(&draft.wishes)
                        .map(|(before, _)| *before),
                );
            }
        }
        for index in self.starts.values().chain(self.ends.values()) {
            if !needed.contains(index)
                && let Some(draft) = self.list[*index].as_mut()
                && !draft.wishes.contains(&(first, Needs::Success))
            {
                draft.wishes.push((first, Needs::Success));
            }
        }
    }
}
