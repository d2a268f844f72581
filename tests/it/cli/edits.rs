//! Verbs that edit the files: what they show, what they write, and what follows.

use insta::assert_snapshot;

use crate::support::sandbox::{Output, Sandbox};

/// The manifest with comments, an odd layout and a `config.json`.
pub(super) fn commented() -> Sandbox {
    let mut sandbox = Sandbox::new();
    for build in [1001, 1002] {
        sandbox.publish(build, "");
    }
    sandbox.write("releases/nightly-tag.txt", "b1002\n");
    let (chat, embed) = (sandbox.port("chat"), sandbox.port("embed"));
    sandbox.write(
        "orchestrator.yaml",
        &format!(
            "\
version: 1
source: {{ directory: releases }}
rollout: {{ start_parallel: 1 }}
defaults:            # everybody
  model: {{ path: models/tiny.gguf }}
  healthcheck: {{ interval: 100ms }}
  rollout: {{ min_healthy: 0, prove_after: 0 }}
instances:
  # what people talk to
  chat:
    binary: {{ version: b1001 }}   # works
    server: {{ port: {chat} }}
    tags: [gpu0]

  embed: {{}}   # see its config.json
"
        ),
    );
    sandbox.write(
        "instances/embed/config.json",
        &format!(
            "{{\n  \"name\": \"embed\",\n  \"binary\": {{ \"version\": \"b1001\" }},\n  \"server\": {{ \"port\": {embed} }}\n}}\n"
        ),
    );
    sandbox
}

/// The same, applied.
fn running() -> Sandbox {
    let sandbox = commented();
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox
}

/// Nothing was written and nothing that ran is different.
pub(super) fn unchanged(sandbox: &Sandbox, act: impl FnOnce(&Sandbox) -> Output) -> Output {
    let files = [
        "orchestrator.yaml",
        "orchestrator.lock",
        "instances/embed/config.json",
    ];
    let read = || files.map(|file| std::fs::read_to_string(sandbox.path(file)).ok());
    let pids =
        || ["chat", "embed"].map(|name| sandbox.state(name).is_some().then(|| sandbox.pid(name)));
    let (before, ran) = (read(), pids());
    let output = act(sandbox);
    assert_eq!(read(), before, "{output}");
    assert_eq!(pids(), ran, "{output}");
    output
}

