//! Windows: `WaitForMultipleObjects` on handles of processes and events.

#![expect(unsafe_code, reason = "the system is called")]

use std::io;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{WAIT_FAILED, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{INFINITE, WaitForMultipleObjects};

/// Something that has happened once its handle is signalled.
pub(crate) type Awaited<'a> = BorrowedHandle<'a>;

/// Waits until one of several things, 64 at most, has happened and tells which, of several the
/// first in their order; `None` after `patience`. A handle stays signalled: whoever it belongs to
/// sets it back.
pub(crate) fn first_of(awaited: &[Awaited<'_>], patience: Duration) -> io::Result<Option<usize>> {
    let deadline = Instant::now() + patience;
    let handles: Vec<_> = awaited.iter().map(|one| one.as_raw_handle()).collect();
    let count = u32::try_from(handles.len()).map_err(io::Error::other)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, so that the end is not asked for again and again within its millisecond.
        let milliseconds = u32::try_from(left.as_nanos().div_ceil(1_000_000))
            .unwrap_or(INFINITE)
            .min(INFINITE - 1);
        if count == 0 {
            std::thread::sleep(left);
            return Ok(None);
        }
        // SAFETY: there are `count` handles, each open as long as `awaited` is borrowed.
        let waited = unsafe { WaitForMultipleObjects(count, handles.as_ptr(), 0, milliseconds) };
        match waited {
            WAIT_FAILED => return Err(io::Error::last_os_error()),
            WAIT_TIMEOUT if Instant::now() >= deadline => return Ok(None),
            WAIT_TIMEOUT => {}
            index => return Ok(usize::try_from(index - WAIT_OBJECT_0).ok()),
        }
    }
}
