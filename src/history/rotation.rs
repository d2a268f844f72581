//! Appending to the history, and turning it over when it has become long.
//!
//! Its files move up by one name each, the oldest first, so that a crash at any point leaves at most a name
//! that nobody has: the next one to append closes that gap. No file is ever copied or cut.

use std::time::Duration;

use super::Entry;
use crate::durable::{self, FileError, FileLock};
use crate::kill_point;
use crate::root::Root;

/// How many bytes a file has when it is turned over.
const LONG: u64 = 4 << 20;

/// How many files are kept besides the one that is appended to.
pub(super) const KEPT: u32 = 3;

/// How long others may take to append. What was done is put down all the same: one who is suspended in the
/// midst of it must not keep that from everybody.
const PATIENCE: Duration = Duration::from_secs(5);

/// Appends a pass.
pub fn append(root: &Root, entry: &Entry) -> Result<(), FileError> {
    append_within(root, entry, LONG, PATIENCE)
}

/// The same, turning over at so many bytes, and with so much patience for others.
pub(super) fn append_within(
    root: &Root,
    entry: &Entry,
    long: u64,
    patience: Duration,
) -> Result<(), FileError> {
    let line = serde_json::to_string(entry).map_err(|error| FileError::Write {
        path: root.history(),
        source: error.into(),
    })?;
    let lock = FileLock::take_within(&root.history_lock(), patience)?;
    if lock.is_some() && durable::size(&root.history())? >= long {
        // One that cannot be turned over, as while somebody reads it on Windows, becomes longer; the next one
        // to come tries again.
        let _ = turn_over(root);
    }
    durable::append_line(&root.history(), &line)
}

/// Moves every file up by one name, as far as to the first name that nobody has. To be called under the lock.
fn turn_over(root: &Root) -> Result<(), FileError> {
    let is_free = |number: &u32| !root.history_before(*number).exists();
    let free = (1..=KEPT).find(is_free).unwrap_or(KEPT);
    for number in (1..free).rev() {
        durable::rename(
            &root.history_before(number),
            &root.history_before(number + 1),
        )?;
        kill_point::reached("history.moved");
    }
    durable::rename(&root.history(), &root.history_before(1))?;
    kill_point::reached("history.turned");
    durable::sync_folder(&root.state()).map_err(|source| FileError::Write {
        path: root.state(),
        source,
    })
}
