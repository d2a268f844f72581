//! `describe`: everything about one instance, whatever can be read of it.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::Sandbox;

/// What it says, without the parts whose figures are different from run to run.
fn said(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = sandbox.run(&[&["describe"], arguments].concat());
    let text = output.to_string();
    let lines = text
        .lines()
        .map(|line| match line.split_whitespace().next() {
            Some("program") => "  program  [PROGRAM]".to_owned(),
            Some("memory") => "  memory  [MEMORY]".to_owned(),
            _ => line.to_owned(),
        });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn it_tells_what_is_wanted_what_runs_and_what_was() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    sandbox.publish(1002, "--standin-exit 1\n");
    sandbox.write_instances(&[("chat", 1002)]);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    sandbox.edit(
        &line,
        &format!("{line}    env: {{ SECRET_TOKEN: hush, HF_HOME: /srv/hf }}\n    tags: [gpu0]\n"),
    );
    sandbox.run(&["apply", "--quiet"]).assert_code(1);
    sandbox.wait_running("chat");
    let text = said(&sandbox, &["chat"]);
    assert!(!text.contains("hush"), "{text}");
    assert_snapshot!(text, @r"
    exit code 1
    --- stdout
    chat
      state           running
      health          healthy for [TIME]
      up              [TIME]
      process         pid [PID]
      memory  [MEMORY]
      last exit       [TIME] ago: exited with code 1, before it had passed its gate
      as written      no
      plan            hold: b1002 failed [TIME] ago: exited with code 1; b1001 runs; change it or `llama-orch retry chat`

    Wanted
      version         b1002
      variant         auto
      build           b1002
      model           models/tiny.gguf
      address         127.0.0.1:[PORT]
      tags            gpu0
      written in      orchestrator.yaml, orchestrator.yaml (defaults)

    Runs
      build           b1001, the fallback of what was wanted
      binary          [UUID]
      proven          no
      restarts        0
      load            [TIME]
      command         in the root:
        bins/[UUID]/llama-server \
          --model models/tiny.gguf --host 127.0.0.1 --port [PORT] --alias chat

    Supervisor
      process         pid [PID]
      program  [PROGRAM]

    Settings
      gate            kind http, path /health, expected_status 200, interval [TIME], timeout [TIME], start_period [TIME], retries 3, liveness report, probe none, min_healthy [TIME]
      restart_policy  enabled true, initial_delay [TIME], backoff_multiplier 2.0, max_delay [TIME]
      logs            max_size_mb 100, rotation 5
      stop_timeout    [TIME]
      prove_after     [TIME]
      leave_failed    false

    Failed launches, newest first
      b1002           [TIME] ago: exited with code 1
        0.00.001.228 I srv  llama_server: initializing ...

    History
      apply           [DATE], [TIME] ago  start done: not running
      apply           [DATE], [TIME] ago  restart failed: b1002 exited with code 1; rolled back to b1001

    Files
      record          [ROOT]/.llama-orch/instances/chat/record.json
      state           [ROOT]/.llama-orch/instances/chat/state.json
      log             [ROOT]/.llama-orch/instances/chat/server.log
      supervisor log  [ROOT]/.llama-orch/instances/chat/supervisor.log
    ");
    let output = sandbox.run(&["describe", "chat", "--json"]);
    assert!(!output.says("hush"), "{output}");
}

#[test]
fn what_was_never_started_or_left_the_manifest_is_told_as_well() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    sandbox.run(&["down", "chat", "--quiet"]).assert_code(0);
    sandbox.write_instances(&[("embed", 1001)]);
    assert_snapshot!(said(&sandbox, &["embed"]), @r"
    exit code 1
    --- stdout
    embed
      state           stopped
      as written      no
      plan            start: not running

    Wanted
      version         b1001
      variant         auto
      build           b1001
      model           models/tiny.gguf
      address         127.0.0.1:[PORT]
      written in      orchestrator.yaml, orchestrator.yaml (defaults)

    Settings
      gate            kind http, path /health, expected_status 200, interval [TIME], timeout [TIME], start_period [TIME], retries 3, liveness report, probe none, min_healthy [TIME]
      restart_policy  enabled true, initial_delay [TIME], backoff_multiplier 2.0, max_delay [TIME]
      logs            max_size_mb 100, rotation 5
      stop_timeout    [TIME]
      prove_after     [TIME]
      leave_failed    false
    ");
    assert_snapshot!(said(&sandbox, &["chat"]), @r"
    exit code 1
    --- stdout
    chat
      state           down
      last exit       [TIME] ago: exited cleanly, as asked
      as written      no: it is no longer in orchestrator.yaml
      plan            hold: no longer in orchestrator.yaml; 1 of 1 would be removed at once, which needs `--allow-empty`

    Last launch
      build           b1001
      binary          [UUID]
      proven          no
      restarts        0
      command         in the root:
        bins/[UUID]/llama-server \
          --model models/tiny.gguf --host 127.0.0.1 --port [PORT] --alias chat

    Settings
      gate            kind http, path /health, expected_status 200, interval [TIME], timeout [TIME], start_period [TIME], retries 3, liveness report, probe none, min_healthy [TIME]
      restart_policy  enabled true, initial_delay [TIME], backoff_multiplier 2.0, max_delay [TIME]
      logs            max_size_mb 100, rotation 5
      stop_timeout    [TIME]
      prove_after     [TIME]
      leave_failed    false

    History
      apply           [DATE], [TIME] ago  start done: not running
      down            [DATE], [TIME] ago  stop done: put down

    Files
      record          [ROOT]/.llama-orch/instances/chat/record.json
      state           [ROOT]/.llama-orch/instances/chat/state.json
      log             [ROOT]/.llama-orch/instances/chat/server.log
      supervisor log  [ROOT]/.llama-orch/instances/chat/supervisor.log
    ");
    assert_snapshot!(said(&sandbox, &["chap"]), @r"
    exit code 64
    --- stderr
    error: there is no instance `chap`
    hint: did you mean `chat`?
    ");
}

#[test]
fn a_broken_manifest_hides_nothing_of_what_runs() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    sandbox.edit("version: 1", "version: one");
    let output = sandbox.run(&["describe", "chat"]);
    output.assert_code(65);
    for text in [
        "running",
        "orchestrator.yaml cannot be read",
        "--model models/tiny.gguf --host",
        "supervisor log",
    ] {
        output.assert_says(text);
    }
}

#[test]
fn the_command_can_be_copied() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let output = sandbox.run(&["describe", "chat"]);
    let command: Vec<&str> = output
        .stdout
        .lines()
        .skip_while(|line| !line.contains("in the root:"))
        .skip(1)
        .take_while(|line| line.starts_with("    "))
        .collect();
    let command = command.join("\n");
    let shell = std::process::Command::new("sh")
        .args(["-c", &format!("printf '%s\\n' {command}")])
        .output()
        .expect("it runs");
    let words = String::from_utf8(shell.stdout).expect("UTF-8");
    let running = format!("/proc/{}/cmdline", sandbox.pid("chat"));
    let running = std::fs::read_to_string(running).expect("it lives");
    let running = running.replace('\0', "\n");
    let arguments = |text: &str| text.split_once('\n').expect("a program").1.to_owned();
    assert_eq!(arguments(&words), arguments(&running), "{command}");
}

#[test]
fn the_json_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/describe.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    for arguments in [&["chat"][..], &["chat", "-C", "."]] {
        let output = sandbox.run(&[&["describe", "--json"], arguments].concat());
        output.assert_code(0);
        let description: Value = serde_json::from_str(&output.stdout).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&description)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}\n{description:#}");
        assert_eq!(description["launch"]["build"], "b1001");
        sandbox.run(&["down", "chat", "--quiet"]).assert_code(0);
    }
}
