//! Forged and stale records never lead to a process.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "identities are those of processes, and programs are moved about"
)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
#[cfg(target_os = "linux")]
use crate::instance::state::Exit;

/// A process of ours that lives until it is killed.
struct Sleeper {
    child: Child,
    identity: ProcessIdentity,
}

impl Sleeper {
    fn new() -> Self {
        Self::running("sleep".into(), &["600"])
    }

    fn running(program: &Utf8Path, arguments: &[&str]) -> Self {
        let nonce = Uuid::new_v4();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env(NONCE, nonce.to_string())
            .stdin(Stdio::piped());
        let deadline = Instant::now() + Duration::from_secs(10);
        let child = loop {
            match command.spawn() {
                // Another test forked while the program was being copied.
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy
                        && Instant::now() < deadline =>
                {
                    std::thread::yield_now();
                }
                spawned => break spawned.expect("the program is there"),
            }
        };
        let identity = ProcessIdentity::of(child.id(), nonce).expect("it lives");
        Self { child, identity }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_found(identity: &ProcessIdentity) -> bool {
    identity.find().expect("readable").is_some()
}

#[test]
fn a_process_is_found_by_its_whole_identity_and_by_nothing_less() {
    let sleeper = Sleeper::new();
    let right = &sleeper.identity;
    assert!(is_found(right));
    let forged = [
        ProcessIdentity {
            boot: Uuid::new_v4(),
            ..right.clone()
        },
        ProcessIdentity {
            started: right.started + 1,
            ..right.clone()
        },
        ProcessIdentity {
            program: "/usr/bin/stranger".into(),
            ..right.clone()
        },
        ProcessIdentity {
            nonce: Uuid::new_v4(),
            ..right.clone()
        },
        ProcessIdentity {
            pid: std::process::id(),
            ..right.clone()
        },
        ProcessIdentity {
            pid: 1,
            ..right.clone()
        },
        ProcessIdentity {
            pid: 0,
            ..right.clone()
        },
        ProcessIdentity {
            pid: u32::MAX,
            ..right.clone()
        },
    ];
    for identity in forged {
        assert!(!is_found(&identity), "{identity:?}");
    }
}

#[test]
fn a_server_whose_build_was_swapped_or_removed_is_found_and_no_other_that_moved() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Utf8Path::from_path(folder.path()).expect("UTF-8");
    let root = root.canonicalize_utf8().expect("it is there");
    let create = |path: &str| {
        std::fs::create_dir_all(root.join(path)).expect("created");
        root.join(path)
    };
    let build = create("bins/1");
    std::fs::copy("/bin/sh", build.join("llama-server")).expect("copied");
    // Waits for a line that never comes.
    let sleeper = Sleeper::running(&build.join("llama-server"), &["-c", "read line"]);
    assert!(is_found(&sleeper.identity));

    let staged = create("bins/.staging/71ce").join("0");
    std::fs::rename(&build, &staged).expect("moved");
    assert!(is_found(&sleeper.identity), "it was swapped");

    let elsewhere = create("else/.staging").join("0");
    std::fs::rename(&staged, &elsewhere).expect("moved");
    assert!(!is_found(&sleeper.identity), "it went another way");

    std::fs::rename(&elsewhere, &staged).expect("moved");
    std::fs::remove_dir_all(&staged).expect("removed");
    assert!(is_found(&sleeper.identity), "its file is gone");
}

#[test]
fn a_process_that_ended_is_gone_even_before_it_is_waited_for() {
    let mut sleeper = Sleeper::new();
    let running = sleeper
        .identity
        .find()
        .expect("readable")
        .expect("it lives");
    assert!(!running.ended_within(Duration::ZERO).expect("readable"));
    sleeper.child.kill().expect("killed");
    assert!(
        running
            .ended_within(Duration::from_secs(10))
            .expect("readable")
    );
    assert!(!is_found(&sleeper.identity));
    sleeper.child.wait().expect("waited for");
    assert!(!is_found(&sleeper.identity));
}

#[test]
fn a_process_whose_record_was_lost_is_found_by_its_nonce() {
    let sleeper = Sleeper::new();
    let found = carrying(sleeper.identity.nonce).expect("readable");
    assert_eq!(found, std::slice::from_ref(&sleeper.identity));
    assert_eq!(carrying(Uuid::new_v4()).expect("readable"), []);
}

#[cfg(target_os = "linux")]
#[test]
fn how_a_process_ended_is_told_to_others_than_its_parent() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("readable");
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let tells = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    for (script, exit) in [
        ("exit 7", Exit::Code(7)),
        ("exit 0", Exit::Code(0)),
        ("kill -SEGV $$", Exit::Signal(11)),
    ] {
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .spawn()
            .expect("a shell");
        let running = Running::child(child.id()).expect("it is not waited for yet");
        child.wait().expect("it ends");
        let expected = if tells { exit } else { Exit::Unobserved };
        assert_eq!(running.exit(), expected, "{script}");
    }
}
