//! Which process is ours: asked before any signal, so that a stale record never reaches a
//! stranger that was given the same pid.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What tells one process from every other one, on this boot and any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The boot it was started on (`/proc/sys/kernel/random/boot_id`).
    pub boot: Uuid,
    /// Its process id.
    pub pid: u32,
    /// When the kernel started it, in the system's own unit (clock ticks since boot on Linux).
    pub started: u64,
    /// The executable it runs, as the kernel names it.
    pub program: Utf8PathBuf,
    /// The random text in its environment.
    pub nonce: Uuid,
}
