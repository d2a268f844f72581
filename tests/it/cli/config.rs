//! `config`: what the files say once they are merged, whether they are right, and their schemas.

use insta::assert_snapshot;

use crate::support::sandbox::Sandbox;

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

#[test]
fn the_committed_schemas_are_the_generated_ones() {
    let sandbox = Sandbox::with(&[], &[]);
    for (of, committed) in [
        (
            "manifest",
            include_str!("../../../docs/orchestrator.schema.json"),
        ),
        (
            "plan",
            include_str!("../../../docs/schemas/plan.schema.json"),
        ),
        (
            "status",
            include_str!("../../../docs/schemas/status.schema.json"),
        ),
        (
            "describe",
            include_str!("../../../docs/schemas/describe.schema.json"),
        ),
        (
            "health",
            include_str!("../../../docs/schemas/health.schema.json"),
        ),
        (
            "history",
            include_str!("../../../docs/schemas/history.schema.json"),
        ),
        (
            "binary-list",
            include_str!("../../../docs/schemas/binary-list.schema.json"),
        ),
        (
            "binary-info",
            include_str!("../../../docs/schemas/binary-info.schema.json"),
        ),
        (
            "binary-latest",
            include_str!("../../../docs/schemas/binary-latest.schema.json"),
        ),
        (
            "binary-install",
            include_str!("../../../docs/schemas/binary-install.schema.json"),
        ),
        (
            "binary-verify",
            include_str!("../../../docs/schemas/binary-verify.schema.json"),
        ),
        (
            "migrate",
            include_str!("../../../docs/schemas/migrate.schema.json"),
        ),
    ] {
        let output = sandbox.run(&["config", "schema", of]);
        assert!(
            output.stdout == committed,
            "the schema of {of} is another now: `llama-orch config schema {of}` prints it"
        );
    }
}
