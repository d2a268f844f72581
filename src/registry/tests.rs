//! The registry against a copy of an old one, and against damage.

#![expect(clippy::disallowed_methods, reason = "prepares files")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::release::Variant;

const OLD: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/registry/v1.json"
));

fn id(text: &str) -> BinaryId {
    text.parse().expect("a UUID")
}

fn parse(text: &str) -> Result<Registry, FileError> {
    Registry::parse(text, Utf8Path::new("bins/registry.json"))
}

fn old() -> Registry {
    parse(OLD).expect("an old registry loads")
}

fn entry(name: &str, path: &str) -> Entry {
    serde_json::from_value(json!({ "id": name, "path": path })).expect("an entry")
}

#[test]
fn an_old_registry_loads_with_all_its_oddities() {
    let registry = old();
    assert_eq!(registry.entries().len(), 5);
    let variant = Variant::new("win-vulkan-x64");
    assert_eq!(
        registry
            .entries()
            .iter()
            .filter(|entry| entry.version == "b9222" && entry.variant == variant)
            .count(),
        2
    );
    let odd = registry
        .get(id("5cf01664-31fb-a1f7-c8d4-631b430848e3"))
        .expect("not a v4 UUID");
    assert_eq!(
        odd.folder().expect("back-slashes"),
        "bins-of-old/5cf01664-31fb-a1f7-c8d4-631b430848e3"
    );
    let named = |name: &str| {
        let mut entries = registry.entries().iter();
        entries.find(|entry| entry.version == name)
    };
    let own = named("dflash-029f4f6").expect("an own build");
    assert_eq!(own.digest(), None);
    assert_eq!(
        own.sha256,
        Some(Checksum::Remark("self-compiled".to_owned()))
    );
    let first = &registry.entries()[0];
    assert_eq!(
        first.installed().map(|at| at.to_string()).as_deref(),
        Some("2025-12-29T21:31:36.014485Z")
    );
    assert_eq!(
        first.program().expect("inside"),
        format!("{}/llama-server.exe", first.id)
    );
    assert_eq!(named("unknown").expect("migrated").variant.os(), None);
}

#[test]
fn rewriting_an_old_registry_changes_not_a_word() {
    let written = serde_json::to_value(old()).expect("JSON");
    let read: Value = serde_json::from_str(OLD).expect("JSON");
    assert_eq!(written, read);
}

#[test]
fn a_changed_registry_keeps_what_nobody_here_knows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bins = Utf8Path::from_path(folder.path()).expect("a UTF-8 path");
    std::fs::write(bins.join("registry.json"), OLD).expect("written");

    Registry::update(bins, |registry| {
        registry.insert(entry("11111111-1111-4111-8111-111111111111", "11111111"));
    })
    .expect("updated");

    let text = std::fs::read_to_string(bins.join("registry.json")).expect("there");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        value["default_binary_id"],
        "4f047d33-3322-4961-bc6f-2daee8798158"
    );
    assert_eq!(value["binaries"][3]["notes"], "the good one");
    assert_eq!(value["binaries"].as_array().map(Vec::len), Some(6));
}

#[test]
fn a_registry_that_nothing_changed_is_not_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bins = Utf8Path::from_path(folder.path()).expect("a UTF-8 path");
    Registry::update(bins, |registry| registry.entries().len()).expect("updated");
    assert!(!bins.join("registry.json").exists());
}

