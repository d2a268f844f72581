//! What APIs answered, kept on disk for a while, so that the same question costs no request.
//!
//! One file for each URL and whoever asked, since answers and their `ETag`s differ between tokens. A
//! token itself is never written: a salted hash of it goes into the file's name. This is a cache
//! and nothing else: whatever cannot be read or written is as good as not there. How long an answer
//! holds is for whoever asked to say.

#![expect(
    clippy::disallowed_methods,
    reason = "looks through a cache, and takes the oldest out"
)]

use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::Token;
use crate::durable;
use crate::release::Digest;

/// The number in `schema` that this version writes.
const SCHEMA: u32 = 1;

/// Answers that are kept; the oldest go first. One is a few kilobytes.
const MOST: usize = 200;

/// Mixed into hashes of tokens, so that a known token cannot be searched for.
const SALT: &str = "salt";

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept<T> {
    schema: u32,
    /// What was asked.
    url: String,
    /// What tells this answer from a later one.
    pub(super) etag: Option<String>,
    /// When it was last known to hold.
    fetched: Timestamp,
    /// What of it is used.
    pub(super) body: T,
}

impl<T> Kept<T> {
    pub(super) fn new(url: &Url, etag: Option<String>, body: T, now: Timestamp) -> Self {
        Self {
            schema: SCHEMA,
            url: url.to_string(),
            etag,
            fetched: now,
            body,
        }
    }

    /// Whether it was fetched within this time. One that comes from the future was written by a
    /// clock that was wrong, and is not.
    pub(super) fn is_fresh(&self, time_to_live: SignedDuration, now: Timestamp) -> bool {
        let age = now.duration_since(self.fetched);
        !age.is_negative() && age < time_to_live
    }

    /// The same answer, found to hold still.
    pub(super) fn renewed(mut self, now: Timestamp) -> Self {
        self.fetched = now;
        self
    }
}

/// The folder of answers, where there is one.
#[derive(Debug)]
pub(super) struct Answers {
    folder: Option<Utf8PathBuf>,
}

impl Answers {
    /// Answers are kept in a folder `api` of this one, whose parent has to be there.
    pub(super) fn new(cache: Option<&Utf8Path>) -> Self {
        Self {
            folder: cache.map(|cache| cache.join("api")),
        }
    }

    /// The answer to a question, however old.
    pub(super) fn find<T: DeserializeOwned>(
        &self,
        url: &Url,
        token: Option<&Token>,
    ) -> Option<Kept<T>> {
        let path = self.place(url, token, false)?;
        let kept: Kept<T> = durable::read_json(&path, SCHEMA).ok().flatten()?;
        (kept.url == url.as_str()).then_some(kept)
    }

    /// Keeps an answer.
    pub(super) fn keep<T: Serialize>(&self, url: &Url, token: Option<&Token>, answer: &Kept<T>) {
        let Some(path) = self.place(url, token, true) else {
            return;
        };
        let is_new = !path.exists();
        if durable::write_json(&path, answer).is_ok() && is_new {
            self.thin_out();
        }
    }

    /// The file of a question.
    fn place(&self, url: &Url, token: Option<&Token>, create: bool) -> Option<Utf8PathBuf> {
        let folder = self.folder.as_ref()?;
        if create {
            // What lies above is not this cache's to bring about.
            folder.parent()?.parent().filter(|above| above.is_dir())?;
            durable::create_folder(folder).ok()?;
        }
        let asker = match token {
            Some(token) => {
                let salt = salt(folder, create)?;
                Digest::of(format!("{salt} {}", token.secret)).to_string()
            }
            None => String::new(),
        };
        let name = Digest::of(format!("{url} {asker}"));
        Some(folder.join(format!("{name}.json")))
    }

    /// Takes the oldest answers out where there are too many.
    fn thin_out(&self) {
        let Some(entries) = self
            .folder
            .as_ref()
            .and_then(|folder| folder.read_dir_utf8().ok())
        else {
            return;
        };
        let mut all: Vec<(SystemTime, Utf8PathBuf)> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension() == Some("json"))
            .filter_map(|entry| {
                let written = entry.metadata().and_then(|data| data.modified()).ok()?;
                Some((written, entry.into_path()))
            })
            .collect();
        all.sort();
        for (_, path) in all.iter().take(all.len().saturating_sub(MOST)) {
            // One that cannot be taken out now is taken out another time.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn salt(folder: &Utf8Path, create: bool) -> Option<String> {
    let path = folder.join(SALT);
    match durable::read_text(&path) {
        Ok(Some(salt)) if !salt.trim().is_empty() => Some(salt),
        Ok(_) if create => {
            let salt = Uuid::new_v4().to_string();
            durable::write(&path, salt.as_bytes()).ok()?;
            Some(salt)
        }
        Ok(_) | Err(_) => None,
    }
}
