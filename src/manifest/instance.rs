//! Reads one instance from its merged layers: which fields there are and what each may hold.
//!
//! Merging is done before ([`super::layer`]); what instances have to do with each other is judged
//! after ([`super::check`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::check::is_socket;
use super::decode::{Decoder, Fault, Section};
use super::node::Node;
use super::text::Span;
use super::value::{
    duration, duration_of_at_least, fraction, line, parsed, path, reference, text, truth, url,
    whole, word,
};
use super::{
    Gpu, GpuBackend, Instance, Model, ModelSource, OnFailure, Origin, Pin, ReleaseRequest, Rollout,
    Server, argument,
};
use crate::instance::{
    CheckKind, EnvironmentValue, GateSpec, InstanceName, LogPolicy, ProbeKind, RestartPolicy,
    Supervision,
};
use crate::release::{BuildName, VariantRequest};

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

fn read_pin(fields: &mut Section<'_, '_, '_>, whole_instance: bool) -> Option<Pin> {
    let version = fields.get("version", release);
    let variant = fields.get("variant", variant);
    let binary_id = fields.get("binary_id", parsed);
    let sha256 = fields.get("sha256", parsed);
    let source_url = fields.get("source_url", url);

    let known_elsewhere = fields.node("binary_id").is_some() || fields.node("source_url").is_some();
    if let Some(ReleaseRequest::Named(name)) = &version
        && !known_elsewhere
        && let Some(meant) = meant_release(name)
    {
        let message = format!("`version` wants a build or a release, not `{name}`");
        fields.wrong("version", message, format!("did you mean `{meant}`?"));
    }
    let any = ["version", "binary_id", "sha256", "source_url"];
    let names_build = any.iter().any(|key| fields.origin_of(key).is_some());
    if !names_build && fields.origin_of("variant") != Some(Origin::Inline) {
        return None;
    }
    let named = fields.node("version").is_some() || fields.node("binary_id").is_some();
    if whole_instance && !named {
        fields.wrong(
            "",
            "`binary` names no build",
            "write `version: stable`, a build such as `version: b9553`, or a `binary_id`",
        );
    } else if whole_instance && source_url.is_some() && fields.node("version").is_none() {
        fields.wrong(
            "source_url",
            "`source_url` needs a `version`",
            "it is what the build is called",
        );
    }
    let variant = variant.unwrap_or(VariantRequest::Auto);
    Some(Pin {
        version,
        variant,
        binary_id,
        sha256,
        source_url,
    })
}

/// What a name that looks like half of a tag or version was meant to be.
fn meant_release(name: &BuildName) -> Option<String> {
    let text = name.as_str();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits(text) {
        Some(format!("b{text}"))
    } else if text.split('.').count() == 3 && text.split('.').all(digits) {
        Some(format!("v{text}"))
    } else if text.strip_prefix('B').is_some_and(digits) {
        Some(text.to_ascii_lowercase())
    } else {
        None
    }
}

fn release(node: &Node) -> Result<ReleaseRequest, Fault> {
    let name: BuildName = parsed(node)?;
    Ok(match name.as_str() {
        "stable" | "latest" => ReleaseRequest::Stable,
        "nightly" => ReleaseRequest::Nightly,
        other => match (name.tag(), other.parse()) {
            (Some(tag), _) => ReleaseRequest::Tag(tag),
            (None, Ok(version)) => ReleaseRequest::Version(version),
            (None, Err(_)) => ReleaseRequest::Named(name),
        },
    })
}

fn variant(node: &Node) -> Result<VariantRequest, Fault> {
    let name = line(node)?;
    if name == "auto" {
        return Ok(VariantRequest::Auto);
    }
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    if name.len() > 64 || !name.bytes().all(plain) {
        return Err(Fault::wants(
            "`auto` or a variant such as `vulkan` or `cuda-13`",
            node,
        ));
    }
    Ok(VariantRequest::Named(name))
}

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

