//! `binary latest`: the newest builds, the hop that leads to them, and what is here of them.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::archives;
use crate::support::release_server::ReleaseServer;
use crate::support::sandbox::Sandbox;

fn publish(server: &ReleaseServer, build: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = archives::pack(folder.path(), build, "");
    server.publish(build, &archive, None);
}

/// A release server with a stable and a newer nightly build, and a root that takes them from there.
fn visiting() -> (ReleaseServer, Sandbox) {
    let server = ReleaseServer::start();
    publish(&server, 1001);
    publish(&server, 1002);
    server.call_stable("v0.9.0", 1001);
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.edit("{ directory: releases }", &server.source());
    (server, sandbox)
}

#[test]
fn both_are_shown_with_the_hop_and_whether_they_are_installed() {
    let (server, sandbox) = visiting();
    sandbox.run(&["binary", "install", "stable"]).assert_code(0);
    assert_snapshot!(sandbox.run(&["binary", "latest"]), @r"
    exit code 0
    --- stdout
    stable   v0.9.0 -> b1001  has [VARIANT], installed as [ID]
    nightly  b1002            has [VARIANT], not installed
    ");
    // What was asked a moment ago is not asked again.
    let _ = server.asked();
    sandbox.run(&["binary", "latest"]).assert_code(0);
    sandbox
        .run(&["binary", "latest", "--offline"])
        .assert_code(0);
    assert_eq!(server.asked(), Vec::<String>::new());

    assert_snapshot!(sandbox.run(&["binary", "latest", "--variant", "cuda"]), @r"
    exit code 0
    --- stdout
    stable   v0.9.0 -> b1001  -
    nightly  b1002            -
    --- stderr
    stable: b1001 has no `cuda` build; it has [CPU]
    nightly: b1002 has no `cuda` build; it has [CPU]
    hint: pin another build, or another variant
    ");
    let output = sandbox.run(&["binary", "latest", "--variant", "???"]);
    output.assert_code(64);
}

#[test]
fn a_source_out_of_reach_is_an_exit_code_of_its_own() {
    let mut sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    let nobody = sandbox.port("nobody");
    let source = format!("{{ api: \"http://127.0.0.1:{nobody}/api\" }}");
    sandbox.edit("{ directory: releases }", &source);
    assert_snapshot!(sandbox.run(&["binary", "latest"]), @r"
    exit code 69
    --- stdout
    stable   not known  -
    nightly  not known  -
    --- stderr
    stable: cannot reach `http://127.0.0.1:[PORT]/api/repos/ggml-org/llama.cpp/releases/latest`: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    nightly: cannot reach `http://127.0.0.1:[PORT]/api/repos/ggml-org/llama.cpp/releases`: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    hint: check the network and the proxy variables; `source.directory` in `orchestrator.yaml` needs no network, and a lock that covers the manifest needs no API
    ");
    assert_snapshot!(sandbox.run(&["binary", "latest", "--offline"]), @r"
    exit code 69
    --- stdout
    stable   not known  -
    nightly  not known  -
    --- stderr
    stable: the network may not be used, and no earlier answer is kept about the stable release
    nightly: the network may not be used, and no earlier answer is kept about the list of releases
    hint: run it once without `--offline`, which asks http://127.0.0.1:[PORT]/api/repos/ggml-org/llama.cpp/releases/latest; with an `orchestrator.lock` that covers `orchestrator.yaml` nothing is asked
    ");
}

#[test]
fn the_json_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/binary-latest.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let (_server, sandbox) = visiting();
    for variant in ["auto", "cuda"] {
        let output = sandbox.run(&["binary", "latest", "--json", "--variant", variant]);
        let latest: Value = serde_json::from_str(&output.stdout).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&latest)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}\n{latest:#}");
        assert_eq!(latest["stable"]["release"], "v0.9.0");
        assert_eq!(latest["stable"]["build"], "b1001");
        assert_eq!(latest["nightly"]["build"], "b1002");
    }
}
