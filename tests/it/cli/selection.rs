//! Which instances a verb is about: names, patterns, tags, or all of them.

use insta::assert_snapshot;

use crate::support::sandbox::Sandbox;

/// `chat-small` and `embed` with the tag `small`, `chat-large` with `large`, and nothing runs.
fn three() -> Sandbox {
    let names = [("chat-large", 1001), ("chat-small", 1001), ("embed", 1001)];
    let mut sandbox = Sandbox::with(&[1001], &names);
    for (name, tag) in [
        ("chat-large", "large"),
        ("chat-small", "small"),
        ("embed", "small"),
    ] {
        let line = format!("server: {{ port: {} }}\n", sandbox.port(name));
        sandbox.edit(&line, &format!("{line}    tags: [{tag}]\n"));
    }
    sandbox
}

#[test]
fn patterns_and_tags_choose_among_the_instances() {
    let sandbox = three();
    assert_snapshot!(sandbox.run(&["up", "chat-*", "--quiet"]), @r"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    chat-large              not running
      + start    chat-small              not running

    Plan: 1 to install, 2 to start.
    ");
    assert_eq!(sandbox.servers().len(), 2);
    assert_snapshot!(sandbox.run(&["down", "--tag", "small", "--quiet"]), @r"
    exit code 0
    --- stdout
      - stop     chat-small              put down

    Plan: 1 to stop.
    ");
    let left = sandbox.servers();
    assert_eq!(left, [sandbox.pid("chat-large")]);
    // Any of several.
    let both = ["status", "--tag", "large", "--tag", "small"];
    let output = sandbox.run(&both);
    output.assert_code(0).assert_says("chat-large  running");
    output.assert_says("chat-small  down");
    assert_snapshot!(sandbox.run(&["plan", "[de]mbe?"]), @r"
    exit code 0
    --- stdout
      ! hold     embed                   put down; `llama-orch up embed` starts it

    Plan: nothing to do; 1 held.
    ");
    let output = sandbox.run(&["health", "chat-?????"]);
    output.assert_code(1).assert_says("chat-large  healthy");
    assert!(!output.says("embed"), "{output}");
    // One that never ran has no log, which is no reason to keep back those of others.
    let output = sandbox.run(&["logs", "--all", "-n", "1"]);
    output.assert_code(0).assert_says("chat-large | ");
    assert!(!output.says("embed"), "{output}");
}

#[test]
fn what_is_not_found_is_met_with_what_there_is() {
    let sandbox = three();
    assert_snapshot!(sandbox.run(&["up", "vision-*"]), @r"
    exit code 64
    --- stderr
    error: no instance has a name like `vision-*`
    hint: there are chat-large, chat-small, embed
    ");
    assert_snapshot!(sandbox.run(&["plan", "--tag", "tiny"]), @r"
    exit code 64
    --- stderr
    error: no instance has the tag `tiny`
    hint: there are large, small
    ");
    assert_snapshot!(sandbox.run(&["up", "chat-[a"]), @r"
    exit code 64
    --- stderr
    error: invalid value 'chat-[a' for '[NAME]...': invalid range pattern

    For more information, try '--help'.
    ");
    assert_snapshot!(sandbox.run(&["logs", "embed"]), @r"
    exit code 1
    --- stderr
    error: `embed` has not been started yet
    hint: `llama-orch plan embed` shows what that takes
    ");
    assert_snapshot!(sandbox.run(&["logs", "--all"]), @r"
    exit code 1
    --- stderr
    error: `chat-large` has not been started yet
    hint: `llama-orch plan chat-large` shows what that takes
    ");
    assert!(!sandbox.path(".llama-orch").exists());
}

#[test]
fn there_is_exactly_one_way_to_say_which() {
    let sandbox = three();
    for verb in ["up", "down", "retry", "logs"] {
        sandbox.run(&[verb]).assert_code(64);
        sandbox.run(&[verb, "embed", "--all"]).assert_code(64);
        let both = [verb, "embed", "--tag", "small"];
        sandbox.run(&both).assert_code(64);
    }
    assert_snapshot!(sandbox.run(&["down"]), @r"
    exit code 64
    --- stderr
    error: the following required arguments were not provided:
      <NAME|--tag <TAG>|--all>

    Usage: llama-orch down <NAME|--tag <TAG>|--all>

    For more information, try '--help'.
    ");
    assert_snapshot!(sandbox.run(&["status", "embed", "--tag", "small"]), @r"
    exit code 64
    --- stderr
    error: the argument '[NAME]...' cannot be used with '--tag <TAG>'

    Usage: llama-orch status <NAME>...

    For more information, try '--help'.
    ");
}

/// What runs can be ended by name whatever the manifest says; tags stand nowhere else.
#[test]
fn tags_need_a_manifest_that_can_be_read() {
    let sandbox = three();
    sandbox.run(&["up", "embed", "--quiet"]).assert_code(0);
    sandbox.edit("version: 1", "version: one");
    assert_snapshot!(sandbox.run(&["down", "--tag", "small"]), @r"
    exit code 65
    --- stderr
    warning: `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:1:10: `version` wants a number from 1 to 4294967295, not `one`
          1 | version: one
            |          ^^^
    error: cannot tell which instances have the tag `small`
    hint: tags stand in orchestrator.yaml alone; `llama-orch config validate` says why it cannot be read
    ");
    assert_eq!(sandbox.servers().len(), 1);
    sandbox.run(&["down", "emb*", "--quiet"]).assert_code(0);
    assert!(sandbox.servers().is_empty());
}