fn read_server(fields: &mut Section<'_, '_, '_>, whole_instance: bool) -> (Server, Option<Span>) {
    let host = fields
        .get("host", host)
        .unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = fields.get("port", whole(1..=65_535));
    let port_span = fields.span_of("port");
    let from_defaults = fields.origin_of("port") == Some(Origin::Defaults);
    if whole_instance && fields.node("port").is_none() {
        let message = "needs `server.port`";
        let hint = "write `server: { port: 8080 }` with a port of its own";
        fields.miss(message, hint);
    }
    let timeout = fields.get("timeout", |node| {
        let timeout = duration(node)?;
        let seconds = u32::try_from(timeout.as_secs())
            .ok()
            .filter(|_| timeout.subsec_nanos() == 0);
        seconds.ok_or_else(|| Fault::wants("whole seconds", node))
    });
    let front = fields.get("front", truth).unwrap_or(false);
    if front {
        let hint = "remove it; restarts stop the old server before they start the new one";
        fields.wrong("front", "`front` is not available in this version", hint);
    }
    let server = Server {
        host,
        port: port.unwrap_or(0),
        parallel: fields.get("parallel", whole(1..=1024)),
        timeout,
        api_key: fields.get("api_key", api_key),
        front,
    };
    (server, port.filter(|_| !from_defaults).map(|_| port_span))
}

fn host(node: &Node) -> Result<String, Fault> {
    let host = line(node)?;
    let socket = is_socket(&host);
    let plain = |c: char| !c.is_whitespace() && (socket || !matches!(c, '/' | '\\' | '@'));
    if host.starts_with('-') || !host.chars().all(plain) {
        let wanted = "an address, a host name, or a path that ends in `.sock`";
        return Err(Fault::wants(wanted, node));
    }
    Ok(host)
}

fn api_key(node: &Node) -> Result<EnvironmentValue, Fault> {
    reference(node)?.ok_or_else(|| {
        Fault::says("must not be written here").hint(
            "put the key into a file that git ignores and write `api_key: { file: secrets/chat.key }`, or `{ from_env: NAME }`",
        )
    })
}

