//! `binary register`: builds that were made elsewhere.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::archives;
use crate::support::sandbox::Sandbox;

/// A build of the stand-in in a folder of its own, as somebody compiled it.
fn compiled(sandbox: &Sandbox, build: u32) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = archives::pack(folder.path(), build, "");
    let file = std::fs::File::open(archive).expect("readable");
    let home = sandbox.path("compiled");
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(&home)
        .expect("unpacked");
    home.join(format!("llama-b{build}")).into_string()
}

#[test]
fn an_own_build_is_copied_and_pinned_by_its_name() {
    let mut sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    let folder = compiled(&sandbox, 1001);
    let output = sandbox.run(&["binary", "register", &folder, "--version", "mine"]);
    assert_snapshot!(output, @r"
    exit code 0
    --- stdout
    [UUID]
    --- stderr
         ... register mine
          ok register mine unknown            registered
    pin an instance to it with `binary: { version: mine }`
    ");
    let again = sandbox.run(&["binary", "register", &folder, "--version", "mine"]);
    assert_eq!(again.stdout, output.stdout);
    std::fs::remove_dir_all(&folder).expect("removed");
    sandbox.edit("b1001", "mine");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "mine");
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("200"));
    assert_snapshot!(sandbox.run(&["binary", "info", "mine"]), @r"
    exit code 0
    --- stdout
    mine unknown
      id              [UUID]
      build           mine
      variant         unknown
      folder          bins/[UUID]
      program         bins/[UUID]/llama-server
      size            [SIZE] in 3 files
      installed       [DATE], [TIME] ago
      from            registered from [ROOT]/compiled/llama-b1001
      sha256          registered
      verified        no: it came from no archive that is on record
      used by         chat: runs it, is pinned to it
    ");
    sandbox.run(&["binary", "verify", "mine"]).assert_code(0);
}

#[test]
fn a_build_that_is_linked_stays_where_it_is_when_it_is_removed() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    let folder = compiled(&sandbox, 1001);
    sandbox
        .run(&["binary", "register", &folder, "--version", "mine", "--link"])
        .assert_code(0);
    sandbox.edit("b1001", "mine");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "mine");
    sandbox.run(&["down", "chat"]).assert_code(0);
    sandbox
        .run(&["binary", "remove", "mine", "--yes", "--force"])
        .assert_code(0);
    let program = std::path::Path::new(&folder).join("llama-server");
    assert!(program.is_file(), "it is not ours to remove");
}

#[test]
fn what_is_no_build_is_refused_with_what_to_do() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let archive = format!("releases/{}", archives::name(1001));
    assert_snapshot!(sandbox.run(&["binary", "register", &archive, "--version", "mine"]), @r"
    exit code 1
    --- stderr
         ... register mine
    error: cannot register `releases/llama-b1001-bin-[VARIANT].tar.gz`
      caused by: `releases/llama-b1001-bin-[VARIANT].tar.gz` is an archive, not the folder of a build
    hint: `llama-orch binary install VERSION --from-file releases/llama-b1001-bin-[VARIANT].tar.gz` installs it
    ");
    assert_snapshot!(sandbox.run(&["binary", "register", "models", "--version", "mine"]), @r"
    exit code 1
    --- stderr
         ... register mine
    error: cannot register `models`
      caused by: `[ROOT]/models` contains no `llama-server`
    hint: name the folder that `llama-server` was built in, with the libraries beside it
    ");
    assert_snapshot!(sandbox.run(&["binary", "register", "nowhere", "--version", "mine"]), @r"
    exit code 1
    --- stderr
         ... register mine
    error: cannot register `nowhere`
      caused by: cannot read `nowhere`
      caused by: No such file or directory (os error 2)
    ");
    sandbox
        .run(&["binary", "register", "models", "--version", "../mine"])
        .assert_code(64);
    sandbox
        .run(&["binary", "register", "models"])
        .assert_code(64);
}

#[test]
fn the_json_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/binary-install.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let sandbox = Sandbox::with(&[], &[]);
    let folder = compiled(&sandbox, 1001);
    let output = sandbox.run(&["binary", "register", &folder, "--version", "mine", "--json"]);
    output.assert_code(0);
    let built: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let errors: Vec<String> = validator
        .iter_errors(&built)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{built:#}");
    assert_eq!(built["outcome"], "installed");
    assert_eq!(built["trust"], "unrecorded");
}
