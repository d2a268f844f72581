//! A clone on this disk, as typed questions to git. Decides nothing.

use camino::Utf8Path;

use super::error::GitError;
use super::judge::{Ancestry, LocalEdit, Offender, Range, Upstream, Verdict};
use super::kept::Kept;
use super::program::Git;
use super::words;
use crate::root::{BINS, LOCK, MANIFEST, Root, STATE};

/// A clone, and the root in it.
#[derive(Debug, Clone)]
pub(super) struct Clone {
    pub(super) git: Git,
    /// The root's folder in the clone, with a slash at its end; empty where it is the clone's own.
    pub(super) prefix: String,
}

/// The branch that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tracking {
    /// The remote's name.
    pub(super) remote: String,
    /// The branch's full name there.
    pub(super) there: String,
    /// The full name of what was last fetched of it, here.
    pub(super) here: String,
}

impl Tracking {
    /// The branch's name there, as people say it.
    pub(super) fn branch(&self) -> &str {
        self.there
            .strip_prefix("refs/heads/")
            .unwrap_or(&self.there)
    }
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Its commit.
    pub(super) commit: String,
    /// The first line of its message.
    pub(super) subject: String,
    /// Its branch.
    pub(super) branch: Option<String>,
}

impl Clone {
    pub(super) async fn find(root: &Root) -> Result<Self, GitError> {
        let git = Git::new(root.path());
        let said = git
            .ask(&["rev-parse", "--show-toplevel", "--show-prefix"])
            .await?;
        let mut lines = said.answer.lines();
        let (Some(0), Some(folder)) = (said.code, lines.next().filter(|it| !it.is_empty())) else {
            return Err(GitError::NotAClone {
                folder: root.path().to_owned(),
                words: said.words,
            });
        };
        let prefix = lines.next().unwrap_or_default().to_owned();
        let mut git = git.within(Utf8Path::new(folder));
        if git.ask(&["config", "core.sshCommand"]).await?.code == Some(0) {
            git.keep_ssh();
        }
        Ok(Self { git, prefix })
    }

    /// The clone's own folder.
    pub(super) fn folder(&self) -> &Utf8Path {
        self.git.folder()
    }

    /// Hides the credentials of an address in what is shown from here on.
    pub(super) fn hide(&mut self, address: &str) {
        self.git.hide(address);
    }

    pub(super) async fn head(&self) -> Result<Option<Head>, GitError> {
        let said = self
            .git
            .ask(&["rev-parse", "-q", "--verify", "HEAD^{commit}"]);
        let said = said.await?;
        let commit = said.answer.trim().to_owned();
        if said.code != Some(0) || commit.is_empty() {
            return Ok(None);
        }
        let branch = self.git.ask(&["symbolic-ref", "-q", "HEAD"]).await?;
        let branch = (branch.code == Some(0)).then(|| branch.answer.trim().to_owned());
        let subject = self.subject(&commit).await?;
        Ok(Some(Head {
            commit,
            subject,
            branch,
        }))
    }

    pub(super) async fn subject(&self, commit: &str) -> Result<String, GitError> {
        let subject = ["log", "-1", "--no-color", "--format=%s", commit, "--"];
        Ok(words::plain(self.git.look(&subject).await?.trim()))
    }

    /// What a branch follows.
    pub(super) async fn tracking(&self, branch: &str) -> Result<Option<Tracking>, GitError> {
        let format = "--format=%(upstream)%00%(upstream:remotename)%00%(upstream:remoteref)";
        let answer = self.git.look(&["for-each-ref", format, branch]).await?;
        // A branch and what lies below its name are both listed; the branch itself comes first.
        let line = answer.lines().next().unwrap_or_default();
        let mut parts = line.split('\0').map(str::to_owned);
        let (here, remote, there) = (parts.next(), parts.next(), parts.next());
        let named = |part: Option<String>| part.filter(|part| !part.is_empty());
        Ok(match (named(here), named(remote), named(there)) {
            (Some(here), Some(remote), Some(there)) => Some(Tracking {
                remote,
                there,
                here,
            }),
            _ => None,
        })
    }

