//! Kinds of servers and kinds of checks: routers, embedders, rerankers, keys, sockets, sleepers; HTTP,
//! TCP and the user's own program.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use llama_orch::instance::record::RecordedLaunch;
use llama_orch::instance::state::{Exit, Health, Phase};
use llama_orch::instance::supervisor::Ended;
use llama_orch::instance::{CheckKind, EnvironmentValue, ProbeKind, Supervision};

use crate::real::real_build;
use crate::sandbox::{Sandbox, eventually, is_alive, quick};

fn probing(probe: ProbeKind) -> Supervision {
    let mut settings = quick();
    settings.gate.probe = probe;
    settings
}

fn with(mut launch: RecordedLaunch, arguments: &[&str]) -> RecordedLaunch {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    launch.launch.arguments.extend(arguments);
    launch
}

#[test]
fn a_real_router_is_ready_at_once_and_asked_for_no_model() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    std::fs::create_dir(sandbox.root.join("models")).expect("created");
    let mut launch = sandbox.launch(9001, program);
    launch.launch.router = true;
    let arguments = &mut launch.launch.arguments;
    let model = arguments
        .iter()
        .position(|argument| argument == "--model")
        .expect("there is one");
    arguments.splice(model..model + 2, ["--models-dir".into(), "models".into()]);
    sandbox.start_with(&launch, None, probing(ProbeKind::Completion));
    let state = sandbox.wait_running();
    assert_eq!(state.loaded, None, "it has loaded nothing");
    let props = sandbox.get("/props").expect("it answers");
    assert!(props.contains("\"role\":\"router\""), "{props}");
    assert_eq!(sandbox.end(), Ended::Exit(Exit::Code(0)));
}

#[test]
fn a_real_embedder_and_a_real_reranker_answer_their_probes() {
    for (option, probe) in [
        ("--embedding", ProbeKind::Embedding),
        ("--reranking", ProbeKind::Rerank),
    ] {
        let sandbox = Sandbox::new();
        let Some(program) = real_build(&sandbox) else {
            return;
        };
        let launch = with(sandbox.launch(9001, program), &[option]);
        sandbox.start_with(&launch, None, probing(probe));
        sandbox.wait_running();
    }
}

#[test]
fn a_real_server_that_cannot_answer_its_probe_fails() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let launch = sandbox.launch(9001, program);
    sandbox.start_with(&launch, None, probing(ProbeKind::Rerank));
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    let reason = state.failed.expect("recorded").failure.reason;
    assert!(
        reason.starts_with("did not answer `/rerank`: 501"),
        "{reason}"
    );
}

#[test]
fn of_the_keys_in_a_file_the_first_opens_a_real_server() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    std::fs::write(
        sandbox.root.join("keys"),
        "# of the team\nsesame,open\ntwo\n",
    )
    .expect("written");
    let mut launch = with(sandbox.launch(9001, program), &["--api-key-file", "keys"]);
    launch.launch.api_key = Some(EnvironmentValue::File("keys".into()));
    sandbox.start_with(&launch, None, probing(ProbeKind::Completion));
    sandbox.wait_running();
    let props = sandbox.get("/props").expect("it answers");
    assert!(props.contains("401"), "the keys are in force: {props}");
}

#[test]
fn a_real_server_at_a_socket_is_told_by_its_alias() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut launch = sandbox.launch(9001, program);
    for argument in &mut launch.launch.arguments {
        if argument == "127.0.0.1" {
            *argument = "chat.sock".to_owned();
        }
    }
    launch.launch.host = "chat.sock".to_owned();
    sandbox.start_with(&launch, None, probing(ProbeKind::Completion));
    sandbox.wait_running();
    let mut stream = UnixStream::connect(sandbox.root.join("chat.sock")).expect("it listens");
    write!(
        stream,
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    assert!(text.contains("\"ok\""), "{text}");
}

