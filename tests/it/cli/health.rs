//! `health`: how servers answer right now, told to people and to scripts.

use std::io::{BufRead as _, BufReader};

use insta::assert_snapshot;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox, signal};

/// What `health` says, without what is different from run to run.
fn said(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.run(&[&["health"], arguments].concat());
    squeezed(output)
}

fn squeezed(mut output: Output) -> String {
    output.stdout = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect();
    let text = output.to_string();
    let mut words = text.split_inclusive([' ', '\n']).peekable();
    let mut shown = String::new();
    while let Some(word) = words.next() {
        let is_latency = words.peek().is_some_and(|next| next.trim() == "ms");
        shown.push_str(if is_latency { "[SOME] " } else { word });
    }
    shown
}

#[test]
fn it_asks_the_servers_themselves() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    assert_snapshot!(said(&sandbox, &[]), @r"
    exit code 0
    --- stdout
    NAME HEALTH LATENCY BUILD ADDRESS
    chat healthy [SOME] ms b1001 127.0.0.1:[PORT]
    embed healthy [SOME] ms b1001 127.0.0.1:[PORT]
    ");
    // Its supervisor would say so three intervals later.
    signal(sandbox.pid("chat"), Signal::STOP);
    let suspended = said(&sandbox, &["chat", "--timeout", "300ms"]);
    signal(sandbox.pid("chat"), Signal::CONT);
    assert_snapshot!(suspended, @r"
    exit code 1
    --- stdout
    NAME HEALTH LATENCY BUILD ADDRESS
    chat unresponsive - b1001 127.0.0.1:[PORT]
    chat: no answer within [TIME]
    ");
    sandbox
        .run(&["down", "embed", "--reason", "saves memory"])
        .assert_code(0);
    // What is down on purpose counts where it was asked for.
    assert_snapshot!(said(&sandbox, &[]), @r"
    exit code 0
    --- stdout
    NAME HEALTH LATENCY BUILD ADDRESS
    chat healthy [SOME] ms b1001 127.0.0.1:[PORT]
    embed down - - -
    embed: put down: saves memory
    ");
    assert_snapshot!(said(&sandbox, &["embed"]), @r"
    exit code 1
    --- stdout
    NAME HEALTH LATENCY BUILD ADDRESS
    embed down - - -
    embed: put down: saves memory
    ");
    sandbox.write_instances(&[("chat", 1001), ("embed", 1001), ("rerank", 1001)]);
    assert_snapshot!(said(&sandbox, &["rerank"]), @r"
    exit code 1
    --- stdout
    NAME HEALTH LATENCY BUILD ADDRESS
    rerank down - - -
    rerank: never started
    ");
    assert_snapshot!(said(&sandbox, &["rerang"]), @r"
    exit code 64
    --- stderr
    error: there is no instance `rerang`
    hint: did you mean `rerank`?
    ");
}

#[test]
fn a_server_that_loads_or_sleeps_says_so() {
    let mut sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-load-seconds 600\n");
    let mut apply = sandbox.spawn(&["apply", "--quiet"]);
    sandbox.wait("it listens", || {
        let output = sandbox.run(&["health"]);
        output.says("loading") && output.says(" ms")
    });
    assert_snapshot!(said(&sandbox, &[]), @r"
    exit code 1
    --- stdout
    NAME HEALTH LATENCY BUILD ADDRESS
    chat loading [SOME] ms b1001 127.0.0.1:[PORT]
    ");
    let waited = sandbox.run(&["health", "chat", "--wait", "300ms"]);
    waited.assert_code(1);
    sandbox.run(&["down", "chat", "--quiet"]).assert_code(0);
    apply.wait().expect("it ends");

    sandbox.publish(1002, "--standin-asleep\n");
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.run(&["up", "chat", "--quiet"]).assert_code(0);
    assert_snapshot!(said(&sandbox, &["chat"]), @r"
    exit code 0
    --- stdout
    NAME HEALTH LATENCY BUILD ADDRESS
    chat sleeping [SOME] ms b1002 127.0.0.1:[PORT]
    ");
    let log = sandbox.run(&["logs", "chat", "-n", "1000"]).stdout;
    assert!(
        !log.contains("slots:"),
        "nothing was asked that wakes: {log}"
    );
}

#[test]
fn it_waits_until_all_are_well() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-load-seconds 1.5\n");
    let mut apply = sandbox.spawn(&["apply", "--quiet"]);
    sandbox.run(&["health", "--wait", "1m"]).assert_code(0);
    apply.wait().expect("it ends");
}

#[test]
fn a_watch_tells_changes_and_ends_on_interrupt() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let mut watch = sandbox.spawn(&["health", "--watch"]);
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("readable");
    assert!(line().contains("chat healthy"));
    sandbox.run(&["down", "chat", "--quiet"]).assert_code(0);
    // In between it may be seen while it ends.
    while !line().contains("chat down: put down") {}
    signal(watch.id(), Signal::INT);
    assert_eq!(watch.wait().expect("it ends").code(), Some(130));
}

#[test]
fn the_json_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/health.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.run(&["down", "embed", "--quiet"]).assert_code(0);
    let output = sandbox.run(&["health", "--json"]);
    output.assert_code(0);
    let health: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let errors: Vec<String> = validator
        .iter_errors(&health)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{health:#}");
    assert_eq!(health["healthy"], true);
    assert_eq!(health["instances"][0]["health"], "healthy");
    assert_eq!(health["instances"][1]["meant"], true);
}
