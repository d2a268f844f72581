//! Named places where a test can have this process killed, as if by `kill -9`, to prove that the
//! next run finishes the work. Compiled to nothing without the `testing` feature.

#![cfg_attr(
    feature = "testing",
    expect(
        clippy::disallowed_methods,
        reason = "a test names the place by the environment"
    )
)]

#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicU32, Ordering};

/// The environment variable that names the place: `apply.recorded`, or `apply.recorded:2` for the
/// second time a process comes by it.
#[cfg(feature = "testing")]
pub const VARIABLE: &str = "LLAMA_ORCH_KILL_AT";

/// How often this process came by the place that is named.
#[cfg(feature = "testing")]
static CAME_BY: AtomicU32 = AtomicU32::new(0);

/// Ends this process by SIGKILL if the test asked for it at this place.
#[cfg(feature = "testing")]
pub(crate) fn reached(place: &str) {
    let Ok(wanted) = std::env::var(VARIABLE) else {
        return;
    };
    let (name, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if name != place {
        return;
    }
    let came_by = CAME_BY.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if times.parse() == Ok(came_by) {
        #[cfg(unix)]
        {
            let me = rustix::process::getpid();
            // There is nothing to do about a failure to kill oneself; the test notices.
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        }
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(feature = "testing"))]
pub(crate) const fn reached(_place: &str) {}
