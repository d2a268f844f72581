//! Whether an installed build can be used, as far as a glance tells, and the note of a closer look.
//!
//! A glance costs a few calls and is part of every plan. The closer look is
//! [`verify`](super::verify()).

use camino::Utf8Path;

use super::{Files, InstallError};
use crate::instance::BinaryId;
use crate::registry::{Entry, REFERENCE, Registry};

/// What is wrong with a build: what was written down, or that a file or link of it is gone.
/// Reads no file but their list.
pub fn damage(bins: &Utf8Path, entry: &Entry) -> Option<String> {
    if entry.damage.is_some() {
        return entry.damage.clone();
    }
    let (folder, program) = match (entry.folder(), entry.program()) {
        (Ok(folder), Ok(program)) => (bins.join(folder), bins.join(program)),
        (Err(error), _) | (_, Err(error)) => return Some(error.to_string()),
    };
    if !folder.is_dir() {
        let folder = reference(bins, entry).unwrap_or(folder);
        return Some(format!("`{folder}` is missing"));
    }
    if !program.is_file() {
        let name = program.file_name().unwrap_or_default();
        return Some(format!("`{name}` is missing"));
    }
    // What other programs have listed need not be relative to the folder.
    entry.files_sha256?;
    let (files, _) = match Files::load(bins, entry) {
        Ok(list) => list?,
        Err(error) => return Some(error.to_string()),
    };
    // What lies elsewhere is its owner's to build anew; its programs and libraries have to be there.
    let names: Vec<&String> = if entry.is_referenced() {
        entry.executables.iter().collect()
    } else {
        files.files.keys().chain(files.links.keys()).collect()
    };
    let is_gone = |name: &&&String| folder.join(name.as_str()).symlink_metadata().is_err();
    let missing = names.iter().find(is_gone)?;
    Some(format!("`{missing}` is missing"))
}

/// The folder a referenced build lies in.
pub fn reference(bins: &Utf8Path, entry: &Entry) -> Option<camino::Utf8PathBuf> {
    let home = entry.home().ok().filter(|_| entry.is_referenced())?;
    bins.join(home).join(REFERENCE).read_link_utf8().ok()
}

/// Writes down what is wrong with a build, so that the next plan installs it again, or that nothing
/// is. Nothing happens where the registry has no such build.
pub fn note_damage(
    bins: &Utf8Path,
    id: BinaryId,
    damage: Option<String>,
) -> Result<(), InstallError> {
    Registry::update(bins, |registry| registry.set_damage(id, damage))?;
    Ok(())
}