#[test]
fn upgrade_moves_one_pin_where_it_is_written_and_leaves_the_rest_alone() {
    let sandbox = running();
    let embed = sandbox.pid("embed");
    assert_snapshot!(sandbox.run(&["upgrade", "chat", "--reason", "the fix is in it"]), @"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -9,5 +9,5 @@
           # what people talk to
           chat:
        -    binary: { version: b1001 }   # works
        +    binary: { version: b1002 }   # works
             server: { port: [PORT] }
             tags: [gpu0]

        orchestrator.lock: gets the archives of b1002

      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to install, 1 to restart.
    --- stderr
         ... install  b1002 [CPU]
          ok install  b1002 [CPU]           [TIME]
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.runs("chat"), "b1002");
    assert_eq!(sandbox.pid("embed"), embed, "nobody touches it");
    let manifest = sandbox.read("orchestrator.yaml");
    assert!(
        manifest.contains("binary: { version: b1002 }   # works"),
        "{manifest}"
    );
    assert!(
        manifest.contains("  # what people talk to\n  chat:"),
        "{manifest}"
    );

    // The pin of the other one is in its config.json.
    assert_snapshot!(sandbox.run(&["upgrade", "--all"]), @r#"
    exit code 0
    --- stdout
        --- instances/embed/config.json
        +++ instances/embed/config.json
        @@ -1,5 +1,5 @@
         {
           "name": "embed",
        -  "binary": { "version": "b1001" },
        +  "binary": { "version": "b1002" },
           "server": { "port": [PORT] }
         }

        orchestrator.lock: loses the archives of b1001

    -/+ restart  embed                   binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to restart.
    --- stderr
    `chat` is pinned to b1002, the newest stable build, already
         ... restart  embed
          ok restart  embed                   [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    "#);
    assert_eq!(sandbox.runs("embed"), "b1002");
    assert_eq!(sandbox.read("orchestrator.yaml"), manifest);
    assert_snapshot!(sandbox.run(&["upgrade", "--all"]), @"
    exit code 0
    --- stderr
    `chat` is pinned to b1002, the newest stable build, already
    `embed` is pinned to b1002, the newest stable build, already
    ");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    let history = sandbox.run(&["history"]);
    history.assert_says("the fix is in it");
}

#[test]
fn a_dry_run_shows_and_does_nothing() {
    let sandbox = running();
    assert_snapshot!(unchanged(&sandbox, |sandbox| sandbox.run(&["upgrade", "--tag", "gpu0", "--dry-run"])), @"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -9,5 +9,5 @@
           # what people talk to
           chat:
        -    binary: { version: b1001 }   # works
        +    binary: { version: b1002 }   # works
             server: { port: [PORT] }
             tags: [gpu0]

        orchestrator.lock: gets the archives of b1002

      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to install, 1 to restart.
    ");
    unchanged(&sandbox, |sandbox| {
        sandbox.run(&["remove", "chat", "--dry-run"]).assert_code(0);
        sandbox
            .run(&["disable", "chat", "--dry-run"])
            .assert_code(0);
        sandbox.run(&["init", "new", "--dry-run", "--port", "18999"])
    })
    .assert_code(0);
}

#[test]
fn a_build_that_cannot_be_had_is_not_written() {
    let sandbox = running();
    let upgrade = ["upgrade", "chat", "--binary-version", "b7"];
    assert_snapshot!(unchanged(&sandbox, |sandbox| sandbox.run(&upgrade)), @"
    exit code 1
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -9,5 +9,5 @@
           # what people talk to
           chat:
        -    binary: { version: b1001 }   # works
        +    binary: { version: b7 }   # works
             server: { port: [PORT] }
             tags: [gpu0]

      x blocked  chat                    `[ROOT]/releases` has no archive of b7; it has b1002, b1001

    Plan: nothing to do; 1 blocked.
    --- stderr
    hint: put the archive, such as `llama-b7-bin-[VARIANT].tar.gz`, into `[ROOT]/releases`
    nothing was changed
    ");
    let upgrade = [
        "upgrade",
        "chat",
        "--binary-version",
        "b1002",
        "--variant",
        "vulkan",
    ];
    unchanged(&sandbox, |sandbox| sandbox.run(&upgrade))
        .assert_code(1)
        .assert_says("nothing was changed");
}

#[test]
fn an_edit_alone_is_applied_by_the_next_pass() {
    let sandbox = running();
    let pid = sandbox.pid("chat");
    assert_snapshot!(sandbox.run(&["upgrade", "chat", "--no-apply"]), @"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -9,5 +9,5 @@
           # what people talk to
           chat:
        -    binary: { version: b1001 }   # works
        +    binary: { version: b1002 }   # works
             server: { port: [PORT] }
             tags: [gpu0]

        orchestrator.lock: gets the archives of b1002

      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to install, 1 to restart.
    --- stderr
    See `llama-orch plan`.
    ");
    assert_eq!(sandbox.pid("chat"), pid);
    assert!(sandbox.read("orchestrator.lock").contains("b1002"));
    sandbox
        .run(&["plan", "--locked", "--detailed-exitcode"])
        .assert_code(2);
    sandbox.run(&["apply", "--locked"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
}

#[test]
fn a_new_build_that_fails_its_gate_is_rolled_back_and_written_back_by_hand() {
    let sandbox = running();
    sandbox.wait("it is proven", || {
        sandbox.state("chat").is_some_and(|state| state.proven)
    });
    sandbox.publish(1003, "--standin-exit 1");
    let upgrade = sandbox.run(&["upgrade", "chat", "--binary-version", "b1003"]);
    upgrade.assert_code(1);
    let pid = sandbox.wait_running("chat");
    assert_eq!(sandbox.runs("chat"), "b1001");
    // What runs is what it goes back to: nothing stops.
    assert_snapshot!(sandbox.run(&["rollback", "chat"]), @"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -9,5 +9,5 @@
           # what people talk to
           chat:
        -    binary: { version: b1003 }   # works
        +    binary: { version: b1001 }   # works
             server: { port: [PORT] }
             tags: [gpu0]

        orchestrator.lock: loses the archives of b1003

    Nothing to do: what runs is what would be written.
    ");
    assert_eq!(sandbox.pid("chat"), pid);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn a_rollback_writes_the_pin_back() {
    let sandbox = running();
    sandbox.wait("it is proven", || {
        sandbox.state("chat").is_some_and(|state| state.proven)
    });
    sandbox.run(&["upgrade", "chat"]).assert_code(0);
    sandbox.wait("it is proven", || {
        sandbox.runs("chat") == "b1002" && sandbox.state("chat").is_some_and(|state| state.proven)
    });
    assert_snapshot!(sandbox.run(&["rollback", "chat", "--reason", "slower answers"]), @"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -9,5 +9,5 @@
           # what people talk to
           chat:
        -    binary: { version: b1002 }   # works
        +    binary: { version: b1001 }   # works
             server: { port: [PORT] }
             tags: [gpu0]

        orchestrator.lock: loses the archives of b1002

    -/+ restart  chat                    binary b1002 -> b1001; about [TIME] down (last load [TIME])

    Plan: 1 to restart.
    --- stderr
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.runs("chat"), "b1001");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);

    // What differs by more than its build is put on record.
    sandbox.wait("it is proven", || {
        sandbox.state("chat").is_some_and(|state| state.proven)
    });
    sandbox.edit(
        "binary: { version: b1001 }   # works",
        "binary: { version: b1002 }\n    args: [--metrics]",
    );
    sandbox.run(&["apply"]).assert_code(0);
    let rollback = sandbox.run(&["rollback", "chat", "--to", "b1001"]);
    rollback.assert_code(0).assert_says("with other settings");
    assert_eq!(sandbox.runs("chat"), "b1001");
    assert!(sandbox.read("orchestrator.yaml").contains("b1002"));
}

#[test]
fn a_rollback_that_fails_its_gate_stays_where_it_went() {
    let sandbox = running();
    sandbox.wait("it is proven", || {
        sandbox.state("chat").is_some_and(|state| state.proven)
    });
    sandbox.run(&["upgrade", "chat"]).assert_code(0);
    let build = sandbox.build_folder(1001);
    std::fs::write(build.join("standin-faults"), "--standin-exit 1\n").expect("written");
    let rollback = sandbox.run(&["rollback", "chat"]);
    rollback
        .assert_code(1)
        .assert_says("`llama-orch upgrade chat --binary-version b1002` goes on");
    assert!(sandbox.read("orchestrator.yaml").contains("b1001"));
    sandbox
        .run(&["upgrade", "chat", "--binary-version", "b1002"])
        .assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
}

#[test]
fn disable_and_enable_and_remove() {
    let sandbox = running();
    assert_snapshot!(sandbox.run(&["disable", "embed", "--reason", "the card is needed"]), @r#"
    exit code 0
    --- stdout
        --- instances/embed/config.json
        +++ instances/embed/config.json
        @@ -2,4 +2,5 @@
           "name": "embed",
           "binary": { "version": "b1001" },
        -  "server": { "port": [PORT] }
        +  "server": { "port": [PORT] },
        +  "enabled": false
         }

      - stop     embed                   disabled in orchestrator.yaml

    Plan: 1 to stop.
    --- stderr
         ... stop     embed
          ok stop     embed                   [TIME]

    Applied in [TIME]: 1 done.
    "#);
    assert_snapshot!(sandbox.run(&["disable", "embed"]), @"
    exit code 0
    --- stderr
    `embed` is disabled already
    ");
    assert_snapshot!(sandbox.run(&["enable", "embed"]), @r#"
    exit code 0
    --- stdout
        --- instances/embed/config.json
        +++ instances/embed/config.json
        @@ -3,4 +3,4 @@
           "binary": { "version": "b1001" },
           "server": { "port": [PORT] },
        -  "enabled": false
        +  "enabled": true
         }

      + start    embed                   not running

    Plan: 1 to start.
    --- stderr
         ... start    embed
          ok start    embed                   [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    "#);
    sandbox.wait_running("embed");
    let refused = unchanged(&sandbox, |sandbox| sandbox.run(&["remove", "embed"]));
    assert_snapshot!(refused, @"
    exit code 64
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -13,3 +13,2 @@
             tags: [gpu0]
         
        -  embed: {}   # see its config.json

      - remove   embed                   no longer in orchestrator.yaml

    Plan: 1 to remove.
    --- stderr
    `instances/embed/config.json` stays where it is
    error: nobody can be asked whether an instance is to be removed
    hint: say `--yes`, or see `--dry-run`
    ");
    assert_snapshot!(sandbox.run(&["remove", "embed", "--yes"]), @"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -13,3 +13,2 @@
             tags: [gpu0]
         
        -  embed: {}   # see its config.json

      - remove   embed                   no longer in orchestrator.yaml

    Plan: 1 to remove.
    --- stderr
    `instances/embed/config.json` stays where it is
         ... remove   embed
          ok remove   embed                   [TIME]

    Applied in [TIME]: 1 done.
    ");
    sandbox.run(&["status"]).assert_code(0);
    assert!(sandbox.path("instances/embed/config.json").exists());
    // The last one goes when it is named.
    sandbox.run(&["remove", "chat", "--yes"]).assert_code(0);
    assert!(sandbox.servers().is_empty());
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn what_is_protected_is_not_removed() {
    let sandbox = commented();
    let manifest = sandbox.read("orchestrator.yaml") + "protect: [chat]\n";
    sandbox.write("orchestrator.yaml", &manifest);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let refused = unchanged(&sandbox, |sandbox| {
        sandbox.run(&["remove", "chat", "--yes"])
    });
    refused
        .assert_code(1)
        .assert_says("`llama-orch unprotect NAME`");
}

#[test]
fn a_build_that_cannot_be_had_is_not_written_for_what_does_not_run_either() {
    let sandbox = running();
    sandbox.run(&["disable", "embed"]).assert_code(0);
    sandbox.run(&["down", "chat"]).assert_code(0);
    let read =
        || ["orchestrator.yaml", "instances/embed/config.json"].map(|file| sandbox.read(file));
    let before = read();
    for name in ["chat", "embed"] {
        let upgrade = sandbox.run(&["upgrade", name, "--binary-version", "b7"]);
        upgrade.assert_code(1).assert_says("nothing was changed");
        upgrade.assert_says("has no archive of b7");
        assert_eq!(read(), before);
    }
}

#[test]
fn settings_that_were_left_behind_are_neither_replaced_nor_taken_over() {
    let sandbox = running();
    sandbox.run(&["remove", "embed", "--yes"]).assert_code(0);
    let init = [
        "init",
        "embed",
        "--model",
        "models/tiny.gguf",
        "--binary-version",
        "b1001",
        "--config-file",
    ];
    assert_snapshot!(sandbox.run(&init), @"
    exit code 64
    --- stderr
    error: there is a `instances/embed/config.json` already
    hint: move it away; or take it over by writing the name under `instances`, such as `chat: {}`
    ");
    sandbox.run(&init[..6]).assert_code(64);
}

#[test]
fn what_runs_a_build_from_elsewhere_is_left_out_of_an_upgrade_of_all() {
    let sandbox = running();
    let build = sandbox.build_folder(1001);
    let register = ["binary", "register", build.as_str(), "--version", "own-7"];
    sandbox.run(&register).assert_code(0);
    sandbox.edit("version: b1001 }   # works", "version: own-7 }   # works");
    sandbox.run(&["apply"]).assert_code(0);
    let upgrade = sandbox.run(&["upgrade", "--all"]);
    upgrade
        .assert_code(0)
        .assert_says("`chat` is pinned to `own-7`");
    assert_eq!(
        (sandbox.runs("chat"), sandbox.runs("embed")),
        ("own-7".into(), "b1002".into())
    );
    sandbox.run(&["upgrade", "chat"]).assert_code(1);
}

#[test]
fn secrets_are_masked_in_what_is_shown() {
    let sandbox = running();
    sandbox.edit("tags: [gpu0]", "env: { HF_TOKEN: hush }");
    let edit = sandbox.run(&["disable", "chat", "--dry-run"]);
    edit.assert_code(0).assert_says("HF_TOKEN: ***");
    assert!(!edit.stdout.contains("hush"), "{edit}");
}

#[test]
fn two_that_share_a_port_change_places_in_one_pass() {
    let mut sandbox = commented();
    let port = format!("port: {}", sandbox.port("chat"));
    let manifest = sandbox.read("orchestrator.yaml");
    let large = format!(
        "  large:\n    enabled: false\n    binary: {{ version: b1002 }}\n    server: {{ {port} }}\n"
    );
    sandbox.write("orchestrator.yaml", &(manifest + &large));
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox
        .run(&["enable", "large"])
        .assert_code(65)
        .assert_says("is also that of `chat`");
    assert_snapshot!(sandbox.run(&["switch", "chat", "large"]), @"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -12,8 +12,9 @@
             server: { port: [PORT] }
             tags: [gpu0]
        +    enabled: false
         
           embed: {}   # see its config.json
           large:
        -    enabled: false
        +    enabled: true
             binary: { version: b1002 }
             server: { port: [PORT] }

      + install  b1002 [CPU]           [SIZE] download, not installed
      - stop     chat                    disabled in orchestrator.yaml
      + start    large                   not running

    Plan: 1 to install, 1 to stop, 1 to start.
    --- stderr
         ... install  b1002 [CPU]
         ... stop     chat
          ok stop     chat                    [TIME]
          ok install  b1002 [CPU]           [TIME]
         ... start    large
          ok start    large                   [TIME]

    Applied in [TIME]: 3 done.
    See `llama-orch status`.
    ");
    sandbox.wait_running("large");
    sandbox.run(&["switch", "chat", "chat"]).assert_code(64);
    sandbox.run(&["switch", "large", "chat"]).assert_code(0);
    sandbox.wait_running("chat");
}

#[test]
fn init_begins_a_manifest_and_adds_to_it() {
    let sandbox = Sandbox::new();
    sandbox.publish(1001, "");
    sandbox.publish(1002, "");
    let first = [
        "init",
        "chat",
        "--model",
        "models/tiny.gguf",
        "--binary-version",
        "b1001",
        "--port",
        "18471",
        "--source-directory",
        "releases",
        "--disabled",
    ];
    assert_snapshot!(sandbox.run(&first), @r#"
    exit code 0
    --- stdout
        --- nothing
        +++ orchestrator.yaml
        @@ -0,0 +1,10 @@
        +# What runs on this machine. `llama-orch plan` shows what would change, and why; `llama-orch apply`
        +# makes it so. Keep this file and orchestrator.lock in git.
        +version: 1
        +source: { directory: "releases" }
        +instances:
        +  chat:
        +    binary: { version: b1001 }
        +    model: { path: models/tiny.gguf }
        +    server: { port: [PORT] }
        +    enabled: false

        orchestrator.lock: gets the archives of b1001

    Nothing to do: what runs is what would be written.
    --- stderr
    there is no orchestrator.yaml yet; it is for [ROOT]
    "#);
    assert_snapshot!(sandbox.run(&first[..6]), @"
    exit code 64
    --- stderr
    error: there is an instance `chat` already
    hint: `llama-orch config show chat` shows it
    ");
}

#[test]
fn init_can_write_a_config_file_and_says_what_it_lacks() {
    let sandbox = commented();
    let second = [
        "init",
        "test",
        "--model",
        "models/tiny.gguf",
        "--port",
        "18472",
        "--config-file",
        "--disabled",
        "--binary-version",
        "b1002",
        "--tag",
        "small",
        "--",
        "--metrics",
    ];
    assert_snapshot!(sandbox.run(&second), @r#"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -14,2 +14,3 @@
         
           embed: {}   # see its config.json
        +  test: {}

        --- nothing
        +++ instances/test/config.json
        @@ -0,0 +1,18 @@
        +{
        +  "binary": {
        +    "version": "b1002"
        +  },
        +  "model": {
        +    "path": "models/tiny.gguf"
        +  },
        +  "server": {
        +    "port": [PORT]
        +  },
        +  "args": [
        +    "--metrics"
        +  ],
        +  "tags": [
        +    "small"
        +  ],
        +  "enabled": false
        +}

        orchestrator.lock: gets the archives of b1001, b1002

    Nothing to do: what runs is what would be written.
    "#);
    sandbox.run(&["config", "validate"]).assert_code(0);
    assert_snapshot!(sandbox.run(&["init", "third", "--binary-version", "b1001"]), @"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -15,2 +15,5 @@
           embed: {}   # see its config.json
           test: {}
        +  third:
        +    binary: { version: b1001 }
        +    server: { port: [PORT] }

      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    third                   not running

    Plan: 1 to install, 1 to start.
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           [TIME]
         ... start    third
          ok start    third                   [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert_snapshot!(sandbox.run(&["init", "third", "--model", "x", "--backend", "gpu"]), @"
    exit code 64
    --- stderr
    error: there is an instance `third` already
    hint: `llama-orch config show third` shows it
    ");
}

#[test]
fn init_without_a_version_asks_for_the_newest_one() {
    let sandbox = Sandbox::new();
    let init = ["--offline", "init", "chat", "--model", "models/tiny.gguf"];
    assert_snapshot!(sandbox.run(&init), @"
    exit code 69
    --- stderr
    there is no orchestrator.yaml yet; it is for [ROOT]
    error: cannot tell which build is the newest stable one
      caused by: the network may not be used, and no earlier answer is kept about the stable release
    hint: name a build with `--binary-version`, or run it once without `--offline`, which asks https://api.github.com/repos/ggml-org/llama.cpp/releases/latest; with an `orchestrator.lock` that covers `orchestrator.yaml` nothing is asked
    ");
    assert!(!sandbox.path("orchestrator.yaml").exists());
    assert!(
        !sandbox.path(".llama-orch").exists(),
        "nothing is left behind"
    );
}

#[test]
fn set_binary_takes_a_version_or_an_id() {
    let sandbox = running();
    sandbox.run(&["binary", "install", "b1002"]).assert_code(0);
    let folder = sandbox.build_folder(1002);
    let id = folder.file_name().expect("its id");
    assert_snapshot!(sandbox.run(&["config", "set-binary", "chat", &id[..8]]), @r#"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -9,5 +9,5 @@
           # what people talk to
           chat:
        -    binary: { version: b1001 }   # works
        +    binary: { version: b1002, binary_id: [UUID], variant: [CPU] }   # works
             server: { port: [PORT] }
             tags: [gpu0]

        orchestrator.lock: gets the archives of b1002

    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to restart.
    --- stderr
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    "#);
    assert_eq!(sandbox.runs("chat"), "b1002");
    assert_snapshot!(sandbox.run(&["config", "set-binary", "chat", "b1001", "--no-apply"]), @r#"
    exit code 0
    --- stdout
        --- orchestrator.yaml
        +++ orchestrator.yaml
        @@ -9,5 +9,5 @@
           # what people talk to
           chat:
        -    binary: { version: b1002, binary_id: [UUID], variant: [CPU] }   # works
        +    binary: { version: b1001, variant: [CPU] }   # works
             server: { port: [PORT] }
             tags: [gpu0]

        orchestrator.lock: loses the archives of b1002

    -/+ restart  chat                    binary b1002 -> b1001; about [TIME] down (last load [TIME])

    Plan: 1 to restart.
    --- stderr
    See `llama-orch plan`.
    "#);
    sandbox
        .run(&["config", "set-binary", "chat", "deadbeef"])
        .assert_code(64)
        .assert_says("`llama-orch binary list` shows what is installed");
}

#[test]
fn a_manifest_that_is_a_link_stays_one() {
    let sandbox = running();
    let link = sandbox.path("orchestrator.yaml");
    let elsewhere = sandbox.path("elsewhere.yaml");
    std::fs::rename(&link, &elsewhere).expect("moved");
    std::os::unix::fs::symlink("elsewhere.yaml", &link).expect("linked");
    sandbox
        .run(&["upgrade", "chat", "--no-apply"])
        .assert_code(0);
    assert!(link.is_symlink());
    let text = std::fs::read_to_string(&elsewhere).expect("readable");
    assert!(text.contains("b1002"), "{text}");
}

#[test]
fn nobody_follows_a_canary_that_is_rolled_back() {
    let sandbox = commented();
    let manifest = sandbox.read("orchestrator.yaml");
    let manifest = manifest.replace(
        "rollout: { start_parallel: 1 }",
        "rollout: { start_parallel: 1, canary: embed }",
    );
    sandbox.write("orchestrator.yaml", &manifest);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.wait("it is proven", || {
        sandbox.state("embed").is_some_and(|state| state.proven)
    });
    let pid = sandbox.pid("chat");
    sandbox.publish(1003, "--standin-exit 1");
    let upgrade = ["upgrade", "--all", "--binary-version", "b1003"];
    sandbox.run(&upgrade).assert_code(1);
    sandbox.wait_running("embed");
    sandbox
        .run(&["rollback", "embed", "--dry-run"])
        .assert_code(0)
        .assert_says("`embed` is the canary");
    sandbox.run(&["rollback", "embed"]).assert_code(0);
    sandbox.run(&["apply"]).assert_code(1);
    assert_eq!(
        (sandbox.runs("chat"), sandbox.pid("chat")),
        ("b1001".into(), pid)
    );
}
