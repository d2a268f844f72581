//! What a start must pass, and what follows when it does not.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use llama_orch::instance::record::{ProvenLoad, RecordedLaunch};
use llama_orch::instance::state::{Exit, Health, Phase, Role};
use llama_orch::instance::supervisor::Ended;
use llama_orch::instance::{
    EnvironmentValue, GateSpec, LaunchInputs, Liveness, ProbeKind, RestartPolicy, Supervision,
};

use crate::sandbox::{NOBODY, Sandbox, eventually, go_on, is_alive, kill, quick, server_pid, stop};

#[test]
fn a_good_launch_is_started_gated_and_ended() {
    let sandbox = Sandbox::new();
    let mut settings = quick();
    settings.gate.probe = ProbeKind::Completion;
    let id = sandbox.start_with(&sandbox.build(9001, ""), None, settings);

    let state = sandbox.wait_running();
    assert_eq!((state.assignment, state.role), (id, Role::Wanted));
    assert_eq!(state.health, Health::Healthy);
    assert!(state.load.is_some() && state.failed.is_none(), "{state:#?}");
    assert!(
        sandbox
            .get("/props")
            .expect("it answers")
            .contains("b9001-")
    );

    sandbox.end();
    let state = sandbox.state().expect("it stays");
    assert_eq!((state.phase, state.server), (Phase::Stopped, None));
    let exit = sandbox.exit().expect("written");
    assert_eq!((exit.exit, exit.asked), (Exit::Code(0), true));
    assert_eq!(sandbox.servers(), NOBODY, "no server is left");
    eventually(|| sandbox.supervisors().is_empty()).expect("no supervisor is left");
}

#[test]
fn a_slow_load_is_waited_for() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, "--standin-load-seconds 2"), None);
    let starting = sandbox.wait_for("bound", |state| {
        matches!(state.phase, Phase::Starting { bound: Some(_) })
    });
    assert_eq!(starting.load, None);
    let state = sandbox.wait_running();
    assert!(
        state.load.is_some_and(|load| load > 0.1),
        "{:?}",
        state.load
    );
}

#[test]
fn a_launch_that_never_gets_ready_is_replaced_by_its_fallback() {
    let sandbox = Sandbox::new();
    let good = sandbox.build(9001, "");
    let bad = sandbox.build(9002, "--standin-never-ready");
    let mut settings = quick();
    settings.gate.start_period = Duration::from_secs(3);
    sandbox.start_with(&bad, Some(&good), settings);

    let state = sandbox.wait_running();
    assert_eq!(state.role, Role::Fallback);
    assert_eq!(state.runs(), good.fingerprint());
    let failed = state.failed.expect("the assigned launch failed");
    assert_eq!(failed.fingerprint, bad.fingerprint());
    assert_eq!(
        failed.failure.reason,
        "was not healthy within 3 s; last answer: 503 Loading model",
    );
    assert!(
        sandbox
            .get("/props")
            .expect("it answers")
            .contains("b9001-")
    );
    assert_eq!(sandbox.servers().len(), 1, "the failed server is gone");
}

#[test]
fn a_launch_that_exits_at_once_fails_at_once_with_the_end_of_its_log() {
    let sandbox = Sandbox::new();
    let mut launch = sandbox.build(9001, "");
    launch.launch.arguments.push("--bogus".to_owned());
    sandbox.start(&launch, None);

    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    let failure = state.failed.expect("recorded").failure;
    assert_eq!(
        failure.reason,
        "exited with code 1: invalid argument: --bogus"
    );
    assert_eq!(failure.log_tail, ["error: invalid argument: --bogus"]);
    assert!(sandbox.exit().expect("written").within_gate);
    assert_eq!(state.restarts.total, 0);
    eventually(|| sandbox.supervisors().is_empty()).expect("nothing is left to supervise");
}

#[test]
fn a_server_of_another_build_than_the_pinned_one_fails() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    std::fs::write(sandbox.root.join("bins/b9001/build-number"), "9002").expect("written");
    sandbox.start(&launch, None);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "says it is b9002, not b9001"
    );
    assert_eq!(sandbox.servers(), NOBODY);
}

