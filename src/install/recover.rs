//! Finishing what a crash left half done, and taking a build away.

use camino::{Utf8Path, Utf8PathBuf};

use super::{InstallError, METADATA, cache, staging};
use crate::durable::{self, FileError};
use crate::instance::BinaryId;
use crate::kill_point;
use crate::registry::{Entry, Registry};

/// What was found after a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Builds that were complete and are registered now.
    pub registered: Vec<BinaryId>,
    /// Half-done installs that were removed.
    pub removed: usize,
    /// Folders named by a UUID that nobody has registered and that carry no note of ours. They
    /// are left alone.
    pub strangers: Vec<Utf8PathBuf>,
    /// Somebody installs right now, so nothing was looked at.
    pub busy: bool,
}

/// Registers complete builds the registry does not know, and removes half-done installs. Does
/// nothing while somebody installs.
pub fn recover(bins: &Utf8Path) -> Result<Recovered, InstallError> {
    let mut recovered = Recovered::default();
    if !bins.is_dir() {
        return Ok(recovered);
    }
    let Some(swept) = staging::sweep(bins)? else {
        recovered.busy = true;
        return Ok(recovered);
    };
    recovered.removed = swept.removed;
    let registry = Registry::load(bins)?;
    let known: Vec<Utf8PathBuf> = registry
        .entries()
        .iter()
        .filter_map(|entry| entry.folder().ok())
        .collect();
    let failed = |source| FileError::Read {
        path: bins.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in bins.read_dir_utf8().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_known = known.iter().any(|folder| folder == entry.file_name());
        if let Ok(id) = entry.file_name().parse::<BinaryId>()
            && entry.path().is_dir()
            && !is_known
        {
            found.push((id, entry.path().to_owned()));
        }
    }
    found.sort();
    for (id, folder) in found {
        match adopt(bins, id)? {
            Some(_) => recovered.registered.push(id),
            None => recovered.strangers.push(folder),
        }
    }
    let registry = Registry::load(bins)?;
    cache::tidy(bins, |digest| registry.of_digest(digest).next().is_some())?;
    Ok(recovered)
}

/// Registers the build in the folder of this id by the note that was put into it before it was
/// renamed to there. `None` when there is no such note, or another build has the id.
pub(super) fn adopt(bins: &Utf8Path, id: BinaryId) -> Result<Option<Entry>, InstallError> {
    let note = bins.join(id.to_string()).join(METADATA);
    let Some(text) = durable::read_text(&note)? else {
        return Ok(None);
    };
    let Ok(entry) = serde_json::from_str::<Entry>(&text) else {
        return Ok(None);
    };
    if entry.id != id || entry.path != id.to_string() {
        return Ok(None);
    }
    let adopted = Registry::update(bins, |registry| {
        let is_free = registry.get(id).is_none();
        if is_free {
            registry.insert(entry.clone());
        }
        is_free
    })?;
    Ok(adopted.then_some(entry))
}

/// Removes a build: its folder vanishes by one rename, then its entry, then its content. A crash in
/// between leaves an entry without a folder, which this finishes when it is repeated, or content
/// in staging, which the next sweep removes. `false` when the registry has no
/// such entry. Whether something still uses the build is the caller's business.
pub fn uninstall(bins: &Utf8Path, id: BinaryId) -> Result<bool, InstallError> {
    let registry = Registry::load(bins)?;
    let Some(entry) = registry.entries().iter().find(|entry| entry.id == id) else {
        return Ok(false);
    };
    let folder = bins.join(entry.folder()?);
    let is_shared = registry
        .entries()
        .iter()
        .any(|other| other.id != id && other.folder().ok() == entry.folder().ok());
    if !is_shared {
        staging::discard(bins, &folder, id)?;
    }
    kill_point::reached("prune.discarded");
    Registry::update(bins, |registry| registry.remove(id))?;
    kill_point::reached("prune.unlisted");
    // What is in use elsewhere now is swept when that is over.
    staging::sweep(bins)?;
    Ok(true)
}
