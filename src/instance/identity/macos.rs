//! macOS: what [`super::libproc`] tells, and a kernel queue for the end of a process (kqueue(2)).
//!
//! There is no handle through which a signal goes. A queue is opened on the process first, which
//! from then on tells of the end of that very process; then everything is compared; and before each
//! signal the queue is asked once more. What remains is the instant between that question and the
//! signal, in which the process would have to end, be waited for and have its pid given to another
//! one. A child that was not waited for keeps its pid.

#![expect(unsafe_code, reason = "the system is called")]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::event::kqueue::{
    Event, EventFilter, EventFlags, ProcessEvents, UserDefinedFlags, UserFlags, kevent, kqueue,
};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use uuid::Uuid;

pub(super) use super::libproc::boot;
use super::libproc::{about, descriptor_info, descriptors, nonce_of, own_processes, program};
use super::{ProcessIdentity, is_same_program};
use crate::instance::state::Exit;
use crate::instance::waiting::{self, Awaited};

/// The flavour of `proc_pidfdinfo` that tells of an open file (`PROC_PIDFDVNODEINFO`), how long its
/// answer is, and where device and inode stand in it: `vnode_fdinfo`, a `proc_fileinfo` of 24 bytes
/// and then a `vinfo_stat`.
const FILE_INFO: c_int = 1;
const FILE_INFO_LENGTH: usize = 176;
const DEVICE: usize = 24;
const INODE: usize = 32;

/// `pbi_status` of a process that has ended and was not waited for (`SZOMB`, `bsd/sys/proc.h`).
const DEAD: u32 = 5;

/// A process whose end we are told of.
#[derive(Debug)]
pub struct Running {
    /// Readable once the process has ended.
    queue: OwnedFd,
    pid: u32,
}

