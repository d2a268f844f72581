//! What watch is at, as it changes: kept for the page, and written down for other commands where it is worth a
//! write.

use crate::reconcile::now;
use crate::root::Root;
use crate::watch::alive::WatchFile;
use crate::watch::brake::Brake;
use crate::watch::snapshot::{Doing, GitState, ManifestState, PassResult, PassState, WatchState};

/// What watch is at.
pub(super) struct State {
    now: WatchState,
    /// What `watch.json` says of it.
    written: Option<WatchState>,
}

impl State {
    /// It has just begun.
    pub(super) fn begin(git: Option<&GitState>) -> Self {
        let since = now().to_string();
        Self {
            now: WatchState {
                pid: std::process::id(),
                manifest: ManifestState {
                    good: true,
                    since: since.clone(),
                    message: None,
                    last_good_at: None,
                },
                since,
                doing: Vec::new(),
                last_pass: None,
                next_pass_at: None,
                passes: 0,
                failed_passes: 0,
                received_bytes: 0,
                suspended: None,
                git: git.cloned(),
            },
            written: None,
        }
    }

    pub(super) fn now(&self) -> &WatchState {
        &self.now
    }

    /// What came of the last pass.
    pub(super) fn result(&self) -> Option<PassResult> {
        self.now.last_pass.as_ref().map(|pass| pass.result)
    }

    pub(super) fn set_git(&mut self, git: Option<GitState>) {
        self.now.git = git;
    }

    pub(super) fn set_brake(&mut self, brake: &Brake) {
        self.now.suspended.clone_from(&brake.suspended);
    }

    /// Notes the steps of a pass that runs. Whether that is news.
    pub(super) fn set_doing(&mut self, doing: Vec<Doing>) -> bool {
        let is_news = self.now.doing != doing;
        self.now.doing = doing;
        is_news
    }

    pub(super) fn received(&mut self, bytes: u64) {
        self.now.received_bytes += bytes;
    }

    /// Notes what the files are like. Whether that is news.
    pub(super) fn set_manifest(
        &mut self,
        message: Option<String>,
        last_good_at: Option<String>,
    ) -> bool {
        let manifest = &mut self.now.manifest;
        let is_news = manifest.message != message;
        if is_news {
            manifest.since = now().to_string();
        }
        manifest.good = message.is_none();
        manifest.message = message;
        manifest.last_good_at = last_good_at;
        is_news
    }

    /// Notes a pass that is over.
    pub(super) fn passed(&mut self, pass: PassState) {
        self.now.passes += 1;
        self.now.failed_passes += u64::from(pass.result == PassResult::Failed);
        self.now.doing.clear();
        self.now.last_pass = Some(pass);
    }

    pub(super) fn set_next_pass(&mut self, at: Option<String>) {
        self.now.next_pass_at = at;
    }

    /// Writes it down where something changed but the time: a root at which nothing happens is not written to.
    ///
    /// # Errors
    /// The text of what went wrong.
    pub(super) fn tell(&mut self, root: &Root) -> Result<(), String> {
        let telling = |state: &WatchState| {
            let mut state = state.clone();
            state.next_pass_at = None;
            state.passes = 0;
            if let Some(git) = &mut state.git {
                git.fetched_at = None;
            }
            if let Some(pass) = &mut state.last_pass {
                pass.seconds = 0.0;
                pass.at.clear();
                pass.woken_by.clear();
            }
            for doing in &mut state.doing {
                doing.received_bytes = None;
            }
            state
        };
        if self.written.as_ref().map(telling) == Some(telling(&self.now)) {
            return Ok(());
        }
        WatchFile::new(self.now.clone())
            .write(root)
            .map_err(|error| crate::history::chain(&error))?;
        self.written = Some(self.now.clone());
        Ok(())
    }

    /// Says a last time what it was at.
    pub(super) fn leave(&mut self, root: &Root) {
        self.now.doing.clear();
        self.now.next_pass_at = None;
        // Its lock says that it has ended; what it wrote last is worth nothing more than a look.
        let _ = self.tell(root);
    }
}
