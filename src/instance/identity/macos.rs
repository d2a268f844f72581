//! macOS: `libproc`, `sysctl` and a kernel queue for the end of a process (xnu,
//! `bsd/sys/proc_info.h`; sysctl(3), kqueue(2)).
//!
//! There is no handle through which a signal goes. A queue is opened on the process first, which
//! from then on tells of the end of that very process; then everything is compared; and before each
//! signal the queue is asked once more. What remains is the instant between that question and the
//! signal, in which the process would have to end, be waited for and have its pid given to another
//! one. A child that was not waited for keeps its pid.

#![expect(unsafe_code, reason = "the system is called")]

use std::ffi::{CStr, c_int, c_void};
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

use super::{NONCE, ProcessIdentity, arguments, is_same_program};
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

pub(super) fn boot() -> io::Result<Uuid> {
    let mut text = [0_u8; 64];
    let mut length = text.len();
    // SAFETY: the name ends in a zero, `text` has room for as many bytes as are said, and nothing
    // is to be set.
    let asked = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            text.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    let text = CStr::from_bytes_until_nul(&text).map_err(io::Error::other)?;
    Uuid::try_parse_ascii(text.to_bytes()).map_err(io::Error::other)
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

/// The open descriptors of a process and of what kind each is. An error where it is not ours or gone.
pub(in crate::instance) fn descriptors(pid: u32) -> io::Result<Vec<(i32, c_int)>> {
    let raw = c_int::try_from(pid).map_err(io::Error::other)?;
    let empty = libc::proc_fdinfo {
        proc_fd: 0,
        proc_fdtype: 0,
    };
    let mut list = vec![empty; 64];
    loop {
        let room = c_int::try_from(size_of_val(list.as_slice())).map_err(io::Error::other)?;
        // SAFETY: `list` has room for as many bytes as are said.
        let bytes = unsafe {
            libc::proc_pidinfo(
                raw,
                libc::PROC_PIDLISTFDS,
                0,
                list.as_mut_ptr().cast(),
                room,
            )
        };
        if bytes <= 0 {
            return Err(io::Error::last_os_error());
        }
        if bytes < room {
            let count = usize::try_from(bytes).unwrap_or(0) / size_of::<libc::proc_fdinfo>();
            let descriptors = list.iter().take(count);
            return Ok(descriptors
                .map(|one| (one.proc_fd, one.proc_fdtype.cast_signed()))
                .collect());
        }
        list = vec![empty; list.len() * 2];
    }
}

/// What the kernel tells of a descriptor of a process, in the form of a flavour of `proc_pidfdinfo`.
pub(in crate::instance) fn descriptor_info(
    pid: u32,
    descriptor: i32,
    flavour: c_int,
    length: usize,
) -> Option<Vec<u8>> {
    let raw = c_int::try_from(pid).ok()?;
    let room = c_int::try_from(length).ok()?;
    // Aligned as the widest number in it has to be.
    let mut info = vec![0_u64; length.div_ceil(8)];
    // SAFETY: `info` has room for as many bytes as are said.
    let bytes = unsafe {
        libc::proc_pidfdinfo(
            raw,
            descriptor,
            flavour,
            info.as_mut_ptr().cast::<c_void>(),
            room,
        )
    };
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0)?;
    Some(
        info.into_iter()
            .flat_map(u64::to_ne_bytes)
            .take(bytes)
            .collect(),
    )
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

/// The processes of this user but this one.
pub(in crate::instance) fn own_processes() -> io::Result<Vec<u32>> {
    let user = rustix::process::geteuid().as_raw();
    let mut pids = vec![0 as c_int; 1024];
    loop {
        let room = c_int::try_from(size_of_val(pids.as_slice())).map_err(io::Error::other)?;
        // SAFETY: `pids` has room for as many bytes as are said.
        let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), room) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        if count < pids.len() {
            pids.truncate(count);
            break;
        }
        pids = vec![0; pids.len() * 2];
    }
    let others = pids
        .into_iter()
        .filter_map(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid != 0 && *pid != std::process::id());
    Ok(others
        .filter(|pid| {
            about(*pid)
                .ok()
                .flatten()
                .is_some_and(|about| about.pbi_uid == user)
        })
        .collect())
}