    /// Where a remote is, with whatever credentials are in that.
    pub(super) async fn address(&self, remote: &str) -> Result<String, GitError> {
        let said = self.git.ask(&["remote", "get-url", "--", remote]).await?;
        Ok(if said.code == Some(0) {
            said.answer.trim().to_owned()
        } else {
            remote.to_owned()
        })
    }

    pub(super) async fn upstream(&self, tracking: Option<&Tracking>) -> Result<Upstream, GitError> {
        let Some(tracking) = tracking else {
            return Ok(Upstream::None);
        };
        let commit = self.reference(&tracking.here).await?;
        Ok(commit.map_or(Upstream::Unseen, Upstream::At))
    }

    /// The commit a name stands for.
    pub(super) async fn reference(&self, name: &str) -> Result<Option<String>, GitError> {
        let name = format!("{name}^{{commit}}");
        let said = ["rev-parse", "-q", "--verify", "--end-of-options", &name];
        let said = self.git.ask(&said).await?;
        let commit = said.answer.lines().last().unwrap_or_default().to_owned();
        Ok((said.code == Some(0) && !commit.is_empty()).then_some(commit))
    }

    /// Whether one commit lies in the history of another, or is it.
    pub(super) async fn descends(&self, commit: &str, from: &str) -> Result<Ancestry, GitError> {
        if commit == from {
            return Ok(Ancestry::Yes);
        }
        let said = ["merge-base", "--is-ancestor", from, commit];
        match self.git.ask(&said).await?.code {
            Some(0) => Ok(Ancestry::Yes),
            Some(1) if !self.is_shallow().await? => Ok(Ancestry::No),
            _ => Ok(Ancestry::Unknown),
        }
    }

    async fn is_shallow(&self) -> Result<bool, GitError> {
        let answer = self.git.look(&["rev-parse", "--is-shallow-repository"]);
        Ok(answer.await?.trim() == "true")
    }

    /// Whether a commit lay in the branch there at an earlier fetch.
    pub(super) async fn was_there(
        &self,
        tracking: &Tracking,
        commit: &str,
    ) -> Result<bool, GitError> {
        let said = ["merge-base", "--fork-point", &tracking.here, commit];
        let said = self.git.ask(&said).await?;
        Ok(said.code == Some(0) && said.answer.trim() == commit)
    }

    /// What of the clone is not as its commit has it, and counts.
    pub(super) async fn edits(&self) -> Result<Vec<LocalEdit>, GitError> {
        let mut found = Vec::new();
        let status = [
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=no",
            "--ignore-submodules=all",
        ];
        for entry in self.git.look(&status).await?.split('\0') {
            if let Some(path) = entry.get(3..) {
                found.push(LocalEdit {
                    path: words::plain(path),
                    is_tracked: true,
                });
            }
        }
        let others = [
            "ls-files",
            "--others",
            "--exclude-standard",
            "-z",
            "--",
            &self.literally(MANIFEST),
            &self.literally(LOCK),
            &self.literally("instances/"),
        ];
        for path in self.git.look(&others).await?.split('\0') {
            if self.counts(path) {
                found.push(LocalEdit {
                    path: words::plain(path),
                    is_tracked: false,
                });
            }
        }
        Ok(found)
    }

    /// A name below the root, as git takes it literally wherever it is called.
    fn literally(&self, name: &str) -> String {
        format!(":(top,literal){}{name}", self.prefix)
    }

    /// Whether a file that git does not know is one that says what runs.
    fn counts(&self, path: &str) -> bool {
        let Some(name) = path.strip_prefix(&self.prefix) else {
            return false;
        };
        let parts: Vec<&str> = name.split('/').collect();
        matches!(
            parts[..],
            [MANIFEST | LOCK] | ["instances", _, "config.json"]
        )
    }

