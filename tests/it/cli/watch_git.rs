//! `watch --git` from a push to what runs: a bare repository, the clone of somebody who writes, and the server's,
//! with the real program in both.

use std::process::{Command, Stdio};

use camino::Utf8PathBuf;
use llama_orch::instance::state::Phase;
use rustix::process::Signal;

use super::service::{listener, told};
use super::watch::runs_as_another;
use crate::support::sandbox::{Output, Sandbox, is_alive, signal};
use crate::support::watching::Watching;

/// A server whose root is a clone, and an author's clone of the same.
struct World {
    sandbox: Sandbox,
    home: Utf8PathBuf,
    author: Utf8PathBuf,
}

impl World {
    /// Two instances at b1001, committed, pushed and cloned; nothing runs yet.
    fn new() -> Self {
        let sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001), ("embed", 1001)]);
        let home = sandbox.root.parent().expect("it has one").to_owned();
        let author = home.join("author");
        let remote = home.join("remote.git");
        let world = Self {
            sandbox,
            home,
            author,
        };
        // Both clones read the same folder of releases.
        let releases = world.sandbox.path("releases");
        world
            .sandbox
            .edit("directory: releases", &format!("directory: {releases}"));
        world.git(
            &world.home,
            &["init", "-q", "--bare", "-b", "main", remote.as_str()],
        );
        world.git(&world.sandbox.root, &["init", "-q", "-b", "main"]);
        world.git(
            &world.sandbox.root,
            &["remote", "add", "origin", remote.as_str()],
        );
        world
            .orch(&world.sandbox.root.clone(), &["update"])
            .assert_code(0);
        let root = world.sandbox.root.clone();
        world.git(&root, &["add", "orchestrator.yaml", "orchestrator.lock"]);
        world.git(&root, &["commit", "-q", "-m", "two instances"]);
        world.git(&root, &["push", "-q", "-u", "origin", "main"]);
        world.git(
            &world.home,
            &["clone", "-q", remote.as_str(), world.author.as_str()],
        );
        world
    }

    #[track_caller]
    fn git(&self, folder: &Utf8PathBuf, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .env("HOME", &self.home)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([
                ("GIT_AUTHOR_NAME", "An Author"),
                ("GIT_AUTHOR_EMAIL", "author@example.org"),
            ])
            .envs([
                ("GIT_COMMITTER_NAME", "An Author"),
                ("GIT_COMMITTER_EMAIL", "author@example.org"),
            ])
            .stdin(Stdio::null())
            .output()
            .expect("git is there");
        let output = Output::from(output);
        output.assert_code(0);
        output.stdout.trim().to_owned()
    }

    fn orch(&self, folder: &Utf8PathBuf, arguments: &[&str]) -> Output {
        Output::of(self.sandbox.command(arguments).current_dir(folder))
    }

    /// Changes the author's manifest, and the lock with it.
    fn edit(&self, from: &str, to: &str) {
        let path = self.author.join("orchestrator.yaml");
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        std::fs::write(&path, text.replacen(from, to, 1)).expect("written");
    }

    /// Commits what the author has, pushes it, and has the server fetch.
    fn push(&self, message: &str, watching: &Watching) {
        self.git(&self.author, &["commit", "-q", "-a", "-m", message]);
        self.git(&self.author, &["push", "-q", "origin", "HEAD:main"]);
        signal(watching.pid(), Signal::HUP);
    }

    fn watch(&self, options: &[&str]) -> Watching {
        let all: Vec<&str> = ["--git", "--git-interval", "1h"]
            .iter()
            .chain(options)
            .copied()
            .collect();
        let watching = Watching::start(&self.sandbox, &all);
        self.sandbox.wait_running("chat");
        self.sandbox.wait_running("embed");
        watching.wait(&self.sandbox, "Applied in", 1);
        watching
    }

    fn state(&self) -> serde_json::Value {
        let text = self.sandbox.read(".llama-orch/watch.json");
        serde_json::from_str(&text).expect("JSON")
    }

    #[track_caller]
    fn wait_hold(&self, reason: &str) -> String {
        self.sandbox.wait(&format!("a hold: {reason}"), || {
            self.state()["git"]["hold"]["reason"] == reason
        });
        self.state()["git"]["hold"]["text"]
            .as_str()
            .expect("a text")
            .to_owned()
    }
}

const CHAT: &str = "chat:\n    binary: { version: b1001 }";
const CHAT_NEWER: &str = "chat:\n    binary: { version: b1002 }";