#[test]
fn watching_over_a_real_server_does_not_wake_it() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let launch = with(
        sandbox.launch(9001, program),
        &["--sleep-idle-seconds", "1"],
    );
    sandbox.start_with(&launch, None, probing(ProbeKind::Completion));
    sandbox.wait_running();
    let is_sleeping = || {
        let props = sandbox.get("/props");
        props.is_ok_and(|props| props.contains("\"is_sleeping\":true"))
    };
    eventually(is_sleeping).expect("it goes to sleep");
    // Some twenty probes later.
    for _ in 0..20 {
        std::thread::sleep(quick().gate.interval);
        assert!(is_sleeping(), "a probe woke it");
    }
    let state = sandbox.state().expect("written");
    assert_eq!(
        (state.phase, state.health),
        (Phase::Running, Health::Healthy)
    );
}

#[test]
fn a_check_of_another_path_sends_the_key_and_wants_its_status_and_text() {
    let mut sandbox = Sandbox::new();
    sandbox.set("CHAT_KEY", "sesame");
    let mut launch = sandbox.build(9001, "");
    launch.launch.api_key = Some(EnvironmentValue::FromEnv("CHAT_KEY".to_owned()));
    let mut settings = quick();
    settings.gate.path = "/props".to_owned();
    settings.gate.expected_body = Some("total_slots".to_owned());
    sandbox.start_with(&launch, None, settings.clone());
    sandbox.wait_running();

    settings.gate.path = "/nowhere".to_owned();
    settings.gate.expected_body = None;
    settings.gate.expected_status = vec![204, 404];
    launch.launch.inputs.set("step", 2);
    sandbox.start_with(&launch, None, settings.clone());
    sandbox.wait_running();

    settings.gate.path = "/health".to_owned();
    settings.gate.expected_status = vec![200];
    settings.gate.expected_body = Some("splendid".to_owned());
    settings.gate.start_period = Duration::from_secs(1);
    launch.launch.inputs.set("step", 3);
    sandbox.start_with(&launch, None, settings);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    let reason = state.failed.expect("recorded").failure.reason;
    assert!(reason.ends_with("without the expected text"), "{reason}");
}

#[test]
fn a_connection_is_all_a_check_by_tcp_wants() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "--standin-never-ready");
    let mut settings = quick();
    settings.gate.kind = CheckKind::Tcp;
    sandbox.start_with(&launch, None, settings);
    sandbox.wait_running();
}

/// A check of the user's own.
fn script(sandbox: &Sandbox, text: &str) -> Supervision {
    let path = sandbox.root.join("check");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("set");
    let mut settings = quick();
    settings.gate.kind = CheckKind::Custom {
        script: "check".into(),
    };
    settings
}

#[test]
fn a_program_of_the_users_own_says_whether_a_server_is_well() {
    let sandbox = Sandbox::new();
    let port = sandbox.port;
    let settings = script(
        &sandbox,
        &format!(
            "test \"$LLAMA_ORCH_HOST:$LLAMA_ORCH_PORT\" = 127.0.0.1:{port} && test -e \"$LLAMA_ORCH_INSTANCE.well\""
        ),
    );
    sandbox.start_with(&sandbox.build(9001, ""), None, settings);
    sandbox.wait_for("bound", |state| {
        matches!(state.phase, Phase::Starting { bound: Some(_) })
    });
    let well = sandbox.root.join("chat.well");
    std::fs::write(&well, "").expect("written");
    sandbox.wait_running();
    std::fs::remove_file(&well).expect("removed");
    sandbox.wait_for("unwell", |state| state.health == Health::Unresponsive);
}

#[test]
fn a_check_that_takes_too_long_is_ended_with_all_it_started() {
    let sandbox = Sandbox::new();
    let mut settings = script(&sandbox, "sleep 600 &\necho $! >child\nwait");
    settings.gate.timeout = Duration::from_millis(500);
    settings.gate.start_period = Duration::from_secs(1);
    sandbox.start_with(&sandbox.build(9001, ""), None, settings);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "was not healthy within 1 s; last answer: no answer within 0.5 s"
    );
    let child = std::fs::read_to_string(sandbox.root.join("child")).expect("it was run");
    let child = child.trim().parse().expect("a pid");
    eventually(|| !is_alive(child)).expect("it is ended as well");
}
