//! Moving a finished build to its place and registering it, so that at every instant either the old
//! or the new folder has the id, or [`recover`](super::recover()) knows how to go on.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::files::Files;
use super::{InstallError, METADATA, staging, system};
use crate::durable;
use crate::instance::BinaryId;
use crate::kill_point;
use crate::registry::{Entry, Registry};

/// What stands before the id of a folder that was moved aside to make room for a new one.
const ASIDE: &str = ".replaced-";

/// Writes the notes into a finished home, makes it last, moves it to its place and registers it, in
/// this order: a crash in between leaves a complete folder that is registered by the note inside.
/// A folder that stands there goes only once the new one is in its place; whoever called has seen
/// that the registry has it.
pub(super) fn put(
    home: &Utf8Path,
    files: &Files,
    mut entry: Entry,
    bins: &Utf8Path,
) -> Result<Entry, InstallError> {
    entry.files_sha256 = Some(files.write(home)?);
    durable::write_json(&home.join(METADATA), &entry)?;
    let place = bins.join(entry.home()?);
    let failed = |source| InstallError::Write {
        path: place.clone(),
        source,
    };
    system::flush(home).map_err(failed)?;
    if place.symlink_metadata().is_ok() {
        if !system::exchange(home, &place).map_err(failed)? {
            swap(home, &place, &aside(bins, entry.id)).map_err(failed)?;
        }
        durable::sync_folder(bins).map_err(failed)?;
        kill_point::reached("install.swapped");
    } else {
        fs::rename(home, &place).map_err(failed)?;
        durable::sync_folder(bins).map_err(failed)?;
        kill_point::reached("install.renamed");
    }
    let before = Registry::update(bins, |registry| {
        let before = registry.get(entry.id).cloned();
        registry.insert(entry.clone());
        before
    })?;
    kill_point::reached("install.registered");
    if let Some(before) = before {
        discard_moved(bins, &before, &entry)?;
    }
    Ok(entry)
}

/// Removes the folder of an entry whose build has come to lie elsewhere.
pub(super) fn discard_moved(
    bins: &Utf8Path,
    before: &Entry,
    after: &Entry,
) -> Result<(), InstallError> {
    let (old, new) = (before.home()?, after.home()?);
    let registry = Registry::load(bins)?;
    let is_used = |entry: &Entry| {
        let folder = entry.folder();
        folder.is_ok_and(|folder| folder.starts_with(&old) || old.starts_with(&folder))
    };
    if before.id == after.id && old != new && !registry.entries().iter().any(is_used) {
        staging::discard(bins, &bins.join(old), before.id)?;
    }
    Ok(())
}

fn aside(bins: &Utf8Path, id: BinaryId) -> Utf8PathBuf {
    bins.join(format!("{ASIDE}{id}"))
}

/// Puts `new` where `place` is by two renames, where the system has no exchange.
fn swap(new: &Utf8Path, place: &Utf8Path, aside: &Utf8Path) -> io::Result<()> {
    staging::remove(aside)?;
    fs::rename(place, aside)?;
    kill_point::reached("install.aside");
    if let Err(error) = fs::rename(new, place) {
        fs::rename(aside, place)?;
        return Err(error);
    }
    staging::remove(aside)
}

/// Finishes what [`swap`] was killed in: the old folder goes back to its place where no new one
/// stands there, and away where one does. To be called when nobody installs.
pub(super) fn finish_swaps(bins: &Utf8Path) -> io::Result<()> {
    for entry in bins.read_dir_utf8()? {
        let entry = entry?;
        let Some(id) = entry.file_name().strip_prefix(ASIDE) else {
            continue;
        };
        let place = bins.join(id);
        match place.symlink_metadata() {
            Ok(_) => staging::remove(entry.path())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(entry.path(), &place)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::recover;
    use super::super::tests::Sandbox;
    use super::super::tests::pack::Pack;
    use super::*;

    fn names(folder: &Utf8Path) -> Vec<String> {
        let entries = folder.read_dir_utf8().expect("readable");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn without_an_exchange_a_folder_is_swapped_by_two_renames() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bins = Utf8Path::from_path(folder.path()).expect("UTF-8");
        for name in ["new", "build"] {
            fs::create_dir(bins.join(name)).expect("created");
            fs::write(bins.join(name).join(name), name).expect("written");
        }
        swap(&bins.join("new"), &bins.join("build"), &bins.join(".aside")).expect("swapped");
        assert_eq!(names(bins), ["build"]);
        assert!(bins.join("build/new").is_file());
    }

    #[test]
    fn a_swap_that_was_killed_is_undone_or_finished() {
        for is_moved in [false, true] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let bins = Utf8Path::from_path(folder.path()).expect("UTF-8");
            let id = BinaryId::new(uuid::Uuid::new_v4());
            fs::create_dir(aside(bins, id)).expect("moved aside");
            fs::write(aside(bins, id).join("old"), "old").expect("written");
            if is_moved {
                fs::create_dir(bins.join(id.to_string())).expect("moved into place");
            }
            finish_swaps(bins).expect("finished");
            assert_eq!(names(bins), [id.to_string()]);
            let old = bins.join(id.to_string()).join("old");
            assert_eq!(old.is_file(), !is_moved);
        }
    }

    #[test]
    fn a_build_that_was_killed_on_its_way_home_leaves_no_folder_where_it_lay_before() {
        let sandbox = Sandbox::new();
        let bins = &sandbox.bins;
        let archive = Pack::release().tar_gz();
        let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &archive);
        let mended = sandbox.install(&binary).expect("installed").entry;
        // As it was registered before, which the kill left as it stood.
        let legacy = bins.join("b9001");
        std::fs::create_dir(&legacy).expect("a folder");
        std::fs::write(legacy.join("llama-server"), "old").expect("a file");
        Registry::update(bins, |registry| {
            registry.insert(Entry {
                path: "b9001".to_owned(),
                installed_at: Some("2024-01-01T00:00:00Z".to_owned()),
                ..mended.clone()
            });
        })
        .expect("registered");

        let recovered = recover(bins).expect("recovered");

        assert_eq!(recovered.registered, [binary.id]);
        assert!(!legacy.exists());
        let registry = Registry::load(bins).expect("a registry");
        assert_eq!(
            registry.get(binary.id).map(|entry| &entry.path),
            Some(&mended.path)
        );
    }
}
