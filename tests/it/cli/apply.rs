//! `apply`: the first time, the second time, and what it does not do without being asked.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use insta::assert_snapshot;

use crate::support::sandbox::{Sandbox, is_alive};
use crate::support::tree::Tree;

#[test]
fn it_installs_starts_and_the_second_time_touches_nothing() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    chat                    not running

    Plan: 1 to install, 1 to start.
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           [TIME]
         ... start    chat
          ok start    chat                    [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("200 OK"));
    assert_snapshot!(sandbox.read("orchestrator.lock"), @"
    # Written by llama-orch, read by every machine: commit it together with orchestrator.yaml.
    # `llama-orch update` moves floating pins; nothing else does.
    schema: 1
    assets:
      b1001:
        llama-b1001-bin-[VARIANT].tar.gz: { sha256: [SHA256], size: [BYTES] }
    ");

    let look = || {
        // Who holds the pass lock is written on each pass.
        Tree::of(sandbox.root.as_std_path(), |name| {
            name == ".llama-orch" || name.contains("pass.")
        })
    };
    let pid = sandbox.pid("chat");
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
    Nothing to do: everything is as orchestrator.yaml says.
    ");
    // By now the record has what the supervisor had to say; from here on nothing is written.
    let before = look();
    sandbox.run(&["apply"]).assert_code(0);
    before.assert_same(&look());
    assert_eq!(sandbox.servers(), [pid]);
}

#[test]
fn moving_a_pin_restarts_that_instance_alone() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001), ("embed", 1001)]);
    let (chat, embed) = (sandbox.pid("chat"), sandbox.pid("embed"));
    sandbox.write_instances(&[("chat", 1002), ("embed", 1001)]);
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to install, 1 to restart.
    --- stderr
         ... install  b1002 [CPU]
          ok install  b1002 [CPU]           [TIME]
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert!(!is_alive(chat));
    assert_eq!(sandbox.pid("embed"), embed);
    // Two builds side by side, each of which says which one it is.
    assert!(sandbox.ask("chat", "GET", "/props", "").contains("b1002-"));
    assert!(sandbox.ask("embed", "GET", "/props", "").contains("b1001-"));
}

