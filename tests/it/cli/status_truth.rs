//! `status` never lies: things are killed, suspended and replaced behind its back, and it is looked
//! at what it says then.

use insta::assert_snapshot;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox, is_alive, kill, signal};

/// An instance that runs, and is not started again soon after it ended.
fn running() -> Sandbox {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.edit(
        "instances:",
        "  restart_policy: { initial_delay: 1h, max_delay: 1h }\ninstances:",
    );
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox
}

/// The row of `chat` in `status --json`.
fn row(sandbox: &Sandbox) -> Value {
    let output = sandbox.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&output.stdout).expect("JSON");
    status["instances"][0].clone()
}

/// What `status` says, without what is different from run to run.
fn said(sandbox: &Sandbox) -> Output {
    let mut output = sandbox.run(&["status"]);
    output.stdout = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect();
    output
}

#[test]
fn what_runs_is_shown_with_its_health_and_memory() {
    let sandbox = running();
    let row = row(&sandbox);
    assert_eq!(row["state"], "running");
    assert_eq!(row["health"], "healthy");
    assert!(row["health_seconds"].is_number(), "{row:#}");
    assert!(row["load_seconds"].is_number(), "{row:#}");
    let statm = format!("/proc/{}/statm", sandbox.pid("chat"));
    let pages = std::fs::read_to_string(statm).expect("it lives");
    let pages: u64 = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    let memory = row["memory_bytes"].as_u64().expect("a number");
    assert!(
        memory > pages * 1024 && memory < pages * 4096 * 4,
        "{memory} bytes, and {pages} pages are in place"
    );
    assert_eq!(row["last_exit"], Value::Null);
}

