//! `up` and `retry`: what is asked for is noted at once, with its reason, whoever is at work.

use std::time::Duration;

use insta::assert_snapshot;
use llama_orch::durable::FileLock;

use crate::support::sandbox::{Output, Sandbox};

#[test]
fn reasons_are_told_by_the_history() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let down = ["down", "chat", "--reason", "needs the card"];
    sandbox.run(&down).assert_code(0);
    let up = ["up", "chat", "--quiet", "--reason", "the card is back"];
    sandbox.run(&up).assert_code(0);
    assert_snapshot!(sandbox.run(&["history", "-n", "2"]), @"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  down  [TIME]: needs the card
      done  stop  chat  [TIME]; put down: needs the card
    [DATE], [TIME] ago  up  [TIME]: the card is back
      done  start  chat  [TIME]; not running
    ");
    assert_snapshot!(sandbox.run(&["up", "chat", "--reason", "two\nlines"]), @r"
    exit code 64
    --- stderr
    error: invalid value 'two
    lines' for '--reason <TEXT>': it has to be one line of text

    For more information, try '--help'.
    ");
    sandbox
        .run(&["up", "chat", "--reason", " "])
        .assert_code(64);
}

/// The pass that is at work has planned already; what is asked for counts from the next one on.
#[test]
fn what_is_asked_for_while_a_pass_runs_is_not_lost() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1002)]);
    sandbox.publish(1002, "--standin-exit 1\n");
    sandbox.run(&["apply", "--quiet"]).assert_code(1);
    let pass = sandbox.path(".llama-orch/pass.lock");
    let held = FileLock::take_within(&pass, Duration::ZERO).expect("a lock");
    assert!(held.is_some());
    let retry = ["retry", "chat", "--lock-timeout", "0"];
    assert_snapshot!(sandbox.run(&retry), @r"
    exit code 75
    --- stderr
    error: another llama-orch is at work here: `llama-orch apply` (pid [PID]) since [DATE]
    hint: wait for it, or give `--lock-timeout` more seconds
    hint: what has failed of them is forgotten all the same, which counts from the next pass on
    ");
    drop(held);
    sandbox.run(&["apply", "--quiet"]).assert_code(1);
    sandbox.run(&["apply", "--quiet"]).assert_says("failed");
    let steps = sandbox.read(".llama-orch/history.jsonl");
    let tries = steps.matches(r#""action":"start""#).count();
    assert_eq!(tries, 2, "{steps}");
    sandbox.write_instances(&[("chat", 1001)]);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
}

/// Of two that are to start, one is waited for and the other has not begun when both are put down.
#[test]
fn down_ends_what_starts_and_what_has_not_begun() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001), ("embed", 1001)]);
    sandbox.publish(1001, "--standin-never-ready\n");
    let apply = sandbox.spawn(&["apply"]);
    sandbox.wait("it starts", || sandbox.state("chat").is_some());
    assert!(sandbox.state("embed").is_none());
    assert_snapshot!(sandbox.run(&["down", "embed", "--quiet"]), @r"
    exit code 0
    --- stdout
    Nothing to do: none of them runs.
    ");
    sandbox.run(&["down", "chat"]).assert_code(0);
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    assert_snapshot!(output, @r"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    chat                    not running
      + start    embed                   not running

    Plan: 1 to install, 2 to start.
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           [TIME]
         ... start    chat
    given up start    chat                    put down meanwhile
         ... start    embed
    given up start    embed                   put down meanwhile

    Applied in [TIME]: 1 done, 2 not tried.
    ");
    assert!(sandbox.servers().is_empty());
}

/// Its restart waits for that of another; its server is ended, so that it is not as it was seen.
#[test]
fn down_takes_back_a_restart_that_has_not_begun() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.publish(1002, "--standin-never-ready\n");
    sandbox.write_instances(&[("chat", 1002), ("embed", 1002)]);
    let apply = sandbox.spawn(&["apply"]);
    sandbox.wait("the first is at it", || sandbox.runs("chat") == "b1002");
    assert_eq!(sandbox.runs("embed"), "b1001");
    sandbox.run(&["down", "embed"]).assert_code(0);
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
    given up restart  embed                   put down meanwhile

    Applied in [TIME]: 1 done, 2 not tried.
    ");
    assert!(sandbox.servers().is_empty());
}
