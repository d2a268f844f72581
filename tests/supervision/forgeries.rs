//! States that lie, about processes that would not be forgiven: whatever a state says, nobody but our
//! own gets a signal.

use std::process::{Child, Command, Stdio};

use camino::Utf8Path;
use llama_orch::durable::{self, FileLock};
use llama_orch::instance::identity::ProcessIdentity;
use llama_orch::instance::state::{Phase, State};
use llama_orch::instance::supervisor::{self, Ended, StartError, StopError};
use uuid::Uuid;

use crate::sandbox::{NOBODY, Sandbox, eventually, is_alive, kill, quick, server_pid};

/// A process of somebody else, which blocks all signals: one that is sent stays pending, where it
/// can be seen, and one that cannot be blocked ends it.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Self::with(&mut Command::new("env"))
    }

    /// One that holds a lock of ours.
    fn holding(lock: &Utf8Path) -> Self {
        let lock = FileLock::try_take(lock)
            .expect("taken")
            .expect("it is free");
        rustix::io::fcntl_setfd(lock.file(), rustix::io::FdFlags::empty()).expect("set");
        Self::with(&mut Command::new("env"))
    }

    fn with(command: &mut Command) -> Self {
        let child = command
            .args(["--block-signal", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .expect("`env` is there");
        let bystander = Self(child);
        eventually(|| {
            bystander
                .program()
                .is_some_and(|program| program.ends_with("/sleep"))
        })
        .expect("it sleeps");
        bystander
    }

    fn program(&self) -> Option<String> {
        let program = std::fs::read_link(format!("/proc/{}/exe", self.0.id())).ok()?;
        Some(program.to_str()?.to_owned())
    }

    /// What it is told by, with a nonce it does not have.
    fn identity(&self) -> ProcessIdentity {
        ProcessIdentity::of(self.0.id(), Uuid::new_v4()).expect("it lives")
    }

    #[track_caller]
    fn assert_untouched(&self, when: &str) {
        assert!(is_alive(self.0.id()), "{when}: it was killed");
        assert_no_signal(self.0.id(), when);
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // It may have been killed by what is tested.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn assert_no_signal(pid: u32, when: &str) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("readable");
    for name in ["SigPnd:", "ShdPnd:"] {
        let pending = status.lines().find_map(|line| line.strip_prefix(name));
        let pending = pending.expect("it is listed").trim();
        assert_eq!(pending, "0000000000000000", "{when}: {name}");
    }
}

/// Identities that are wrong in one respect each, or of processes that were never ours.
fn forged(bystander: &Bystander) -> Vec<(&'static str, ProcessIdentity)> {
    let real = bystander.identity();
    let of = |pid| ProcessIdentity::of(pid, Uuid::new_v4()).expect("it lives");
    vec![
        ("never ours", real.clone()),
        (
            "a pid that was given away since",
            ProcessIdentity {
                started: real.started - 1,
                ..real.clone()
            },
        ),
        (
            "another boot",
            ProcessIdentity {
                boot: Uuid::new_v4(),
                ..real.clone()
            },
        ),
        (
            "another program",
            ProcessIdentity {
                program: "/usr/bin/env".into(),
                ..real.clone()
            },
        ),
        (
            "the first process of all",
            ProcessIdentity {
                pid: 1,
                ..real.clone()
            },
        ),
        ("whoever starts the supervisor", of(std::process::id())),
        (
            "nobody's pid",
            ProcessIdentity {
                pid: 0,
                ..real.clone()
            },
        ),
        (
            "a pid that means everybody",
            ProcessIdentity {
                pid: u32::MAX,
                ..real.clone()
            },
        ),
        (
            "a pid beyond all",
            ProcessIdentity {
                pid: i32::MAX.unsigned_abs(),
                ..real
            },
        ),
    ]
}

/// A state of a server that ran, and of which both processes are somebody else's.
fn lie(honest: &State, identity: &ProcessIdentity) -> State {
    let mut server = honest.server.clone().expect("it ran");
    server.process = Some(identity.clone());
    State {
        server: Some(server),
        supervisor: identity.clone(),
        ..honest.clone()
    }
}

fn write(sandbox: &Sandbox, state: &State) {
    durable::write_json(&sandbox.folder.state(), state).expect("written");
}

#[test]
fn a_state_that_lies_leads_to_nobody_whoever_reads_it() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    sandbox.start(&launch, None);
    let honest = sandbox.wait_running();
    sandbox.end();
    let bystander = Bystander::new();
    for (what, identity) in forged(&bystander) {
        let lie = lie(&honest, &identity);

        write(&sandbox, &lie);
        let ended = sandbox.end();
        bystander.assert_untouched(&format!("{what}, ending"));
        assert_eq!(ended, Ended::NotRunning, "{what}");

        write(&sandbox, &lie);
        // Somebody has it locked, so that the state is looked into.
        let held = FileLock::try_take(&sandbox.folder.supervisor_lock()).expect("taken");
        assert!(
            !supervisor::refresh(&sandbox.folder).expect("asked"),
            "{what}"
        );
        drop(held);
        bystander.assert_untouched(&format!("{what}, telling of settings"));

        sandbox.start(&launch, None);
        let state = sandbox.wait_running();
        bystander.assert_untouched(&format!("{what}, taking over"));
        assert_eq!(sandbox.servers(), [server_pid(&state)], "{what}");
        sandbox.end();
    }
}

#[test]
fn a_state_that_lies_about_a_server_that_lives_leads_to_that_server_alone() {
    let bystander = Bystander::new();
    for ended_by_hand in [true, false] {
        let sandbox = Sandbox::new();
        let launch = sandbox.build(9001, "");
        sandbox.start(&launch, None);
        let honest = sandbox.wait_running();
        kill(honest.supervisor.pid);
        eventually(|| sandbox.supervisors().is_empty()).expect("it was killed");
        write(&sandbox, &lie(&honest, &bystander.identity()));
        if ended_by_hand {
            sandbox.end();
            assert_eq!(sandbox.servers(), NOBODY);
        } else {
            sandbox.start(&launch, None);
            let state = sandbox.wait_running();
            assert_eq!(sandbox.servers(), [server_pid(&state)]);
        }
        bystander.assert_untouched("while the real one was found by its lock");
    }
}

#[test]
fn a_stranger_that_holds_the_servers_lock_is_named_by_nobody_and_left_alone() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    sandbox.start(&launch, None);
    let honest = sandbox.wait_running();
    sandbox.end();
    let bystander = Bystander::holding(&sandbox.folder.server_lock());
    write(&sandbox, &lie(&honest, &bystander.identity()));

    let error = supervisor::end(&sandbox.folder, quick().stop_timeout).expect_err("it is held");

    assert!(matches!(error, StopError::StillThere { .. }), "{error}");
    bystander.assert_untouched("ending");
    sandbox.start(&launch, None);
    sandbox.wait_for("refused", |state| {
        matches!(state.phase, Phase::StopFailed { .. })
    });
    bystander.assert_untouched("taking over");
    assert_eq!(sandbox.servers(), NOBODY, "nothing is started beside it");
}

