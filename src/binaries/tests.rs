//! Which build a text names.

use camino::Utf8Path;
use insta::assert_snapshot;
use serde_json::json;

use super::*;

fn registry() -> Registry {
    let text = json!({
        "schema_version": "1.0.0",
        "binaries": [
            { "id": "3aecf5b8-63bb-4862-9b7a-8dd27714cb73", "path": "a", "version": "b9553",
              "variant": "ubuntu-vulkan-x64", "aliases": ["71ce19ec-0000-4000-8000-000000000001"] },
            { "id": "3aec0000-63bb-4862-9b7a-8dd27714cb74", "path": "b", "version": "b9553",
              "variant": "ubuntu-x64" },
            { "id": "b9414000-63bb-4862-9b7a-8dd27714cb75", "path": "c", "version": "mine",
              "variant": "ubuntu-x64" },
            { "id": "d0000000-63bb-4862-9b7a-8dd27714cb76", "path": "d", "version": "b9414",
              "variant": "ubuntu-x64" },
        ],
    });
    Registry::parse(&text.to_string(), Utf8Path::new("bins/registry.json")).expect("a registry")
}

fn folder_of(text: &str) -> String {
    choose(&registry(), text).expect("one build").path.clone()
}

fn refusal_of(text: &str) -> String {
    let error = choose(&registry(), text).expect_err("no one build");
    format!("{error}\nhint: {}", error.hint().expect("a hint"))
}

#[test]
fn a_build_is_named_by_the_beginning_of_an_id_or_by_its_name() {
    assert_eq!(folder_of("3aecf"), "a");
    assert_eq!(folder_of("3AECF5B8-63"), "a");
    assert_eq!(folder_of("3aecf5b863bb"), "a");
    assert_eq!(folder_of("71ce"), "a", "by an alias");
    assert_eq!(folder_of("mine"), "c");
    assert_eq!(folder_of("b9414000"), "c");
    assert_eq!(folder_of("d0000000-63bb-4862-9b7a-8dd27714cb76"), "d");
}

#[test]
fn what_names_none_or_several_is_told_with_what_could_be_meant() {
    assert_snapshot!(refusal_of("3ae"), @r"
    `3ae` is too short: at least 4 characters of an id are needed
    hint: `llama-orch binary list` shows what is installed
    ");
    assert_snapshot!(refusal_of("3aec"), @r"
    `3aec` could be any of 2
      3aecf5b8 b9553 vulkan-x64
      3aec0000 b9553 cpu-x64
    hint: write more of the id
    ");
    assert_snapshot!(refusal_of("b9553"), @r"
    `b9553` could be any of 2
      3aecf5b8 b9553 vulkan-x64
      3aec0000 b9553 cpu-x64
    hint: write more of the id
    ");
    // The name of one build is the beginning of another one's id.
    assert_snapshot!(refusal_of("b9414"), @r"
    `b9414` could be any of 2
      b9414000 mine cpu-x64
      d0000000 b9414 cpu-x64
    hint: write more of the id
    ");
    assert_snapshot!(refusal_of("b9415"), @r"
    no installed build has the id or name `b9415`
    hint: did you mean `d0000000 b9414 cpu-x64`?
    ");
    assert_snapshot!(refusal_of("vulkan"), @r"
    no installed build has the id or name `vulkan`
    hint: `llama-orch binary list` shows what is installed
    ");
    assert_snapshot!(refusal_of(""), @r"
    no installed build has the id or name ``
    hint: `llama-orch binary list` shows what is installed
    ");
}

#[test]
fn ids_are_shown_by_as_much_as_tells_them_apart() {
    let mut registry = registry();
    assert_eq!(shortest(&registry), 8);
    let twin = "3aecf5b8-63bb-4999-9b7a-8dd27714cb73";
    let twin = serde_json::from_value(json!({ "id": twin, "path": "e" })).expect("an entry");
    registry.insert(twin);
    assert_eq!(shortest(&registry), 16);
    let id = registry.entries()[0].id;
    assert_eq!(shorten(id, 16), "3aecf5b8-63bb-48");
}
