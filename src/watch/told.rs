//! `.llama-orch/told.json`: what was told and not taken back, so that a restart of watch tells nothing twice.

use super::notice::{TOLD_SCHEMA, Told};
use crate::durable::{self, FileError};
use crate::root::Root;

impl Told {
    /// What was told in this root; nothing, where nothing was kept yet.
    ///
    /// # Errors
    /// A file that is damaged or newer is never taken for nothing told. Whoever goes on all the same tells
    /// everything once more.
    pub fn read(root: &Root) -> Result<Self, FileError> {
        let told = durable::read_json(&root.told(), TOLD_SCHEMA)?;
        Ok(told.unwrap_or_default())
    }

    /// Writes it down. To be called when something has changed, and after what is to be told was handed on: a
    /// crash in between tells it twice, which is better than not at all.
    pub fn keep(&self, root: &Root) -> Result<(), FileError> {
        durable::write_json(&root.told(), self)
    }
}
