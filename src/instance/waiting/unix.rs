//! Unix: poll(2) on descriptors.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Something that happens once its descriptor is readable.
pub(crate) type Awaited<'a> = BorrowedFd<'a>;

/// A duration as `poll` wants it.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Waits until one of several things has happened and tells which, of several the first in their
/// order; `None` after `patience`.
pub(crate) fn first_of(awaited: &[Awaited<'_>], patience: Duration) -> io::Result<Option<usize>> {
    let deadline = Instant::now() + patience;
    let mut watched: Vec<PollFd<'_>> = awaited
        .iter()
        .map(|one| PollFd::from_borrowed_fd(*one, PollFlags::IN))
        .collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut watched, Some(&timespec(left))) {
            Ok(0) if left.is_zero() => return Ok(None),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(watched.iter().position(|one| !one.revents().is_empty())),
            Err(error) => return Err(error.into()),
        }
    }
}
