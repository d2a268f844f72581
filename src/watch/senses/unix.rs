//! Signals and file numbers of Unix.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{End, Sense};

/// The signals that mean something to watch.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) -> Sense {
        tokio::select! {
            _ = self.hangup.recv() => Sense::Hangup,
            _ = self.terminate.recv() => Sense::End(End::Asked),
            _ = self.interrupt.recv() => Sense::End(End::Interrupted),
        }
    }
}

pub(super) fn number(found: &Metadata) -> u64 {
    found.ino()
}