fn read_gpu(fields: &mut Section<'_, '_, '_>) -> Gpu {
    const BACKENDS: &[(&str, GpuBackend)] = &[
        ("cpu", GpuBackend::Cpu),
        ("vulkan", GpuBackend::Vulkan),
        ("cuda", GpuBackend::Cuda),
        ("metal", GpuBackend::Metal),
        ("rocm", GpuBackend::Rocm),
        ("hip", GpuBackend::Rocm),
        ("sycl", GpuBackend::Sycl),
    ];
    Gpu {
        backend: fields.get("backend", word(BACKENDS)),
        device_id: fields.get("device_id", whole(0..=255)),
        layers: fields.get("layers", whole(-1..=1_000_000)),
        require: fields.get("require", truth).unwrap_or(false),
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

fn read_gate(fields: &mut Section<'_, '_, '_>) -> GateSpec {
    const PROBES: &[(&str, ProbeKind)] = &[
        ("none", ProbeKind::None),
        ("completion", ProbeKind::Completion),
        ("embedding", ProbeKind::Embedding),
        ("rerank", ProbeKind::Rerank),
    ];
    #[derive(Clone, Copy, PartialEq)]
    enum Type {
        Http,
        Tcp,
        Custom,
    }
    const TYPES: &[(&str, Type)] = &[
        ("http", Type::Http),
        ("tcp", Type::Tcp),
        ("custom", Type::Custom),
    ];
    const SHORTEST: Duration = Duration::from_millis(100);

    fields.explain(
        &[
            "retry_delay",
            "backoff_enabled",
            "backoff_base",
            "backoff_max",
            "backoff_jitter",
        ],
        "it has no effect; probes come every `interval`",
    );
    let defaults = GateSpec::default();
    let script = fields.get("custom_script", path);
    let kind = match fields.get("type", word(TYPES)) {
        None | Some(Type::Http) => CheckKind::Http,
        Some(Type::Tcp) => CheckKind::Tcp,
        Some(Type::Custom) => {
            if fields.node("custom_script").is_none() {
                let hint = "name the program that tells whether the server is well";
                fields.wrong("type", "`type: custom` needs a `custom_script`", hint);
            }
            CheckKind::Custom {
                script: script.unwrap_or_default(),
            }
        }
    };
    GateSpec {
        kind,
        path: fields.get("path", request_path).unwrap_or(defaults.path),
        expected_status: fields
            .list("expected_status", whole(100..=599))
            .filter(|list| !list.is_empty())
            .unwrap_or(defaults.expected_status),
        expected_body: fields.get("expected_body", text),
        interval: fields
            .get("interval", duration_of_at_least(SHORTEST))
            .unwrap_or(defaults.interval),
        timeout: fields
            .get("timeout", duration_of_at_least(SHORTEST))
            .unwrap_or(defaults.timeout),
        start_period: fields
            .get("start_period", duration)
            .unwrap_or(defaults.start_period),
        retries: fields
            .get("retries", whole(1..=1000))
            .unwrap_or(defaults.retries),
        probe: fields.get("probe", word(PROBES)).unwrap_or_default(),
        min_healthy: defaults.min_healthy,
    }
}

fn request_path(node: &Node) -> Result<String, Fault> {
    let path = line(node)?;
    if !path.starts_with('/') || !path.is_ascii() || path.contains(' ') {
        return Err(Fault::wants("a path such as `/health`", node));
    }
    Ok(path)
}

fn read_restart_policy(fields: &mut Section<'_, '_, '_>) -> RestartPolicy {
    let defaults = RestartPolicy::default();
    RestartPolicy {
        enabled: fields.get("enabled", truth).unwrap_or(defaults.enabled),
        max_retries: fields.get("max_retries", whole(0..=1_000_000)),
        initial_delay: fields
            .get("initial_delay", duration)
            .unwrap_or(defaults.initial_delay),
        backoff_multiplier: fields
            .get("backoff_multiplier", fraction(1.0..=1000.0))
            .unwrap_or(defaults.backoff_multiplier),
        max_delay: fields
            .get("max_delay", duration)
            .unwrap_or(defaults.max_delay),
    }
}

fn read_rollout(fields: &mut Section<'_, '_, '_>) -> (Rollout, Option<Duration>) {
    const FAILURES: &[(&str, OnFailure)] = &[
        ("rollback", OnFailure::Rollback),
        ("stop", OnFailure::Stop),
        ("leave", OnFailure::Leave),
    ];
    const STRATEGIES: &[(&str, bool)] = &[("stop-then-start", false), ("blue-green", true)];
    fields.explain(
        &["max_parallel", "start_parallel", "canary"],
        "it belongs under `rollout` at the top of the manifest",
    );
    if fields.get("strategy", word(STRATEGIES)) == Some(true) {
        let message = "`strategy: blue-green` is not available in this version";
        fields.wrong(
            "strategy",
            message,
            "write `strategy: stop-then-start`, or leave it out",
        );
    }
    let min_healthy = fields.get("min_healthy", duration);
    let prove_after = fields.get("prove_after", duration);
    let rollout = Rollout {
        prove_after: prove_after.unwrap_or(Supervision::default().prove_after),
        on_failure: fields.get("on_failure", word(FAILURES)).unwrap_or_default(),
        drain: fields.get("drain", duration),
    };
    (rollout, min_healthy)
}

fn read_logs(fields: &mut Section<'_, '_, '_>) -> LogPolicy {
    fields.explain(
        &["stdout", "stderr"],
        "logs lie in `.llama-orch/instances/`; leave it out",
    );
    let defaults = LogPolicy::default();
    LogPolicy {
        max_size_mb: fields
            .get("max_size_mb", whole(0..=1 << 20))
            .unwrap_or(defaults.max_size_mb),
        rotation: fields
            .get("rotation", whole(0..=1000))
            .unwrap_or(defaults.rotation),
    }
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
