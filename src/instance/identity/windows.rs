//! Windows: handles of processes, what the kernel says of them, and who has a file open.
//!
//! The boot is told by its time, less every change that was made to the clock since, so that setting
//! the clock changes nothing. A process is told by its boot, pid, creation time in units of 100 ns
//! and program. The environment of another process cannot be read by any documented call, so a
//! nonce is not compared: it names the job a server and all it starts belong to. A handle that is
//! open keeps its process' pid from being given to another one, so nobody else is ever ended.

#![expect(unsafe_code, reason = "the system is called")]

use std::io;
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, OwnedHandle};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use uuid::Uuid;
use windows_sys::Wdk::System::SystemInformation::{
    NtQuerySystemInformation, SYSTEM_INFORMATION_CLASS, SystemProcessInformation,
    SystemTimeOfDayInformation,
};
use windows_sys::Win32::Foundation::{
    ERROR_INVALID_PARAMETER, ERROR_MORE_DATA, ERROR_SUCCESS, FILETIME, STATUS_INFO_LENGTH_MISMATCH,
};
use windows_sys::Win32::System::RestartManager::{
    CCH_RM_SESSION_KEY, RM_PROCESS_INFO, RmEndSession, RmGetList, RmRegisterResources,
    RmStartSession,
};
use windows_sys::Win32::System::Threading::{
    GetExitCodeProcess, GetProcessId, GetProcessTimes, OpenProcess, PROCESS_NAME_WIN32,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
    QueryFullProcessImageNameW, TerminateProcess,
};

use super::listed::{self, Listed};
use super::{ProcessIdentity, is_same_program};
use crate::durable;
use crate::instance::object::{ENDED_BY_FORCE, Job, done, owned, wide};
use crate::instance::process;
use crate::instance::state::Exit;
use crate::instance::waiting::{self, Awaited};

/// What a boot id begins with; the time of the boot follows.
const BOOTED: u64 = u64::from_be_bytes(*b"bootedat");

/// The longest path there is, in units of UTF-16 (Maximum path length limitation, Microsoft Learn).
const LONGEST_PATH: usize = 32_768;

/// A process we hold a handle of: what is done through it reaches that process or nobody.
#[derive(Debug)]
pub struct Running {
    process: OwnedHandle,
    pid: u32,
    started: u64,
}

