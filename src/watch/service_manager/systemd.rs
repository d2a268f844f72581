//! `sd_notify(3)`, which other managers than systemd have taken over. That nobody listens is no error here: the
//! manager acts on what it hears.

use std::time::Duration;

use sd_notify::NotifyState;

pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

pub(super) fn reloading() {
    // Both in one message, or systemd 253 and later take the reload for failed.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

pub(super) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// How long the manager waits to hear that this process lives; `None` where it does not.
pub(super) fn patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