#[test]
fn a_port_that_is_held_may_be_free_later_and_is_not_held_against_the_launch() {
    let sandbox = Sandbox::new();
    let stranger =
        std::net::TcpListener::bind(("127.0.0.1", sandbox.port)).expect("the port is free");
    sandbox.start(&sandbox.build(9001, ""), None);
    let state = sandbox.wait_for("tried again", |state| state.restarts.total >= 1);
    assert_eq!(state.failed, None);
    drop(stranger);
    sandbox.wait_running();
}

#[test]
fn a_port_that_stays_held_is_given_up_without_a_mark_on_the_launch() {
    let sandbox = Sandbox::new();
    let _stranger =
        std::net::TcpListener::bind(("127.0.0.1", sandbox.port)).expect("the port is free");
    let mut settings = quick();
    // The first retry would come after `start_period`.
    settings.restart_policy.initial_delay = Duration::from_mins(1);
    sandbox.start_with(&sandbox.build(9001, ""), None, settings);
    let state = sandbox.wait_for("given up", |state| {
        matches!(state.phase, Phase::GaveUp { .. })
    });
    assert_eq!(state.failed, None);
    let Phase::GaveUp { failure } = state.phase else {
        unreachable!("just seen")
    };
    assert_eq!(failure.reason, "exited with code 1: its address is in use");
}

#[test]
fn a_launch_that_stays_short_of_its_port_gives_way_to_what_ran_before_and_is_not_held() {
    let sandbox = Sandbox::new();
    let good = sandbox.build(9001, "");
    let stranger = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("some port is free");
    let held = stranger.local_addr().expect("it is bound").port();
    let mut short = sandbox.build(9002, "");
    let own = sandbox.port.to_string();
    for argument in &mut short.launch.arguments {
        if *argument == own {
            *argument = held.to_string();
        }
    }
    short.launch.port = held;
    let mut settings = quick();
    // The first retry would come after `start_period`.
    settings.restart_policy.initial_delay = Duration::from_mins(1);
    sandbox.start_with(&short, Some(&good), settings);

    let state = sandbox.wait_running();
    assert_eq!(state.role, Role::Fallback);
    let failed = state.failed.expect("what became of the launch is told");
    assert!(failed.transient, "its cause may be gone the next time");
    assert_eq!(
        failed.failure.reason,
        "exited with code 1: its address is in use"
    );
}

#[test]
fn a_server_that_shares_its_port_is_not_let_through() {
    let mut first = Sandbox::new();
    let second = Sandbox::new();
    first.port = second.port;
    first.start(&first.build(9001, "--standin-share-port"), None);
    first.wait_running();
    let mut settings = quick();
    // The first retry would come after `start_period`.
    settings.restart_policy.initial_delay = Duration::from_mins(1);
    second.start_with(&second.build(9001, "--standin-share-port"), None, settings);
    let state = second.wait_for("given up", |state| {
        matches!(state.phase, Phase::GaveUp { .. })
    });
    let Phase::GaveUp { failure } = state.phase else {
        unreachable!("just seen")
    };
    assert!(
        failure.reason.starts_with("shares port"),
        "{}",
        failure.reason
    );
    assert!(
        is_alive(server_pid(&first.wait_running())),
        "the first one is left alone"
    );
}

#[test]
fn a_probe_with_the_wrong_key_fails_and_with_the_right_one_passes() {
    let mut sandbox = Sandbox::new();
    sandbox.set("CHAT_KEY", "sesame");
    let mut launch = sandbox.build(9001, "");
    launch.launch.api_key = Some(EnvironmentValue::FromEnv("CHAT_KEY".to_owned()));
    let settings = Supervision {
        gate: GateSpec {
            probe: ProbeKind::Embedding,
            ..quick().gate
        },
        ..quick()
    };
    sandbox.start_with(&launch, None, settings.clone());
    sandbox.wait_running();
    assert!(
        sandbox.get("/props").expect("it answers").contains("401"),
        "the key is in force"
    );

    launch
        .launch
        .arguments
        .extend(["--api-key".to_owned(), "other".to_owned()]);
    launch.launch.inputs.set("args", "--api-key");
    sandbox.start_with(&launch, None, settings);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "did not answer `/embedding`: 401 Invalid API Key",
    );
}

