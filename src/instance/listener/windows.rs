//! Windows: the tables of listening sockets name the process of each (`GetExtendedTcpTable`). So a
//! socket is told by that pid where other systems have an inode.

#![expect(unsafe_code, reason = "the system is called")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, ERROR_SUCCESS};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, TCP_TABLE_OWNER_PID_LISTENER,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6};

use super::{Socket, table};
use crate::instance::identity;

pub(super) fn listening(ports: &BTreeSet<u16>) -> io::Result<Vec<Socket>> {
    let mut sockets = table::parse_v4(&read(AF_INET)?);
    sockets.extend(table::parse_v6(&read(AF_INET6)?));
    sockets.retain(|socket| ports.contains(&socket.port));
    Ok(sockets)
}

fn read(family: u16) -> io::Result<Vec<u8>> {
    let mut table = vec![0_u8; 1 << 14];
    loop {
        let mut bytes = u32::try_from(table.len()).map_err(io::Error::other)?;
        // SAFETY: `table` has room for as many bytes as are said, and `bytes` is where the number
        // of those that are needed goes.
        let asked = unsafe {
            GetExtendedTcpTable(
                table.as_mut_ptr().cast(),
                &raw mut bytes,
                0,
                family.into(),
                TCP_TABLE_OWNER_PID_LISTENER,
                0,
            )
        };
        match asked {
            ERROR_SUCCESS => return Ok(table),
            // More may have come since it was counted.
            ERROR_INSUFFICIENT_BUFFER => table = vec![0; bytes as usize + (1 << 12)],
            code => return Err(io::Error::from_raw_os_error(code.cast_signed())),
        }
    }
}

/// What tells the sockets of a process.
#[expect(clippy::unnecessary_wraps, reason = "other systems have to look")]
pub(super) fn inodes_of(pid: u32) -> io::Result<BTreeSet<u64>> {
    Ok(BTreeSet::from([pid.into()]))
}

/// Which process has each of the sockets.
#[expect(clippy::unnecessary_wraps, reason = "other systems have to look")]
pub(super) fn owners(inodes: &BTreeSet<u64>) -> io::Result<BTreeMap<u64, u32>> {
    let owner = |inode: &u64| Some((*inode, u32::try_from(*inode).ok()?));
    // Nobody has the id 0: the table does not tell whose it is.
    let told = inodes.iter().filter(|inode| **inode != 0);
    Ok(told.filter_map(owner).collect())
}

pub(super) fn program_name(pid: u32) -> Option<String> {
    let processes = identity::processes().ok()?;
    let found = processes.into_iter().find(|process| process.pid == pid)?;
    Some(found.name)
}
