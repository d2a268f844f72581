//! Servers of a build that lies elsewhere and is only referenced from the root.

use camino::{Utf8Path, Utf8PathBuf};
use llama_orch::install::{self, RegisterRequest};
use llama_orch::instance::state::Exit;

use crate::sandbox::{NOBODY, Sandbox, assert_unseen_or, eventually, is_alive, kill, server_pid};

/// A build outside of the root, and its program as launches name it.
fn referenced(sandbox: &Sandbox) -> (tempfile::TempDir, Utf8PathBuf) {
    sandbox.build(9001, "");
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let folder = Utf8Path::from_path(elsewhere.path()).expect("a UTF-8 path");
    let folder = folder.join("build");
    let bins = sandbox.root.join("bins");
    std::fs::rename(bins.join("b9001"), &folder).expect("moved out of the root");
    let request = RegisterRequest {
        bins: &bins,
        path: &folder,
        version: &"mine".parse().expect("a name"),
        variant: None,
        id: None,
        link: true,
        host: None,
    };
    let installed = install::register(&request, &|_, _| ()).expect("registered");
    let program = installed.entry.program().expect("inside bins");
    (elsewhere, Utf8Path::new("bins").join(program))
}

#[test]
fn a_server_of_a_referenced_build_is_started_adopted_and_ended() {
    let sandbox = Sandbox::new();
    let (_elsewhere, program) = referenced(&sandbox);
    sandbox.start(&sandbox.launch(9001, program), None);
    let first = sandbox.wait_running();
    kill(first.supervisor.pid);
    eventually(|| !is_alive(first.supervisor.pid)).expect("it was killed");

    sandbox.supervise().expect("a supervisor starts");
    let adopted = sandbox.wait_for("adopted", |state| state.supervisor != first.supervisor);

    assert_eq!(server_pid(&adopted), server_pid(&first));
    assert_unseen_or(sandbox.end(), Exit::Code(0));
    assert!(!is_alive(server_pid(&first)));
}

#[test]
fn a_server_of_a_referenced_build_of_which_no_state_tells_is_found() {
    let sandbox = Sandbox::new();
    let (_elsewhere, program) = referenced(&sandbox);
    sandbox.start(&sandbox.launch(9001, program), None);
    let state = sandbox.wait_running();
    kill(state.supervisor.pid);
    eventually(|| !is_alive(state.supervisor.pid)).expect("it was killed");
    std::fs::remove_file(sandbox.folder.state()).expect("removed");

    assert_unseen_or(sandbox.end(), Exit::Code(0));

    assert!(!is_alive(server_pid(&state)));
    assert_eq!(sandbox.servers(), NOBODY);
}
