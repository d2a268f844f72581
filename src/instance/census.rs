//! The processes of this user at one moment: which of those we know still live, and what they use.
//!
//! For people who look, never for a signal: what is to be signalled is found by
//! [`super::identity`], which compares more and holds what it found.

#![expect(
    clippy::disallowed_methods,
    reason = "reads what the system says of processes"
)]

#[cfg_attr(target_os = "linux", path = "census/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "census/other.rs")]
mod os;

use std::collections::BTreeMap;

use uuid::Uuid;

use super::identity::{self, ProcessIdentity};
use crate::observed::Pulse;

/// One look at all processes of this user.
#[derive(Debug)]
pub struct Census {
    boot: Option<Uuid>,
    /// `None` where the system does not tell.
    people: Option<BTreeMap<u32, Person>>,
    /// The processes of each group.
    groups: BTreeMap<u32, Vec<u32>>,
    /// Whether there is a GPU that says who uses its memory.
    counts_gpu: bool,
}

/// One process.
#[derive(Debug)]
struct Person {
    group: u32,
    started: u64,
    life: Life,
    /// Bytes of memory it has in place.
    resident: u64,
}

/// What a process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "nothing is known of processes here")
)]
enum Life {
    Runs,
    Suspended,
    Dead,
}

impl Census {
    /// Looks.
    pub fn take() -> Self {
        let people = os::people();
        let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (pid, person) in people.iter().flatten() {
            groups.entry(person.group).or_default().push(*pid);
        }
        Self {
            boot: identity::boot().ok(),
            people,
            groups,
            counts_gpu: os::counts_gpu(),
        }
    }

    /// Whether a recorded process is there.
    pub fn pulse(&self, process: &ProcessIdentity) -> Pulse {
        let Some(people) = &self.people else {
            return Pulse::Unknown;
        };
        if self.boot.is_some_and(|boot| boot != process.boot) {
            return Pulse::Gone;
        }
        match people.get(&process.pid) {
            None => Pulse::Gone,
            Some(person) if person.started != process.started => Pulse::Gone,
            Some(person) => match person.life {
                Life::Runs => Pulse::Alive,
                Life::Suspended => Pulse::Suspended,
                Life::Dead => Pulse::Gone,
            },
        }
    }

    /// Bytes of memory that a server and its children have in place. What several of them share, as
    /// a model that is mapped, counts in each.
    pub fn resident(&self, server: &ProcessIdentity) -> Option<u64> {
        let people = self.people.as_ref()?;
        let members = self.members(server)?;
        Some(
            members
                .iter()
                .map(|pid| people.get(pid).map_or(0, |person| person.resident))
                .sum(),
        )
    }

    /// The same, with what is shared divided among those who share it (PSS). Slow: the system walks
    /// through every page.
    pub fn proportional(&self, server: &ProcessIdentity) -> Option<u64> {
        self.sum(server, os::proportional)
    }

    /// Bytes of GPU memory, as far as the driver tells (amdgpu and Intel's do, NVIDIA's does not).
    pub fn gpu(&self, server: &ProcessIdentity) -> Option<u64> {
        self.sum(server, os::gpu).filter(|_| self.counts_gpu)
    }

    fn sum(&self, server: &ProcessIdentity, of: fn(u32) -> Option<u64>) -> Option<u64> {
        let mut sum = None;
        for pid in self.members(server)? {
            if let Some(bytes) = of(*pid) {
                sum = Some(sum.unwrap_or(0_u64).saturating_add(bytes));
            }
        }
        sum
    }

    /// The processes of a server's group, unless its number means somebody else by now.
    fn members(&self, server: &ProcessIdentity) -> Option<&[u32]> {
        if self.pulse(server) == Pulse::Gone {
            return None;
        }
        self.groups.get(&server.pid).map(Vec::as_slice)
    }
}
