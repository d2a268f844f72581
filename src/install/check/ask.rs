//! Runs a build's program with one argument and reads what it says: bounded in time and length, from
//! its own folder, in an environment of its own.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use camino::Utf8Path;

/// How long a program that was just written may be called busy: a process another thread has
/// forked in that moment keeps it open for writing until it executes something else.
const BUSY: Duration = Duration::from_secs(5);

/// How often its end is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// What to ask a program, and how long to listen.
pub(crate) struct Asking<'a> {
    /// Its only argument.
    pub(crate) argument: &'static str,
    /// How long it may take.
    pub(crate) patience: Duration,
    /// How many bytes of what it says are read.
    pub(crate) most: u64,
    /// Variables it is given as they are here.
    pub(crate) passed: &'a [&'a str],
    /// Raised when nobody waits for it any more.
    pub(crate) given_up: &'a AtomicBool,
}

/// Why a program said nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It cannot be started, or not be listened to.
    #[error("it cannot be run")]
    CannotRun(#[source] io::Error),
    /// It did not end.
    #[error("it did not end within {} s", .0.as_secs())]
    Endless(Duration),
    /// Nobody waits for it any more.
    #[error("it was given up")]
    GivenUp,
}

impl Asking<'_> {
    /// How the program ended, and what it said on both streams.
    pub(crate) fn ask(&self, program: &Utf8Path) -> Result<(ExitStatus, String), AskError> {
        // From its own folder, to which a relative path would be relative.
        let program = &camino::absolute_utf8(program).map_err(AskError::CannotRun)?;
        let folder = program.parent().unwrap_or(Utf8Path::new("."));
        // Into a file: a pipe would have to be read while waiting, and a child of it could keep it open.
        let output = tempfile::tempfile().map_err(AskError::CannotRun)?;
        let copy = || output.try_clone().map_err(AskError::CannotRun);
        let mut command = Command::new(program);
        command
            .arg(self.argument)
            .env_clear()
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(copy()?)
            .stderr(copy()?);
        // Builds before mid-2025 look for their libraries where they were built.
        for variable in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            command.env(variable, folder);
        }
        for variable in ["SystemRoot", "TEMP", "TMPDIR"].iter().chain(self.passed) {
            if let Some(value) = std::env::var_os(variable) {
                command.env(variable, value);
            }
        }
        let status = self.run(command)?;
        let said = self.read(output).map_err(AskError::CannotRun)?;
        Ok((status, said))
    }

    fn run(&self, mut command: Command) -> Result<ExitStatus, AskError> {
        let started = Instant::now();
        let mut child = loop {
            match command.spawn() {
                Ok(child) => break child,
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy
                        && started.elapsed() < BUSY =>
                {
                    std::thread::sleep(LOOK);
                }
                Err(error) => return Err(AskError::CannotRun(error)),
            }
        };
        loop {
            if let Some(status) = child.try_wait().map_err(AskError::CannotRun)? {
                return Ok(status);
            }
            let is_given_up = self.given_up.load(Ordering::Relaxed);
            if is_given_up || started.elapsed() > self.patience {
                // It may end by itself in this very moment; either way it is gone after `wait`.
                let _ = child.kill();
                let _ = child.wait();
                return Err(if is_given_up {
                    AskError::GivenUp
                } else {
                    AskError::Endless(self.patience)
                });
            }
            std::thread::sleep(LOOK);
        }
    }

    fn read(&self, mut output: File) -> io::Result<String> {
        output.rewind()?;
        let mut bytes = Vec::new();
        output.take(self.most).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
