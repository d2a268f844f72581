//! `record.json`: what passes and commands want of one instance and remember about it.
//!
//! Written by commands and passes only, under the instance's lock; the supervisor reads it when it
//! starts and when it is told to. What the supervisor has to say stands in `state.json`
//! ([`super::state`]); a pass copies from there what must last.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Change, FileRole, Fingerprint, Launch, Supervision};
use crate::release::Digest;

/// The number in `schema` that this version writes.
pub const SCHEMA: u32 = 1;

/// How many distinct proven launches are kept as rollback targets.
pub const PROVEN_KEPT: usize = 3;

/// Everything in `record.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this file's form.
    pub schema: u32,
    /// What the supervisor is to run; `None` when the instance is to be down.
    #[serde(default)]
    pub wanted: Option<Assignment>,
    /// Launches that stayed healthy for `prove_after`, newest first, at most [`PROVEN_KEPT`].
    #[serde(default)]
    pub proven: Vec<RecordedLaunch>,
    /// What the servers of those said of their load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<ProvenLoad>,
    /// Launches that failed their gate and are not tried again.
    #[serde(default)]
    pub failed: Vec<FailedLaunch>,
    /// A person's wish that the instance stays down.
    #[serde(default)]
    pub put_down: Option<PutDown>,
    /// A person's wish that passes leave it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspended>,
    /// A person's wish that it runs an earlier launch than the manifest's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// Whether the manifest protected it when it was last applied; lifted only by `unprotect`.
    #[serde(default)]
    pub protected: bool,
    /// The assignment whose failure a person has pardoned: what its supervisor still says of it no
    /// longer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pardoned: Option<Uuid>,
    /// The assignment whose giving up a person has pardoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pardoned_giving_up: Option<Uuid>,
    /// How long the last load took, in seconds, from the bound port to healthy.
    #[serde(default)]
    pub last_load: Option<f64>,
    /// Keys of a later version, kept as they were.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            wanted: None,
            proven: Vec::new(),
            loads: Vec::new(),
            failed: Vec::new(),
            put_down: None,
            suspended: None,
            rolled_back: None,
            protected: false,
            pardoned: None,
            pardoned_giving_up: None,
            last_load: None,
            other: Map::new(),
        }
    }
}

impl Record {
    /// The newest proven launch, and what its server said of its load.
    pub fn last_proven_load(&self) -> Option<(&RecordedLaunch, &LoadFacts)> {
        let newest = self.proven.first()?;
        let fingerprint = newest.fingerprint();
        let mut loads = self.loads.iter();
        let load = loads.find(|load| load.fingerprint == fingerprint)?;
        Some((newest, &load.facts))
    }

    /// Forgets that the supervisor of this assignment gave up.
    pub fn pardon_giving_up(&mut self, assignment: Option<Uuid>) {
        self.pardoned_giving_up = assignment;
    }

    /// Rolls back, and forgets what stood against the launch it goes back to: a person wants it.
    pub fn roll_back(&mut self, rolled_back: RolledBack, assignment: Option<Uuid>) {
        let fingerprint = rolled_back.launch.fingerprint();
        self.failed
            .retain(|failed| failed.fingerprint != fingerprint);
        self.pardon(assignment);
        self.rolled_back = Some(rolled_back);
    }

    /// Forgets that this assignment failed or was given up.
    pub fn pardon(&mut self, assignment: Option<Uuid>) {
        self.pardoned = assignment;
        self.pardoned_giving_up = assignment;
    }
}

/// What one supervisor is told to run. It never chooses anything beyond this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Names this assignment, so that its verdict is not mistaken for that of an earlier one.
    pub id: Uuid,
    /// What to start (or to adopt, where it runs already).
    pub launch: RecordedLaunch,
    /// What to start when the gate of `launch` fails.
    #[serde(default)]
    pub fallback: Option<RecordedLaunch>,
    /// Gate, restart policy and the rest.
    #[serde(default)]
    pub supervision: Supervision,
    /// Whether a server that runs the same launch already is ended, and not adopted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
}

/// A launch together with what was true of this machine when it was assigned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedLaunch {
    /// The launch itself.
    #[serde(flatten)]
    pub launch: Launch,
    /// The program, relative to the root: `bins/<uuid>/llama-server`.
    pub program: Utf8PathBuf,
    /// The files the launch names, as they were.
    #[serde(default)]
    pub facts: BTreeMap<Utf8PathBuf, FileFact>,
}

