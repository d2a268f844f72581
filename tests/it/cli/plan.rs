//! `plan`: what it says of each kind of change, and that it changes nothing.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox};
use crate::support::tree::Tree;

/// All that lies in a root but the one folder `plan` may write to.
fn everything(sandbox: &Sandbox) -> Tree {
    Tree::of(sandbox.root.as_std_path(), |name| {
        name.starts_with(".llama-orch/cache")
    })
}

#[test]
fn on_a_fresh_root_it_lists_what_apply_would_do_and_writes_nothing() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let before = everything(&sandbox);
    assert_snapshot!(sandbox.run(&["plan"]), @r"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    chat                    not running
      + start    embed                   not running

    Plan: 1 to install, 2 to start.
    ");
    before.assert_same(&everything(&sandbox));
}

#[test]
fn on_a_converged_root_it_says_so_and_writes_nothing() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let before = everything(&sandbox);
    assert_snapshot!(sandbox.run(&["plan"]), @r"
    exit code 0
    --- stdout
    Nothing to do: everything is as orchestrator.yaml says.
    ");
    before.assert_same(&everything(&sandbox));
}

/// Every kind of line at once: what is done, what waits for whom, and what cannot be done.
#[test]
fn each_kind_of_change_has_a_line_with_its_reason() {
    let mut sandbox = Sandbox::with(
        &[1001, 1002, 1004],
        &[
            ("chat", 1001),
            ("embed", 1001),
            ("old", 1004),
            ("vision", 1001),
            ("ocr", 1001),
        ],
    );
    sandbox.publish(1003, "--standin-exit 1\n");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.run(&["down", "ocr", "--reason", "more memory is coming"]);
    sandbox.write_instances(&[
        ("chat", 1001),
        ("embed", 1001),
        ("old", 1004),
        ("vision", 1003),
        ("ocr", 1001),
    ]);
    sandbox.run(&["apply", "--quiet"]).assert_code(1);

    sandbox.write_instances(&[
        ("chat", 1002),
        ("embed", 1001),
        ("late", 1001),
        ("rerank", 1001),
        ("vision", 1003),
        ("ocr", 1001),
    ]);
    let embed = format!("server: {{ port: {} }}\n", sandbox.port("embed"));
    let settings = format!("{embed}    restart_policy: {{ max_retries: 3 }}\n");
    sandbox.edit(&embed, &settings);
    let late = format!("server: {{ port: {} }}\n", sandbox.port("late"));
    sandbox.edit(
        &late,
        &format!("{late}    model: {{ path: models/late.gguf }}\n"),
    );
    let plan = sandbox.run(&["plan"]);
    assert_snapshot!(plan, @r"
    exit code 1
    --- stdout
      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])
      ~ update   embed                   restart_policy (no restart)
      + start    rerank                  not running
      - remove   old                     no longer in orchestrator.yaml
      ! hold     ocr                     put down: more memory is coming; `llama-orch up ocr` starts it
      ! hold     vision                  b1003 failed [TIME] ago: exited with code 1; b1001 runs; change it or `llama-orch retry vision`
      x blocked  late                    model `models/late.gguf` is not there

    Plan: 1 to install, 1 to restart, 1 to update, 1 to start, 1 to remove; 2 held, 1 blocked.
    ");
}

#[test]
fn verbose_shows_the_differences_behind_the_lines() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001), ("embed", 1001)]);
    sandbox.write_instances(&[("chat", 1002), ("embed", 1001)]);
    let embed = format!("server: {{ port: {} }}\n", sandbox.port("embed"));
    sandbox.edit(
        &embed,
        &format!("{embed}    args: [--metrics]\n    stop_timeout: 5s\n"),
    );
    assert_snapshot!(sandbox.run(&["plan", "-v"]), @r"
    exit code 0
    --- stdout
      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])
    -/+ restart  embed                   args; about [TIME] down (last load [TIME])

    Plan: 1 to install, 2 to restart.

    restart chat:
        --- running
        +++ wanted
        @@ -1,4 +1,4 @@
         binary:
        -  build: b1001
        +  build: b1002
           variant: [VARIANT]
        -  sha256: [SHA256]
        +  sha256: [SHA256]

    restart chat comes after: install b1002 [CPU]

    restart embed:
        --- running
        +++ wanted
        @@ -0,0 +1,2 @@
        +args:
        +  - --metrics

    orchestrator.lock:
        --- orchestrator.lock
        +++ to be written
        @@ -5,2 +5,4 @@
           b1001:
             llama-b1001-bin-[VARIANT].tar.gz: { sha256: [SHA256], size: [BYTES] }
        +  b1002:
        +    llama-b1002-bin-[VARIANT].tar.gz: { sha256: [SHA256], size: [BYTES] }

    this machine:
        system         [FOUND]
        C library      [FOUND]
        NVIDIA driver  [FOUND]
        Vulkan         [FOUND]
        ROCm           [FOUND]

    variant `auto` of embed (b1001) is [VARIANT], as chosen on an earlier run and kept in .llama-orch/machine.json:
        [VARIANT]  kept, and would be taken today: [WHY]

    variant `auto` of chat (b1002) is [VARIANT], as chosen on an earlier run and kept in .llama-orch/machine.json:
        [VARIANT]  kept, and would be taken today: [WHY]
    --- stderr
    root: [ROOT]
    ");
}

