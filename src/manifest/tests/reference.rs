//! `docs/MANIFEST.md` is the schema for people: written by it, and held to the parser.

#![expect(
    clippy::disallowed_methods,
    reason = "reads and, where asked to, writes the document"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::schema::schema;
use super::super::show::document::ShownInstances;
use super::*;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/MANIFEST.md");

const INTRODUCTION: &str = "\
# The manifest

`orchestrator.yaml` says what a machine's llama.cpp servers are to be; the folder it lies in is the
root. `llama-orch plan` shows what it would change, `llama-orch apply` does it, `llama-orch config
validate` checks the file alone, and `llama-orch config show` prints each value that is in force and
where it was written.

A key that is not listed here is a mistake, and so is one that stands twice; only in a `config.json`,
which other tools may have written, are unknown keys left alone. Paths are relative to the root or
absolute. Names of instances are lower-case letters, digits, `-` and `_`. A duration is
a number of seconds or a text such as `90s`, `5m` or `1h30m`. A secret never stands in the file: it
is `{ file: PATH }` or `{ from_env: VARIABLE }`.

An editor with the YAML language server completes and checks the file where its first line is

    # yaml-language-server: $schema=orchestrator.schema.json

and the schema lies beside it (`llama-orch config schema > orchestrator.schema.json`).

This document is made from that schema: `DOCS=overwrite cargo test --lib reference` writes it.
";

/// The sections by their paths, each with an example.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "",
        "\
version: 1
instances:
  chat:
    binary: { version: stable }
    model: { hf: \"ggml-org/gemma-3-270m-it-GGUF:Q8_0\" }
    server: { port: 8071 }
",
    ),
    (
        "instances",
        "\
defaults:
  binary: { version: b9553 }
instances:
  chat:
    model: { path: models/chat.gguf }
    server: { port: 8071 }
    args: [--metrics]
    tags: [gpu0]
  rerank:
    model: { path: models/rerank.gguf }
    server: { port: 8072 }
    args: [--reranking]
    env: { HF_HOME: /srv/huggingface, HF_TOKEN: { from_env: HF_TOKEN } }
    depends_on: [chat]
    stop_timeout: 2m
",
    ),
    (
        "instances.binary",
        "\
defaults:
  binary: { version: b11429, variant: cuda-13 }
instances: {}
",
    ),
    (
        "instances.model",
        "\
defaults:
  model: { path: models/qwen3-32b-Q4_K_M.gguf, context_size: 32768 }
instances: {}
",
    ),
    (
        "instances.server",
        "\
defaults:
  server:
    host: 0.0.0.0
    parallel: 4
    timeout: 10m
    api_key: { file: secrets/llama.key }
instances: {}
",
    ),
    (
        "instances.gpu",
        "\
defaults:
  gpu: { backend: cuda, device_id: 0, layers: 999, require: true }
instances: {}
",
    ),
    (
        "instances.healthcheck",
        "\
defaults:
  healthcheck: { start_period: 5m, probe: completion, liveness: restart }
instances: {}
",
    ),
    (
        "instances.restart_policy",
        "\
defaults:
  restart_policy: { max_retries: 10, max_delay: 1m }
instances: {}
",
    ),
    (
        "instances.rollout",
        "\
defaults:
  rollout: { min_healthy: 30s, drain: 1m, on_failure: rollback }
instances: {}
",
    ),
    (
        "instances.logs",
        "\
defaults:
  logs: { max_size_mb: 20, rotation: 3 }
instances: {}
",
    ),
    (
        "rollout",
        "\
rollout: { max_parallel: 2, canary: embed }
instances:
  embed: { server: { port: 8072 }, model: { path: models/embed.gguf } }
",
    ),
    (
        "retention",
        "\
retention: { keep: 1, prune: true }
instances: {}
",
    ),
    (
        "watch",
        "\
watch: { restart: false, resync: 10m, retry_interval: 1h }
instances: {}
",
    ),
    (
        "notify",
        "\
notify: { command: [scripts/notify.sh, --quiet] }
instances: {}
",
    ),
    (
        "source",
        "\
source: { directory: /srv/llama-releases }
instances: {}
",
    ),
];