#[test]
fn a_build_that_fails_its_gate_is_rolled_back_held_and_tried_again_on_request() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    sandbox.publish(
        1002,
        "--standin-say E model: unknown model architecture: 'tiny'\n--standin-exit 1\n",
    );
    sandbox.write_instances(&[("chat", 1002)]);
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 1
    --- stdout
      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to install, 1 to restart.
    --- stderr
         ... install  b1002 [CPU]
          ok install  b1002 [CPU]           [TIME]
         ... restart  chat
      failed restart  chat                    b1002 exited with code 1: unknown model architecture: 'tiny'; rolled back to b1001

    the last lines of chat:
        0.00.001.228 I srv  llama_server: initializing ...
        E model: unknown model architecture: 'tiny'

    Applied in [TIME]: 1 done, 1 failed.
    ");
    assert!(sandbox.ask("chat", "GET", "/props", "").contains("b1001-"));
    let pid = sandbox.pid("chat");

    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 1
    --- stdout
      ! hold     chat                    b1002 failed [TIME] ago: exited with code 1: unknown model architecture: 'tiny'; b1001 runs; change it or `llama-orch retry chat`

    Plan: nothing to do; 1 held.
    ");
    assert_eq!(sandbox.pid("chat"), pid, "what is held is not touched");

    // The build is mended where it lies, as nobody should; `retry` tries what is installed.
    let faults = sandbox.build_folder(1002).join("standin-faults");
    std::fs::write(faults, "").expect("written");
    sandbox.run(&["retry", "chat"]).assert_code(0);
    assert!(sandbox.ask("chat", "GET", "/props", "").contains("b1002-"));
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn removing_an_instance_needs_a_yes() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001), ("old", 1001)]);
    let old = sandbox.pid("old");
    sandbox.write_instances(&[("chat", 1001), ("embed", 1001)]);
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
      ! hold     old                     no longer in orchestrator.yaml; `llama-orch apply --yes` removes it

    Plan: nothing to do; 1 held.
    ");
    assert!(is_alive(old));
    assert_snapshot!(sandbox.run(&["apply", "--yes"]), @r"
    exit code 0
    --- stdout
      - remove   old                     no longer in orchestrator.yaml

    Plan: 1 to remove.
    --- stderr
         ... remove   old
          ok remove   old                     [TIME]

    Applied in [TIME]: 1 done.
    ");
    assert!(!is_alive(old));
    assert!(!sandbox.folder("old").path().exists());
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn removing_most_of_them_at_once_needs_to_be_said_in_so_many_words() {
    let all = [("chat", 1001), ("embed", 1001), ("rerank", 1001)];
    let mut sandbox = Sandbox::applied(&[1001], &all);
    sandbox.write_instances(&[("chat", 1001), ("fresh", 1001)]);
    assert_snapshot!(sandbox.run(&["apply", "--yes"]), @r"
    exit code 1
    --- stdout
      + start    fresh                   not running
      ! hold     embed                   no longer in orchestrator.yaml; 2 of 3 would be removed at once, which needs `--allow-empty`
      ! hold     rerank                  no longer in orchestrator.yaml; 2 of 3 would be removed at once, which needs `--allow-empty`

    Plan: 1 to start; 2 held.
    --- stderr
         ... start    fresh
          ok start    fresh                   [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.servers().len(), 4, "the new one came, nobody went");
    sandbox
        .run(&["apply", "--yes", "--allow-empty", "--quiet"])
        .assert_code(0);
    assert_eq!(sandbox.servers().len(), 2);
}

#[test]
fn a_manifest_that_is_gone_or_empty_never_means_nothing_is_wanted() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let text = sandbox.read("orchestrator.yaml");
    for broken in [
        "",
        "version: 1\n",
        "version: 1\ninstances: {}\n",
        "version: 1\ninstances:\n",
    ] {
        sandbox.write("orchestrator.yaml", broken);
        let output = sandbox.run(&["apply", "--yes"]);
        assert_ne!(output.code, Some(0), "{broken:?}: {output}");
        assert_eq!(sandbox.servers().len(), 1, "{broken:?}: {output}");
    }
    std::fs::remove_file(sandbox.path("orchestrator.yaml")).expect("removed");
    assert_snapshot!(sandbox.run(&["-C", sandbox.root.as_str(), "apply", "--yes"]), @r"
    exit code 65
    --- stderr
    error: there is no `orchestrator.yaml` in `[ROOT]`
    hint: a manifest that is missing never means that nothing is wanted; bring it back, or end servers with `llama-orch down --all`
    ");
    assert_eq!(sandbox.servers().len(), 1);
    sandbox.write("orchestrator.yaml", &text);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn what_is_missing_blocks_its_instance_alone() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let chat = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    let missing = format!("{chat}    model: {{ path: models/gone.gguf }}\n");
    sandbox.edit(&chat, &missing);
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 1
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    embed                   not running
      x blocked  chat                    model `models/gone.gguf` is not there

    Plan: 1 to install, 1 to start; 1 blocked.
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           [TIME]
         ... start    embed
          ok start    embed                   [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.servers(), [sandbox.wait_running("embed")]);
}

#[test]
fn a_port_that_is_held_names_who_holds_it() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let port = sandbox.port("chat");
    let _stranger = TcpListener::bind(("127.0.0.1", port)).expect("free");
    // The stranger is this test, whose name carries a hash.
    let mut output = sandbox.run(&["apply"]);
    let me = std::fs::read_to_string("/proc/self/comm").expect("readable");
    output.stdout = output.stdout.replace(me.trim(), "[STRANGER]");
    assert_snapshot!(output, @r"
    exit code 1
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    embed                   not running
      x blocked  chat                    port [PORT] is held by `[STRANGER]` (pid [PID])

    Plan: 1 to install, 1 to start; 1 blocked.
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           [TIME]
         ... start    embed
          ok start    embed                   [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.servers(), [sandbox.wait_running("embed")]);
}

#[test]
fn a_stranger_at_another_address_is_in_nobodys_way() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let _stranger = TcpListener::bind(("127.0.0.2", sandbox.port("chat"))).expect("free");
    sandbox.run(&["apply"]).assert_code(0);
    sandbox.wait_running("chat");
}

#[test]
fn a_socket_that_somebody_listens_at_is_named_and_a_stale_one_is_not() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let port = format!("{{ port: {}", sandbox.port("chat"));
    sandbox.edit(&port, &port.replace("{ ", "{ host: chat.sock, "));
    let stranger = UnixListener::bind(sandbox.path("chat.sock")).expect("free");
    let me = format!("(pid {})", std::process::id());
    sandbox
        .run(&["plan"])
        .assert_code(1)
        .assert_says("socket `chat.sock` is held by")
        .assert_says(&me);
    drop(stranger);
    assert!(sandbox.path("chat.sock").exists(), "nobody removed it");
    sandbox.run(&["plan"]).assert_code(0);
}

