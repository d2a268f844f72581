//! An instance as `config show` prints it.

use insta::assert_snapshot;

use super::super::show::show;
use super::*;

#[test]
fn each_value_is_shown_with_its_origin() {
    let manifest = "\
version: 1
defaults: { binary: { version: stable } }
instances:
  chat:
    binary: { variant: cuda }
    env: { OPENAI_API_KEY: abc, HF_TOKEN: { file: secrets/hf }, A: '1' }
    args: [--metrics, '2', hf_0123456789abcdefghij]
";
    let config = r#"{ "server": { "port": 8071, "api_key": { "from_env": "KEY" } } }"#;
    let manifest = parse_with(manifest, &[("chat", config)]);
    let chat = name("chat");
    assert_snapshot!(show(&chat, &manifest.instances[&chat]), @r#"
    binary:
      version: stable                            # defaults
      variant: cuda                              # orchestrator.yaml
    server:
      host: "127.0.0.1"                          # built in
      port: 8071                                 # instances/chat/config.json
      api_key: { from_env: KEY }                 # instances/chat/config.json
    gpu:
      require: false                             # built in
    env:
      A: "1"                                     # orchestrator.yaml
      HF_TOKEN: { file: secrets/hf }             # orchestrator.yaml
      OPENAI_API_KEY: "***"                      # orchestrator.yaml, redacted
    args:                                        # orchestrator.yaml
      - --metrics
      - "2"
      - "***"
    healthcheck:
      type: http                                 # built in
      path: /health                              # built in
      expected_status: [200]                     # built in
      interval: 10s                              # built in
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
      min_healthy: 2s                            # built in
      prove_after: 10m                           # built in
      on_failure: rollback                       # built in
    logs:
      max_size_mb: 100                           # built in
      rotation: 5                                # built in
    stop_timeout: 30s                            # built in
    enabled: true                                # built in
    "#);
}

#[test]
fn what_is_shown_can_be_read_again() {
    let mut manifest = parse(WHOLE);
    let gemma = format!("version: 1\ninstances:\n  {GEMMA}: {{}}\n");
    manifest
        .instances
        .extend(parse_with(&gemma, &[(GEMMA, GEMMA_CONFIG)]).instances);
    for (name, mut instance) in manifest.instances {
        instance.depends_on.clear();
        let again = only(&chat(&show(&name, &instance)));
        assert_eq!(
            Instance {
                origins: instance.origins.clone(),
                ..again
            },
            instance
        );
    }
}
