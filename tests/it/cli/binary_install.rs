//! `binary install`: one build by hand, from a release, a URL or a file.

use insta::assert_snapshot;
use llama_orch::registry::Registry;
use llama_orch::release::Digest;
use serde_json::Value;

use crate::support::archives;
use crate::support::release_server::ReleaseServer;
use crate::support::sandbox::{Output, Sandbox};

fn publish(server: &ReleaseServer, build: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = archives::pack(folder.path(), build, "");
    server.publish(build, &archive, None);
}

/// A root that takes its builds from a server with one of them, which is stable.
fn visiting() -> (ReleaseServer, Sandbox) {
    let server = ReleaseServer::start();
    publish(&server, 1001);
    server.call_stable("v0.9.0", 1001);
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.edit("{ directory: releases }", &server.source());
    (server, sandbox)
}

/// A root whose source nobody answers for, with an archive in a folder of its own.
fn secluded() -> (Sandbox, String) {
    let mut sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    let nobody = sandbox.port("nobody");
    let source = format!("{{ api: \"http://127.0.0.1:{nobody}/api\" }}");
    sandbox.edit("{ directory: releases }", &source);
    std::fs::create_dir(sandbox.path("carried")).expect("created");
    let archive = archives::pack(sandbox.path("carried").as_std_path(), 1001, "");
    (sandbox, archive.to_str().expect("UTF-8").to_owned())
}

fn installed(sandbox: &Sandbox) -> usize {
    let registry = Registry::load(&sandbox.path("bins")).expect("readable");
    registry.entries().len()
}

