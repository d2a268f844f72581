//! Reads one instance from its merged layers: which fields there are and what each may hold.
//!
//! Merging is done before ([`super::layer`]); what instances have to do with each other is judged
//! after ([`super::check`]).

mod pin;
mod server;
mod supervision;

use std::collections::{BTreeMap, BTreeSet};

use self::pin::read_pin;
use self::server::{read_gpu, read_server};
use self::supervision::{read_gate, read_logs, read_restart_policy, read_rollout};
use super::decode::{Decoder, Fault, Section};
use super::node::Node;
use super::text::Span;
use super::value::{duration, line, parsed, path, reference, text, truth, whole};
use super::{Instance, Model, ModelSource, Origin, argument};
use crate::instance::{EnvironmentValue, InstanceName, Supervision};

/// An instance with the places that later checks point at.
pub(super) struct Decoded {
    /// The instance.
    pub(super) instance: Instance,
    /// Where its port is written, unless that is under `defaults`.
    pub(super) port: Option<Span>,
    /// The instances it depends on and where each is named.
    pub(super) depends_on: Vec<(InstanceName, Span)>,
}

/// How strictly an instance is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    /// What must be written is missed.
    Whole,
    /// Only a part of an instance is at hand.
    Part,
}

/// Keys that only the tools behind the older `config.json` understand.
const OLDER_KEYS: [&str; 10] = [
    "name",
    "schema_version",
    "instance_uid",
    "instance_no",
    "display_name",
    "created_at",
    "updated_at",
    "sort_order",
    "parameter_mutability",
    "model_metadata",
];

/// Reads an instance. `span` is where its name is written.
pub(super) fn decode(
    decoder: &mut Decoder<'_>,
    whose: &str,
    node: Option<&Node>,
    span: Span,
    completeness: Completeness,
) -> Decoded {
    decoder.origins.clear();
    let mut fields = Section::new(decoder, whose, node, span);
    fields.explain(
        &OLDER_KEYS,
        "it has a meaning in `config.json` only; leave it out",
    );
    for (section, keys) in HOMES {
        fields.explain(keys, section);
    }

    let written = |fields: &mut Section<'_, '_, '_>, key| fields.node(key).is_some();
    let whole_instance = completeness == Completeness::Whole;
    let has_model = written(&mut fields, "model");
    let binary = fields.within("binary", |binary| read_pin(binary, whole_instance));
    let model = fields.within("model", read_model);
    let (server, port) = fields.within("server", |server| read_server(server, whole_instance));
    let gpu = fields.within("gpu", read_gpu);
    let env = read_env(&mut fields);
    let args = read_args(&mut fields);
    let mut gate = fields.within("healthcheck", read_gate);
    let restart_policy = fields.within("restart_policy", read_restart_policy);
    let (rollout, min_healthy) = fields.within("rollout", read_rollout);
    gate.min_healthy = min_healthy.unwrap_or(gate.min_healthy);
    let logs = fields.within("logs", read_logs);
    let mut depends_on = Vec::new();
    fields.list("depends_on", |node| {
        parsed::<InstanceName>(node).map(|name| depends_on.push((name, node.span)))
    });
    let tags = fields.list("tags", tag).unwrap_or_default();
    let stop_timeout = fields.get("stop_timeout", duration);
    let enabled = fields.get("enabled", truth).unwrap_or(true);
    fields.finish();

    let instance = Instance {
        binary,
        model: has_model.then_some(model),
        server,
        gpu,
        env,
        args,
        gate,
        restart_policy,
        rollout,
        logs,
        depends_on: depends_on.iter().map(|(name, _)| name.clone()).collect(),
        tags: tags.into_iter().collect(),
        stop_timeout: stop_timeout.unwrap_or(Supervision::default().stop_timeout),
        enabled,
        origins: std::mem::take(&mut decoder.origins),
    };
    Decoded {
        instance,
        port,
        depends_on,
    }
}

