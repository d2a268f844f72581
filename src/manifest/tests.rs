//! Stories about manifests: what they come to, and what is said of mistakes.

mod layers;
mod mistakes;
mod properties;
mod reference;
mod schema;
mod show;
mod yaml;

use std::fmt::Write as _;
use std::time::Duration;

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
    let mut text = "version: 1\ninstances:\n  chat:\n".to_owned();
    for line in lines.lines() {
        writeln!(text, "    {line}").expect("a text takes any text");
    }
    text
}

#[test]
fn every_field_is_read() {
    let manifest = parse(WHOLE);
    let chat = &manifest.instances[&name("chat")];
    assert_eq!(chat.args[4..], ["1e3", "--no-mmap", "no", "0x10"]);
    assert_eq!(chat.gate.min_healthy, Duration::from_secs(10));
    assert_eq!(chat.gate.start_period, Duration::from_mins(7));
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
    assert_eq!(instance.gate.start_period, Duration::from_mins(7));
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
