//! The end of a server: noting how it ended, and ending it.
//!
//! What follows is decided in [`super::aftermath`]; ending what an earlier supervisor left is in
//! [`super::standing`].

use super::life::{Fate, Supervisor};
use super::notes::chain;
use super::standing::{self, Ending};
use super::vacated::Gone;
use crate::instance::gate::reason;
use crate::instance::log;
use crate::instance::process::{self, EndError};
use crate::instance::record::Failure;
use crate::instance::state::{Exit, Phase};
use crate::kill_point;

/// How many of the server's last lines explain a failure.
const LINES_SHOWN: usize = 20;

/// How many are read to find out why it ended: a wrong argument is followed by its whole usage.
const LINES_READ: usize = 100;

impl Supervisor {
    /// Notes how the server ended by itself, and why as far as its log tells.
    pub(super) fn ended(&mut self, exit: Exit) -> Fate {
        self.gone = self
            .server
            .take()
            .map(|process| Gone::of(process.identity(), &self.state));
        let mut log_tail = self.last_lines(LINES_READ);
        let reason = reason::of_exit(exit, &log_tail);
        log_tail.drain(..log_tail.len().saturating_sub(LINES_SHOWN));
        self.notes.note(format!("the server {}", reason.text));
        let within_gate = standing::is_gating(&self.state);
        if within_gate {
            self.notes.note("it had not passed its gate");
        }
        self.note_end(&Ending {
            exit,
            asked: false,
            within_gate,
            fingerprint: self.state.runs(),
            reason: Some(&reason.text),
        });
        Fate::Down {
            failure: Failure {
                reason: reason.text,
                log_tail,
            },
            transient: reason.transient,
        }
    }

    pub(super) fn log_tail(&self) -> Vec<String> {
        self.last_lines(LINES_SHOWN)
    }

    fn last_lines(&self, count: usize) -> Vec<String> {
        log::tail_since(&self.folder.server_log(), self.log_offset, count).unwrap_or_default()
    }

    /// Writes down how a server ended.
    pub(super) fn note_end(&self, ending: &Ending<'_>) {
        let written = self
            .at_home()
            .and_then(|()| standing::write_exit(&self.folder, ending));
        if let Err(error) = written {
            self.notes.error(&error);
        }
    }

    /// Ends the server, because somebody wants it so or for a reason of ours. `false` where it would
    /// not end.
    pub(super) fn end_server(&mut self, reason: Option<&str>) -> bool {
        let within_gate = standing::is_gating(&self.state);
        self.enter(Phase::Stopping);
        kill_point::reached("supervisor.stopping");
        let Some(mut process) = self.server.take() else {
            return true;
        };
        self.gone = Some(Gone::of(process.identity(), &self.state));
        let ended = process
            .stop(self.state.supervision.stop_timeout)
            .and_then(|exit| {
                process::take_lock_after(&self.folder.server_lock(), self.last_nonce())?;
                Ok(exit)
            });
        match ended {
            Ok(exit) => {
                self.notes.note(format!("the server {exit}, as asked"));
                self.note_end(&Ending {
                    exit,
                    asked: reason.is_none(),
                    within_gate,
                    fingerprint: self.state.runs(),
                    reason,
                });
                kill_point::reached("supervisor.ended");
                self.state.server = None;
                true
            }
            Err(error) => {
                self.stop_failed(&error);
                false
            }
        }
    }

    pub(super) fn stop(&mut self) {
        if self.end_server(None) {
            self.enter(Phase::Stopped);
        }
    }

    pub(super) fn stop_failed(&mut self, error: &EndError) {
        let reason = chain(error);
        self.notes.note(&reason);
        self.enter(Phase::StopFailed { reason });
    }
}
