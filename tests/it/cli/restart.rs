//! `restart`: another process of the same launch, because a person asks for it.

use insta::assert_snapshot;

use crate::support::sandbox::Sandbox;

#[test]
fn what_runs_as_wanted_is_replaced_by_another_process() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let (chat, embed) = (sandbox.pid("chat"), sandbox.pid("embed"));
    let restart = ["restart", "chat", "--reason", "a new driver"];
    assert_snapshot!(sandbox.run(&restart), @r"
    exit code 0
    --- stdout
    -/+ restart  chat                    asked for: a new driver; about [TIME] down (last load [TIME])

    Plan: 1 to restart.
    --- stderr
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 1 done.
    See `llama-orch status`.
    ");
    assert_ne!(sandbox.pid("chat"), chat);
    assert_eq!(sandbox.pid("embed"), embed);
    assert_eq!(sandbox.servers().len(), 2);
    // That it was to be a new one counts once: what watches it from here on adopts it.
    let chat = sandbox.pid("chat");
    crate::support::sandbox::kill(sandbox.supervisor("chat"));
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(sandbox.pid("chat"), chat);
    assert_snapshot!(sandbox.run(&["history", "-n", "2"]), @"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  restart  [TIME]: a new driver
      done  restart  chat  [TIME]; asked for: a new driver; about [TIME] down (last load [TIME])
    [DATE], [TIME] ago  apply  [TIME]
      done  update  chat  [TIME]; its supervisor is gone; a new one takes over (no restart)
    ");
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
    Nothing to do: everything is as orchestrator.yaml says.
    ");
}

#[test]
fn one_that_is_down_is_started_unless_somebody_wants_it_down() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001), ("ocr", 1001)]);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("ocr"));
    sandbox.edit(&line, &format!("{line}    enabled: false\n"));
    sandbox.run(&["down", "embed"]).assert_code(0);
    assert_snapshot!(sandbox.run(&["restart", "--all"]), @r"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    chat                    not running
      ! hold     embed                   put down; `llama-orch up embed` starts it

    Plan: 1 to install, 1 to start; 1 held.
    --- stderr
    `ocr` is disabled in orchestrator.yaml (`enabled: false`)
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           [TIME]
         ... start    chat
          ok start    chat                    [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.servers(), [sandbox.pid("chat")]);
}

/// The launch was never proven, so that its gate is a trial as it was at first.
#[test]
fn a_restart_that_fails_is_told() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let launch = sandbox.build_folder(1001).join("standin-faults");
    sandbox.write(launch.as_str(), "--standin-exit 1\n");
    sandbox.run(&["restart", "chat", "--quiet"]).assert_code(1);
    assert!(sandbox.servers().is_empty());
}