#[test]
fn names_narrow_it_and_an_unknown_one_is_met_with_the_nearest() {
    let sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001), ("embed", 1002)]);
    assert_snapshot!(sandbox.run(&["plan", "chat"]), @r"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    chat                    not running

    Plan: 1 to install, 1 to start.
    ");
    assert_snapshot!(sandbox.run(&["plan", "chta"]), @r"
    exit code 64
    --- stderr
    error: there is no instance `chta`
    hint: did you mean `chat`?
    ");
    assert_snapshot!(sandbox.run(&["plan", "vision"]), @r"
    exit code 64
    --- stderr
    error: there is no instance `vision`
    hint: there are chat, embed
    ");
}

#[test]
fn its_exit_code_says_what_is_pending_when_asked_to() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.run(&["plan"]).assert_code(0);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(2);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    // A blocker outweighs the change beside it.
    sandbox.edit("b1001", "b1009");
    sandbox.run(&["down", "embed"]).assert_code(0);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(1);
}

fn document(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).expect("JSON")
}

#[test]
fn the_json_is_the_same_plan_and_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/plan.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001), ("embed", 1001)]);

    let fresh = document(&sandbox.run(&["plan", "--json"]));
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let converged = document(&sandbox.run(&["plan", "--json"]));
    sandbox.write_instances(&[("chat", 1002), ("embed", 1009)]);
    let changed = document(&sandbox.run(&["plan", "--json"]));
    for plan in [&fresh, &converged, &changed] {
        let errors: Vec<String> = validator.iter_errors(plan).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{plan:#}");
    }
    assert_snapshot!(format!("{converged:#}"), @r#"
    {
      "format_version": 1,
      "changes_present": false,
      "converged": true,
      "steps": [],
      "holds": [],
      "blockers": [],
      "warnings": [],
      "unused": []
    }
    "#);
    let told = |plan: &Value| -> Vec<String> {
        let steps = plan["steps"].as_array().expect("steps").iter();
        steps
            .map(|step| format!("{} {}", step["action"], step["reason"]))
            .collect()
    };
    assert_snapshot!(told(&fresh).join("\n"), @r#"
    "install" "not_installed"
    "start" "not_running"
    "start" "not_running"
    "#);
    assert_snapshot!(told(&changed).join("\n"), @r#"
    "install" "not_installed"
    "restart" "drift"
    "#);
    assert_eq!(changed["changes_present"], true);
    assert_eq!(changed["blockers"].as_array().map(Vec::len), Some(1));
}

#[test]
fn verbose_says_what_auto_was_chosen_from() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    assert_snapshot!(sandbox.run(&["plan", "-v", "chat"]), @"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    chat                    not running

    Plan: 1 to install, 1 to start.

    start chat comes after: install b1001 [CPU]

    orchestrator.lock:
        --- orchestrator.lock
        +++ to be written
        @@ -2,2 +2,5 @@
         # `llama-orch update` moves floating pins; nothing else does.
         schema: 1
        +assets:
        +  b1001:
        +    llama-b1001-bin-[VARIANT].tar.gz: { sha256: [SHA256], size: [BYTES] }

    this machine:
        system         [FOUND]
        C library      [FOUND]
        NVIDIA driver  [FOUND]
        Vulkan         [FOUND]
        ROCm           [FOUND]

    variant `auto` of chat (b1001) is [VARIANT]:
        [VARIANT]  taken, [WHY]
    --- stderr
    root: [ROOT]
    ");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_snapshot!(sandbox.run(&["plan", "-v"]), @r"
    exit code 0
    --- stdout
    Nothing to do: everything is as orchestrator.yaml says.

    this machine:
        system         [FOUND]
        C library      [FOUND]
        NVIDIA driver  [FOUND]
        Vulkan         [FOUND]
        ROCm           [FOUND]

    variant `auto` of chat, embed (b1001) is [VARIANT], as chosen on an earlier run and kept in .llama-orch/machine.json:
        [VARIANT]  kept, and would be taken today: [WHY]
    --- stderr
    root: [ROOT]
    ");
}
