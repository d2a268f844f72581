//! Who else listens where something is to be started. Whether that is in its way is the planner's to
//! say.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Desired, WantedInstance};
use crate::instance::{InstanceName, Launch, is_socket, listener};
use crate::observed::{ListensAt, ObservedInstance, Seen, Stranger, Unseen};
use crate::root::Root;

/// Everybody who listens at a port or socket of a launch that may be started. Our own servers, by
/// their pids in `ours`, are left out: what they hold stands in their launches.
pub(super) fn strangers(
    root: &Root,
    desired: &Desired,
    instances: &BTreeMap<InstanceName, ObservedInstance>,
    ours: &BTreeSet<u32>,
) -> Seen<Vec<Stranger>> {
    let held: BTreeSet<_> = instances.values().filter_map(runs).map(address).collect();
    let mut ports = BTreeSet::new();
    let mut sockets = BTreeSet::new();
    for (name, wanted) in &desired.instances {
        let WantedInstance::Resolved(wanted) = wanted else {
            continue;
        };
        let seen = instances.get(name).filter(|_| wanted.enabled);
        for launch in seen
            .into_iter()
            .flat_map(|seen| startable(seen, &wanted.launch))
        {
            match address(launch) {
                taken if held.contains(&taken) => {}
                (_, Some(port)) => drop(ports.insert(port)),
                (socket, None) => drop(sockets.insert(socket)),
            }
        }
    }
    let is_ours = |pid: Option<u32>| pid.is_some_and(|pid| ours.contains(&pid));
    let at_sockets = sockets.into_iter().filter_map(|path| {
        let holder = listener::socket_holder(&root.path().join(path))?;
        (!is_ours(holder.pid)).then(|| Stranger {
            at: ListensAt::Socket(path.to_owned()),
            who: holder.to_string(),
        })
    });
    let mut strangers: Vec<Stranger> = at_sockets.collect();
    if ports.is_empty() {
        return Seen::Known(strangers);
    }
    match listener::holders(&ports) {
        Ok(holders) => {
            let others = holders
                .into_iter()
                .filter(|(_, holder)| !is_ours(holder.pid));
            strangers.extend(others.map(|(at, holder)| Stranger {
                at: ListensAt::Port(at.ip(), at.port()),
                who: holder.to_string(),
            }));
            Seen::Known(strangers)
        }
        Err(error) => Seen::Unknown(Unseen(format!("cannot list listeners: {error}"))),
    }
}

fn runs(seen: &ObservedInstance) -> Option<&Launch> {
    let server = seen.server.known()?.as_ref()?;
    Some(&server.launch.launch)
}

/// Where a launch listens; a socket has no port.
fn address(launch: &Launch) -> (&str, Option<u16>) {
    let port = (!is_socket(&launch.host)).then_some(launch.port);
    (&launch.host, port)
}

/// What a plan may start of an instance: the manifest's launch, what it was rolled back to, and,
/// where that has failed, what was proven before.
fn startable<'a>(
    seen: &'a ObservedInstance,
    wanted: &'a Launch,
) -> impl Iterator<Item = &'a Launch> {
    let memory = seen.memory.known();
    let recorded = memory.into_iter().flat_map(|memory| {
        let rolled_back = memory.rolled_back.iter().map(|it| &it.launch);
        let proven = memory.proven.iter().filter(|_| seen.failed.is_some());
        rolled_back.chain(proven)
    });
    std::iter::once(wanted).chain(recorded.map(|recorded| &recorded.launch))
}
