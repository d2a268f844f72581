//! Questions to an API: asked once, then answered from what is kept until that is too old; from
//! then on asked whether it still holds.

#![expect(
    clippy::disallowed_methods,
    reason = "looks at the clock for the age of an answer"
)]

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, DATE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::answers::Kept;
use super::{Http, Token, content_type, failed, number, read, require_secure};
use crate::release::shown;
use crate::release::source::SourceError;

/// The largest answer of an API that is read: ten releases of 36 files are about 1 MB.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The largest text file that is read: `nightly-tag.txt` has 7 bytes.
const MAX_TEXT: usize = 1024;

/// How long a file of a release that is done holds: for ever, as far as a cache is concerned.
const FOR_EVER: SignedDuration = SignedDuration::from_hours(24 * 365);

/// What an answer says beside its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Knock {
    /// Whether it is JSON.
    pub(crate) json: bool,
    /// The time there, and what it was here.
    pub(crate) date: Option<(Timestamp, Timestamp)>,
    /// Requests that are answered in some time.
    pub(crate) limit: Option<u64>,
    /// How many of them are left.
    pub(crate) left: Option<u64>,
    /// When they are all there again.
    pub(crate) reset: Option<Timestamp>,
}

impl Http {
    /// Asks an API. `what` says in words what is looked for, for messages; `time_to_live` how long
    /// an answer holds. Of the answer only what `T` has is kept.
    pub(in crate::release) async fn json<T: Serialize + DeserializeOwned>(
        &self,
        url: &Url,
        token: Option<&Token>,
        what: &str,
        time_to_live: impl Fn(&T) -> SignedDuration,
    ) -> Result<T, SourceError> {
        require_secure(url)?;
        let kept: Option<Kept<T>> = self.answers.find(url, token);
        let kept = match kept {
            Some(kept) if self.network.offline => return Ok(kept.body),
            Some(kept) if kept.is_fresh(time_to_live(&kept.body), Timestamp::now()) => {
                return Ok(kept.body);
            }
            kept => kept,
        };
        self.require_network(url, what)?;
        let mut request = self.question(url, token)?;
        if let Some(etag) = kept.as_ref().and_then(|kept| kept.etag.as_ref()) {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await.map_err(|error| failed(url, error))?;
        if response.status() == StatusCode::NOT_MODIFIED
            && let Some(kept) = kept
        {
            let kept = kept.renewed(Timestamp::now());
            self.answers.keep(url, token, &kept);
            return Ok(kept.body);
        }
        let response = self.successful(response, url, token, what).await?;
        let kind = content_type(&response);
        if !kind.contains("json") {
            let why = if kind.is_empty() {
                "it does not say what it sent".to_owned()
            } else {
                format!("it sent `{kind}` in place of JSON")
            };
            return Err(SourceError::NotAnApi {
                url: shown(url),
                why,
            });
        }
        let etag = etag(response.headers());
        let body = read(response, url, MAX_ANSWER).await?;
        let body: T = serde_json::from_slice(&body).map_err(|error| SourceError::NotAnApi {
            url: shown(url),
            why: error.to_string(),
        })?;
        let kept = Kept::new(url, etag, body, Timestamp::now());
        self.answers.keep(url, token, &kept);
        Ok(kept.body)
    }

    /// A question to an API, not asked yet.
    fn question(&self, url: &Url, token: Option<&Token>) -> Result<RequestBuilder, SourceError> {
        let request = self
            .client(url)?
            .get(url.clone())
            .header(ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", "2022-11-28");
        Ok(match token {
            Some(token) => request.header(AUTHORIZATION, bearer(token)?),
            None => request,
        })
    }

    /// Asks whether anybody answers, whatever the answer is. Nothing of it is kept.
    pub(in crate::release) async fn knock(
        &self,
        url: &Url,
        token: Option<&Token>,
        what: &str,
    ) -> Result<Knock, SourceError> {
        require_secure(url)?;
        self.require_network(url, what)?;
        let request = self.question(url, token)?;
        let response = request.send().await.map_err(|error| failed(url, error))?;
        let here = Timestamp::now();
        let headers = response.headers();
        let there = headers.get(DATE).and_then(|date| date.to_str().ok());
        let there = there.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let count = |name| number(headers, name).and_then(|count| u64::try_from(count).ok());
        let knock = Knock {
            json: content_type(&response).contains("json"),
            date: there.map(|date| (date.timestamp(), here)),
            limit: count("x-ratelimit-limit"),
            left: count("x-ratelimit-remaining"),
            reset: number(headers, "x-ratelimit-reset")
                .and_then(|seconds| Timestamp::from_second(seconds).ok()),
        };
        match self.successful(response, url, token, what).await {
            // Somebody answers, and has no such page: GitHub Enterprise where it limits nothing.
            Ok(_) | Err(SourceError::NotFound { .. }) => Ok(knock),
            Err(error) => Err(error),
        }
    }

    /// Fetches a text of at most 1 KiB that never changes. `is_right` says which one is worth
    /// keeping.
    pub(in crate::release) async fn text(
        &self,
        url: &Url,
        what: &str,
        is_right: impl Fn(&str) -> bool,
    ) -> Result<String, SourceError> {
        let kept: Option<Kept<String>> = self.answers.find(url, None);
        if let Some(kept) = kept
            && (self.network.offline || kept.is_fresh(FOR_EVER, Timestamp::now()))
            && is_right(&kept.body)
        {
            return Ok(kept.body);
        }
        let response = self.get(url, what, HeaderMap::new()).await?;
        let body = read(response, url, MAX_TEXT).await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if is_right(&text) {
            let kept = Kept::new(url, None, text, Timestamp::now());
            self.answers.keep(url, None, &kept);
            return Ok(kept.body);
        }
        Ok(text)
    }
}

fn bearer(token: &Token) -> Result<HeaderValue, SourceError> {
    let bad = |_| SourceError::BadToken {
        from: token.from.clone(),
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.secret)).map_err(bad)?;
    value.set_sensitive(true);
    Ok(value)
}

fn etag(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(ETAG)?.to_str().ok()?.to_owned())
}