#[test]
fn a_push_is_rolled_out_to_the_instance_it_changes_and_noted_as_applied() {
    let world = World::new();
    let watching = world.watch(&[]);
    let (chat, embed) = (world.sandbox.pid("chat"), world.sandbox.pid("embed"));
    world.edit(CHAT, CHAT_NEWER);
    world.orch(&world.author, &["update"]).assert_code(0);
    std::fs::write(world.author.join("README"), "unrelated\n").expect("written");
    world.git(&world.author, &["add", "README"]);
    world.push("chat to b1002", &watching);
    world
        .sandbox
        .wait("chat runs b1002", || world.sandbox.runs("chat") == "b1002");
    assert_ne!(world.sandbox.wait_running("chat"), chat);
    assert_eq!(
        world.sandbox.pid("embed"),
        embed,
        "only the one that changed"
    );
    let head = world.git(&world.author, &["rev-parse", "HEAD"]);
    world.sandbox.wait("the commit is applied", || {
        world.state()["git"]["applied"] == head.as_str()
    });
    watching.wait(&world.sandbox, "chat to b1002", 1);
    let changed = world.git(&world.sandbox.root, &["status", "--porcelain", "-uno"]);
    assert_eq!(changed, "", "nothing tracked is ever written");
}

#[test]
fn a_pin_the_lock_does_not_cover_is_held_and_says_what_to_commit() {
    let world = World::new();
    let watching = world.watch(&[]);
    let chat = world.sandbox.pid("chat");
    world.edit(CHAT, CHAT_NEWER);
    world.push("without the lock", &watching);
    watching.wait(&world.sandbox, "does not cover", 1);
    assert!(
        watching.said().contains("`llama-orch update` extends it"),
        "{}",
        watching.said()
    );
    assert_eq!(world.sandbox.pid("chat"), chat, "it goes on");
    world.orch(&world.author, &["update"]).assert_code(0);
    world.push("with it", &watching);
    world
        .sandbox
        .wait("chat runs b1002", || world.sandbox.runs("chat") == "b1002");
}

#[test]
fn a_force_push_a_local_edit_and_a_broken_manifest_leave_everything_as_it_is() {
    let world = World::new();
    let watching = world.watch(&[]);
    let pids = (world.sandbox.pid("chat"), world.sandbox.pid("embed"));

    // A broken manifest: the last good one is gone by.
    world.edit("instances:", "instancs:");
    world.push("a slip", &watching);
    watching.wait(&world.sandbox, "going on with the files of", 1);
    world.edit("instancs:", "instances:");
    world.push("mended", &watching);
    watching.wait(&world.sandbox, "the files are good again", 1);

    // A local edit is no commit.
    let good = world.sandbox.read("orchestrator.yaml");
    world.sandbox.edit(CHAT, CHAT_NEWER);
    let text = world.wait_hold("local_edits");
    assert!(text.contains("orchestrator.yaml"), "{text}");
    world.sandbox.write("orchestrator.yaml", &good);
    world.sandbox.wait("the hold is over", || {
        world.state()["git"]["hold"].is_null()
    });

    // History that was rewritten is not followed.
    world.git(&world.author, &["reset", "-q", "--hard", "HEAD~2"]);
    world.edit(CHAT, CHAT_NEWER);
    world.git(
        &world.author,
        &["commit", "-q", "-a", "-m", "another history"],
    );
    world.git(
        &world.author,
        &["push", "-q", "--force", "origin", "HEAD:main"],
    );
    signal(watching.pid(), Signal::HUP);
    world.wait_hold("rewritten");
    assert_eq!(
        (world.sandbox.pid("chat"), world.sandbox.pid("embed")),
        pids
    );
    let status = world.sandbox.run(&["status"]);
    assert!(
        status.says("rewritten") || status.says("does not descend"),
        "{status}"
    );
}

#[test]
fn a_build_that_fails_its_gate_is_rolled_back_held_and_cleared_by_a_revert() {
    let world = World::new();
    world.sandbox.publish(1003, "--standin-exit 1");
    let watching = world.watch(&[]);
    let embed = world.sandbox.pid("embed");
    world.edit(CHAT, "chat:\n    binary: { version: b1003 }");
    world.orch(&world.author, &["update"]).assert_code(0);
    world.push("chat to b1003", &watching);
    watching.wait(&world.sandbox, "b1003 failed", 1);
    world.sandbox.wait("chat runs b1001 again", || {
        let state = world.sandbox.state("chat");
        let runs = state.is_some_and(|state| state.phase == Phase::Running);
        runs && world.sandbox.runs("chat") == "b1001"
    });
    world.git(&world.author, &["revert", "--no-edit", "HEAD"]);
    world.git(&world.author, &["push", "-q", "origin", "HEAD:main"]);
    signal(watching.pid(), Signal::HUP);
    let head = world.git(&world.author, &["rev-parse", "HEAD"]);
    world.sandbox.wait("the revert is applied", || {
        world.state()["git"]["applied"] == head.as_str()
    });
    world.sandbox.wait("all is well", || {
        world.sandbox.run(&["status", "--quiet"]).code == Some(0)
    });
    let history = world.sandbox.run(&["history"]);
    history.assert_says("rolled back").assert_says("recovered");
    assert_eq!(world.sandbox.pid("embed"), embed);
}

