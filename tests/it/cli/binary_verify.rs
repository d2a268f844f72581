//! `binary verify`: whether installed builds are still what was installed, and the way back.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::Sandbox;

/// A root with two builds that are installed one after the other.
fn with_two() -> Sandbox {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    sandbox.publish(1002, "");
    sandbox.write_instances(&[("chat", 1001), ("embed", 1002)]);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox
}

#[test]
fn an_untouched_build_is_whole() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["binary", "verify", "b1001"]), @r"
    exit code 0
    --- stdout
            ok  [ID]  b1001 [CPU]           3 files, [SIZE]
    ");
    // Without a name, all of them are meant.
    sandbox
        .run(&["binary", "verify"])
        .assert_code(0)
        .assert_says("3 files");
    let empty = Sandbox::with(&[], &[]);
    empty
        .run(&["binary", "verify", "--all"])
        .assert_code(0)
        .assert_says("No builds are installed.");
}

#[test]
fn each_difference_is_named_and_apply_mends_it_under_the_same_id() {
    let sandbox = with_two();
    let folder = sandbox.build_folder(1001);
    let id = folder.file_name().expect("a name").to_owned();
    std::fs::write(folder.join("standin-faults"), "changed\n").expect("written");
    std::fs::write(folder.join("libextra.so"), "added\n").expect("written");
    std::fs::remove_file(folder.join("build-number")).expect("removed");
    assert_snapshot!(sandbox.run(&["binary", "verify", "--all"]), @r"
    exit code 1
    --- stdout
       damaged  [ID]  b1001 [CPU]
                 `standin-faults` changed
                 `build-number` is missing
                 `libextra.so` was added
            ok  [ID]  b1002 [CPU]           3 files, [SIZE]
    --- stderr
    hint: `llama-orch apply` installs what is damaged and pinned again, under the same id; `llama-orch binary register` takes in again what was registered, and `llama-orch binary remove` takes away what nobody needs
    ");
    assert_snapshot!(sandbox.run(&["binary", "list"]), @r"
    exit code 0
    --- stdout
    ID        BUILD  VARIANT  SIZE     INSTALLED  USED BY
    [ID]  b1001  [CPU]  [SIZE]  [TIME] ago    chat
    [ID]  b1002  [CPU]  [SIZE]  [TIME] ago    embed
    [ID]: damaged: `standin-faults` changed, `build-number` is missing, 1 more
    ");
    assert_snapshot!(sandbox.run(&["plan"]), @r"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           damaged: `standin-faults` changed, `build-number` is missing, 1 more; [SIZE] download

    Plan: 1 to install.
    ");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.run(&["binary", "verify", &id]).assert_code(0);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

#[test]
fn a_file_that_is_put_back_is_no_damage_any_more() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let file = sandbox.build_folder(1001).join("standin-faults");
    let content = std::fs::read(&file).expect("readable");
    std::fs::write(&file, "changed\n").expect("written");
    sandbox.run(&["binary", "verify", "--all"]).assert_code(1);
    std::fs::write(&file, content).expect("written");
    sandbox.run(&["binary", "verify", "--all"]).assert_code(0);
    sandbox
        .run(&["plan"])
        .assert_code(0)
        .assert_says("Nothing to do");
}

#[test]
fn a_build_without_a_list_of_its_files_is_said_to_be_so() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let folder = sandbox.build_folder(1001);
    std::fs::remove_file(folder.join(".llama-orch.files.json")).expect("removed");
    let mut registry: Value =
        serde_json::from_str(&sandbox.read("bins/registry.json")).expect("JSON");
    let entry = registry["binaries"][0].as_object_mut().expect("an entry");
    entry.remove("files_sha256");
    sandbox.write("bins/registry.json", &registry.to_string());
    assert_snapshot!(sandbox.run(&["binary", "verify", "b1001"]), @r"
    exit code 0
    --- stdout
      unlisted  [ID]  b1001 [CPU]           installed without a list of its files, so nothing can be compared
    ");
}

#[test]
fn the_json_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/binary-verify.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let sandbox = with_two();
    let folder = sandbox.build_folder(1002);
    std::fs::remove_file(folder.join("build-number")).expect("removed");
    let output = sandbox.run(&["binary", "verify", "b1001", "b1002", "--json"]);
    output.assert_code(1);
    let found: Value = serde_json::from_str(&output.stdout).expect("JSON");
    let errors: Vec<String> = validator
        .iter_errors(&found)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{found:#}");
    assert_eq!(found["binaries"][0]["state"], "ok");
    assert_eq!(found["binaries"][1]["state"], "damaged");
    assert_eq!(found["binaries"][1]["differences"][0]["kind"], "missing");
    assert_eq!(
        found["binaries"][1]["differences"][0]["path"],
        "build-number"
    );
}
