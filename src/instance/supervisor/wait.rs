//! Waiting: for the server's end, an order, or a point in time.
//!
//! What could not be written before is written meanwhile. What follows is decided by
//! [`super::life`] and [`super::gating`].

use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::life::Supervisor;
use crate::durable::{self, FileError};
use crate::instance::orders::Order;
use crate::instance::record::{self, Record};
use crate::instance::state::Exit;
use crate::instance::waiting;

/// How often a state that cannot be written is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(2);

/// What ended a wait.
pub(super) enum Event {
    /// The time came.
    Due,
    /// The settings may have changed.
    Refreshed,
    /// The server ended.
    Ended(Exit),
    /// Somebody wants the server ended, or its folder is gone.
    Asked,
}

impl Supervisor {
    /// Waits for a point in time. `false` when somebody wants the server ended meanwhile.
    pub(super) fn wait_until(&mut self, until: Timestamp) -> io::Result<bool> {
        loop {
            let left = until.duration_since(Timestamp::now());
            let left = Duration::try_from(left).unwrap_or_default();
            match self.wait(Instant::now() + left)? {
                Event::Due => return Ok(true),
                Event::Asked => return Ok(false),
                Event::Refreshed | Event::Ended(_) => {}
            }
        }
    }

    /// Stays without a server until its last word is written, or somebody wants it gone.
    pub(super) fn linger(&mut self) -> io::Result<()> {
        while self.unsaved {
            if let Event::Asked = self.wait(Instant::now() + SAVE_AGAIN)? {
                break;
            }
        }
        Ok(())
    }

    /// Waits until something happens, but not longer than `until`.
    pub(super) fn wait(&mut self, until: Instant) -> io::Result<Event> {
        loop {
            if self.is_homeless() {
                return Ok(Event::Asked);
            }
            if self.unsaved {
                self.save_or_note();
            }
            match self.orders.next() {
                Some(Order::End) => return Ok(Event::Asked),
                Some(Order::Refresh) => {
                    self.refresh();
                    return Ok(Event::Refreshed);
                }
                None => {}
            }
            if let Some(server) = &mut self.server
                && let Some(exit) = server.ended()?
            {
                return Ok(Event::Ended(exit));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Event::Due);
            }
            let left = if self.unsaved {
                left.min(SAVE_AGAIN)
            } else {
                left
            };
            waiting::first_of(&self.interruptions(), left)?;
        }
    }

    /// Reads the settings again. The launch of a life never changes: where the record wants
    /// another one, only the next supervisor will start it.
    fn refresh(&mut self) {
        let record: Result<Option<Record>, FileError> =
            durable::read_json(&self.folder.record(), record::SCHEMA);
        let wanted = match record {
            Ok(record) => record.and_then(|record| record.wanted),
            Err(error) => return self.notes.error(&error),
        };
        let Some(wanted) = wanted else { return };
        let same_launch = wanted.launch.fingerprint() == self.assignment.launch.fingerprint();
        if wanted.id != self.assignment.id && !same_launch {
            return;
        }
        self.notes.note("has read its settings again");
        (self.assignment.id, self.state.assignment) = (wanted.id, wanted.id);
        self.state.supervision = wanted.supervision;
        self.save_or_note();
    }
}
