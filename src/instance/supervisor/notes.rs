//! `supervisor.log`: what a supervisor did, one short line each, for the person who wonders.

use std::fs::OpenOptions;
use std::io::Write as _;

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::durable;

/// Size in bytes at which the notes are put aside as `supervisor.log.1`.
const LARGEST: u64 = 256 << 10;

/// Where a supervisor takes its notes.
#[derive(Debug)]
pub(super) struct Notes {
    path: Utf8PathBuf,
}

impl Notes {
    /// Notes go to the end of `path`.
    pub(super) fn new(path: Utf8PathBuf) -> Self {
        Self { path }
    }

    /// Writes one line. Failing to is no reason to do anything differently.
    pub(super) fn note(&self, text: impl std::fmt::Display) {
        let opened = durable::closed_to_others(&mut OpenOptions::new())
            .create(true)
            .append(true)
            .open(&self.path);
        let Ok(mut file) = opened else { return };
        let line = format!("{:.3} {text}\n", Timestamp::now());
        let _ = file.write_all(line.as_bytes());
        if file
            .metadata()
            .is_ok_and(|metadata| metadata.len() > LARGEST)
        {
            let _ = std::fs::rename(&self.path, format!("{}.1", self.path));
        }
    }

    /// Writes an error with its causes as one line.
    pub(super) fn error(&self, error: &dyn std::error::Error) {
        self.note(chain(error));
    }
}

/// An error and its causes, joined by colons.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
