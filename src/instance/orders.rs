//! What a supervisor may be asked from outside, how it hears that and how it is told.
//!
//! Who may be told is settled by [`super::identity`] before; what an order leads to is left to
//! [`super::supervisor`].

#[cfg_attr(unix, path = "orders/unix.rs")]
#[cfg_attr(windows, path = "orders/windows.rs")]
mod os;

pub(crate) use os::{Orders, give};

/// What a supervisor may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// End the server and yourself.
    End,
    /// Read the settings again.
    Refresh,
}
