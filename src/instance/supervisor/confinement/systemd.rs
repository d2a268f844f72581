//! Asking systemd and logind through their own tools, each within a time.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::{Manager, Question};

/// How long an answer may take: a manager that is busy or hangs holds nobody up for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The control groups of this process, where systemd is at work (`sd_booted(3)`).
pub(super) fn control_groups() -> Option<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    std::fs::read_to_string("/proc/self/cgroup").ok()
}

pub(super) fn ask(question: Question<'_>) -> Result<String, String> {
    let user = rustix::process::geteuid().as_raw().to_string();
    let mut command = match question {
        Question::Service(unit, manager) => {
            let mut command = of_manager("systemctl", manager);
            command.args(["show", "--property=ControlGroup,KillMode", "--", unit]);
            command
        }
        Question::Scope(manager) => {
            let mut command = run_in_scope(manager, None);
            command.args(["cat", "/proc/self/cgroup"]);
            command
        }
        Question::KillUserProcesses => {
            let mut command = Command::new("loginctl");
            command.args(["show-session", "--property=KillUserProcesses", "--value"]);
            command
        }
        Question::Linger => {
            let mut command = Command::new("loginctl");
            command.args(["show-user", "--property=Linger", "--value", &user]);
            command
        }
    };
    command.env("LC_ALL", "C");
    answer(command)
}

/// `systemd-run` so that it becomes what is executed, outside of the unit it is called in.
pub(super) fn run_in_scope(manager: Manager, name: Option<&str>) -> Command {
    let mut command = of_manager("systemd-run", manager);
    command.args(["--scope", "--quiet", "--collect", "--no-ask-password"]);
    command.args(name.map(|name| format!("--unit={name}")));
    command.arg("--");
    command
}

/// A tool of systemd, made to talk to this manager. A service and `cron` leave out the variable by
/// which the manager of a user is found.
fn of_manager(tool: &str, manager: Manager) -> Command {
    let mut command = Command::new(tool);
    command.args(manager.option());
    let place = format!("/run/user/{}", rustix::process::geteuid().as_raw());
    if manager == Manager::User
        && std::env::var_os("XDG_RUNTIME_DIR").is_none()
        && Path::new(&place).is_dir()
    {
        command.env("XDG_RUNTIME_DIR", place);
    }
    command
}

/// What a command prints, or the last it complains of.
fn answer(mut command: Command) -> Result<String, String> {
    let tool = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot execute `{tool}`: {error}"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (told, telling) = mpsc::channel();
    let reader = std::thread::Builder::new().spawn(move || {
        // Both are short, so that neither fills its pipe while the other one is read.
        let _ = told.send((whole(out), whole(err)));
    });
    let answer = match reader {
        Ok(_) => telling.recv_timeout(PATIENCE).ok(),
        Err(error) => {
            drop(telling);
            let _ = child.kill();
            let _ = child.wait();
            return Err(error.to_string());
        }
    };
    if answer.is_none() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    // What it printed is what counts: where SIGCHLD is ignored, no exit code is to be had.
    let _ = child.wait();
    let (out, err) =
        answer.ok_or_else(|| format!("`{tool}` gave no answer within {} s", PATIENCE.as_secs()))?;
    let out = out.map_err(|error| error.to_string())?;
    if !out.trim().is_empty() {
        return Ok(out);
    }
    let complaint = err.unwrap_or_default();
    let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
    Err(last.map_or_else(
        || format!("`{tool}` says nothing"),
        |line| line.trim().to_owned(),
    ))
}

fn whole(stream: Option<impl Read>) -> io::Result<String> {
    let mut text = Vec::new();
    if let Some(stream) = stream {
        // An answer is a few lines; more is none.
        stream.take(1 << 16).read_to_end(&mut text)?;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