/// Fields of sections that are often written one level too high.
const HOMES: [(&str, &[&str]); 5] = [
    (
        "it belongs under `binary`",
        &["version", "variant", "binary_id", "sha256", "source_url"],
    ),
    (
        "it belongs under `model`",
        &[
            "path",
            "hf",
            "directory",
            "context_size",
            "batch_size",
            "threads",
        ],
    ),
    (
        "it belongs under `server`",
        &["host", "port", "parallel", "timeout", "api_key", "front"],
    ),
    (
        "it belongs under `gpu`",
        &["backend", "device_id", "device", "layers", "require"],
    ),
    (
        "it belongs under `rollout`",
        &[
            "strategy",
            "min_healthy",
            "prove_after",
            "on_failure",
            "drain",
        ],
    ),
];

fn read_model(fields: &mut Section<'_, '_, '_>) -> Model {
    let path_of_model = fields.get("path", path);
    let hf = fields.get("hf", hugging_face);
    let directory = fields.get("directory", path);
    let written: Vec<&str> = ["path", "hf", "directory"]
        .into_iter()
        .filter(|key| fields.origin_of(key).is_some())
        .collect();
    if let [first, second, ..] = written[..] {
        let message = format!("`model` has both `{first}` and `{second}`");
        fields.wrong(second, message, "keep the one the server is to use");
    }
    let source = match (path_of_model, hf, directory) {
        (Some(path), ..) => ModelSource::Path(path),
        (_, Some(name), _) => ModelSource::HuggingFace(name),
        (.., Some(directory)) => ModelSource::Directory(directory),
        (None, None, None) => ModelSource::Unset,
    };
    Model {
        source,
        context_size: fields.get("context_size", whole(0..=1 << 30)),
        batch_size: fields.get("batch_size", whole(1..=1 << 20)),
        threads: fields.get("threads", whole(1..=4096)),
    }
}

fn hugging_face(node: &Node) -> Result<String, Fault> {
    let name = line(node)?;
    let wrong = || {
        Fault::wants(
            "a repository such as `owner/name` or `owner/name:Q4_K_M`",
            node,
        )
    };
    if let Some(rest) = name.strip_prefix("https://huggingface.co/") {
        let repository: Vec<&str> = rest.split('/').take(2).collect();
        return Err(wrong().hint(format!("did you mean `{}`?", repository.join("/"))));
    }
    let plain = |part: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        !part.is_empty() && part.bytes().all(inner)
    };
    let (repository, quantization) = name.split_once(':').unwrap_or((&name, "any"));
    let (owner, model) = repository.split_once('/').ok_or_else(wrong)?;
    if plain(owner) && plain(model) && plain(quantization) {
        Ok(name)
    } else {
        Err(wrong())
    }
}

fn read_env(fields: &mut Section<'_, '_, '_>) -> BTreeMap<String, EnvironmentValue> {
    let mut env = BTreeMap::new();
    for entry in fields.entries("env") {
        let origin = entry.value.origin;
        if entry.value.is_null() && origin == Origin::Config {
            continue;
        }
        let name = &entry.key;
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{}` cannot be the name of a variable", name.escape_debug());
            fields.decoder.mistakes.push(entry.span, message, None);
            continue;
        }
        let value = fields.judge(name, &entry.value, |node| match reference(node)? {
            Some(value) => Ok(value),
            None => text(node).map(EnvironmentValue::Literal),
        });
        if let Some(value) = value {
            fields.decoder.origins.insert(format!("env.{name}"), origin);
            env.insert(name.clone(), value);
        }
    }
    env
}

fn read_args(fields: &mut Section<'_, '_, '_>) -> Vec<String> {
    let args = fields.list("args", |node| {
        let argument = text(node)?;
        match argument::owned(&argument) {
            Some((option, instead)) => {
                Err(Fault::says(format!("cannot contain `{option}`")).hint(instead))
            }
            None => Ok(argument),
        }
    });
    args.unwrap_or_default()
}

fn tag(node: &Node) -> Result<String, Fault> {
    let tag = line(node)?.to_lowercase();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '+');
    if tag.len() > 64 || !tag.chars().all(plain) {
        return Err(Fault::wants("a tag without spaces", node));
    }
    Ok(tag)
}

/// The names of several instances.
pub(super) fn names(fields: &mut Section<'_, '_, '_>, key: &'static str) -> BTreeSet<InstanceName> {
    fields
        .list(key, parsed)
        .unwrap_or_default()
        .into_iter()
        .collect()
}
