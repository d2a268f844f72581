//! `.llama-orch/watch.json`: what the watch of a root is at, for other commands. The lock says whether it
//! lives, the file what it is at.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::brake::Brake;
use super::snapshot::{GitState, WatchState};
use crate::durable::{self, FileError};
use crate::observed::{Seen, Unseen};
use crate::root::Root;

/// The number in `schema` that this version writes.
const SCHEMA: u32 = 1;

/// `.llama-orch/watch.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchFile {
    schema: u32,
    /// What it is at.
    #[serde(flatten)]
    pub state: WatchState,
    /// What a later version wrote.
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl WatchFile {
    /// A file that says this.
    pub fn new(state: WatchState) -> Self {
        Self {
            schema: SCHEMA,
            state,
            other: Map::new(),
        }
    }

    /// Reads it; `None` where no watch ever ran.
    ///
    /// # Errors
    /// It is damaged, or of a newer version.
    pub fn read(root: &Root) -> Result<Option<Self>, FileError> {
        durable::read_json(&root.watch_state(), SCHEMA)
    }

    /// Writes it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, root: &Root) -> Result<(), FileError> {
        durable::write_json(&root.watch_state(), self)
    }
}

/// What the watch that keeps this root is at. `None` where none lives, or it cannot be told.
pub fn living(root: &Root) -> Option<WatchState> {
    if !is_living(root) {
        return None;
    }
    let file = WatchFile::read(root).ok().flatten();
    file.map(|file| file.state)
}

/// The clone that a watch keeps the files of this root by; none where nobody does, or a person suspended it. Unknown
/// where a watch lives and does not say.
pub fn following(root: &Root) -> Seen<Option<GitState>> {
    let is_suspended = Brake::read(root).is_ok_and(|brake| brake.suspended.is_some());
    if is_suspended || !is_living(root) {
        return Seen::Known(None);
    }
    match living(root) {
        Some(state) => Seen::Known(state.git),
        None => Seen::Unknown(Unseen(format!("`{}` cannot be read", root.watch_state()))),
    }
}

/// Whether a watch keeps this root.
pub fn is_living(root: &Root) -> bool {
    durable::is_locked(&root.watch_lock()).unwrap_or(false)
}
