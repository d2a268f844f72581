//! Files over HTTP: from their first byte, or from where an earlier attempt broke off.
//!
//! A part is asked for only together with a validator of the whole. Whatever a server makes of
//! that (a 416, the whole file, another part, a part of another file), what comes back is one
//! stream that says where it begins. Whether that fits what is there already is for the caller to
//! compare.

use std::io;

use camino::Utf8PathBuf;
use futures_util::StreamExt as _;
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode};
use url::Url;

use super::{Http, content_type};
use crate::release::shown;
use crate::release::source::{Opened, Resume, SourceError, Validator};

impl Http {
    /// Opens a file. A host written in the manifest may be visited, whichever it is; so may a
    /// `file:` URL.
    pub(in crate::release) async fn open(
        &self,
        url: &Url,
        resume: Option<&Resume>,
    ) -> Result<Opened, SourceError> {
        if url.scheme() == "file" {
            let path = url
                .to_file_path()
                .ok()
                .and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
            return path
                .filter(|path| path.is_file())
                .map(Opened::File)
                .ok_or_else(|| SourceError::NotFound {
                    what: "file".to_owned(),
                    url: shown(url),
                });
        }
        if self.network.offline {
            return Err(SourceError::OfflineFile {
                url: shown(url),
                name: name(url).to_owned(),
            });
        }
        if let Some(resume) = resume
            && let Some(opened) = self.part(url, resume).await?
        {
            return Ok(opened);
        }
        let response = self
            .get(url, &format!("file `{}`", name(url)), HeaderMap::new())
            .await?;
        let total = response.content_length();
        stream(url, response, 0, total)
    }

    /// The rest of a file; `None` where the server would not give it, or gave something that is
    /// not it, and the whole has to be asked for.
    async fn part(&self, url: &Url, resume: &Resume) -> Result<Option<Opened>, SourceError> {
        let Ok(validator) = HeaderValue::from_str(resume.validator.as_str()) else {
            return Ok(None);
        };
        let mut headers = HeaderMap::new();
        let range = format!("bytes={}-", resume.from);
        if let Ok(range) = HeaderValue::from_str(&range) {
            headers.insert(RANGE, range);
        }
        headers.insert(IF_RANGE, validator);
        let response = match self
            .get(url, &format!("file `{}`", name(url)), headers)
            .await
        {
            Err(SourceError::Refused { status: 416, .. }) => return Ok(None),
            other => other?,
        };
        if response.status() != StatusCode::PARTIAL_CONTENT {
            let total = response.content_length();
            return stream(url, response, 0, total).map(Some);
        }
        let range = response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .and_then(content_range);
        // An answer that says of itself that it belongs to another file is believed.
        let is_same = validator_of(&response).is_none_or(|now| now == resume.validator);
        match range {
            Some((from, total)) if from == resume.from && is_same => {
                stream(url, response, from, total).map(Some)
            }
            _ => Ok(None),
        }
    }
}

fn name(url: &Url) -> &str {
    url.path_segments()
        .and_then(|mut parts| parts.next_back())
        .unwrap_or_default()
}

fn stream(
    url: &Url,
    response: Response,
    from: u64,
    total: Option<u64>,
) -> Result<Opened, SourceError> {
    if content_type(&response).starts_with("text/html") {
        let why = "it sent a web page in place of the file".to_owned();
        return Err(SourceError::NotAnApi {
            url: shown(url),
            why,
        });
    }
    let validator = validator_of(&response);
    let pieces = response
        .bytes_stream()
        .map(|piece| piece.map(Vec::from).map_err(|error| broken(&error)));
    Ok(Opened::Stream {
        from,
        total,
        validator,
        pieces: Box::pin(pieces),
    })
}

/// Why no more comes. The layers between the connection and here all say the same of it, and only
/// the lowest one says what it was.
fn broken(error: &reqwest::Error) -> io::Error {
    if error.is_timeout() {
        return io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long");
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    io::Error::other(format!("the connection broke: {cause}"))
}

/// What tells this version of a file from others. A weak `ETag` does not (RFC 9110, 13.1.5), and is
/// as good as none.
fn validator_of(response: &Response) -> Option<Validator> {
    let text = |name| {
        let value = response.headers().get(name)?;
        Some(value.to_str().ok()?.trim().to_owned())
    };
    match text(ETAG) {
        Some(etag) if etag.starts_with('"') => Some(Validator::Etag(etag)),
        Some(_) => None,
        None => text(LAST_MODIFIED).map(Validator::LastModified),
    }
}

/// The first byte and the size of the whole in `bytes 100-199/200`, or `bytes 100-199/*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse::<u64>().ok()?),
    };
    // A part that ends before the file does is not the rest of it.
    let is_rest = first <= last && total.is_none_or(|total| last.checked_add(1) == Some(total));
    is_rest.then_some((first, total))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_content_range_is_the_rest_of_a_file_or_nothing() {
        assert_eq!(content_range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(content_range("bytes 100-199/*"), Some((100, None)));
        for wrong in [
            "",
            "bytes",
            "bytes */200",
            "bytes 100-150/200",
            "bytes 199-100/200",
            "bytes 100-199/100",
            "items 100-199/200",
            "bytes -1-199/200",
            "bytes 0-18446744073709551615/18446744073709551616",
            "bytes 0-18446744073709551615/18446744073709551615",
        ] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(text in ".{0,60}") {
            let _ = content_range(&text);
        }

        #[test]
        fn what_is_read_lies_within_the_file(first: u64, last: u64, total: u64) {
            if let Some((from, Some(size))) = content_range(&format!("bytes {first}-{last}/{total}")) {
                prop_assert!(from < size);
            }
        }
    }
}
