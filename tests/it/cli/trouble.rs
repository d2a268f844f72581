//! Files that are damaged or from a later version, and a lock that somebody holds: reported with
//! their path and the way out, and never taken for empty.

use std::fmt::Write as _;
use std::time::Duration;

use insta::assert_snapshot;
use llama_orch::durable::FileLock;

use crate::support::sandbox::Sandbox;

/// What a disk that was full has left of a file.
const DAMAGED: &str = "{ \"schema\": 1, \"schema_ver";

#[test]
fn a_damaged_file_is_named_and_what_runs_goes_on() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let mut pids = sandbox.servers();
    pids.sort_unstable();
    let mut told = String::new();
    for name in [
        "bins/registry.json",
        "orchestrator.lock",
        ".llama-orch/machine.json",
        ".llama-orch/instances/chat/record.json",
        ".llama-orch/instances/chat/state.json",
    ] {
        let whole = sandbox.read(name);
        sandbox.write(name, DAMAGED);
        let output = sandbox.run(&["apply", "--yes"]);
        assert_eq!(
            sandbox.read(name),
            DAMAGED,
            "{name} was written over: {output}"
        );
        writeln!(told, "{name}: {output}").expect("written to memory");
        sandbox.write(name, &whole);
        let mut now = sandbox.servers();
        now.sort_unstable();
        assert_eq!(now, pids, "{name}");
    }
    assert_snapshot!(told, @r#"
    bins/registry.json: exit code 1
    --- stderr
    error: `[ROOT]/bins/registry.json` is damaged: EOF while parsing a string at line 1 column 26
    hint: restore `[ROOT]/bins/registry.json` from a backup, or move it aside and run `llama-orch plan` to see what that means

    orchestrator.lock: exit code 65
    --- stderr
    error: `orchestrator.lock` has 1 mistake
      orchestrator.lock:1:16: not valid YAML: unclosed quote
          1 | { "schema": 1, "schema_ver
            |                ^
    hint: put it right by hand, or bring the last good one back with `git checkout HEAD -- orchestrator.lock`

    .llama-orch/machine.json: exit code 1
    --- stderr
    error: `[ROOT]/.llama-orch/machine.json` is damaged: EOF while parsing a string at line 1 column 26
    hint: restore `[ROOT]/.llama-orch/machine.json` from a backup, or move it aside and run `llama-orch plan` to see what that means

    .llama-orch/instances/chat/record.json: exit code 1
    --- stdout
      ! hold     chat                    left alone: `[ROOT]/.llama-orch/instances/chat/record.json` is damaged: EOF while parsing a string at line 1 column 26; restore `[ROOT]/.llama-orch/instances/chat/record.json` from a backup, or move it aside and run `llama-orch plan` to see what that means

    Plan: nothing to do; 1 held.

    .llama-orch/instances/chat/state.json: exit code 1
    --- stdout
      ! hold     chat                    left alone: `[ROOT]/.llama-orch/instances/chat/state.json` is damaged: EOF while parsing a string at line 1 column 26; restore `[ROOT]/.llama-orch/instances/chat/state.json` from a backup, or move it aside and run `llama-orch plan` to see what that means

    Plan: nothing to do; 1 held.
    "#);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn a_file_of_a_later_version_is_left_to_that_version() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let mut told = String::new();
    for (name, key) in [
        ("bins/registry.json", "\"schema_version\": \""),
        (".llama-orch/machine.json", "\"schema\": "),
        (".llama-orch/instances/chat/record.json", "\"schema\": "),
        (".llama-orch/instances/chat/state.json", "\"schema\": "),
    ] {
        let known = sandbox.read(name);
        assert!(known.contains(key), "{name}: {known}");
        let newer = known.replacen(key, &format!("{key}9"), 1);
        sandbox.write(name, &newer);
        let output = sandbox.run(&["apply", "--yes"]);
        assert_eq!(
            sandbox.read(name),
            newer,
            "{name} was written over: {output}"
        );
        writeln!(told, "{name}: {output}").expect("written to memory");
        sandbox.write(name, &known);
        assert_eq!(sandbox.servers().len(), 1, "{name}");
    }
    assert_snapshot!(told, @r"
    bins/registry.json: exit code 1
    --- stderr
    error: `[ROOT]/bins/registry.json` has schema 91, and this version knows 1 at most
    hint: use the newer llama-orch that wrote it; nothing was changed

    .llama-orch/machine.json: exit code 1
    --- stderr
    error: `[ROOT]/.llama-orch/machine.json` has schema 91, and this version knows 1 at most
    hint: use the newer llama-orch that wrote it; nothing was changed

    .llama-orch/instances/chat/record.json: exit code 1
    --- stdout
      ! hold     chat                    left alone: `[ROOT]/.llama-orch/instances/chat/record.json` has schema 91, and this version knows 1 at most; use the newer llama-orch that wrote it; nothing was changed

    Plan: nothing to do; 1 held.

    .llama-orch/instances/chat/state.json: exit code 1
    --- stdout
      ! hold     chat                    left alone: `[ROOT]/.llama-orch/instances/chat/state.json` has schema 91, and this version knows 1 at most; use the newer llama-orch that wrote it; nothing was changed

    Plan: nothing to do; 1 held.
    ");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn the_holder_of_the_pass_lock_is_named() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-never-ready\n");
    let mut apply = sandbox.spawn(&["apply"]);
    sandbox.wait("it starts", || sandbox.state("chat").is_some());
    let second = sandbox.run(&["apply", "--lock-timeout", "0"]);
    assert_snapshot!(second, @r"
    exit code 75
    --- stderr
    error: another llama-orch is at work here: `llama-orch apply` (pid [PID]) since [DATE]
    hint: wait for it, or give `--lock-timeout` more seconds
    ");
    // Reading needs no lock.
    sandbox.run(&["plan"]).assert_code(0);
    sandbox.run(&["down", "--all", "--quiet"]).assert_code(0);
    apply.wait().expect("it ends");
    let lock = FileLock::take_within(&sandbox.path(".llama-orch/pass.lock"), Duration::ZERO);
    assert!(
        lock.expect("readable").is_some(),
        "the lock ends with its holder"
    );
}

#[test]
fn a_registry_that_is_lost_is_written_anew_from_the_notes_in_the_builds() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let pid = sandbox.servers();
    let before = sandbox.read("bins/registry.json");
    std::fs::remove_file(sandbox.path("bins/registry.json")).expect("lost");
    for verb in [&["plan"][..], &["binary", "list"], &["apply"]] {
        let output = sandbox.run(verb);
        output.assert_code(0);
        let says = if verb == ["binary", "list"] {
            "chat"
        } else {
            "Nothing to do"
        };
        output.assert_says(says);
    }
    assert_eq!(sandbox.read("bins/registry.json"), before);
    assert_eq!(sandbox.servers(), pid);
}
