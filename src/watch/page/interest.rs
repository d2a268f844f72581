//! What the page tells the loop: that somebody looks, and wants to see how it is now.

#![expect(
    clippy::disallowed_methods,
    reason = "measures how long the loop is silent"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Who looks at the page. The loop looks more often while there are viewers, and at once when asked; how often
/// it lets itself be asked is its own business.
#[derive(Debug)]
pub struct Interest {
    viewers: AtomicUsize,
    asked: Notify,
    stale_after: Mutex<Duration>,
    alive: Mutex<Instant>,
}

impl Interest {
    /// Nobody looks yet. `stale_after` is how long the loop may give no sign of life before `/healthz` says so.
    pub fn new(stale_after: Duration) -> Self {
        Self {
            viewers: AtomicUsize::new(0),
            asked: Notify::new(),
            stale_after: Mutex::new(stale_after),
            alive: Mutex::new(Instant::now()),
        }
    }

    /// Event streams that are open.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// Waits until somebody asks for a fresh look. What was asked while nobody waited counts once.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Asks for a fresh look.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// The loop is alive, whatever it is at.
    pub fn alive(&self) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long the loop has given no sign of life.
    pub(super) fn silent(&self) -> Duration {
        let alive = *self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.elapsed()
    }

    /// How long the loop may give no sign of life before `/healthz` says so.
    pub fn stale_after(&self) -> Duration {
        match self.stale_after.lock() {
            Ok(after) => *after,
            Err(poisoned) => *poisoned.into_inner(),
        }
    }

    /// Changes that, as a manifest that changes the time between two passes does.
    pub fn set_stale_after(&self, after: Duration) {
        match self.stale_after.lock() {
            Ok(mut current) => *current = after,
            Err(poisoned) => *poisoned.into_inner() = after,
        }
    }

    /// One viewer more, unless there are `most` already.
    pub(super) fn enter(self: &std::sync::Arc<Self>, most: usize) -> Option<Viewer> {
        let one_more = |viewers| (viewers < most).then_some(viewers + 1);
        self.viewers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        self.ask();
        Some(Viewer(self.clone()))
    }
}

/// Somebody who looks, for as long as this lives.
#[derive(Debug)]
pub(super) struct Viewer(std::sync::Arc<Interest>);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}
