//! The `git` program: how it is called so that it asks nobody, runs nothing of the clone's, and ends.
//!
//! What it is asked is in [`super::clone`].

#![expect(
    clippy::disallowed_methods,
    reason = "asks the environment how git reaches other machines"
)]

use std::io;
use std::pin::pin;
use std::process::{Output, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::error::GitError;
use super::words;
use crate::watch::group::{self, Group};
use crate::watch::service_manager;

/// How long git may take for what needs no network.
const LOCAL: Duration = Duration::from_mins(1);
/// How long it may take to fetch: a first fetch over a slow link takes long, and one that gets nowhere is given up
/// by git or ssh after a minute.
const NETWORK: Duration = Duration::from_mins(10);
/// How long it may take for the signatures of many commits.
const SIGNATURES: Duration = Duration::from_mins(5);

/// How long what it said may take to arrive once it has ended.
const REMAINDER: Duration = Duration::from_secs(1);

/// What the caller's environment must not decide: which repository it is, and what git tells of itself,
/// which may be a secret.
const UNSET: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_REPLACE_REF_BASE",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_TRACE",
    "GIT_TRACE_PACKET",
    "GIT_TRACE_CURL",
    "GIT_TRACE_SETUP",
    "GIT_CURL_VERBOSE",
];

/// Options before every verb: no program of the clone's own, no work in the background.
const OPTIONS: &[&str] = &[
    "--no-optional-locks",
    "--no-replace-objects",
    "--no-pager",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=false",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
    "-c",
    "submodule.recurse=false",
    "-c",
    "merge.autoStash=false",
    "-c",
    "log.showSignature=false",
    "-c",
    "advice.diverging=false",
    "-c",
    "http.lowSpeedLimit=1",
    "-c",
    "http.lowSpeedTime=60",
];

/// Git, called in one folder.
#[derive(Debug, Clone)]
pub(super) struct Git {
    folder: Utf8PathBuf,
    /// Whether ssh is told to ask nobody; else it is called as the user has set.
    quiet_ssh: bool,
    /// What must not be shown of its words.
    secrets: Vec<String>,
}

/// How a call is ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It only looks: it ends with who asked.
    Looks,
    /// It reaches other machines.
    Fetches,
    /// It looks at many signatures.
    Verifies,
    /// It changes files, and is let finish whatever becomes of who asked.
    Changes,
}

/// What came of a call that ended by itself.
#[derive(Debug)]
pub(super) struct Said {
    /// Its exit code.
    pub(super) code: Option<i32>,
    /// Its answer.
    pub(super) answer: String,
    /// What else it said, in one line fit to be shown.
    pub(super) words: String,
}

impl Git {
    /// Git in a folder, which is looked at no further.
    pub(super) fn new(folder: &Utf8Path) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            folder: folder.to_owned(),
            quiet_ssh: !is_set("GIT_SSH_COMMAND") && !is_set("GIT_SSH"),
            secrets: Vec::new(),
        }
    }

    /// The same in another folder.
    pub(super) fn within(&self, folder: &Utf8Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ..self.clone()
        }
    }

    /// The same where the user has set how ssh is called.
    pub(super) fn keep_ssh(&mut self) {
        self.quiet_ssh = false;
    }

    /// Hides the credentials of an address in what is shown from here on.
    pub(super) fn hide(&mut self, address: &str) {
        self.secrets = words::secrets(address);
    }

    /// Its folder.
    pub(super) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Asks something that may have the answer no.
    pub(super) async fn ask(&self, arguments: &[&str]) -> Result<Said, GitError> {
        self.call(arguments, Kind::Looks).await
    }

    /// Asks something that has an answer.
    pub(super) async fn look(&self, arguments: &[&str]) -> Result<String, GitError> {
        done(arguments, self.call(arguments, Kind::Looks).await?)
    }

    /// Asks something of many signatures.
    pub(super) async fn verify(&self, arguments: &[&str]) -> Result<Said, GitError> {
        self.call(arguments, Kind::Verifies).await
    }

    /// Fetches.
    pub(super) async fn fetch(&self, arguments: &[&str]) -> Result<(), GitError> {
        done(arguments, self.call(arguments, Kind::Fetches).await?).map(drop)
    }

    /// Changes something.
    pub(super) async fn change(&self, arguments: &[&str]) -> Result<(), GitError> {
        done(arguments, self.call(arguments, Kind::Changes).await?).map(drop)
    }

    async fn call(&self, arguments: &[&str], kind: Kind) -> Result<Said, GitError> {
        let mut command = self.command(arguments);
        // One that is killed while it writes leaves a lock and half the files behind.
        command.kill_on_drop(kind != Kind::Changes);
        let patience = match kind {
            Kind::Looks | Kind::Changes => LOCAL,
            Kind::Fetches => NETWORK,
            Kind::Verifies => SIGNATURES,
        };
        let verb = || arguments.first().copied().unwrap_or_default().to_owned();
        let child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if self.folder.is_dir() => GitError::Missing,
            _ => GitError::NotStarted(source),
        })?;
        let output = tokio::time::timeout(patience, output_of(child, kind))
            .await
            .map_err(|_| GitError::TimedOut {
                verb: verb(),
                after: patience,
            })?
            .map_err(GitError::NotStarted)?;
        Ok(Said {
            code: output.status.code(),
            answer: String::from_utf8_lossy(&output.stdout).into_owned(),
            words: words::one_line(&String::from_utf8_lossy(&output.stderr), &self.secrets),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(OPTIONS)
            .args(arguments)
            .current_dir(&self.folder)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in UNSET.iter().chain(&service_manager::VARIABLES) {
            command.env_remove(name);
        }
        if self.quiet_ssh {
            command.env(
                "GIT_SSH_COMMAND",
                "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=20",
            );
        }
        // What a person types at the terminal of watch is not for git.
        group::lead(&mut command);
        command
    }
}

/// What a process says until it ends. What it leaves running, such as an ssh that keeps its connection for
/// the next one, may hold its output open, and is not waited for.
async fn output_of(mut child: Child, kind: Kind) -> io::Result<Output> {
    // One that is given up ends with what it has started, as a helper that still downloads.
    let mut group = Group::of(&child);
    if kind == Kind::Changes {
        group.is_over();
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let status = {
        let mut read =
            pin!(async { tokio::join!(all_of(out, &mut stdout), all_of(err, &mut stderr)) });
        tokio::select! {
            _ = &mut read => child.wait().await?,
            status = child.wait() => {
                // Whatever comes of it, the status counts.
                let _ = tokio::time::timeout(REMAINDER, &mut read).await;
                status?
            }
        }
    };
    group.is_over();
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> io::Result<()> {
    if let Some(mut stream) = stream {
        stream.read_to_end(into).await?;
    }
    Ok(())
}

fn done(arguments: &[&str], said: Said) -> Result<String, GitError> {
    if said.code == Some(0) {
        return Ok(said.answer);
    }
    Err(GitError::Refused {
        verb: arguments.first().copied().unwrap_or_default().to_owned(),
        words: said.words,
    })
}
