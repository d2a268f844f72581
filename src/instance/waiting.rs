//! Waiting for the first of several things: the end of a process, an order, a socket.
//!
//! What is waited for is whatever the system itself can wait for: a descriptor that becomes
//! readable on Unix, a handle that is signalled on Windows. What follows is left to whoever waits.

#![expect(clippy::disallowed_methods, reason = "waits until a deadline")]

#[cfg_attr(unix, path = "waiting/unix.rs")]
#[cfg_attr(windows, path = "waiting/windows.rs")]
mod os;

#[cfg(unix)]
pub(crate) use os::timespec;
pub(crate) use os::{Awaited, first_of};
