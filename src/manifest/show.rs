//! One instance as it came out of its layers, as YAML with the origin of each value beside it.
//!
//! What it prints can be read again. Secrets are named, never resolved, and left out where they
//! stand in the manifest itself.

pub mod document;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::excerpt::{is_secret_name, without_tokens};
use super::text::yaml_text;
use super::value::print_duration;
use super::{GpuBackend, Instance, ModelSource, OnFailure, Origin, Pin};
use crate::instance::{CheckKind, EnvironmentValue, InstanceName, Liveness, ProbeKind};
use crate::release::VariantRequest;

/// The column in which the origins begin, where the values leave room.
const COLUMN: usize = 44;

/// Prints an instance with every value that is in force and where it was written: `defaults`, the
/// instance's `config.json`, `orchestrator.yaml`, or nowhere (`built in`).
pub fn show(name: &InstanceName, instance: &Instance) -> String {
    print(name, instance).text
}

fn print<'a>(name: &'a InstanceName, instance: &'a Instance) -> Page<'a> {
    let mut page = Page {
        name,
        instance,
        text: String::new(),
        origins: BTreeMap::new(),
        section: None,
    };
    if let Some(pin) = &instance.binary {
        page.pin(pin);
    }
    page.model();
    page.server();
    page.gpu();
    page.env();
    page.list(
        "args",
        instance
            .args
            .iter()
            .map(|argument| without_tokens(argument)),
    );
    page.healthcheck();
    page.policies();
    page.list(
        "depends_on",
        instance.depends_on.iter().map(ToString::to_string),
    );
    page.list("tags", instance.tags.iter().cloned());
    page.top("stop_timeout", time(instance.stop_timeout));
    page.top("enabled", instance.enabled);
    page
}

struct Page<'a> {
    name: &'a InstanceName,
    instance: &'a Instance,
    text: String,
    /// Where each value was written, by its path.
    origins: BTreeMap<String, String>,
    section: Option<&'static str>,
}

