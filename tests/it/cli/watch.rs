//! `watch` with the real program: what wakes it, what it does by itself, and what it leaves alone.

use std::time::Duration;

use llama_orch::reconcile::PassLock;
use llama_orch::root::Root;
use rustix::process::Signal;

use crate::support::sandbox::{Sandbox, is_alive, kill, signal};
use crate::support::watching::Watching;

/// Two instances that run, kept by a watch that has made its first pass.
fn kept() -> (Sandbox, Watching) {
    let sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001), ("embed", 1001)]);
    let watching = Watching::start(&sandbox, &[]);
    sandbox.wait_running("chat");
    sandbox.wait_running("embed");
    watching.wait(&sandbox, "Applied in", 1);
    (sandbox, watching)
}

/// Whether an instance has another server than this one.
pub(super) fn runs_as_another(sandbox: &Sandbox, name: &str, pid: u32) -> bool {
    let server = sandbox.state(name).and_then(|state| state.server);
    let process = server.and_then(|server| server.process);
    process.is_some_and(|process| process.pid != pid)
}

#[test]
fn a_saved_edit_restarts_the_instance_it_is_about_and_no_other() {
    let (sandbox, watching) = kept();
    let (chat, embed) = (sandbox.pid("chat"), sandbox.pid("embed"));
    sandbox.edit(
        "chat:\n    binary: { version: b1001 }",
        "chat:\n    binary: { version: b1002 }",
    );
    sandbox.wait("chat runs b1002", || sandbox.runs("chat") == "b1002");
    assert_ne!(sandbox.wait_running("chat"), chat);
    assert_eq!(sandbox.pid("embed"), embed, "nothing of it has changed");
    watching.wait(&sandbox, "pass: orchestrator.yaml changed", 1);
    assert_eq!(watching.end(Signal::TERM), Some(0), "asked to end");
    assert!(is_alive(embed), "servers go on");
}

#[test]
fn a_bad_manifest_is_told_once_and_the_last_good_one_is_gone_by() {
    let (sandbox, watching) = kept();
    let pids = (sandbox.pid("chat"), sandbox.pid("embed"));
    let good = sandbox.read("orchestrator.yaml");
    sandbox.write(
        "orchestrator.yaml",
        &good.replace("healthcheck:", "healtcheck:"),
    );
    watching.wait(&sandbox, "going on with the files of", 1);
    // What ended by itself is started again all the same.
    kill(pids.1);
    sandbox.wait("embed runs again", || {
        runs_as_another(&sandbox, "embed", pids.1)
    });
    signal(watching.pid(), Signal::HUP);
    let status = sandbox.run(&["status"]);
    status.assert_code(65).assert_says("healtcheck");
    sandbox.write("orchestrator.yaml", &good);
    watching.wait(&sandbox, "the files are good again", 1);
    assert_eq!(watching.times("going on with the files of"), 1, "told once");
    assert_eq!(sandbox.pid("chat"), pids.0, "nobody touched it");
}

#[test]
fn bad_files_are_shown_while_a_model_still_loads() {
    let mut sandbox = Sandbox::new();
    sandbox.publish(1001, "--standin-load-seconds 60");
    sandbox.write_instances(&[("chat", 1001)]);
    let _watching = Watching::start(&sandbox, &[]);
    sandbox.wait("it loads", || sandbox.state("chat").is_some());
    sandbox.edit("healthcheck:", "healtcheck:");
    sandbox.wait("watch.json has it", || {
        sandbox
            .read(".llama-orch/watch.json")
            .contains("healtcheck")
    });
    let history = sandbox.path(".llama-orch/history.jsonl");
    assert!(!history.exists(), "its pass goes on");
}

