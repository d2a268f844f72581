//! Named places where a test can have this process killed, as if by `kill -9`, to prove that the
//! next run finishes the work. Compiled to nothing without the `testing` feature.

#![cfg_attr(
    feature = "testing",
    expect(
        clippy::disallowed_methods,
        reason = "a test names the place by the environment"
    )
)]

/// The environment variable that names the place.
#[cfg(feature = "testing")]
pub const VARIABLE: &str = "LLAMA_ORCH_KILL_AT";

/// Ends this process by SIGKILL if the test asked for it at this place.
#[cfg(feature = "testing")]
pub(crate) fn reached(place: &str) {
    if std::env::var_os(VARIABLE).is_some_and(|wanted| wanted == place) {
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
