//! `kill -9` of supervisors, and of those who deal with them, at what they do after a first start:
//! taking over, falling back, starting again, ending.

use crate::sandbox::{Sandbox, eventually, kill};
use crate::{assert_converged, servers_left};

/// Waits until nobody supervises an instance.
fn unsupervised(sandbox: &Sandbox, name: &str) {
    eventually("its supervisor is dead", || {
        let state = sandbox.state(name)?;
        let found = state.supervisor.find().expect("we may look");
        found.is_none().then_some(())
    });
}

fn kill_supervisor(sandbox: &Sandbox, name: &str) {
    kill(sandbox.wait_running(name).supervisor.pid);
    unsupervised(sandbox, name);
}

#[test]
fn a_server_is_adopted_though_a_supervisor_died_while_it_did_so() {
    let place = "supervisor.adopting";
    let sandbox = Sandbox::new();
    sandbox.run(&["apply"]).assert_code(0, place);
    let servers = servers_left(&sandbox);
    kill_supervisor(&sandbox, "chat");
    sandbox.run_until(place, &["apply"]).assert_code(1, place);
    assert_eq!(
        sandbox.servers(),
        servers,
        "nobody was ended, nobody joined"
    );
    sandbox.run(&["apply"]).assert_code(0, place);
    assert_converged(&sandbox, place, &["b1001"]);
    assert_eq!(sandbox.servers(), servers);
}

