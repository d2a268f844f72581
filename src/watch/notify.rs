//! Hands notices on to `notify.command`: one at a time, bounded in time and in what is kept of its output,
//! and beside the loop, which never waits for it.
//!
//! What is told is decided by [`super::notice`]. How all that a command has started is ended is in `group`.

mod queue;
mod run;
#[cfg(all(test, unix))]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::notice::Notice;
use crate::root::Root;
use queue::Queue;

/// How often a notice is tried.
const TRIES: usize = 3;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// One run of the command.
    run: Duration,
    /// What it started, once it is asked to end.
    ending: Duration,
    /// Before the second and the third try.
    pauses: [Duration; TRIES - 1],
}

impl Limits {
    const USUAL: Self = Self {
        run: Duration::from_secs(30),
        ending: Duration::from_secs(1),
        pauses: [Duration::from_secs(2), Duration::from_secs(10)],
    };
}

/// What carries notices to people. Dropping it ends a command that runs.
#[derive(Debug)]
pub struct Notifier {
    shared: Arc<Shared>,
    carrier: JoinHandle<()>,
}

/// What the loop and the carrier have in common.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something was put into the queue, or nothing more will be.
    changed: Notify,
}

impl Shared {
    /// Does something to the queue, which is never held for longer than that.
    fn with<T>(&self, act: impl FnOnce(&mut Queue) -> T) -> T {
        act(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Notifier {
    /// Begins to carry notices of a root. To be called on a runtime.
    pub fn start(root: &Root) -> Self {
        Self::within(root, Limits::USUAL)
    }

    fn within(root: &Root, limits: Limits) -> Self {
        let shared = Arc::new(Shared::default());
        let carrier = tokio::spawn(carry(shared.clone(), root.path().to_owned(), limits));
        Self { shared, carrier }
    }

    /// Hands notices to the command, which is the program and its arguments. Where there is none, nothing is
    /// told, and what still waits is forgotten. Never waits.
    pub fn tell(&self, command: &[String], notices: Vec<Notice>) {
        self.shared.with(|queue| {
            queue.command = command.to_vec();
            if command.is_empty() {
                queue.clear();
            } else {
                for notice in notices {
                    queue.push(notice);
                }
            }
        });
        self.shared.changed.notify_one();
    }

    /// What has gone wrong since this was asked last, in one line each; for a whole streak of failures once.
    pub fn failures(&self) -> Vec<String> {
        self.shared
            .with(|queue| std::mem::take(&mut queue.failures))
    }

    /// Waits for what was to be told, no longer than `patience`, and ends.
    pub async fn finish(mut self, patience: Duration) {
        self.shared.with(|queue| queue.is_closed = true);
        self.shared.changed.notify_one();
        // What has not been told by then is lost, and a command that still runs ends with its carrier.
        let _ = tokio::time::timeout(patience, &mut self.carrier).await;
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

/// Takes one notice after the other out of the queue and hands it to the command.
async fn carry(shared: Arc<Shared>, root: Utf8PathBuf, limits: Limits) {
    loop {
        let Some((command, notice)) = shared.with(Queue::next) else {
            if shared.with(|queue| queue.is_closed) {
                return;
            }
            shared.changed.notified().await;
            continue;
        };
        match insist(&root, &command, &notice, limits).await {
            Ok(()) => shared.with(Queue::succeeded),
            Err(error) => shared.with(|queue| queue.failed(&command, &error)),
        }
    }
}

/// Hands a notice over, trying again where that fails.
async fn insist(
    root: &Utf8PathBuf,
    command: &[String],
    notice: &Notice,
    limits: Limits,
) -> Result<(), run::RunError> {
    let mut pauses = limits.pauses.into_iter();
    loop {
        let result = run::hand_over(root, command, notice, limits.run, limits.ending).await;
        match (result, pauses.next()) {
            (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
            (result, _) => return result,
        }
    }
}
