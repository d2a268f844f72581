//! Two builds that have the same companion.

use camino::Utf8PathBuf;

use crate::desired::WantedBinary;
use crate::install::tests::pack::Pack;
use crate::install::tests::{Sandbox, wanted};
use crate::install::{InstallError, verify};
use crate::registry::Registry;
use crate::release::Variant;

const COMPANION: &str = "cudart-llama-bin-ubuntu-cuda-12.8-x64.tar.gz";

fn companion() -> Vec<u8> {
    Pack::empty()
        .with_file("cudart/libcudart.so.12.8", b"\x7fELF cuda", 0o755)
        .with_file("cudart/lib/libcublas.so.12", b"\x7fELF cublas", 0o755)
        .with_file("cudart/LICENSE", b"MIT", 0o644)
        .with_link("cudart/libcudart.so.12", "libcudart.so.12.8")
        .tar_gz()
}

/// A CUDA build of this number with the companion all of them have.
fn publish(sandbox: &Sandbox, more: &str) -> WantedBinary {
    let pack = Pack::release().with_file(&format!("llama-b9001/{more}"), b"more", 0o644);
    let name = format!("llama-b9001-bin-ubuntu-cuda-12.8-x64{more}.tar.gz");
    let mut binary = sandbox.publish(&name, &pack.tar_gz());
    binary.variant = Variant::new("ubuntu-cuda-12.8-x64");
    let bytes = companion();
    std::fs::write(sandbox.releases.join(COMPANION), &bytes).expect("an archive");
    binary.archives.push(wanted(COMPANION, &bytes));
    binary
}

fn folder(sandbox: &Sandbox, binary: &WantedBinary) -> Utf8PathBuf {
    sandbox.bins.join(binary.id.to_string())
}

fn differences(sandbox: &Sandbox, binary: &WantedBinary) -> usize {
    let registry = Registry::load(&sandbox.bins).expect("a registry");
    let entry = registry.get(binary.id).expect("an entry");
    let verification = verify(&sandbox.bins, entry, &|_, _| ()).expect("readable");
    verification.differences().len()
}

#[test]
fn a_companion_that_is_there_is_neither_fetched_nor_stored_again() {
    use std::os::unix::fs::MetadataExt as _;
    let sandbox = Sandbox::new();
    let first = publish(&sandbox, "one");
    sandbox.install(&first).expect("installed");
    let second = publish(&sandbox, "two");
    std::fs::remove_file(sandbox.releases.join(COMPANION)).expect("out of reach");

    let installed = sandbox.install(&second).expect("installed without it");

    assert_eq!(installed.entry.companions.len(), 1);
    assert_eq!(differences(&sandbox, &second), 0);
    let [one, two] = [&first, &second].map(|binary| {
        let library = folder(&sandbox, binary).join("lib/libcublas.so.12");
        std::fs::metadata(library).expect("there").ino()
    });
    assert_eq!(one, two, "the same file");
    let link = folder(&sandbox, &second).join("libcudart.so.12");
    assert_eq!(link.read_link_utf8().expect("a link"), "libcudart.so.12.8");

    crate::install::uninstall(&sandbox.bins, first.id).expect("taken away");
    assert_eq!(differences(&sandbox, &second), 0, "it keeps its own");
}

#[test]
fn a_companion_that_was_harmed_is_fetched() {
    let sandbox = Sandbox::new();
    let first = publish(&sandbox, "one");
    sandbox.install(&first).expect("installed");
    let library = folder(&sandbox, &first).join("lib/libcublas.so.12");
    std::fs::write(&library, b"\x7fELF xublas").expect("changed");
    let second = publish(&sandbox, "two");

    sandbox.install(&second).expect("installed");

    assert_eq!(differences(&sandbox, &second), 0);
    assert_eq!(differences(&sandbox, &first), 1);
}

#[test]
fn a_companion_of_which_something_was_left_out_is_fetched() {
    let sandbox = Sandbox::new();
    let own = Pack::release().with_file("llama-b9001/lib/libcublas.so.12", b"its own", 0o755);
    let name = "llama-b9001-bin-ubuntu-cuda-12.8-x64.tar.gz";
    let mut first = publish(&sandbox, "one");
    first.archives[0] = sandbox.publish(name, &own.tar_gz()).archives.remove(0);
    let installed = sandbox.install(&first).expect("installed");
    assert_eq!(installed.remarks.len(), 1, "{:?}", installed.remarks);
    let second = publish(&sandbox, "two");

    sandbox.install(&second).expect("installed");

    let library = folder(&sandbox, &second).join("lib/libcublas.so.12");
    assert_eq!(std::fs::read(library).expect("there"), b"\x7fELF cublas");
}

#[test]
fn a_cuda_build_of_a_release_needs_its_companion() {
    let sandbox = Sandbox::new();
    let mut binary = publish(&sandbox, "one");
    binary.archives.truncate(1);
    let error = sandbox.install(&binary).expect_err("alone");
    assert!(matches!(error, InstallError::NoCompanion { .. }), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(sandbox.litter(), Vec::<String>::new());

    let path = sandbox.releases.join(&binary.archives[0].name);
    let url = url::Url::from_file_path(path).expect("a URL");
    binary.archives[0].origin = crate::desired::ArchiveOrigin::Url(url);
    let installed = sandbox.install(&binary).expect("a build made elsewhere");
    assert!(
        installed.remarks[0].contains("libcudart"),
        "{:?}",
        installed.remarks
    );
}

#[test]
fn an_entry_without_the_companion_that_is_wanted_is_not_the_build() {
    let sandbox = Sandbox::new();
    let binary = publish(&sandbox, "one");
    sandbox.install(&binary).expect("installed");
    Registry::update(&sandbox.bins, |registry| {
        let mut entry = registry.remove(binary.id).expect("an entry");
        entry.companions.clear();
        registry.insert(entry);
    })
    .expect("written");

    let again = sandbox.install(&binary).expect("installed");

    assert_eq!(again.outcome, crate::install::Outcome::Installed);
    assert_eq!(again.entry.companions.len(), 1);
}