impl Running {
    /// Opens a child that was not waited for yet, so that its pid cannot mean anybody else.
    pub fn child(pid: u32) -> io::Result<Self> {
        let queue = match watch(pid)? {
            Some(queue) => queue,
            // It has ended already.
            None => ended_queue()?,
        };
        Ok(Self { queue, pid })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks a server to end, by SIGTERM; nothing happens when it has ended already. To be done once:
    /// a second time makes `llama-server` drop what it is doing.
    pub fn ask_to_end(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends it at once; nothing happens when it has ended already.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Sends a signal; nothing happens when it has ended already.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.ended_within(Duration::ZERO)? {
            return Ok(());
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has ended. `false` when it still lives after `patience`.
    pub fn ended_within(&self, patience: Duration) -> io::Result<bool> {
        Ok(waiting::first_of(&[self.awaited()], patience)?.is_some())
    }

    /// How it ended, of one that has: only its parent is told.
    #[expect(clippy::unused_self, reason = "other systems ask the process")]
    pub(crate) const fn exit(&self) -> Exit {
        Exit::Unobserved
    }

    /// What to wait for: happens once it has ended.
    pub(crate) fn awaited(&self) -> Awaited<'_> {
        self.queue.as_fd()
    }
}

/// A queue that tells of the end of a process; `None` when there is none, or it has ended.
fn watch(pid: u32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let filter = EventFilter::Proc {
        pid,
        flags: ProcessEvents::EXIT,
    };
    let queue = kqueue()?;
    match add(&queue, filter, EventFlags::ADD) {
        Ok(()) => Ok(Some(queue)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A queue that has told already.
fn ended_queue() -> io::Result<OwnedFd> {
    let filter = |flags| EventFilter::User {
        ident: 0,
        flags,
        user_flags: UserDefinedFlags::new(0),
    };
    let queue = kqueue()?;
    add(&queue, filter(UserFlags::NOINPUT), EventFlags::ADD)?;
    add(&queue, filter(UserFlags::TRIGGER), EventFlags::empty())?;
    Ok(queue)
}

fn add(queue: &OwnedFd, filter: EventFilter, flags: EventFlags) -> rustix::io::Result<()> {
    let change = Event::new(filter, flags, std::ptr::null_mut());
    let mut none: Vec<Event> = Vec::new();
    // SAFETY: the filter names no descriptor that could be closed, and nothing is read back.
    unsafe { kevent(queue, &[change], &mut none, Some(Duration::ZERO)) }.map(drop)
}

pub(super) fn identify(pid: u32, nonce: Uuid) -> io::Result<ProcessIdentity> {
    let about = about(pid)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(ProcessIdentity {
        boot: boot()?,
        pid,
        started: started(&about),
        // A process that has ended and was not waited for yet has no executable any more.
        program: program(pid)?.unwrap_or_default(),
        nonce,
    })
}

pub(super) fn find(wanted: &ProcessIdentity) -> io::Result<Option<Running>> {
    if wanted.boot != boot()? {
        return Ok(None);
    }
    let Some(queue) = watch(wanted.pid)? else {
        return Ok(None);
    };
    let Some(about) = about(wanted.pid)? else {
        return Ok(None);
    };
    // The start time comes first: it can always be read, so that a stranger we may not look into
    // is told apart without an error.
    if about.pbi_status == DEAD || started(&about) != wanted.started {
        return Ok(None);
    }
    // A program whose file was removed has no name any more; the rest has to tell it.
    if program(wanted.pid)?.is_some_and(|program| !is_same_program(&program, &wanted.program)) {
        return Ok(None);
    }
    if nonce_of(wanted.pid)? != Some(wanted.nonce) {
        return Ok(None);
    }
    let running = Running {
        queue,
        pid: wanted.pid,
    };
    // What was read belongs to the process the queue was opened on only if that still lives.
    Ok((!running.ended_within(Duration::ZERO)?).then_some(running))
}

pub(super) fn carrying(nonce: Uuid) -> io::Result<Vec<ProcessIdentity>> {
    let mut found = Vec::new();
    for pid in own_processes()? {
        if nonce_of(pid).ok().flatten() == Some(nonce)
            && about(pid)
                .ok()
                .flatten()
                .is_some_and(|about| about.pbi_status != DEAD)
            && let Ok(identity) = identify(pid, nonce)
        {
            found.push(identity);
        }
    }
    Ok(found)
}

pub(super) fn holding(
    file: &Utf8Path,
    folders: &[Utf8PathBuf],
) -> io::Result<Vec<(ProcessIdentity, Running)>> {
    let file = match std::fs::metadata(file) {
        Ok(file) => (file.dev(), file.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // The kernel names programs without links.
    let folders: Vec<Utf8PathBuf> = folders
        .iter()
        .filter_map(|folder| folder.canonicalize_utf8().ok())
        .collect();
    let mut found = Vec::new();
    for pid in own_processes()? {
        let Ok(Some(queue)) = watch(pid) else {
            continue;
        };
        let runs_ours = program(pid)
            .ok()
            .flatten()
            .is_some_and(|program| folders.iter().any(|folder| program.starts_with(folder)));
        if !runs_ours || !has_open(pid, file) {
            continue;
        }
        let Ok(Some(about)) = about(pid) else {
            continue;
        };
        let nonce = nonce_of(pid).ok().flatten().unwrap_or_default();
        let running = Running { queue, pid };
        if let Ok(identity) = identify(pid, nonce)
            && !running.ended_within(Duration::ZERO)?
        {
            found.push((about.pbi_pgid != pid, identity, running));
        }
    }
    found.sort_by_key(|(is_member, ..)| *is_member);
    Ok(found
        .into_iter()
        .map(|(_, identity, running)| (identity, running))
        .collect())
}

/// Whether a process has the file of this device and inode open.
fn has_open(pid: u32, file: (u64, u64)) -> bool {
    let Ok(descriptors) = descriptors(pid) else {
        return false;
    };
    descriptors
        .into_iter()
        .filter(|(_, kind)| *kind == libc::PROX_FDTYPE_VNODE)
        .filter_map(|(descriptor, _)| descriptor_info(pid, descriptor, FILE_INFO, FILE_INFO_LENGTH))
        .any(|info| {
            let device = info
                .get(DEVICE..DEVICE + 4)
                .and_then(|it| it.try_into().ok());
            let inode = info.get(INODE..INODE + 8).and_then(|it| it.try_into().ok());
            // A device is a number of 32 bits, which the standard library widens with its sign.
            let wanted = u32::try_from(file.0 & u64::from(u32::MAX)).ok();
            device.map(u32::from_ne_bytes) == wanted
                && inode.map(u64::from_ne_bytes) == Some(file.1)
        })
}

pub(super) fn members(group: u32) -> io::Result<Vec<u32>> {
    let mut pids = own_processes()?;
    pids.retain(|pid| {
        about(*pid)
            .ok()
            .flatten()
            .is_some_and(|about| about.pbi_pgid == group)
    });
    Ok(pids)
}

/// When a process was started, in microseconds since 1970.
fn started(about: &libc::proc_bsdinfo) -> u64 {
    about
        .pbi_start_tvsec
        .saturating_mul(1_000_000)
        .saturating_add(about.pbi_start_tvusec)
}
