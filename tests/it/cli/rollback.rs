//! `rollback`: to a launch that was proven, on record, and until somebody says otherwise.

use insta::assert_snapshot;

use crate::support::sandbox::Sandbox;

/// Chat runs b1002, and both that and b1001 are proven.
fn upgraded() -> Sandbox {
    let mut sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001)]);
    sandbox.edit("min_healthy: 0", "min_healthy: 0, prove_after: 0");
    for build in [1001, 1002] {
        sandbox.write_instances(&[("chat", build)]);
        sandbox.edit("min_healthy: 0", "min_healthy: 0, prove_after: 0");
        sandbox.run(&["apply", "--quiet"]).assert_code(0);
        sandbox.wait("it is proven", || {
            sandbox.state("chat").is_some_and(|state| state.proven)
        });
    }
    sandbox
}

#[test]
fn it_goes_back_stays_there_and_goes_on_when_told_to() {
    let sandbox = upgraded();
    assert_snapshot!(sandbox.run(&["rollback", "chat", "--local", "--reason", "it is slow"]), @r#"
    exit code 0
    --- stdout
    -/+ restart  chat                    rolled back to b1001: binary b1002 -> b1001; about [TIME] down (last load [TIME])
      ! hold     chat                    rolled back to b1001 [TIME] ago: it is slow; change it or `llama-orch retry chat` to go on with b1002

    Plan: 1 to restart; 1 held.
    --- stderr
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    "#);
    assert_eq!(sandbox.runs("chat"), "b1001");
    let pid = sandbox.pid("chat");
    assert_snapshot!(sandbox.run(&["apply"]), @r#"
    exit code 0
    --- stdout
      ! hold     chat                    rolled back to b1001 [TIME] ago: it is slow; change it or `llama-orch retry chat` to go on with b1002

    Plan: nothing to do; 1 held.
    "#);
    sandbox.run(&["apply"]).assert_code(0);
    assert_eq!(sandbox.pid("chat"), pid, "nothing touches it");
    sandbox
        .run(&["binary", "info", "b1001"])
        .assert_code(0)
        .assert_says("chat");

    sandbox.run(&["down", "chat"]).assert_code(0);
    let info = sandbox.run(&["binary", "info", "b1001"]);
    info.assert_code(0).assert_says("is rolled back to it");
    sandbox.run(&["up", "chat"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1001");

    sandbox.run(&["retry", "chat"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn another_pin_makes_it_void_for_good() {
    let sandbox = upgraded();
    sandbox
        .run(&["rollback", "chat", "--local", "--to", "b1001"])
        .assert_code(0);
    sandbox.edit("b1002", "b1001");
    // What is wanted runs already.
    sandbox.run(&["apply"]).assert_code(0);
    let record = sandbox.read(".llama-orch/instances/chat/record.json");
    assert!(!record.contains("rolled_back"), "{record}");
    sandbox.edit("b1001", "b1002");
    sandbox.run(&["apply"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
}

#[test]
fn it_says_what_is_proven_where_there_is_nothing_to_go_back_to() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["rollback", "chat", "--local"]), @r#"
    exit code 1
    --- stderr
    error: no launch of `chat` is proven yet
    hint: a launch is proven once it has stayed healthy for `rollout.prove_after`; until then, change the pin
    "#);
    sandbox
        .run(&["rollback", "caht"])
        .assert_code(64)
        .assert_says("did you mean `chat`?");

    let sandbox = upgraded();
    sandbox
        .run(&["rollback", "chat", "--local", "--to", "b1002"])
        .assert_code(1)
        .assert_says("`chat` runs `b1002` already");
    let removed = ["binary", "remove", "b1001", "--force", "--yes"];
    sandbox.run(&removed).assert_code(0);
    let output = sandbox.run(&["rollback", "chat", "--local"]);
    output
        .assert_code(1)
        .assert_says("is not installed any more");
    output.assert_says("`llama-orch binary install b1001 --variant");

    // The same archive under another id is the same build.
    sandbox.run(&["binary", "install", "b1001"]).assert_code(0);
    sandbox.run(&["rollback", "chat", "--local"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1001");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn a_rollback_that_does_not_come_up_is_not_rolled_back() {
    let sandbox = upgraded();
    let build = sandbox.build_folder(1001);
    std::fs::write(build.join("standin-faults"), "--standin-exit 1\n").expect("written");
    let output = sandbox.run(&["rollback", "chat", "--local"]);
    output.assert_code(1);
    output.assert_says("a rollback is not rolled back by itself");
    output.assert_says("`llama-orch retry chat`");
    assert!(sandbox.servers().is_empty());
    sandbox.run(&["retry", "chat"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
}

#[test]
fn a_model_that_is_replaced_restarts_what_is_rolled_back_too() {
    let sandbox = upgraded();
    sandbox.run(&["rollback", "chat", "--local"]).assert_code(0);
    sandbox.write("models/tiny.gguf", "GGUF, and more of it");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    let model = std::fs::File::open(sandbox.path("models/tiny.gguf")).expect("it is there");
    model.set_modified(long_ago).expect("set");
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
    plan.assert_code(2).assert_says("models/tiny.gguf");
    sandbox.run(&["apply"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1001");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}
