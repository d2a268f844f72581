//! One run of `notify.command` with one notice on its standard input.

use std::collections::VecDeque;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::watch::group::{self, Group};
use crate::watch::notice::Notice;
use crate::watch::service_manager;

/// How much is kept of what it writes.
const MOST_OUTPUT: usize = 4096;

/// How long its output is read on once it has ended: what it left behind may hold that open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Why a notice was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("cannot be executed")]
    Program(#[source] std::io::Error),
    #[error("cannot be waited for")]
    Wait(#[source] std::io::Error),
    #[error("did not end within {} s and was ended{}", .0.as_secs_f64(), said(.1))]
    TooLong(Duration, String),
    #[error("ended with {}{}", .0, said(.1))]
    Failed(ExitStatus, String),
}

fn said(output: &str) -> String {
    if output.is_empty() {
        String::new()
    } else {
        format!("; it said: {output}")
    }
}

/// Runs a command in the root, gives it a notice as one line of JSON, and waits until it has ended.
pub(super) async fn hand_over(
    root: &Utf8Path,
    command: &[String],
    notice: &Notice,
    within: Duration,
    ending: Duration,
) -> Result<(), RunError> {
    let (program, arguments) = command
        .split_first()
        .map_or(("", command), |(first, rest)| (first.as_str(), rest));
    let mut command = Command::new(located(root, program));
    command
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for name in service_manager::VARIABLES {
        command.env_remove(name);
    }
    group::lead(&mut command);
    let mut child = command.spawn().map_err(RunError::Program)?;
    let mut group = Group::of(&child);
    let input = child.stdin.take();
    let mut output = Output::of(&mut child);
    let mut line = serde_json::to_vec(notice).unwrap_or_default();
    line.push(b'\n');
    let feed = async move {
        if let Some(mut input) = input {
            // Whoever does not want to read it need not.
            let _ = input.write_all(&line).await;
        }
    };
    let ended = {
        // Only its end says that it has ended: it may close all of these before.
        let mut talk = pin!(async { tokio::join!(feed, output.drain()) });
        let mut is_talking = true;
        let wait = async {
            loop {
                tokio::select! {
                    ended = child.wait() => return ended,
                    _ = &mut talk, if is_talking => is_talking = false,
                }
            }
        };
        tokio::time::timeout(within, wait).await
    };
    let Ok(ended) = ended else {
        end_all(&mut child, &mut group, ending).await;
        let _ = tokio::time::timeout(LAST_WORDS, output.drain()).await;
        return Err(RunError::TooLong(within, output.text()));
    };
    // Its number may name another one from here on.
    group.is_over();
    let _ = tokio::time::timeout(LAST_WORDS, output.drain()).await;
    match ended.map_err(RunError::Wait)? {
        status if status.success() => Ok(()),
        status => Err(RunError::Failed(status, output.text())),
    }
}

/// Ends a command that was not waited for yet, and all it has started.
async fn end_all(child: &mut Child, group: &mut Group, ending: Duration) {
    group.terminate();
    // It is not waited for meanwhile: as long as it is not, its number is that of its group alone.
    tokio::time::sleep(ending).await;
    group.kill();
    let _ = child.start_kill();
    group.is_over();
    let _ = tokio::time::timeout(ending, child.wait()).await;
}

/// Where a program lies: a name is looked for in `PATH`, anything else begins at the root.
pub(super) fn located(root: &Utf8Path, program: &str) -> Utf8PathBuf {
    let is_name = !program.contains(['/', std::path::MAIN_SEPARATOR]);
    if is_name {
        program.into()
    } else {
        root.join(program)
    }
}

/// What a command writes, of which the end is kept.
struct Output {
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    kept: VecDeque<u8>,
}

impl Output {
    fn of(child: &mut Child) -> Self {
        Self {
            out: child.stdout.take(),
            err: child.stderr.take(),
            kept: VecDeque::new(),
        }
    }

    /// Reads until nobody writes any more. May be dropped at any time and called again.
    async fn drain(&mut self) {
        let (mut from_out, mut from_err) = ([0; 1024], [0; 1024]);
        while self.out.is_some() || self.err.is_some() {
            tokio::select! {
                read = read(self.out.as_mut(), &mut from_out), if self.out.is_some() => match read {
                    Some(read) => self.keep(&from_out[..read]),
                    None => self.out = None,
                },
                read = read(self.err.as_mut(), &mut from_err), if self.err.is_some() => match read {
                    Some(read) => self.keep(&from_err[..read]),
                    None => self.err = None,
                },
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let excess = self.kept.len().saturating_sub(MOST_OUTPUT);
        self.kept.drain(..excess);
    }

    /// The end of it in one line, without what would drive a terminal.
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }
}

/// Bytes that came; `None` where no more will.
async fn read(stream: Option<&mut (impl AsyncRead + Unpin)>, into: &mut [u8]) -> Option<usize> {
    let read = stream?.read(into).await.ok()?;
    (read > 0).then_some(read)
}