impl RecordedLaunch {
    /// The hash of the launch's inputs together with the facts of its files.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut inputs = self.launch.inputs.clone();
        for (path, fact) in &self.facts {
            inputs.set(format!("file {path}"), fact.to_value());
        }
        inputs.fingerprint()
    }

    /// The same hash as it was recorded before the later parts of a split model were.
    pub fn fingerprint_of_named(&self) -> Fingerprint {
        let mut named = self.clone();
        named
            .facts
            .retain(|path, _| self.launch.files.contains_key(path));
        named.fingerprint()
    }

    /// Bytes of its model and what is loaded with it, all parts together.
    pub fn model_size(&self) -> u64 {
        let is_model = |path: &Utf8PathBuf| {
            // What it does not name itself are the later parts of models.
            let role = self.launch.files.get(path);
            role.is_none_or(|role| *role == FileRole::Model)
        };
        let models = self.facts.iter().filter(|(path, _)| is_model(path));
        models.map(|(_, fact)| fact.size).sum()
    }

    /// What differs from this launch to `newer`, files included.
    pub fn changes_to(&self, newer: &Self) -> Vec<Change> {
        let mut changes = self.launch.inputs.changes_to(&newer.launch.inputs);
        for (path, fact) in &newer.facts {
            // A file that this launch did not name is already a change of the inputs.
            if let Some(old) = self.facts.get(path)
                && old != fact
            {
                changes.push(Change {
                    field: format!("file {path}"),
                    from: Some(old.to_value()),
                    to: Some(fact.to_value()),
                });
            }
        }
        changes
    }
}

/// One file as a launch found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    /// Size in bytes.
    pub size: u64,
    /// Modification time; absent where the content is compared instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// Salted hash of the content, for small files; the salt never leaves this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
}

impl FileFact {
    /// The fact as it is shown in a diff.
    fn to_value(&self) -> Value {
        let text = match (&self.content, &self.modified) {
            (Some(_), _) => format!("content of {} bytes ({})", self.size, self.short_content()),
            (None, Some(modified)) => format!("{} bytes of {modified:.0}", self.size),
            (None, None) => format!("{} bytes", self.size),
        };
        Value::String(text)
    }

    fn short_content(&self) -> String {
        self.content
            .map(|digest| digest.to_string()[..8].to_owned())
            .unwrap_or_default()
    }
}

/// What a server said of its load in its log, as far as it said anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadFacts {
    /// The devices it computes on, by their names there: `CUDA0`, `CPU`.
    pub devices: Vec<String>,
    /// How many of the model's layers it put on them, of how many.
    pub layers: Option<(u32, u32)>,
    /// Its context, in tokens.
    pub context: Option<u32>,
    /// Whether it said that it found no GPU.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_gpu: bool,
}

/// What the server of a proven launch said of its load, which the next gate goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenLoad {
    /// Which launch: [`RecordedLaunch::fingerprint`].
    pub fingerprint: Fingerprint,
    /// What it said.
    #[serde(flatten)]
    pub facts: LoadFacts,
}

/// A launch that did not get through its gate, or crashed too often before it was proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedLaunch {
    /// Which launch: [`RecordedLaunch::fingerprint`].
    pub fingerprint: Fingerprint,
    /// The build it ran, for the message.
    pub build: crate::release::BuildName,
    /// Why it failed.
    pub failure: Failure,
    /// When it failed.
    pub at: Timestamp,
    /// Whether the cause may be gone the next time (an address in use, no device memory): then it
    /// is worth telling, and no reason to hold the launch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
}

/// Why a launch failed, in words a person can act on, with the end of the server's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One line, such as `exited with code 1: unknown argument --flash`.
    pub reason: String,
    /// The last lines the server wrote, oldest first, at most 20.
    #[serde(default)]
    pub log_tail: Vec<String>,
}

/// A recorded `down`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutDown {
    /// When it was put down.
    pub at: Timestamp,
    /// Why, where the person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A recorded `suspend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// When it was suspended.
    pub at: Timestamp,
    /// Why, where the person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A recorded `rollback`: the launch that is wanted in place of the manifest's, for as long as the
/// manifest wants what it wanted then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolledBack {
    /// What is to run.
    pub launch: RecordedLaunch,
    /// The inputs of the manifest's launch when it was rolled back: [`Launch::fingerprint`].
    pub instead_of: Fingerprint,
    /// The build of that launch, for the message.
    pub instead_of_build: crate::release::BuildName,
    /// When it was rolled back.
    pub at: Timestamp,
    /// Why, where the person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl RolledBack {
    /// Whether it still counts against what the manifest wants now. Once that has other inputs,
    /// somebody has decided anew.
    pub fn holds_against(&self, wanted: &Launch) -> bool {
        self.instead_of == wanted.fingerprint()
    }
}
