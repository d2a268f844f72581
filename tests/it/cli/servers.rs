//! Servers that crash, wedge and do not want to go, and supervisors that die.

use std::net::TcpStream;

use crate::support::sandbox::{Sandbox, is_alive, kill};

#[test]
fn a_server_that_is_killed_is_started_again_by_its_supervisor() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let (server, supervisor) = (sandbox.pid("chat"), sandbox.supervisor("chat"));
    kill(server);
    sandbox.wait("another server runs", || {
        sandbox.servers().iter().any(|pid| *pid != server)
    });
    sandbox.wait_running("chat");
    assert_eq!(sandbox.supervisor("chat"), supervisor);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn a_server_whose_supervisor_was_killed_is_taken_over_as_it_is() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let (server, supervisor) = (sandbox.pid("chat"), sandbox.supervisor("chat"));
    kill(supervisor);
    sandbox.wait("the supervisor is gone", || !is_alive(supervisor));
    assert!(is_alive(server));
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
    plan.assert_code(2).assert_says("its supervisor is gone");
    sandbox.run(&["apply"]).assert_code(0);
    assert_eq!(sandbox.pid("chat"), server);
    assert_ne!(sandbox.supervisor("chat"), supervisor);
    // The one that took over is a supervisor like any other.
    kill(server);
    sandbox.wait("another server runs", || {
        sandbox.servers().iter().any(|pid| *pid != server)
    });
    sandbox.wait_running("chat");
}

#[test]
fn settings_of_the_supervisor_are_taken_up_without_a_restart() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let server = sandbox.pid("chat");
    sandbox.edit(
        "min_healthy: 0 }",
        "min_healthy: 0, prove_after: 3m }\n  stop_timeout: 3s",
    );
    let output = sandbox.run(&["apply"]);
    output.assert_code(0).assert_says("update");
    assert_eq!(sandbox.pid("chat"), server);
    let state = sandbox.state("chat").expect("there is a state");
    assert_eq!(state.supervision.stop_timeout.as_secs(), 3);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn arguments_and_environment_restart_the_instance_they_are_of() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let (mut chat, embed) = (sandbox.pid("chat"), sandbox.pid("embed"));
    let line = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    for added in ["    args: [--metrics]\n", "    env: { HF_HOME: /srv/hf }\n"] {
        sandbox.edit(&line, &format!("{line}{added}"));
        sandbox.run(&["apply", "--quiet"]).assert_code(0);
        assert_ne!(sandbox.pid("chat"), chat, "after {added}");
        assert_eq!(sandbox.pid("embed"), embed);
        chat = sandbox.pid("chat");
    }
    let arguments = std::fs::read(format!("/proc/{chat}/cmdline")).expect("readable");
    assert!(String::from_utf8_lossy(&arguments).ends_with("--metrics\0"));
    let environment = std::fs::read(format!("/proc/{chat}/environ")).expect("readable");
    assert!(String::from_utf8_lossy(&environment).contains("HF_HOME=/srv/hf\0"));
}

/// Options that would change a server behind its manifest's back.
#[test]
fn a_stray_variable_of_the_shell_reaches_no_server() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.set("LLAMA_ARG_PORT", "1");
    sandbox.set("SOMETHING_ELSE", "secret");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let path = format!("/proc/{}/environ", sandbox.pid("chat"));
    let environment = std::fs::read(path).expect("readable");
    let environment = String::from_utf8_lossy(&environment);
    assert!(!environment.contains("LLAMA_ARG_PORT"), "{environment}");
    assert!(!environment.contains("SOMETHING_ELSE"), "{environment}");
}

#[test]
fn a_server_that_ignores_sigterm_is_killed_after_its_grace() {
    let mut sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-ignore-sigterm\n");
    sandbox.edit("instances:", "  stop_timeout: 500ms\ninstances:");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let server = sandbox.pid("chat");
    sandbox.run(&["down", "chat"]).assert_code(0);
    assert!(!is_alive(server));
    let port = sandbox.port("chat");
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "the port is free"
    );
}

#[test]
fn a_new_build_that_keeps_crashing_is_rolled_back_without_any_command() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    sandbox.publish(1002, "--standin-crash-after 0.3\n");
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.edit(
        "instances:",
        "  restart_policy: { max_retries: 2, initial_delay: 50ms }\ninstances:",
    );
    // It may pass its gate before its first crash; what follows is its supervisor's alone.
    sandbox.run(&["apply", "--quiet"]);
    sandbox.wait("the old build runs again", || {
        sandbox.runs("chat") == "b1001"
    });
    sandbox.wait_running("chat");
    let plan = sandbox.run(&["plan"]);
    plan.assert_code(1).assert_says("b1002 failed");
}

#[test]
fn a_new_build_that_was_taken_over_is_still_rolled_back() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001)]);
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.edit(
        "instances:",
        "  restart_policy: { max_retries: 2, initial_delay: 50ms }\ninstances:",
    );
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let supervisor = sandbox.supervisor("chat");
    kill(supervisor);
    sandbox.wait("the supervisor is gone", || !is_alive(supervisor));
    sandbox.run(&["apply", "--quiet"]).assert_code(0);

    // From here on the build cannot start any more.
    let build = sandbox.build_folder(1002);
    std::fs::write(build.join("standin-faults"), "--standin-exit 1\n").expect("written");
    kill(sandbox.pid("chat"));
    sandbox.wait("the old build runs again", || {
        sandbox.runs("chat") == "b1001"
    });
    sandbox.wait_running("chat");
}

#[test]
fn what_is_never_restarted_waits_for_a_person() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.edit(
        "instances:",
        "  restart_policy: { enabled: false }\ninstances:",
    );
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    for verb in [["apply", "--quiet"], ["up", "chat"]] {
        kill(sandbox.pid("chat"));
        sandbox.wait("its supervisor is gone", || {
            sandbox.supervisors().is_empty()
        });
        if verb[0] == "apply" {
            let plan = sandbox.run(&["plan"]);
            plan.assert_says("`restart_policy.enabled` is false, `apply` starts it");
        }
        sandbox.run(&verb).assert_code(0);
        sandbox.wait_running("chat");
    }
}

#[test]
fn what_gave_up_does_not_forget_how_often_it_was_tried() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.edit("min_healthy: 0", "min_healthy: 0, prove_after: 0");
    sandbox.edit(
        "instances:",
        "  restart_policy: { max_retries: 1, initial_delay: 10ms }\ninstances:",
    );
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.wait("it is proven", || {
        sandbox.state("chat").is_some_and(|state| state.proven)
    });
    let first = sandbox.pid("chat");
    // From here on it does not start any more.
    let build = sandbox.build_folder(1001);
    std::fs::write(build.join("standin-faults"), "--standin-exit 1\n").expect("written");
    kill(first);
    sandbox.wait("its supervisor is gone", || {
        sandbox.supervisors().is_empty()
    });
    let status = sandbox.run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(status["instances"][0]["state"], "gave_up");
    assert_eq!(status["instances"][0]["restarts"], 1);
}
