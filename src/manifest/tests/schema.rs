//! The schema and the decoder say the same.

use camino::Utf8Path;
use serde_json::{Value, json};

use super::super::mistake::Collector;
use super::super::node;
use super::super::schema::schema;
use super::*;

const EXAMPLES: [(&str, &str); 6] = [
    ("orchestrator", include_str!("../../../orchestrator.yaml")),
    (
        "minimal",
        include_str!("../../../examples/manifests/minimal.yaml"),
    ),
    (
        "two-builds",
        include_str!("../../../examples/manifests/two-builds.yaml"),
    ),
    (
        "gpu-server",
        include_str!("../../../examples/manifests/gpu-server.yaml"),
    ),
    (
        "air-gapped",
        include_str!("../../../examples/manifests/air-gapped.yaml"),
    ),
    ("whole", WHOLE),
];

fn json_of(text: &str) -> Value {
    let source = SourceText::new("a.yaml", text);
    let mut mistakes = Collector::default();
    let file = mistakes.add_file(&source);
    node::read(&source, file, &mut mistakes)
        .expect("valid YAML")
        .to_json()
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let committed = include_str!("../../../docs/orchestrator.schema.json").replace("\r\n", "\n");
    let same = committed == format!("{:#}\n", schema());
    assert!(
        same,
        "`DOCS=overwrite cargo test --test it schemas` writes docs/orchestrator.schema.json"
    );
}

#[test]
fn examples_parse_and_satisfy_the_schema() {
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    for (name, text) in EXAMPLES {
        parse(text);
        let errors: Vec<_> = validator
            .iter_errors(&json_of(text))
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn editors_find_the_schema_of_each_manifest_here() {
    for path in [
        "orchestrator.yaml",
        "examples/manifests/minimal.yaml",
        "examples/manifests/two-builds.yaml",
        "examples/manifests/gpu-server.yaml",
        "examples/manifests/air-gapped.yaml",
    ] {
        let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = crate::durable::read_text(&path).expect("readable");
        let text = text.expect("it is there");
        let named = text.strip_prefix("# yaml-language-server: $schema=");
        let named = named.and_then(|rest| rest.lines().next());
        let named = named.unwrap_or_else(|| panic!("the first line of {path} names no schema"));
        let schema = path.parent().expect("a folder").join(named);
        let found = crate::durable::read_text(&schema).expect("readable");
        assert!(found.is_some(), "{path} names {schema}");
    }
}

#[test]
fn another_reader_of_yaml_sees_the_same_in_the_examples() {
    for (name, text) in &EXAMPLES[..5] {
        let other: Value = serde_yaml::from_str(text).expect("valid YAML");
        assert_eq!(json_of(text), other, "{name}");
    }
}

#[test]
fn the_schema_refuses_what_the_decoder_refuses() {
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    for lines in [
        "server: { port: 70000 }",
        "server: { port: 1, prot: 2 }",
        "server: { port: 1, api_key: literal }",
        "server: { port: 1 }\nargs: --metrics",
        "server: { port: 1 }\ngpu: { backend: vulcan }",
        "server: { port: 1 }\nstop_timeout: 10y",
        "server: { port: 1 }\ndepends_on: [Not]",
        "server: { port: 1 }\nbinary: { version: b1, sha256: abc }",
        "server: { port: 1 }\nenv: { A: [] }",
    ] {
        let manifest = chat(lines);
        assert!(Manifest::parse(&texts(&manifest, &[])).is_err(), "{lines}");
        assert!(!validator.is_valid(&json_of(&manifest)), "{lines}");
    }
    for slots in ["0", "-2", "1025"] {
        let manifest = chat(&format!("server: {{ port: 1, parallel: {slots} }}"));
        assert!(Manifest::parse(&texts(&manifest, &[])).is_err(), "{slots}");
        assert!(!validator.is_valid(&json_of(&manifest)), "{slots}");
    }
    for number in ["0", "17", "-1", "three"] {
        let manifest =
            format!("version: 1\ninstances: {{}}\nsource: {{ parallel_downloads: {number} }}\n");
        assert!(Manifest::parse(&texts(&manifest, &[])).is_err(), "{number}");
        assert!(!validator.is_valid(&json_of(&manifest)), "{number}");
    }
}

/// A schema with its `$ref` followed and the `null` of an optional field taken off.
fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let options = schema.get("anyOf").and_then(Value::as_array);
    let schema = options.map_or(schema, |options| &options[0]);
    match schema.get("$ref").and_then(Value::as_str) {
        Some(path) => root
            .pointer(path.trim_start_matches('#'))
            .expect("a definition"),
        None => schema,
    }
}

/// Every mapping with fixed keys, by its path, with those keys.
fn sections(root: &Value, schema: &Value, path: &str, found: &mut Vec<(String, Vec<String>)>) {
    let schema = resolved(root, schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    if schema.get("oneOf").is_some() {
        return;
    }
    found.push((path.to_owned(), properties.keys().cloned().collect()));
    for (key, property) in properties {
        let inner = resolved(root, property);
        if path.is_empty() && key == "instances" {
            sections(
                root,
                &inner["additionalProperties"],
                "/instances/chat",
                found,
            );
        } else {
            sections(root, property, &format!("{path}/{key}"), found);
        }
    }
}

#[test]
fn decoder_and_schema_know_the_same_keys() {
    let schema = schema();
    let mut found = Vec::new();
    sections(&schema, &schema, "", &mut found);
    assert!(found.len() > 20, "{found:?}");
    for (path, mut keys) in found {
        if path.ends_with("/api_key") {
            continue;
        }
        let mut manifest =
            json!({ "version": 1, "instances": { "chat": { "server": { "port": 1 } } } });
        let mut at = &mut manifest;
        for part in path.split('/').skip(1) {
            at = &mut at[part];
        }
        at["zzzzzzzz"] = json!(1);
        let found = mistakes(&manifest.to_string());
        let list = found
            .split("possible here: ")
            .nth(1)
            .expect("the list of possible keys");
        let list = list.split('\n').next().unwrap_or(list);
        let known: Vec<String> = list
            .split(", ")
            .map(|key| key.trim_matches('`').into())
            .collect();
        keys.sort();
        assert_eq!(known, keys, "{path}");
    }
}
