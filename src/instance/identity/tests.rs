//! Forged and stale records never lead to a process.

#![expect(clippy::disallowed_types, reason = "identities are those of processes")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

/// A process of ours that lives until it is killed.
struct Sleeper {
    child: Child,
    identity: ProcessIdentity,
}

impl Sleeper {
    fn new() -> Self {
        let nonce = Uuid::new_v4();
        let child = Command::new("sleep")
            .arg("600")
            .env(NONCE, nonce.to_string())
            .stdin(Stdio::null())
            .spawn()
            .expect("`sleep` is there");
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
