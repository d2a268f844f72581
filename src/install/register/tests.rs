//! Builds of one's own: copied, referenced, registered again.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::install::tests::Sandbox;
use crate::install::tests::pack::SERVER;
use crate::install::{Verification, note_damage, recover, uninstall, verify};

/// A build in a folder of its own, beside `bins`.
struct Own {
    sandbox: Sandbox,
    folder: Utf8PathBuf,
}

impl Own {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let folder = sandbox.releases.canonicalize_utf8().expect("it is there");
        let own = Self {
            folder: folder.join("llama.cpp/build/bin"),
            sandbox,
        };
        fs::create_dir_all(own.folder.join("sub")).expect("created");
        own.write("llama-server", SERVER);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(own.folder.join("llama-server"), executable).expect("a mode");
        own.write("libllama.so.0.0.1", "\x7fELF");
        own.write("sub/notes.txt", "words");
        symlink("libllama.so.0.0.1", own.folder.join("libllama.so")).expect("a link");
        own
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("written");
    }

    fn register(&self, path: &Utf8Path, link: bool) -> Result<Installed, InstallError> {
        self.register_as("mine", path, link, None)
    }

    fn register_as(
        &self,
        version: &str,
        path: &Utf8Path,
        link: bool,
        id: Option<BinaryId>,
    ) -> Result<Installed, InstallError> {
        let version = version.parse().expect("a name");
        let request = RegisterRequest {
            bins: &self.sandbox.bins,
            path,
            version: &version,
            variant: None,
            id,
            link,
            host: None,
        };
        register(&request, &|_, _| ())
    }

    fn verify(&self, entry: &Entry) -> Vec<String> {
        let verification = verify(&self.sandbox.bins, entry, &|_, _| ()).expect("readable");
        assert_ne!(verification, Verification::Unlisted);
        let differences = verification.differences().iter();
        differences.map(ToString::to_string).collect()
    }

    fn refused(&self, link: bool) -> String {
        let error = self.register(&self.folder, link).expect_err("refused");
        assert_eq!(self.sandbox.litter(), Vec::<String>::new());
        error.to_string().replace(self.folder.as_str(), "[FOLDER]")
    }
}

#[test]
fn a_copy_is_a_build_like_any_other() {
    let own = Own::new();
    // The file stands for its folder, also through a link to it.
    let link = own.sandbox.releases.join("llama-server");
    symlink(own.folder.join("llama-server"), &link).expect("a link");

    let installed = own.register(&link, false).expect("registered");

    let entry = &installed.entry;
    assert_eq!(installed.outcome, Outcome::Installed);
    assert_eq!(installed.remarks, Vec::<String>::new());
    assert_eq!((entry.version.as_str(), entry.digest()), ("mine", None));
    let from = format!("registered from {}", own.folder);
    assert_eq!(entry.download_url, Some(from));
    assert_eq!(entry.executables, ["libllama.so.0.0.1", "llama-server"]);
    assert_eq!(own.verify(entry), Vec::<String>::new());
    let registry = Registry::load(&own.sandbox.bins).expect("a registry");
    assert_eq!(registry.get(entry.id), Some(entry));
    assert_eq!(own.sandbox.litter(), [entry.id.to_string()]);

    fs::remove_dir_all(&own.folder).expect("removed");
    assert_eq!(damage(&own.sandbox.bins, entry), None);
    assert_eq!(own.verify(entry), Vec::<String>::new());
}

#[test]
fn the_same_files_are_registered_once_under_a_name() {
    let own = Own::new();
    let first = own.register(&own.folder, false).expect("registered");
    let again = own.register(&own.folder, false).expect("there");
    assert_eq!(again.outcome, Outcome::Present);
    assert_eq!(again.entry, first.entry);

    let id = BinaryId::new(uuid::Uuid::new_v4());
    let alias = own.register_as("mine", &own.folder, false, Some(id));
    let alias = alias.expect("there");
    assert_eq!(alias.outcome, Outcome::Aliased);
    assert_eq!(alias.entry.id, first.entry.id);

    let other = own.register_as("yours", &own.folder, false, None);
    let other = other.expect("another name");
    assert_ne!(other.entry.id, first.entry.id);
}

