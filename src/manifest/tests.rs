use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::instance::CheckKind;

const WHOLE: &str = include_str!("../../tests/fixtures/manifests/whole.yaml");
const GEMMA: &str = "gemma4_26b_a4b_qat_udq4xl_rx6800";
const GEMMA_CONFIG: &str = include_str!(
    "../../tests/fixtures/manifests/instances/gemma4_26b_a4b_qat_udq4xl_rx6800/config.json"
);

fn texts(manifest: &str, configs: &[(&str, &str)]) -> Texts {
    let configs = configs.iter().map(|(name, text)| {
        let source = SourceText::new(format!("instances/{name}/config.json"), *text);
        (name.parse().expect("a valid name"), source)
    });
    Texts {
        manifest: SourceText::new("orchestrator.yaml", manifest),
        configs: configs.collect(),
    }
}

fn parse(manifest: &str) -> Manifest {
    parse_with(manifest, &[])
}

fn parse_with(manifest: &str, configs: &[(&str, &str)]) -> Manifest {
    Manifest::parse(&texts(manifest, configs)).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn mistakes(manifest: &str) -> String {
    mistakes_with(manifest, &[])
}

fn mistakes_with(manifest: &str, configs: &[(&str, &str)]) -> String {
    Manifest::parse(&texts(manifest, configs))
        .expect_err("a mistake")
        .to_string()
}

/// The instance of a manifest that has one.
fn only(manifest: &str) -> Instance {
    parse(manifest)
        .instances
        .into_values()
        .next()
        .expect("an instance")
}

fn name(text: &str) -> InstanceName {
    text.parse().expect("a valid name")
}

/// A manifest of one instance, `chat`, with the given lines under it.
fn chat(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("version: 1\ninstances:\n  chat:\n{lines}")
}

#[test]
fn every_field_is_read() {
    let manifest = parse(WHOLE);
    let chat = &manifest.instances[&name("chat")];
    assert_eq!(chat.args[4..], ["1e3", "--no-mmap", "no", "0x10"]);
    assert_eq!(chat.gate.min_healthy, Duration::from_secs(10));
    assert_eq!(chat.gate.start_period, Duration::from_secs(420));
    assert_eq!(
        chat.env["HF_TOKEN"],
        EnvironmentValue::File("secrets/hf".into())
    );
    assert_eq!(
        chat.server.api_key,
        Some(EnvironmentValue::File("secrets/chat.key".into()))
    );
    assert_eq!(manifest.rollout.canary, Some(name("embed")));
    assert_eq!(
        manifest.instances[&name("embed")].origins["binary.version"],
        Origin::Defaults
    );
}

#[test]
fn a_config_of_the_older_tools_loads_unchanged() {
    let manifest = format!("version: 1\ninstances:\n  {GEMMA}: {{}}\n");
    let manifest = parse_with(&manifest, &[(GEMMA, GEMMA_CONFIG)]);
    let instance = &manifest.instances[&name(GEMMA)];
    let model = instance.model.as_ref().expect("a model");
    let path = "models/gemma-4-26B-A4B-it-qat-UD-Q4_K_XL.gguf";
    assert_eq!(model.source, ModelSource::Path(path.into()));
    assert_eq!(instance.gate.kind, CheckKind::Http);
    assert_eq!(instance.gate.start_period, Duration::from_secs(420));
    assert_eq!(instance.restart_policy.max_retries, Some(0));
    assert!(!instance.restart_policy.enabled);
    assert_eq!(instance.server.timeout, Some(600));
    assert!(
        instance
            .origins
            .values()
            .all(|origin| *origin == Origin::Config)
    );
}

#[test]
fn all_mistakes_come_at_once_with_their_lines() {
    assert_snapshot!(mistakes(&chat("\
healtcheck: { path: /health }
server:
  port: eighty
  host: [a]
gpu: { layers: 1, layers: 2 }
tags: gpu0
port: 1
")), @r"
    `orchestrator.yaml` has 6 mistakes
      orchestrator.yaml:4:5: unknown key `healtcheck` in instance `chat`
          4 |     healtcheck: { path: /health }
            |     ^^^^^^^^^^ did you mean `healthcheck`?
      orchestrator.yaml:6:13: `port` wants a number from 1 to 65535, not `eighty`
          6 |       port: eighty
            |             ^^^^^^
      orchestrator.yaml:7:13: `host` wants a text, not a list
          7 |       host: [a]
            |             ^^^
      orchestrator.yaml:8:23: duplicate key `layers`
          8 |     gpu: { layers: 1, layers: 2 }
            |                       ^^^^^^ the first one is at orchestrator.yaml:8:12
      orchestrator.yaml:9:11: `tags` wants a list, not `gpu0`
          9 |     tags: gpu0
            |           ^^^^ write `tags: [gpu0]`
      orchestrator.yaml:10:5: unknown key `port` in instance `chat`
         10 |     port: 1
            |     ^^^^ it belongs under `server`
    ");
}
