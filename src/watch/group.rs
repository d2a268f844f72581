//! A command and all it has started, ended as one.

#[cfg_attr(unix, path = "group/unix.rs")]
#[cfg_attr(windows, path = "group/windows.rs")]
mod os;

pub(super) use os::{Group, lead};
