//! macOS: the open sockets of this user's processes (`libproc`). Those of others cannot be seen:
//! that one of them listens shows by its answering.

#![expect(clippy::disallowed_types, reason = "a port is tried")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::time::Duration;

use camino::Utf8Path;

use super::{Holder, Socket, socket};
use crate::instance::identity::{self, descriptor_info, descriptors};

/// The flavour of `proc_pidfdinfo` that tells of an open socket (`PROC_PIDFDSOCKETINFO`).
const SOCKET_INFO: i32 = 3;

/// How long a connection within this machine may take.
const PATIENCE: Duration = Duration::from_millis(100);

pub(super) fn listening(ports: &BTreeSet<u16>) -> io::Result<Vec<Socket>> {
    let mut sockets: Vec<Socket> = Vec::new();
    for pid in identity::own_processes()?
        .into_iter()
        .chain([std::process::id()])
    {
        for found in sockets_of(pid).unwrap_or_default() {
            if ports.contains(&found.port) && !sockets.contains(&found) {
                sockets.push(found);
            }
        }
    }
    for port in ports {
        if sockets.iter().all(|socket| socket.port != *port) {
            sockets.extend(unseen(*port));
        }
    }
    Ok(sockets)
}

/// The socket of another user's process, as far as that shows: somebody answers there. Nothing is
/// bound to find out, which could keep a server from its port that starts at this moment.
fn unseen(port: u16) -> Option<Socket> {
    let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let held = addresses.into_iter().find(|address| {
        match TcpStream::connect_timeout(&(*address, port).into(), PATIENCE) {
            Ok(_) => true,
            // Somebody who takes no more connections.
            Err(error) => error.kind() == io::ErrorKind::TimedOut,
        }
    });
    // No socket of the kernel has the identity 0.
    held.map(|address| Socket {
        address,
        port,
        inode: 0,
    })
}

/// Whether somebody listens at a Unix socket; who it is is not asked.
pub(super) fn listens_at(path: &Utf8Path) -> Option<Holder> {
    let connected = std::os::unix::net::UnixStream::connect(path);
    connected.is_ok().then(Holder::default)
}

/// The listening sockets a process has open. An error where it is not ours or gone.
fn sockets_of(pid: u32) -> io::Result<Vec<Socket>> {
    let open = descriptors(pid)?.into_iter();
    Ok(open
        .filter(|(_, kind)| *kind == libc::PROX_FDTYPE_SOCKET)
        .filter_map(|(descriptor, _)| descriptor_info(pid, descriptor, SOCKET_INFO, socket::LENGTH))
        .filter_map(|told| socket::parse(&told))
        .collect())
}

/// What tells the sockets a process has open. An error where it is not ours or gone.
pub(super) fn inodes_of(pid: u32) -> io::Result<BTreeSet<u64>> {
    let sockets = sockets_of(pid)?;
    Ok(sockets.into_iter().map(|socket| socket.inode).collect())
}

/// Which process has each of `inodes` open, as far as we may look.
pub(super) fn owners(inodes: &BTreeSet<u64>) -> io::Result<BTreeMap<u64, u32>> {
    let mut owners = BTreeMap::new();
    if inodes.is_empty() {
        return Ok(owners);
    }
    for pid in identity::own_processes()?
        .into_iter()
        .chain([std::process::id()])
    {
        for inode in inodes_of(pid).unwrap_or_default().intersection(inodes) {
            owners.entry(*inode).or_insert(pid);
        }
    }
    Ok(owners)
}

pub(super) fn program_name(pid: u32) -> Option<String> {
    identity::program_name(pid)
}
