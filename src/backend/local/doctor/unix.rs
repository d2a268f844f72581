//! Unix: limits (getrlimit(2)), modes, and whether a process is there.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use camino::Utf8Path;
use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, getrlimit, test_kill_process};

use super::access::Modes;
use crate::doctor::facts::Limits;
use crate::observed::Seen;

/// What limits the processes this one starts.
pub(super) fn limits() -> Limits {
    let of = |resource| Seen::Known(getrlimit(resource).current);
    Limits {
        files: of(Resource::Nofile),
        processes: of(Resource::Nproc),
        // Nothing limits root.
        locked: if rustix::process::geteuid().is_root() {
            Seen::Known(None)
        } else {
            of(Resource::Memlock)
        },
        core: of(Resource::Core),
        group: None,
    }
}

/// Whether modes decide who may do what.
pub(super) const HAS_MODES: bool = true;

/// Who else may do what with a file or folder. A group of the same number as its owner is the owner's
/// own, as most systems create one for each user.
pub(super) fn modes(metadata: &Metadata) -> Modes {
    let mode = metadata.mode();
    let is_shared = metadata.gid() != metadata.uid();
    // In a folder such as /tmp everybody may write, and nobody may replace what is another's.
    let is_sticky = metadata.is_dir() && mode & 0o1000 != 0;
    Modes {
        written_by_all: mode & 0o002 != 0 && !is_sticky,
        written_by_group: mode & 0o020 != 0 && is_shared,
        read_by_others: mode & 0o004 != 0 || (mode & 0o040 != 0 && is_shared),
    }
}

/// Whether this user may write to a folder. Where that cannot be told, it may.
pub(super) fn may_write(path: &Utf8Path) -> bool {
    let denied = [Errno::ACCESS, Errno::ROFS, Errno::PERM];
    let asked = rustix::fs::access(path.as_std_path(), Access::WRITE_OK);
    !asked.is_err_and(|error| denied.contains(&error))
}

/// Whether there is a process of this number; `None` where that cannot be told.
pub(super) fn is_there(pid: u32) -> Option<bool> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    match test_kill_process(pid) {
        Ok(()) | Err(Errno::PERM) => Some(true),
        Err(Errno::SRCH) => Some(false),
        Err(_) => None,
    }
}
