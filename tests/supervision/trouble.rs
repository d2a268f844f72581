//! A disk that takes no more, a folder that is gone, a caller that ignores signals.

use std::time::Duration;

use llama_orch::instance::RestartPolicy;
use llama_orch::instance::state::{Exit, Phase, Role};
use llama_orch::instance::supervisor::Ended;

use rustix::process::Signal;

use crate::sandbox::{NOBODY, Sandbox, eventually, is_alive, kill, quick, server_pid};

/// Waits until the supervisor has noted this.
fn noted(sandbox: &Sandbox, text: &str) {
    eventually(|| sandbox.notes().contains(text))
        .unwrap_or_else(|()| panic!("no `{text}` in\n{}", sandbox.notes()));
}

#[test]
fn a_state_that_cannot_be_written_starts_no_server_and_ends_no_supervision() {
    let sandbox = Sandbox::new();
    let mut settings = quick();
    settings.restart_policy = RestartPolicy {
        max_retries: Some(1000),
        initial_delay: Duration::from_millis(50),
        backoff_multiplier: 1.0,
        ..RestartPolicy::default()
    };
    sandbox.start_with(&sandbox.build(9001, ""), None, settings);
    let before = sandbox.wait_running();
    let block = sandbox.block_state();
    kill(server_pid(&before));
    noted(&sandbox, "cannot write");
    assert_eq!(
        sandbox.servers(),
        NOBODY,
        "no server without its nonce on disk"
    );
    assert!(is_alive(before.supervisor.pid));
    std::fs::remove_dir(block).expect("removed");
    let after = sandbox.wait_for("running again", |state| {
        state.phase == Phase::Running && state.restarts.total > 0
    });
    assert_eq!(after.supervisor, before.supervisor);
    assert_eq!(after.failed, None, "a full disk is not the launch's fault");
}

#[test]
fn a_server_is_ended_where_nothing_can_be_written_down() {
    for supervised in [true, false] {
        let sandbox = Sandbox::new();
        sandbox.start(&sandbox.build(9001, ""), None);
        let state = sandbox.wait_running();
        sandbox.block_state();
        if !supervised {
            kill(state.supervisor.pid);
        }
        assert!(matches!(sandbox.end(), Ended::Exit(_)));
        assert!(!is_alive(server_pid(&state)), "supervised: {supervised}");
        eventually(|| sandbox.supervisors().is_empty()).expect("no supervisor is left");
    }
}

#[test]
fn a_launch_that_fails_its_gate_is_replaced_although_its_end_cannot_be_written() {
    let sandbox = Sandbox::new();
    let good = sandbox.build(9001, "");
    let bad = sandbox.build(9002, "--standin-never-ready");
    let mut settings = quick();
    settings.gate.start_period = Duration::from_secs(3);
    sandbox.start_with(&bad, Some(&good), settings);
    sandbox.wait_for("bound", |state| {
        matches!(state.phase, Phase::Starting { bound: Some(_) })
    });
    let block = sandbox.block_state();
    noted(&sandbox, "falls back");
    assert_eq!(sandbox.servers(), NOBODY, "the failed server is gone");
    std::fs::remove_dir(block).expect("removed");
    let state = sandbox.wait_running();
    assert_eq!(
        (state.role, state.runs()),
        (Role::Fallback, good.fingerprint())
    );
    assert!(state.failed.is_some());
}

#[test]
fn a_supervisor_whose_folder_is_gone_ends_its_server_and_brings_nothing_back() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, ""), None);
    let state = sandbox.wait_running();
    let elsewhere = sandbox.root.join("elsewhere");
    std::fs::rename(sandbox.folder.path(), &elsewhere).expect("moved");
    eventually(|| sandbox.supervisors().is_empty()).expect("the supervisor has ended");
    assert!(!is_alive(server_pid(&state)));
    assert!(!sandbox.folder.path().exists());
    std::fs::rename(&elsewhere, sandbox.folder.path()).expect("moved back");
}

#[test]
fn signals_that_the_caller_ignores_reach_neither_supervisor_nor_server() {
    let sandbox = Sandbox::new();
    sandbox.want(&sandbox.build(9001, ""), None, quick());
    sandbox.supervise_ignoring("CHLD USR1");
    let state = sandbox.wait_running();
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server_pid(&state))).expect("readable");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.expect("it is listed").trim(), 16);
    let bit = |signal: Signal| 1_u64 << (signal.as_raw() - 1);
    let asked = bit(Signal::CHILD) | bit(Signal::USR1);
    assert_eq!(ignored.map(|ignored| ignored & asked), Ok(0));

    kill(server_pid(&state));
    let state = sandbox.wait_for("running again", |state| {
        state.phase == Phase::Running && state.restarts.total == 1
    });
    assert!(is_alive(server_pid(&state)));
    assert_eq!(sandbox.exit().expect("written").exit, Exit::Signal(9));
}

#[test]
fn a_log_is_turned_over_before_a_server_is_started() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.folder.server_log(), "x".repeat(1 << 20)).expect("written");
    let mut settings = quick();
    settings.logs.max_size_mb = 1;
    sandbox.start_with(&sandbox.build(9001, "--standin-exit 1"), None, settings);
    sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    let size = |name| {
        sandbox
            .folder
            .path()
            .join(name)
            .metadata()
            .map(|file| file.len())
    };
    assert_eq!(size("server.log.1").ok(), Some(1 << 20));
    assert!(size("server.log").is_ok_and(|size| size < 1 << 20));
}