impl Running {
    /// Opens a process whose pid cannot mean anybody else: a child somebody has a handle of, or
    /// this process.
    pub fn child(pid: u32) -> io::Result<Self> {
        let process = open(pid)?.ok_or(io::ErrorKind::NotFound)?;
        let started = started(&process)?;
        Ok(Self {
            process,
            pid,
            started,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it was started, in units of 100 ns since 1601.
    pub(in crate::instance) fn started(&self) -> u64 {
        self.started
    }

    /// Asks a server to end, by CTRL+C; nothing happens when it has ended already. To be done once:
    /// a second time makes `llama-server` drop what it is doing. A server whose console cannot be
    /// reached is ended by force.
    pub fn ask_to_end(&self) -> io::Result<()> {
        match process::interrupt(self) {
            Err(_) => self.kill(),
            asked => asked,
        }
    }

    /// Ends it at once; nothing happens when it has ended already.
    pub fn kill(&self) -> io::Result<()> {
        // SAFETY: the handle is open as long as `self` lives.
        let killed =
            done(unsafe { TerminateProcess(self.process.as_raw_handle(), ENDED_BY_FORCE) });
        match killed {
            // One that is about to end may refuse.
            Err(_) if self.ended_within(Duration::ZERO)? => Ok(()),
            killed => killed,
        }
    }

    /// Waits until it has ended. `false` when it still lives after `patience`.
    pub fn ended_within(&self, patience: Duration) -> io::Result<bool> {
        Ok(waiting::first_of(&[self.awaited()], patience)?.is_some())
    }

    /// What to wait for: happens once it has ended.
    pub(crate) fn awaited(&self) -> Awaited<'_> {
        self.process.as_handle()
    }

    /// How it ended, of one that has.
    pub(crate) fn exit(&self) -> Exit {
        let mut code = 0;
        // SAFETY: the handle is open as long as `self` lives, and `code` is where the result goes.
        match done(unsafe { GetExitCodeProcess(self.process.as_raw_handle(), &raw mut code) }) {
            Ok(()) => Exit::Code(code.cast_signed()),
            Err(_) => Exit::Unobserved,
        }
    }
}

pub(super) fn boot() -> io::Result<Uuid> {
    let times = query(SystemTimeOfDayInformation, 48)?;
    let long = |at: usize| {
        let bytes = times.get(at..at + 8).and_then(|it| it.try_into().ok());
        bytes
            .map(u64::from_le_bytes)
            .ok_or_else(|| io::Error::other("no time of the boot"))
    };
    // SYSTEM_TIMEOFDAY_INFORMATION (ntexapi.h of System Informer): the kernel adds to both what
    // somebody adds to the clock, so the difference stays.
    let (boot_time, boot_time_bias) = (long(0)?, long(32)?);
    Ok(Uuid::from_u64_pair(
        BOOTED,
        boot_time.wrapping_sub(boot_time_bias),
    ))
}

pub(super) fn identify(pid: u32, nonce: Uuid) -> io::Result<ProcessIdentity> {
    let running = Running::child(pid)?;
    Ok(ProcessIdentity {
        boot: boot()?,
        pid,
        started: running.started,
        program: program(&running.process).unwrap_or_default(),
        nonce,
    })
}

pub(super) fn find(wanted: &ProcessIdentity) -> io::Result<Option<Running>> {
    if wanted.boot != boot()? {
        return Ok(None);
    }
    let process = match open(wanted.pid) {
        Ok(Some(process)) => process,
        Ok(None) => return Ok(None),
        Err(error) => {
            // A stranger that may not be opened is told apart by the list, which has everybody.
            let listed = processes()?;
            let is_there = listed
                .iter()
                .any(|it| (it.pid, it.started) == (wanted.pid, wanted.started));
            return if is_there { Err(error) } else { Ok(None) };
        }
    };
    let running = Running {
        started: started(&process)?,
        process,
        pid: wanted.pid,
    };
    if running.started != wanted.started || running.ended_within(Duration::ZERO)? {
        return Ok(None);
    }
    match program(&running.process) {
        Some(program) if is_same_program(&program, &wanted.program) => Ok(Some(running)),
        Some(_) => Ok(None),
        // It may have ended since.
        None if running.ended_within(Duration::ZERO)? => Ok(None),
        None => Err(io::Error::other("its program has no name")),
    }
}

pub(super) fn carrying(nonce: Uuid) -> io::Result<Vec<ProcessIdentity>> {
    let Some(job) = Job::open(nonce)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for pid in job.members()? {
        // One that has ended meanwhile is no longer there.
        if let Ok(identity) = identify(pid, nonce) {
            found.push(identity);
        }
    }
    // Whoever started the others is the oldest.
    found.sort_by_key(|identity| identity.started);
    Ok(found)
}

pub(super) fn holding(
    file: &Utf8Path,
    folders: &[Utf8PathBuf],
) -> io::Result<Vec<(ProcessIdentity, Running)>> {
    // The system names programs without links.
    let folders: Vec<Utf8PathBuf> = folders
        .iter()
        .filter_map(|folder| durable::canonical(folder).ok())
        .collect();
    let mut found = Vec::new();
    for (pid, started) in holders(file)? {
        if pid == std::process::id() {
            continue;
        }
        let Ok(running) = Running::child(pid) else {
            continue;
        };
        let Some(program) = program(&running.process) else {
            continue;
        };
        let runs_ours = folders.iter().any(|folder| program.starts_with(folder));
        if running.started == started && runs_ours {
            let identity = ProcessIdentity {
                boot: boot()?,
                pid,
                started,
                program,
                nonce: Uuid::nil(),
            };
            found.push((identity, running));
        }
    }
    // Whoever started the others is the oldest.
    found.sort_by_key(|(identity, _)| identity.started);
    Ok(found)
}

pub(super) fn members(group: u32) -> io::Result<Vec<u32>> {
    let mut members = listed::descendants(&processes()?, group);
    members.retain(|pid| *pid != std::process::id());
    Ok(members)
}

/// The processes that have a file open, by pid and when they were started, from the part of Windows
/// that installers ask the same (Restart Manager, Microsoft Learn).
fn holders(file: &Utf8Path) -> io::Result<Vec<(u32, u64)>> {
    /// Ends a session when its work is done or has failed.
    struct Session(u32);

    impl Drop for Session {
        fn drop(&mut self) {
            // SAFETY: the session was begun and is ended once.
            unsafe { RmEndSession(self.0) };
        }
    }

    let ok = |code| match code {
        ERROR_SUCCESS => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.cast_signed())),
    };
    let mut key = [0_u16; CCH_RM_SESSION_KEY as usize + 1];
    let mut session = 0;
    // SAFETY: `session` and `key` are where the results go, and `key` is as long as it has to be.
    ok(unsafe { RmStartSession(&raw mut session, 0, key.as_mut_ptr()) })?;
    let session = Session(session);
    let path = wide(file.as_str());
    let files = [path.as_ptr()];
    // SAFETY: one path is given, which ends in a zero, and neither processes nor services.
    ok(unsafe {
        let none = std::ptr::null();
        RmRegisterResources(session.0, 1, files.as_ptr(), 0, std::ptr::null(), 0, none)
    })?;
    let mut found = vec![RM_PROCESS_INFO::default(); 8];
    loop {
        let mut count = u32::try_from(found.len()).map_err(io::Error::other)?;
        let (mut needed, mut reasons) = (0, 0);
        // SAFETY: `found` has room for `count` entries; the others are where results go.
        let asked = unsafe {
            RmGetList(
                session.0,
                &raw mut needed,
                &raw mut count,
                found.as_mut_ptr(),
                &raw mut reasons,
            )
        };
        if asked == ERROR_MORE_DATA {
            // More may have come since it was counted.
            found = vec![RM_PROCESS_INFO::default(); needed as usize + 8];
            continue;
        }
        ok(asked)?;
        let found = found.iter().take(count as usize).map(|it| it.Process);
        return Ok(found
            .map(|process| (process.dwProcessId, time(process.ProcessStartTime)))
            .collect());
    }
}

