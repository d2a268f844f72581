//! `kill -9` while a damaged build is installed again: its id always has a folder, its servers go
//! on, and the next run finishes it.

use llama_orch::install::{self, Verification};
use llama_orch::registry::{Entry, Registry};

use crate::assert_converged;
use crate::sandbox::{Sandbox, eventually, kill};

/// Where `apply` can die while it puts a build in the place of a damaged one.
const PLACES: [&str; 6] = [
    "apply.chosen",
    "install.receiving",
    "install.verified",
    "install.unpacked",
    "install.swapped",
    "install.registered",
];

fn only_entry(sandbox: &Sandbox) -> Entry {
    let registry = Registry::load(&sandbox.root.join("bins")).expect("a registry");
    let [entry] = registry.entries() else {
        panic!("other than one: {registry:?}")
    };
    entry.clone()
}

fn look(sandbox: &Sandbox) -> Verification {
    let entry = only_entry(sandbox);
    install::verify(&sandbox.root.join("bins"), &entry, &|_, _| ()).expect("readable")
}

/// Two instances run from a build to which a file was added since.
fn damaged() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(&["apply"]).assert_code(0, "at first");
    for name in ["chat", "embed"] {
        sandbox.wait_running(name);
    }
    let entry = only_entry(&sandbox);
    sandbox.write(&format!("bins/{}/libggml-evil.so", entry.id), "x");
    let damage = look(&sandbox).damage();
    assert_eq!(damage.as_deref(), Some("`libggml-evil.so` was added"));
    install::note_damage(&sandbox.root.join("bins"), entry.id, damage).expect("noted");
    sandbox
}

#[test]
fn a_damaged_build_is_replaced_under_its_servers_wherever_apply_is_killed() {
    for place in PLACES {
        let sandbox = damaged();
        let (id, servers) = (only_entry(&sandbox).id, sandbox.servers());
        let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
        plan.assert_code(2, place);
        let why = "damaged: `libggml-evil.so` was added; ";
        assert!(plan.text.contains(why), "{place}: {}", plan.text);

        sandbox.run_until(place, &["apply"]).assert_killed(place);
        let program = sandbox.root.join(format!("bins/{id}/llama-server"));
        assert!(program.is_file(), "{place}: the id always has a folder");
        let is_done = place == "install.swapped" || place == "install.registered";
        if is_done {
            // What is in place is found there and not fetched again.
            let archive = sandbox.root.join("releases").join(Sandbox::archive(1001));
            std::fs::remove_file(archive).expect("removed");
        }
        sandbox.run(&["apply"]).assert_code(0, place);

        assert_converged(&sandbox, place, &["b1001"]);
        assert_eq!(sandbox.servers(), servers, "{place}: nobody was restarted");
        assert_eq!(only_entry(&sandbox).id, id, "{place}");
        assert_eq!(look(&sandbox).differences(), [], "{place}");
    }
}

/// A server whose program has gone from under it, and whose supervisor is dead, is still known by
/// its record and taken over.
#[test]
fn a_server_of_a_build_that_was_replaced_is_adopted_and_ended_by_its_successor() {
    let sandbox = damaged();
    sandbox.run(&["apply"]).assert_code(0, "mended");
    let before = sandbox.servers();
    for name in ["chat", "embed"] {
        kill(sandbox.wait_running(name).supervisor.pid);
    }
    eventually("they are dead", || {
        (sandbox.supervisors() == 0).then_some(())
    });
    sandbox.run(&["apply"]).assert_code(0, "adopted");
    assert_converged(&sandbox, "adopted", &["b1001"]);
    assert_eq!(sandbox.servers(), before);

    sandbox.publish(1002, "");
    sandbox.want(&[("chat", 1002), ("embed", 1002)]);
    let old = sandbox.servers();

    sandbox.run(&["apply"]).assert_code(0, "upgraded");

    assert_converged(&sandbox, "upgraded", &["b1001", "b1002"]);
    for (pid, name) in sandbox.servers() {
        assert!(!old.iter().any(|(before, _)| *before == pid), "{name}");
    }
    assert_eq!(sandbox.build("chat"), "b1002");
}
