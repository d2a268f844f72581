//! Linux: pidfd and `/proc` (`proc(5)`, `pidfd_open(2)`).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use uuid::Uuid;

use super::{NONCE, ProcessIdentity, is_same_program};
use crate::instance::state::Exit;
use crate::instance::waiting::{self, Awaited, timespec};

/// A process we hold a handle of: a signal through it reaches that process or nobody.
#[derive(Debug)]
pub struct Running {
    pidfd: OwnedFd,
    pid: u32,
}

impl Running {
    /// Opens a child that was not waited for yet, so that its pid cannot mean anybody else.
    pub fn child(pid: u32) -> io::Result<Self> {
        Ok(Self {
            pidfd: open(pid)?.ok_or(io::ErrorKind::NotFound)?,
            pid,
        })
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
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has ended. `false` when it still lives after `patience`.
    pub fn ended_within(&self, patience: Duration) -> io::Result<bool> {
        Ok(waiting::first_of(&[self.awaited()], patience)?.is_some())
    }

    /// What to wait for: happens once it has ended.
    pub(crate) fn awaited(&self) -> Awaited<'_> {
        self.pidfd.as_fd()
    }

    /// How it ended, of one that has and is no child of ours. The kernel tells from 6.15 on, once
    /// its parent has waited for it.
    pub(crate) fn exit(&self) -> Exit {
        let status = exit_status(&self.pidfd).and_then(|status| {
            if status.is_none() {
                let mut hung_up = [PollFd::new(&self.pidfd, PollFlags::empty())];
                poll(&mut hung_up, Some(&timespec(REAPED_WAIT)))?;
                return exit_status(&self.pidfd);
            }
            Ok(status)
        });
        let status = status.ok().flatten();
        status.map_or(Exit::Unobserved, |status| {
            let status = ExitStatus::from_raw(status);
            match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unobserved,
            }
        })
    }
}

/// How long the parent of a process that has ended may take to wait for it.
const REAPED_WAIT: Duration = Duration::from_millis(200);

/// The status a process that was waited for ended with: `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`
/// (`include/uapi/linux/pidfd.h`, Linux 6.15). `None` before; an error where the kernel does not tell.
#[expect(unsafe_code, reason = "the kernel is asked")]
fn exit_status(pidfd: &OwnedFd) -> rustix::io::Result<Option<i32>> {
    /// `struct pidfd_info` in its first form; a kernel fills no more than it is asked for.
    #[repr(C)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const EXIT: u64 = 1 << 3;
    const GET_INFO: Opcode = opcode::read_write::<Info>(0xFF, 11);
    let mut info = Info {
        mask: EXIT,
        cgroup: 0,
        ids: [0; 11],
        exit_code: 0,
    };
    // SAFETY: the request's number carries the size of `Info`, and the kernel writes no more.
    unsafe { ioctl(pidfd, Updater::<GET_INFO, Info>::new(&mut info)) }?;
    Ok((info.mask & EXIT != 0).then_some(info.exit_code))
}

pub(super) fn boot() -> io::Result<Uuid> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Uuid::parse_str(text.trim()).map_err(io::Error::other)
}

pub(super) fn identify(pid: u32, nonce: Uuid) -> io::Result<ProcessIdentity> {
    let stat = Stat::read(pid)?.ok_or(io::ErrorKind::NotFound)?;
    // A process that has ended and was not waited for yet has no executable any more.
    let program = program(pid)?.unwrap_or_default();
    Ok(ProcessIdentity {
        boot: boot()?,
        pid,
        started: stat.started,
        program,
        nonce,
    })
}

pub(super) fn find(wanted: &ProcessIdentity) -> io::Result<Option<Running>> {
    if wanted.boot != boot()? {
        return Ok(None);
    }
    let Some(pidfd) = open(wanted.pid)? else {
        return Ok(None);
    };
    let Some(stat) = Stat::read(wanted.pid)? else {
        return Ok(None);
    };
    // The start time comes first: it can always be read, so that a stranger we may not look into
    // is told apart without an error.
    if stat.is_dead() || stat.started != wanted.started {
        return Ok(None);
    }
    if !program(wanted.pid)?.is_some_and(|program| is_same_program(&program, &wanted.program)) {
        return Ok(None);
    }
    if !carries(wanted.pid, wanted.nonce)? {
        return Ok(None);
    }
    Ok(Some(Running {
        pidfd,
        pid: wanted.pid,
    }))
}

