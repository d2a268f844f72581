//! What watch tells the service manager that has started it: that it is up, what it is at, that it lives. Does
//! nothing where none asked for it.
//!
//! The unit that has it asked for is in [`mod@crate::service`].

#[cfg_attr(unix, path = "service_manager/systemd.rs")]
#[cfg_attr(windows, path = "service_manager/none.rs")]
mod os;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// The variables by which a service manager asks for it. Nothing that watch starts may have them: a server that
/// spoke for watch could have it taken for dead, or for ready.
pub const VARIABLES: [&str; 4] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
];

/// Says again and again that watch lives, twice within the time the manager waits for it. It belongs beside the
/// loop on its one task: a task that is blocked says nothing, one that waits (for git to verify signatures, for
/// a source that does not answer) goes on saying it, since each such wait ends by itself.
pub async fn keep_alive() -> Infallible {
    let Some(patience) = os::patience().filter(|patience| !patience.is_zero()) else {
        return std::future::pending().await;
    };
    let mut every = tokio::time::interval((patience / 2).max(Duration::from_millis(1)));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        os::alive();
    }
}

/// The service manager watch was started by, if it was.
#[derive(Debug, Default)]
pub struct ServiceManager {
    is_ready: Cell<bool>,
    status: RefCell<String>,
}

impl ServiceManager {
    /// Nothing is told yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// It is up, or has read everything anew.
    pub fn ready(&self) {
        if !self.is_ready.replace(true) {
            os::ready();
        }
    }

    /// It reads everything anew; [`ready`](Self::ready) ends that.
    pub fn reloading(&self) {
        if self.is_ready.replace(false) {
            os::reloading();
        }
    }

    /// What it is at, in one line.
    pub fn status(&self, text: &str) {
        if self.status.replace(text.to_owned()) != text {
            os::status(text);
        }
    }

    /// It ends.
    pub fn stopping(&self) {
        os::stopping();
    }
}
