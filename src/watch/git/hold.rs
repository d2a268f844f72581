//! Why a clone does not follow its branch, in words that say what to do.

use super::judge::{LocalEdit, Offender};

/// Why a clone stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Files are not as the commit has them.
    LocalEdits(Vec<LocalEdit>),
    /// There are commits here that are not there.
    LocalCommits,
    /// The branch there does not go on from what was taken from it.
    Rewritten(String),
    /// A commit has no signature git trusts.
    Unsigned(Offender),
    /// No branch is checked out.
    Detached,
    /// The branch follows none.
    NoUpstream,
    /// Nothing is known of the branch it follows.
    Unseen,
    /// The history is cut off where it would have to be known.
    Shallow,
    /// The pinned commit is not in the branch there.
    PinNotThere(String),
    /// A person suspended watch, and this commit waits.
    Suspended(String),
    /// Git could not bring the work tree to a commit.
    NotMoved {
        /// Which.
        to: String,
        /// What git says, in one line.
        words: String,
    },
    /// Git could not be asked.
    Unreadable(String),
}

/// Where a clone is, for the words of its holds.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its folder.
    pub folder: &'a str,
    /// Its branch, where one is known.
    pub branch: &'a str,
}

impl Hold {
    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::LocalEdits(_) => "local_edits",
            Self::LocalCommits => "local_commits",
            Self::Rewritten(_) => "rewritten",
            Self::Unsigned(_) => "unsigned",
            Self::Detached => "detached",
            Self::NoUpstream => "no_upstream",
            Self::Unseen => "unseen",
            Self::Shallow => "shallow",
            Self::PinNotThere(_) => "pin_not_there",
            Self::Suspended(_) => "suspended",
            Self::NotMoved { .. } => "not_moved",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Why, with what to do, in one line.
    pub fn text(&self, place: Place<'_>) -> String {
        let Place { folder, branch } = place;
        match self {
            Self::LocalEdits(edits) => edited(edits, folder),
            Self::LocalCommits => format!(
                "there are commits here that are not in `{branch}` there; push them, or `git -C {folder} reset --keep '@{{upstream}}'` leaves them behind"
            ),
            Self::Rewritten(upstream) => format!(
                "the history of `{branch}` was rewritten: it does not go on from what was taken from it; push a branch that does, or take it as it is with `llama-orch watch pin {}` and then `llama-orch watch resume`",
                short(upstream)
            ),
            Self::Unsigned(Offender {
                commit,
                author,
                words,
            }) => format!(
                "{} by {author} is not signed by somebody git trusts: {words}; `git -C {folder} log --show-signature -1 {}` shows it",
                short(commit),
                short(commit)
            ),
            Self::Detached => format!(
                "no branch is checked out; `git -C {folder} switch BRANCH` goes back to one, `llama-orch watch pin COMMIT` holds it at a commit"
            ),
            Self::NoUpstream => format!(
                "the branch follows none elsewhere; `git -C {folder} branch --set-upstream-to=origin/BRANCH` names it"
            ),
            Self::Unseen => format!(
                "nothing is known of `{branch}` there; `git -C {folder} fetch` shows what is wrong"
            ),
            Self::Shallow => format!(
                "its history is cut off, so it cannot be told whether `{branch}` goes on from it; `git -C {folder} fetch --unshallow` completes it"
            ),
            Self::PinNotThere(commit) => format!(
                "it is pinned to {}, which is not in the history of `{branch}` there; pin another with `llama-orch watch pin COMMIT`, or `llama-orch watch resume`",
                short(commit)
            ),
            Self::Suspended(commit) => format!(
                "watch is suspended; `llama-orch watch resume` takes {}",
                short(commit)
            ),
            Self::NotMoved { to, words } => format!(
                "git cannot bring the work tree to {}: {words}; `git -C {folder} status` shows what lies there",
                short(to)
            ),
            Self::Unreadable(words) => {
                format!(
                    "git cannot be asked: {words}; `git -C {folder} status` shows what is wrong"
                )
            }
        }
    }
}

/// The beginning of a commit's id, as people read it.
pub fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

fn edited(edits: &[LocalEdit], folder: &str) -> String {
    let Some(first) = edits.first() else {
        return String::new();
    };
    let path = &first.path;
    let more = match edits.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let way_out = if first.is_tracked {
        format!("`git -C {folder} stash` puts it aside")
    } else {
        "move it away".to_owned()
    };
    let was = match (edits.len(), first.is_tracked) {
        (1, true) => "was edited here",
        (1, false) => "lies here and is not in the commit",
        _ => "are not as the commit has them",
    };
    format!(
        "`{path}`{more} {was}; {way_out}, and change it in a clone of your own: commit and push"
    )
}