/// All processes of the machine.
pub(in crate::instance) fn processes() -> io::Result<Vec<Listed>> {
    let list = query(SystemProcessInformation, 1 << 18)?;
    Ok(listed::parse(&list, list.as_ptr().addr() as u64))
}

/// What the kernel says of a class, in as many bytes as it takes. Its pointers refer to the vector
/// that is returned.
fn query(class: SYSTEM_INFORMATION_CLASS, room: usize) -> io::Result<Vec<u8>> {
    let mut told = vec![0_u8; room];
    loop {
        let bytes = u32::try_from(told.len()).map_err(io::Error::other)?;
        // SAFETY: `told` has room for as many bytes as are said; the length is not asked for.
        let status = unsafe {
            NtQuerySystemInformation(class, told.as_mut_ptr().cast(), bytes, std::ptr::null_mut())
        };
        match status {
            STATUS_INFO_LENGTH_MISMATCH => told = vec![0; told.len() * 2],
            0.. => return Ok(told),
            status => return Err(io::Error::other(format!("status {status:#010x}"))),
        }
    }
}

/// Opens a process; `None` when there is none.
fn open(pid: u32) -> io::Result<Option<OwnedHandle>> {
    let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE | PROCESS_TERMINATE;
    // SAFETY: nothing but numbers is given.
    let process = match owned(unsafe { OpenProcess(access, 0, pid) }) {
        Err(error) if error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()) => {
            return Ok(None);
        }
        process => process?,
    };
    // The lowest two bits of a pid are not looked at by the call.
    // SAFETY: the handle is open as long as `process` lives.
    let is_meant = unsafe { GetProcessId(process.as_raw_handle()) } == pid;
    Ok(is_meant.then_some(process))
}

/// When a process was started, in units of 100 ns since 1601.
fn started(process: &OwnedHandle) -> io::Result<u64> {
    let mut times = [FILETIME::default(); 4];
    let [started, ended, kernel, user] = &mut times;
    // SAFETY: the handle is open as long as `process` is borrowed; the others are where results go.
    done(unsafe {
        GetProcessTimes(
            process.as_raw_handle(),
            &raw mut *started,
            &raw mut *ended,
            &raw mut *kernel,
            &raw mut *user,
        )
    })?;
    Ok(time(*started))
}

fn time(time: FILETIME) -> u64 {
    u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)
}

/// The executable of a process; `None` of one that has ended.
fn program(process: &OwnedHandle) -> Option<Utf8PathBuf> {
    let mut path = vec![0_u16; LONGEST_PATH];
    let mut length = u32::try_from(path.len()).ok()?;
    // SAFETY: the handle is open as long as `process` is borrowed; `path` has room for as many
    // units as are said, and `length` is where their number goes.
    done(unsafe {
        QueryFullProcessImageNameW(
            process.as_raw_handle(),
            PROCESS_NAME_WIN32,
            path.as_mut_ptr(),
            &raw mut length,
        )
    })
    .ok()?;
    let path = path.get(..length as usize)?;
    Some(String::from_utf16_lossy(path).into())
}
