//! Builds that somebody has laid hands on after they were installed.

use std::sync::atomic::AtomicU64;

use camino::Utf8PathBuf;

use super::*;
use crate::desired::WantedBinary;
use crate::install::tests::Sandbox;
use crate::install::tests::pack::Pack;
use crate::install::{Outcome, note_damage};
use crate::registry::Registry;

/// An installed build, and its folder.
fn installed() -> (Sandbox, WantedBinary, Utf8PathBuf) {
    let sandbox = Sandbox::new();
    let pack = Pack::release().with_file("llama-b9001/sub/notes.txt", b"words", 0o644);
    let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &pack.tar_gz());
    sandbox.install(&binary).expect("installed");
    let folder = sandbox.bins.join(binary.id.to_string());
    (sandbox, binary, folder)
}

fn look(sandbox: &Sandbox, binary: &WantedBinary) -> Verification {
    let registry = Registry::load(&sandbox.bins).expect("a registry");
    let entry = registry.get(binary.id).expect("an entry");
    verify(&sandbox.bins, entry, &|_, _| ()).expect("readable")
}

fn told(verification: &Verification) -> Vec<String> {
    let differences = verification.differences().iter();
    differences.map(ToString::to_string).collect()
}

#[test]
fn a_build_nobody_has_touched_is_as_its_list_says() {
    let (sandbox, binary, _folder) = installed();
    let registry = Registry::load(&sandbox.bins).expect("a registry");
    let entry = registry.get(binary.id).expect("an entry");
    let (most, all) = (AtomicU64::new(0), AtomicU64::new(0));
    let tell = |done, total| {
        most.fetch_max(done, Ordering::Relaxed);
        all.store(total, Ordering::Relaxed);
    };

    let verification = verify(&sandbox.bins, entry, &tell).expect("readable");

    let bytes = entry.size_bytes.expect("a size");
    let whole = Verification::Compared {
        differences: Vec::new(),
        files: 4,
        bytes,
    };
    assert_eq!(verification, whole);
    assert_eq!(verification.damage(), None);
    assert_eq!((most.into_inner(), all.into_inner()), (bytes, bytes));
}

