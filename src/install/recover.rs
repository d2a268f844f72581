//! Finishing what a crash left half done, and taking a build away.

use camino::{Utf8Path, Utf8PathBuf};

use super::damage::damage;
use super::{InstallError, METADATA, cache, place, staging};
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
        .filter_map(|entry| entry.home().ok())
        .collect();
    let failed = |source| FileError::Read {
        path: bins.to_owned(),
        source,
    };
    place::finish_swaps(bins).map_err(failed)?;
    for (id, folder) in folders(bins)? {
        if adopt(bins, id)?.is_some() {
            recovered.registered.push(id);
        } else if !known.iter().any(|home| bins.join(home) == folder) {
            recovered.strangers.push(folder);
        }
    }
    let registry = Registry::load(bins)?;
    // A build that is damaged may be on its way once more.
    let is_whole = |entry: &Entry| damage(bins, entry).is_none();
    let has = |entry: &Entry, digest| {
        let mut companions = entry.companions.iter();
        entry.digest() == Some(digest) || companions.any(|one| one.sha256 == digest)
    };
    cache::tidy(bins, |digest| {
        let mut entries = registry.entries().iter();
        entries.any(|entry| has(entry, digest) && is_whole(entry))
    })?;
    Ok(recovered)
}

/// Registers the build in the folder of this id by the note that was put into it before it was
/// moved to there, also in place of an older entry. `None` when there is no such note, the registry
/// knows it, or another build has the id.
pub(super) fn adopt(bins: &Utf8Path, id: BinaryId) -> Result<Option<Entry>, InstallError> {
    let Some(noted) = noted(bins, id)? else {
        return Ok(None);
    };
    if !is_news(&noted, &Registry::load(bins)?) {
        return Ok(None);
    }
    let replaced = Registry::update(bins, |registry| {
        is_news(&noted, registry).then(|| {
            let before = registry.get(id).cloned();
            registry.insert(noted.clone());
            before
        })
    })?;
    let Some(before) = replaced else {
        return Ok(None);
    };
    if let Some(before) = before {
        place::discard_moved(bins, &before, &noted)?;
    }
    Ok(Some(noted))
}

/// The registry as the next pass will have it: with the builds that are complete and not listed
/// yet, because a crash came in between or the file was lost. Writes nothing.
pub fn listed(bins: &Utf8Path) -> Result<Registry, FileError> {
    let mut registry = Registry::load(bins)?;
    if bins.is_dir() {
        for (id, _) in folders(bins)? {
            if let Some(noted) = noted(bins, id)?.filter(|noted| is_news(noted, &registry)) {
                registry.insert(noted);
            }
        }
    }
    Ok(registry)
}

/// The folders that are named like a build, sorted.
fn folders(bins: &Utf8Path) -> Result<Vec<(BinaryId, Utf8PathBuf)>, FileError> {
    let failed = |source| FileError::Read {
        path: bins.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in bins.read_dir_utf8().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(id) = entry.file_name().parse::<BinaryId>()
            && entry.path().is_dir()
        {
            found.push((id, entry.path().to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

/// What the note in the folder of this id says of the build in it.
fn noted(bins: &Utf8Path, id: BinaryId) -> Result<Option<Entry>, FileError> {
    let note = bins.join(id.to_string()).join(METADATA);
    let Some(text) = durable::read_text(&note)? else {
        return Ok(None);
    };
    let noted = serde_json::from_str::<Entry>(&text).ok();
    let is_at_home = |noted: &Entry| noted.home() == Ok(id.to_string().into());
    Ok(noted.filter(|noted| noted.id == id && is_at_home(noted)))
}

/// Whether a note knows more of a build than the registry.
fn is_news(noted: &Entry, registry: &Registry) -> bool {
    match registry.get(noted.id) {
        None => true,
        Some(entry) => entry.id == noted.id && entry.installed() < noted.installed(),
    }
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
    let home = bins.join(entry.home()?);
    let is_shared = registry
        .entries()
        .iter()
        .any(|other| other.id != id && other.folder().ok() == entry.folder().ok());
    if !is_shared {
        staging::discard(bins, &home, id)?;
    }
    kill_point::reached("prune.discarded");
    Registry::update(bins, |registry| registry.remove(id))?;
    kill_point::reached("prune.unlisted");
    // What is in use elsewhere now is swept when that is over.
    staging::sweep(bins)?;
    Ok(true)
}