#[test]
fn a_newer_registry_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bins = Utf8Path::from_path(folder.path()).expect("a UTF-8 path");
    let newer = r#"{"schema_version":"2.0.0","builds":{}}"#;
    std::fs::write(bins.join("registry.json"), newer).expect("written");

    let error = Registry::update(bins, |_| ()).expect_err("newer");

    assert!(matches!(
        error,
        RegistryError::File(FileError::Newer {
            found: 2,
            known: 1,
            ..
        })
    ));
    assert!(error.hint().is_some());
    let after = std::fs::read_to_string(bins.join("registry.json")).expect("there");
    assert_eq!(after, newer);
    assert!(parse(r#"{"schema_version":"1.7.0","binaries":[],"more":1}"#).is_ok());
}

#[test]
fn a_damaged_registry_is_never_taken_for_empty() {
    let twice = json!({ "schema_version": "1.0.0", "binaries": [
        { "id": "11111111-1111-4111-8111-111111111111", "path": "a" },
        { "id": "22222222-2222-4222-8222-222222222222", "path": "b",
          "aliases": ["11111111-1111-4111-8111-111111111111"] },
    ]});
    let damaged = [
        "",
        "[]",
        "{}",
        r#"{"schema_version":"1.0.0"}"#,
        r#"{"schema_version":"one","binaries":[]}"#,
        r#"{"schema_version":"1.0.0","binaries":[{"id":"x","path":"x"}]}"#,
        &OLD[..OLD.len() / 2],
        &twice.to_string(),
    ];
    for text in damaged {
        assert!(
            matches!(parse(text), Err(FileError::Damaged { .. })),
            "{text}"
        );
    }
    assert!(
        parse(&format!("\u{feff}{OLD}")).is_ok(),
        "a byte order mark is no damage"
    );
}

#[test]
fn a_path_that_leaves_the_folder_is_refused_when_it_is_used() {
    let with = |path| entry("11111111-1111-4111-8111-111111111111", path);
    for path in [
        "",
        ".",
        "..",
        "../x",
        "a/../..",
        "/etc",
        "C:\\x",
        "\\x",
        ".staging/x",
        ".cache",
    ] {
        let error = with(path).folder().expect_err(path);
        assert!(error.to_string().contains(path), "{error}");
        assert!(with(path).program().is_err());
    }
    assert_eq!(with("./a\\b").folder().expect("inside"), "a/b");
}

#[test]
fn one_build_may_have_several_names_and_no_name_two_builds() {
    let mut registry = old();
    let first = registry.entries()[0].id;
    let second = registry.entries()[1].id;
    let alias = id("22222222-2222-4222-8222-222222222222");

    assert!(registry.add_alias(first, alias));
    assert!(registry.add_alias(first, alias), "again is no mistake");
    assert!(!registry.add_alias(second, alias), "it is taken");
    assert!(
        !registry.add_alias(alias, second),
        "an alias is not an entry"
    );

    assert_eq!(registry.get(alias).map(|entry| entry.id), Some(first));
    assert_eq!(registry.remove(alias), None);
    assert_eq!(registry.remove(first).map(|entry| entry.id), Some(first));
    assert_eq!(registry.get(alias), None);
}

#[test]
fn a_build_that_is_installed_again_keeps_its_names_and_takes_its_own_back() {
    let mut registry = old();
    let first = registry.entries()[0].id;
    let alias = id("22222222-2222-4222-8222-222222222222");
    let other = id("33333333-3333-4333-8333-333333333333");
    registry.add_alias(first, alias);
    registry.add_alias(first, other);

    registry.insert(entry(&first.to_string(), "again"));
    assert_eq!(
        registry.get(alias).map(|entry| entry.path.as_str()),
        Some("again")
    );

    registry.insert(entry(&alias.to_string(), "its own"));
    assert_eq!(
        registry.get(alias).map(|entry| entry.path.as_str()),
        Some("its own")
    );
    assert_eq!(
        registry.get(other).map(|entry| entry.path.as_str()),
        Some("again")
    );
    let text = serde_json::to_string(&registry).expect("JSON");
    assert!(parse(&text).is_ok(), "no id stands in it twice");
}

#[test]
fn a_build_is_found_by_what_it_hashed_to() {
    let registry = old();
    let wanted = "077980d5e966a8c43db3c33bdd94adc566ccda3e08ffacdd896f4f39c3e2c19f";
    let found = registry
        .of_digest(wanted.parse().expect("a digest"))
        .next()
        .expect("there");
    assert_eq!(found.version, "b7572");
    assert_eq!(registry.of_digest(Digest::of("else")).count(), 0);
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bins = Utf8Path::from_path(folder.path()).expect("a UTF-8 path");
    std::thread::scope(|scope| {
        for number in 0..8_u128 {
            scope.spawn(move || {
                let id = uuid::Uuid::from_u128(number + 1).to_string();
                Registry::update(bins, |registry| registry.insert(entry(&id, &id)))
                    .expect("updated");
            });
        }
    });
    assert_eq!(Registry::load(bins).expect("there").entries().len(), 8);
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::String),
        Just(Value::String(
            "11111111-1111-4111-8111-111111111111".to_owned()
        )),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(".{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        let _ = parse(&text);
    }

    /// Whatever stands in an entry, it is refused, or it leads to something inside `bins`.
    #[test]
    fn no_entry_leads_outside(
        path in r"[./a:\\]{0,12}|.{0,12}",
        key in prop::sample::select(vec![
            "version", "variant", "sha256", "installed_at", "size_bytes", "executables", "aliases",
            "companions", "unverified", "files_sha256", "damage", "notes",
        ]),
        value in json_value(),
    ) {
        let id = "22222222-2222-4222-8222-222222222222";
        let text = json!({
            "schema_version": "1.0.0",
            "binaries": [{ "id": id, "path": path, key: value }],
        })
        .to_string();
        let Ok(registry) = parse(&text) else {
            return Ok(());
        };
        let entry = &registry.entries()[0];
        for path in [entry.folder(), entry.home(), entry.program()].into_iter().flatten() {
            let within = Utf8Path::new("/bins").join(&path);
            prop_assert!(within.starts_with("/bins") && within != "/bins", "{within}");
            prop_assert!(!within.components().any(|part| part.as_str() == ".."), "{within}");
            prop_assert!(!path.as_str().starts_with('.'), "{path}");
        }
        let _ = (entry.digest(), entry.installed());
        let again = serde_json::to_string(&registry).expect("JSON");
        prop_assert_eq!(parse(&again).expect("it was read before"), registry);
    }
}
