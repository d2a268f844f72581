//! Unix: how wide the terminal is (tcgetwinsize(3)), and whether a pipe is still read (poll(2)).

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The columns of the terminal that stdout is; `None` where it is none.
pub(super) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(size.ws_col.into())
}

/// Whether stdout is a pipe that nobody has open any more, or a terminal that is gone.
pub(super) fn is_deserted() -> bool {
    let stdout = std::io::stdout();
    let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
    let found = poll(&mut asked, Some(&Timespec::default()));
    found.is_ok()
        && asked[0]
            .revents()
            .intersects(PollFlags::ERR | PollFlags::HUP)
}
