//! `kill -9` of the server, of its supervisor, of both, and at the worst moments.

use std::time::Duration;

use llama_orch::durable;
use llama_orch::instance::state::{Exit, Phase, Role};
use llama_orch::instance::supervisor::{self, Ended};
use llama_orch::instance::{RestartPolicy, Supervision};
use uuid::Uuid;

use crate::sandbox::{
    NOBODY, Sandbox, assert_unseen_or, eventually, is_alive, kill, quick, server_pid,
};

#[test]
fn a_killed_server_is_started_again_and_counted() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, ""), None);
    let first = server_pid(&sandbox.wait_running());
    kill(first);
    let state = sandbox.wait_for("running again", |state| {
        state.phase == Phase::Running && state.restarts.total == 1
    });
    assert_ne!(server_pid(&state), first);
    assert_eq!(state.restarts.in_a_row, 1);
    let exit = sandbox.exit().expect("written");
    assert_eq!((exit.exit, exit.asked), (Exit::Signal(9), false));
    assert_eq!(sandbox.servers().len(), 1);
}

#[test]
fn a_killed_server_stays_down_where_the_policy_says_so() {
    let sandbox = Sandbox::new();
    let mut settings = quick();
    settings.restart_policy = RestartPolicy {
        enabled: false,
        ..RestartPolicy::default()
    };
    sandbox.start_with(&sandbox.build(9001, ""), None, settings);
    kill(server_pid(&sandbox.wait_running()));
    let state = sandbox.wait_for("given up", |state| {
        matches!(state.phase, Phase::GaveUp { .. })
    });
    let Phase::GaveUp { failure } = state.phase else {
        unreachable!("just seen")
    };
    assert!(
        failure.reason.starts_with("was ended by SIGKILL"),
        "{}",
        failure.reason
    );
    eventually(|| sandbox.supervisors().is_empty()).expect("its supervisor has ended");
}

#[test]
fn waiting_and_giving_up_are_forgotten_with_the_boot_they_happened_on() {
    let waits = RestartPolicy {
        initial_delay: Duration::from_hours(1),
        max_delay: Duration::from_hours(1),
        ..RestartPolicy::default()
    };
    let gives_up = RestartPolicy {
        max_retries: Some(0),
        ..RestartPolicy::default()
    };
    for restart_policy in [waits, gives_up] {
        let sandbox = Sandbox::new();
        let settings = Supervision {
            restart_policy,
            prove_after: Duration::ZERO,
            ..quick()
        };
        sandbox.start_with(&sandbox.build(9001, ""), None, settings);
        let first = sandbox.wait_for("proven", |state| state.proven);
        kill(server_pid(&first));
        let mut state = sandbox.wait_for("not up again", |state| {
            matches!(state.phase, Phase::BackingOff { .. } | Phase::GaveUp { .. })
        });
        if matches!(state.phase, Phase::BackingOff { .. }) {
            kill(state.supervisor.pid);
        }
        eventually(|| sandbox.supervisors().is_empty()).expect("its supervisor has ended");

        // The machine went down and came up again.
        state.supervisor.boot = Uuid::new_v4();
        durable::write_json(&sandbox.folder.state(), &state).expect("written");
        sandbox.supervise().expect("the next one starts");
        let state = sandbox.wait_running();
        assert_eq!((state.restarts.in_a_row, state.restarts.total), (0, 0));
        assert_ne!(server_pid(&state), server_pid(&first));
    }
}

#[test]
fn a_killed_supervisor_leaves_its_server_and_the_next_one_adopts_it() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    let id = sandbox.start(&launch, None);
    let before = sandbox.wait_running();
    kill(before.supervisor.pid);
    eventually(|| !durable::is_locked(&sandbox.folder.supervisor_lock()).expect("readable"))
        .expect("the lock is free");
    let server = server_pid(&before);
    assert!(is_alive(server));
    assert!(durable::is_locked(&sandbox.folder.server_lock()).expect("readable"));

    sandbox.supervise().expect("the next one starts");
    let after = sandbox.state().expect("written");
    assert_ne!(after.supervisor.pid, before.supervisor.pid);
    assert_eq!(
        (server_pid(&after), after.phase.clone()),
        (server, Phase::Running)
    );
    assert_eq!((after.assignment, after.since), (id, before.since));
    assert!(after.server.expect("recorded").adopted);

    kill(server);
    let state = sandbox.wait_for("running again", |state| {
        state.phase == Phase::Running && state.restarts.total == 1
    });
    assert_ne!(server_pid(&state), server);
    let exit = sandbox.exit().expect("written").exit;
    assert_unseen_or(Ended::Exit(exit), Exit::Signal(9));
}