    /// What git says of the signatures of these commits.
    pub(super) async fn signatures(&self, range: &Range) -> Result<Verdict, GitError> {
        let commits = match &range.since {
            None => vec![range.to.clone()],
            Some(since) => {
                let not = format!("^{since}");
                let mut list = vec!["rev-list", "--reverse", "--topo-order", &range.to, &not];
                // Who went back for a while need not vouch again for what was vouched for.
                let verified = self.kept(Kept::Verified).await?;
                let verified = verified.map(|commit| format!("^{commit}"));
                list.extend(verified.as_deref());
                list.push("--");
                let list = self.git.look(&list).await?;
                list.lines().map(str::to_owned).collect()
            }
        };
        // All of some at once is quicker than one by one, and says only whether each is good.
        for some in commits.chunks(50) {
            let mut all = vec!["verify-commit"];
            all.extend(some.iter().map(String::as_str));
            if self.git.verify(&all).await?.code == Some(0) {
                continue;
            }
            for commit in some {
                let said = self.git.verify(&["verify-commit", commit]).await?;
                if said.code != Some(0) {
                    return Ok(Verdict::Bad(self.offender(commit, said.words).await?));
                }
            }
        }
        Ok(Verdict::Good)
    }

    async fn offender(&self, commit: &str, words: String) -> Result<Offender, GitError> {
        let author = [
            "log",
            "-1",
            "--no-color",
            "--format=%an <%ae>",
            commit,
            "--",
        ];
        let author = words::plain(self.git.look(&author).await?.trim());
        let words = if words == words::NOTHING {
            "it has no signature".to_owned()
        } else {
            words
        };
        Ok(Offender {
            commit: commit.to_owned(),
            author,
            words,
        })
    }

    /// Fetches a branch: what is known of it here changes, no file of the work tree does.
    pub(super) async fn fetch(self, tracking: Tracking) -> Result<(), GitError> {
        let Tracking {
            remote,
            there,
            here,
        } = tracking;
        // A branch that follows another one of this very clone has nothing to fetch.
        if remote == "." || !here.starts_with("refs/remotes/") {
            return Ok(());
        }
        let what = format!("+{there}:{here}");
        let fetch = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--no-write-fetch-head",
            "--no-prune",
            "--end-of-options",
            &remote,
            &what,
        ];
        self.git.fetch(&fetch).await
    }

    /// Refuses a commit that has files where this machine keeps its own: git writes over what is ignored.
    async fn leaves_ours_alone(&self, commit: &str) -> Result<(), GitError> {
        let [state, bins] = [STATE, BINS].map(|name| self.literally(name));
        let list = ["ls-tree", "-r", "--name-only", commit, "--", &state, &bins];
        let tracked = self.git.look(&list).await?;
        match tracked.lines().find(|path| !path.ends_with(".gitignore")) {
            Some(path) => Err(GitError::TracksOurs(path.to_owned())),
            None => Ok(()),
        }
    }

    /// Goes forward to a commit, and only forward.
    pub(super) async fn forward(&self, commit: &str) -> Result<(), GitError> {
        self.leaves_ours_alone(commit).await?;
        // What is ignored here may be our own state, which no commit may write over; and the clone's settings do
        // not decide what a move is.
        let merge = [
            "merge",
            "--ff-only",
            "--no-squash",
            "--no-overwrite-ignore",
            "--quiet",
            "--no-stat",
            commit,
        ];
        self.git.change(&merge).await
    }

    /// Goes to a commit, wherever it is, and over no edit.
    pub(super) async fn reset(&self, commit: &str) -> Result<(), GitError> {
        self.leaves_ours_alone(commit).await?;
        self.git
            .change(&["reset", "--keep", "--quiet", commit])
            .await
    }
}
