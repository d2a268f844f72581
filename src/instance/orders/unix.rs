//! Unix: signals. SIGTERM and SIGINT are [`Order::End`], SIGHUP is [`Order::Refresh`].

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::Order;
use crate::instance::identity::Running;
use crate::instance::waiting::Awaited;

/// Gives an order to a supervisor; nothing happens when it has ended already.
pub(crate) fn give(supervisor: &Running, order: Order) -> io::Result<()> {
    supervisor.signal(match order {
        Order::End => Signal::TERM,
        Order::Refresh => Signal::HUP,
    })
}

/// The signals of a supervisor as two descriptors that can be waited for.
#[derive(Debug)]
pub(crate) struct Orders {
    end: UnixStream,
    refresh: UnixStream,
}

impl Orders {
    /// Starts to listen. Signals that were ignored before, as under `nohup`, are heard as well,
    /// and are back to their default in whatever this process executes.
    pub(crate) fn listen() -> io::Result<Self> {
        let (end, end_writer) = UnixStream::pair()?;
        let (refresh, refresh_writer) = UnixStream::pair()?;
        end.set_nonblocking(true)?;
        refresh.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGTERM, end_writer.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGINT, end_writer)?;
        // A quit from a keyboard is not meant for us; it is heard so that it is not ignored below.
        signal_hook::low_level::pipe::register(SIGQUIT, refresh_writer.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGHUP, refresh_writer)?;
        Ok(Self { end, refresh })
    }

    /// What to wait for: each happens with its order.
    pub(crate) fn awaited(&self) -> [Awaited<'_>; 2] {
        [self.end.as_fd(), self.refresh.as_fd()]
    }

    /// The most pressing order that has arrived.
    pub(crate) fn next(&mut self) -> Option<Order> {
        if drain(&mut self.end) {
            return Some(Order::End);
        }
        drain(&mut self.refresh).then_some(Order::Refresh)
    }
}

fn drain(stream: &mut UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut any = false;
    while matches!(stream.read(&mut bytes), Ok(count) if count > 0) {
        any = true;
    }
    any
}
