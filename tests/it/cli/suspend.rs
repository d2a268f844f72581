//! `suspend` and `resume`: instances that passes leave as they are.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox};

#[test]
fn what_is_suspended_is_left_as_it_is_until_it_is_resumed() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001), ("embed", 1001)]);
    let chat = sandbox.pid("chat");
    let suspend = ["suspend", "chat", "--reason", "a demo until five"];
    assert_snapshot!(sandbox.run(&suspend), @r"
    exit code 0
    --- stderr
          ok suspend  chat                    left as it is until `llama-orch resume chat`
    ");
    sandbox.write_instances(&[("chat", 1002), ("embed", 1002)]);
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  embed                   binary b1001 -> b1002; about [TIME] down (last load [TIME])
      ! hold     chat                    suspended [TIME] ago: a demo until five; `llama-orch resume chat`

    Plan: 1 to install, 1 to restart; 1 held.
    --- stderr
         ... install  b1002 [CPU]
          ok install  b1002 [CPU]           [TIME]
         ... restart  embed
          ok restart  embed                   [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.pid("chat"), chat);
    let output = sandbox.run(&["status"]);
    output.assert_code(0).assert_says("chat: suspended");
    let status = sandbox.run(&["status", "chat", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout).expect("JSON");
    let row = &status["instances"][0];
    assert_eq!(row["state"], "running");
    assert_eq!(row["suspended"]["reason"], "a demo until five");
    let described = sandbox.run(&["describe", "chat"]);
    described.assert_says("ago: a demo until five");
    assert_snapshot!(sandbox.run(&["resume", "chat"]), @r"
    exit code 0
    --- stdout
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to restart.
    --- stderr
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.runs("chat"), "b1002");
    assert_snapshot!(sandbox.run(&["history", "-n", "3"]), @"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  suspend  [TIME]: a demo until five
      done  suspend  chat  a demo until five
    [DATE], [TIME] ago  apply  [TIME]
      done  install  b1002 [CPU]  [TIME]; [SIZE] download, not installed
      done  restart  embed          [TIME]; binary b1001 -> b1002; about [TIME] down (last load [TIME])
    [DATE], [TIME] ago  resume  [TIME]
      done  restart  chat  [TIME]; binary b1001 -> b1002; about [TIME] down (last load [TIME])
    ");
}

#[test]
fn it_can_be_put_down_all_the_same_and_needs_no_manifest() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    sandbox.edit("version: 1", "version: one");
    sandbox.run(&["suspend", "*", "--quiet"]).assert_code(0);
    sandbox.run(&["down", "chat", "--quiet"]).assert_code(0);
    assert!(sandbox.servers().is_empty());
    assert_snapshot!(sandbox.run(&["resume", "chat"]), @r"
    exit code 65
    --- stderr
    error: `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:1:10: `version` wants a number from 1 to 4294967295, not `one`
          1 | version: one
            |          ^^^
    ");
    assert_snapshot!(sandbox.run(&["resume", "chat", "--no-apply"]), @r"
    exit code 0
    --- stderr
    warning: `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:1:10: `version` wants a number from 1 to 4294967295, not `one`
          1 | version: one
            |          ^^^
          ok resume   chat                    the next pass does what was held back
    ");
    sandbox.edit("version: one", "version: 1");
    sandbox.run(&["up", "chat", "--quiet"]).assert_code(0);
    assert_eq!(sandbox.servers().len(), 1);
}

/// One that left the manifest is not removed for being resumed.
#[test]
fn resuming_removes_nothing() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.run(&["suspend", "embed", "--quiet"]).assert_code(0);
    sandbox.write_instances(&[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["apply", "--yes"]), @r"
    exit code 0
    --- stdout
      ! hold     embed                   suspended [TIME] ago; `llama-orch resume embed`

    Plan: nothing to do; 1 held.
    ");
    assert_snapshot!(sandbox.run(&["resume", "embed"]), @r"
    exit code 0
    --- stdout
      ! hold     embed                   no longer in orchestrator.yaml; `llama-orch apply --yes` removes it

    Plan: nothing to do; 1 held.
    ");
    assert_eq!(sandbox.servers().len(), 2);
}

/// The step has not begun, since another one is waited for.
#[test]
fn a_pass_that_runs_gives_the_step_up() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let embed = sandbox.pid("embed");
    sandbox.publish(1002, "--standin-never-ready\n");
    sandbox.write_instances(&[("chat", 1002), ("embed", 1002)]);
    let apply = sandbox.spawn(&["apply"]);
    sandbox.wait("the first is at it", || sandbox.runs("chat") == "b1002");
    sandbox.run(&["suspend", "embed"]).assert_code(0);
    sandbox.run(&["down", "chat"]).assert_code(0);
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    assert_snapshot!(output, @r"
    exit code 0
    --- stdout
      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])
    -/+ restart  embed                   binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to install, 2 to restart.
    --- stderr
         ... install  b1002 [CPU]
          ok install  b1002 [CPU]           [TIME]
         ... restart  chat
    given up restart  chat                    put down meanwhile
         ... restart  embed
    given up restart  embed                   suspended meanwhile

    Applied in [TIME]: 1 done, 2 not tried.
    ");
    assert_eq!(sandbox.servers(), [embed]);
}