impl Page<'_> {
    fn pin(&mut self, pin: &Pin) {
        let version = pin
            .version
            .as_ref()
            .map(|version| yaml_text(&version.to_string()));
        self.maybe("binary", "version", version);
        let variant = match &pin.variant {
            VariantRequest::Auto => "auto",
            VariantRequest::Named(name) => name,
        };
        self.field("binary", "variant", yaml_text(variant));
        self.maybe(
            "binary",
            "binary_id",
            pin.binary_id.map(|id| yaml_text(&id.to_string())),
        );
        self.maybe(
            "binary",
            "sha256",
            pin.sha256.map(|sha256| yaml_text(&sha256.to_string())),
        );
        let source_url = pin.source_url.as_ref().map(|url| yaml_text(url.as_str()));
        self.maybe("binary", "source_url", source_url);
    }

    fn model(&mut self) {
        let Some(model) = &self.instance.model else {
            return;
        };
        match &model.source {
            ModelSource::Path(path) => self.field("model", "path", yaml_text(path.as_str())),
            ModelSource::HuggingFace(name) => self.field("model", "hf", yaml_text(name)),
            ModelSource::Directory(path) => {
                self.field("model", "directory", yaml_text(path.as_str()));
            }
            ModelSource::Unset => {}
        }
        self.maybe("model", "context_size", model.context_size);
        self.maybe("model", "batch_size", model.batch_size);
        self.maybe("model", "threads", model.threads);
    }

    fn server(&mut self) {
        let server = &self.instance.server;
        self.field("server", "host", yaml_text(&server.host));
        self.field("server", "port", server.port);
        self.maybe("server", "parallel", server.parallel);
        self.maybe("server", "timeout", server.timeout);
        self.maybe("server", "api_key", server.api_key.as_ref().map(value));
    }

    fn gpu(&mut self) {
        let gpu = &self.instance.gpu;
        let backend = gpu.backend.map(|backend| match backend {
            GpuBackend::Cpu => "cpu",
            GpuBackend::Vulkan => "vulkan",
            GpuBackend::Cuda => "cuda",
            GpuBackend::Metal => "metal",
            GpuBackend::Rocm => "rocm",
            GpuBackend::Sycl => "sycl",
        });
        self.maybe("gpu", "backend", backend);
        self.maybe("gpu", "device_id", gpu.device_id);
        self.maybe("gpu", "layers", gpu.layers);
        self.field("gpu", "require", gpu.require);
    }

    fn env(&mut self) {
        for (variable, found) in &self.instance.env {
            let secret = matches!(found, EnvironmentValue::Literal(_)) && is_secret_name(variable);
            let shown = if secret {
                "\"***\"".to_owned()
            } else {
                value(found)
            };
            let note = if secret { ", redacted" } else { "" };
            let origin = format!("{}{note}", self.origin(&format!("env.{variable}")));
            self.head("env");
            self.line(
                &format!("  {}: {shown}", yaml_text(variable)),
                Some(&origin),
            );
        }
    }

    fn healthcheck(&mut self) {
        let gate = &self.instance.gate;
        let (kind, script) = match &gate.kind {
            CheckKind::Http => ("http", None),
            CheckKind::Tcp => ("tcp", None),
            CheckKind::Custom { script } => ("custom", Some(yaml_text(script.as_str()))),
        };
        let statuses: Vec<String> = gate
            .expected_status
            .iter()
            .map(ToString::to_string)
            .collect();
        let probe = match gate.probe {
            ProbeKind::None => "none",
            ProbeKind::Completion => "completion",
            ProbeKind::Embedding => "embedding",
            ProbeKind::Rerank => "rerank",
        };
        let liveness = match gate.liveness {
            Liveness::Report => "report",
            Liveness::Restart => "restart",
        };
        let section = "healthcheck";
        self.field(section, "type", kind);
        self.maybe(section, "custom_script", script);
        self.field(section, "path", yaml_text(&gate.path));
        self.field(
            section,
            "expected_status",
            format!("[{}]", statuses.join(", ")),
        );
        self.maybe(
            section,
            "expected_body",
            gate.expected_body.as_deref().map(yaml_text),
        );
        self.field(section, "interval", time(gate.interval));
        self.field(section, "timeout", time(gate.timeout));
        self.field(section, "retries", gate.retries);
        self.field(section, "liveness", liveness);
        self.field(section, "start_period", time(gate.start_period));
        self.field(section, "probe", probe);
    }

    fn policies(&mut self) {
        let policy = &self.instance.restart_policy;
        let section = "restart_policy";
        self.field(section, "enabled", policy.enabled);
        self.maybe(section, "max_retries", policy.max_retries);
        self.field(section, "initial_delay", time(policy.initial_delay));
        self.field(section, "backoff_multiplier", policy.backoff_multiplier);
        self.field(section, "max_delay", time(policy.max_delay));

        let rollout = &self.instance.rollout;
        let on_failure = match rollout.on_failure {
            OnFailure::Rollback => "rollback",
            OnFailure::Stop => "stop",
            OnFailure::Leave => "leave",
        };
        self.field(
            "rollout",
            "min_healthy",
            time(self.instance.gate.min_healthy),
        );
        self.field("rollout", "prove_after", time(rollout.prove_after));
        self.field("rollout", "on_failure", on_failure);
        self.maybe("rollout", "drain", rollout.drain.map(time));

        self.field("logs", "max_size_mb", self.instance.logs.max_size_mb);
        self.field("logs", "rotation", self.instance.logs.rotation);
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = String>) {
        let mut items = items.peekable();
        if items.peek().is_some() {
            let origin = self.origin(key);
            self.line(&format!("{key}:"), Some(&origin));
            for item in items {
                self.line(&format!("  - {}", yaml_text(&item)), None);
            }
        }
    }

    fn maybe<T: Display>(&mut self, section: &'static str, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.field(section, key, value);
        }
    }

    fn field(&mut self, section: &'static str, key: &str, value: impl Display) {
        let origin = self.origin(&format!("{section}.{key}"));
        self.head(section);
        self.line(&format!("  {key}: {value}"), Some(&origin));
    }

    fn top(&mut self, key: &str, value: impl Display) {
        let origin = self.origin(key);
        self.line(&format!("{key}: {value}"), Some(&origin));
    }

    /// The line that opens a section, once.
    fn head(&mut self, section: &'static str) {
        if self.section != Some(section) {
            self.section = Some(section);
            self.line(&format!("{section}:"), None);
        }
    }

    fn line(&mut self, line: &str, origin: Option<&str>) {
        self.text.push_str(line);
        if let Some(origin) = origin {
            let gap = COLUMN.saturating_sub(line.chars().count());
            self.text.extend(std::iter::repeat_n(' ', gap));
            self.text.push_str(" # ");
            self.text.push_str(origin);
        }
        self.text.push('\n');
    }

    fn origin(&mut self, path: &str) -> String {
        let origin = match self.instance.origins.get(path) {
            None => "built in".to_owned(),
            Some(Origin::Defaults) => "defaults".to_owned(),
            Some(Origin::Config) => format!("instances/{}/config.json", self.name),
            Some(Origin::Inline) => "orchestrator.yaml".to_owned(),
        };
        self.origins.insert(path.to_owned(), origin.clone());
        origin
    }
}

fn time(duration: Duration) -> String {
    print_duration(duration)
}

fn value(value: &EnvironmentValue) -> String {
    match value {
        EnvironmentValue::Literal(text) => yaml_text(&without_tokens(text)),
        EnvironmentValue::File(path) => format!("{{ file: {} }}", yaml_text(path.as_str())),
        EnvironmentValue::FromEnv(name) => format!("{{ from_env: {} }}", yaml_text(name)),
    }
}
