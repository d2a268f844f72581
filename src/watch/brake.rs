//! `.llama-orch/brake.json`: what a person has halted of watch, and where they hold its clone. Survives a
//! restart, and counts whether watch runs or not.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::snapshot::{Halted, Pinned};
use crate::durable::{self, FileError, FileLock};
use crate::root::Root;

/// The number in `schema` that this version writes.
const SCHEMA: u32 = 1;
/// How long another command may take to write it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a person has halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    schema: u32,
    /// Since when watch changes nothing by itself, and takes no commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Halted>,
    /// The commit the clone is held at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// What a later version wrote.
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Default for Brake {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            suspended: None,
            pinned: None,
            other: Map::new(),
        }
    }
}

impl Brake {
    /// Reads it; without a file nothing is halted.
    ///
    /// # Errors
    /// The file is damaged, or of a newer version: then nobody knows what is halted.
    pub fn read(root: &Root) -> Result<Self, FileError> {
        Ok(durable::read_json(&root.brake(), SCHEMA)?.unwrap_or_default())
    }

    /// Changes it, alone among the commands that do so. What it was before and what it is now.
    ///
    /// # Errors
    /// It cannot be read or written; then it is as it was.
    pub fn change(root: &Root, change: impl FnOnce(&mut Self)) -> Result<(Self, Self), FileError> {
        root.create_state()?;
        let path = root.brake();
        // Without the lock the later one of two would win, as it does with it.
        let _lock = FileLock::take_within(&path.with_extension("lock"), PATIENCE)?;
        let before = Self::read(root)?;
        let mut now = before.clone();
        change(&mut now);
        if now != before {
            durable::write_json(&path, &now)?;
        }
        Ok((before, now))
    }

    /// Whether anything is halted.
    pub const fn is_set(&self) -> bool {
        self.suspended.is_some() || self.pinned.is_some()
    }
}
