//! `down`, `up` and `retry`: what a person wishes outlives passes.

use insta::assert_snapshot;

use crate::support::sandbox::Sandbox;

#[test]
fn what_was_put_down_stays_down_until_it_is_brought_up() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let embed = sandbox.pid("embed");
    assert_snapshot!(sandbox.run(&["down", "chat", "--reason", "needs the card"]), @r"
    exit code 0
    --- stdout
      - stop     chat                    put down: needs the card

    Plan: 1 to stop.
    --- stderr
         ... stop     chat
          ok stop     chat                    [TIME]

    Applied in [TIME]: 1 done.
    ");
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
      ! hold     chat                    put down: needs the card; `llama-orch up chat` starts it

    Plan: nothing to do; 1 held.
    ");
    assert_eq!(sandbox.servers(), [embed]);
    assert_snapshot!(sandbox.run(&["up", "chat"]), @r"
    exit code 0
    --- stdout
      + start    chat                    not running

    Plan: 1 to start.
    --- stderr
         ... start    chat
          ok start    chat                    [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.servers().len(), 2);
    assert_eq!(sandbox.pid("embed"), embed);
}

#[test]
fn down_all_leaves_no_process_and_needs_no_manifest() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    std::fs::remove_file(sandbox.path("orchestrator.yaml")).expect("removed");
    let root = sandbox.root.as_str();
    sandbox.run(&["-C", root, "down", "--all"]).assert_code(0);
    assert!(sandbox.servers().is_empty());
    sandbox.wait("no supervisor is left", || sandbox.supervisors().is_empty());
    assert_snapshot!(sandbox.run(&["-C", root, "down", "--all"]), @r"
    exit code 0
    --- stdout
    Nothing to do: none of them runs.
    --- stderr
    warning: there is no `orchestrator.yaml` in `[ROOT]`
    ");
}

#[test]
fn an_unknown_name_is_met_with_the_nearest_one() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    for verb in ["down", "up", "retry"] {
        let output = sandbox.run(&[verb, "caht"]);
        output.assert_code(64).assert_says("did you mean `chat`?");
        sandbox.run(&[verb]).assert_code(64);
    }
    assert_snapshot!(sandbox.run(&["down", "caht"]), @r"
    exit code 64
    --- stderr
    error: there is no instance `caht`
    hint: did you mean `chat`?
    ");
}

/// `down` waits for no pass: one that runs gives the gate up.
#[test]
fn an_instance_whose_gate_runs_can_be_put_down() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-never-ready\n");
    let apply = sandbox.spawn(&["apply"]);
    sandbox.wait("it starts", || sandbox.state("chat").is_some());
    sandbox.run(&["down", "chat"]).assert_code(0);
    let output = apply.wait_with_output().expect("it ends");
    let output = crate::support::sandbox::Output::from(output);
    output.assert_says("put down meanwhile");
    assert!(sandbox.servers().is_empty());
}
