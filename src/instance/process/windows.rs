//! Windows: jobs, consoles and handles. Primitives only, no waiting and no policy.
//!
//! `llama-server` ends on CTRL+C alone, which is heard by whoever shares its console. So each
//! supervisor has a console of its own that nobody sees (`CREATE_NO_WINDOW`), which its server
//! shares; what the server starts hears it too. Neither is ever given a process group of its own,
//! in which CTRL+C would not be heard. A server that was adopted is reached by this program started
//! once more, which joins the server's console for that instant: whoever joins another console
//! leaves the one it has.

#![expect(unsafe_code, reason = "the system is called")]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::os::windows::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;
use windows_sys::Win32::Foundation::{
    ERROR_COMMITMENT_LIMIT, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY,
    ERROR_SHARING_VIOLATION, ERROR_TOO_MANY_OPEN_FILES, TRUE,
};
use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_C_EVENT, FreeConsole, GenerateConsoleCtrlEvent, GetConsoleProcessList,
    SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::ProcessStatus::EmptyWorkingSet;
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NO_WINDOW, CREATE_SUSPENDED, DETACHED_PROCESS,
    GetCurrentProcess, OpenThread, ResumeThread, THREAD_SUSPEND_RESUME,
};

use crate::instance::identity::Running;
use crate::instance::object::{Job, done, owned, set_inherited};
use crate::instance::state::Exit;

/// The first argument by which this program knows that it is to interrupt a server.
const INTERRUPT: &str = "__interrupt";

/// Whether this process lets a CTRL+C pass that it sends itself.
static LETS_PASS: AtomicBool = AtomicBool::new(false);

/// Lets the next programs that are executed keep this file open.
pub(super) fn inherit(file: &File) -> io::Result<()> {
    set_inherited(file, true)
}

/// A process and all it starts, as a job.
#[derive(Debug)]
pub(super) struct Group(Job);

impl Group {
    /// Starts a process in a job of its own, which has the nonce for a name and lasts as long as
    /// one of them. It does nothing before it belongs to the job, so that nothing it starts is left
    /// out.
    pub(super) fn spawn(command: &mut Command, nonce: Uuid) -> io::Result<(Child, Self)> {
        let job = Job::create(nonce)?;
        job.set_inherited(true)?;
        let spawned = command.creation_flags(CREATE_SUSPENDED).spawn();
        let kept = job.set_inherited(false);
        let mut child = spawned?;
        let begun = kept
            .and_then(|()| job.assign(child.as_raw_handle()))
            .and_then(|()| resume(child.id()));
        if let Err(error) = begun {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
        Ok((child, Self(job)))
    }

    /// Ends all its processes by force.
    pub(super) fn kill(&self) -> io::Result<()> {
        self.0.end()
    }
}

/// Lets a process that was started suspended begin, which has but one thread.
fn resume(pid: u32) -> io::Result<()> {
    // SAFETY: nothing but numbers is given.
    let snapshot = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) })?;
    let mut thread = THREADENTRY32 {
        dwSize: u32::try_from(size_of::<THREADENTRY32>()).map_err(io::Error::other)?,
        ..THREADENTRY32::default()
    };
    // SAFETY: the snapshot is open, and `thread` says its own size, here and below.
    let mut found = done(unsafe { Thread32First(snapshot.as_raw_handle(), &raw mut thread) });
    while found.is_ok() && thread.th32OwnerProcessID != pid {
        // SAFETY: as above.
        found = done(unsafe { Thread32Next(snapshot.as_raw_handle(), &raw mut thread) });
    }
    found?;
    // SAFETY: nothing but numbers is given.
    let thread: OwnedHandle =
        owned(unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, thread.th32ThreadID) })?;
    // SAFETY: the handle is open as long as `thread` lives.
    if unsafe { ResumeThread(thread.as_raw_handle()) } == u32::MAX {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Starts a process that outlives its caller: with a console of its own that nobody sees, and
/// outside the job the caller may be in. A job that lets nobody leave keeps it, and may end it with
/// the caller.
///
/// Our standard streams, which a shell has made inheritable, are kept from it and from all that is
/// started later: whoever reads our output to its end would wait for the end of the server.
pub(crate) fn spawn_detached(command: &mut Command) -> io::Result<Child> {
    // One that is not there cannot be handed on either.
    let _ = set_inherited(&io::stdin(), false);
    let _ = set_inherited(&io::stdout(), false);
    let _ = set_inherited(&io::stderr(), false);
    command.creation_flags(CREATE_NO_WINDOW | CREATE_BREAKAWAY_FROM_JOB);
    match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            command.creation_flags(CREATE_NO_WINDOW).spawn()
        }
        spawned => spawned,
    }
}

