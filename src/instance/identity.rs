//! Which process is ours: asked before any signal, so that a stale record never reaches a
//! stranger that was given the same pid.
//!
//! A process is found by opening a handle first and comparing afterwards, so that what was
//! compared is what the handle reaches. Waiting and policy are left to [`super::process`].

#![expect(
    clippy::disallowed_methods,
    reason = "reads what the system says of processes, and waits for their end"
)]

#[cfg(any(target_os = "macos", test))]
mod arguments;
#[cfg(target_os = "macos")]
mod libproc;
#[cfg(any(windows, test))]
mod listed;
#[cfg_attr(target_os = "linux", path = "identity/linux.rs")]
#[cfg_attr(target_os = "macos", path = "identity/macos.rs")]
#[cfg_attr(windows, path = "identity/windows.rs")]
mod os;

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[cfg(target_os = "macos")]
pub(in crate::instance) use libproc::{descriptor_info, descriptors, own_processes, program_name};
pub use os::Running;
#[cfg(windows)]
pub(in crate::instance) use os::processes;

use crate::install::STAGING;

/// The variable that carries the nonce in the environment of supervisors and servers.
pub const NONCE: &str = "LLAMA_ORCH_NONCE";

/// What tells one process from every other one, on this boot and any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The boot it was started on (`/proc/sys/kernel/random/boot_id` on Linux).
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

/// It could not be found out whether a process is ours. Nothing may be signalled then.
#[derive(Debug, thiserror::Error)]
#[error("cannot find out whether process {pid} is ours")]
pub struct IdentityError {
    /// The process.
    pub pid: u32,
    /// What the system said.
    pub source: io::Error,
}

impl ProcessIdentity {
    /// The identity of a process that is known to be ours, such as a child not waited for yet.
    /// Without a program where it has ended already; such an identity is never found again.
    pub fn of(pid: u32, nonce: Uuid) -> Result<Self, IdentityError> {
        os::identify(pid, nonce).map_err(|source| IdentityError { pid, source })
    }

    /// Opens the process if it still lives and is the one that was recorded in every respect:
    /// boot, pid, start time, executable and nonce. `None`: it is gone.
    ///
    /// # Errors
    /// When the system does not let us look, which must not be taken for its absence.
    pub fn find(&self) -> Result<Option<Running>, IdentityError> {
        os::find(self).map_err(|source| IdentityError {
            pid: self.pid,
            source,
        })
    }
}

/// The id of this boot.
pub fn boot() -> io::Result<Uuid> {
    os::boot()
}

/// All processes of this user that carry `nonce` in their environment: a server whose record was
/// lost, or children it left behind. Processes that may not be looked into are passed over.
pub fn carrying(nonce: Uuid) -> io::Result<Vec<ProcessIdentity>> {
    os::carrying(nonce)
}

/// The processes of this user that have `file` open and run a program from below one of `folders`,
/// heads of process groups first. Each is held before it is looked at. One that was started without
/// a nonce has the nil UUID for it.
pub fn holding(
    file: &Utf8Path,
    folders: &[Utf8PathBuf],
) -> io::Result<Vec<(ProcessIdentity, Running)>> {
    os::holding(file, folders)
}

/// The processes of this user, by id, that belong to the process group `group`.
pub fn members(group: u32) -> io::Result<Vec<u32>> {
    os::members(group)
}

/// Whether the executable the system names now is the one that was recorded. Systems follow a file
/// that is moved: a build that was installed again has left its place through `bins/.staging`, and
/// one that was taken away as well, with what runs from it.
fn is_same_program(now: &Utf8Path, recorded: &Utf8Path) -> bool {
    let left = now
        .ancestors()
        .find(|folder| folder.file_name() == Some(STAGING))
        .and_then(Utf8Path::parent)
        .is_some_and(|bins| recorded.starts_with(bins));
    now == recorded || (left && now.file_name() == recorded.file_name())
}

#[cfg(test)]
mod tests;