/// A mapping of the manifest: its path, what it is, and its fields.
struct Section<'s> {
    path: String,
    meaning: String,
    fields: &'s Map<String, Value>,
}

/// What a `$ref` names, and the name.
fn followed<'s>(root: &'s Value, schema: &'s Value) -> (&'s Value, &'s str) {
    let options = schema.get("anyOf").and_then(Value::as_array);
    let is_optional = |options: &&Vec<Value>| options.iter().any(|one| one["type"] == "null");
    let schema = options
        .filter(is_optional)
        .map_or(schema, |options| &options[0]);
    match schema.get("$ref").and_then(Value::as_str) {
        Some(path) => {
            let found = root.pointer(path.trim_start_matches('#'));
            (
                found.expect("a definition"),
                path.rsplit('/').next().unwrap_or_default(),
            )
        }
        None => (schema, ""),
    }
}

/// Every section in the order of the document. `defaults` is told with the instances.
fn sections<'s>(root: &'s Value, schema: &'s Value, path: &str, found: &mut Vec<Section<'s>>) {
    let (schema, name) = followed(root, schema);
    let fields = schema.get("properties").and_then(Value::as_object);
    let Some(fields) = fields.filter(|_| name != "FileSecret") else {
        return;
    };
    found.push(Section {
        path: path.to_owned(),
        meaning: meaning(schema),
        fields,
    });
    for (key, field) in fields.iter().filter(|(key, _)| *key != "defaults") {
        let (inner, _) = followed(root, field);
        let below = format!("{path}.{key}").trim_start_matches('.').to_owned();
        if below == "instances" {
            sections(root, &inner["additionalProperties"], &below, found);
        } else {
            sections(root, field, &below, found);
        }
    }
}

