//! Secrets: where they reach, where they must not stand, and that they outlive a supervisor.

use crate::support::sandbox::{Sandbox, is_alive, kill};

fn environment(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).expect("it is ours to read");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_secret_reaches_the_server_and_stands_in_no_file_of_ours_nor_in_a_plan() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    sandbox.edit(
        &line,
        &format!("{line}    env: {{ MY_TOKEN: hush-hush }}\n"),
    );
    let plan = sandbox.run(&["plan", "-v"]);
    assert!(!plan.says("hush-hush"), "{plan}");
    let output = sandbox.run(&["apply", "-v"]);
    output.assert_code(0);
    assert!(!output.says("hush-hush"), "{output}");
    assert!(environment(sandbox.pid("chat")).contains("MY_TOKEN=hush-hush\0"));
    for file in ["record.json", "state.json", "supervisor.log"] {
        let text = sandbox.read(&format!(".llama-orch/instances/chat/{file}"));
        assert!(!text.contains("hush-hush"), "{file}: {text}");
    }
    assert!(!sandbox.run(&["config", "show", "chat"]).says("hush-hush"));

    sandbox.edit("hush-hush", "changed");
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
    plan.assert_code(2).assert_says("env.MY_TOKEN");
    assert!(!plan.says("changed"), "{plan}");
}

#[test]
fn secrets_outlive_the_supervisor_that_brought_them() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    let env = "    env: { MY_TOKEN: hush-hush, OTHER: { from_env: FROM_SHELL } }\n";
    sandbox.edit(&line, &format!("{line}{env}"));
    sandbox.set("FROM_SHELL", "of-the-first-shell");
    sandbox.run(&["apply"]).assert_code(0);
    let (server, supervisor) = (sandbox.pid("chat"), sandbox.supervisor("chat"));
    kill(supervisor);
    sandbox.wait("the supervisor is gone", || !is_alive(supervisor));

    // Another shell, which does not have the variable.
    sandbox.unset("FROM_SHELL");
    sandbox.run(&["apply"]).assert_code(0);
    assert_eq!(sandbox.pid("chat"), server, "it was taken over");
    kill(server);
    sandbox.wait("another server runs", || {
        sandbox.servers().iter().any(|pid| *pid != server)
    });
    let healed = environment(sandbox.wait_running("chat"));
    assert!(healed.contains("MY_TOKEN=hush-hush\0"));
    assert!(healed.contains("OTHER=of-the-first-shell\0"));
}

#[test]
fn a_rollback_runs_with_the_secret_it_ran_with_before() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    sandbox.edit(&line, &format!("{line}    env: {{ MY_TOKEN: first }}\n"));
    sandbox.run(&["apply"]).assert_code(0);
    sandbox.publish(1002, "--standin-exit 1");
    sandbox.edit("MY_TOKEN: first", "MY_TOKEN: second");
    sandbox.edit("version: b1001", "version: b1002");
    sandbox
        .run(&["apply"])
        .assert_code(1)
        .assert_says("rolled back to b1001");
    assert!(environment(sandbox.wait_running("chat")).contains("MY_TOKEN=first\0"));
}