#[test]
fn a_server_that_was_killed_backs_off_and_its_end_is_told() {
    let sandbox = running();
    let server = sandbox.pid("chat");
    kill(server);
    // Between its end and the note of when it is started again there is a moment.
    sandbox.wait("its supervisor has noted it", || {
        row(&sandbox)["state"] == "backing_off"
    });
    let row = row(&sandbox);
    assert_eq!(row["health"], Value::Null);
    assert_eq!(row["memory_bytes"], Value::Null);
    assert_eq!(row["process"], Value::Null);
    assert!(row["retry_in_seconds"].as_i64() > Some(3000), "{row:#}");
    let how = row["last_exit"]["how"].as_str().expect("a text");
    assert!(how.starts_with("was ended by SIGKILL"), "{how}");
    assert_eq!(row["last_exit"]["asked"], false);
    assert_snapshot!(said(&sandbox), @r"
    exit code 1
    --- stdout
    NAME STATE BUILD ADDRESS FOR RESTARTS MEMORY
    chat backing off b1001 127.0.0.1:[PORT] - 1 -
    chat: crashed once, next try in 59 min; last time it was ended by SIGKILL: by somebody, or by the system when it ran out of memory
    ");
}

#[test]
fn health_is_not_known_once_nobody_watches() {
    let sandbox = running();
    let supervisor = sandbox.supervisor("chat");
    kill(supervisor);
    sandbox.wait("it is gone", || !is_alive(supervisor));
    let row = row(&sandbox);
    assert_eq!(row["state"], "unsupervised");
    assert_eq!(row["health"], "unknown");
    assert_eq!(row["health_seconds"], Value::Null);
    assert_snapshot!(said(&sandbox), @r"
    exit code 1
    --- stdout
    NAME STATE BUILD ADDRESS FOR RESTARTS MEMORY
    chat unsupervised b1001 127.0.0.1:[PORT]  [TIME]  0 [SIZE]
    chat: `apply` would update it: its supervisor is gone; a new one takes over (no restart)
    ");
}

#[test]
fn nothing_runs_once_both_were_killed() {
    let sandbox = running();
    let (server, supervisor) = (sandbox.pid("chat"), sandbox.supervisor("chat"));
    kill(supervisor);
    sandbox.wait("the supervisor is gone", || !is_alive(supervisor));
    kill(server);
    sandbox.wait("the server is gone", || !is_alive(server));
    let row = row(&sandbox);
    assert_eq!(row["state"], "stopped");
    assert_eq!(row["health"], Value::Null);
    assert_eq!(row["process"], Value::Null);
    assert_snapshot!(said(&sandbox), @r"
    exit code 1
    --- stdout
    NAME STATE BUILD ADDRESS FOR RESTARTS MEMORY
    chat stopped b1001 127.0.0.1:[PORT] - 0 -
    chat: not running
    ");
}

#[test]
fn a_server_that_is_suspended_is_seen_at_once() {
    let sandbox = running();
    let server = sandbox.pid("chat");
    signal(server, Signal::STOP);
    sandbox.wait("it is suspended", || {
        row(&sandbox)["state"] == "unresponsive"
    });
    let row = row(&sandbox);
    assert_eq!(row["health"], "unresponsive");
    let said = said(&sandbox);
    signal(server, Signal::CONT);
    assert_snapshot!(said, @r"
    exit code 1
    --- stdout
    NAME STATE BUILD ADDRESS FOR RESTARTS MEMORY
    chat unresponsive b1001 127.0.0.1:[PORT]  [TIME]  0 [SIZE]
    chat: its process is suspended by a signal and answers nothing; SIGCONT wakes it
    ");
}

#[test]
fn a_supervisor_that_is_suspended_watches_nothing() {
    let sandbox = running();
    let supervisor = sandbox.supervisor("chat");
    signal(supervisor, Signal::STOP);
    sandbox.wait("it is suspended", || {
        row(&sandbox)["state"] == "unsupervised"
    });
    let row = row(&sandbox);
    let said = said(&sandbox);
    signal(supervisor, Signal::CONT);
    assert_eq!(row["health"], "unknown");
    assert_snapshot!(said, @r"
    exit code 1
    --- stdout
    NAME STATE BUILD ADDRESS FOR RESTARTS MEMORY
    chat unsupervised b1001 127.0.0.1:[PORT]  [TIME]  0 [SIZE]
    chat: its supervisor is suspended by a signal and watches nothing; SIGCONT wakes it
    ");
}

#[test]
fn a_state_from_another_life_is_not_believed() {
    let sandbox = running();
    let old = sandbox.read(".llama-orch/instances/chat/state.json");
    sandbox.run(&["down", "chat", "--quiet"]).assert_code(0);
    sandbox.run(&["up", "chat", "--quiet"]).assert_code(0);
    let true_state = sandbox.read(".llama-orch/instances/chat/state.json");
    sandbox.write(".llama-orch/instances/chat/state.json", &old);
    let row = row(&sandbox);
    let said = said(&sandbox);
    sandbox.write(".llama-orch/instances/chat/state.json", &true_state);
    assert_eq!(row["state"], "unknown");
    assert_eq!(row["health"], Value::Null);
    assert_snapshot!(said, @r"
    exit code 1
    --- stdout
    NAME STATE BUILD ADDRESS FOR RESTARTS MEMORY
    chat unknown b1001 127.0.0.1:[PORT] - 0 -
    chat: its `server.lock` is held, and the process that its `state.json` names is gone
    ");
}

#[test]
fn the_state_of_another_instance_is_not_believed() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let file = |name: &str| format!(".llama-orch/instances/{name}/state.json");
    let own = sandbox.read(&file("chat"));
    sandbox.write(&file("chat"), &sandbox.read(&file("embed")));
    let said = said(&sandbox);
    sandbox.write(&file("chat"), &own);
    assert_snapshot!(said, @r"
    exit code 1
    --- stdout
    NAME STATE BUILD ADDRESS FOR RESTARTS MEMORY
    chat unknown b1001 127.0.0.1:[PORT] - 0 -
    embed unknown b1001 127.0.0.1:[PORT] - 0 -
    chat: the `state.json` of another instance names the same process; one of them was not written by its supervisor
    embed: the `state.json` of another instance names the same process; one of them was not written by its supervisor
    ");
}

#[test]
fn a_state_that_was_removed_leaves_a_server_nobody_knows() {
    let sandbox = running();
    let file = ".llama-orch/instances/chat/state.json";
    let own = sandbox.read(file);
    std::fs::remove_file(sandbox.path(file)).expect("it was there");
    let said = said(&sandbox);
    sandbox.write(file, &own);
    assert_snapshot!(said, @r"
    exit code 1
    --- stdout
    NAME STATE BUILD ADDRESS FOR RESTARTS MEMORY
    chat unknown b1001 127.0.0.1:[PORT] - 0 -
    chat: left alone: its supervisor has just begun and said nothing yet
    ");
}

#[test]
fn a_server_that_is_never_restarted_is_stopped_after_its_end() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.edit(
        "instances:",
        "  restart_policy: { enabled: false }\ninstances:",
    );
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    kill(sandbox.pid("chat"));
    sandbox.wait("its supervisor has seen it", || {
        row(&sandbox)["state"] == "stopped"
    });
    said(&sandbox)
        .assert_code(1)
        .assert_says("`restart_policy.enabled` is false");
}