#[test]
fn a_new_launch_that_keeps_crashing_is_rolled_back() {
    let sandbox = Sandbox::new();
    let good = sandbox.build(9001, "");
    let bad = sandbox.build(9002, "--standin-crash-after 0.05");
    let mut settings = quick();
    settings.restart_policy = RestartPolicy {
        max_retries: Some(2),
        initial_delay: Duration::from_millis(10),
        ..RestartPolicy::default()
    };
    sandbox.start_with(&bad, Some(&good), settings);
    let state = sandbox.wait_for("rolled back", |state| {
        state.role == Role::Fallback && state.phase == Phase::Running
    });
    let failure = state.failed.expect("recorded").failure;
    assert!(
        failure.reason.starts_with("was ended by SIGABRT"),
        "{}",
        failure.reason
    );
}

/// A launch that fails its gate and takes its time to end, and what to fall back to.
fn failing(sandbox: &Sandbox) -> Supervision {
    let good = sandbox.build(9001, "--standin-say good");
    let bad = sandbox.build(
        9002,
        "--standin-say bad\n--standin-never-ready\n--standin-ignore-sigterm",
    );
    let mut settings = quick();
    settings.gate.start_period = Duration::from_secs(3);
    settings.stop_timeout = Duration::from_secs(2);
    sandbox.start_with(&bad, Some(&good), settings.clone());
    settings
}

#[test]
fn a_supervisor_that_ends_a_failed_launch_can_be_asked_to_end() {
    let sandbox = Sandbox::new();
    failing(&sandbox);
    sandbox.wait_for("stopping", |state| state.phase == Phase::Stopping);
    assert_eq!(sandbox.end(), Ended::Exit(Exit::Signal(9)));
    let state = sandbox.state().expect("it stays");
    assert_eq!(state.phase, Phase::Stopped);
    assert!(state.failed.is_some(), "the verdict stands");
    let log = std::fs::read_to_string(sandbox.folder.server_log()).expect("readable");
    assert!(!log.contains("good"), "the fallback was never started");
    eventually(|| sandbox.supervisors().is_empty()).expect("it has ended");
}

#[test]
fn a_verdict_outlives_a_supervisor_that_dies_while_it_ends_the_failed_server() {
    let sandbox = Sandbox::new();
    failing(&sandbox);
    let before = sandbox.wait_for("stopping", |state| state.phase == Phase::Stopping);
    kill(before.supervisor.pid);
    assert!(
        before.failed.is_some(),
        "it is written before the server is ended"
    );
    sandbox.supervise().expect("the next one starts");
    let after = sandbox.wait_running();
    assert_eq!(
        (after.role, &after.failed),
        (Role::Fallback, &before.failed)
    );
    let log = std::fs::read_to_string(sandbox.folder.server_log()).expect("readable");
    assert_eq!(log.matches("bad").count(), 1, "it is not tried again");
}

#[test]
fn health_is_watched_after_the_gate_and_a_proof_is_written() {
    let sandbox = Sandbox::new();
    let mut settings = quick();
    settings.gate.timeout = Duration::from_secs(1);
    settings.gate.retries = 2;
    settings.prove_after = Duration::from_millis(100);
    let launch = sandbox.build(9001, "--standin-wedge-file wedge");
    sandbox.start_with(&launch, None, settings);
    sandbox.wait_for("proven", |state| state.proven);
    std::fs::write(sandbox.root.join("wedge"), "").expect("written");
    let state = sandbox.wait_for("unresponsive", |state| state.health == Health::Unresponsive);
    assert_eq!(
        state.phase,
        Phase::Running,
        "a wedge is reported, not acted upon"
    );
    assert!(is_alive(server_pid(&state)));
}

#[test]
fn a_server_that_answers_no_more_is_started_again_where_the_manifest_says_so() {
    let sandbox = Sandbox::new();
    let mut settings = quick();
    settings.gate.timeout = Duration::from_millis(300);
    settings.gate.retries = 2;
    settings.gate.liveness = Liveness::Restart;
    settings.stop_timeout = Duration::from_secs(1);
    sandbox.start_with(&sandbox.build(9001, ""), None, settings);
    let wedged = server_pid(&sandbox.wait_running());
    stop(wedged);
    let state = sandbox.wait_for("another server", |state| {
        state.phase == Phase::Running && server_pid(state) != wedged
    });
    assert_eq!((state.restarts.total, state.health), (1, Health::Healthy));
    assert!(!is_alive(wedged));
    let exit = sandbox.exit().expect("written");
    assert_eq!((exit.exit, exit.asked), (Exit::Signal(9), false));
    assert_eq!(
        exit.reason.as_deref(),
        Some("did not answer 2 probes in a row")
    );
}

