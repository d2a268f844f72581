//! Which installed build a person means: by as much of its UUID as tells it from the others, or by
//! its name where only one has it.

use std::fmt::{self, Write as _};

use crate::instance::BinaryId;
use crate::registry::{Entry, Registry};

/// The fewest characters of a UUID that are taken for one.
const FEWEST: usize = 4;

/// The fewest characters of a UUID that are shown.
const SHOWN: usize = 8;

/// The most builds a message names.
const MOST_NAMED: usize = 8;

/// A build as a message names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As much of its UUID as tells it from all others.
    pub short_id: String,
    /// What it is called.
    pub build: String,
    /// Which variant it is, for people.
    pub variant: String,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.short_id, self.build, self.variant)
    }
}

/// Why a text names no build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// Too little of a UUID.
    #[error("`{text}` is too short: at least {FEWEST} characters of an id are needed")]
    TooShort {
        /// The text.
        text: String,
    },
    /// There is none.
    #[error("no installed build has the id or name `{text}`")]
    Unknown {
        /// The text.
        text: String,
        /// Those with a similar name.
        near: Vec<Candidate>,
    },
    /// There are several.
    #[error("`{text}` could be any of {}{}", .candidates.len(), listed(.candidates))]
    Ambiguous {
        /// The text.
        text: String,
        /// All of them.
        candidates: Vec<Candidate>,
    },
}

fn listed(candidates: &[Candidate]) -> String {
    let mut text = String::new();
    for one in candidates.iter().take(MOST_NAMED) {
        let _ = write!(text, "\n  {one}");
    }
    if candidates.len() > MOST_NAMED {
        text.push_str("\n  ...");
    }
    text
}

impl ChoiceError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { near, .. } if !near.is_empty() => {
                let near: Vec<String> = near.iter().map(|one| format!("`{one}`")).collect();
                Some(format!("did you mean {}?", near.join(" or ")))
            }
            Self::Ambiguous { .. } => Some("write more of the id".to_owned()),
            Self::TooShort { .. } | Self::Unknown { .. } => {
                Some("`llama-orch binary list` shows what is installed".to_owned())
            }
        }
    }
}

/// The one build that a text names: by the beginning of its id or of an alias, with or without
/// hyphens, or by the whole of its name.
pub fn choose<'a>(registry: &'a Registry, text: &str) -> Result<&'a Entry, ChoiceError> {
    let candidate = |entry: &Entry| Candidate {
        short_id: shorten(entry.id, shortest(registry)),
        build: entry.version.clone(),
        variant: entry.variant.short(),
    };
    let entries = || registry.entries().iter();
    if let Some(entry) = text.parse().ok().and_then(|id| registry.get(id)) {
        return Ok(entry);
    }
    let begins = digits(text).filter(|digits| digits.len() >= FEWEST);
    let has_id = |entry: &Entry| {
        let begins_with = |id: BinaryId, begin: &str| {
            digits(&id.to_string()).is_some_and(|digits| digits.starts_with(begin))
        };
        begins.as_deref().is_some_and(|begin| {
            let mut ids = std::iter::once(&entry.id).chain(&entry.aliases);
            ids.any(|id| begins_with(*id, begin))
        })
    };
    let found: Vec<&Entry> = entries()
        .filter(|entry| entry.version == text || has_id(entry))
        .collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] if begins.is_none() && digits(text).is_some() => Err(ChoiceError::TooShort {
            text: text.to_owned(),
        }),
        [] => Err(ChoiceError::Unknown {
            text: text.to_owned(),
            near: entries()
                .filter(|entry| strsim::damerau_levenshtein(text, &entry.version) <= 2)
                .take(2)
                .map(candidate)
                .collect(),
        }),
        several => Err(ChoiceError::Ambiguous {
            text: text.to_owned(),
            candidates: several.iter().map(|entry| candidate(entry)).collect(),
        }),
    }
}

/// The hexadecimal digits of a UUID or of its beginning; `None` for anything else.
fn digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| digits.to_ascii_lowercase())
}

/// How many characters tell each id of a registry from all others, at least 8.
pub fn shortest(registry: &Registry) -> usize {
    let mut ids: Vec<String> = registry
        .entries()
        .iter()
        .flat_map(|entry| std::iter::once(&entry.id).chain(&entry.aliases))
        .map(ToString::to_string)
        .collect();
    ids.sort();
    let shared = |pair: &[String]| {
        let same = pair[0].bytes().zip(pair[1].bytes());
        same.take_while(|(one, other)| one == other).count()
    };
    let longest = ids.windows(2).map(shared).max().unwrap_or_default();
    (longest + 1).max(SHOWN)
}

/// The first characters of an id.
pub fn shorten(id: BinaryId, length: usize) -> String {
    let mut text = id.to_string();
    text.truncate(length);
    text
}
