//! The real `llama-server`, where it is at hand: its folder is named by `LLAMA_ORCH_REAL_DIR`.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use llama_orch::instance::state::{Exit, Health, Phase};
use llama_orch::instance::supervisor::Ended;
use llama_orch::instance::{ProbeKind, RestartPolicy};
use rustix::process::{Pid, Signal};

use crate::sandbox::{Sandbox, eventually, kill, quick, server_pid};

/// Unpacks the real build below the root, as an install would, and names its program.
pub(crate) fn real_build(sandbox: &Sandbox) -> Option<Utf8PathBuf> {
    let Ok(folder) = std::env::var("LLAMA_ORCH_REAL_DIR") else {
        let _ = writeln!(std::io::stderr(), "skipped: LLAMA_ORCH_REAL_DIR is not set");
        return None;
    };
    let folder = Utf8PathBuf::from(folder);
    let bins = sandbox.root.join("bins");
    std::fs::create_dir_all(&bins).expect("created");
    let unpacked = Command::new("tar")
        .args([
            "xzf",
            folder.join("llama-b9001-bin-ubuntu-x64.tar.gz").as_str(),
            "-C",
        ])
        .arg(bins.as_str())
        .status()
        .expect("`tar` is there");
    assert!(unpacked.success());
    std::fs::copy(folder.join("tiny.gguf"), sandbox.root.join("model.gguf")).expect("copied");
    Some("bins/llama-b9001/llama-server".into())
}

#[test]
fn a_real_server_passes_its_gate_with_a_completion() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut settings = quick();
    settings.gate.probe = ProbeKind::Completion;
    sandbox.start_with(&sandbox.launch(9001, program), None, settings);
    sandbox.wait_running();
    assert!(
        sandbox
            .get("/props")
            .expect("it answers")
            .contains("b9001-")
    );
    assert_eq!(sandbox.end(), Ended::Exit(Exit::Code(0)));
}

#[test]
fn a_real_server_is_told_from_the_build_that_was_pinned() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    sandbox.start(&sandbox.launch(9002, program), None);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "says it is b9001, not b9002"
    );
}

#[test]
fn a_real_server_says_itself_why_it_would_not_start() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut launch = sandbox.launch(9001, program);
    launch.launch.arguments.push("--bogus".to_owned());
    sandbox.start(&launch, None);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "exited with code 1: invalid argument: --bogus",
    );
}

#[test]
fn a_real_server_tells_what_it_computes_on_where_it_is_told_to() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut launch = sandbox.launch(9001, program);
    launch
        .launch
        .arguments
        .extend(["--verbosity".to_owned(), "4".to_owned()]);
    sandbox.start(&launch, None);
    let loaded = sandbox.wait_running().loaded.expect("it says so");
    assert_eq!(loaded.devices, ["CPU"]);
    assert_eq!((loaded.layers, loaded.context), (None, Some(512)));

    launch.launch.gpu = Some("CUDA".to_owned());
    launch.launch.inputs.set("gpu.require", true);
    sandbox.start(&launch, None);
    sandbox.wait_for("tried again", |state| state.restarts.total >= 1);
    assert!(
        sandbox
            .notes()
            .contains("the gate failed: the server computes on CPU, and not on CUDA"),
        "{}",
        sandbox.notes()
    );
}

#[test]
fn a_real_server_whose_model_went_away_before_it_started_says_so() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let launch = sandbox.launch(9001, program);
    std::fs::remove_file(sandbox.root.join("model.gguf")).expect("removed");
    sandbox.start(&launch, None);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    let reason = state.failed.expect("recorded").failure.reason;
    assert!(reason.contains("exited with code 1"), "{reason}");
    assert!(reason.contains("model"), "{reason}");
}

#[test]
fn a_real_server_that_is_killed_runs_again() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    sandbox.start(&sandbox.launch(9001, program), None);
    let first = server_pid(&sandbox.wait_running());
    let killed = Instant::now();
    kill(first);
    let state = sandbox.wait_for("running again", |state| {
        state.phase == Phase::Running && state.restarts.total == 1
    });
    let healed = killed.elapsed().as_millis();
    let _ = writeln!(std::io::stderr(), "healed {healed} ms after SIGKILL");
    assert_ne!(server_pid(&state), first);
    assert_eq!(sandbox.exit().expect("written").exit, Exit::Signal(9));
    assert!(
        sandbox
            .get("/health")
            .expect("it answers")
            .contains("\"ok\"")
    );
}

#[test]
fn a_real_server_that_is_stopped_is_unresponsive_until_it_goes_on() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut settings = quick();
    settings.gate.timeout = Duration::from_millis(500);
    settings.gate.retries = 2;
    sandbox.start_with(&sandbox.launch(9001, program), None, settings);
    let before = sandbox.wait_running();
    let pid = Pid::from_raw(server_pid(&before).cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, Signal::STOP).expect("it is ours");
    sandbox.wait_for("unresponsive", |state| state.health == Health::Unresponsive);
    rustix::process::kill_process(pid, Signal::CONT).expect("it is ours");
    let after = sandbox.wait_for("healthy", |state| state.health == Health::Healthy);
    assert_eq!(
        (server_pid(&after), after.restarts.total),
        (server_pid(&before), 0),
        "a wedge is reported, not restarted"
    );
}

#[test]
fn a_real_server_whose_port_was_stolen_waits_for_it() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut settings = quick();
    settings.restart_policy = RestartPolicy {
        initial_delay: Duration::from_secs(1),
        backoff_multiplier: 1.0,
        ..RestartPolicy::default()
    };
    sandbox.start_with(&sandbox.launch(9001, program), None, settings);
    kill(server_pid(&sandbox.wait_running()));
    let mut stranger = None;
    eventually(|| {
        stranger = TcpListener::bind(("127.0.0.1", sandbox.port)).ok();
        stranger.is_some()
    })
    .expect("the port is free for a while");
    let state = sandbox.wait_for("backing off from the stranger", |state| {
        state.restarts.total >= 2 && matches!(state.phase, Phase::BackingOff { .. })
    });
    assert_eq!(state.failed, None, "it is not the launch's fault");
    let notes = sandbox.notes();
    let named = format!("process {}", std::process::id());
    assert!(
        notes.contains("its address is in use") || notes.contains(&named),
        "{notes}"
    );
    drop(stranger);
    sandbox.wait_running();
}
