//! Windows: there are no such limits and no such modes, and access lists are another matter.

use std::fs::Metadata;

use camino::Utf8Path;

use super::access::Modes;
use crate::doctor::facts::Limits;
use crate::observed::Seen;

/// What limits the processes this one starts.
pub(super) const fn limits() -> Limits {
    Limits {
        files: Seen::Known(None),
        processes: Seen::Known(None),
        locked: Seen::Known(None),
        core: Seen::Known(Some(0)),
        group: None,
    }
}

/// Whether modes decide who may do what.
pub(super) const HAS_MODES: bool = false;

/// Who else may do what with a file or folder, as far as modes say.
pub(super) const fn modes(_metadata: &Metadata) -> Modes {
    Modes {
        written_by_all: false,
        written_by_group: false,
        read_by_others: false,
    }
}

/// Whether this user may write to a folder. Where that cannot be told, it may.
pub(super) const fn may_write(_path: &Utf8Path) -> bool {
    true
}

/// Whether there is a process of this number; `None` where that cannot be told.
pub(super) const fn is_there(_pid: u32) -> Option<bool> {
    None
}