#[test]
fn a_server_that_crashed_is_started_once_though_its_supervisor_died_while_it_did_so() {
    for place in [
        "supervisor.backing-off",
        "supervisor.before-spawn:2",
        "supervisor.spawned:2",
        "supervisor.gating:2",
    ] {
        let sandbox = Sandbox::new();
        sandbox.run_until(place, &["apply"]).assert_code(0, place);
        let [(crashed, _), embed] = &sandbox.servers()[..] else {
            panic!("{place}: other than two servers")
        };
        kill(*crashed);
        unsupervised(&sandbox, "chat");
        let left = sandbox.servers();
        sandbox.run(&["apply"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001"]);
        assert!(
            sandbox.servers().contains(embed),
            "{place}: embed is not touched"
        );
        for server in left {
            assert!(
                sandbox.servers().contains(&server),
                "{place}: {server:?} is adopted"
            );
        }
    }
}

#[test]
fn a_launch_that_failed_is_replaced_once_though_its_supervisor_died_while_it_did_so() {
    for place in [
        "supervisor.stopping",
        "supervisor.ended",
        "supervisor.failed",
        "supervisor.fell-back",
        "supervisor.before-spawn:2",
        "supervisor.spawned:2",
        "supervisor.gating:2",
    ] {
        let sandbox = Sandbox::new();
        sandbox.edit("interval: 100ms", "interval: 100ms, start_period: 1s");
        sandbox.run(&["apply"]).assert_code(0, place);
        let embed = sandbox.wait_running("embed").server;
        sandbox.publish(1002, "--standin-never-ready\n");
        sandbox.edit(
            "chat: { binary: { version: b1001",
            "chat: { binary: { version: b1002",
        );
        sandbox.run_until(place, &["apply"]).assert_code(1, place);
        unsupervised(&sandbox, "chat");

        let next = sandbox.run(&["apply"]);

        next.assert_code(1, place);
        assert_eq!(
            next.text.matches("rolled back to b1001").count()
                + next.text.matches("b1002 failed").count(),
            1,
            "{place}: {}",
            next.text
        );
        sandbox.wait_running("chat");
        let failed = sandbox.record("chat").failed;
        let failed: Vec<String> = failed.iter().map(|it| it.build.to_string()).collect();
        assert_eq!(failed, ["b1002"], "{place}: it is remembered");
        assert_eq!(sandbox.build("chat"), "b1001", "{place}");
        let servers = servers_left(&sandbox);
        assert_eq!(
            sandbox.wait_running("embed").server,
            embed,
            "{place}: embed is not touched"
        );
        let again = sandbox.run(&["apply"]);
        again.assert_code(1, place);
        assert_eq!(
            sandbox.servers(),
            servers,
            "{place}: what failed is not tried again"
        );
    }
}

#[test]
fn an_old_supervisor_that_dies_while_it_makes_room_keeps_nobody_from_an_upgrade() {
    for place in ["supervisor.stopping", "supervisor.ended"] {
        let sandbox = Sandbox::new();
        sandbox.run_until(place, &["apply"]).assert_code(0, place);
        sandbox.publish(1002, "");
        sandbox.want(&[("chat", 1002), ("embed", 1001)]);
        sandbox.run(&["apply"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001", "b1002"]);
        assert_eq!(sandbox.build("chat"), "b1002", "{place}");
    }
}

#[test]
fn a_new_supervisor_that_dies_once_it_has_asked_the_old_one_is_followed_by_another() {
    let place = "claim.asked";
    let sandbox = Sandbox::new();
    sandbox.run(&["apply"]).assert_code(0, place);
    let embed = sandbox.wait_running("embed").server;
    sandbox.publish(1002, "");
    sandbox.want(&[("chat", 1002), ("embed", 1001)]);
    sandbox.run_until(place, &["apply"]).assert_code(1, place);
    sandbox.run(&["apply"]).assert_code(0, place);
    assert_converged(&sandbox, place, &["b1001", "b1002"]);
    assert_eq!(sandbox.build("chat"), "b1002");
    assert_eq!(
        sandbox.wait_running("embed").server,
        embed,
        "embed is not touched"
    );
}

/// Where `down` can die with a supervisor at work, and where it can without one.
#[test]
fn a_stop_killed_anywhere_is_finished_by_the_next() {
    let supervised = ["apply.unwanted", "claim.asked", "apply.ended"].map(|place| (place, true));
    let alone = ["apply.unwanted", "end.stopping", "end.ended", "apply.ended"];
    for (place, is_supervised) in supervised
        .into_iter()
        .chain(alone.map(|place| (place, false)))
    {
        let sandbox = Sandbox::new();
        sandbox.run(&["apply"]).assert_code(0, place);
        let embed = sandbox.wait_running("embed").server;
        if !is_supervised {
            kill_supervisor(&sandbox, "chat");
        }
        sandbox
            .run_until(place, &["down", "chat"])
            .assert_killed(place);
        // The wish was written first, so that an ordinary pass fulfils it.
        sandbox.run(&["apply", "--yes"]).assert_code(0, place);
        eventually("nobody supervises it", || {
            (sandbox.supervisors() == 1).then_some(())
        });
        let servers = sandbox.servers();
        assert_eq!(servers.len(), 1, "{place}: {servers:?}");
        assert_eq!(
            sandbox.wait_running("embed").server,
            embed,
            "{place}: embed is not touched"
        );
        sandbox.run(&["up", "chat"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001"]);
    }
}

#[test]
fn new_settings_reach_a_supervisor_though_apply_died_on_the_way() {
    let place = "apply.updated";
    let sandbox = Sandbox::new();
    sandbox.run(&["apply"]).assert_code(0, place);
    let servers = servers_left(&sandbox);
    sandbox.edit("stop_timeout: 2s", "stop_timeout: 3s");
    sandbox.run_until(place, &["apply"]).assert_killed(place);
    sandbox.run(&["apply"]).assert_code(0, place);
    assert_converged(&sandbox, place, &["b1001"]);
    assert_eq!(sandbox.servers(), servers, "no server is touched");
    for name in ["chat", "embed"] {
        let settings = sandbox.wait_running(name).supervision;
        assert_eq!(settings.stop_timeout.as_secs(), 3, "{name}");
    }
}

#[test]
fn what_supervisors_say_is_kept_though_apply_died_while_it_wrote_it_down() {
    let place = "apply.settled";
    let sandbox = Sandbox::new();
    sandbox.prove_at_once();
    sandbox.run(&["apply"]).assert_code(0, place);
    for name in ["chat", "embed"] {
        eventually("it is proven", || {
            sandbox.state(name).filter(|state| state.proven)
        });
    }
    let servers = servers_left(&sandbox);
    sandbox.run_until(place, &["apply"]).assert_killed(place);
    sandbox.run(&["apply"]).assert_code(0, place);
    assert_converged(&sandbox, place, &["b1001"]);
    assert_eq!(sandbox.servers(), servers);
    for name in ["chat", "embed"] {
        assert_eq!(sandbox.record(name).proven.len(), 1, "{name}");
    }
}

/// Two instances change ports with each other: one has to be down before the other comes up.
#[test]
fn ports_that_two_instances_swap_are_swapped_wherever_apply_is_killed() {
    for place in [
        "apply.unwanted",
        "apply.ended",
        "apply.recorded",
        "apply.started",
        "apply.waiting",
        "apply.recorded:2",
        "apply.started:2",
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.run(&["apply"]).assert_code(0, place);
        sandbox.swap_ports();
        let killed = sandbox.run_until(place, &["apply"]);
        if place.starts_with("apply.unwanted") || place.starts_with("apply.ended") {
            assert!(
                killed.code == Some(0) || killed.signal == Some(9),
                "{}",
                killed.text
            );
        } else {
            killed.assert_killed(place);
        }
        sandbox.run(&["apply"]).assert_code(0, place);
        assert_converged(&sandbox, place, &["b1001"]);
        for name in ["chat", "embed"] {
            assert_eq!(
                sandbox.alias(name),
                name,
                "{place}: each is where it belongs"
            );
        }
    }
}

/// Not at a named place but at some moment, whichever that is on the machine it runs on.
#[test]
fn supervisors_killed_at_any_moment_of_an_upgrade_are_followed_by_others_that_finish_it() {
    for milliseconds in [0, 5, 10, 20, 40, 80, 160, 320] {
        let when = format!("after {milliseconds} ms");
        let sandbox = Sandbox::new();
        sandbox.run(&["apply"]).assert_code(0, &when);
        sandbox.publish(1002, "");
        sandbox.want(&[("chat", 1002), ("embed", 1002)]);
        let mut apply = sandbox.spawn(&["apply"]);
        let before = sandbox.supervisor_pids();
        let new = eventually("a new supervisor", || {
            let now = sandbox.supervisor_pids();
            now.into_iter().find(|pid| !before.contains(pid))
        });
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        for pid in sandbox.supervisor_pids().into_iter().chain([new]) {
            crate::sandbox::kill_if_there(pid);
        }
        apply.wait().expect("it ends");
        assert!(sandbox.servers().len() <= 2, "{when}");
        sandbox.run(&["apply"]).assert_code(0, &when);
        assert_converged(&sandbox, &when, &["b1001", "b1002"]);
    }
}
