//! What instances have to do with each other, as far as the texts alone show it: ports, names and
//! cycles.

use std::collections::{BTreeMap, BTreeSet};

use url::Host;

use super::decode::suggest;
use super::instance::Decoded;
use super::mistake::Collector;
use super::text::Span;
use crate::instance::{InstanceName, is_socket};

type Instances = BTreeMap<InstanceName, (Span, Decoded)>;

/// Notes every mistake between instances.
pub(super) fn instances(mistakes: &mut Collector<'_>, instances: &Instances) {
    ports(mistakes, instances);
    dependencies(mistakes, instances);
}

/// An instance, the addresses it listens on, and where that is written.
type Listener<'a> = (&'a InstanceName, Vec<Address>, Span);

/// Notes each enabled instance that listens where an earlier one does.
fn ports(mistakes: &mut Collector<'_>, instances: &Instances) {
    let mut by_port: BTreeMap<u16, Vec<Listener<'_>>> = BTreeMap::new();
    let mut in_order: Vec<_> = instances.iter().collect();
    in_order.sort_by_key(|(_, (span, _))| *span);
    for (name, (span, decoded)) in in_order {
        let server = &decoded.instance.server;
        if !decoded.instance.enabled || server.port == 0 {
            continue;
        }
        let addresses: Vec<Address> = server.host.split(',').map(Address::of).collect();
        let span = decoded.port.unwrap_or(*span);
        let others = by_port.entry(server.port).or_default();
        let other = others.iter().find(|(_, theirs, _)| {
            theirs
                .iter()
                .any(|one| addresses.iter().any(|address| address.overlaps(one)))
        });
        if let Some((other, _, place)) = other {
            let place = mistakes.describe(*place);
            let port = server.port;
            let message = format!("port {port} of `{name}` is also that of `{other}` ({place})");
            let hint = "give one of them another port, or write `enabled: false` in one";
            mistakes.push(span, message, Some(hint.to_owned()));
        }
        others.push((name, addresses, span));
    }
}

/// Whether a server on one host takes the address of a server on the other, both at the same port.
pub(crate) fn hosts_overlap(one: &str, other: &str) -> bool {
    let theirs: Vec<Address> = other.split(',').map(Address::of).collect();
    one.split(',')
        .map(Address::of)
        .any(|one| theirs.iter().any(|other| one.overlaps(other)))
}

/// Where a server listens, as far as its text says.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Every,
    Ip(Host<String>),
    Name(String),
    Socket(String),
}

impl Address {
    fn of(text: &str) -> Self {
        let text = text.trim();
        if is_socket(text) {
            return Self::Socket(text.to_owned());
        }
        let name = text.to_ascii_lowercase();
        let name = if name == "localhost" {
            "127.0.0.1".to_owned()
        } else {
            name
        };
        let bracketed = if name.contains(':') && !name.starts_with('[') {
            format!("[{name}]")
        } else {
            name.clone()
        };
        match Host::parse(&bracketed) {
            Ok(Host::Ipv4(address)) if address.is_unspecified() => Self::Every,
            Ok(Host::Ipv6(address)) if address.is_unspecified() => Self::Every,
            Ok(host @ (Host::Ipv4(_) | Host::Ipv6(_))) => Self::Ip(host),
            Ok(Host::Domain(_)) | Err(_) => Self::Name(name),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let socket = |address: &Self| matches!(address, Self::Socket(_));
        match (self, other) {
            (Self::Every, other) | (other, Self::Every) => !socket(other),
            (one, other) => one == other,
        }
    }
}

/// Notes unknown names in `depends_on`, and each cycle once.
fn dependencies(mistakes: &mut Collector<'_>, instances: &Instances) {
    for (name, (_, decoded)) in instances {
        for (wanted, span) in &decoded.depends_on {
            if wanted == name {
                let message = format!("`{name}` depends on itself");
                mistakes.push(*span, message, Some("remove it".to_owned()));
            } else if !instances.contains_key(wanted) {
                let others = instances.keys().filter(|other| *other != name);
                let hint = suggest(wanted.as_str(), others.map(InstanceName::as_str));
                let message = format!("`{name}` depends on `{wanted}`, which is not an instance");
                mistakes.push(*span, message, Some(hint));
            }
        }
    }

    let mut done = BTreeSet::new();
    for start in instances.keys() {
        // Depth first without recursion: a chain may be as long as there are instances.
        let mut path: Vec<(&InstanceName, usize)> = vec![(start, 0)];
        let mut open: BTreeSet<&InstanceName> = BTreeSet::from([start]);
        while let Some((name, next)) = path.last_mut() {
            let depends_on = instances
                .get(*name)
                .map_or(&[][..], |(_, decoded)| &decoded.depends_on);
            let edge = if done.contains(*name) {
                None
            } else {
                depends_on.get(*next)
            };
            *next += 1;
            let Some((wanted, span)) = edge else {
                done.insert(*name);
                open.remove(*name);
                path.pop();
                continue;
            };
            if open.contains(wanted) && wanted != *name {
                let from = path
                    .iter()
                    .position(|(name, _)| *name == wanted)
                    .unwrap_or(0);
                let cycle = path[from..].iter().map(|(name, _)| format!("`{name}`"));
                let cycle: Vec<String> = cycle.chain([format!("`{wanted}`")]).collect();
                let message = format!("the dependencies run in a circle: {}", cycle.join(" -> "));
                mistakes.push(*span, message, Some("remove one of them".to_owned()));
            } else if !open.contains(wanted) && !done.contains(wanted) {
                open.insert(wanted);
                path.push((wanted, 0));
            }
        }
    }
}
