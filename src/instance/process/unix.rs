//! Unix: sessions, groups, signals and descriptors. Primitives only, no waiting and no policy.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::instance::state::Exit;

/// A duration as `poll` wants it.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Waits until `one` is readable (`true`) or one of `others` is (`false`); `None` after `patience`.
pub(super) fn readable_within(
    one: BorrowedFd<'_>,
    others: &[BorrowedFd<'_>],
    patience: Duration,
) -> io::Result<Option<bool>> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut watched = vec![PollFd::from_borrowed_fd(one, PollFlags::IN)];
        watched.extend(others.iter().map(|other| PollFd::new(other, PollFlags::IN)));
        match poll(&mut watched, Some(&timespec(left))) {
            Ok(0) if left.is_zero() => return Ok(None),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(Some(!watched[0].revents().is_empty())),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Puts a new process at the head of a group of its own.
pub(super) fn own_group(command: &mut Command) {
    command.process_group(0);
}

/// Lets the next program that is executed keep this file open.
pub(super) fn inherit(file: &File) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(file, FdFlags::empty())?)
}

/// Sends SIGKILL to all members of the group whose head is the process `pid`.
pub(super) fn kill_group(pid: u32) -> io::Result<()> {
    let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(());
    };
    match rustix::process::kill_process_group(group, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
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

/// What a supervisor may be asked by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM or SIGINT: end the server and yourself.
    End,
    /// SIGHUP: read the settings again.
    Refresh,
}

/// The signals of a supervisor as two descriptors that can be waited for.
#[derive(Debug)]
pub(crate) struct Orders {
    end: UnixStream,
    refresh: UnixStream,
}

impl Orders {
    /// Starts to listen. Signals that were ignored before, as under `nohup`, are heard as well,
    /// and are back to their default in whatever this process executes.
    pub(crate) fn listen() -> io::Result<Self> {
        let (end, end_writer) = UnixStream::pair()?;
        let (refresh, refresh_writer) = UnixStream::pair()?;
        end.set_nonblocking(true)?;
        refresh.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGTERM, end_writer.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGINT, end_writer)?;
        // A quit from a keyboard is not meant for us; it is heard so that it is not ignored below.
        signal_hook::low_level::pipe::register(SIGQUIT, refresh_writer.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGHUP, refresh_writer)?;
        Ok(Self { end, refresh })
    }

    /// What to wait for: both become readable with their signal.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.end.as_fd(), self.refresh.as_fd()]
    }

    /// The most pressing order that has arrived.
    pub(crate) fn next(&mut self) -> Option<Order> {
        if drain(&mut self.end) {
            return Some(Order::End);
        }
        drain(&mut self.refresh).then_some(Order::Refresh)
    }
}

fn drain(stream: &mut UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut any = false;
    while matches!(stream.read(&mut bytes), Ok(count) if count > 0) {
        any = true;
    }
    any
}
