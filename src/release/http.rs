//! HTTP as far as releases need it: one lazily built client, which hosts it may visit, and what
//! an answer that is not the wanted one means.
//!
//! Knows nothing of releases, and makes no connection where the network may not be used. A token
//! goes with [`Http::json`] alone, never with a download: with
//! one, GitHub's asset hosts refuse to answer.

#![expect(
    clippy::disallowed_methods,
    reason = "turns `Retry-After` into a time of day"
)]

mod answers;
mod api;
pub(crate) mod attempts;
mod file;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, Response, StatusCode};
use url::{Host, Url};

use super::shown;
use super::source::{Network, SourceError};
use answers::Answers;
pub(crate) use api::Knock;

/// Redirects followed for one request.
const REDIRECTS: usize = 5;

/// How much of a refusal is read to see what it is about.
const MAX_REFUSAL: usize = 16 * 1024;

/// Hosts that serve GitHub's own downloads.
const GITHUB: &str = "github.com";
const GITHUB_CONTENT: &str = ".githubusercontent.com";

/// A secret for an API, and the variable it came from, which may be named in messages.
pub(super) struct Token {
    pub(super) secret: String,
    pub(super) from: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Clients that are built when they are first needed.
#[derive(Debug)]
pub(super) struct Http {
    client: OnceLock<Client>,
    /// For loopback addresses, which mean something else to a proxy.
    local: OnceLock<Client>,
    configured: Arc<[String]>,
    token_env: String,
    answers: Answers,
    pub(super) network: Network,
}

/// Why a redirect was not followed.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("`{0}` is not configured")]
    Foreign(String),
    #[error("`{0}` is not https")]
    Insecure(String),
    #[error("more than {REDIRECTS} redirects")]
    TooMany,
}

impl Http {
    /// A client that visits GitHub's download hosts alone.
    pub(super) fn new(network: Network) -> Self {
        Self::visiting(&[], "GITHUB_TOKEN", network)
    }

    /// A client that also visits the hosts of these URLs, and names `token_env` in hints.
    pub(super) fn visiting(urls: &[&Url], token_env: &str, network: Network) -> Self {
        let hosts = urls
            .iter()
            .filter_map(|url| url.host_str().map(str::to_owned));
        Self {
            client: OnceLock::new(),
            local: OnceLock::new(),
            configured: hosts.collect(),
            token_env: token_env.to_owned(),
            answers: Answers::new(network.cache.as_deref()),
            network,
        }
    }

