//! Models are looked at before anything is started from them: whether they are there, whole, and models.

use insta::assert_snapshot;

use crate::support::sandbox::Sandbox;

/// The header of a model without tensors and keys.
const MODEL: &str = "GGUF\u{3}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn what_is_no_model_blocks_its_instance_and_says_what_it_is() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.write(
        "models/tiny.gguf",
        "version https://git-lfs.github.com/spec/v1\n",
    );
    assert_snapshot!(sandbox.run(&["plan"]), @r"
    exit code 1
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      x blocked  chat                    model `models/tiny.gguf` is a git-lfs pointer; `git lfs pull` fetches the file itself
      x blocked  embed                   model `models/tiny.gguf` is a git-lfs pointer; `git lfs pull` fetches the file itself

    Plan: 1 to install; 2 blocked.
    ");
    sandbox.write("models/tiny.gguf", MODEL);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = [sandbox.pid("chat"), sandbox.pid("embed")];
    // What runs is not judged by what lies there now.
    sandbox.write("models/tiny.gguf", "<html>");
    sandbox.run(&["plan"]).assert_code(0);
    assert_eq!([sandbox.pid("chat"), sandbox.pid("embed")], before);
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("200 OK"));
}

#[test]
fn a_split_model_has_to_be_whole_and_named_by_its_first_part() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let part = |number| format!("models/big-0000{number}-of-00003.gguf");
    for number in [1, 3] {
        sandbox.write(&part(number), MODEL);
    }
    sandbox.edit("models/tiny.gguf", &part(1));
    sandbox.run(&["plan"]).assert_code(1).assert_says(
        "model `models/big-00001-of-00003.gguf` is not whole; there is no `models/big-00002-of-00003.gguf`",
    );
    sandbox.write(&part(2), "Entry not found");
    sandbox.run(&["plan"]).assert_code(1).assert_says(
        "model `models/big-00002-of-00003.gguf` is not a GGUF file: it begins with `Entry not found`",
    );
    sandbox.write(&part(2), MODEL);
    sandbox.edit(&part(1), &part(2));
    sandbox.run(&["plan"]).assert_code(1).assert_says(
        "`models/big-00002-of-00003.gguf` is a later part of a model; name its first one, `models/big-00001-of-00003.gguf`",
    );
    sandbox.edit(&part(2), &part(1));
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = sandbox.pid("chat");
    // A part that is replaced and has been still for a while is another model.
    let path = sandbox.path(&part(3));
    std::fs::write(&path, format!("{MODEL}more")).expect("written");
    let earlier = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    let file = std::fs::File::options().write(true).open(&path);
    let file = file.expect("it is there");
    file.set_modified(earlier).expect("set");
    let output = sandbox.run(&["apply"]);
    output
        .assert_code(0)
        .assert_says("file models/big-00003-of-00003.gguf");
    assert_ne!(sandbox.pid("chat"), before);
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("200 OK"));
}

/// The version before knew the first part alone: its records have no other.
#[test]
fn a_record_that_knows_the_first_part_alone_restarts_nothing() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let part = |number| format!("models/big-0000{number}-of-00002.gguf");
    for number in [1, 2] {
        sandbox.write(&part(number), MODEL);
    }
    sandbox.edit("models/tiny.gguf", &part(1));
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = sandbox.pid("chat");
    for file in ["record.json", "state.json"] {
        let path = sandbox.folder("chat").path().join(file);
        let text = std::fs::read_to_string(&path).expect("readable");
        let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let launch = match file {
            "record.json" => "/wanted/launch/facts",
            _ => "/launch/facts",
        };
        let facts = json.pointer_mut(launch).expect("facts");
        let facts = facts.as_object_mut().expect("by path");
        facts.remove(&part(2)).expect("it was recorded");
        std::fs::write(&path, json.to_string()).expect("written");
    }
    sandbox.run(&["apply"]).assert_says("Nothing to do");
    assert_eq!(sandbox.pid("chat"), before);
}

#[test]
fn a_model_larger_than_the_memory_is_started_all_the_same_and_said_so() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let huge = 1 << 42;
    sandbox.write("models/tiny.gguf", MODEL);
    let model = std::fs::File::options()
        .write(true)
        .open(sandbox.path("models/tiny.gguf"))
        .expect("it is there");
    if model.set_len(huge).is_err() {
        println!("skipped: this file system has no room for a hole of that size");
        return;
    }
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
    plan.assert_code(2)
        .assert_says("  ? warning  chat                    its model is 4.0 TiB; ")
        .assert_says(" of memory are free");
    let json = sandbox.run(&["plan", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["warnings"][0]["reason"], "memory");
    sandbox.run(&["apply"]).assert_code(0);
    // What runs is not warned of.
    assert!(!sandbox.run(&["plan"]).says("warning"));
}