#[test]
fn it_prints_the_id_and_nothing_else_however_often() {
    let (server, sandbox) = visiting();
    let first = sandbox.run(&["binary", "install", "stable"]);
    assert_snapshot!(first, @r"
    exit code 0
    --- stdout
    [UUID]
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           installed
    ");
    let _ = server.asked();
    let again = sandbox.run(&["binary", "install", "b1001"]);
    assert_snapshot!(again, @r"
    exit code 0
    --- stdout
    [UUID]
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           is installed already
    ");
    assert_eq!(first.stdout, again.stdout);
    assert_eq!(server.asked(), Vec::<String>::new());
    // An instance that is pinned to it needs nothing more.
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(installed(&sandbox), 1);
}

#[test]
fn two_at_once_come_to_one_build() {
    let (_server, sandbox) = visiting();
    let start = || sandbox.spawn(&["binary", "install", "b1001", "--quiet"]);
    let (one, other) = (start(), start());
    let ended = |child: std::process::Child| Output::from(child.wait_with_output().expect("ended"));
    let (one, other) = (ended(one), ended(other));
    one.assert_code(0);
    other.assert_code(0);
    assert_eq!(installed(&sandbox), 1);
    let registry = Registry::load(&sandbox.path("bins")).expect("readable");
    for output in [one, other] {
        let id = output.stdout.trim().parse().expect("a UUID");
        assert!(registry.get(id).is_some(), "{output}");
    }
}

#[test]
fn an_id_of_ones_own_is_taken_and_one_more_is_an_alias() {
    let (_server, sandbox) = visiting();
    let mine = "3aecf5b8-63bb-4862-9b7a-8dd27714cb73";
    let other = "71ce19ec-0000-4000-8000-000000000001";
    for id in [mine, other] {
        let output = sandbox.run(&["binary", "install", "b1001", "--binary-id", id]);
        output.assert_code(0);
        assert_eq!(output.stdout.trim(), id);
    }
    assert_eq!(installed(&sandbox), 1);
    assert_snapshot!(sandbox.run(&["binary", "info", &other[..4]]), @r"
    exit code 0
    --- stdout
    b1001 [CPU]
      id              [UUID]
      alias           [UUID]
      build           b1001
      variant         [VARIANT]
      folder          bins/[UUID]
      program         bins/[UUID]/llama-server
      size            [SIZE] in 3 files
      installed       [DATE], [TIME] ago
      from            http://127.0.0.1:[PORT]/mirror/releases/download/b1001/llama-b1001-bin-[VARIANT].tar.gz
      sha256          [SHA256]
      verified        yes
      release         tag_name b1001
      used by         chat, perhaps: its pin is not resolved; see `llama-orch plan`
    ");
}

#[test]
fn a_build_from_a_url_needs_a_digest_or_a_persons_word() {
    let (server, sandbox) = visiting();
    let url = server.download(1001);
    let install = [
        "binary",
        "install",
        "mine",
        "--variant",
        "cpu-x64",
        "--url",
        &url,
    ];
    assert_snapshot!(sandbox.run(&install), @r"
    exit code 1
    --- stderr
    error: cannot install mine
      caused by: nothing says what http://127.0.0.1:[PORT]/mirror/releases/download/b1001/llama-b1001-bin-[VARIANT].tar.gz has to hash to
    hint: say what it is with `--sha256 HEX`, or take it as it comes with `--allow-unverified`
    ");
    assert_eq!(installed(&sandbox), 0);
    let wrong = Digest::of("another file").to_string();
    let output = sandbox.run(&[install.as_slice(), &["--sha256", &wrong]].concat());
    output.assert_code(1).assert_says("is not the file");
    let output = sandbox.run(&[install.as_slice(), &["--allow-unverified"]].concat());
    assert_snapshot!(output, @r"
    exit code 0
    --- stdout
    [UUID]
    --- stderr
         ... fetch    llama-b1001-bin-[VARIANT].tar.gz
    warning: nothing says what `llama-b1001-bin-[VARIANT].tar.gz` must hash to; taken as it came, with sha256 [SHA256]
         ... install  mine [CPU]
          ok install  mine [CPU]            installed
    ");
    assert_snapshot!(sandbox.run(&["binary", "list"]), @r"
    exit code 0
    --- stdout
    ID        BUILD  VARIANT  SIZE     INSTALLED  USED BY
    [ID]  mine   [CPU]  [SIZE]  [TIME] ago    -
    [ID]: unverified: nothing said what its archive must hash to
    --- stderr
    `chat` may use any of them: its pin is not resolved; see `llama-orch plan`
    ");
}

#[test]
fn an_archive_is_taken_from_a_file_where_no_source_can_be_reached() {
    let (sandbox, archive) = secluded();
    let install = ["binary", "install", "b1001", "--from-file", &archive];
    assert_snapshot!(sandbox.run(&install), @r"
    exit code 1
    --- stderr
    error: cannot install b1001
      caused by: nothing says what `llama-b1001-bin-[VARIANT].tar.gz` has to hash to
    hint: say what it is with `--sha256 HEX`, or take it as it comes with `--allow-unverified`
    ");
    assert!(!sandbox.path("bins").exists(), "nothing was begun");
    let digest = Digest::of(std::fs::read(&archive).expect("readable")).to_string();
    let output = sandbox.run(&[install.as_slice(), &["--sha256", &digest]].concat());
    assert_snapshot!(output, @r"
    exit code 0
    --- stdout
    [UUID]
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           installed
    ");
    // With the variant in the pin as well, nobody has to be asked.
    sandbox.edit("version: b1001", "version: b1001, variant: cpu");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1001");
}

/// A file that is not used would be a download nobody expects.
#[test]
fn a_file_that_is_no_archive_of_the_build_is_refused() {
    let (_server, sandbox) = visiting();
    sandbox.write("carried/other.tar.gz", "");
    let file = "carried/other.tar.gz";
    assert_snapshot!(sandbox.run(&["binary", "install", "b1001", "--from-file", file]), @r"
    exit code 64
    --- stderr
    error: `carried/other.tar.gz` is no archive of b1001 [CPU]
    hint: its archives are called llama-b1001-bin-[VARIANT].tar.gz
    ");
}

#[test]
fn taken_as_it_comes_it_is_marked_so() {
    let (sandbox, archive) = secluded();
    let arguments = [
        "binary",
        "install",
        "b1001",
        "--offline",
        "--from-file",
        &archive,
        "--allow-unverified",
    ];
    assert_snapshot!(sandbox.run(&arguments), @r"
    exit code 0
    --- stdout
    [UUID]
    --- stderr
         ... fetch    llama-b1001-bin-[VARIANT].tar.gz
    warning: nothing says what `llama-b1001-bin-[VARIANT].tar.gz` must hash to; taken as it came, with sha256 [SHA256]
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           installed
    ");
    sandbox
        .run(&["binary", "info", "b1001"])
        .assert_says("verified        no");
}

#[test]
fn without_a_source_it_says_where_to_put_the_file() {
    let (server, sandbox) = visiting();
    // What the archive must hash to was asked before; only its bytes are missing.
    sandbox.run(&["plan"]).assert_code(0);
    assert_snapshot!(sandbox.run(&["binary", "install", "b1001", "--offline"]), @r"
    exit code 1
    --- stderr
         ... install  b1001 [CPU]
    error: cannot install b1001
      caused by: cannot fetch `llama-b1001-bin-[VARIANT].tar.gz`
      caused by: the network may not be used, and `llama-b1001-bin-[VARIANT].tar.gz` has to be fetched from http://127.0.0.1:[PORT]/mirror/releases/download/b1001/llama-b1001-bin-[VARIANT].tar.gz
    hint: fetch `llama-b1001-bin-[VARIANT].tar.gz` elsewhere and hand it over with `llama-orch binary install VERSION --from-file llama-b1001-bin-[VARIANT].tar.gz`; or put the file at `[ROOT]/bins/.cache/llama-b1001-bin-[VARIANT].tar.gz`
    ");
    drop(server);
    let (secluded, _) = secluded();
    assert_snapshot!(secluded.run(&["binary", "install", "b1001"]), @r"
    exit code 69
    --- stderr
    error: cannot install b1001
      caused by: cannot reach `http://127.0.0.1:[PORT]/api/repos/ggml-org/llama.cpp/releases/tags/b1001`: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
    hint: check the network and the proxy variables; `source.directory` in `orchestrator.yaml` needs no network, and a lock that covers the manifest needs no API
    ");
}

#[test]
fn what_cannot_be_had_is_refused() {
    let (_server, sandbox) = visiting();
    assert_snapshot!(sandbox.run(&["binary", "install", "b1009"]), @r"
    exit code 1
    --- stderr
    error: cannot install b1009
      caused by: there is no release `b1009` at `http://127.0.0.1:[PORT]/api/repos/ggml-org/llama.cpp/releases/tags/b1009`
    hint: check the version: `llama-orch binary latest` shows the newest builds, `llama-orch plan` what each instance is pinned to
    ");
    assert_snapshot!(sandbox.run(&["binary", "install", "b1001", "--variant", "cuda"]), @r"
    exit code 1
    --- stderr
    error: cannot install b1001
      caused by: b1001 has no `cuda` build; it has [CPU]
    hint: pin another build, or another variant
    ");
    assert_snapshot!(sandbox.run(&["binary", "install", "mine"]), @r"
    exit code 1
    --- stderr
    error: cannot install mine
      caused by: no build is registered as `mine`
    hint: a VERSION is `stable`, `nightly`, a tag such as `b9553` or a release such as `v0.9.0`; with `--url` any name will do, and `llama-orch binary register` takes in a folder
    ");
    sandbox.run(&["binary", "install"]).assert_code(64);
    sandbox
        .run(&["binary", "install", "b1001", "--sha256", "abc"])
        .assert_code(64);
}

#[test]
fn the_json_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/binary-install.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let (_server, sandbox) = visiting();
    for outcome in ["installed", "present"] {
        let output = sandbox.run(&["binary", "install", "b1001", "--json"]);
        output.assert_code(0);
        let built: Value = serde_json::from_str(&output.stdout).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&built)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}\n{built:#}");
        assert_eq!(built["outcome"], outcome);
        assert_eq!(built["build"], "b1001");
    }
}
