//! Defaults, config files and what stands inline, one above the other.

use super::*;

const DEFAULTS: &str = "\
version: 1
defaults:
  binary: { version: stable, variant: vulkan }
  model: { path: models/base.gguf, threads: 4 }
  server: { host: 127.0.0.1, port: 1, api_key: { file: base.key } }
  env: { A: base, B: base }
  args: [--base]
instances:
";

fn layered(config: &str, inline: &str) -> Instance {
    let manifest = format!("{DEFAULTS}  chat: {inline}\n");
    parse_with(&manifest, &[("chat", config)])
        .instances
        .remove(&name("chat"))
        .expect("chat")
}

#[test]
fn inline_lies_over_config_and_config_over_defaults() {
    let config =
        r#"{ "server": { "host": "::1", "port": 2 }, "env": { "B": "config", "C": "config" } }"#;
    let chat = layered(
        config,
        "{ server: { port: 3 }, env: { C: inline }, args: [--inline] }",
    );
    assert_eq!((chat.server.host.as_str(), chat.server.port), ("::1", 3));
    assert_eq!(chat.args, ["--inline"]);
    let env: Vec<_> = chat.env.values().cloned().collect();
    assert_eq!(
        env,
        ["base", "config", "inline"].map(|text| EnvironmentValue::Literal(text.into()))
    );
    let origin = |path: &str| chat.origins.get(path).copied();
    assert_eq!(origin("server.port"), Some(Origin::Inline));
    assert_eq!(origin("server.host"), Some(Origin::Config));
    assert_eq!(origin("binary.variant"), Some(Origin::Defaults));
    assert_eq!(origin("env.A"), Some(Origin::Defaults));
    assert_eq!(origin("args"), Some(Origin::Inline));
    assert_eq!(origin("stop_timeout"), None);
}

#[test]
fn what_names_a_build_moves_as_one_and_the_variant_alone() {
    let id = "3aecf5b8-63bb-4862-9b7a-8dd27714cb73";
    let config = format!(r#"{{ "binary": {{ "binary_id": "{id}", "version": null }} }}"#);
    let pin = layered(&config, "{}").binary.expect("a pin");
    assert_eq!((pin.version, pin.binary_id.is_some()), (None, true));
    assert_eq!(pin.variant, VariantRequest::Named("vulkan".into()));

    let pin = layered(&config, "{ binary: { version: b9553 } }")
        .binary
        .expect("a pin");
    assert_eq!(pin.version, Some(ReleaseRequest::Tag(Tag::new(9553))));
    assert_eq!(pin.binary_id, None);

    let pin = layered(&config, "{ binary: { variant: cuda-13 } }")
        .binary
        .expect("a pin");
    assert_eq!(pin.variant, VariantRequest::Named("cuda-13".into()));
    assert!(pin.binary_id.is_some());
}

#[test]
fn the_source_of_a_model_is_replaced_as_a_whole() {
    let model = layered("{}", "{ model: { hf: owner/name } }")
        .model
        .expect("a model");
    assert_eq!(model.source, ModelSource::HuggingFace("owner/name".into()));
    assert_eq!(model.threads, Some(4));
}

#[test]
fn a_secret_is_replaced_as_a_whole() {
    let chat = layered("{}", "{ server: { api_key: { from_env: KEY } } }");
    assert_eq!(
        chat.server.api_key,
        Some(EnvironmentValue::FromEnv("KEY".into()))
    );
}

#[test]
fn nothing_written_above_lets_through_what_is_below() {
    let chat = layered(
        r#"{ "model": null, "args": null }"#,
        "{ server: , args: ~ }",
    );
    assert_eq!(chat.server.port, 1);
    assert_eq!(chat.args, ["--base"]);
    assert!(chat.model.is_some());
}

#[test]
fn no_binary_anywhere_is_no_pin() {
    assert_eq!(only(&chat("server: { port: 1 }")).binary, None);
    let config = r#"{ "binary": { "version": null, "variant": "win-vulkan-x64" }, "server": { "port": 1 } }"#;
    let manifest = parse_with("version: 1\ninstances: { chat: }\n", &[("chat", config)]);
    assert_eq!(manifest.instances[&name("chat")].binary, None);
}

#[test]
fn what_is_not_written_has_the_documented_value() {
    let chat = only(&chat("server: { port: 1 }"));
    assert_eq!(chat.server.host, "127.0.0.1");
    assert_eq!(chat.gate.min_healthy, Duration::from_secs(2));
    assert_eq!(chat.rollout.prove_after, Duration::from_mins(10));
    assert_eq!(chat.model, None);
    assert!(chat.enabled);
    assert!(chat.origins.keys().eq(["server.port"]));
}

#[test]
fn slots_that_a_config_sets_are_left_to_the_server_again_by_minus_one() {
    let config = r#"{ "server": { "parallel": 1 } }"#;
    assert_eq!(layered(config, "{}").server.parallel, Some(1));
    let left = layered(config, "{ server: { parallel: -1 } }");
    assert_eq!(left.server.parallel, None);
}
