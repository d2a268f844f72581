//! `status`: one row for each instance, whatever the manifest says.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::Sandbox;

#[test]
fn it_shows_what_runs_what_is_down_and_what_has_never_run() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    assert_snapshot!(sandbox.run(&["status"]), @r"
    exit code 1
    --- stdout
    NAME   STATE    BUILD  ADDRESS  FOR  RESTARTS  MEMORY
    chat   stopped  -      -        -    0         -
    embed  stopped  -      -        -    0         -
    chat: not resolved yet; see `llama-orch plan`
    embed: not resolved yet; see `llama-orch plan`
    ");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox
        .run(&["down", "embed", "--reason", "saves memory"])
        .assert_code(0);
    assert_snapshot!(sandbox.run(&["ps"]), @r"
    exit code 0
    --- stdout
    NAME   STATE    BUILD  ADDRESS          FOR  RESTARTS  MEMORY
    chat   running  b1001  127.0.0.1:[PORT]  [TIME]  0         [SIZE]
    embed  down     -      127.0.0.1:[PORT]  -    0         -
    embed: put down: saves memory; `llama-orch up embed` starts it
    ");
    sandbox.write_instances(&[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["status"]), @r"
    exit code 0
    --- stdout
    NAME   STATE    BUILD  ADDRESS          FOR  RESTARTS  MEMORY
    chat   running  b1001  127.0.0.1:[PORT]  [TIME]  0         [SIZE]
    embed  down     -      -                -    0         -
    embed: no longer in orchestrator.yaml
    ");
}

#[test]
fn it_shows_what_runs_when_the_manifest_is_broken() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    sandbox.edit("version: 1", "version: one");
    assert_snapshot!(sandbox.run(&["status"]), @r"
    exit code 65
    --- stdout
    NAME  STATE    BUILD  ADDRESS          FOR  RESTARTS  MEMORY
    chat  running  b1001  127.0.0.1:[PORT]  [TIME]  0         [SIZE]
    --- stderr
    error: `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:1:10: `version` wants a number from 1 to 4294967295, not `one`
          1 | version: one
            |          ^^^
    ");
}

#[test]
fn the_json_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/status.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.run(&["down", "embed"]).assert_code(0);
    let output = sandbox.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let errors: Vec<String> = validator
        .iter_errors(&status)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{status:#}");
    assert_eq!(status["instances"][0]["state"], "running");
    assert_eq!(status["instances"][1]["state"], "down");
}

#[test]
fn names_and_tags_narrow_it_and_more_columns_are_asked_for() {
    let mut sandbox = Sandbox::with(&[], &[("chat", 1001), ("embed", 1001)]);
    sandbox.publish(1001, "");
    sandbox.publish(1002, "--standin-exit 1\n");
    sandbox.write_instances(&[("chat", 1002), ("embed", 1001)]);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("embed"));
    let more = format!("{line}    tags: [small]\n    depends_on: [chat]\n");
    sandbox.edit(&line, &more);
    sandbox.run(&["apply", "--quiet"]).assert_code(1);
    assert_snapshot!(sandbox.run(&["status", "--tag", "small"]), @r"
    exit code 1
    --- stdout
    NAME   STATE  BUILD  ADDRESS          FOR  RESTARTS  MEMORY
    embed  held   -      127.0.0.1:[PORT]  -    0         -
    embed: waits for `chat`, which is not up
    ");
    assert_snapshot!(sandbox.run(&["status", "--tag", "large"]), @r"
    exit code 64
    --- stderr
    error: no instance has the tag `large`
    hint: there are small
    ");
    assert_snapshot!(sandbox.run(&["status", "chat", "--wide"]), @r"
    exit code 1
    --- stdout
    NAME  STATE   BUILD  ADDRESS          FOR  RESTARTS  MEMORY  GPU  HEALTH  LOAD  LAST EXIT                                                   PROVEN  AS WRITTEN  PROCESS
    chat  failed  b1002  127.0.0.1:[PORT]  -    0         -       -    -       -     [TIME] ago, exited with code 1, before it had passed its gate  no      no          -
    chat: b1002 failed [TIME] ago: exited with code 1; change it or `llama-orch retry chat`
    ");
    assert_snapshot!(sandbox.run(&["status", "chap"]), @r"
    exit code 64
    --- stderr
    error: there is no instance `chap`
    hint: did you mean `chat`?
    ");
    // The last columns go first where a terminal is narrow.
    sandbox.set("COLUMNS", "48");
    assert_snapshot!(sandbox.run(&["status", "embed"]), @r"
    exit code 1
    --- stdout
    NAME   STATE  BUILD  ADDRESS          FOR
    embed  held   -      127.0.0.1:[PORT]  -
    embed: waits for `chat`, which is not up
    ");
}
