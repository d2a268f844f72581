//! Unix: how wide the terminal is (tcgetwinsize(3)).

/// The columns of the terminal that stdout is; `None` where it is none.
pub(super) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(size.ws_col.into())
}
