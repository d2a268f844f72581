//! More than one supervisor, new settings, and records that lie.

use std::process::{Command, Stdio};
use std::time::Duration;

use llama_orch::durable;
use llama_orch::instance::Supervision;
use llama_orch::instance::identity::ProcessIdentity;
use llama_orch::instance::state::{Exit, Phase, State};
use llama_orch::instance::supervisor::{self, Ended};
use uuid::Uuid;

use crate::sandbox::{
    NOBODY, Sandbox, assert_unseen_or, eventually, is_alive, kill, quick, server_pid,
};

#[test]
fn of_two_supervisors_one_starts_one_server() {
    let sandbox = Sandbox::new();
    sandbox.want(&sandbox.build(9001, ""), None, quick());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                sandbox
                    .supervise()
                    .expect("one is at work, whichever it is");
            });
        }
    });
    let state = sandbox.wait_running();
    eventually(|| sandbox.supervisors().len() == 1).expect("one is left");
    assert_eq!(sandbox.servers(), [server_pid(&state)]);
    assert_eq!(sandbox.supervisors(), [state.supervisor.pid]);
}

#[test]
fn a_second_supervisor_leaves_the_first_one_alone_while_nothing_else_is_wanted() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, ""), None);
    let before = sandbox.wait_running();
    sandbox.supervise().expect("there is one already");
    let after = sandbox.state().expect("written");
    assert_eq!(after, before);
    assert!(is_alive(before.supervisor.pid));
}

#[test]
fn a_new_assignment_replaces_server_and_supervisor() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, ""), None);
    let before = sandbox.wait_running();
    let id = sandbox.start(&sandbox.build(9002, ""), None);
    let after = sandbox.wait_running();
    assert_eq!(after.assignment, id);
    assert!(!is_alive(server_pid(&before)));
    eventually(|| sandbox.supervisors() == [after.supervisor.pid]).expect("the old one is gone");
    assert_eq!(sandbox.servers(), [server_pid(&after)]);
}

#[test]
fn new_settings_reach_the_supervisor_without_touching_the_server() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, ""), None);
    let before = sandbox.wait_running();

    let mut record = sandbox.record();
    let settings = Supervision {
        stop_timeout: Duration::from_secs(3),
        ..quick()
    };
    let wanted = record.wanted.as_mut().expect("it is wanted");
    wanted.supervision = settings.clone();
    // Another launch in the record is not for this life.
    wanted.launch = sandbox.build(9002, "");
    sandbox.write_record(&record);
    assert!(supervisor::refresh(&sandbox.folder).expect("asked"));

    let after = sandbox.wait_for("refreshed", |state| state.supervision == settings);
    assert_eq!(
        (after.runs(), server_pid(&after)),
        (before.runs(), server_pid(&before))
    );
    assert_eq!((after.phase, after.since), (Phase::Running, before.since));
}

#[test]
fn a_record_that_lies_never_leads_to_a_stranger() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    sandbox.start(&launch, None);
    let honest = sandbox.wait_running();
    sandbox.end();

    let mut stranger = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::null())
        .spawn()
        .expect("`sleep` is there");
    let real = ProcessIdentity::of(stranger.id(), Uuid::new_v4()).expect("it lives");
    let forged = [
        // The pid was given to somebody else since.
        ProcessIdentity {
            started: 1,
            ..real.clone()
        },
        // The machine was started anew since.
        ProcessIdentity {
            boot: Uuid::new_v4(),
            ..real.clone()
        },
        // All is right but that it was never ours.
        real,
    ];
    for identity in forged {
        let mut server = honest.server.clone().expect("it ran");
        server.process = Some(identity.clone());
        let lie = State {
            server: Some(server),
            supervisor: identity,
            ..honest.clone()
        };
        durable::write_json(&sandbox.folder.state(), &lie).expect("written");
        sandbox.end();
        assert!(is_alive(stranger.id()), "after `end`");

        durable::write_json(&sandbox.folder.state(), &lie).expect("written");
        sandbox.start(&launch, None);
        sandbox.wait_running();
        assert!(is_alive(stranger.id()), "after `start`");
        sandbox.end();
    }
    stranger.kill().expect("it still lives");
    stranger.wait().expect("waited for");
}

#[test]
fn a_lock_held_by_somebody_unknown_lets_nothing_start() {
    let sandbox = Sandbox::new();
    let held = durable::FileLock::try_take(&sandbox.folder.server_lock()).expect("taken");
    sandbox.start(&sandbox.build(9001, ""), None);
    let state = sandbox.wait_for("refused", |state| {
        matches!(state.phase, Phase::StopFailed { .. })
    });
    assert_eq!(
        state.phase,
        Phase::StopFailed {
            reason: "`server.lock` is held by an unknown process".to_owned()
        },
    );
    assert_eq!(sandbox.servers(), NOBODY);
    drop(held);
}

#[test]
fn a_damaged_state_is_reported_and_never_taken_for_none() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    sandbox.start(&launch, None);
    let state = sandbox.wait_running();
    kill(state.supervisor.pid);
    std::fs::write(sandbox.folder.state(), "{\"schema\": 1, ").expect("written");
    let error = sandbox.supervise().expect_err("it is damaged");
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert!(is_alive(server_pid(&state)));
    durable::write_json(&sandbox.folder.state(), &state).expect("repaired");
}

#[test]
fn a_server_of_which_no_state_tells_is_found_by_its_lock_and_its_program() {
    for damage in [Some("{\"schema\": 1, "), None] {
        let sandbox = Sandbox::new();
        sandbox.start(&sandbox.build(9001, ""), None);
        let state = sandbox.wait_running();
        kill(state.supervisor.pid);
        eventually(|| !is_alive(state.supervisor.pid)).expect("it was killed");
        match damage {
            Some(text) => std::fs::write(sandbox.folder.state(), text).expect("written"),
            None => std::fs::remove_file(sandbox.folder.state()).expect("removed"),
        }
        assert_unseen_or(sandbox.end(), Exit::Code(0));
        assert_eq!(sandbox.servers(), NOBODY);
        let left = std::fs::read_to_string(sandbox.folder.state()).ok();
        assert_eq!(left.as_deref(), damage, "what is damaged is left as it is");
    }
}

#[test]
fn a_server_of_which_no_state_tells_gives_way_to_a_new_one() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    sandbox.start(&launch, None);
    let before = sandbox.wait_running();
    kill(before.supervisor.pid);
    eventually(|| !is_alive(before.supervisor.pid)).expect("it was killed");
    std::fs::remove_file(sandbox.folder.state()).expect("removed");
    sandbox.supervise().expect("a supervisor starts");
    let after = sandbox.wait_running();
    assert_ne!(server_pid(&after), server_pid(&before));
    assert_eq!(sandbox.servers(), [server_pid(&after)]);
}

#[test]
fn a_supervisor_of_which_no_state_tells_is_found_by_its_lock_and_its_program() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, ""), None);
    sandbox.wait_running();
    std::fs::write(sandbox.folder.state(), "{\"schema\": 1, ").expect("written");
    assert_eq!(sandbox.end(), Ended::Exit(Exit::Code(0)));
    assert_eq!(sandbox.servers(), NOBODY);
    eventually(|| sandbox.supervisors().is_empty()).expect("it has ended");
}
