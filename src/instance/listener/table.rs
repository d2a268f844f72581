//! The tables of listening sockets as Windows writes them: a count, then rows of a fixed length
//! (`MIB_TCPTABLE_OWNER_PID` and `MIB_TCP6TABLE_OWNER_PID`, Microsoft Learn).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Socket;

/// Reads the table of IPv4. Rows that are not there are left out.
pub(super) fn parse_v4(table: &[u8]) -> Vec<Socket> {
    rows::<24>(table, |row| {
        let address = Ipv4Addr::from(piece::<4>(row, 4)?);
        Some(socket(address.into(), piece(row, 8)?, piece(row, 20)?))
    })
}

/// Reads the table of IPv6.
pub(super) fn parse_v6(table: &[u8]) -> Vec<Socket> {
    rows::<56>(table, |row| {
        let address = Ipv6Addr::from(piece::<16>(row, 0)?);
        Some(socket(address.into(), piece(row, 20)?, piece(row, 52)?))
    })
}

fn rows<const LENGTH: usize>(table: &[u8], parse: impl Fn(&[u8]) -> Option<Socket>) -> Vec<Socket> {
    let count = piece(table, 0).map_or(0, u32::from_le_bytes) as usize;
    let rows = table.get(4..).unwrap_or_default().chunks_exact(LENGTH);
    rows.take(count).filter_map(parse).collect()
}

/// A port is written as on the network, in the first half of its field.
fn socket(address: IpAddr, port: [u8; 4], pid: [u8; 4]) -> Socket {
    let [high, low, ..] = port;
    Socket {
        address,
        port: u16::from_be_bytes([high, low]),
        inode: u32::from_le_bytes(pid).into(),
    }
}

fn piece<const BYTES: usize>(from: &[u8], at: usize) -> Option<[u8; BYTES]> {
    from.get(at..at.checked_add(BYTES)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_row_of_either_table_and_no_more_than_there_are() {
        let mut four = 1_u32.to_le_bytes().to_vec();
        four.extend([2, 0, 0, 0, 127, 0, 0, 1, 0x1f, 0x90, 0, 0]);
        four.extend([0; 8]);
        four.extend(4242_u32.to_le_bytes());
        // What is left of an earlier, longer table.
        four.extend([7; 24]);
        let loopback = Socket {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 8080,
            inode: 4242,
        };
        assert_eq!(parse_v4(&four), [loopback]);

        let mut six = 2_u32.to_le_bytes().to_vec();
        six.extend(Ipv6Addr::LOCALHOST.octets());
        six.extend([0, 0, 0, 0, 0x1f, 0x91, 0, 0]);
        six.extend([0; 24]);
        six.extend([2, 0, 0, 0, 9, 0, 0, 0]);
        let loopback = Socket {
            address: Ipv6Addr::LOCALHOST.into(),
            port: 8081,
            inode: 9,
        };
        assert_eq!(parse_v6(&six), [loopback], "the second row is not there");
        for length in 0..four.len() {
            assert!(parse_v4(&four[..length]).len() <= 1);
        }
    }
}
