//! Unix: sessions, groups, signals and descriptors. Primitives only, no waiting and no policy.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitCode, ExitStatus};

use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags};
use rustix::process::{Pid, Signal};
use uuid::Uuid;

use crate::instance::state::Exit;

/// Lets the next program that is executed keep this file open.
pub(super) fn inherit(file: &File) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(file, FdFlags::empty())?)
}

/// A process that was spawned at the head of a group of its own, and all it starts.
#[derive(Debug)]
pub(super) struct Group(u32);

impl Group {
    /// Starts a process at the head of a new group. The nonce is in its environment already.
    pub(super) fn spawn(command: &mut Command, _nonce: Uuid) -> io::Result<(Child, Self)> {
        let child = command.process_group(0).spawn()?;
        let group = Self(child.id());
        Ok((child, group))
    }

    /// Sends SIGKILL to all its members. To be called only before its head was waited for: until
    /// then its number cannot name another group.
    pub(super) fn kill(&self) -> io::Result<()> {
        let Some(group) = i32::try_from(self.0).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        match rustix::process::kill_process_group(group, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Starts a process that outlives its caller: it cuts itself loose by [`settle_in`].
pub(crate) fn spawn_detached(command: &mut Command) -> io::Result<Child> {
    command.spawn()
}

/// There is nothing else this program is executed again for.
pub(crate) fn other_entry(_word: &OsStr, _arguments: &[OsString]) -> Option<ExitCode> {
    None
}

/// Whether a program could not be executed because the machine is short of something.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::TXTBSY)
    )
}

/// Whether a child cannot be waited for because somebody else in this process has done so.
pub(super) fn is_not_our_child(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::CHILD.raw_os_error())
}

/// How a child ended.
pub(super) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unobserved,
    }
}

/// Cuts a new process loose from whoever started it: own session, no inherited descriptors, `/` as
/// its folder, file mode mask 022, no signal blocked or ignored. To be called first of all.
pub(crate) fn settle_in() -> io::Result<()> {
    close_inherited()?;
    // Fails only for the head of a group, which has a session to itself already.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    stop_ignoring_signals();
    unblock_signals()
}

#[expect(
    unsafe_code,
    reason = "descriptors that nobody here owns have no safe owner to close them"
)]
fn close_inherited() -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/dev/fd")?
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
        })
        .filter(|descriptor| *descriptor > 2)
        .collect();
    for descriptor in open {
        // SAFETY: this is the first thing a new process does, so nothing in it owns a descriptor
        // above 2; closing one that is closed already does nothing.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Gives back the pages of this program's code that starting up has touched; those that are needed
/// again come back from the page cache. A supervisor then runs in some 2 MiB instead of 5 (PSS,
/// x86-64). Does nothing where the system does not list mappings.
#[expect(unsafe_code, reason = "there is no safe interface to madvise(2)")]
pub(crate) fn release_code() {
    let (Ok(maps), Ok(program)) = (
        std::fs::read_to_string("/proc/self/maps"),
        std::fs::read_link("/proc/self/exe"),
    ) else {
        return;
    };
    let hex = |text: &str| usize::from_str_radix(text, 16).ok();
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some("r-xp"), Some(path)) = (fields.next(), fields.next(), fields.nth(3))
        else {
            continue;
        };
        let Some((start, end)) = range.split_once('-') else {
            continue;
        };
        if let (Some(start), Some(end)) = (hex(start), hex(end))
            && program.to_str() == Some(path)
        {
            let address = std::ptr::with_exposed_provenance_mut(start);
            // SAFETY: the range is a private mapping of our own code, which nobody writes to, so a
            // page that is dropped is read from the file again when it is next needed.
            unsafe { libc::madvise(address, end - start, libc::MADV_DONTNEED) };
        }
    }
}

#[expect(
    unsafe_code,
    reason = "the signal mask is inherited and has no safe interface"
)]
fn unblock_signals() -> io::Result<()> {
    // SAFETY: `set` is initialised by `sigemptyset` before it is read, and the third argument may
    // be null (pthread_sigmask(3)).
    let result = unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut())
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

/// Gives the signals that whoever started us ignored their default back: with SIGCHLD ignored no
/// child can be waited for, and a server would inherit each of them. SIGPIPE is ignored by this
/// program itself, and back to its default in what it executes.
#[expect(
    unsafe_code,
    reason = "what is done about a signal is inherited and has no safe interface"
)]
fn stop_ignoring_signals() {
    for signal in 1..=libc::SIGSYS {
        if signal == libc::SIGPIPE {
            continue;
        }
        // SAFETY: the second argument may be null, then the action is only read (sigaction(2));
        // `action` is read after the call has filled it. SIG_DFL runs nothing of ours.
        unsafe {
            let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
            if libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == libc::SIG_IGN
            {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}
