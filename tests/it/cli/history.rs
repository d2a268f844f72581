//! `history`: what past passes did.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::Sandbox;

#[test]
fn each_pass_that_did_something_is_told_once() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["history"]), @r"
    exit code 0
    --- stdout
    Nothing has been done here yet.
    ");
    sandbox.publish(1002, "--standin-exit 1\n");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.run(&["apply", "--quiet"]).assert_code(1);
    sandbox.run(&["down", "chat"]).assert_code(0);
    assert_snapshot!(sandbox.run(&["history"]), @r"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  apply  [TIME]
      done  install  b1001 [CPU]  [TIME]; [SIZE] download, not installed
      done  start    chat           [TIME]; not running
    [DATE], [TIME] ago  apply  [TIME]
      done    install  b1002 [CPU]  [TIME]; [SIZE] download, not installed
      failed  restart  chat           b1002 exited with code 1; rolled back to b1001
    [DATE], [TIME] ago  down  [TIME]
      done  stop  chat  [TIME]; put down
    ");

    let schema = include_str!("../../../docs/schemas/history.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let output = sandbox.run(&["history", "--json", "-n", "2"]);
    assert_eq!(output.stdout.lines().count(), 2);
    for line in output.stdout.lines() {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&entry)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}\n{entry:#}");
    }
}

#[test]
fn a_line_that_a_crash_has_torn_hides_no_other() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let text = sandbox.read(".llama-orch/history.jsonl");
    sandbox.write(
        ".llama-orch/history.jsonl",
        &format!("{text}{{\"schema\":1,\"a"),
    );
    let output = sandbox.run(&["history"]);
    output
        .assert_code(0)
        .assert_says("1 line of")
        .assert_says("install");
}
