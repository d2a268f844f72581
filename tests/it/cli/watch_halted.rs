//! What a person halts of watch, and the verbs that leave alone what a watch takes from git.

use insta::assert_snapshot;
use llama_orch::durable::FileLock;
use llama_orch::root::Root;
use llama_orch::watch::alive::{WatchFile, living};
use llama_orch::watch::snapshot::{GitState, ManifestState, WatchState};

use crate::support::repositories::Repositories;
use crate::support::sandbox::Sandbox;
use crate::support::watching::Watching;

/// What a watch that follows git says of itself.
fn following() -> WatchState {
    let at = "2026-11-28T12:00:00Z".to_owned();
    WatchState {
        pid: 4121,
        since: at.clone(),
        doing: Vec::new(),
        manifest: ManifestState {
            good: true,
            since: at,
            message: None,
            last_good_at: None,
        },
        last_pass: None,
        next_pass_at: None,
        passes: 0,
        failed_passes: 0,
        received_bytes: 0,
        suspended: None,
        git: Some(GitState {
            remote: "https://git.example/ops.git".to_owned(),
            branch: "main".to_owned(),
            commit: "1a2b3c4d5e6f".to_owned(),
            subject: "first".to_owned(),
            applied: None,
            upstream: None,
            fetched_at: None,
            fetch_error: None,
            hold: None,
            pinned: None,
            verifies: false,
        }),
    }
}

/// Lives as long as the lock is held.
fn watched(sandbox: &Sandbox, state: WatchState) -> FileLock {
    let root = Root::new(sandbox.root.clone());
    root.create_state().expect("created");
    WatchFile::new(state).write(&root).expect("written");
    let lock = FileLock::try_take(&root.watch_lock()).expect("a lock");
    lock.expect("nobody has it")
}

#[test]
fn whoever_suspends_watch_ends_what_it_is_at() {
    let mut sandbox = Sandbox::new();
    sandbox.publish(1001, "--standin-load-seconds 3");
    sandbox.write_instances(&[("chat", 1001), ("embed", 1001)]);
    let watching = Watching::start(&sandbox, &[]);
    sandbox.wait("the first of them loads", || {
        sandbox.state("chat").is_some()
    });
    sandbox.run(&["watch", "suspend"]).assert_code(0);
    watching.wait(&sandbox, "suspended; what was not begun is left", 1);
    sandbox.wait_running("chat");
    assert!(sandbox.state("embed").is_none(), "nobody began it");
    sandbox.run(&["watch", "resume"]).assert_code(0);
    sandbox.wait_running("embed");
}

#[test]
fn where_watch_does_not_say_what_it_follows_nothing_is_edited_until_it_is_suspended() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let _watch = watched(&sandbox, following());
    sandbox.write(".llama-orch/watch.json", "{");
    let refused = sandbox.run(&["disable", "chat"]);
    refused
        .assert_code(1)
        .assert_says("cannot tell whether")
        .assert_says("watch suspend");
    sandbox.run(&["watch", "suspend"]).assert_code(0);
    sandbox.run(&["disable", "chat"]).assert_code(0);
}

