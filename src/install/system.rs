//! The few calls of an install that each operating system spells differently.

#[cfg_attr(unix, path = "system/unix.rs")]
#[cfg_attr(windows, path = "system/windows.rs")]
mod os;

pub(crate) use os::free_bytes;
pub(super) use os::{create, exchange, flush, is_at, is_executable, symlink};
