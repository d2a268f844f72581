//! `binary`: what is installed and who uses it, and taking builds away that nobody does.

use insta::assert_snapshot;
use llama_orch::registry::Registry;
use llama_orch::release::Digest;
use serde_json::Value;

use crate::support::sandbox::Sandbox;
use crate::support::tree::Tree;

/// A root where `chat` went from one build to the next: it runs the second and may go back to the
/// first. `embed` has never run another one.
fn upgraded() -> Sandbox {
    let mut sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001)]);
    prove_at_once(&sandbox);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.wait("`chat` is proven", || {
        sandbox.state("chat").is_some_and(|state| state.proven)
    });
    sandbox.write_instances(&[("chat", 1002), ("embed", 1002)]);
    prove_at_once(&sandbox);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    // Until then the first build is what its supervisor would fall back to.
    sandbox.wait("the second build is proven too", || {
        let state = sandbox.state("chat");
        state.is_some_and(|state| state.proven && sandbox.runs("chat") == "b1002")
    });
    sandbox
}

fn prove_at_once(sandbox: &Sandbox) {
    sandbox.edit("{ min_healthy: 0 }", "{ min_healthy: 0, prove_after: 0 }");
}

/// Installs builds, of which only the last one is used afterwards.
fn leave_behind(sandbox: &mut Sandbox, builds: &[u32]) {
    for build in builds {
        sandbox.publish(*build, "");
        let name = format!("on-{build}");
        sandbox.write_instances(&[(name.as_str(), *build)]);
        let apply = ["apply", "--quiet", "--yes", "--allow-empty"];
        sandbox.run(&apply).assert_code(0);
    }
}

/// The id of a build.
fn id(sandbox: &Sandbox, build: u32) -> String {
    let folder = sandbox.build_folder(build);
    folder.file_name().expect("a name").to_owned()
}

fn installed(sandbox: &Sandbox) -> Vec<String> {
    let registry = Registry::load(&sandbox.path("bins")).expect("readable");
    let entries = registry.entries().iter();
    entries.map(|entry| entry.version.clone()).collect()
}

