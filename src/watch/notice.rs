//! Whom it concerns should hear of it: what of a watched root is worth telling, and when it is over.
//!
//! Level-triggered, as everything else here: what is so in a snapshot is compared with what was told and
//! not taken back, so that a restart of watch tells nothing twice, and what was not told in time is told
//! later, if it still is so. Pure: carrying a notice to people is left to [`super::notify`], keeping what was
//! told to [`super::told`].

mod condition;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;
use condition::{Condition, Standing};

/// The number in `schema` of a [`Notice`] that this version writes.
pub const SCHEMA: u32 = 1;

/// The number in `schema` of [`Told`] that this version writes.
pub const TOLD_SCHEMA: u32 = 1;

/// How long nothing more is told of one condition of one subject, however often it comes and goes.
pub const QUIET: SignedDuration = SignedDuration::from_mins(10);

/// How many conditions are kept in mind. Of more than that nobody reads.
const MOST: usize = 1000;

/// Characters of a notice's text at most.
const LONGEST_TEXT: usize = 400;

/// Characters of a notice's details at most.
const LONGEST_DETAILS: usize = 8000;

/// What a notice is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A launch failed, and the one before it runs in its stead.
    RolledBack,
    /// It does not run and is not started again by itself.
    GaveUp,
    /// What lies in the root cannot be used; watch goes by what was good last.
    ManifestBad,
    /// Something waits for a person.
    Held,
    /// What was told before is over.
    Recovered,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RolledBack,
        Self::GaveUp,
        Self::ManifestBad,
        Self::Held,
        Self::Recovered,
    ];

    /// The word machines read.
    pub const fn word(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled_back",
            Self::GaveUp => "gave_up",
            Self::ManifestBad => "manifest_bad",
            Self::Held => "held",
            Self::Recovered => "recovered",
        }
    }
}

/// What `notify.command` gets on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// Version of this form; moves when a field goes or changes meaning.
    pub schema: u32,
    /// When it was seen to be so (RFC 3339).
    pub at: String,
    /// What it is about.
    pub kind: NoticeKind,
    /// An instance or a build, or else `manifest`, `git` or `watch`.
    pub subject: String,
    /// The reason as a stable word, as in `plan --json`: `failed_inputs`, `port_held`.
    pub code: String,
    /// What there is to know, in one line.
    pub text: String,
    /// The root's folder.
    pub root: String,
    /// The version of llama-orch that watches.
    pub version: String,
    /// The commit that lies in the root, where that is a clone that is kept up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// More, in several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

impl Notice {
    /// The text without the subject, for whoever shows that beside it.
    pub fn without_subject(&self) -> &str {
        let rest = self.text.strip_prefix(&self.subject);
        let rest = rest.and_then(|rest| rest.strip_prefix(' '));
        rest.unwrap_or(&self.text)
    }
}

/// What was told and not taken back, and what was told so lately that it is not to be told again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Version of this form.
    pub schema: u32,
    /// By subject, kind and code.
    #[serde(default)]
    conditions: BTreeMap<String, ToldCondition>,
    /// What a later version has written besides.
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            schema: TOLD_SCHEMA,
            conditions: BTreeMap::new(),
            other: BTreeMap::new(),
        }
    }
}

/// One condition that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ToldCondition {
    subject: String,
    kind: NoticeKind,
    code: String,
    /// Since when it is so, this time.
    since: Timestamp,
    /// Whether it was so when last looked.
    present: bool,
    /// Whether it was told, this time.
    word: Word,
    /// Whether that it is over is still to be told.
    owed: bool,
    /// How often that was so since it was told last, this time included.
    kept_back_times: u32,
    /// When it was told last.
    told_at: Option<Timestamp>,
    /// The commit that lay there when it was told last.
    commit: Option<String>,
    /// What was to be said of it, this time.
    said: String,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

/// What became of a condition that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// It may mend itself yet.
    Unsaid,
    /// It was told too lately.
    KeptBack,
    /// It was told.
    Told,
}

impl ToldCondition {
    fn new(condition: &Condition, at: Timestamp) -> Self {
        Self {
            subject: condition.subject.clone(),
            kind: condition.kind,
            code: condition.code.clone(),
            since: at,
            present: false,
            word: Word::Unsaid,
            owed: false,
            kept_back_times: 0,
            told_at: None,
            commit: None,
            said: condition.said(),
            other: BTreeMap::new(),
        }
    }

    /// Takes in that it is so.
    fn see(&mut self, condition: &Condition, at: Timestamp) {
        let said = condition.said();
        let was_due = self.word != Word::Unsaid;
        let differs = condition.is_told_by_text() && said != self.said;
        // One that was waited out goes on being waited out: a crash loop comes and goes by nature.
        if was_due && (!self.present || differs) {
            self.since = at;
            self.word = Word::Unsaid;
        }
        self.present = true;
        self.said = said;
    }