#[test]
fn a_manifest_that_vanishes_or_is_half_written_ends_nothing() {
    let (sandbox, watching) = kept();
    let pids = (sandbox.pid("chat"), sandbox.pid("embed"));
    let good = sandbox.read("orchestrator.yaml");
    std::fs::remove_file(sandbox.path("orchestrator.yaml")).expect("removed");
    watching.wait(&sandbox, "there is no `orchestrator.yaml`", 1);
    sandbox.write("orchestrator.yaml", "version: 1\ninstances:\n");
    watching.wait(&sandbox, "`instances` is missing or empty", 1);
    sandbox.write("orchestrator.yaml", &good[..good.len() / 2]);
    watching.wait(&sandbox, "going on with the files of", 3);
    sandbox.write("orchestrator.yaml", &good);
    watching.wait(&sandbox, "the files are good again", 1);
    assert_eq!((sandbox.pid("chat"), sandbox.pid("embed")), pids);
}

#[test]
fn a_file_that_an_editor_puts_in_the_manifests_place_counts() {
    let (sandbox, _watching) = kept();
    let embed = sandbox.pid("embed");
    for build in ["b1002", "b1001"] {
        let text = sandbox.read("orchestrator.yaml");
        let at = text.find("version: b").expect("the pin of chat") + "version: ".len();
        let text = format!("{}{build}{}", &text[..at], &text[at + build.len()..]);
        sandbox.write(".orchestrator.yaml.swp", &text);
        let (new, old) = (
            sandbox.path(".orchestrator.yaml.swp"),
            sandbox.path("orchestrator.yaml"),
        );
        std::fs::rename(new, old).expect("renamed");
        sandbox.wait(&format!("chat runs {build}"), || {
            sandbox.runs("chat") == build
        });
        sandbox.wait_running("chat");
    }
    assert_eq!(sandbox.pid("embed"), embed);
}

#[test]
fn two_hundred_edits_in_a_row_come_to_the_newest_in_few_passes() {
    let (sandbox, watching) = kept();
    let embed = sandbox.pid("embed");
    let good = sandbox.read("orchestrator.yaml");
    let began = watching.times("pass: ");
    for edit in 0..200 {
        let build = if edit % 2 == 0 { "b1002" } else { "b1001" };
        let text = good.replacen("version: b1001", &format!("version: {build}"), 1);
        sandbox.write("orchestrator.yaml", &format!("{text}# edit {edit}\n"));
    }
    sandbox.write(
        "orchestrator.yaml",
        &good.replacen("version: b1001", "version: b1002", 1),
    );
    sandbox.wait("chat runs b1002", || sandbox.runs("chat") == "b1002");
    sandbox.wait_running("chat");
    let passes = watching.times("pass: ") - began;
    assert!(passes <= 5, "{passes} passes:\n{}", watching.said());
    assert_eq!(sandbox.pid("embed"), embed);
}

#[test]
fn killing_watch_touches_no_server_and_the_next_one_finds_all_as_it_is() {
    let (sandbox, watching) = kept();
    let pids = (sandbox.pid("chat"), sandbox.pid("embed"));
    assert_eq!(watching.end(Signal::KILL), None);
    assert!(is_alive(pids.0) && is_alive(pids.1));
    let good = sandbox.read("orchestrator.yaml");
    sandbox.write("orchestrator.yaml", "version: 1\n");
    let watching = Watching::start(&sandbox, &[]);
    watching.wait(&sandbox, "going on with the files of", 1);
    sandbox.write("orchestrator.yaml", &good);
    watching.wait(&sandbox, "the files are good again", 1);
    assert_eq!((sandbox.pid("chat"), sandbox.pid("embed")), pids);
    assert_eq!(
        watching.times("Applied in"),
        1,
        "only the first pass had anything to do"
    );
}

#[test]
fn newer_files_are_not_kept_waiting_by_a_gate() {
    let sandbox = Sandbox::with(&[1001, 1003], &[("chat", 1001)]);
    sandbox.publish(1002, "--standin-never-ready\n");
    let watching = Watching::start(&sandbox, &[]);
    sandbox.wait_running("chat");
    sandbox.edit("version: b1001", "version: b1002");
    sandbox.wait("b1002 is being started", || sandbox.runs("chat") == "b1002");
    sandbox.edit("version: b1002", "version: b1003");
    sandbox.wait("chat runs b1003", || sandbox.runs("chat") == "b1003");
    sandbox.wait_running("chat");
    watching.wait(&sandbox, "newer files came", 1);
}

