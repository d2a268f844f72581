//! How much memory this machine has to give, as far as it tells.

use crate::observed::MemoryFacts;

/// The least that the control groups of this process may use, where any limits it.
pub(super) fn group_limit() -> Option<u64> {
    os::group_limit()
}

/// What is free, and what may be locked.
pub(super) fn look() -> MemoryFacts {
    MemoryFacts {
        available: os::available(),
        lockable: os::lockable(),
    }
}

#[cfg(target_os = "linux")]
mod os {
    use std::path::Path;

    use rustix::process::{Resource, geteuid, getrlimit};

    /// What the kernel would give without swapping, less where a control group of ours has less left.
    pub(super) fn available() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        let machine = kib.checked_mul(1024)?;
        Some(left_in_groups().map_or(machine, |left| left.min(machine)))
    }

    /// The least that is left in the control groups (v2) this process is in.
    fn left_in_groups() -> Option<u64> {
        least_of_groups(left)
    }

    /// The least that these may use.
    pub(super) fn group_limit() -> Option<u64> {
        least_of_groups(|group| number(group, "memory.max"))
    }

    fn least_of_groups(of: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
        let groups = Path::new("/sys/fs/cgroup");
        let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let folder = groups.join(own);
        let inside = folder.ancestors().take_while(|group| *group != groups);
        inside.filter_map(of).min()
    }

    fn number(group: &Path, name: &str) -> Option<u64> {
        let text = std::fs::read_to_string(group.join(name)).ok()?;
        text.trim().parse().ok()
    }

    fn left(group: &Path) -> Option<u64> {
        let limit = number(group, "memory.max")?;
        let used = number(group, "memory.current")?;
        let stat = std::fs::read_to_string(group.join("memory.stat")).ok()?;
        let cached = stat
            .lines()
            .find_map(|line| line.strip_prefix("inactive_file "))
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    }

    /// What `ulimit -l` allows; nothing limits root.
    pub(super) fn lockable() -> Option<u64> {
        if geteuid().is_root() {
            return None;
        }
        getrlimit(Resource::Memlock).current
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    pub(super) const fn available() -> Option<u64> {
        None
    }

    pub(super) const fn lockable() -> Option<u64> {
        None
    }

    pub(super) const fn group_limit() -> Option<u64> {
        None
    }
}
