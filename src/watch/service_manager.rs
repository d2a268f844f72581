//! What watch tells the service manager that has started it: that it is up, what it is at, that it lives. Does
//! nothing where none asked for it.
//!
//! The unit that has it asked for is in [`mod@crate::service`].

#[cfg_attr(unix, path = "service_manager/systemd.rs")]
#[cfg_attr(windows, path = "service_manager/none.rs")]
mod os;

use std::cell::{Cell, RefCell};

/// The variables by which a service manager asks for it. Nothing that watch starts may have them: a server that
/// spoke for watch could have it taken for dead, or for ready.
pub const VARIABLES: [&str; 4] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
];

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

    /// It lives: to be said more often than the manager's patience lasts.
    pub fn alive(&self) {
        os::alive();
    }

    /// It ends.
    pub fn stopping(&self) {
        os::stopping();
    }
}