#[test]
fn other_files_do_not_take_a_name_away() {
    let own = Own::new();
    let first = own.register(&own.folder, false).expect("registered");
    own.write("sub/notes.txt", "other words");

    let error = own.register(&own.folder, false).expect_err("taken");

    let id = first.entry.id;
    assert_eq!(
        error.to_string(),
        format!("`mine` (unknown) is the name of other files, with the id `{id}`")
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("--version")));
    let error = own
        .register_as("new", &own.folder, false, Some(id))
        .expect_err("its id is taken");
    assert!(matches!(error, InstallError::OtherBuild { .. }), "{error}");
}

#[test]
fn a_damaged_copy_is_mended_under_its_id() {
    let own = Own::new();
    let first = own.register(&own.folder, false).expect("registered");
    let copy = own.sandbox.bins.join(first.entry.id.to_string());
    fs::write(copy.join("libllama.so.0.0.1"), "bent").expect("changed");
    let damage = Some("`libllama.so.0.0.1` changed".to_owned());
    note_damage(&own.sandbox.bins, first.entry.id, damage).expect("noted");

    let again = own.register(&own.folder, false).expect("registered");

    assert_eq!(again.outcome, Outcome::Installed);
    assert_eq!(
        (again.entry.id, &again.entry.damage),
        (first.entry.id, &None)
    );
    assert_eq!(own.verify(&again.entry), Vec::<String>::new());
    assert_eq!(own.sandbox.litter(), [first.entry.id.to_string()]);
}

#[test]
fn a_referenced_build_stays_where_it_is_and_nothing_is_written_there() {
    let own = Own::new();
    let before = tree::walk(&own.folder).expect("readable");

    let installed = own.register(&own.folder, true).expect("registered");

    let entry = &installed.entry;
    assert!(entry.is_referenced());
    assert_eq!(
        reference(&own.sandbox.bins, entry),
        Some(own.folder.clone())
    );
    let program = own.sandbox.bins.join(entry.program().expect("inside bins"));
    let program = program.canonicalize_utf8().expect("it is there");
    assert_eq!(program, own.folder.join("llama-server"));
    assert_eq!(own.verify(entry), Vec::<String>::new());

    let recovered = recover(&own.sandbox.bins).expect("recovered");
    assert_eq!(
        (recovered.registered, recovered.strangers),
        (vec![], vec![])
    );
    assert!(uninstall(&own.sandbox.bins, entry.id).expect("taken away"));
    assert_eq!(own.sandbox.litter(), Vec::<String>::new());
    assert_eq!(tree::walk(&own.folder).expect("readable"), before);
}

#[test]
fn a_referenced_build_that_was_made_anew_is_registered_again_under_its_id() {
    let own = Own::new();
    let first = own.register(&own.folder, true).expect("registered");
    own.write("libllama.so.0.0.1", "\x7fELF of today");
    assert_eq!(own.verify(&first.entry), ["`libllama.so.0.0.1` changed"]);
    assert_eq!(damage(&own.sandbox.bins, &first.entry), None);

    let again = own.register(&own.folder, true).expect("registered");

    assert_eq!(again.entry.id, first.entry.id);
    assert_eq!(own.verify(&again.entry), Vec::<String>::new());
    assert_eq!(
        own.register(&own.folder, true).expect("there").outcome,
        Outcome::Present
    );
    assert_eq!(own.sandbox.litter(), [first.entry.id.to_string()]);
}

