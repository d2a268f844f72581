//! The whole job on a real `llama-server`, where `LLAMA_ORCH_REAL_DIR` has the archives of b9001
//! and b9002 and a model `tiny.gguf`.

use crate::support::sandbox::{Sandbox, is_alive, kill};

/// A root on the real archives with `chat` on this build, or nothing where there are none.
pub(super) fn real(build: u32) -> Option<Sandbox> {
    let Some(folder) = std::env::var_os("LLAMA_ORCH_REAL_DIR") else {
        println!("skipped: LLAMA_ORCH_REAL_DIR is not set");
        return None;
    };
    let folder = std::fs::canonicalize(folder).expect("LLAMA_ORCH_REAL_DIR is there");
    let sandbox = Sandbox::with(&[], &[("chat", build)]);
    let folder = folder.to_str().expect("UTF-8");
    sandbox.edit(
        "{ directory: releases }",
        &format!("{{ directory: \"{folder}\" }}"),
    );
    sandbox.edit(
        "path: models/tiny.gguf",
        "path: models/tiny.gguf, context_size: 256",
    );
    std::fs::copy(
        format!("{folder}/tiny.gguf"),
        sandbox.path("models/tiny.gguf"),
    )
    .expect("a model");
    Some(sandbox)
}

fn build_of(sandbox: &mut Sandbox, name: &str) -> String {
    let props = sandbox.ask(name, "GET", "/props", "");
    let (_, rest) = props
        .split_once("\"build_info\":\"b")
        .expect("it says which");
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn it_is_installed_started_upgraded_healed_taken_over_and_put_down() {
    let Some(mut sandbox) = real(9001) else {
        return;
    };
    sandbox.edit(
        "    server:",
        "    healthcheck: { probe: completion }\n    server:",
    );
    sandbox.run(&["apply"]).assert_code(0);
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("\"ok\""));
    let body = r#"{"prompt": "Once", "n_predict": 4}"#;
    let answer = sandbox.ask("chat", "POST", "/completion", body);
    assert!(
        answer.contains("200 OK") && answer.contains("\"content\""),
        "{answer}"
    );
    assert_eq!(build_of(&mut sandbox, "chat"), "9001");

    let first = sandbox.pid("chat");
    sandbox
        .run(&["apply"])
        .assert_code(0)
        .assert_says("Nothing to do");
    assert_eq!(sandbox.pid("chat"), first);
    assert!(
        !sandbox.run(&["logs", "chat"]).stdout.contains("Received"),
        "no signal came"
    );

    sandbox.edit("b9001", "b9002");
    sandbox.run(&["apply"]).assert_code(0);
    assert!(!is_alive(first));
    assert_eq!(build_of(&mut sandbox, "chat"), "9002");

    let second = sandbox.pid("chat");
    kill(second);
    sandbox.wait("another server runs", || {
        sandbox.servers().iter().any(|pid| *pid != second)
    });
    let third = sandbox.wait_running("chat");

    kill(sandbox.supervisor("chat"));
    sandbox.wait("its supervisor is gone", || {
        sandbox.supervisors().is_empty()
    });
    assert!(is_alive(third));
    sandbox
        .run(&["apply"])
        .assert_code(0)
        .assert_says("its supervisor is gone");
    assert_eq!(sandbox.pid("chat"), third);

    sandbox.run(&["down", "--all"]).assert_code(0);
    assert!(sandbox.servers().is_empty());
    sandbox.wait("no supervisor is left", || sandbox.supervisors().is_empty());
}

#[test]
fn a_value_it_does_not_take_is_rolled_back() {
    let Some(mut sandbox) = real(9001) else {
        return;
    };
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    sandbox.edit(
        &line,
        &format!("{line}    args: [--cache-type-k, no-such-type]\n"),
    );
    let output = sandbox.run(&["apply"]);
    output.assert_code(1).assert_says("--cache-type-k");
    sandbox.wait_running("chat");
    assert_eq!(build_of(&mut sandbox, "chat"), "9001");
    sandbox
        .run(&["plan"])
        .assert_code(1)
        .assert_says("llama-orch retry chat");
}

#[test]
fn two_builds_run_side_by_side() {
    let Some(mut sandbox) = real(9001) else {
        return;
    };
    let port = sandbox.port("embed");
    let text = sandbox.read("orchestrator.yaml");
    let embed =
        format!("  embed:\n    binary: {{ version: b9002 }}\n    server: {{ port: {port} }}\n");
    sandbox.write("orchestrator.yaml", &format!("{text}{embed}"));
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(build_of(&mut sandbox, "chat"), "9001");
    assert_eq!(build_of(&mut sandbox, "embed"), "9002");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}
