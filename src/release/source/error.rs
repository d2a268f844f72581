//! How a source fails, in words for a person, with what to do about it.

use std::io;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use url::Url;

use crate::desired::Unanswered;
use crate::release::Tag;
use crate::release::github::{GITHUB_API, GITHUB_TOKENS};

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
    /// No stable release: the repository has none, or is another one.
    #[error("there is no stable release at `{url}`")]
    NoStable {
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
                "check the network and the proxy variables; `source.directory` in `orchestrator.yaml` needs no network, and a lock that covers the manifest needs no API"
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
            Self::NoStable { .. } => Some(
                "pin a build such as `b9553`, or `nightly`, in place of `stable`; check `source.repository` in `orchestrator.yaml` too"
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
            | Self::NoStable { .. }
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