#[test]
fn a_server_that_answers_again_is_told_of() {
    let sandbox = Sandbox::new();
    let mut settings = quick();
    settings.gate.timeout = Duration::from_millis(300);
    settings.gate.retries = 1;
    sandbox.start_with(&sandbox.build(9001, ""), None, settings);
    let pid = server_pid(&sandbox.wait_running());
    stop(pid);
    sandbox.wait_for("unresponsive", |state| state.health == Health::Unresponsive);
    go_on(pid);
    let state = sandbox.wait_for("healthy again", |state| state.health == Health::Healthy);
    assert_eq!((server_pid(&state), state.restarts.total), (pid, 0));
}

/// A build whose log tells of a load on a GPU.
fn loading(sandbox: &Sandbox, number: u32, layers: u32) -> RecordedLaunch {
    let faults = format!(
        "--standin-say llama_prepare_model_devices: using device CUDA0 (a GPU) (unknown id) - 9 MiB free
--standin-say load_tensors: offloaded {layers}/33 layers to GPU
--standin-say llama_context: n_ctx                 = 8192"
    );
    let mut launch = sandbox.build(number, &faults);
    launch.launch.gpu = Some("CUDA".to_owned());
    launch.launch.inputs = LaunchInputs::default();
    launch.launch.inputs.set("binary", format!("b{number}"));
    launch
}

#[test]
fn a_server_that_offloads_less_than_the_proven_one_before_it_is_rolled_back() {
    let sandbox = Sandbox::new();
    let mut settings = quick();
    settings.prove_after = Duration::from_millis(50);
    let whole = loading(&sandbox, 9001, 33);
    sandbox.start_with(&whole, None, settings.clone());
    let proven = sandbox.wait_for("proven", |state| state.proven);
    let loaded = proven.loaded.expect("the log told");
    assert_eq!(loaded.devices, ["CUDA0"]);
    assert_eq!(
        (loaded.layers, loaded.context),
        (Some((33, 33)), Some(8192))
    );
    let mut record = sandbox.record();
    record.proven.push(whole.clone());
    record.loads.push(ProvenLoad {
        fingerprint: whole.fingerprint(),
        facts: loaded,
    });
    sandbox.write_record(&record);

    let less = loading(&sandbox, 9002, 20);
    sandbox.start_with(&less, Some(&whole), settings);
    let state = sandbox.wait_running();
    assert_eq!(
        (state.role, state.runs()),
        (Role::Fallback, whole.fingerprint())
    );
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "offloaded 20 of 33 layers to the GPU, the last proven launch 33"
    );
}

#[test]
fn a_server_that_has_to_use_a_gpu_and_finds_none_may_find_one_later() {
    let sandbox = Sandbox::new();
    let faults = "--standin-say warning: no usable GPU found, --gpu-layers option will be ignored";
    let mut launch = sandbox.build(9001, faults);
    launch.launch.gpu = Some("CUDA".to_owned());
    sandbox.start(&launch, None);
    let state = sandbox.wait_for("tried again", |state| state.restarts.total >= 1);
    assert_eq!(state.failed, None);
    assert!(
        sandbox
            .notes()
            .contains("the gate failed: the server found no CUDA device"),
        "{}",
        sandbox.notes()
    );
    std::fs::write(sandbox.root.join("bins/b9001/standin-faults"), "").expect("written");
    sandbox.wait_running();
    assert!(
        sandbox.notes().contains("not checked"),
        "a log that says nothing is no finding"
    );
}

