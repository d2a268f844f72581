//! Instances that left the manifest, and servers that are to end whatever the manifest says.

use std::collections::BTreeMap;

use super::action::{Action, HoldReason, Reason, Stop};
use super::draft::Draft;
use super::drain::drain_of;
use super::{Planner, Sides};
use crate::desired::WantedInstance;
use crate::instance::{InstanceName, Launch, Supervision};
use crate::observed::{ObservedInstance, Seen};

/// From this many known instances on, removing more than half of them needs agreement.
const MANY: usize = 3;

impl Planner<'_> {
    /// Decides about instances that left the manifest.
    pub(super) fn removals(&mut self, sides: &Sides<'_>) {
        if sides.gone.is_empty() {
            return;
        }
        let stays = sides.wanted.iter().filter_map(|(_, _, seen)| *seen);
        let stays = stays.filter(|seen| seen.memory.known().is_none_or(|memory| memory.traces));
        let known = stays.count() + sides.gone.len();
        let new = Newcomers::of(sides);
        let mut removable = 0;
        let mut gone = Vec::new();
        for (name, seen) in &sides.gone {
            let memory = seen.memory.known();
            let protected = self.desired.protect.contains(*name)
                || memory.is_some_and(|memory| memory.protected);
            let renamed = new.has(seen);
            let suspended = memory.and_then(|memory| memory.suspended.as_ref());
            let stays = protected || suspended.is_some();
            removable += usize::from(!stays && !renamed && seen.unseen().is_none());
            gone.push((name, seen, suspended, protected, renamed));
        }
        let most = known >= MANY && removable * 2 > known;
        let refused = !self.desired.allow_empty && (removable == known || most);
        for (name, seen, suspended, protected, renamed) in gone {
            if seen.unseen().is_some() {
                self.unseen(name, seen);
            } else if let Some(suspended) = suspended {
                self.leave_as_it_is(name, suspended);
            } else if protected {
                self.hold(name, HoldReason::Protected, None);
            } else if refused && !renamed {
                let why = HoldReason::TooManyRemovals {
                    removed: removable,
                    of: known,
                };
                self.hold(name, why, None);
            } else {
                let remove = Action::Remove(stop_as_it_is(name, seen));
                self.drafts.add(Draft::new(remove, Reason::NoLongerWanted));
            }
        }
    }

    /// Ends the server of one instance because a person asked for it.
    pub(super) fn end(
        &mut self,
        name: &InstanceName,
        seen: &ObservedInstance,
        reason: Option<&str>,
    ) {
        match (&seen.supervisor, &seen.server) {
            (Seen::Known(None), Seen::Known(None)) => {}
            // Its record may be damaged; what lives can be ended all the same.
            (Seen::Known(_), Seen::Known(_)) => {
                let stop = Action::Stop(Stop {
                    by_hand: true,
                    ..stop_as_it_is(name, seen)
                });
                let reason = Reason::PutDown(reason.map(str::to_owned));
                self.drafts.add(Draft::new(stop, reason));
            }
            (Seen::Unknown(_), _) | (_, Seen::Unknown(_)) => self.unseen(name, seen),
        }
    }
}

/// What is wanted under names that nothing is known of, by where it is to listen.
struct Newcomers<'a>(BTreeMap<(&'a str, u16), &'a Launch>);

impl<'a> Newcomers<'a> {
    fn of(sides: &Sides<'a>) -> Self {
        let new = sides.wanted.iter().filter_map(|(_, wanted, seen)| {
            let memory = seen.map(|seen| &seen.memory);
            match (wanted, memory) {
                (WantedInstance::Resolved(wanted), None) => Some(wanted),
                (WantedInstance::Resolved(wanted), Some(Seen::Known(memory))) => {
                    (wanted.enabled && !memory.traces).then_some(wanted)
                }
                (WantedInstance::Resolved(_), Some(Seen::Unknown(_)))
                | (WantedInstance::Unresolved(_), _) => None,
            }
        });
        let launches = new.map(|wanted| wanted.launch.as_ref());
        Self(
            launches
                .map(|launch| ((launch.host.as_str(), launch.port), launch))
                .collect(),
        )
    }

    /// Whether one of them is just what an instance that left the manifest runs: then that was
    /// renamed, and nothing is lost.
    fn has(&self, gone: &ObservedInstance) -> bool {
        let server = gone.server.known().and_then(Option::as_ref);
        server.is_some_and(|server| {
            let launch = &server.launch.launch;
            let new = self.0.get(&(launch.host.as_str(), launch.port));
            new.is_some_and(|new| new.inputs == launch.inputs)
        })
    }
}

/// A stop by the settings of the supervisor that lives, since the manifest says none.
fn stop_as_it_is(name: &InstanceName, seen: &ObservedInstance) -> Stop {
    let supervisor = seen.supervisor.known().and_then(Option::as_ref);
    let settings = supervisor.map_or_else(Supervision::default, |supervisor| {
        supervisor.settings.clone()
    });
    Stop {
        instance: name.clone(),
        revision: seen.revision.clone(),
        stop_timeout: settings.stop_timeout,
        drain: drain_of(seen, &settings),
        by_hand: false,
        successor: None,
    }
}