/// What the kernel tells of a process, also of one that has ended and was not waited for.
fn about(pid: u32) -> io::Result<Option<libc::proc_bsdinfo>> {
    let Ok(raw) = c_int::try_from(pid) else {
        return Ok(None);
    };
    let length = c_int::try_from(size_of::<libc::proc_bsdinfo>()).map_err(io::Error::other)?;
    let mut about = std::mem::MaybeUninit::<libc::proc_bsdinfo>::uninit();
    // SAFETY: `about` has room for as many bytes as are said. An argument of 1 asks for the dead too.
    let bytes = unsafe {
        libc::proc_pidinfo(
            raw,
            libc::PROC_PIDTBSDINFO,
            1,
            about.as_mut_ptr().cast(),
            length,
        )
    };
    if bytes == length {
        // SAFETY: the call has filled all of it.
        return Ok(Some(unsafe { about.assume_init() }));
    }
    match io::Error::last_os_error() {
        // Of other users' processes only little is told, which is enough to know that it is one.
        error if error.raw_os_error() == Some(libc::EPERM) && is_another_users(raw) => Ok(None),
        error => gone_is_none(Err(error)),
    }
}

/// Whether a process that we may not look into runs as another user, and so cannot be ours.
fn is_another_users(pid: c_int) -> bool {
    let Ok(length) = c_int::try_from(size_of::<libc::proc_bsdshortinfo>()) else {
        return false;
    };
    let mut about = std::mem::MaybeUninit::<libc::proc_bsdshortinfo>::uninit();
    // SAFETY: `about` has room for as many bytes as are said.
    let bytes = unsafe {
        let flavour = libc::PROC_PIDT_SHORTBSDINFO;
        libc::proc_pidinfo(pid, flavour, 0, about.as_mut_ptr().cast(), length)
    };
    if bytes != length {
        return false;
    }
    // SAFETY: the call has filled all of it.
    let about = unsafe { about.assume_init() };
    about.pbsi_uid != rustix::process::geteuid().as_raw()
}

/// When a process was started, in microseconds since 1970.
fn started(about: &libc::proc_bsdinfo) -> u64 {
    about
        .pbi_start_tvsec
        .saturating_mul(1_000_000)
        .saturating_add(about.pbi_start_tvusec)
}

/// The executable of a process; `None` when it has ended or its file is gone.
fn program(pid: u32) -> io::Result<Option<Utf8PathBuf>> {
    let Ok(raw) = c_int::try_from(pid) else {
        return Ok(None);
    };
    let mut path = vec![0_u8; libc::PROC_PIDPATHINFO_MAXSIZE.cast_unsigned() as usize];
    let room = u32::try_from(path.len()).map_err(io::Error::other)?;
    // SAFETY: `path` has room for as many bytes as are said.
    let length = unsafe { libc::proc_pidpath(raw, path.as_mut_ptr().cast(), room) };
    match usize::try_from(length) {
        Ok(length) if length > 0 => {
            path.truncate(length);
            Ok(Some(String::from_utf8_lossy(&path).into_owned().into()))
        }
        _ => gone_is_none(Err(io::Error::last_os_error())),
    }
}

/// The file name of the executable of a process, where it can be had.
pub(in crate::instance) fn program_name(pid: u32) -> Option<String> {
    Some(program(pid).ok()??.file_name()?.to_owned())
}

/// The nonce in the environment a process was started with.
fn nonce_of(pid: u32) -> io::Result<Option<Uuid>> {
    let Ok(raw) = c_int::try_from(pid) else {
        return Ok(None);
    };
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, raw];
    let mut told = vec![0_u8; longest_arguments()?];
    let mut length = told.len();
    // SAFETY: the name has three parts, `told` has room for as many bytes as are said, and nothing
    // is to be set.
    let asked = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            3,
            told.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if asked != 0 {
        return gone_is_none(Err(io::Error::last_os_error()));
    }
    let told = told.get(..length).unwrap_or_default();
    Ok(arguments::variable(told, NONCE).and_then(|nonce| Uuid::try_parse_ascii(nonce).ok()))
}

/// How many bytes the arguments and the environment of a process can have.
fn longest_arguments() -> io::Result<usize> {
    let mut name = [libc::CTL_KERN, libc::KERN_ARGMAX];
    let mut longest: c_int = 0;
    let mut length = size_of::<c_int>();
    // SAFETY: the name has two parts, `longest` has as many bytes as are said, and nothing is to be
    // set.
    let asked = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            2,
            (&raw mut longest).cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(longest).map_err(io::Error::other)
}

/// A process that ended while it was looked at is not an error. The kernel calls the arguments of
/// one that has none an invalid question.
fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ESRCH | libc::ENOENT | libc::EINVAL)
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
