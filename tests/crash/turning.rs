//! `kill -9` while the history is turned over: no pass is lost or told twice, and the next one finishes the turn.

use llama_orch::history;
use llama_orch::root::Root;

use crate::sandbox::Sandbox;

/// The verbs of what is on record.
fn told(sandbox: &Sandbox) -> Vec<String> {
    let (entries, unreadable) = history::read(&Root::new(&sandbox.root)).expect("readable");
    assert_eq!(unreadable, 0);
    entries.into_iter().map(|entry| entry.verb).collect()
}

/// A history that the next pass turns over, with older ones before it.
fn prepare(sandbox: &Sandbox) {
    let line = |verb: &str, reason: &str| {
        format!(
            "{{\"schema\":1,\"at\":\"2026-11-27T00:00:00Z\",\"seconds\":1.0,\"verb\":\"{verb}\",\
             \"reason\":\"{reason}\",\"succeeded\":true,\"steps\":[]}}\n"
        )
    };
    std::fs::create_dir_all(sandbox.root.join(".llama-orch")).expect("created");
    sandbox.write(".llama-orch/history.2.jsonl", &line("one", ""));
    sandbox.write(".llama-orch/history.1.jsonl", &line("two", ""));
    let long = line("three", &"x".repeat(5 << 20));
    sandbox.write(".llama-orch/history.jsonl", &long);
}

#[test]
fn killed_at_any_point_of_a_turn_nothing_is_lost() {
    for place in ["history.moved", "history.moved:2", "history.turned"] {
        let sandbox = Sandbox::new();
        prepare(&sandbox);
        let run = sandbox.run_until(place, &["apply"]);
        run.assert_killed(place);
        assert_eq!(told(&sandbox), ["one", "two", "three"], "{place}");
        sandbox.wait_running("chat");
        sandbox.run(&["down", "chat"]).assert_code(0, place);
        assert_eq!(told(&sandbox), ["one", "two", "three", "down"], "{place}");
        for number in 1..=3 {
            let path = sandbox
                .root
                .join(format!(".llama-orch/history.{number}.jsonl"));
            assert!(path.exists(), "{place}: {path}");
        }
    }
}
