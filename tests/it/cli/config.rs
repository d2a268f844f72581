//! `config`: what the files say once they are merged, whether they are right, and their schemas.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::sandbox::{Output, Sandbox};

const CONFIG: &str = r#"{ "args": ["--metrics"], "server": { "parallel": 2, "port": 9001 } }"#;

#[test]
fn show_prints_each_value_with_where_it_was_written() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001), ("embed", 1002)]);
    sandbox.write("instances/chat/config.json", CONFIG);
    assert_snapshot!(sandbox.run(&["config", "show", "chat"]), @r#"
    exit code 0
    --- stdout
    binary:
      version: b1001                             # orchestrator.yaml
      variant: auto                              # built in
    model:
      path: models/tiny.gguf                     # defaults
    server:
      host: "127.0.0.1"                          # built in
      port: [PORT]                                # orchestrator.yaml
      parallel: 2                                # instances/chat/config.json
    gpu:
      require: false                             # built in
    args:                                        # instances/chat/config.json
      - --metrics
    healthcheck:
      type: http                                 # built in
      path: /health                              # built in
      expected_status: [200]                     # built in
      interval: 100ms                            # defaults
      timeout: 5s                                # built in
      retries: 3                                 # built in
      liveness: report                           # built in
      start_period: 1m                           # built in
      probe: none                                # built in
    restart_policy:
      enabled: true                              # built in
      initial_delay: 1s                          # built in
      backoff_multiplier: 2                      # built in
      max_delay: 5m                              # built in
    rollout:
      min_healthy: 0s                            # defaults
      prove_after: 10m                           # built in
      on_failure: rollback                       # built in
    logs:
      max_size_mb: 100                           # built in
      rotation: 5                                # built in
    stop_timeout: 30s                            # built in
    enabled: true                                # built in
    "#);
    sandbox
        .run(&["config", "show", "embde"])
        .assert_code(64)
        .assert_says("`embed`");
    let all = sandbox.run(&["config", "show"]);
    all.assert_code(0).assert_says("b1001").assert_says("b1002");
}

#[test]
fn show_as_json_has_the_same_values_and_satisfies_its_schema() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001), ("embed", 1002)]);
    sandbox.write("instances/chat/config.json", CONFIG);
    sandbox.edit(
        "version: b1001 }",
        "version: b1001 }\n    env: { API_TOKEN: s3cr3t, A: '1' }",
    );
    let text = sandbox.run(&["config", "show", "--json"]).stdout;
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    let schema = include_str!("../../../docs/schemas/config-show.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&shown), "{shown:#}");
    let chat = &shown["instances"][0];
    assert_eq!(chat["name"], "chat");
    assert_eq!(chat["values"]["server"]["parallel"], 2);
    assert_eq!(chat["values"]["args"][0], "--metrics");
    assert_eq!(
        chat["values"]["env"],
        json!({ "A": "1", "API_TOKEN": "***" })
    );
    assert_eq!(
        chat["origins"]["server.parallel"],
        "instances/chat/config.json"
    );
    assert_eq!(chat["origins"]["healthcheck.interval"], "defaults");
    assert_eq!(chat["origins"]["enabled"], "built in");
    assert!(!text.contains("s3cr3t"), "{text}");
    // What is shown can be written again: it satisfies the manifest's own schema.
    let schema = include_str!("../../../docs/orchestrator.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let again = json!({ "version": 1, "instances": { "chat": chat["values"] } });
    assert!(validator.is_valid(&again), "{again:#}");
    let one = sandbox.run(&["config", "show", "--json", "embed"]).stdout;
    let one: Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(one["instances"], json!([shown["instances"][1]]));
}

#[test]
fn validate_names_every_mistake_with_its_place() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["config", "validate"]), @r"
    exit code 0
    --- stdout
    orchestrator.yaml is right: 1 instance
    ");
    sandbox.edit("version: b1001", "vresion: b1001");
    sandbox.write(
        "instances/chat/config.json",
        "{ \"server\": { \"parallel\": \"many\" } }\n",
    );
    let output = sandbox.run(&["config", "validate"]);
    assert_snapshot!(output, @r#"
    exit code 65
    --- stderr
    error: 2 mistakes in `instances/chat/config.json` and `orchestrator.yaml`
      orchestrator.yaml:10:15: unknown key `vresion` in `binary` of instance `chat`
         10 |     binary: { vresion: b1001 }
            |               ^^^^^^^ did you mean `version`?
      instances/chat/config.json:1:27: `parallel` wants a number from 1 to 1024, not `"many"`
          1 | { "server": { "parallel": "many" } }
            |                           ^^^^^^
    "#);
    // Every verb that reads it says the same.
    for verb in ["plan", "apply"] {
        assert_eq!(sandbox.run(&[verb]).stderr, output.stderr);
        sandbox.run(&[verb]).assert_code(65);
    }
}

/// Where the schema of something is committed.
fn committed(of: &str) -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    match of {
        "manifest" => docs.join("orchestrator.schema.json"),
        of => docs.join("schemas").join(format!("{of}.schema.json")),
    }
}

#[test]
fn the_committed_schemas_are_the_generated_ones() {
    let sandbox = Sandbox::with(&[], &[]);
    // Whatever there is a schema of: what a shell is offered.
    let mut command = sandbox.command(&["--", "llama-orch", "config", "schema", ""]);
    command
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "3")
        .env("_CLAP_IFS", "\n");
    let offered = Output::of(&mut command).stdout;
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    for of in offered.lines().filter(|line| !line.starts_with('-')) {
        let generated = sandbox.run(&["config", "schema", of]).stdout;
        let path = committed(of);
        if std::env::var_os("DOCS").is_some_and(|what| what == "overwrite") {
            std::fs::write(&path, &generated).expect("written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found.replace("\r\n", "\n") == generated,
            "the schema of {of} is another now: `DOCS=overwrite cargo test --test it schemas` writes {}",
            path.display()
        );
        known.insert(path);
    }
    assert!(known.len() > 10, "{offered}");
    let folder = committed("any").parent().expect("a folder").to_owned();
    for entry in folder.read_dir().expect("readable").flatten() {
        let path = entry.path();
        assert!(
            known.contains(&path),
            "{} is the schema of nothing",
            path.display()
        );
    }
}
