//! Where releases come from: the questions a source answers, and the bytes it opens.
//!
//! Opening an archive is one attempt; going on after one that broke off, and what a digest must be,
//! is the caller's business.

mod error;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures_util::Stream;
use serde::{Deserialize, Serialize};

pub use error::SourceError;

use super::directory::Directory;
use super::github::GitHub;
use crate::desired::{Answer, Question, WantedArchive};
use crate::manifest::Source;

/// A place that knows releases and has their files.
pub trait ReleaseSource: Send + Sync {
    /// Answers one question about releases.
    fn answer(
        &self,
        question: &Question,
    ) -> impl Future<Output = Result<Answer, SourceError>> + Send;

    /// Where an archive lies, as a text for people and for the registry.
    fn location(&self, archive: &WantedArchive) -> String;

    /// Opens an archive for reading, from its first byte or, where the source can, from where an
    /// earlier attempt broke off.
    fn open(
        &self,
        archive: &WantedArchive,
        resume: Option<&Resume>,
    ) -> impl Future<Output = Result<Opened, SourceError>> + Send;

    /// The archive as a person has handed it over, which goes before everything else.
    fn at_hand(&self, _archive: &WantedArchive) -> Option<Utf8PathBuf> {
        None
    }

    /// How patient this source is with the network.
    fn patience(&self) -> Patience {
        Patience::default()
    }
}

/// How patient a source is with the network. There is no limit for the whole of a download: links
/// are slow, archives are large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long nothing may come.
    pub idle: Duration,
    /// How many attempts in a row may bring nothing before it is given up.
    pub attempts: u32,
    /// The pause after the first of them, which doubles with each.
    pub delay: Duration,
    /// The longest pause, and how far away a time may be that a server names for coming again.
    pub wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_mins(1),
            attempts: 5,
            delay: Duration::from_secs(1),
            wait: Duration::from_mins(1),
        }
    }
}

impl Patience {
    /// The lesser of two in every respect.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self {
            connect: self.connect.min(other.connect),
            idle: self.idle.min(other.idle),
            attempts: self.attempts.min(other.attempts),
            delay: self.delay.min(other.delay),
            wait: self.wait.min(other.wait),
        }
    }
}

/// How a source may use the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Not at all.
    pub offline: bool,
    /// With how much patience.
    pub patience: Patience,
    /// The folder where answers are kept; `None` to keep none.
    pub cache: Option<Utf8PathBuf>,
}

/// From where on an archive is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Bytes that are there already.
    pub from: u64,
    /// What says that the rest belongs to them.
    pub validator: Validator,
}

/// What tells one version of a file from another one under the same URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validator {
    /// A strong `ETag`.
    Etag(String),
    /// `Last-Modified`, where there is no `ETag`.
    LastModified(String),
}

impl Validator {
    /// The header's value.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Etag(text) | Self::LastModified(text) => text,
        }
    }
}

/// An archive, ready to be read.
pub enum Opened {
    /// It lies here already.
    File(Utf8PathBuf),
    /// It comes in pieces.
    Stream {
        /// Where the first piece begins: where it was asked to, or at 0.
        from: u64,
        /// Bytes of the whole archive, where the source says so.
        total: Option<u64>,
        /// What tells this version of it from others.
        validator: Option<Validator>,
        /// The pieces.
        pieces: Pieces,
    },
}

/// The pieces of an archive as they arrive; an error ends them.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Vec<u8>>> + Send>>;

/// The source a manifest names.
#[derive(Debug)]
pub enum AnySource {
    /// The API of GitHub, of GitHub Enterprise, or of something that speaks like it.
    GitHub(Box<GitHub>),
    /// A folder of archives.
    Directory(Box<Directory>),
}

impl AnySource {
    /// Sets a source up. Nothing is asked and no client is built before the first question.
    pub fn new(source: &Source, root: &Utf8Path, network: Network) -> Self {
        match &source.directory {
            Some(folder) => Self::Directory(Box::new(Directory::new(root.join(folder), network))),
            None => Self::GitHub(Box::new(GitHub::new(source, network))),
        }
    }
}

impl ReleaseSource for AnySource {
    async fn answer(&self, question: &Question) -> Result<Answer, SourceError> {
        match self {
            Self::GitHub(source) => source.answer(question).await,
            Self::Directory(source) => source.answer(question).await,
        }
    }

    fn location(&self, archive: &WantedArchive) -> String {
        match self {
            Self::GitHub(source) => source.location(archive),
            Self::Directory(source) => source.location(archive),
        }
    }

    async fn open(
        &self,
        archive: &WantedArchive,
        resume: Option<&Resume>,
    ) -> Result<Opened, SourceError> {
        match self {
            Self::GitHub(source) => source.open(archive, resume).await,
            Self::Directory(source) => source.open(archive, resume).await,
        }
    }

    fn patience(&self) -> Patience {
        match self {
            Self::GitHub(source) => source.patience(),
            Self::Directory(source) => source.patience(),
        }
    }
}
