//! The list of all processes as the Windows kernel writes it, which tells of each without opening it.
//!
//! `NtQuerySystemInformation(SystemProcessInformation)` on 64-bit systems: entries that each begin
//! with the distance to the next one. Microsoft Learn names the fields but the times; those are as
//! in the header files of System Informer (`ntexapi.h`, `SYSTEM_PROCESS_INFORMATION`).

/// Where the fields stand in an entry, in bytes.
const STARTED: usize = 32;
const NAME_LENGTH: usize = 56;
const NAME: usize = 64;
const PID: usize = 80;
const PARENT: usize = 88;

/// One process of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::instance) struct Listed {
    /// Its process id.
    pub(in crate::instance) pid: u32,
    /// The id its parent had; another process may have it by now.
    pub(in crate::instance) parent: u32,
    /// When it was started, in units of 100 ns since 1601.
    pub(in crate::instance) started: u64,
    /// The file name of its program.
    pub(in crate::instance) name: String,
}

/// Reads a list that the kernel has written to `address`, which its pointers refer to. What is
/// beyond a damaged entry is left out.
pub(super) fn parse(list: &[u8], address: u64) -> Vec<Listed> {
    let mut found = Vec::new();
    let mut rest = list;
    let mut start = 0;
    while let Some(process) = parse_entry(list, rest, address) {
        found.push(process);
        match number::<4>(rest, 0).map(u32::from_le_bytes) {
            None | Some(0) => break,
            Some(next) => start += next as usize,
        }
        rest = list.get(start..).unwrap_or_default();
    }
    found
}

fn parse_entry(list: &[u8], entry: &[u8], address: u64) -> Option<Listed> {
    let long = |at| Some(u64::from_le_bytes(number(entry, at)?));
    let length = usize::from(u16::from_le_bytes(number(entry, NAME_LENGTH)?));
    let name = usize::try_from(long(NAME)?.wrapping_sub(address)).ok();
    let name = name.and_then(|name| list.get(name..name.checked_add(length)?));
    let letters: Vec<u16> = name
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|letter| u16::from_le_bytes([letter[0], letter[1]]))
        .collect();
    Some(Listed {
        pid: u32::try_from(long(PID)?).ok()?,
        parent: u32::try_from(long(PARENT)?).unwrap_or(0),
        started: long(STARTED)?,
        name: String::from_utf16_lossy(&letters),
    })
}

fn number<const BYTES: usize>(from: &[u8], at: usize) -> Option<[u8; BYTES]> {
    from.get(at..at.checked_add(BYTES)?)?.try_into().ok()
}

/// The processes that `head` has started, and those they have, itself first. A parent that was
/// started after its child only has the number of the real one.
pub(super) fn descendants(list: &[Listed], head: u32) -> Vec<u32> {
    let mut family: Vec<&Listed> = list.iter().filter(|process| process.pid == head).collect();
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        let children = list.iter().filter(|child| {
            child.parent == parent.pid
                && child.started >= parent.started
                && family.iter().all(|known| known.pid != child.pid)
        });
        let children: Vec<&Listed> = children.collect();
        family.extend(children);
        at += 1;
    }
    family.into_iter().map(|process| process.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: u64 = 0x1000;

    /// A list of processes the way the kernel writes it.
    fn written(processes: &[Listed]) -> Vec<u8> {
        let mut list = Vec::new();
        for (index, process) in processes.iter().enumerate() {
            let mut entry = vec![0; 256];
            let name: Vec<u8> = process
                .name
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
            entry.extend(&name);
            let mut put =
                |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
            put(STARTED, &process.started.to_le_bytes());
            put(
                NAME_LENGTH,
                &u16::try_from(name.len()).expect("short").to_le_bytes(),
            );
            put(NAME, &(ADDRESS + list.len() as u64 + 256).to_le_bytes());
            put(PID, &u64::from(process.pid).to_le_bytes());
            put(PARENT, &u64::from(process.parent).to_le_bytes());
            if index + 1 < processes.len() {
                let length = u32::try_from(entry.len()).expect("short");
                entry[..4].copy_from_slice(&length.to_le_bytes());
            }
            list.extend(entry);
        }
        list
    }

    fn process(pid: u32, parent: u32, started: u64) -> Listed {
        Listed {
            pid,
            parent,
            started,
            name: format!("process-{pid}.exe"),
        }
    }

    #[test]
    fn every_process_is_read_with_its_name() {
        let processes = [process(0, 0, 0), process(4, 0, 1), process(900, 4, 77)];
        assert_eq!(parse(&written(&processes), ADDRESS), processes);
    }

    #[test]
    fn a_list_that_is_cut_short_or_makes_no_sense_ends_early() {
        let whole = written(&[process(4, 0, 1), process(900, 4, 77)]);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length], ADDRESS).len() <= 2);
        }
        let mut astray = whole.clone();
        astray[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(parse(&astray, ADDRESS).len(), 1);
        assert_eq!(
            parse(&whole, u64::MAX)[0].name,
            "",
            "a name that lies elsewhere"
        );
    }

    #[test]
    fn a_family_is_who_was_started_after_its_parent() {
        let list = [
            process(10, 1, 100),
            process(11, 10, 110),
            process(12, 11, 120),
            process(13, 10, 90),
            process(14, 1, 130),
        ];
        assert_eq!(descendants(&list, 10), [10, 11, 12]);
        assert_eq!(descendants(&list, 99), [0; 0]);
    }
}