fn meaning(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What can stand there, in a word or two.
fn kind(root: &Value, field: &Value, path: &str) -> String {
    let (schema, name) = followed(root, field);
    match name {
        "Time" => return "duration".to_owned(),
        "Text" => return "text".to_owned(),
        "Name" => return "name of an instance".to_owned(),
        "Secret" => return "secret".to_owned(),
        "EnvironmentValue" => return "text or secret".to_owned(),
        "Instance" => return "[mapping](#instances)".to_owned(),
        _ => {}
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = words.iter().map(code).collect();
        return words.join(", ");
    }
    if let Some(items) = schema.get("items") {
        return format!("list: {}", kind(root, items, ""));
    }
    let is = |word: &str| {
        let kind = &schema["type"];
        kind == word
            || kind
                .as_array()
                .is_some_and(|kinds| kinds.contains(&json!(word)))
    };
    if is("object") {
        let each = schema
            .get("additionalProperties")
            .filter(|each| each.is_object());
        return match each {
            Some(each) => format!("mapping: {}", kind(root, each, path)),
            None => format!("[mapping](#{})", path.replace('.', "")),
        };
    }
    if is("boolean") {
        return "`true`, `false`".to_owned();
    }
    if is("integer") || is("number") {
        let (least, most) = (&schema["minimum"], &schema["maximum"]);
        return if least == most {
            format!("`{least}`")
        } else {
            format!("number, {least} to {most}")
        };
    }
    assert!(is("string"), "a type without words: {schema}");
    "text".to_owned()
}

fn code(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// The document as the schema would have it.
fn document() -> String {
    let root = schema();
    let mut found = Vec::new();
    sections(&root, &root, "", &mut found);
    let mut text = INTRODUCTION.to_owned();
    for section in &found {
        let title = match section.path.as_str() {
            "" => "The whole file".to_owned(),
            path => format!("`{path}`"),
        };
        let meaning = &section.meaning;
        let _ = write!(text, "\n## {title}\n\n{meaning}\n\n");
        text.push_str("| key | what | default | meaning |\n| --- | --- | --- | --- |\n");
        for (key, field) in section.fields {
            let path = format!("{}.{key}", section.path);
            let kind = kind(&root, field, path.trim_start_matches('.'));
            let default = field.get("default").map_or_else(String::new, code);
            let meaning = self::meaning(field).replace('|', "\\|");
            let _ = writeln!(text, "| `{key}` | {kind} | {default} | {meaning} |");
        }
        let example = EXAMPLES.iter().find(|(path, _)| *path == section.path);
        let (_, example) = example.unwrap_or_else(|| {
            panic!(
                "`{}` has no example: add one to EXAMPLES in {}",
                section.path,
                file!()
            )
        });
        let _ = write!(text, "\n```yaml\n{example}```\n");
    }
    text
}

#[test]
fn the_document_is_what_the_schema_says() {
    let expected = document();
    if std::env::var_os("DOCS").is_some_and(|what| what == "overwrite") {
        std::fs::write(DOCUMENT, &expected).expect("written");
    }
    let committed = std::fs::read_to_string(DOCUMENT).expect("docs/MANIFEST.md is there");
    let differs = committed
        .lines()
        .zip(expected.lines())
        .find(|(one, other)| one != other);
    assert!(
        committed.replace("\r\n", "\n") == expected,
        "`DOCS=overwrite cargo test --lib reference` writes docs/MANIFEST.md anew: {differs:?}"
    );
}

#[test]
fn each_example_of_the_document_parses() {
    let committed = std::fs::read_to_string(DOCUMENT).expect("docs/MANIFEST.md is there");
    let validator = jsonschema::validator_for(&schema()).expect("a valid schema");
    let blocks: Vec<&str> = committed.split("```yaml\n").skip(1).collect();
    assert_eq!(blocks.len(), EXAMPLES.len());
    for block in blocks {
        let example = block.split("```").next().unwrap_or_default();
        let whole = if example.starts_with("version:") {
            example.to_owned()
        } else {
            format!("version: 1\n{example}")
        };
        parse(&whole);
        let value: Value = serde_yaml::from_str(&whole).expect("YAML");
        assert!(validator.is_valid(&value), "{example}");
    }
}

/// A manifest that says no more than it has to, with room for everything.
fn least() -> Value {
    json!({
        "version": 1,
        "instances": {
            "chat": { "binary": { "version": "b1" }, "server": { "port": 1 } },
        },
    })
}

/// What it comes to, without where that was written.
fn read(manifest: &Value) -> Manifest {
    let mut manifest = parse(&manifest.to_string());
    for instance in manifest.instances.values_mut() {
        instance.origins.clear();
    }
    manifest
}

#[test]
fn each_default_is_what_the_parser_takes_where_nothing_is_written() {
    let root = schema();
    let mut found = Vec::new();
    sections(&root, &root, "", &mut found);
    let mut told = BTreeSet::new();
    for section in &found {
        for (key, field) in section.fields {
            let Some(default) = field.get("default") else {
                continue;
            };
            let path = format!("{}.{key}", section.path);
            let path = path.trim_start_matches('.').to_owned();
            let mut manifest = least();
            let mut at = &mut manifest;
            for part in path.split('.') {
                at = &mut at[part];
                if part == "instances" {
                    at = &mut at["chat"];
                }
            }
            *at = default.clone();
            assert_eq!(read(&manifest), read(&least()), "`{path}` is not {default}");
            told.insert(path);
        }
    }
    // And the other way round: what is in force without being written has its default told.
    let manifest = parse(&least().to_string());
    let shown = ShownInstances::of(&manifest.instances);
    for (path, origin) in &shown.instances[0].origins {
        let is_told = told.contains(&format!("instances.{path}"));
        assert!(
            origin != "built in" || is_told,
            "the schema tells no default of `{path}`"
        );
    }
}
