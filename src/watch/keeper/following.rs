//! The clone the loop follows: when it is fetched, and what of it is told. Where it may go is
//! [`crate::watch::git`]'s to say.

use std::time::Duration;

use super::Keeper;
use crate::root::Root;
use crate::watch::git::{Checkout, FetchResult, GitError, Options};
use crate::watch::schedule::Wake;
use crate::watch::snapshot::GitState;

/// How a clone is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// Time between two fetches.
    pub interval: Duration,
    /// Whether every new commit has to be signed by somebody git trusts.
    pub verify: bool,
}

/// The clone it follows.
pub(super) struct Git {
    pub(super) checkout: Checkout,
    following: Following,
    pub(super) fetching: Option<tokio::task::JoinHandle<FetchResult>>,
    /// When it is fetched next, by the schedule's clock.
    pub(super) next: Duration,
}

impl Git {
    pub(super) async fn open(root: &Root, following: Following) -> Result<Self, GitError> {
        let verify = following.verify;
        Ok(Self {
            checkout: Checkout::open(root, Options { verify }).await?,
            following,
            fetching: None,
            next: Duration::ZERO,
        })
    }
}

impl Keeper<'_> {
    /// Begins to fetch, unless that is going on.
    pub(super) fn fetch(&mut self) {
        if let Some(git) = &mut self.git
            && git.fetching.is_none()
        {
            git.fetching = Some(tokio::spawn(git.checkout.fetching()));
        }
    }

    /// Takes over what was fetched, and goes where that leads.
    pub(super) async fn fetched(&mut self, result: Option<FetchResult>) {
        let now = self.now();
        let Some(git) = &mut self.git else { return };
        git.fetching = None;
        if let Some(result) = result {
            git.checkout.fetched(result, crate::reconcile::now());
        }
        git.next = now
            + git
                .checkout
                .next_fetch_in(git.following.interval, fastrand::f64());
        self.advance().await;
    }

    /// Moves the clone where it is to be.
    pub(super) async fn advance(&mut self) {
        let now = self.now();
        let brake = self.brake();
        let Some(git) = &mut self.git else { return };
        let moved = git.checkout.advance(&brake, crate::reconcile::now()).await;
        let state = git.checkout.state().clone();
        if moved {
            let commit = format!("{:.9}", state.commit);
            self.schedule.woken(Wake::Git(commit), now);
        }
        self.take_git(state);
        self.publish_state();
    }

    /// Takes over what the clone is at, and tells what of it is news.
    pub(super) fn take_git(&mut self, state: GitState) {
        let before = self.state.now().git.clone();
        if let Some(before) = before {
            if before.commit != state.commit {
                self.voice.note(&format!(
                    "git: {} is at {:.9} \"{}\"",
                    state.branch, state.commit, state.subject
                ));
            }
            let text = |state: &GitState| state.hold.as_ref().map(|hold| hold.text.clone());
            match (text(&before), text(&state)) {
                (was, Some(hold)) if was.as_ref() != Some(&hold) => {
                    self.voice.warning(&format!("git: {hold}"));
                }
                (Some(_), None) => self.voice.note("git: it follows its branch again"),
                (Some(_) | None, Some(_)) | (None, None) => {}
            }
            match (&before.fetch_error, &state.fetch_error) {
                (None, Some(error)) => self.voice.warning(&format!("git: cannot fetch: {error}")),
                (Some(_), None) => self.voice.note("git: fetched again"),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        self.state.set_git(Some(state));
    }
}
