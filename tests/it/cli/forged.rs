//! States that lie, under the commands people run: nobody but our own gets a signal, and the next
//! `apply` ends up with one server.

use std::process::{Child, Command, Stdio};

use llama_orch::durable;
use llama_orch::instance::identity::ProcessIdentity;
use llama_orch::instance::state::State;
use uuid::Uuid;

use crate::support::sandbox::{Sandbox, is_alive, kill};

/// A process of somebody else in which every signal that is sent stays pending.
fn bystander() -> Child {
    Command::new("env")
        .args(["--block-signal", "sleep", "600"])
        .stdin(Stdio::null())
        .spawn()
        .expect("`env` is there")
}

#[track_caller]
fn assert_untouched(pid: u32, when: &str) {
    assert!(is_alive(pid), "{when}: it was killed");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("readable");
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let pending = pending.expect("it is listed").trim();
    assert_eq!(pending, "0000000000000000", "{when}");
}

#[test]
fn commands_leave_strangers_alone_that_a_state_names() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let mut stranger = bystander();
    let real = ProcessIdentity::of(stranger.id(), Uuid::new_v4()).expect("it lives");
    let forged = [
        ("never ours", real.clone()),
        (
            "another boot",
            ProcessIdentity {
                boot: Uuid::new_v4(),
                ..real.clone()
            },
        ),
        (
            "a pid that was given away since",
            ProcessIdentity {
                started: real.started - 1,
                ..real
            },
        ),
    ];
    for (what, identity) in forged {
        for command in [["down", "chat"], ["apply", "--yes"]] {
            let when = format!("{what}, {}", command[0]);
            let server = sandbox.wait_running("chat");
            kill(sandbox.supervisor("chat"));
            kill(server);
            sandbox.wait("both are gone", || {
                sandbox.supervisors().is_empty() && sandbox.servers().is_empty()
            });
            let honest = sandbox.state("chat").expect("there is one");
            let mut process = honest.server.clone().expect("it ran");
            process.process = Some(identity.clone());
            let lie = State {
                server: Some(process),
                supervisor: identity.clone(),
                ..honest
            };
            durable::write_json(&sandbox.folder("chat").state(), &lie).expect("written");

            sandbox.run(&command).assert_code(0);
            assert_untouched(stranger.id(), &when);
            sandbox.run(&["up", "chat"]).assert_code(0);
            assert_untouched(stranger.id(), &when);
            assert_eq!(sandbox.servers(), [sandbox.wait_running("chat")], "{when}");
        }
    }
    stranger.kill().expect("it still lives");
    stranger.wait().expect("waited for");
}
