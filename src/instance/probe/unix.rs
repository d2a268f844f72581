//! Unix: sockets that do not block, and poll(2) for them and what else is waited for.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType};

use super::{Address, Need, Ready};
use crate::instance::waiting::{Awaited, timespec};

/// Without SIGPIPE for a peer that is gone. Where there is no such flag it is enough that this
/// program ignores that signal.
#[cfg(not(target_vendor = "apple"))]
const SILENTLY: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SILENTLY: SendFlags = SendFlags::empty();

/// Opens a socket that does not block and that nobody inherits.
#[cfg(not(target_vendor = "apple"))]
fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(
        family,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

/// Opens a socket that does not block and that nobody inherits: one thread opens it, and starts
/// nobody meanwhile.
#[cfg(target_vendor = "apple")]
fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// A socket that never blocks.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Begins to connect. `false` where that is not over yet: it is once the socket can be written
    /// to, and [`Socket::connected`] tells how it went.
    pub(super) fn connect(address: &Address) -> io::Result<(Self, bool)> {
        let (socket, begun) = match address {
            Address::Tcp(address) => {
                let socket = open(if address.is_ipv4() {
                    AddressFamily::INET
                } else {
                    AddressFamily::INET6
                })?;
                let begun = rustix::net::connect(&socket, address);
                (socket, begun)
            }
            Address::Unix(path) => {
                let address = SocketAddrUnix::new(path.as_str())?;
                let socket = open(AddressFamily::UNIX)?;
                let begun = rustix::net::connect(&socket, &address);
                (socket, begun)
            }
        };
        match begun {
            Ok(()) => Ok((Self(socket), true)),
            Err(Errno::INPROGRESS) => Ok((Self(socket), false)),
            Err(error) => Err(error.into()),
        }
    }

    /// How a connection that was begun came out.
    pub(super) fn connected(&self) -> io::Result<()> {
        Ok(rustix::net::sockopt::socket_error(&self.0)??)
    }

    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&self.0, bytes, SILENTLY)?)
    }

    pub(super) fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, into)?)
    }

    /// Waits until the socket is ready or one of `others` has happened, which comes first where
    /// both are so.
    pub(super) fn ready_within(
        &self,
        need: Need,
        others: &[Awaited<'_>],
        patience: Duration,
    ) -> io::Result<Ready> {
        let deadline = Instant::now() + patience;
        let mut watched: Vec<PollFd<'_>> = others
            .iter()
            .map(|other| PollFd::from_borrowed_fd(*other, PollFlags::IN))
            .collect();
        watched.push(PollFd::from_borrowed_fd(
            self.0.as_fd(),
            match need {
                Need::Read => PollFlags::IN,
                Need::Write => PollFlags::OUT,
            },
        ));
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match poll(&mut watched, Some(&timespec(left))) {
                Ok(0) if left.is_zero() => return Ok(Ready::TooLate),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => {
                    let other = &watched[..others.len()];
                    return Ok(if other.iter().any(|other| !other.revents().is_empty()) {
                        Ready::Other
                    } else {
                        Ready::Socket
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