#[test]
fn a_server_that_is_taken_over_while_it_loads_is_judged_by_its_own_part_of_the_log() {
    let sandbox = Sandbox::new();
    let mut first = loading(&sandbox, 9001, 0);
    first.launch.gpu = None;
    sandbox.start(&first, None);
    sandbox.wait_running();
    let faults =
        "--standin-load-seconds 2\n--standin-say load_tensors: offloaded 33/33 layers to GPU";
    let mut launch = sandbox.build(9002, faults);
    launch.launch.gpu = Some("CUDA".to_owned());
    sandbox.start(&launch, None);
    let state = sandbox.wait_for("loading", |state| {
        matches!(state.phase, Phase::Starting { bound: Some(_) })
            && state.runs() == launch.fingerprint()
    });
    kill(state.supervisor.pid);
    eventually(|| !is_alive(state.supervisor.pid)).expect("it was killed");
    sandbox.supervise().expect("the next one starts");
    let state = sandbox.wait_running();
    assert_eq!(
        state.loaded.and_then(|loaded| loaded.layers),
        Some((33, 33))
    );
}

#[test]
fn a_server_that_fails_its_gate_is_left_running_where_the_manifest_says_so() {
    let sandbox = Sandbox::new();
    let good = sandbox.build(9001, "");
    let launch = sandbox.build(9002, "--standin-say left\n--standin-never-ready");
    let mut settings = quick();
    settings.gate.start_period = Duration::from_secs(1);
    settings.prove_after = Duration::from_millis(50);
    settings.leave_failed = true;
    sandbox.start_with(&launch, Some(&good), settings);

    let state = sandbox.wait_for("left", |state| state.phase == Phase::Failed);
    let pid = server_pid(&state);
    assert!(is_alive(pid));
    assert_eq!((state.role, state.proven), (Role::Wanted, false));
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "was not healthy within 1 s; last answer: 503 Loading model"
    );
    sandbox.wait_for("watched", |state| state.health == Health::Unresponsive);

    kill(pid);
    let state = sandbox.wait_for("down", |state| state.server.is_none());
    assert_eq!((state.phase, state.restarts.total), (Phase::Failed, 0));
    let exit = sandbox.exit().expect("written");
    assert_eq!((exit.exit, exit.within_gate), (Exit::Signal(9), true));
    eventually(|| sandbox.supervisors().is_empty()).expect("nothing is left to supervise");
    let log = std::fs::read_to_string(sandbox.folder.server_log()).expect("readable");
    assert_eq!(log.matches("left").count(), 1, "it stays down");
}

#[test]
fn a_server_that_was_left_can_be_ended_and_goes_with_a_new_launch() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9002, "--standin-never-ready");
    let mut settings = quick();
    settings.gate.start_period = Duration::from_secs(1);
    settings.leave_failed = true;
    sandbox.start_with(&launch, None, settings.clone());
    let left = server_pid(&sandbox.wait_for("left", |state| state.phase == Phase::Failed));
    sandbox.start_with(&sandbox.build(9001, ""), None, settings);
    sandbox.wait_running();
    assert!(!is_alive(left));
    assert_eq!(sandbox.end(), Ended::Exit(Exit::Code(0)));
}

#[test]
fn a_successor_waits_until_the_driver_has_its_memory_back() {
    let mut sandbox = Sandbox::new();
    let listed = sandbox.root.join("on-the-gpu");
    let driver = sandbox.root.join("tools/nvidia-smi");
    std::fs::create_dir_all(sandbox.root.join("tools")).expect("created");
    std::fs::write(&driver, format!("#!/bin/sh\ncat '{listed}'\n")).expect("written");
    std::fs::set_permissions(&driver, Permissions::from_mode(0o755)).expect("set");
    let path = std::env::var("PATH").expect("set");
    sandbox.set("PATH", &format!("{}/tools:{path}", sandbox.root));
    sandbox.start(&sandbox.build(9001, ""), None);
    let old = server_pid(&sandbox.wait_running());
    std::fs::write(&listed, format!("{old}\n1234567\n")).expect("written");

    sandbox.start(&sandbox.build(9002, ""), None);
    let waits = format!("waits until the GPU memory of process {old} is free");
    eventually(|| sandbox.notes().contains(&waits)).expect("it waits");
    assert_eq!(sandbox.servers(), NOBODY);
    let state = sandbox.state().expect("written");
    assert_eq!(state.phase, Phase::TakingOver);

    std::fs::write(&listed, "1234567\n").expect("written");
    sandbox.wait_running();
    assert!(!sandbox.notes().contains("goes on"));
}