#[test]
fn list_shows_who_runs_a_build_and_who_may_go_back_to_it() {
    let mut sandbox = upgraded();
    assert_snapshot!(sandbox.run(&["binary", "list"]), @r"
    exit code 0
    --- stdout
    ID        BUILD  VARIANT  SIZE     INSTALLED  USED BY
    [ID]  b1001  [CPU]  [SIZE]  [TIME] ago    chat (rollback)
    [ID]  b1002  [CPU]  [SIZE]  [TIME] ago    chat, embed
    ");

    std::fs::remove_file(sandbox.build_folder(1001).join("llama-server")).expect("removed");
    sandbox.set("COLUMNS", "80");
    sandbox.edit("version: 1", "version: one");
    assert_snapshot!(sandbox.run(&["binary", "list"]), @r"
    exit code 65
    --- stdout
    ID        BUILD  VARIANT  SIZE     INSTALLED  USED BY
    [ID]  b1001  [CPU]  [SIZE]  [TIME] ago    chat (rollback)
    [ID]  b1002  [CPU]  [SIZE]  [TIME] ago    chat (running), embed (running)
    [ID]: damaged: `llama-server` is missing
    --- stderr
    error: `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:1:10: `version` wants a number from 1 to 4294967295, not
        `one`
          1 | version: one
            |          ^^^
    ");
}

#[test]
fn list_says_how_to_come_by_a_build_where_there_is_none() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["binary", "list"]), @r"
    exit code 0
    --- stdout
    No builds are installed.
    --- stderr
    `llama-orch apply` installs what orchestrator.yaml is pinned to.
    ");
}

#[test]
fn a_row_fits_the_terminal_however_many_use_the_build() {
    let names: Vec<String> = (1..=9).map(|number| format!("instance-{number}")).collect();
    let instances: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1001)).collect();
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.write_instances(&instances);
    sandbox.set("COLUMNS", "80");
    let output = sandbox.run(&["binary", "list"]);
    assert_snapshot!(output, @r"
    exit code 0
    --- stdout
    ID        BUILD  VARIANT  SIZE     INSTALLED  USED BY
    [ID]  b1001  [CPU]  [SIZE]  [TIME] ago    chat (running), instance-1, 8 more
    ");
    let widest = output.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{output}");
}

#[test]
fn info_tells_everything_about_one_build() {
    let sandbox = upgraded();
    assert_snapshot!(sandbox.run(&["binary", "info", "b1001"]), @r"
    exit code 0
    --- stdout
    b1001 [CPU]
      id              [UUID]
      build           b1001
      variant         [VARIANT]
      folder          bins/[UUID]
      program         bins/[UUID]/llama-server
      size            [SIZE] in 3 files
      installed       [DATE], [TIME] ago
      from            [ROOT]/releases/llama-b1001-bin-[VARIANT].tar.gz
      sha256          [SHA256]
      verified        yes
      release         tag_name b1001
      used by         chat: may be rolled back to it
    ");
    let id = id(&sandbox, 1002);
    assert_snapshot!(sandbox.run(&["binary", "info", &id[..6]]), @r"
    exit code 0
    --- stdout
    b1002 [CPU]
      id              [UUID]
      build           b1002
      variant         [VARIANT]
      folder          bins/[UUID]
      program         bins/[UUID]/llama-server
      size            [SIZE] in 3 files
      installed       [DATE], [TIME] ago
      from            [ROOT]/releases/llama-b1002-bin-[VARIANT].tar.gz
      sha256          [SHA256]
      verified        yes
      release         tag_name b1002
      used by         chat: runs it, is pinned to it
      used by         embed: runs it, is pinned to it
    ");
    assert_snapshot!(sandbox.run(&["binary", "info", "b1003"]), @r"
    exit code 64
    --- stderr
    error: no installed build has the id or name `b1003`
    hint: did you mean `[ID] b1001 [CPU]` or `[ID] b1002 [CPU]`?
    ");
    assert_snapshot!(sandbox.run(&["binary", "info", "abc"]), @r"
    exit code 64
    --- stderr
    error: `abc` is too short: at least 4 characters of an id are needed
    hint: `llama-orch binary list` shows what is installed
    ");
}

#[test]
fn the_json_of_list_and_info_fits_the_committed_schemas() {
    let sandbox = upgraded();
    for (arguments, schema) in [
        (
            ["binary", "list", "--json"].as_slice(),
            include_str!("../../../docs/schemas/binary-list.schema.json"),
        ),
        (
            ["binary", "info", "b1001", "--json"].as_slice(),
            include_str!("../../../docs/schemas/binary-info.schema.json"),
        ),
    ] {
        let schema = serde_json::from_str(schema).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let output = sandbox.run(arguments);
        let document: Value = serde_json::from_str(&output.stdout).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}\n{document:#}");
    }
    let output = sandbox.run(&["binary", "info", "b1001", "--json"]);
    let info: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(info["used_by"][0]["instance"], "chat");
    assert_eq!(info["used_by"][0]["how"][0], "rollback");
    assert_eq!(info["trust"], "verified");
}

#[test]
fn a_build_in_use_is_not_removed_and_every_user_is_named() {
    let sandbox = upgraded();
    let before = Tree::of(sandbox.path("bins").as_std_path(), |_| false);
    assert_snapshot!(sandbox.run(&["binary", "remove", "b1002", "--yes"]), @r"
    exit code 1
    --- stderr
    error: `[ID]` (b1002 [CPU]) is in use
      `chat` runs it
      `chat` is pinned to it
      `embed` runs it
      `embed` is pinned to it
    hint: pin another build and run `llama-orch apply`; or end what runs with `llama-orch down chat embed` and say `--force`
    ");
    assert_snapshot!(sandbox.run(&["binary", "remove", "b1001", "--yes"]), @r"
    exit code 1
    --- stderr
    error: `[ID]` (b1001 [CPU]) is in use
      `chat` may be rolled back to it
    hint: pin another build and run `llama-orch apply`, or say `--force`
    ");
    // Not even force takes away what a server runs from.
    assert_snapshot!(sandbox.run(&["binary", "remove", "b1002", "--yes", "--force"]), @r"
    exit code 1
    --- stderr
    error: `[ID]` (b1002 [CPU]) runs right now
      `chat` runs it
      `chat` is pinned to it
      `embed` runs it
      `embed` is pinned to it
    hint: `llama-orch down chat embed` ends what runs
    ");
    // Nobody can be asked here.
    assert_snapshot!(sandbox.run(&["binary", "remove", "b1001", "--force"]), @r"
    exit code 64
    --- stderr
    error: nobody can be asked whether that is wanted
    hint: say `--yes`
    ");
    // One that may go and one that may not: neither goes.
    sandbox
        .run(&["binary", "remove", "b1001", "b1002", "--yes", "--force"])
        .assert_code(1);
    before.assert_same(&Tree::of(sandbox.path("bins").as_std_path(), |_| false));

    assert_snapshot!(sandbox.run(&["binary", "remove", "b1001", "--yes", "--force"]), @r"
    exit code 0
    --- stderr
    removed `[ID]` (b1001 [CPU]), [SIZE]
    ");
    assert_eq!(installed(&sandbox), ["b1002"]);
    assert_snapshot!(sandbox.run(&["history", "-n", "1"]), @r"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  binary remove  [TIME]
      done  remove  b1001 [CPU]  [TIME]; asked for
    ");
    assert_eq!(sandbox.servers().len(), 2);
}

#[test]
fn what_nothing_uses_goes_whatever_is_left_of_its_folder() {
    let mut sandbox = Sandbox::with(&[], &[]);
    leave_behind(&mut sandbox, &[1001, 1002, 1003]);
    std::fs::remove_dir_all(sandbox.build_folder(1001)).expect("removed");
    let output = sandbox.run(&["binary", "remove", "b1001", "b1002", "b1001", "--yes"]);
    assert_snapshot!(output, @r"
    exit code 0
    --- stderr
    removed `[ID]` (b1001 [CPU]), [SIZE]
    removed `[ID]` (b1002 [CPU]), [SIZE]
    ");
    assert_eq!(installed(&sandbox), ["b1003"]);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn with_a_broken_manifest_anything_may_be_pinned() {
    let mut sandbox = Sandbox::with(&[], &[]);
    leave_behind(&mut sandbox, &[1001, 1002]);
    sandbox.edit("version: 1", "version: one");
    assert_snapshot!(sandbox.run(&["binary", "remove", "b1001", "--yes"]), @r"
    exit code 1
    --- stderr
    error: `[ID]` (b1001 [CPU]) may be in use
      `orchestrator.yaml` cannot be read, and says what is pinned
    hint: `llama-orch plan` says more; `--force` removes it even so
    ");
    sandbox
        .run(&["binary", "prune", "--keep", "0", "--yes"])
        .assert_code(65);
    assert_eq!(installed(&sandbox), ["b1001", "b1002"]);
    sandbox
        .run(&["binary", "remove", "b1001", "--yes", "--force"])
        .assert_code(0)
        .assert_says("warning");
    assert_eq!(installed(&sandbox), ["b1002"]);
}

#[test]
fn prune_takes_away_all_that_is_unused_but_the_newest() {
    let mut sandbox = Sandbox::with(&[], &[]);
    leave_behind(&mut sandbox, &[1001, 1002, 1003, 1004]);
    assert_snapshot!(sandbox.run(&["binary", "prune", "--dry-run", "-v"]), @r"
    exit code 0
    --- stdout
      - prune    b1001 [CPU]           [SIZE], no instance uses it

    Plan: 1 to prune.

      . kept     b1002 [CPU]           unused, and one of the 2 newest
      . kept     b1003 [CPU]           unused, and one of the 2 newest
      . kept     b1004 [CPU]           on-1004 runs it, on-1004 is pinned to it
    --- stderr
    root: [ROOT]
    ");
    assert_snapshot!(sandbox.run(&["binary", "prune"]), @r"
    exit code 64
    --- stdout
      - prune    b1001 [CPU]           [SIZE], no instance uses it

    Plan: 1 to prune.
    --- stderr
    error: nobody can be asked whether that is wanted
    hint: say `--yes`
    ");
    assert_eq!(installed(&sandbox).len(), 4);
    assert_snapshot!(sandbox.run(&["binary", "prune", "--yes"]), @r"
    exit code 0
    --- stdout
      - prune    b1001 [CPU]           [SIZE], no instance uses it

    Plan: 1 to prune.
    --- stderr
         ... prune    b1001 [CPU]
          ok prune    b1001 [CPU]           [TIME]

    Applied in [TIME]: 1 done.
    ");
    assert_eq!(installed(&sandbox), ["b1002", "b1003", "b1004"]);
    assert_snapshot!(sandbox.run(&["binary", "prune", "--yes"]), @r"
    exit code 0
    --- stdout
    Nothing to do: every build is in use or kept.
    ");
    let output = sandbox.run(&["binary", "prune", "--keep", "0", "--dry-run", "--json"]);
    let plan: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(2));
    sandbox
        .run(&["binary", "prune", "--keep", "0", "--yes"])
        .assert_code(0);
    assert_eq!(installed(&sandbox), ["b1004"]);
    assert_snapshot!(sandbox.run(&["history", "-n", "2"]), @r"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  binary prune  [TIME]
      done  prune  b1001 [CPU]  [TIME]; no instance uses it
    [DATE], [TIME] ago  binary prune  [TIME]
      done  prune  b1002 [CPU]  [TIME]; no instance uses it
      done  prune  b1003 [CPU]  [TIME]; no instance uses it
    ");
}

/// What is left of a download that broke off.
fn leave_unfinished(sandbox: &Sandbox) {
    let digest = Digest::of("an archive");
    sandbox.write(&format!("bins/.cache/{digest}.partial"), "its first bytes");
    let note = r#"{ "schema": 1, "name": "llama-b1009-bin-ubuntu-x64.tar.gz",
        "validator": { "etag": "\"1\"" }, "total": 4096 }"#;
    sandbox.write(&format!("bins/.cache/{digest}.json"), note);
}

#[test]
fn what_is_left_of_a_download_is_shown_and_cleared() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    leave_unfinished(&sandbox);
    assert_snapshot!(sandbox.run(&["binary", "list"]), @r"
    exit code 0
    --- stdout
    ID        BUILD  VARIANT  SIZE     INSTALLED  USED BY
    [ID]  b1001  [CPU]  [SIZE]  [TIME] ago    chat
    1 unfinished download, 15 B, in bins/.cache
    ");
    assert_snapshot!(sandbox.run(&["binary", "prune", "--yes"]), @r"
    exit code 0
    --- stdout
      - clear    1 unfinished download   15 B, in bins/.cache
    ");
    assert!(!sandbox.run(&["binary", "list"]).says("unfinished"));
    let cache = sandbox.path("bins/.cache").read_dir_utf8().expect("there");
    assert_eq!(cache.count(), 0);
}

#[test]
fn prune_does_not_touch_a_build_while_a_pin_is_not_resolved() {
    let mut sandbox = Sandbox::with(&[], &[]);
    leave_behind(&mut sandbox, &[1001, 1002]);
    sandbox.edit("b1002", "nightly");
    assert_snapshot!(sandbox.run(&["binary", "prune", "--keep", "0", "--yes"]), @r"
    exit code 1
    --- stderr
    error: nothing is pruned, since it cannot be told which builds are in use
      `on-1002`: its pin is not resolved; see `llama-orch plan`
    hint: resolve the pins first; until then `llama-orch binary remove --force` takes single builds away
    ");
    assert_eq!(installed(&sandbox), ["b1001", "b1002"]);
}
