//! Who holds which address, and the order in which addresses change hands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Planner;
use super::action::{Action, BlockReason, Needs, PlannedLaunch, Reason, Stop};
use super::draft::{Draft, Drafts};
use crate::instance::is_socket;
use crate::instance::{InstanceName, Launch};
use crate::manifest::hosts_overlap;
use crate::observed::{ListensAt, Observed, Revision, Seen};

/// The servers that run, by the port they listen on; a socket has none.
pub(super) struct Holders<'a>(Vec<(Option<u16>, &'a InstanceName, &'a Launch)>);

impl<'a> Holders<'a> {
    pub(super) fn of(observed: &'a Observed) -> Self {
        let mut holders: Vec<_> = observed
            .instances
            .iter()
            .filter_map(|(name, seen)| match &seen.server {
                Seen::Known(Some(server)) => Some((name, &server.launch.launch)),
                Seen::Known(None) | Seen::Unknown(_) => None,
            })
            .map(|(name, launch)| (port_of(launch), name, launch))
            .collect();
        holders.sort_by_key(|(port, ..)| *port);
        Self(holders)
    }

    /// The other instances whose servers are where a launch is to listen.
    pub(super) fn in_the_way_of<'s>(
        &'s self,
        name: &'s InstanceName,
        launch: &'s Launch,
    ) -> impl Iterator<Item = &'a InstanceName> + 's {
        at_port(&self.0, launch, |(port, ..)| *port)
            .filter(move |(_, holder, held)| *holder != name && overlap(held, launch))
            .map(|(_, holder, _)| *holder)
    }
}

/// The drafts that start a server, by the port it is to listen on. Some may have been taken back
/// since.
pub(super) struct Takers(Vec<(Option<u16>, usize)>);

impl Takers {
    pub(super) fn of(drafts: &Drafts) -> Self {
        let mut takers: Vec<_> = drafts
            .starts()
            .values()
            .filter_map(|index| Some((port_of(drafts.get(*index)?.starts()?.1), *index)))
            .collect();
        takers.sort_by_key(|(port, _)| *port);
        Self(takers)
    }

    pub(super) fn at_port_of(&self, launch: &Launch) -> impl Iterator<Item = usize> {
        at_port(&self.0, launch, |(port, _)| *port).map(|(_, index)| *index)
    }
}

/// The entries of a list sorted by port that are at the port of a launch.
fn at_port<'l, T>(
    list: &'l [T],
    launch: &Launch,
    port: impl Fn(&T) -> Option<u16>,
) -> impl Iterator<Item = &'l T> {
    let wanted = port_of(launch);
    let first = list.partition_point(|entry| port(entry) < wanted);
    list[first..]
        .iter()
        .take_while(move |entry| port(entry) == wanted)
}

fn port_of(launch: &Launch) -> Option<u16> {
    (!is_socket(&launch.host)).then_some(launch.port)
}

/// Whether two launches listen on the same address.
pub(super) fn overlap(one: &Launch, other: &Launch) -> bool {
    port_of(one) == port_of(other)
        && (one.host == other.host || hosts_overlap(&one.host, &other.host))
}

/// Whether somebody who listens at `at` keeps a server from its address. A wildcard takes every
/// address of its family, and that of version 6 may take those of version 4 as well; what a name
/// stands for cannot be told here, so it may be any address.
pub(crate) fn keeps_out(at: &ListensAt, host: &str, port: u16) -> bool {
    match at {
        ListensAt::Socket(path) => path == host,
        ListensAt::Port(_, held) if *held != port || is_socket(host) => false,
        ListensAt::Port(theirs, _) => host.split(',').any(|host| {
            let host = host.trim().trim_start_matches('[').trim_end_matches(']');
            let theirs = theirs.to_canonical();
            match host.parse::<IpAddr>().map(|ours| ours.to_canonical()) {
                Ok(ours) => ours == theirs || takes_all(ours, theirs) || takes_all(theirs, ours),
                Err(_) if host.eq_ignore_ascii_case("localhost") => {
                    theirs.is_loopback() || theirs.is_unspecified()
                }
                Err(_) => true,
            }
        }),
    }
}

fn takes_all(wildcard: IpAddr, address: IpAddr) -> bool {
    wildcard.is_unspecified() && (wildcard.is_ipv6() || address.is_ipv4())
}

/// Why a launch cannot have its address.
pub(super) fn held(launch: &Launch, by: String) -> BlockReason {
    if is_socket(&launch.host) {
        let socket = launch.host.clone();
        BlockReason::SocketHeld { socket, by }
    } else {
        let port = launch.port;
        BlockReason::PortHeld { port, by }
    }
}