#[test]
fn with_the_remote_gone_servers_are_kept_as_they_are() {
    let world = World::new();
    let watching = world.watch(&[]);
    let pids = (world.sandbox.pid("chat"), world.sandbox.pid("embed"));
    std::fs::rename(world.home.join("remote.git"), world.home.join("away.git")).expect("renamed");
    signal(watching.pid(), Signal::HUP);
    watching.wait(&world.sandbox, "git: cannot fetch", 1);
    crate::support::sandbox::kill(pids.1);
    world.sandbox.wait("embed is started again", || {
        runs_as_another(&world.sandbox, "embed", pids.1)
    });
    std::fs::rename(world.home.join("away.git"), world.home.join("remote.git")).expect("renamed");
    signal(watching.pid(), Signal::HUP);
    watching.wait(&world.sandbox, "git: fetched again", 1);
    assert!(is_alive(pids.0));
}

#[test]
fn a_pinned_and_a_suspended_watch_take_no_commit_until_it_is_resumed() {
    let world = World::new();
    let watching = world.watch(&[]);
    let chat = world.sandbox.pid("chat");
    let suspend = world
        .sandbox
        .run(&["watch", "suspend", "--reason", "a demo until five"]);
    suspend.assert_code(0);
    world.edit(CHAT, CHAT_NEWER);
    world.orch(&world.author, &["update"]).assert_code(0);
    world.push("chat to b1002", &watching);
    let head = world.git(&world.author, &["rev-parse", "HEAD"]);
    world.sandbox.wait("it is fetched", || {
        world.state()["git"]["upstream"] == head.as_str()
    });
    assert_eq!(world.sandbox.pid("chat"), chat);
    // A new watch knows of it.
    watching.end(Signal::KILL);
    let watching = Watching::start(&world.sandbox, &["--git", "--git-interval", "1h"]);
    world.sandbox.wait("it is suspended still", || {
        world.state()["suspended"]["reason"] == "a demo until five"
            && world.state()["pid"] == watching.pid()
    });
    assert_eq!(world.sandbox.pid("chat"), chat);
    world.sandbox.run(&["watch", "resume"]).assert_code(0);
    world
        .sandbox
        .wait("chat runs b1002", || world.sandbox.runs("chat") == "b1002");
}

#[test]
fn a_git_that_takes_its_time_has_nobody_take_watch_for_dead() {
    use std::os::unix::fs::PermissionsExt as _;

    let mut world = World::new();
    let tools = world.home.join("tools");
    let (slow, waits) = (tools.join("slow"), tools.join("waits"));
    std::fs::create_dir(&tools).expect("created");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *fetch*) ;; *)\n  while [ -e {slow} ]; do touch {waits}; sleep 0.05; done ;;\nesac\n\
         PATH=${{PATH#*:}}; export PATH; exec git \"$@\"\n"
    );
    std::fs::write(tools.join("git"), script).expect("written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(tools.join("git"), mode).expect("set");
    let (heard, path) = listener(&world.sandbox);
    let ambient = std::env::var("PATH").expect("it is set");
    world.sandbox.set("PATH", &format!("{tools}:{ambient}"));
    world.sandbox.set("NOTIFY_SOCKET", path.as_str());
    world.sandbox.set("WATCHDOG_USEC", "100000");
    let watching = world.watch(&[]);
    std::fs::write(&slow, "").expect("written");
    signal(watching.pid(), Signal::HUP);
    world.sandbox.wait("git is waited for", || waits.exists());
    // What was told before that is read first.
    while heard.try_recv().is_ok() {}
    for _ in 0..5 {
        told(&heard, "WATCHDOG=1");
    }
    std::fs::remove_file(&slow).expect("removed");
    assert_eq!(watching.end(Signal::TERM), Some(0));
}

#[test]
fn a_root_that_is_no_clone_is_refused_whether_there_is_a_page_or_not() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    for options in [&["--no-page"][..], &["--listen", "127.0.0.1:0"]] {
        let refused = sandbox.run(&[&["watch", "--git"], options].concat());
        refused.assert_code(1).assert_says("is not in a clone");
    }
    let service = ["service", "install", "--user", "--", "--git"];
    sandbox
        .run(&service)
        .assert_code(1)
        .assert_says("is not in a clone");
}

#[test]
fn once_says_that_a_clone_is_stuck() {
    let world = World::new();
    let once = ["watch", "--git", "--once"];
    world.sandbox.run(&once).assert_code(0);
    let text = world.sandbox.read("orchestrator.yaml");
    world
        .sandbox
        .write("orchestrator.yaml", &format!("{text}# mine\n"));
    let held = world.sandbox.run(&once);
    held.assert_code(1).assert_says("was edited here");
}
