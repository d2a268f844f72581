//! Where the root is: `-C`, `LLAMA_ORCH_ROOT`, the nearest folder upwards, and whose it is.

use insta::assert_snapshot;

use crate::support::sandbox::{Output, Sandbox};

#[test]
fn it_is_named_or_the_nearest_one_upwards_and_never_the_current_folder_by_accident() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let root = sandbox.root.clone();
    let elsewhere = root.parent().expect("it has one").to_owned();
    sandbox.write("deep/er/file", "");
    let upwards = Output::of(sandbox.command(&["plan"]).current_dir(root.join("deep/er")));
    upwards.assert_code(0).assert_says("chat");

    let lost = Output::of(sandbox.command(&["plan"]).current_dir(&elsewhere));
    let above = elsewhere.as_str();
    assert_snapshot!(lost.to_string().replace(above, "[ABOVE]"), @"
    exit code 64
    --- stderr
    error: there is no `orchestrator.yaml` in `[ABOVE]` or any folder above it
    hint: `llama-orch init NAME` writes an `orchestrator.yaml`; one that lies elsewhere is named by its folder: `llama-orch -C DIR plan`
    ");
    let named = ["-C", root.as_str(), "plan"];
    let named = Output::of(sandbox.command(&named).current_dir(&elsewhere));
    named.assert_code(0).assert_says("chat");
    let after = ["plan", "--root", "root"];
    let after = Output::of(sandbox.command(&after).current_dir(&elsewhere));
    after.assert_code(0).assert_says("chat");

    sandbox.set("LLAMA_ORCH_ROOT", root.as_str());
    let from_environment = Output::of(sandbox.command(&["plan"]).current_dir(&elsewhere));
    from_environment.assert_code(0).assert_says("chat");
    // What was typed outweighs what the shell says.
    let typed = ["-C", "releases", "plan"];
    let typed = Output::of(sandbox.command(&typed).current_dir(&root));
    assert_snapshot!(typed, @"
    exit code 64
    --- stderr
    error: there is no `orchestrator.yaml` in `[ROOT]/releases`
    hint: `llama-orch init NAME` writes an `orchestrator.yaml`; one that lies elsewhere is named by its folder: `llama-orch -C DIR plan`
    ");
    assert!(!root.join("releases/.llama-orch").exists());
}

#[test]
fn the_root_of_another_user_is_looked_at_and_not_changed() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a folder away");
        return;
    }
    std::os::unix::fs::chown(&sandbox.root, Some(1234), None).expect("given away");
    sandbox.run(&["plan"]).assert_code(0);
    let apply = sandbox.run(&["apply"]);
    std::os::unix::fs::chown(&sandbox.root, Some(0), None).expect("taken back");
    assert_snapshot!(apply, @r"
    exit code 73
    --- stderr
    error: `[ROOT]` belongs to user 1234, and this is user 0
    hint: run it as the owner: `sudo -u '#1234' llama-orch ...`
    ");
    assert!(!sandbox.path(".llama-orch").exists());
}
