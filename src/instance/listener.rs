//! Which process listens on a TCP port.
//!
//! Two questions are answered: who holds the ports a plan wants to use, and whether a server that
//! is said to be ready is really the one that would be asked. What follows from the answers is
//! left to the planner and to [`super::gate`].

#![expect(
    clippy::disallowed_methods,
    reason = "reads the system's tables of sockets"
)]

#[cfg_attr(target_os = "linux", path = "listener/linux.rs")]
#[cfg_attr(target_os = "macos", path = "listener/macos.rs")]
#[cfg_attr(windows, path = "listener/windows.rs")]
mod os;
#[cfg(any(target_os = "macos", test))]
mod socket;
#[cfg(any(windows, test))]
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Who listens on a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process id; `None` where it belongs to somebody we may not look into.
    pub pid: Option<u32>,
    /// The name of its program, such as `python3`.
    pub program: Option<String>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.program, self.pid) {
            (Some(program), Some(pid)) => write!(f, "`{program}` (pid {pid})"),
            (None, Some(pid)) => write!(f, "pid {pid}"),
            _ => f.write_str("another user's process"),
        }
    }
}

/// One socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// The processes of this machine that listen on one of `ports`, each at an address of its own.
pub fn holders(ports: &BTreeSet<u16>) -> io::Result<Vec<(SocketAddr, Holder)>> {
    let sockets = os::listening(ports)?;
    let owners = os::owners(&sockets.iter().map(|socket| socket.inode).collect())?;
    let mut holders: BTreeMap<SocketAddr, Holder> = BTreeMap::new();
    for socket in sockets {
        let known = holders.entry(SocketAddr::new(socket.address, socket.port));
        let known = known.or_default();
        if known.pid.is_none() {
            *known = holder(owners.get(&socket.inode).copied());
        }
    }
    Ok(holders.into_iter().collect())
}

/// The process that listens at a Unix socket; `None` where nobody does, such as at the file of one
/// that is gone.
#[cfg(unix)]
pub fn socket_holder(path: &camino::Utf8Path) -> Option<Holder> {
    os::listens_at(path)
}

/// The process that listens at a Unix socket, of which there are none here.
#[cfg(not(unix))]
pub fn socket_holder(_path: &camino::Utf8Path) -> Option<Holder> {
    None
}

/// Who listens where a server is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// Nobody.
    Nobody,
    /// The server alone.
    Ours,
    /// The server, and on the same address somebody else too: requests go to either.
    Shared(Holder),
    /// Somebody else alone.
    Stranger(Holder),
    /// Somebody, and neither the server nor that process lets us look: it may be either.
    Unreadable,
}

/// Finds out who listens on `port` from the point of view of the server `pid`, whose process group
/// counts as itself.
pub fn judge(port: u16, pid: u32) -> io::Result<Listener> {
    let sockets = os::listening(&BTreeSet::from([port]))?;
    if sockets.is_empty() {
        return Ok(Listener::Nobody);
    }
    let own = os::inodes_of(pid);
    let readable = own.is_ok();
    let mut inodes = own.unwrap_or_default();
    if !sockets.iter().any(|socket| inodes.contains(&socket.inode)) {
        for member in super::identity::members(pid)? {
            inodes.extend(os::inodes_of(member).unwrap_or_default());
        }
    }
    let (ours, others): (Vec<_>, Vec<_>) = sockets
        .into_iter()
        .partition(|socket| inodes.contains(&socket.inode));
    let in_the_way: Vec<&Socket> = if ours.is_empty() {
        others.iter().collect()
    } else {
        others
            .iter()
            .filter(|other| ours.iter().any(|own| collide(own, other)))
            .collect()
    };
    let Some(first) = in_the_way.first() else {
        return Ok(Listener::Ours);
    };
    let owner = os::owners(&BTreeSet::from([first.inode]))?
        .get(&first.inode)
        .copied();
    Ok(match (ours.is_empty(), owner) {
        (true, None) if !readable => Listener::Unreadable,
        (true, owner) => Listener::Stranger(holder(owner)),
        (false, owner) => Listener::Shared(holder(owner)),
    })
}

/// Whether a connection meant for `own` may end up at `other`: the same address, or a narrower one
/// than the server's wildcard.
fn collide(own: &Socket, other: &Socket) -> bool {
    own.address == other.address
        || (own.address.is_unspecified() && own.address.is_ipv4() == other.address.is_ipv4())
}

fn holder(pid: Option<u32>) -> Holder {
    Holder {
        pid,
        program: pid.and_then(os::program_name),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_types, reason = "somebody has to listen")]

    use std::net::TcpListener;

    use super::*;

    #[test]
    fn names_this_process_for_a_port_it_holds_and_nobody_for_a_free_one() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = held.local_addr().expect("bound").port();
        let free = {
            let passing = TcpListener::bind("127.0.0.1:0").expect("a free port");
            passing.local_addr().expect("bound").port()
        };
        let holders = holders(&BTreeSet::from([port, free])).expect("readable");
        let [(address, holder)] = holders.as_slice() else {
            panic!("one listens: {holders:?}");
        };
        assert_eq!(*address, held.local_addr().expect("bound"));
        assert_eq!(holder.pid, Some(std::process::id()));
    }

    #[test]
    fn tells_our_own_listener_from_a_strangers() {
        let held = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0"));
        let held = held.expect("a free port");
        let port = held.local_addr().expect("bound").port();
        assert_eq!(
            judge(port, std::process::id()).expect("readable"),
            Listener::Ours
        );
        let seen_by_init = judge(port, 1).expect("readable");
        assert!(
            matches!(&seen_by_init, Listener::Stranger(who) if who.pid == Some(std::process::id())),
            "{seen_by_init:?}",
        );
        drop(held);
        assert_eq!(
            judge(port, std::process::id()).expect("readable"),
            Listener::Nobody
        );
    }
}
