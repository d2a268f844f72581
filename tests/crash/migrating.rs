//! `kill -9` at every place of a migration, and of undoing one: the next `--apply` finishes it, and
//! `--undo` still brings every byte back.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use llama_orch::kill_point;

/// Where a migration can die by name.
const PLACES: [&str; 4] = [
    "migrate.journaled",
    "migrate.registered",
    "migrate.copied",
    "migrate.written",
];

/// Where it can die at any write of a file, and how often one comes by.
const WRITES: [&str; 2] = ["durable.filled", "durable.renamed"];

/// More paths than a migration here touches.
const ENOUGH: u32 = 40;

type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// A folder of the old tool: two configs in folders by number, a registry, and a `bin/`.
struct Old(tempfile::TempDir);

impl Old {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("llama-orch-migrate-")
            .tempdir()
            .expect("a temporary folder");
        let old = Self(folder);
        for (number, name) in [(1, "chat"), (2, "embed")] {
            let folder = format!("0000000{number}_d75a653b-1d7a-4bb4-b475-def8dc01378{number}");
            let text = format!(
                "{{ \"name\": \"{name}\", \"model\": {{ \"path\": \"tiny.gguf\" }}, \"server\": {{ \"port\": 1801{number} }} }}"
            );
            old.write(&format!("instances/{folder}/config.json"), &text);
        }
        let registry = "{ \"schema_version\": \"1.0.0\",\n\n  \"binaries\": [] }";
        old.write("bins/registry.json", registry);
        old.write("bin/build-number", "1001");
        old.write("bin/standin-faults", "");
        let server = env!("CARGO_BIN_EXE_llama-server-standin");
        std::fs::copy(server, old.0.path().join("bin/llama-server")).expect("copied");
        old
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("created");
        std::fs::write(path, text).expect("written");
    }

    fn run(&self, place: Option<&str>, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llama-orch"));
        command.arg("migrate").args(arguments).current_dir(&self.0);
        command.env_remove("LLAMA_ORCH_ROOT");
        if let Some(place) = place {
            command.env(kill_point::VARIABLE, place);
        }
        command.output().expect("it runs")
    }

    /// Runs it so that it dies there. `false` when it came to its end before.
    #[track_caller]
    fn dies_at(&self, place: &str, arguments: &[&str]) -> bool {
        let output = self.run(Some(place), arguments);
        let is_killed = output.status.signal() == Some(9);
        assert!(is_killed || output.status.success(), "{place}: {output:?}");
        is_killed
    }

    #[track_caller]
    fn succeeds(&self, when: &str, arguments: &[&str]) {
        let output = self.run(None, arguments);
        assert!(output.status.success(), "{when}: {output:?}");
    }

    /// Every file and folder but this program's own.
    fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().expect("readable") {
                let path = entry.expect("readable").path();
                if path.ends_with(".llama-orch") {
                    continue;
                }
                let content = if path.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    std::fs::read(&path).expect("readable")
                };
                let name = path.strip_prefix(self.0.path()).expect("below");
                tree.insert(name.to_owned(), content);
            }
        }
        tree
    }
}

#[track_caller]
fn assert_same(before: &Tree, after: &Tree, when: &str) {
    let names: Vec<&PathBuf> = before
        .keys()
        .chain(after.keys())
        .filter(|name| before.get(*name) != after.get(*name))
        .collect();
    assert!(names.is_empty(), "{when}: not as before: {names:?}");
}

/// What a whole migration comes to, less the random id.
#[track_caller]
fn assert_migrated(old: &Old, when: &str) {
    let tree = old.tree();
    for path in [
        "orchestrator.yaml",
        "instances/chat/config.json",
        "instances/embed/config.json",
    ] {
        assert!(tree.contains_key(Path::new(path)), "{when}: {path}");
    }
    let is_server = |path: &&PathBuf| path.starts_with("bins") && path.ends_with("llama-server");
    assert_eq!(tree.keys().filter(is_server).count(), 1, "{when}");
    let litter = |path: &&PathBuf| path.to_string_lossy().contains(".new-");
    assert_eq!(tree.keys().find(litter), None, "{when}");
}

/// Kills at a place; then `--undo` leaves nothing, or `--apply` finishes, which `--undo` takes back.
fn at(place: &str) -> bool {
    let old = Old::new();
    let before = old.tree();
    if !old.dies_at(place, &["--apply"]) {
        return false;
    }
    old.succeeds(place, &["--undo"]);
    assert_same(&before, &old.tree(), place);

    let old = Old::new();
    assert!(old.dies_at(place, &["--apply"]), "{place}");
    old.succeeds(place, &["--apply"]);
    assert_migrated(&old, place);
    old.succeeds(place, &["--undo"]);
    assert_same(&before, &old.tree(), place);
    true
}

#[test]
fn a_migration_killed_anywhere_is_undone_or_finished() {
    for place in PLACES {
        assert!(at(place), "{place}: nobody came by it");
    }
}

#[test]
fn a_migration_killed_at_any_write_is_undone_or_finished() {
    for place in WRITES {
        let died = (1..=ENOUGH).take_while(|time| at(&format!("{place}:{time}")));
        let died = died.count();
        assert!((8..40).contains(&died), "{place}: {died} writes");
    }
}

#[test]
fn an_undo_killed_anywhere_is_finished_by_the_next() {
    for time in 1..=ENOUGH {
        let place = format!("migrate.undoing:{time}");
        let old = Old::new();
        let before = old.tree();
        old.succeeds(&place, &["--apply"]);
        if !old.dies_at(&place, &["--undo"]) {
            assert!(time > 5, "{place}: nobody came by it");
            return;
        }
        old.succeeds(&place, &["--undo"]);
        assert_same(&before, &old.tree(), &place);
    }
    panic!("there are more than {ENOUGH} paths");
}