    fn client(&self, url: &Url) -> Result<&Client, SourceError> {
        let is_local = is_loopback(url);
        let place = if is_local { &self.local } else { &self.client };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // It fails only when a provider is installed already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let configured = Arc::clone(&self.configured);
        let builder = Client::builder()
            .user_agent(concat!("llama-orch/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.network.patience.connect)
            .read_timeout(self.network.patience.idle)
            .referer(false)
            .redirect(Policy::custom(move |attempt| follow(attempt, &configured)));
        let builder = if is_local {
            builder.no_proxy()
        } else {
            builder
        };
        let client = builder
            .build()
            .map_err(|source| SourceError::Client { source })?;
        Ok(place.get_or_init(|| client))
    }

    async fn get(
        &self,
        url: &Url,
        what: &str,
        headers: HeaderMap,
    ) -> Result<Response, SourceError> {
        require_secure(url)?;
        self.require_network(url, what)?;
        // A body that was compressed on the way has no length and another digest.
        let request = self
            .client(url)?
            .get(url.clone())
            .header(ACCEPT_ENCODING, "identity")
            .headers(headers);
        let response = request.send().await.map_err(|error| failed(url, error))?;
        self.successful(response, url, None, what).await
    }

    fn require_network(&self, url: &Url, what: &str) -> Result<(), SourceError> {
        if self.network.offline {
            return Err(SourceError::Offline {
                what: what.to_owned(),
                url: shown(url),
            });
        }
        Ok(())
    }

    async fn successful(
        &self,
        response: Response,
        url: &Url,
        token: Option<&Token>,
        what: &str,
    ) -> Result<Response, SourceError> {
        let status = response.status();
        let token_from = || token.map(|token| token.from.clone());
        let now = Timestamp::now();
        match status {
            _ if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(SourceError::NotFound {
                what: what.to_owned(),
                url: shown(url),
            }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN => {
                let until = limited_until(response.headers(), now);
                let is_limit = status == StatusCode::TOO_MANY_REQUESTS
                    || is_limited(response.headers())
                    || speaks_of_a_limit(response).await;
                Err(if is_limit {
                    SourceError::RateLimited {
                        host: url.host_str().unwrap_or_default().to_owned(),
                        until,
                        token_from: token_from(),
                        token_env: self.token_env.clone(),
                    }
                } else {
                    SourceError::Refused {
                        url: shown(url),
                        status: status.as_u16(),
                        token_from: token_from(),
                    }
                })
            }
            _ if status.is_server_error() => Err(SourceError::Unavailable {
                url: shown(url),
                status: status.as_u16(),
                until: retry_after(response.headers(), now),
            }),
            _ => Err(SourceError::Refused {
                url: shown(url),
                status: status.as_u16(),
                token_from: token_from(),
            }),
        }
    }
}

fn require_secure(url: &Url) -> Result<(), SourceError> {
    if is_secure(url) {
        Ok(())
    } else {
        Err(SourceError::Insecure { url: shown(url) })
    }
}

fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn follow(attempt: Attempt<'_>, configured: &[String]) -> Action {
    let host = attempt.url().host_str().unwrap_or_default().to_owned();
    let asked = attempt.previous().first().and_then(Url::host_str);
    let known = asked == Some(host.as_str())
        || host == GITHUB
        || host.ends_with(GITHUB_CONTENT)
        || configured.contains(&host);
    if attempt.previous().len() > REDIRECTS {
        attempt.error(Refusal::TooMany)
    } else if !known {
        attempt.error(Refusal::Foreign(host))
    } else if !is_secure(attempt.url()) {
        let url = shown(attempt.url());
        attempt.error(Refusal::Insecure(url))
    } else {
        attempt.follow()
    }
}

fn failed(url: &Url, error: reqwest::Error) -> SourceError {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause {
        match inner.downcast_ref() {
            None if let Some(rustls::Error::InvalidCertificate(why)) = tls(inner) => {
                return SourceError::Untrusted {
                    url: shown(url),
                    why: rustls::Error::InvalidCertificate(why.clone()).to_string(),
                };
            }
            Some(Refusal::Foreign(host)) => {
                return SourceError::ForeignHost {
                    url: shown(url),
                    host: host.clone(),
                };
            }
            Some(Refusal::Insecure(url)) => return SourceError::Insecure { url: url.clone() },
            Some(Refusal::TooMany) | None => cause = inner.source(),
        }
    }
    SourceError::Unreachable {
        url: shown(url),
        source: error.without_url(),
    }
}

/// The error of TLS, which comes wrapped in one of reading, and that in another one.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    error
        .downcast_ref()
        .or_else(|| tls(error.downcast_ref::<std::io::Error>()?.get_ref()?))
}

fn content_type(response: &Response) -> String {
    let value = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_ascii_lowercase()
}

async fn read(mut response: Response, url: &Url, most: usize) -> Result<Vec<u8>, SourceError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failed(url, error))? {
        if body.len() + piece.len() > most {
            let why = format!("it sent more than {most} bytes");
            return Err(SourceError::NotAnApi {
                url: shown(url),
                why,
            });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A 403 is a limit when no requests remain, or when it says how long to wait.
fn is_limited(headers: &HeaderMap) -> bool {
    number(headers, "x-ratelimit-remaining") == Some(0) || headers.contains_key(RETRY_AFTER)
}

/// GitHub's secondary limits say what they are in words alone.
async fn speaks_of_a_limit(mut response: Response) -> bool {
    let mut text = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        text.extend_from_slice(&piece);
        if text.len() > MAX_REFUSAL {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    text.contains("rate limit")
}

/// When requests are answered again. The time at which the hour's quota is filled up says nothing
/// as long as some of it is left.
fn limited_until(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let is_used_up = number(headers, "x-ratelimit-remaining").is_none_or(|left| left <= 0);
    let reset = number(headers, "x-ratelimit-reset").filter(|_| is_used_up);
    retry_after(headers, now).or_else(|| Timestamp::from_second(reset?).ok())
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return now.checked_add(SignedDuration::from_secs(seconds)).ok();
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp())
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
