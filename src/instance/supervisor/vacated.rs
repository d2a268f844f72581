//! Before a successor starts: what the server before it held has to be free again.
//!
//! That nobody holds `server.lock` is seen to where a server is ended. A driver may take its time to
//! give back the memory of a process that has ended, and a server that finds less of it loads less
//! (`--fit`) or fails. What cannot be read is not waited for.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::life::Supervisor;
use super::wait::Event;
use crate::instance::identity::{self, ProcessIdentity};
use crate::instance::listener;
use crate::instance::process;
use crate::instance::record::LoadFacts;
use crate::instance::state::State;
use crate::instance::{Launch, is_socket};

/// How long is waited before a successor is started all the same.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long `nvidia-smi` may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A server that has ended, as far as it may still hold something.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pid: u32,
    port: Option<u16>,
    /// Whether it may have had memory that NVIDIA's driver knows of.
    cuda: bool,
}

impl Gone {
    /// The server that a state tells of, should it end; none of another boot.
    pub(super) fn told_by(state: &State) -> Option<Self> {
        let process = state.server.as_ref()?.process.as_ref()?;
        (process.boot == identity::boot().ok()?).then(|| Self::of(process, state))
    }

    /// A process that is about to be told as ended, the server of a state.
    pub(super) fn of(process: &ProcessIdentity, state: &State) -> Self {
        let Launch { host, port, .. } = &state.launch.launch;
        let computes = |load: &LoadFacts| {
            let mut devices = load.devices.iter();
            load.devices.is_empty() || devices.any(|name| name.starts_with("CUDA"))
        };
        Self {
            pid: process.pid,
            port: (!is_socket(host)).then_some(*port),
            cuda: state.loaded.as_ref().is_none_or(computes),
        }
    }
}

impl Supervisor {
    /// Waits until what the last server held is free. `false` when somebody wants no other one
    /// meanwhile.
    pub(super) fn wait_vacated(&mut self) -> io::Result<bool> {
        let Some(gone) = self.gone.take() else {
            return Ok(true);
        };
        let deadline = Instant::now() + PATIENCE;
        let mut noted = false;
        while let Some(held) = self.held_by(&gone) {
            if !noted {
                self.notes.note(format!("waits until {held} is free"));
                noted = true;
                // Whoever started this supervisor waits to see it.
                self.save_or_note();
            }
            if Instant::now() >= deadline {
                let waited = PATIENCE.as_secs();
                self.notes
                    .note(format!("goes on: {held} is not free after {waited} s"));
                break;
            }
            if let Event::Asked = self.wait(Instant::now() + LOOK_EVERY)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a server that has ended still holds, in words.
    fn held_by(&self, gone: &Gone) -> Option<String> {
        let pid = gone.pid;
        if let Some(port) = gone.port.filter(|port| holds_port(pid, *port)) {
            return Some(format!("port {port}"));
        }
        let listed = gone.cuda && self.nvidia_lists(pid);
        if listed || Path::new(&format!("/sys/class/kfd/kfd/proc/{pid}")).exists() {
            return Some(format!("the GPU memory of process {pid}"));
        }
        None
    }

    /// Whether `nvidia-smi` tells of a process, where there is one.
    fn nvidia_lists(&self, pid: u32) -> bool {
        let Ok(mut answer) = tempfile::tempfile() else {
            return false;
        };
        let Ok(output) = answer.try_clone() else {
            return false;
        };
        let mut command = Command::new("nvidia-smi");
        command
            .args(["--query-compute-apps=pid", "--format=csv,noheader"])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null());
        let mut text = String::new();
        process::run_bounded(command, ANSWER, &self.interruptions()).is_ok()
            && answer.rewind().is_ok()
            && answer.read_to_string(&mut text).is_ok()
            && text.lines().any(|line| line.trim().parse() == Ok(pid))
    }
}

/// Whether a process holds a port. Anybody else is a stranger, who is in the way of the start and not
/// left by what was before.
fn holds_port(pid: u32, port: u16) -> bool {
    listener::holders(&BTreeSet::from([port]))
        .is_ok_and(|holders| holders.iter().any(|(_, holder)| holder.pid == Some(pid)))
}