#[test]
fn an_unsupervised_server_of_another_launch_is_ended_and_replaced() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, ""), None);
    let before = sandbox.wait_running();
    kill(before.supervisor.pid);
    sandbox.start(&sandbox.build(9002, ""), None);
    let after = sandbox.wait_running();
    assert!(!is_alive(server_pid(&before)));
    assert_eq!(sandbox.servers(), [server_pid(&after)]);
    assert!(
        sandbox
            .get("/props")
            .expect("it answers")
            .contains("b9002-")
    );
}

#[test]
fn an_unsupervised_server_can_be_ended() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, ""), None);
    let before = sandbox.wait_running();
    kill(before.supervisor.pid);
    assert_unseen_or(sandbox.end(), Exit::Code(0));
    assert!(!is_alive(server_pid(&before)));
    assert_eq!(sandbox.state().expect("it stays").phase, Phase::Stopped);
    assert_eq!(sandbox.end(), Ended::NotRunning);
}

#[test]
fn wherever_a_supervisor_is_killed_the_next_one_ends_up_with_one_server() {
    for place in [
        "supervisor.before-spawn",
        "supervisor.spawned",
        "supervisor.gating",
    ] {
        let mut sandbox = Sandbox::new();
        let launch = sandbox.build(9001, "");
        sandbox.want(&launch, None, quick());
        sandbox.kill_at(Some(place));
        // It may have shown itself before it was killed, so either answer is right.
        let _ = sandbox.supervise();
        eventually(|| sandbox.supervisors().is_empty()).expect("it was killed");
        sandbox.kill_at(None);
        let left = sandbox.servers();
        assert_eq!(
            left.len(),
            usize::from(place != "supervisor.before-spawn"),
            "{place}"
        );

        sandbox.supervise().expect("the next one starts");
        let state = sandbox.wait_running();
        assert_eq!(sandbox.servers(), [server_pid(&state)], "{place}");
        if let Some(left) = left.first() {
            assert_eq!(server_pid(&state), *left, "{place}: the server is adopted");
        }
        sandbox.end();
        assert_eq!(sandbox.servers(), NOBODY, "{place}");
    }
}

#[test]
fn wherever_a_supervisor_is_killed_its_server_can_be_ended() {
    for place in [
        "supervisor.before-spawn",
        "supervisor.spawned",
        "supervisor.gating",
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.want(&sandbox.build(9001, ""), None, quick());
        sandbox.kill_at(Some(place));
        let _ = sandbox.supervise();
        eventually(|| sandbox.supervisors().is_empty()).expect("it was killed");
        sandbox.end();
        assert_eq!(sandbox.servers(), NOBODY, "{place}");
    }
}

#[test]
fn a_supervisor_that_dies_on_the_fallback_is_followed_on_the_fallback() {
    let sandbox = Sandbox::new();
    let good = sandbox.build(9001, "");
    let bad = sandbox.build(9002, "--standin-exit 1");
    sandbox.start(&bad, Some(&good));
    let before = sandbox.wait_running();
    kill(before.supervisor.pid);
    kill(server_pid(&before));
    eventually(|| sandbox.servers().is_empty()).expect("both are gone");
    sandbox.supervise().expect("the next one starts");
    let after = sandbox.wait_running();
    assert_eq!(
        (after.role, after.runs()),
        (Role::Fallback, good.fingerprint())
    );
    assert_eq!(
        after.failed, before.failed,
        "what failed is not tried again"
    );
}

#[test]
fn a_server_that_ignores_sigterm_is_killed_after_its_time() {
    let sandbox = Sandbox::new();
    let mut settings = quick();
    settings.stop_timeout = Duration::from_millis(300);
    sandbox.start_with(
        &sandbox.build(9001, "--standin-ignore-sigterm"),
        None,
        settings,
    );
    let server = server_pid(&sandbox.wait_running());
    let ended = supervisor::end(&sandbox.folder, Duration::from_secs(5)).expect("it ends");
    assert_eq!(ended, Ended::Exit(Exit::Signal(9)));
    assert!(!is_alive(server));
    assert!(!durable::is_locked(&sandbox.folder.server_lock()).expect("readable"));
}