#[cfg(unix)]
#[test]
fn every_change_is_named() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let (sandbox, binary, folder) = installed();
    let script = std::fs::read_to_string(folder.join("llama-server")).expect("a script");
    // As long as before, so that only its content tells.
    let other = script.replace("9001", "9002");
    std::fs::write(folder.join("llama-server"), other).expect("changed");
    std::fs::remove_file(folder.join("LICENSE")).expect("removed");
    std::fs::write(folder.join("libggml-evil.so"), "x").expect("added");
    std::fs::write(folder.join("sub/core.1"), "x").expect("added");
    std::fs::remove_file(folder.join("libllama.so")).expect("removed");
    symlink("llama-server", folder.join("libllama.so")).expect("relinked");
    std::fs::remove_file(folder.join("libllama.so.0")).expect("removed");
    let notes = folder.join("sub/notes.txt");
    std::fs::set_permissions(&notes, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let library = folder.join("libllama.so.0.0.9001");
    std::fs::set_permissions(&library, std::fs::Permissions::from_mode(0o644)).expect("a mode");

    let verification = look(&sandbox, &binary);

    insta::assert_snapshot!(told(&verification).join("\n"), @r"
    `llama-server` changed
    `LICENSE` is missing
    `libllama.so.0` is missing
    `libggml-evil.so` was added
    `sub/core.1` was added
    the link `libllama.so` changed
    `libllama.so.0.0.9001` is not executable
    `sub/notes.txt` is now executable
    ");
    assert_eq!(
        verification.damage().as_deref(),
        Some("`llama-server` changed, `LICENSE` is missing, 6 more")
    );
}

#[test]
fn a_list_that_was_changed_or_taken_away_is_itself_a_difference() {
    let (sandbox, binary, folder) = installed();
    let list = std::fs::read_to_string(folder.join(LIST)).expect("a list");
    for text in [list.replace("notes.txt", "else.txt"), "{".to_owned()] {
        std::fs::write(folder.join(LIST), text).expect("changed");
        assert_eq!(
            told(&look(&sandbox, &binary)),
            ["its list of files changed"]
        );
    }
    std::fs::remove_file(folder.join(LIST)).expect("removed");
    assert_eq!(
        told(&look(&sandbox, &binary)),
        ["its list of files is missing"]
    );
}

#[test]
fn a_build_of_another_program_has_no_list_and_no_damage() {
    let (sandbox, binary, folder) = installed();
    std::fs::remove_file(folder.join(LIST)).expect("removed");
    Registry::update(&sandbox.bins, |registry| {
        let mut entry = registry.remove(binary.id).expect("an entry");
        entry.files_sha256 = None;
        registry.insert(entry);
    })
    .expect("written");
    assert_eq!(look(&sandbox, &binary), Verification::Unlisted);

    std::fs::remove_file(folder.join("llama-server")).expect("removed");
    assert_eq!(
        told(&look(&sandbox, &binary)),
        ["`llama-server` is missing"]
    );
    std::fs::remove_dir_all(&folder).expect("removed");
    assert_eq!(
        told(&look(&sandbox, &binary)),
        [format!("`{folder}` is missing")]
    );
}

#[test]
fn a_build_that_is_noted_as_damaged_is_installed_again_under_its_id_and_names() {
    let (sandbox, binary, folder) = installed();
    let alias = WantedBinary {
        id: crate::instance::BinaryId::new(uuid::Uuid::new_v4()),
        ..binary.clone()
    };
    sandbox.install(&alias).expect("the same bits");
    std::fs::write(folder.join("libllama.so.0.0.9001"), "bent").expect("changed");
    std::fs::write(folder.join("added"), "x").expect("added");
    let damage = look(&sandbox, &binary).damage();
    assert!(damage.is_some());
    note_damage(&sandbox.bins, alias.id, damage).expect("noted");

    let again = sandbox.install(&binary).expect("installed");

    assert_eq!(again.outcome, Outcome::Installed);
    assert_eq!(told(&look(&sandbox, &binary)), Vec::<String>::new());
    let registry = Registry::load(&sandbox.bins).expect("a registry");
    let entry = registry.get(alias.id).expect("its other name");
    assert_eq!((entry.id, &entry.damage), (binary.id, &None));
    assert_eq!(sandbox.litter(), [binary.id.to_string()]);
    assert_eq!(
        sandbox.install(&alias).expect("there").outcome,
        Outcome::Present
    );
}

#[test]
fn a_note_of_damage_is_cleared_when_nothing_is_wrong_any_more() {
    let (sandbox, binary, _folder) = installed();
    note_damage(&sandbox.bins, binary.id, Some("it was".to_owned())).expect("noted");
    let noted = |sandbox: &Sandbox| {
        let registry = Registry::load(&sandbox.bins).expect("a registry");
        let entry = registry.get(binary.id).expect("an entry");
        damage(&sandbox.bins, entry)
    };
    assert_eq!(noted(&sandbox).as_deref(), Some("it was"));
    let damage = look(&sandbox, &binary).damage();
    note_damage(&sandbox.bins, binary.id, damage).expect("noted");
    assert_eq!(noted(&sandbox), None);
}

#[test]
fn a_glance_sees_a_library_that_is_gone() {
    let (sandbox, binary, folder) = installed();
    std::fs::remove_file(folder.join("libllama.so.0.0.9001")).expect("removed");
    let registry = Registry::load(&sandbox.bins).expect("a registry");
    let entry = registry.get(binary.id).expect("an entry");
    assert_eq!(
        damage(&sandbox.bins, entry).as_deref(),
        Some("`libllama.so.0.0.9001` is missing")
    );
}