#[test]
fn watch_is_suspended_and_resumed_whether_it_runs_or_not() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let suspend = ["watch", "suspend", "--reason", "a demo until five"];
    assert_snapshot!(sandbox.run(&suspend), @r#"
    exit code 0
    --- stderr
          ok suspend  watch                   changes nothing by itself until `llama-orch watch resume`
    No watch runs here; it counts for the next one.
    "#);
    let brake = sandbox.read(".llama-orch/brake.json");
    assert!(brake.contains("a demo until five"), "{brake}");
    assert_snapshot!(sandbox.run(&["watch", "resume"]), @r#"
    exit code 0
    --- stderr
          ok resume   watch                   is no longer suspended
    No watch runs here; it counts for the next one.
    "#);
    assert_snapshot!(sandbox.run(&["watch", "resume"]), @r#"
    exit code 0
    --- stderr
    Watch is neither suspended nor pinned.
    "#);
    assert_snapshot!(sandbox.run(&["history"]), @r#"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  watch suspend  [TIME]: a demo until five
      done  suspend  watch  a demo until five
    [DATE], [TIME] ago  watch resume  [TIME]
      done  resume  watch  asked for
    "#);
    let _watch = watched(&sandbox, following());
    assert_snapshot!(sandbox.run(&["watch", "suspend"]), @r#"
    exit code 0
    --- stderr
          ok suspend  watch                   changes nothing by itself until `llama-orch watch resume`
    "#);
    sandbox.write(".llama-orch/brake.json", "{");
    sandbox
        .run(&["watch", "resume"])
        .assert_says("brake.json` is damaged");
    assert_eq!(sandbox.read(".llama-orch/brake.json"), "{");
}

#[test]
fn a_clone_is_pinned_to_a_commit_of_its_branch() {
    let sandbox = Sandbox::new();
    let world = Repositories::new();
    world.publish("second");
    let run = |arguments: &[&str]| {
        let mut all = vec!["-C", world.server.as_str()];
        all.extend(arguments);
        sandbox.run(&all)
    };
    assert_snapshot!(run(&["watch", "pin", "HEAD", "--reason", "it is faster"]), @r#"
    exit code 0
    --- stderr
          ok pin      watch                   held at 9baf0f9df3 (first) until `llama-orch watch resume`
    No watch runs here; it counts for the next one.
    "#);
    assert_snapshot!(run(&["watch", "resume"]), @r#"
    exit code 0
    --- stderr
          ok resume   watch                   is no longer pinned
    No watch runs here; it counts for the next one.
    "#);
    assert_snapshot!(run(&["watch", "pin", "1234567"]), @r#"
    exit code 1
    --- stderr
    error: there is no commit `1234567` in this clone
    hint: name a commit that was pushed to the branch: `git log --oneline '@{upstream}'` lists them
    "#);
    let branch = ["switch", "-q", "-c", "other"];
    world.git(&world.author, &branch);
    world.write("orchestrator.lock", "");
    let other = world.commit("elsewhere");
    world.push(&["origin", "other"]);
    world.git(&world.server, &["fetch", "-q"]);
    assert_snapshot!(run(&["watch", "pin", &other]), @r#"
    exit code 1
    --- stderr
    error: commit `ef074930ac` is not in the history of `main`
    hint: name a commit that was pushed to the branch: `git log --oneline '@{upstream}'` lists them
    "#);
    sandbox.write("orchestrator.yaml", "version: 1\ninstances: {}\n");
    assert_snapshot!(sandbox.run(&["watch", "pin", "HEAD"]), @r#"
    exit code 1
    --- stderr
    error: `[ROOT]` is not in a clone: fatal: not a git repository (or any of the parent directories): .git
    hint: `git clone ADDRESS` makes one; `git -C [ROOT] status` shows what git sees there
    "#);
}

#[test]
fn verbs_that_edit_leave_alone_what_a_watch_takes_from_git() {
    let mut sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001)]);
    sandbox.edit("min_healthy: 0", "min_healthy: 0, prove_after: 0");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let proven = |sandbox: &Sandbox| {
        sandbox.wait("it is proven", || {
            sandbox.state("chat").is_some_and(|state| state.proven)
        });
    };
    proven(&sandbox);
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.edit("min_healthy: 0", "min_healthy: 0, prove_after: 0");
    let watch = watched(&sandbox, following());
    let files = |sandbox: &Sandbox| {
        let files = ["orchestrator.yaml", "orchestrator.lock"];
        files.map(|name| sandbox.read(name))
    };
    let before = files(&sandbox);
    // A pass by hand does not extend the lock either.
    assert_snapshot!(sandbox.run(&["apply"]), @r#"
    exit code 1
    --- stdout
      ! hold     chat                    `orchestrator.lock` does not cover b1002 for `chat`; `llama-orch update` extends it: in a clone, commit and push that

    Plan: nothing to do; 1 held.
    "#);
    let upgrade = ["upgrade", "chat", "--binary-version", "b1002"];
    assert_snapshot!(sandbox.run(&upgrade), @r#"
    exit code 1
    --- stderr
    error: `llama-orch upgrade` would edit files that `llama-orch watch` keeps as `main` of https://git.example/ops.git has them
    hint: edit them in a clone of your own, commit and push: watch takes it from there
    hint: to edit here all the same, `llama-orch watch suspend` first
    "#);
    for verb in [
        &["update"] as &[&str],
        &["disable", "chat"],
        &["remove", "chat", "--yes"],
        &["init", "other", "--binary-version", "b1001"],
        &["config", "set-binary", "chat", "b1001"],
    ] {
        let output = sandbox.run(verb);
        output.assert_code(1).assert_says("watch suspend");
    }
    assert_eq!(files(&sandbox), before);
    // What only shows is never refused.
    let output = sandbox.run(&["upgrade", "chat", "--binary-version", "b1001", "--dry-run"]);
    output.assert_code(0);

    // The watch is gone for a moment: the commit that covers it comes.
    drop(watch);
    assert_eq!(living(&Root::new(sandbox.root.clone())), None);
    assert_snapshot!(sandbox.run(&["update"]), @r#"
    exit code 0
    --- stdout
    No pin floats; orchestrator.lock lacks builds that others name.
    --- stderr
    orchestrator.lock is written; see `llama-orch plan`.
    "#);
    sandbox
        .run(&["apply", "--locked", "--quiet"])
        .assert_code(0);
    proven(&sandbox);
    let before = files(&sandbox);
    let watch = watched(&sandbox, following());
    assert_snapshot!(sandbox.run(&["rollback", "chat"]), @r#"
    exit code 0
    --- stdout
    -/+ restart  chat                    rolled back to b1001: binary b1002 -> b1001; about [TIME] down (last load [TIME])
      ! hold     chat                    rolled back to b1001 [TIME] ago; change it or `llama-orch retry chat` to go on with b1002

    Plan: 1 to restart; 1 held.
    --- stderr
    the files are as git has them, and stay so: the rollback is put on record on this machine
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    "#);
    assert_eq!(files(&sandbox), before);
    assert_eq!(sandbox.runs("chat"), "b1001");
    sandbox.run(&["retry", "chat"]).assert_code(0);

    sandbox.run(&["watch", "suspend"]).assert_code(0);
    let disable = ["disable", "chat", "--no-apply"];
    sandbox.run(&disable).assert_code(0);
    assert_ne!(files(&sandbox), before);
    drop(watch);
}