/// Whether a program could not be executed because the machine is short of something, or its file
/// is being written or looked through.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(i32::cast_unsigned),
        Some(
            ERROR_NOT_ENOUGH_MEMORY
                | ERROR_OUTOFMEMORY
                | ERROR_NO_SYSTEM_RESOURCES
                | ERROR_COMMITMENT_LIMIT
                | ERROR_TOO_MANY_OPEN_FILES
                | ERROR_SHARING_VIOLATION
        )
    )
}

/// Whoever has a handle of a child can wait for it, however often others have.
pub(super) fn is_not_our_child(_error: &io::Error) -> bool {
    false
}

/// How a child ended.
pub(super) fn exit_of(status: ExitStatus) -> Exit {
    status.code().map_or(Exit::Unobserved, Exit::Code)
}

/// Cuts a new process loose from whoever started it: `\` as its folder, and CTRL+C heard by what it
/// starts and passed over by itself. Handles it was given cannot be listed; [`spawn_detached`]
/// gives none. To be called first of all.
pub(crate) fn settle_in() -> io::Result<()> {
    std::env::set_current_dir("\\")?;
    let_pass()
}

/// Has this process pass over CTRL+C by a routine, and what it starts hear it: not hearing it at
/// all, which whoever started us may have chosen, is inherited.
fn let_pass() -> io::Result<()> {
    unsafe extern "system" fn handled(kind: u32) -> i32 {
        i32::from(kind == CTRL_C_EVENT)
    }
    // SAFETY: no routine is given, which sets whether CTRL+C is heard at all.
    done(unsafe { SetConsoleCtrlHandler(None, 0) })?;
    // SAFETY: the routine only looks at its argument, on whatever thread.
    done(unsafe { SetConsoleCtrlHandler(Some(handled), TRUE) })?;
    LETS_PASS.store(true, Ordering::Relaxed);
    Ok(())
}

/// Gives back the memory that starting up has touched; what is needed again comes back by itself.
pub(crate) fn release_code() {
    // SAFETY: the handle of this process needs no closing. Failing to changes nothing.
    unsafe { EmptyWorkingSet(GetCurrentProcess()) };
}

/// Sends CTRL+C to a server.
pub(in crate::instance) fn interrupt(server: &Running) -> io::Result<()> {
    if LETS_PASS.load(Ordering::Relaxed) && shares_console(server.pid()) {
        return send();
    }
    let status = Command::new(std::env::current_exe()?)
        .args([
            INTERRUPT,
            &server.pid().to_string(),
            &server.started().to_string(),
        ])
        .creation_flags(DETACHED_PROCESS)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other("its console cannot be joined"))
}

/// Interrupts a server if the arguments of this program, less its name, say so; `None` otherwise.
pub(crate) fn other_entry(word: &OsStr, arguments: &[OsString]) -> Option<ExitCode> {
    if word != INTERRUPT {
        return None;
    }
    Some(match join_and_send(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn join_and_send(arguments: &[OsString]) -> io::Result<()> {
    let number = |at: usize| arguments.get(at)?.to_str()?.parse::<u64>().ok();
    let (pid, started) = number(0)
        .and_then(|pid| Some((u32::try_from(pid).ok()?, number(1)?)))
        .ok_or(io::ErrorKind::InvalidInput)?;
    // Held until the end, so that the pid cannot mean anybody else.
    let server = Running::child(pid)?;
    if server.started() != started {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: nothing but a number is given. Whoever has a console has to leave it first; to have
    // none is no failure.
    done(unsafe {
        FreeConsole();
        AttachConsole(pid)
    })?;
    // Only now: joining a console forgets the routines that were set before.
    let_pass()?;
    send()
}

/// Sends CTRL+C to everybody at our console.
fn send() -> io::Result<()> {
    // SAFETY: nothing but numbers is given.
    done(unsafe { GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) })
}

/// Whether a process is at the same console as we are.
fn shares_console(pid: u32) -> bool {
    let mut pids = vec![0_u32; 16];
    loop {
        let room = u32::try_from(pids.len()).unwrap_or(u32::MAX);
        // SAFETY: `pids` has room for as many as are said.
        let count = unsafe { GetConsoleProcessList(pids.as_mut_ptr(), room) } as usize;
        if count <= pids.len() {
            return pids.iter().take(count).any(|at_it| *at_it == pid);
        }
        pids = vec![0; count];
    }
}