#[test]
fn a_referenced_build_that_is_gone_is_damaged_and_can_be_taken_away() {
    let own = Own::new();
    let installed = own.register(&own.folder, true).expect("registered");
    fs::remove_dir_all(&own.folder).expect("removed");

    let gone = format!("`{}` is missing", own.folder);
    assert_eq!(
        damage(&own.sandbox.bins, &installed.entry),
        Some(gone.clone())
    );
    assert_eq!(own.verify(&installed.entry), [gone]);
    assert!(uninstall(&own.sandbox.bins, installed.entry.id).expect("taken away"));
    assert_eq!(own.sandbox.litter(), Vec::<String>::new());
}

#[test]
fn after_a_crash_a_build_of_ones_own_is_registered_from_its_note() {
    for link in [false, true] {
        let own = Own::new();
        let installed = own.register(&own.folder, link).expect("registered");
        fs::remove_file(own.sandbox.bins.join("registry.json")).expect("never written");

        let recovered = recover(&own.sandbox.bins).expect("recovered");

        assert_eq!(recovered.registered, [installed.entry.id]);
        let registry = Registry::load(&own.sandbox.bins).expect("a registry");
        assert_eq!(registry.get(installed.entry.id), Some(&installed.entry));
    }
}

#[test]
fn what_is_no_build_is_refused_with_the_way_out() {
    let own = Own::new();
    let outside = own.folder.join("outside");
    symlink("../../secret", &outside).expect("a link");
    fs::write(own.folder.join("../../secret"), "x").expect("written");
    let mut told = vec![own.refused(false)];
    own.register_as("linked", &own.folder, true, None)
        .map(|installed| uninstall(&own.sandbox.bins, installed.entry.id))
        .expect("a reference may")
        .expect("taken away");
    fs::remove_file(&outside).expect("removed");

    symlink(own.folder.join("llama-server"), &outside).expect("a link");
    told.push(own.refused(false));
    fs::remove_file(&outside).expect("removed");

    symlink("nowhere", &outside).expect("a link");
    told.push(own.refused(false));
    fs::remove_file(&outside).expect("removed");

    own.write(
        "llama-server",
        "#!/bin/sh\necho 'no such library' >&2; exit 1\n",
    );
    told.push(own.refused(true));
    fs::remove_file(own.folder.join("llama-server")).expect("removed");
    told.push(own.refused(false));

    insta::assert_snapshot!(told.join("\n"), @r"
    the link `[FOLDER]/outside` to `../../secret` leaves the build
    the link `[FOLDER]/outside` to `[FOLDER]/llama-server` leaves the build
    the link `[FOLDER]/outside` to `nowhere` leads nowhere
    `llama-server --version` failed (exit status: 1): no such library
    `[FOLDER]` contains no `llama-server`
    ");

    let archive = own.folder.join("llama-b1-bin-ubuntu-x64.tar.gz");
    fs::write(&archive, "x").expect("written");
    let error = own.register(&archive, false).expect_err("an archive");
    let hint = error.hint().expect("a way out");
    assert!(hint.contains("binary install"), "{hint}");
    assert!(
        own.register(&own.folder.join("sub/notes.txt"), false)
            .is_err()
    );
    assert!(own.register(&own.folder.join("gone"), false).is_err());
}

#[test]
fn our_own_folders_are_not_registered_over_again() {
    let own = Own::new();
    let installed = own.register(&own.folder, false).expect("registered");
    let copy = own.sandbox.bins.join(installed.entry.id.to_string());

    let error = own
        .register_as("again", &copy, true, None)
        .expect_err("a link to a build of ours");
    assert!(error.to_string().contains("own builds"), "{error}");

    let again = own.register_as("again", &copy, false, None);
    let again = again.expect("a copy").entry;
    assert_eq!(again.files_sha256, installed.entry.files_sha256);
}

#[test]
fn a_build_under_the_name_of_a_tag_that_says_otherwise_is_remarked_upon() {
    let own = Own::new();
    let installed = own.register_as("b7777", &own.folder, false, None);
    assert_eq!(
        installed.expect("registered").remarks,
        ["`llama-server --version` says build 9001, not b7777"]
    );
}
