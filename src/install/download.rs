//! An archive over the network, however many attempts it takes: a connection that breaks is opened
//! again where it broke off, as long as the source still has the same archive.
//!
//! What is done with the bytes, and whether they are the right ones, is left to `receive`.

#![expect(clippy::disallowed_methods, reason = "says when it will try again")]

use std::fmt;
use std::io;
use std::time::Duration;

use camino::Utf8PathBuf;
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::Sender;

use super::InstallError;
use super::archive::Limits;
use crate::desired::WantedArchive;
use crate::history::chain;
use crate::release::http::attempts::Attempts;
use crate::release::source::{Opened, Pieces, ReleaseSource, Resume, Validator};

/// Bytes that have to come between two failures for the second one to count as a first one.
const PROGRESS: u64 = 256 * 1024;

/// A stream of an archive's bytes.
pub(super) struct Stream {
    /// Where its first piece begins.
    pub(super) from: u64,
    /// Bytes of the whole archive.
    pub(super) total: Option<u64>,
    /// What tells this version of it from others.
    pub(super) validator: Option<Validator>,
    pub(super) pieces: Pieces,
}

/// What came of bringing the pieces.
pub(super) enum Brought {
    /// All of them came, or nobody wants the rest.
    All,
    /// The source has another version of the archive now, or gives no parts of it: everything that
    /// came is of no use, and this begins at the first byte.
    Anew {
        /// The archive from its first byte.
        opened: Opened,
        /// What is to be said when it has come to this too often.
        why: InstallError,
    },
}

/// A pause before the next attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Why: what broke.
    pub why: String,
    /// When it goes on.
    pub until: Timestamp,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.until.to_zoned_datetime(TimeZone::system());
        write!(
            f,
            "{}; trying again at {}",
            self.why,
            local.strftime("%H:%M:%S")
        )
    }
}

/// Told of each pause.
pub(super) type OnPause<'a> = &'a (dyn Fn(Pause) + Send + Sync);

/// One archive and where it comes from.
pub(super) struct Download<'a, S> {
    archive: &'a WantedArchive,
    source: &'a S,
    /// Where a person may put it, for messages.
    place: Option<Utf8PathBuf>,
    attempts: Attempts,
    on_pause: OnPause<'a>,
}

impl<'a, S: ReleaseSource> Download<'a, S> {
    pub(super) fn new(
        archive: &'a WantedArchive,
        source: &'a S,
        place: Option<Utf8PathBuf>,
        on_pause: OnPause<'a>,
    ) -> Self {
        Self {
            archive,
            source,
            place,
            attempts: Attempts::new(source.patience()),
            on_pause,
        }
    }

    /// Opens the archive, trying again where that could help.
    pub(super) async fn open(&mut self, resume: Option<&Resume>) -> Result<Opened, InstallError> {
        loop {
            let error = match self.source.open(self.archive, resume).await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            let Some(pause) = self.attempts.after(&error, Timestamp::now()) else {
                return Err(InstallError::NotOpened {
                    name: self.archive.name.clone(),
                    place: self.place.clone(),
                    source: Box::new(error),
                });
            };
            self.pause(pause, chain(&error)).await;
        }
    }

    /// Hands every piece on, beginning with those of `stream`.
    pub(super) async fn bring(
        &mut self,
        mut stream: Stream,
        to: Sender<Vec<u8>>,
    ) -> Result<Brought, InstallError> {
        let expected = self.archive.size.or(stream.total);
        let mut at = stream.from;
        let mut failed_at = at;
        loop {
            let broke = loop {
                match stream.pieces.next().await {
                    Some(Ok(piece)) => {
                        at += piece.len() as u64;
                        if at > expected.unwrap_or(Limits::DEFAULT.bytes) {
                            return Err(InstallError::OtherSize {
                                name: self.archive.name.clone(),
                                expected: expected.unwrap_or(Limits::DEFAULT.bytes),
                                found: at,
                            });
                        }
                        // Nobody takes it: why that is, they will say.
                        if to.send(piece).await.is_err() {
                            return Ok(Brought::All);
                        }
                    }
                    None if expected.is_none_or(|expected| at >= expected) => {
                        return Ok(Brought::All);
                    }
                    None => break io::Error::from(io::ErrorKind::UnexpectedEof),
                    Some(Err(error)) => break error,
                }
                if expected == Some(at) {
                    return Ok(Brought::All);
                }
            };
            if at - failed_at >= PROGRESS {
                self.attempts.progressed();
            }
            failed_at = at;
            let pause = self.attempts.pause();
            let said = chain(&broke);
            let cut = InstallError::Cut {
                name: self.archive.name.clone(),
                received: at,
                expected,
                kept: stream.validator.is_some(),
                source: Some(broke),
            };
            let Some(pause) = pause else {
                return Err(cut);
            };
            self.pause(pause, said).await;
            let resume = stream.validator.clone().map(|validator| Resume {
                from: at,
                validator,
            });
            match self.open(resume.as_ref()).await? {
                Opened::Stream {
                    from,
                    validator,
                    pieces,
                    total,
                } if from == at => {
                    stream = Stream {
                        from,
                        total,
                        validator: validator.or(stream.validator),
                        pieces,
                    };
                }
                opened => {
                    let why = match resume {
                        Some(_) => InstallError::Unsteady {
                            name: self.archive.name.clone(),
                        },
                        None => cut,
                    };
                    return Ok(Brought::Anew { opened, why });
                }
            }
        }
    }

    async fn pause(&self, pause: Duration, why: String) {
        let length = SignedDuration::try_from(pause).unwrap_or_default();
        (self.on_pause)(Pause {
            why,
            until: Timestamp::now()
                .checked_add(length)
                .unwrap_or(Timestamp::MAX),
        });
        tokio::time::sleep(pause).await;
    }
}
