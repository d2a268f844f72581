//! Windows: how wide the console is (`GetConsoleScreenBufferInfo`).

#![expect(unsafe_code, reason = "the system is called")]

use std::os::windows::io::AsRawHandle as _;

use windows_sys::Win32::System::Console::{CONSOLE_SCREEN_BUFFER_INFO, GetConsoleScreenBufferInfo};

/// The columns of the console that stdout is; `None` where it is none.
pub(super) fn columns() -> Option<usize> {
    let stdout = std::io::stdout();
    let mut about = CONSOLE_SCREEN_BUFFER_INFO::default();
    // SAFETY: the handle of stdout is open, and `about` is where the result goes.
    let asked = unsafe { GetConsoleScreenBufferInfo(stdout.as_raw_handle(), &raw mut about) };
    let window = about.srWindow;
    let columns = i32::from(window.Right) - i32::from(window.Left) + 1;
    (asked != 0)
        .then(|| usize::try_from(columns).ok())
        .flatten()
}

/// There is nothing to ask; writing to a pipe that is closed says so.
pub(super) const fn is_deserted() -> bool {
    false
}