#[test]
fn only_one_watch_keeps_a_root() {
    let (sandbox, watching) = kept();
    let second = sandbox.run(&["watch", "--no-page"]);
    second
        .assert_code(75)
        .assert_says("another `llama-orch watch` keeps this root")
        .assert_says(&watching.pid().to_string());
}

#[test]
fn a_supervisor_that_is_gone_is_replaced_without_a_restart() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.edit("instances:", "watch: { resync: 1s }\ninstances:");
    let watching = Watching::start(&sandbox, &[]);
    let server = sandbox.wait_running("chat");
    watching.wait(&sandbox, "Applied in", 1);
    kill(sandbox.supervisor("chat"));
    watching.wait(&sandbox, "its supervisor is gone", 1);
    watching.wait(&sandbox, "Applied in", 2);
    assert_eq!(sandbox.pid("chat"), server);
}

#[test]
fn once_makes_a_pass_says_what_came_of_it_and_ends() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox
        .run(&["watch", "--once"])
        .assert_code(0)
        .assert_says("Applied in");
    let pid = sandbox.pid("chat");
    let again = sandbox.run(&["watch", "--once", "--quiet"]);
    again.assert_code(0);
    assert_eq!(
        (again.stdout.as_str(), again.stderr.as_str()),
        ("", ""),
        "converged means silent"
    );
    assert_eq!(sandbox.pid("chat"), pid);
    sandbox.edit("version: b1001", "version: b1009");
    sandbox.run(&["watch", "--once"]).assert_code(1);
    assert_eq!(
        sandbox.pid("chat"),
        pid,
        "a pin that cannot be had ends nothing"
    );
}

#[test]
fn once_waits_for_whoever_else_is_at_work() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let root = Root::new(sandbox.root.clone());
    let lock = PassLock::take(&root, "apply", Duration::ZERO).expect("it is free");
    let watching = Watching::start(&sandbox, &["--once"]);
    sandbox.wait("it has begun", || {
        sandbox.path(".llama-orch/watch.json").exists()
    });
    assert!(
        sandbox.state("chat").is_none(),
        "nobody else begins anything"
    );
    drop(lock);
    assert_eq!(watching.ended(), Some(0));
    sandbox.wait_running("chat");
}

#[test]
fn what_it_kept_for_itself_may_be_damaged() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.write(".llama-orch/told.json", "{");
    sandbox.write(".llama-orch/last-good/files.json", "{");
    let once = sandbox.run(&["watch", "--once"]);
    once.assert_code(0)
        .assert_says("what stands is told once more")
        .assert_says("no files are known to be good");
    sandbox.wait_running("chat");
}

#[test]
fn where_nothing_happens_nothing_is_written() {
    let (sandbox, watching) = kept();
    sandbox.edit("instances:", "watch: { resync: 1s }\ninstances:");
    let passes = |sandbox: &Sandbox| {
        let text = sandbox.read(".llama-orch/watch.json");
        let state: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        state["last_pass"]["result"].as_str().map(str::to_owned)
    };
    sandbox.wait("it has converged", || {
        passes(&sandbox).as_deref() == Some("converged")
    });
    let stamp = |name: &str| {
        std::fs::metadata(sandbox.path(name))
            .and_then(|it| it.modified())
            .ok()
    };
    let files = [
        ".llama-orch/watch.json",
        ".llama-orch/history.jsonl",
        ".llama-orch/machine.json",
        ".llama-orch/pass.holder",
        ".llama-orch/instances/chat/record.json",
    ];
    let before = files.map(stamp);
    // Whoever asks to have everything read anew is answered by a pass, which ends here before that asked next.
    for _ in 0..3 {
        signal(watching.pid(), Signal::HUP);
        sandbox.run(&["status", "--quiet"]).assert_code(0);
    }
    assert_eq!(files.map(stamp), before);
}
