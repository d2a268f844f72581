//! What there is to answer with: the latest snapshot, a fresh one where somebody asks for it, and whether the
//! loop lives.

#![expect(
    clippy::disallowed_methods,
    reason = "tells a fresh snapshot from an older one"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::Interest;
use super::interest::Viewer;
use crate::watch::snapshot::Snapshot;

/// How long a request waits for a fresh look.
const PATIENCE: Duration = Duration::from_secs(2);

/// Event streams at once.
pub(super) const MOST_VIEWERS: usize = 64;

/// What the handlers share.
#[derive(Debug)]
pub(super) struct Answers {
    latest: watch::Receiver<Arc<Snapshot>>,
    interest: Arc<Interest>,
    /// The text of the snapshot that was told last: all streams tell the same one.
    told: Mutex<Option<(Arc<Snapshot>, Arc<str>)>>,
}

/// Why the loop is not taken for alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// It has given no sign of life for too long.
    For(Duration),
    /// It has ended.
    Ended,
}

impl Answers {
    pub(super) fn new(latest: watch::Receiver<Arc<Snapshot>>, interest: Arc<Interest>) -> Self {
        Self {
            latest,
            interest,
            told: Mutex::new(None),
        }
    }

    /// Notes each sign of life. Never returns: a page whose loop has ended says so until it is dropped.
    pub(super) async fn listen(&self) {
        let mut latest = self.latest.clone();
        while latest.changed().await.is_ok() {
            self.interest.alive();
        }
        std::future::pending::<()>().await;
    }

    /// The latest snapshot there is.
    pub(super) fn latest(&self) -> Arc<Snapshot> {
        self.latest.borrow().clone()
    }

    /// A snapshot that was made after this was called, or the latest one where none comes in time.
    pub(super) async fn fresh(&self) -> Arc<Snapshot> {
        let asked = Timestamp::now();
        let is_fresh = |snapshot: &Arc<Snapshot>| {
            let at = snapshot.at.parse::<Timestamp>();
            at.is_ok_and(|at| at >= asked)
        };
        let mut latest = self.latest.clone();
        self.interest.ask();
        let fresh = async { latest.wait_for(is_fresh).await.map(|fresh| fresh.clone()) };
        match tokio::time::timeout(PATIENCE, fresh).await {
            Ok(Ok(fresh)) => fresh,
            Ok(Err(_)) | Err(_) => self.latest(),
        }
    }

    /// A snapshot as JSON in one line.
    pub(super) fn told(&self, snapshot: &Arc<Snapshot>) -> Arc<str> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, text)) = told.as_ref()
            && Arc::ptr_eq(of, snapshot)
        {
            return text.clone();
        }
        let text = serde_json::to_string(snapshot.as_ref()).unwrap_or_default();
        let text: Arc<str> = text.into();
        *told = Some((snapshot.clone(), text.clone()));
        text
    }

    /// A stream of snapshots, the latest first, unless there are too many.
    pub(super) fn watch(&self) -> Option<(Viewer, watch::Receiver<Arc<Snapshot>>)> {
        let viewer = self.interest.enter(MOST_VIEWERS)?;
        let mut latest = self.latest.clone();
        latest.mark_changed();
        Some((viewer, latest))
    }

    /// Why the loop is not taken for alive, where it is not.
    pub(super) fn silence(&self) -> Option<Silence> {
        if self.latest.has_changed().is_err() {
            return Some(Silence::Ended);
        }
        let silent = self.interest.silent();
        (silent > self.interest.stale_after()).then_some(Silence::For(silent))
    }
}
