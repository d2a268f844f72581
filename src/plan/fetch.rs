//! Models that are fetched by name: before anything stops, where the build can do that.

use std::sync::Arc;

use super::Planner;
use super::action::{Action, Fetch, Needs, PlannedLaunch, Reason, WarningReason};
use super::draft::Draft;
use crate::desired::argv::origin::{OFFLINE, fetched};
use crate::observed::ObservedInstance;

impl Planner<'_> {
    /// Puts the fetching of a model before the step that starts a server with it. What is to be known
    /// where that cannot be.
    pub(super) fn fetch_before(
        &mut self,
        draft: &mut Draft,
        seen: &ObservedInstance,
    ) -> Option<WarningReason> {
        let (Action::Start(start) | Action::Replace(start)) = &draft.action else {
            return None;
        };
        let PlannedLaunch::Wanted(launch) = &start.launch else {
            return None;
        };
        if !launch.fetches || seen.fetched {
            return None;
        }
        let names: Vec<String> = fetched(&launch.arguments)
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        let abilities = self.observed.abilities.get(&launch.binary);
        let options = abilities.and_then(|abilities| abilities.options.as_ref());
        if options.is_some_and(|options| !options.knows(OFFLINE)) {
            return Some(WarningReason::FetchedWhileDown {
                build: launch.build.clone(),
                names,
            });
        }
        let fetch = Fetch {
            instance: start.instance.clone(),
            launch: Arc::clone(launch),
        };
        let mut fetch = Draft::new(Action::Fetch(fetch), Reason::NotFetched(names));
        // It is done by the build it is for.
        fetch.after.clone_from(&draft.after);
        let fetch = self.drafts.add(fetch);
        draft.after(fetch, Needs::Success);
        None
    }
}
