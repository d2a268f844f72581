//! Why git could not be asked, or a clone cannot be kept.

use std::io;
use std::time::Duration;

use camino::Utf8PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no git.
    #[error("there is no `git` on this machine")]
    Missing,
    /// It could not be run.
    #[error("cannot run `git`")]
    NotStarted(#[source] io::Error),
    /// It took too long.
    #[error("`git {verb}` did not end within {} s", after.as_secs())]
    TimedOut {
        /// What it was asked.
        verb: String,
        /// How long it was given.
        after: Duration,
    },
    /// It said no.
    #[error("`git {verb}` failed: {words}")]
    Refused {
        /// What it was asked.
        verb: String,
        /// What it said, in one line.
        words: String,
    },
    /// The root is not in a clone.
    #[error("`{folder}` is not in a clone: {words}")]
    NotAClone {
        /// The root.
        folder: Utf8PathBuf,
        /// What git said, in one line.
        words: String,
    },
    /// The clone has no commit yet.
    #[error("the clone of `{0}` has no commit yet")]
    NoCommit(Utf8PathBuf),
    /// No such commit is known.
    #[error("there is no commit `{0}` in this clone")]
    UnknownCommit(String),
    /// The commit is not in the branch that is followed.
    #[error("commit `{commit}` is not in the history of `{branch}`")]
    NotThere {
        /// Which.
        commit: String,
        /// The branch there.
        branch: String,
    },
    /// A commit has a file, relative to the root, where this machine keeps its own.
    #[error(
        "it tracks `{0}`, where this machine keeps what is its own (`git rm --cached` takes it out)"
    )]
    TracksOurs(String),
    /// Whether it is cannot be told.
    #[error("it cannot be told whether `{0}` is in the history of the branch there")]
    Untold(String),
    /// The branch follows none elsewhere.
    #[error("the branch of the clone follows none elsewhere")]
    NoUpstream,
}

impl GitError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing => {
                Some("install git, or leave `--git` away: files are watched without it".to_owned())
            }
            Self::NotAClone { folder, .. } => Some(format!(
                "`git clone ADDRESS` makes one; `git -C {folder} status` shows what git sees there"
            )),
            Self::NoCommit(folder) => {
                Some(format!("commit something: `git -C {folder} commit`, then push it"))
            }
            Self::UnknownCommit(_) | Self::NotThere { .. } => Some(
                "name a commit that was pushed to the branch: `git log --oneline '@{upstream}'` lists them"
                    .to_owned(),
            ),
            Self::Untold(_) => {
                Some("`git fetch --unshallow` completes a history that is cut off".to_owned())
            }
            Self::NoUpstream => {
                Some("`git branch --set-upstream-to=origin/BRANCH` names it".to_owned())
            }
            Self::TracksOurs(_)
            | Self::NotStarted(_)
            | Self::TimedOut { .. }
            | Self::Refused { .. } => None,
        }
    }
}
