//! `update`: floating pins move when they are told to, and the lock says from where to where.

use insta::assert_snapshot;
use serde_json::Value;

use super::edits::{commented, unchanged};
use crate::support::archives;
use crate::support::release_server::ReleaseServer;
use crate::support::sandbox::Sandbox;

#[test]
fn update_moves_what_floats_and_nothing_else() {
    let sandbox = commented();
    sandbox.write("releases/nightly-tag.txt", "b1001\n");
    sandbox.edit("version: b1001 }   # works", "version: stable }   # works");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_snapshot!(sandbox.run(&["update", "--check"]), @"
    exit code 0
    --- stdout
    chat (stable): b1001 is the newest
    ");
    sandbox.write("releases/nightly-tag.txt", "b1002\n");
    // Neither a plan nor an apply moves it.
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    sandbox.run(&["apply"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1001");
    let check = unchanged(&sandbox, |sandbox| sandbox.run(&["update", "--check"]));
    assert_snapshot!(check, @"
    exit code 2
    --- stdout
    chat (stable): b1001 -> b1002
    ");
    assert_snapshot!(sandbox.run(&["update", "embed"]), @"
    exit code 0
    --- stdout
    No pin floats.
    --- stderr
    the pin of `embed` does not float; `llama-orch upgrade embed` changes it
    ");
    assert_snapshot!(sandbox.run(&["update"]), @"
    exit code 0
    --- stdout
    chat (stable): b1001 -> b1002
    --- stderr
    orchestrator.lock is written; see `llama-orch plan`.
    ");
    assert_eq!(sandbox.runs("chat"), "b1001", "it changes no server");
    sandbox.run(&["apply", "--locked"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
    // An upgrade of a pin that floats moves it likewise, and applies.
    sandbox.publish(1003, "");
    sandbox.write("releases/nightly-tag.txt", "b1003\n");
    assert_snapshot!(sandbox.run(&["upgrade", "chat"]), @"
    exit code 0
    --- stdout
        orchestrator.lock: chat stable b1002 -> b1003; gets the archives of b1003; loses the archives of b1002

      + install  b1003 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1002 -> b1003; about [TIME] down (last load [TIME])

    Plan: 1 to install, 1 to restart.
    --- stderr
         ... install  b1003 [CPU]
          ok install  b1003 [CPU]           [TIME]
         ... restart  chat
          ok restart  chat                    [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    assert_eq!(sandbox.runs("chat"), "b1003");
    assert!(
        sandbox
            .read("orchestrator.yaml")
            .contains("version: stable }   # works")
    );
}

/// A root with a floating pin, applied, and a release server on which it leads elsewhere by now.
fn behind() -> (ReleaseServer, Sandbox) {
    let server = ReleaseServer::start();
    for build in [1001, 1002] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let archive = archives::pack(folder.path(), build, "");
        server.publish(build, &archive, None);
    }
    server.call_stable("v0.9.0", 1001);
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.edit("{ directory: releases }", &server.source());
    sandbox.edit("b1001", "stable");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    server.call_stable("v0.10.0", 1002);
    // What was asked a moment ago would be taken for true.
    std::fs::remove_dir_all(sandbox.path(".llama-orch/cache")).expect("removed");
    (server, sandbox)
}

#[test]
fn both_builds_are_dated_and_a_page_shows_what_lies_between() {
    let (_server, sandbox) = behind();
    let check = sandbox.run(&["update", "--check", "--json"]);
    check.assert_code(2);
    let document: Value = serde_json::from_str(&check.stdout).expect("JSON");
    let schema = sandbox.run(&["config", "schema", "update"]).stdout;
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    jsonschema::validate(&schema, &document).expect("it fits");
    assert_eq!(document["pins"][0]["to_published"], "2026-03-01T12:00:00Z");
    assert_snapshot!(sandbox.run(&["update"]), @"
    exit code 0
    --- stdout
    chat (stable): b1001 (2026-03-01) -> b1002 (2026-03-01)
      http://127.0.0.1:[PORT]/ggml-org/llama.cpp/compare/b1001...b1002
    --- stderr
    orchestrator.lock is written; see `llama-orch plan`.
    ");
    assert_snapshot!(sandbox.run(&["update"]), @"
    exit code 0
    --- stdout
    chat (stable): b1002 is the newest
    ");
    assert!(sandbox.read("orchestrator.lock").contains("tag: b1002"));
}

#[test]
fn a_pin_that_the_lock_cannot_cover_is_told() {
    let sandbox = commented();
    sandbox.edit("version: b1001 }   # works", "version: b1009 }   # works");
    assert_snapshot!(sandbox.run(&["update"]), @"
    exit code 1
    --- stderr
    chat (b1009): `[ROOT]/releases` has no archive of b1009; it has b1002, b1001
    hint: put the archive, such as `llama-b1009-bin-[VARIANT].tar.gz`, into `[ROOT]/releases`
    orchestrator.lock is written; see `llama-orch plan`.
    ");
    let embed = sandbox.run(&["update", "embed", "--quiet"]);
    embed.assert_code(0);
}

#[test]
fn what_cannot_be_asked_stays_as_it_is() {
    let (server, sandbox) = behind();
    drop(server);
    let update = unchanged(&sandbox, |sandbox| sandbox.run(&["update"]));
    update.assert_code(69);
    let update = unchanged(&sandbox, |sandbox| sandbox.run(&["update", "--offline"]));
    update.assert_code(69).assert_says("chat (stable)");
}