pub(super) fn carrying(nonce: Uuid) -> io::Result<Vec<ProcessIdentity>> {
    let mut found = Vec::new();
    for pid in own_processes()? {
        if Stat::read(pid)
            .ok()
            .flatten()
            .is_some_and(|stat| !stat.is_dead())
            && carries(pid, nonce).unwrap_or(false)
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
    let Some(file) = gone_is_none(std::fs::metadata(file))? else {
        return Ok(Vec::new());
    };
    let file = (file.dev(), file.ino());
    // The kernel names programs without links.
    let folders: Vec<Utf8PathBuf> = folders
        .iter()
        .filter_map(|folder| folder.canonicalize_utf8().ok())
        .collect();
    let mut found = Vec::new();
    for pid in own_processes()? {
        let Ok(Some(pidfd)) = open(pid) else {
            continue;
        };
        let Ok(Some(stat)) = Stat::read(pid) else {
            continue;
        };
        let runs_ours = program(pid)
            .ok()
            .flatten()
            .is_some_and(|program| folders.iter().any(|folder| program.starts_with(folder)));
        if stat.is_dead() || !runs_ours || !has_open(pid, file) {
            continue;
        }
        let nonce = nonce_of(pid).ok().flatten().unwrap_or_default();
        if let Ok(identity) = identify(pid, nonce) {
            found.push((stat.group != pid, identity, Running { pidfd, pid }));
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
    std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|descriptors| {
        descriptors.flatten().any(|descriptor| {
            // Through the link, which leads to the file itself wherever it lies by now.
            std::fs::metadata(descriptor.path()).is_ok_and(|open| (open.dev(), open.ino()) == file)
        })
    })
}

pub(super) fn members(group: u32) -> io::Result<Vec<u32>> {
    let mut pids = own_processes()?;
    pids.retain(|pid| {
        Stat::read(*pid)
            .ok()
            .flatten()
            .is_some_and(|stat| stat.group == group)
    });
    Ok(pids)
}

/// The processes of this user but this one.
fn own_processes() -> io::Result<Vec<u32>> {
    let user = rustix::process::geteuid().as_raw();
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid
            && pid != std::process::id()
            && entry
                .metadata()
                .is_ok_and(|metadata| metadata.uid() == user)
        {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// Opens a process; `None` when there is none, or when the number is one of its threads'.
fn open(pid: u32) -> io::Result<Option<OwnedFd>> {
    use rustix::io::Errno;

    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What `/proc/<pid>/stat` says of a process.
struct Stat {
    state: u8,
    group: u32,
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Option<Self>> {
        let Some(text) = gone_is_none(std::fs::read(format!("/proc/{pid}/stat")))? else {
            return Ok(None);
        };
        Self::parse(&text)
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("`/proc/{pid}/stat` has an unknown form")))
    }

    /// The second field is the program's name in parentheses, which may contain anything; what
    /// follows its last `)` are the fields from the third on.
    fn parse(text: &[u8]) -> Option<Self> {
        let after = text.iter().rposition(|byte| *byte == b')')? + 1;
        let fields: Vec<&str> = std::str::from_utf8(&text[after..])
            .ok()?
            .split_whitespace()
            .collect();
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The executable of a process, also where its file was removed or replaced since.
fn program(pid: u32) -> io::Result<Option<Utf8PathBuf>> {
    let Some(link) = gone_is_none(std::fs::read_link(format!("/proc/{pid}/exe")))? else {
        return Ok(None);
    };
    let text = link.to_string_lossy();
    let path = text.strip_suffix(" (deleted)").unwrap_or(&text);
    Ok(Some(Utf8Path::new(path).to_owned()))
}

/// How often an environment that is empty is read again, a millisecond apart.
const EMPTY_READS: u32 = 20;

/// Whether a process was started with `nonce` in its environment.
fn carries(pid: u32, nonce: Uuid) -> io::Result<bool> {
    Ok(nonce_of(pid)? == Some(nonce))
}

/// The nonce in the environment a process was started with.
///
/// The kernel lets whoever spawned a process go on before it has set up the environment of the new
/// program, so that for an instant there is a program and no environment.
fn nonce_of(pid: u32) -> io::Result<Option<Uuid>> {
    for _ in 0..EMPTY_READS {
        let environment = gone_is_none(std::fs::read(format!("/proc/{pid}/environ")))?;
        let environment = environment.unwrap_or_default();
        if !environment.is_empty() {
            let mut entries = environment.split(|byte| *byte == 0);
            return Ok(entries.find_map(|entry| {
                let value = entry.strip_prefix(NONCE.as_bytes())?.strip_prefix(b"=")?;
                Uuid::try_parse_ascii(value).ok()
            }));
        }
        // The kernel's own threads, the dead and the gone have no program either.
        if program(pid)?.is_none() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

/// A process that ended while it was looked at is not an error.
fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
