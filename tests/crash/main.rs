//! The crash matrix: `kill -9` at every named place, then an ordinary run, and everything is as if
//! nothing had happened: one server of each instance, nothing half-done, nothing forgotten.
//!
//! A test binary of its own, since each of its tests is many runs of the real program.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "looks at processes and files from outside, and sets a root up"
)]

#[path = "../support/fault_server.rs"]
mod fault_server;
mod fetching;
mod mending;
mod migrating;
mod places;
mod sandbox;
mod supervising;
mod turning;
mod writing;

use std::time::Duration;

use sandbox::{Sandbox, eventually, kill};

/// Where `apply` can die while it installs a build.
const INSTALLING: [&str; 6] = [
    "apply.chosen",
    "install.receiving",
    "install.verified",
    "install.unpacked",
    "install.renamed",
    "install.registered",
];

/// Where it can die once it has begun to start an instance, from which on a supervisor may be at
/// work.
const STARTING: [&str; 3] = ["apply.recorded", "apply.started", "apply.waiting"];

/// Where a supervisor can die.
const SUPERVISING: [&str; 3] = [
    "supervisor.before-spawn",
    "supervisor.spawned",
    "supervisor.gating",
];

/// The servers, once all is settled, to be compared with those after a recovery.
fn servers_left(sandbox: &Sandbox) -> Vec<(u32, String)> {
    for name in ["chat", "embed"] {
        sandbox.wait_running(name);
    }
    sandbox.servers()
}

/// What has to be so after every recovery.
#[track_caller]
fn assert_converged(sandbox: &Sandbox, when: &str, builds: &[&str]) {
    let states = ["chat", "embed"].map(|name| sandbox.wait_running(name));
    let servers = sandbox.servers();
    let names: Vec<&str> = servers.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["chat", "embed"], "{when}: one server of each");
    for (state, (pid, name)) in states.into_iter().zip(&servers) {
        let known = state.server.and_then(|server| server.process);
        let known = known.map(|process| process.pid);
        assert_eq!(known, Some(*pid), "{when}: {name} is on record");
    }
    eventually("one supervisor of each", || {
        (sandbox.supervisors() == 2).then_some(())
    });
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
    plan.assert_code(0, when);
    let mut expected = vec![".gitignore", ".staging", ".staging/lock"];
    expected.extend(builds);
    expected.push("registry.json");
    let mut bins = sandbox.bins();
    // Bytes that were received are kept on purpose.
    bins.retain(|name| name != ".cache" && name != "registry.lock");
    assert_eq!(bins, expected, "{when}: no litter");
    let history = sandbox.run(&["history", "--json"]);
    history.assert_code(0, when);
    assert!(
        !history.text.contains("cannot be read"),
        "{when}: {}",
        history.text
    );
}

