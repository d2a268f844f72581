//! Steps while the plan is being made: edges name drafts by their place, and drafts may still be
//! taken back or split. Arranging them is left to [`super::graph`].

use std::collections::BTreeMap;

use super::action::{Action, Needs, Reason};
use crate::instance::record::RecordedLaunch;
use crate::instance::{InstanceName, Launch};

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

    /// The instance and launch of a step that starts a server.
    pub(super) fn starts(&self) -> Option<(&InstanceName, &Launch)> {
        match &self.action {
            Action::Start(start) | Action::Replace(start) => {
                Some((&start.instance, start.launch.launch()))
            }
            Action::Install(_)
            | Action::Fetch(_)
            | Action::Update(_)
            | Action::Stop(_)
            | Action::Remove(_)
            | Action::Prune(_) => None,
        }
    }

    /// What is started where the gate of what this step starts fails.
    pub(super) fn fallback(&self) -> Option<&RecordedLaunch> {
        match &self.action {
            Action::Start(start) | Action::Replace(start) => start.fallback.as_ref(),
            Action::Install(_)
            | Action::Fetch(_)
            | Action::Update(_)
            | Action::Stop(_)
            | Action::Remove(_)
            | Action::Prune(_) => None,
        }
    }

    /// Leaves nothing to fall back to.
    pub(super) fn without_fallback(&mut self) {
        if let Action::Start(start) | Action::Replace(start) = &mut self.action {
            start.fallback = None;
        }
    }

    /// The instance whose server this step ends.
    fn ends(&self) -> Option<&InstanceName> {
        match &self.action {
            Action::Replace(start) => Some(&start.instance),
            Action::Stop(stop) | Action::Remove(stop) => Some(&stop.instance),
            Action::Install(_)
            | Action::Fetch(_)
            | Action::Start(_)
            | Action::Update(_)
            | Action::Prune(_) => None,
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
        if let Some((name, _)) = draft.starts() {
            self.starts.insert(name.clone(), index);
        }
        if let Some(name) = draft.ends() {
            self.ends.insert(name.clone(), index);
        }
        self.list.push(Some(draft));
        index
    }

    /// Adds a draft that comes after everything that starts or ends a server.
    pub(super) fn add_last(&mut self, mut draft: Draft) {
        let mut servers: Vec<usize> = self
            .starts
            .values()
            .chain(self.ends.values())
            .copied()
            .collect();
        servers.sort_unstable();
        servers.dedup();
        draft
            .after
            .extend(servers.into_iter().map(|index| (index, Needs::Ended)));
        self.add(draft);
    }

    /// Takes a draft back.
    pub(super) fn remove(&mut self, index: usize) -> Option<Draft> {
        let draft = self.list.get_mut(index)?.take()?;
        if let Some((name, _)) = draft.starts() {
            self.starts.remove(name);
        }
        if let Some(name) = draft.ends() {
            self.ends.remove(name);
        }
        Some(draft)
    }

    /// Puts another draft in the place of one, whose edges still lead there.
    pub(super) fn replace(&mut self, index: usize, draft: Draft) {
        if let Some((name, _)) = draft.starts() {
            self.starts.insert(name.clone(), index);
        }
        if let Some(name) = draft.ends() {
            self.ends.insert(name.clone(), index);
        }
        if let Some(place) = self.list.get_mut(index) {
            *place = Some(draft);
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Draft> {
        self.list.get(index)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Draft> {
        self.list.get_mut(index)?.as_mut()
    }

    pub(super) fn into_list(self) -> Vec<Option<Draft>> {
        self.list
    }

    /// Every draft that starts a server, by the instance's name.
    pub(super) fn starts(&self) -> &BTreeMap<InstanceName, usize> {
        &self.starts
    }

    /// Every draft that ends a server, by the instance's name.
    pub(super) fn ends(&self) -> &BTreeMap<InstanceName, usize> {
        &self.ends
    }
}
