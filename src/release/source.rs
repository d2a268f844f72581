//! Where releases come from: the questions a source answers, the bytes it opens, and how it fails.
//!
//! Opening an archive is one attempt; going on after one that broke off, and what a digest must be,
//! is the caller's business.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures_util::Stream;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Tag;
use super::directory::Directory;
use super::github::{GITHUB_API, GITHUB_TOKENS, GitHub};
use crate::desired::{Answer, Question, Unanswered, WantedArchive};
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

/// Why a source gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No connection, or it broke, or nothing came for too long.
    #[error("cannot reach `{url}`")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// The network may not be used, and nothing that was asked before answers this.
    #[error("the network may not be used, and no earlier answer is kept about the {what}")]
    Offline {
        /// What was looked for: "release `b9553`".
        what: String,
        /// What would have been asked.
        url: String,
    },
    /// The network may not be used, and this has to be fetched.
    #[error("the network may not be used, and `{name}` has to be fetched from {url}")]
    OfflineFile {
        /// Where it is.
        url: String,
        /// Its file name.
        name: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up an HTTP client")]
    Client {
        /// What the client said.
        source: reqwest::Error,
    },
    /// Its certificate does not show that it is who it should be.
    #[error("`{url}` cannot be trusted: {why}")]
    Untrusted {
        /// What was asked.
        url: String,
        /// What is wrong with the certificate.
        why: String,
    },
    /// The server has trouble of its own.
    #[error("`{url}` answered with status {status}")]
    Unavailable {
        /// What was asked.
        url: String,
        /// The HTTP status, 500 to 599.
        status: u16,
        /// When it asks to be asked again, where it says so.
        until: Option<Timestamp>,
    },
    /// Too many requests.
    #[error("`{host}` answers no more requests {}", until_text(*.until))]
    RateLimited {
        /// Whose limit it is.
        host: String,
        /// When it is lifted, where the answer says so.
        until: Option<Timestamp>,
        /// The environment variable the token came from, if one was sent.
        token_from: Option<String>,
        /// The variable a token is taken from.
        token_env: String,
    },
    /// The server refuses this request.
    #[error("`{url}` refused the request with status {status}")]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The environment variable the token came from, if one was sent.
        token_from: Option<String>,
    },
    /// The token has characters that no header may have, such as a line break.
    #[error("the token of `{from}` cannot be sent: it contains characters no header may have")]
    BadToken {
        /// The environment variable it came from.
        from: String,
    },
    /// There is no such thing.
    #[error("there is no {what} at `{url}`")]
    NotFound {
        /// What was looked for: "release `b9553`".
        what: String,
        /// Where.
        url: String,
    },
    /// What came is not what an API answers.
    #[error("`{url}` did not answer as an API does: {why}")]
    NotAnApi {
        /// What was asked.
        url: String,
        /// What came instead.
        why: String,
    },
    /// A redirect, or a URL, to a host nobody configured.
    #[error("`{url}` leads to the host `{host}`, which is not configured")]
    ForeignHost {
        /// What was asked.
        url: String,
        /// Where it leads.
        host: String,
    },
    /// Neither https nor a loopback address.
    #[error("`{url}` is not https; plain http is for loopback addresses alone")]
    Insecure {
        /// The URL.
        url: String,
    },
    /// A stable release that names no build.
    #[error("the release `{release}` names no build: {why}")]
    NamesNoBuild {
        /// The stable release.
        release: String,
        /// What was found in place of `nightly-tag.txt`.
        why: String,
    },
    /// The folder of a source is not there or cannot be listed.
    #[error("cannot read `{path}`")]
    Folder {
        /// The folder or file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder has no archive of this build.
    #[error("`{folder}` has no archive of {tag}; it has {}", builds_text(.has))]
    NotInFolder {
        /// The folder.
        folder: Utf8PathBuf,
        /// The build that was asked for.
        tag: Tag,
        /// Builds it has, newest first.
        has: Vec<Tag>,
    },
    /// The folder has not this file.
    #[error("`{folder}` has no file `{name}`")]
    NoFile {
        /// The folder.
        folder: Utf8PathBuf,
        /// The file.
        name: String,
    },
    /// A line of `SHA256SUMS` that cannot be read.
    #[error("`{path}`, line {line}: not a digest and a file name")]
    BadSums {
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

fn until_text(until: Option<Timestamp>) -> String {
    match until {
        Some(until) => {
            let local = until.to_zoned_datetime(TimeZone::system());
            format!("before {} (its rate limit)", local.strftime("%H:%M:%S"))
        }
        None => "for now (its rate limit)".to_owned(),
    }
}

fn builds_text(tags: &[Tag]) -> String {
    const SHOWN: usize = 5;
    if tags.is_empty() {
        return "none of any build".to_owned();
    }
    let mut names: Vec<String> = tags.iter().take(SHOWN).map(ToString::to_string).collect();
    if tags.len() > SHOWN {
        names.push(format!("{} more", tags.len() - SHOWN));
    }
    names.join(", ")
}

impl SourceError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(
                "check the network and the proxy variables; `source.directory` and `source.mirror` in `orchestrator.yaml` work without GitHub"
                    .to_owned(),
            ),
            Self::Offline { url, .. } => Some(format!(
                "run it once without `--offline`, which asks {url}; with an `orchestrator.lock` that covers `orchestrator.yaml` nothing is asked"
            )),
            Self::OfflineFile { name, .. } => Some(format!(
                "fetch `{name}` elsewhere and hand it over with `llama-orch binary install VERSION --from-file {name}`"
            )),
            Self::Client { .. } => Some(
                "install the system's CA certificates, or name them in `SSL_CERT_FILE`".to_owned(),
            ),
            Self::Untrusted { .. } => Some(
                "where a proxy or a server of your own is behind it, name its CA certificate in `SSL_CERT_FILE`; check the clock too"
                    .to_owned(),
            ),
            Self::Unavailable { .. } => Some("run `llama-orch plan` again later".to_owned()),
            Self::RateLimited { token_from, token_env, until, host } => {
                let wait = if until.is_some() { "wait until then" } else { "wait a minute" };
                let is_github = host == GITHUB_API;
                let instead = match token_from {
                    // The variables of github.com's tokens are read for nobody else.
                    None if !is_github && GITHUB_TOKENS.contains(&token_env.as_str()) => {
                        "name the variable of a token for it in `source.token_env`".to_owned()
                    }
                    None => format!("put a token into `{token_env}` (no scope is needed)"),
                    Some(from) => {
                        format!("use another token than that of `{from}`")
                    }
                };
                Some(format!(
                    "{wait}, or {instead}; what is locked and installed goes on as it is, and a folder in `source.directory` needs no API"
                ))
            }
            Self::Refused { token_from: Some(from), .. } => {
                Some(format!("the token of `{from}` was sent; renew it, or unset `{from}`"))
            }
            Self::Refused { token_from: None, .. } => {
                Some("check `source.repository` and `source.api` in `orchestrator.yaml`".to_owned())
            }
            Self::BadToken { from } => {
                Some(format!("set `{from}` again, to the token and nothing else, or unset it"))
            }
            Self::NotFound { .. } => Some(
                "check the version: `llama-orch binary latest` shows the newest builds, `llama-orch plan` what each instance is pinned to"
                    .to_owned(),
            ),
            Self::NotAnApi { .. } => Some(
                "a login page or a proxy may have answered; check `source.api` in `orchestrator.yaml`"
                    .to_owned(),
            ),
            Self::ForeignHost { url, host } => {
                let own = Url::parse(url).is_ok_and(|url| url.path().contains("/releases/download/"));
                Some(if own {
                    format!(
                        "if `{host}` is to be trusted, name it in `source.mirror` in `orchestrator.yaml`"
                    )
                } else {
                    format!(
                        "if `{host}` is to be trusted, write the URL it leads to in place of this one"
                    )
                })
            }
            Self::Insecure { .. } => Some("write the URL with `https://`".to_owned()),
            Self::NamesNoBuild { .. } => {
                Some("pin a build such as `b9553`, or `nightly`, in its place".to_owned())
            }
            Self::Folder { .. } => {
                Some("check `source.directory` in `orchestrator.yaml`".to_owned())
            }
            Self::NotInFolder { folder, tag, .. } => Some(format!(
                "put the archive, such as `llama-{tag}-bin-ubuntu-x64.tar.gz`, into `{folder}`"
            )),
            Self::NoFile { folder, name } => Some(format!("put `{name}` into `{folder}`")),
            Self::BadSums { .. } => {
                Some("write it as `sha256sum *.tar.gz *.zip > SHA256SUMS` does".to_owned())
            }
        }
    }

    /// When the server asks to be asked again, where it said so.
    pub fn again_at(&self) -> Option<Timestamp> {
        match self {
            Self::RateLimited { until, .. } | Self::Unavailable { until, .. } => *until,
            _ => None,
        }
    }

    /// Whether trying again later could help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unavailable { .. } | Self::RateLimited { .. } => true,
            Self::Client { .. }
            | Self::Untrusted { .. }
            | Self::Offline { .. }
            | Self::OfflineFile { .. }
            | Self::Refused { .. }
            | Self::BadToken { .. }
            | Self::NotFound { .. }
            | Self::NotAnApi { .. }
            | Self::ForeignHost { .. }
            | Self::Insecure { .. }
            | Self::NamesNoBuild { .. }
            | Self::Folder { .. }
            | Self::NotInFolder { .. }
            | Self::NoFile { .. }
            | Self::BadSums { .. } => false,
        }
    }
}

impl From<SourceError> for Unanswered {
    fn from(error: SourceError) -> Self {
        let mut why = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            why.push_str(": ");
            why.push_str(&error.to_string());
            cause = error.source();
        }
        Self::Source {
            why,
            hint: error.hint(),
            unreachable: error.is_transient() || matches!(error, SourceError::Offline { .. }),
        }
    }
}