#[test]
fn a_first_apply_killed_anywhere_is_finished_by_the_next() {
    let places = INSTALLING.iter().chain(&["program.copied"]);
    for place in places.chain(&STARTING) {
        let sandbox = Sandbox::new();
        sandbox.run_until(place, &["apply"]).assert_killed(place);
        let left = sandbox.servers();
        sandbox.run(&["apply"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001"]);
        for server in left {
            let goes_on = sandbox.servers().contains(&server);
            assert!(goes_on, "{place}: {server:?} was what is wanted");
        }
    }
}

#[test]
fn an_upgrade_killed_anywhere_is_finished_by_the_next_apply() {
    for place in INSTALLING.iter().chain(&STARTING) {
        let sandbox = Sandbox::new();
        sandbox.run(&["apply"]).assert_code(0, place);
        sandbox.publish(1002, "");
        sandbox.want(&[("chat", 1002), ("embed", 1001)]);
        let embed = sandbox.wait_running("embed").server;
        sandbox.run_until(place, &["apply"]).assert_killed(place);
        sandbox.run(&["apply"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001", "b1002"]);
        assert_eq!(sandbox.build("chat"), "b1002", "{place}");
        assert_eq!(
            sandbox.wait_running("embed").server,
            embed,
            "{place}: embed is not touched"
        );
    }
}

/// The gate belongs to the supervisor: that `apply` is dead changes nothing of it.
#[test]
fn a_gate_comes_to_its_verdict_though_apply_is_dead() {
    for place in ["apply.started", "apply.waiting"] {
        let sandbox = Sandbox::new();
        sandbox.want(&[("chat", 1001)]);
        sandbox.run_until(place, &["apply"]).assert_killed(place);
        let verdict = sandbox.wait_running("chat");
        sandbox.want(&[("chat", 1001), ("embed", 1001)]);
        sandbox.run(&["apply"]).assert_code(0, place);
        let server = sandbox.wait_running("chat").server;
        assert_eq!(server, verdict.server, "{place}: what passed goes on");
        assert_converged(&sandbox, place, &["b1001"]);
    }
}

#[test]
fn a_bad_upgrade_is_rolled_back_though_apply_is_dead() {
    for place in ["apply.started", "apply.waiting"] {
        let sandbox = Sandbox::new();
        sandbox.run(&["apply"]).assert_code(0, place);
        sandbox.publish(1002, "--standin-exit 1\n");
        sandbox.want(&[("chat", 1002), ("embed", 1001)]);
        sandbox.run_until(place, &["apply"]).assert_killed(place);
        eventually("the old build runs again", || {
            let state = sandbox.state("chat")?;
            (state.launch.launch.build.to_string() == "b1001").then_some(())
        });
        let fallback = sandbox.wait_running("chat").server;
        let next = sandbox.run(&["apply"]);
        next.assert_code(1, place);
        assert!(next.text.contains("b1002 failed"), "{place}: {}", next.text);
        assert_eq!(sandbox.wait_running("chat").server, fallback, "{place}");
        assert_eq!(sandbox.servers().len(), 2, "{place}");
    }
}

#[test]
fn a_supervisor_killed_anywhere_is_followed_by_one_that_knows_its_server() {
    for place in SUPERVISING {
        let sandbox = Sandbox::new();
        sandbox.run_until(place, &["apply"]).assert_code(1, place);
        // A server it has left is taken over, and never joined by a second one.
        let left = sandbox.servers();
        assert!(left.len() <= 2, "{place}");
        sandbox.run(&["apply"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001"]);
        for server in left {
            let goes_on = sandbox.servers().contains(&server);
            assert!(goes_on, "{place}: {server:?} was what is wanted");
        }
    }
}

#[test]
fn a_supervisor_killed_during_an_upgrade_is_followed_by_one_that_finishes_it() {
    for place in SUPERVISING {
        let sandbox = Sandbox::new();
        sandbox.run(&["apply"]).assert_code(0, place);
        sandbox.publish(1002, "");
        sandbox.want(&[("chat", 1002), ("embed", 1001)]);
        let embed = sandbox.wait_running("embed").server;
        sandbox.run_until(place, &["apply"]).assert_code(1, place);
        sandbox.run(&["apply"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001", "b1002"]);
        assert_eq!(sandbox.build("chat"), "b1002", "{place}");
        let now = sandbox.wait_running("embed").server;
        assert_eq!(now, embed, "{place}: embed is not touched");
    }
}

/// The first one died and left its server; the second one dies before it has ended that.
#[test]
fn a_supervisor_killed_while_it_ends_the_old_server_is_followed_by_one_that_does() {
    let place = "supervisor.succeeding";
    let sandbox = Sandbox::new();
    sandbox.run(&["apply"]).assert_code(0, place);
    let first = sandbox.wait_running("chat").supervisor;
    let old = sandbox.servers();
    kill(first.pid);
    eventually("it is dead", || {
        first.find().expect("we may look").is_none().then_some(())
    });
    sandbox.publish(1002, "");
    sandbox.want(&[("chat", 1002), ("embed", 1001)]);
    sandbox.run_until(place, &["apply"]).assert_code(1, place);
    assert_eq!(sandbox.servers(), old, "nobody was ended, nobody joined");
    sandbox.run(&["apply"]).assert_code(0, place);
    // Whether the old server was asked to end nobody knows, so it has its whole grace.
    assert_converged(&sandbox, place, &["b1001", "b1002"]);
    assert_eq!(sandbox.build("chat"), "b1002");
}

#[test]
fn a_removal_killed_anywhere_is_finished_by_the_next() {
    for place in ["apply.unwanted", "apply.ended"] {
        let sandbox = Sandbox::new();
        sandbox.run(&["apply"]).assert_code(0, place);
        sandbox.want(&[("chat", 1001)]);
        sandbox
            .run_until(place, &["apply", "--yes"])
            .assert_killed(place);
        sandbox.run(&["apply", "--yes"]).assert_code(0, place);
        assert_eq!(sandbox.servers().len(), 1, "{place}");
        assert!(!sandbox.folder("embed").path().exists(), "{place}");
        sandbox.want(&[("chat", 1001), ("embed", 1001)]);
        sandbox.run(&["apply"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001"]);
    }
}

#[test]
fn a_prune_killed_anywhere_is_finished_by_the_next() {
    for place in ["prune.discarded", "prune.unlisted"] {
        let sandbox = Sandbox::new();
        sandbox.run(&["apply"]).assert_code(0, place);
        sandbox.publish(1002, "");
        sandbox.want(&[("chat", 1002), ("embed", 1002)]);
        sandbox.prove_at_once();
        sandbox.run(&["apply"]).assert_code(0, place);
        for name in ["chat", "embed"] {
            eventually("the new launch is proven", || {
                sandbox.state(name).filter(|state| state.proven)
            });
        }
        sandbox
            .run_until(place, &["apply", "--prune"])
            .assert_killed(place);
        sandbox.run(&["apply", "--prune"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1002"]);
    }
}

/// Not at a named place but at some moment, whichever that is on the machine it runs on.
#[test]
fn an_apply_killed_at_any_moment_is_finished_by_the_next() {
    for milliseconds in [10, 30, 60, 90, 130, 180, 240, 320, 450] {
        let when = format!("after {milliseconds} ms");
        let sandbox = Sandbox::new();
        let mut apply = sandbox.spawn(&["apply"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        apply.kill().expect("it was started");
        apply.wait().expect("it ends");
        sandbox.run(&["apply"]).assert_code(0, &when);
        assert_converged(&sandbox, &when, &["b1001"]);
    }
}