    /// Whether it is to be told now.
    fn is_due(&mut self, condition: &Condition, at: Timestamp, commit: Option<&String>) -> bool {
        if self.word == Word::Told || at.duration_since(self.since) < condition.patience() {
            return false;
        }
        let lately = self.was_told_lately(at);
        // Another commit is another matter: whoever pushed it waits for word of it.
        if lately && (commit.is_none() || commit == self.commit.as_ref()) {
            if self.word != Word::KeptBack {
                self.word = Word::KeptBack;
                self.kept_back_times = self.kept_back_times.saturating_add(1);
            }
            return false;
        }
        true
    }

    fn was_told_lately(&self, at: Timestamp) -> bool {
        // A clock that was set back makes nobody wait for longer.
        self.told_at.is_some_and(|told| {
            let since = at.duration_since(told);
            since < QUIET && !since.is_negative()
        })
    }

    /// Takes in that it is told, and says how often it was not since the last time.
    fn tell(&mut self, at: Timestamp, commit: Option<&String>) -> u32 {
        let before = self
            .kept_back_times
            .saturating_sub(u32::from(self.word == Word::KeptBack));
        self.word = Word::Told;
        self.owed = true;
        self.kept_back_times = 0;
        self.told_at = Some(at);
        self.commit = commit.cloned();
        before
    }
}

/// What is to be told of a snapshot, given what was told before; takes in that it is told.
pub fn notices(told: &mut Told, snapshot: &Snapshot) -> Vec<Notice> {
    let Ok(at) = snapshot.at.parse::<Timestamp>() else {
        return Vec::new();
    };
    let commit = snapshot.watch.git.as_ref().map(|git| &git.commit);
    let conditions = condition::all(snapshot);
    let mut notices = Vec::new();
    let mut present = BTreeSet::new();
    for condition in &conditions {
        let key = condition.key();
        if !present.insert(key.clone()) {
            continue;
        }
        if told.conditions.len() >= MOST && !told.conditions.contains_key(&key) {
            continue;
        }
        let entry = told.conditions.entry(key);
        let entry = entry.or_insert_with(|| ToldCondition::new(condition, at));
        entry.see(condition, at);
        if entry.is_due(condition, at, commit) {
            let before = entry.tell(at, commit);
            notices.push(notice(
                snapshot,
                condition.kind,
                &condition.subject,
                &condition.code,
                &format!("{}{}", condition.text, times_before(before)),
                condition.details.as_deref(),
            ));
        }
    }
    for (key, entry) in &mut told.conditions {
        entry.present = present.contains(key);
    }
    notices.extend(taken_back(told, snapshot, at));
    notices
}

/// What was told and is over, once for each subject.
fn taken_back(told: &mut Told, snapshot: &Snapshot, at: Timestamp) -> Vec<Notice> {
    let conditions = &mut told.conditions;
    let afflicted: BTreeSet<String> = conditions
        .values()
        .filter(|entry| entry.present)
        .map(|entry| entry.subject.clone())
        .collect();
    let subjects: BTreeSet<String> = conditions
        .values()
        .map(|entry| entry.subject.clone())
        .collect();
    let mut notices = Vec::new();
    for subject in subjects.difference(&afflicted) {
        let of_it = || {
            conditions
                .values()
                .filter(|entry| entry.subject == *subject)
        };
        let crashed = of_it().any(|entry| entry.code == condition::BACKING_OFF);
        let Standing::Clear(now) = condition::standing(snapshot, subject, crashed) else {
            continue;
        };
        let last = of_it()
            .filter(|entry| entry.owed)
            .max_by_key(|entry| entry.told_at);
        if let Some(last) = last {
            notices.push(notice(
                snapshot,
                NoticeKind::Recovered,
                subject,
                &last.code,
                &format!("{subject} recovered: {now}"),
                None,
            ));
        }
        conditions.retain(|_, entry| {
            if entry.subject != *subject {
                return true;
            }
            entry.owed = false;
            entry.was_told_lately(at)
        });
    }
    notices
}

fn times_before(times: u32) -> String {
    match times {
        0 => String::new(),
        1 => " (and once more since that was told last)".to_owned(),
        times => format!(" (and {times} times more since that was told last)"),
    }
}

fn notice(
    snapshot: &Snapshot,
    kind: NoticeKind,
    subject: &str,
    code: &str,
    text: &str,
    details: Option<&str>,
) -> Notice {
    Notice {
        schema: SCHEMA,
        at: snapshot.at.clone(),
        kind,
        subject: subject.to_owned(),
        code: code.to_owned(),
        text: shortened(&one_line(text), LONGEST_TEXT),
        root: snapshot.root.clone(),
        version: snapshot.version.clone(),
        commit: snapshot.watch.git.as_ref().map(|git| git.commit.clone()),
        details: details.map(|details| shortened(details, LONGEST_DETAILS)),
    }
}

/// The text with every run of blanks and control characters as one blank.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The JSON Schema of a [`Notice`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Notice).to_value()
}
