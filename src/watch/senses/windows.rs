//! Console events of Windows, which has neither SIGHUP nor a number of a file without opening it.

use std::fs::Metadata;
use std::io;

use tokio::signal::windows::{CtrlC, CtrlClose, CtrlShutdown, ctrl_c, ctrl_close, ctrl_shutdown};

use super::{End, Sense};

/// The events that mean something to watch.
pub(super) struct Signals {
    close: CtrlClose,
    shutdown: CtrlShutdown,
    interrupt: CtrlC,
}

impl Signals {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
            interrupt: ctrl_c()?,
        })
    }

    pub(super) async fn next(&mut self) -> Sense {
        tokio::select! {
            _ = self.close.recv() => Sense::End(End::Asked),
            _ = self.shutdown.recv() => Sense::End(End::Asked),
            _ = self.interrupt.recv() => Sense::End(End::Interrupted),
        }
    }
}

pub(super) const fn number(_: &Metadata) -> u64 {
    0
}
