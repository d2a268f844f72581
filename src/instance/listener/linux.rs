//! Linux: `/proc/net/tcp{,6}` names the inode of each socket, `/proc/<pid>/fd` who has it (proc(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use camino::Utf8Path;
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::{Holder, Socket, holder};

/// The state of a socket that listens, as `/proc/net/tcp` writes it.
const LISTEN: &str = "0A";

pub(super) fn listening(ports: &BTreeSet<u16>) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = match std::fs::read_to_string(table) {
            Ok(text) => text,
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        sockets.extend(
            text.lines()
                .skip(1)
                .filter_map(parse)
                .filter(|s| ports.contains(&s.port)),
        );
    }
    Ok(sockets)
}

/// Reads one line; `None` when it does not listen.
fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    (state == LISTEN).then_some(Socket {
        address: parse_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode,
    })
}

/// Addresses are written as 32-bit words in the machine's own byte order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for start in (0..text.len()).step_by(8) {
        let word = u32::from_str_radix(text.get(start..start + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes.as_slice())
        .ok()
        .map(|bytes| Ipv6Addr::from(bytes).into())
}

/// The sockets a process has open. An error where it is not ours or gone.
pub(super) fn inodes_of(pid: u32) -> io::Result<BTreeSet<u64>> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?;
    Ok(descriptors
        .flatten()
        .filter_map(|descriptor| {
            let target = std::fs::read_link(descriptor.path()).ok()?;
            target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect())
}

/// Which process has each of `inodes` open, as far as we may look.
pub(super) fn owners(inodes: &BTreeSet<u64>) -> io::Result<BTreeMap<u64, u32>> {
    let mut owners = BTreeMap::new();
    if inodes.is_empty() {
        return Ok(owners);
    }
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        for inode in inodes_of(pid).unwrap_or_default().intersection(inodes) {
            owners.entry(*inode).or_insert(pid);
        }
        if owners.len() == inodes.len() {
            break;
        }
    }
    Ok(owners)
}

/// The process that listens at a Unix socket, where somebody does; whom the kernel names the peer of
/// a connection is the one that began to listen (unix(7), `SO_PEERCRED`).
pub(super) fn listens_at(path: &Utf8Path) -> Option<Holder> {
    let address = SocketAddrUnix::new(path.as_str()).ok()?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
    match connect(&socket, &address) {
        Ok(()) => {
            let peer = socket_peercred(&socket).ok();
            Some(holder(
                peer.map(|peer| peer.pid.as_raw_pid().cast_unsigned()),
            ))
        }
        // Its queue is full, so somebody listens.
        Err(Errno::AGAIN) => Some(Holder::default()),
        Err(_) => None,
    }
}

pub(super) fn program_name(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_table() {
        let line = "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1";
        let socket = parse(line).expect("it listens");
        assert_eq!(socket.address, IpAddr::from([127, 0, 0, 1]));
        assert_eq!((socket.port, socket.inode), (8080, 4242));
        assert_eq!(
            parse(&line.replace(" 0A ", " 01 ")),
            None,
            "connected, not listening"
        );
    }

    #[test]
    fn reads_an_address_of_version_6() {
        let address = parse_address("00000000000000000000000001000000").expect("well formed");
        assert_eq!(address, IpAddr::from(Ipv6Addr::LOCALHOST));
        assert_eq!(parse_address("0000"), None);
    }
}