#[test]
fn a_build_that_cannot_be_had_names_those_that_can() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1009), ("embed", 1001)]);
    let embed = format!("server: {{ port: {} }}\n", sandbox.port("embed"));
    sandbox.edit(
        &format!("binary: {{ version: b1001 }}\n    {embed}"),
        &format!("binary: {{ version: b1001, variant: cuda-12.4 }}\n    {embed}"),
    );
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 1
    --- stdout
      x blocked  chat                    `[ROOT]/releases` has no archive of b1009; it has b1001
      x blocked  embed                   b1001 has no `cuda-12.4` build; it has [CPU]

    Plan: nothing to do; 2 blocked.
    --- stderr
    hint: pin another build, or another variant
    hint: put the archive, such as `llama-b1009-bin-[VARIANT].tar.gz`, into `[ROOT]/releases`
    ");
    assert!(sandbox.servers().is_empty());
}

#[test]
fn a_pin_the_lock_does_not_cover_is_held_when_the_lock_may_not_change() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["apply", "--locked"]), @r"
    exit code 1
    --- stdout
      ! hold     chat                    `orchestrator.lock` does not cover b1001 for `chat`; `llama-orch update` extends it: in a clone, commit and push that

    Plan: nothing to do; 1 held.
    ");
    assert!(!sandbox.path("orchestrator.lock").exists());
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.run(&["apply", "--locked"]).assert_code(0);
}

#[test]
fn prune_takes_away_what_nothing_uses_and_only_on_request() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001)]);
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.edit("defaults:", "retention: { keep: 0 }\ndefaults:");
    sandbox.edit("min_healthy: 0", "min_healthy: 0, prove_after: 0");
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to install, 1 to restart.
    --- stderr
         ... install  b1002 [CPU]
          ok install  b1002 [CPU]           [TIME]
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    // Until the new launch is proven, the old build is what it would be rolled back to.
    sandbox.wait("the new launch is proven", || {
        sandbox.state("chat").is_some_and(|state| state.proven)
    });
    assert_snapshot!(sandbox.run(&["apply", "--prune", "--yes"]), @r"
    exit code 0
    --- stdout
      - prune    b1001 [CPU]           [SIZE], no instance uses it

    Plan: 1 to prune.
    --- stderr
         ... prune    b1001 [CPU]
          ok prune    b1001 [CPU]           [TIME]

    Applied in [TIME]: 1 done.
    ");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    let registry = sandbox.read("bins/registry.json");
    assert!(!registry.contains("b1001"), "{registry}");
}

#[test]
fn a_gate_that_runs_already_is_waited_for_and_its_verdict_is_told() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-load-seconds 2");
    let mut first = sandbox.spawn(&["apply"]);
    sandbox.wait("the server starts", || {
        sandbox
            .state("chat")
            .is_some_and(|state| state.server.is_some())
    });
    first.kill().expect("it can be killed");
    first.wait().expect("it can be waited for");

    let second = sandbox.run(&["apply"]);
    second
        .assert_code(0)
        .assert_says("waiting for the gate of chat");
    second.assert_says("chat is up");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn two_instances_can_swap_their_ports() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let (chat, embed) = (sandbox.port("chat"), sandbox.port("embed"));
    sandbox.edit(&format!("port: {chat} "), "port: swapped ");
    sandbox.edit(&format!("port: {embed} "), &format!("port: {chat} "));
    sandbox.edit("port: swapped ", &format!("port: {embed} "));
    sandbox.run(&["apply"]).assert_code(0);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    assert_eq!(sandbox.servers().len(), 2);
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let mut apply = sandbox
        .command(&["apply", "-v"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it can be started");
    drop(apply.stdout.take());
    assert!(apply.wait().expect("it ends").success());
    sandbox.wait_running("chat");
}

#[test]
fn what_went_wrong_is_told_however_quiet_it_is_to_be() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-exit 1");
    let output = sandbox.run(&["apply", "--quiet"]);
    output.assert_code(1).assert_says("exited with code 1");
}
