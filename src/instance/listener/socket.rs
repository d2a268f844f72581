//! What macOS tells of an open socket: `socket_fdinfo` (xnu, `bsd/sys/proc_info.h`), read by where
//! its fields stand on 64-bit systems.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Socket;

/// How long the answer is.
pub(super) const LENGTH: usize = 792;

/// Where the fields stand, in bytes.
const IDENTITY: usize = 160;
const KIND: usize = 256;
const PORT: usize = 268;
const VERSION: usize = 288;
const ADDRESS: usize = 312;
const STATE: usize = 344;

/// `soi_kind` of TCP, `insi_vflag` of either address and `tcpsi_state` of a socket that listens.
const TCP: i32 = 2;
const V4: u8 = 1;
const LISTENS: i32 = 1;

/// Reads an answer; `None` when it is not of a TCP socket that listens.
pub(super) fn parse(told: &[u8]) -> Option<Socket> {
    let number = |at| piece(told, at).map(i32::from_ne_bytes);
    if number(KIND)? != TCP || number(STATE)? != LISTENS {
        return None;
    }
    let address: IpAddr = if piece::<1>(told, VERSION)?[0] & V4 == 0 {
        Ipv6Addr::from(piece::<16>(told, ADDRESS)?).into()
    } else {
        // The last quarter of where an IPv6 address would stand.
        Ipv4Addr::from(piece::<4>(told, ADDRESS + 12)?).into()
    };
    // Written as on the network, in the first half of its field.
    let [high, low] = piece(told, PORT)?;
    Some(Socket {
        address,
        port: u16::from_be_bytes([high, low]),
        inode: u64::from_ne_bytes(piece(told, IDENTITY)?),
    })
}

fn piece<const BYTES: usize>(from: &[u8], at: usize) -> Option<[u8; BYTES]> {
    from.get(at..at.checked_add(BYTES)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: u8, address: &[u8], state: i32) -> Vec<u8> {
        let mut told = vec![0; LENGTH];
        let mut put = |at: usize, bytes: &[u8]| told[at..at + bytes.len()].copy_from_slice(bytes);
        put(IDENTITY, &77_u64.to_ne_bytes());
        put(KIND, &TCP.to_ne_bytes());
        put(PORT, &[0x1f, 0x90]);
        put(VERSION, &[version]);
        put(ADDRESS + 16 - address.len(), address);
        put(STATE, &state.to_ne_bytes());
        told
    }

    #[test]
    fn reads_a_socket_that_listens_and_no_other() {
        let four = parse(&told(V4, &[127, 0, 0, 1], LISTENS)).expect("it listens");
        assert_eq!(four.address, IpAddr::from(Ipv4Addr::LOCALHOST));
        assert_eq!((four.port, four.inode), (8080, 77));
        let six = parse(&told(2, &Ipv6Addr::LOCALHOST.octets(), LISTENS)).expect("it listens");
        assert_eq!(six.address, IpAddr::from(Ipv6Addr::LOCALHOST));
        assert_eq!(parse(&told(V4, &[127, 0, 0, 1], 4)), None, "connected");
        assert_eq!(parse(&[0; LENGTH]), None, "not TCP");
        assert_eq!(parse(&[0; 100]), None, "cut short");
    }
}