impl Planner<'_> {
    /// Why a launch cannot have its address: somebody who is not ours has it.
    pub(super) fn port_held(&self, launch: &Launch) -> Option<BlockReason> {
        let strangers = self.observed.host.strangers.known()?;
        let stranger = strangers
            .iter()
            .find(|it| keeps_out(&it.at, &launch.host, launch.port))?;
        Some(held(launch, stranger.who.clone()))
    }

    /// Puts each start after what frees its address. Restarts that wait for each other in a circle
    /// are split: first all of them stop, then each starts.
    pub(super) fn order_by_ports(&mut self, holders: &Holders<'_>) {
        let mut waits: BTreeMap<usize, Vec<&InstanceName>> = BTreeMap::new();
        for (name, index) in self.drafts.starts() {
            if let Some((_, launch)) = self.drafts.get(*index).and_then(Draft::starts) {
                let others: Vec<_> = holders.in_the_way_of(name, launch).collect();
                if !others.is_empty() {
                    waits.insert(*index, others);
                }
            }
        }
        let circles = self.circles(&waits);
        self.split(&circles);
        for (index, others) in waits {
            // A draft that was split kept its place for the start; the stop has one of its own.
            let frees: Vec<usize> = others
                .into_iter()
                .filter_map(|other| self.drafts.ends().get(other).copied())
                .collect();
            if let Some(draft) = self.drafts.get_mut(index) {
                for before in frees {
                    draft.after(before, Needs::Success);
                }
            }
        }
    }

    /// Drops fallbacks whose address is another's by the time they might be needed: two servers on
    /// one address help nobody.
    pub(super) fn settle_fallbacks(&mut self, holders: &Holders<'_>) {
        let takers = Takers::of(&self.drafts);
        let taken = |index: usize| {
            let draft = self.drafts.get(index)?;
            let (name, launch) = draft.starts()?;
            let fallback = &draft.fallback()?.launch;
            if overlap(fallback, launch) {
                return None;
            }
            let held = holders.in_the_way_of(name, fallback).next().is_some();
            let contested = takers
                .at_port_of(fallback)
                .filter(|rival| *rival != index)
                .filter_map(|rival| self.drafts.get(rival))
                // Whoever comes after this step does not start when it falls back.
                .filter(|rival| !rival.after.contains(&(index, Needs::Success)))
                .filter_map(Draft::starts)
                .any(|(_, theirs)| overlap(theirs, fallback));
            (held || contested).then_some(index)
        };
        let contested: Vec<usize> = self
            .drafts
            .starts()
            .values()
            .filter_map(|index| taken(*index))
            .collect();
        for index in contested {
            if let Some(draft) = self.drafts.get_mut(index) {
                draft.without_fallback();
            }
        }
    }

    /// The restarts that wait for themselves through others, and those between two such circles.
    fn circles(&self, waits: &BTreeMap<usize, Vec<&InstanceName>>) -> BTreeSet<usize> {
        let next = |index: &usize| {
            waits
                .get(index)
                .into_iter()
                .flatten()
                .filter_map(|other| self.drafts.ends().get(*other).copied())
                .collect::<Vec<_>>()
        };
        let forward: BTreeMap<usize, Vec<usize>> =
            waits.keys().map(|index| (*index, next(index))).collect();
        let mut backward: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, before) in &forward {
            for one in before {
                backward.entry(*one).or_default().push(*index);
            }
        }
        let ahead = reached_only_from_ends(&forward, &backward);
        let behind = reached_only_from_ends(&backward, &forward);
        let outside: BTreeSet<usize> = ahead.union(&behind).copied().collect();
        forward
            .into_keys()
            .filter(|index| !outside.contains(index))
            .collect()
    }

    /// Turns restarts into stops and starts that come after them.
    fn split(&mut self, circle: &BTreeSet<usize>) {
        // Every build must be there before anything stops.
        let installs: BTreeSet<(usize, Needs)> = circle
            .iter()
            .filter_map(|index| self.drafts.get(*index))
            .flat_map(|draft| draft.after.iter().copied())
            .collect();
        for index in circle {
            let Some(draft) = self.drafts.remove(*index) else {
                continue;
            };
            let Action::Replace(mut start) = draft.action else {
                self.drafts.replace(*index, draft);
                continue;
            };
            let stop = Stop {
                by_hand: false,
                instance: start.instance.clone(),
                revision: start.revision.clone(),
                stop_timeout: start.supervision.stop_timeout,
                drain: start.drain.take(),
                successor: match &start.launch {
                    PlannedLaunch::Wanted(launch) => Some(Arc::clone(launch)),
                    PlannedLaunch::Proven(_) => None,
                },
            };
            let mut stop = Draft::new(Action::Stop(stop), Reason::SwapsPort);
            stop.after.extend(installs.iter().copied());
            let stop = self.drafts.add(stop);
            // What was seen no longer holds once it has stopped.
            start.revision = Revision::default();
            let mut start = Draft {
                action: Action::Start(start),
                reason: draft.reason,
                after: draft.after,
                wishes: draft.wishes,
            };
            start.after(stop, Needs::Success);
            self.drafts.replace(*index, start);
        }
    }
}

/// The nodes from which following the edges comes to an end.
fn reached_only_from_ends(
    edges: &BTreeMap<usize, Vec<usize>>,
    back: &BTreeMap<usize, Vec<usize>>,
) -> BTreeSet<usize> {
    let mut left: BTreeMap<usize, usize> = edges
        .iter()
        .map(|(index, next)| (*index, next.len()))
        .collect();
    let mut open: Vec<usize> = back
        .keys()
        .filter(|index| !edges.contains_key(index))
        .copied()
        .collect();
    open.extend(
        left.iter()
            .filter(|(_, left)| **left == 0)
            .map(|(index, _)| *index),
    );
    let mut done = BTreeSet::new();
    while let Some(index) = open.pop() {
        if !done.insert(index) {
            continue;
        }
        for before in back.get(&index).into_iter().flatten() {
            if let Some(count) = left.get_mut(before) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    open.push(*before);
                }
            }
        }
    }
    done
}