#[test]
fn a_stranger_that_holds_the_supervisors_lock_is_left_alone() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    sandbox.start(&launch, None);
    let honest = sandbox.wait_running();
    sandbox.end();
    let bystander = Bystander::holding(&sandbox.folder.supervisor_lock());
    write(&sandbox, &lie(&honest, &bystander.identity()));

    std::thread::scope(|scope| {
        let ending =
            scope.spawn(|| supervisor::end(&sandbox.folder, quick().stop_timeout).map(drop));
        let starting = sandbox.supervise();
        let error = starting.expect_err("somebody is in the way");
        assert!(matches!(error, StartError::Died { .. }), "{error}");
        let error = ending.join().expect("no panic").expect_err("it is held");
        assert!(matches!(error, StopError::Supervisor { .. }), "{error}");
    });

    bystander.assert_untouched("asking for the lock");
    assert_eq!(sandbox.servers(), NOBODY);
}

#[test]
fn a_pid_that_cannot_be_one_is_damage_and_leads_to_nobody() {
    let sandbox = Sandbox::new();
    let launch = sandbox.build(9001, "");
    sandbox.start(&launch, None);
    let pid = server_pid(&sandbox.wait_running());
    sandbox.end();
    sandbox.start(&launch, None);
    let state = sandbox.wait_running();
    sandbox.end();
    write(&sandbox, &state);
    let text = std::fs::read_to_string(sandbox.folder.state()).expect("readable");
    let honest = format!("\"pid\": {}", state.supervisor.pid);
    assert!(text.contains(&honest), "{text}");
    for lie in ["-1", "0.5", "4294967296", "\"1\"", "null"] {
        let text = text.replace(&honest, &format!("\"pid\": {lie}"));
        std::fs::write(sandbox.folder.state(), &text).expect("written");
        let error = sandbox.supervise().expect_err("it is damaged");
        assert!(error.to_string().contains("is damaged"), "{error}");
        assert_eq!(sandbox.end(), Ended::NotRunning);
        let left = std::fs::read_to_string(sandbox.folder.state()).expect("readable");
        assert_eq!(left, text, "what is damaged is left as it is");
    }
    assert!(!is_alive(pid));
}
