//! One old `config.json`: what the manifest has to say beside it so that its server runs as before.
//!
//! The file stays as it is and is read as it is. Where a field of it means something else to this
//! program, or to its own `args`, the manifest says so inline, which lies over it. What the old tool
//! passed where nothing is written is the business of [`super::manifest`].

use serde_json::{Map, Value, json};

use super::{Finding, Old, OldConfig, Severity, pin};
use crate::desired::argv::{chooses_device, takes_file};
use crate::instance::InstanceName;
use crate::manifest::{is_secret_name, owned_option};
use crate::release::{Accelerator, Os};

/// The port of a config that names none.
pub(super) const DEFAULT_PORT: u16 = 8001;

/// What the manifest says of an instance, and what is left to a person.
pub(super) struct Draft<'a> {
    pub(super) name: &'a InstanceName,
    config: &'a Value,
    /// Its fields, by section.
    pub(super) inline: Map<String, Value>,
    pub(super) findings: Vec<Finding>,
    /// Whether it cannot be taken over at all.
    pub(super) is_refused: bool,
}

/// Reads a config as far as a migration has to.
pub(super) fn draft<'a>(name: &'a InstanceName, config: &'a Value, old: &Old) -> Draft<'a> {
    let mut draft = Draft {
        name,
        config,
        inline: Map::new(),
        findings: Vec::new(),
        is_refused: false,
    };
    if draft.text("env", "LLAMA_ORCH_RUNTIME").is_some() {
        draft.refuse(
            "`LLAMA_ORCH_RUNTIME` has the old tool start something else than `llama-server`",
            "this program runs `llama-server` alone; leave the instance to the old tool".to_owned(),
        );
        return draft;
    }
    let pinned = pin::pin(name.as_str(), config, old);
    draft.findings.extend(pinned.findings);
    if !pinned.inline.is_empty() {
        draft
            .inline
            .insert("binary".to_owned(), pinned.inline.into());
    }
    draft.arguments();
    draft.slots();
    let accelerator = pinned.variant.and_then(|variant| variant.accelerator());
    draft.gpu(accelerator.as_ref());
    if old.os != Os::Windows {
        draft.paths_of_windows();
    }
    draft
}

/// The ports a config may stand for: its field's, and that of an option.
pub(super) fn ports(config: &OldConfig) -> Vec<u16> {
    let text = config.source.as_ref().map(|source| source.text.as_str());
    let text = text.unwrap_or_default();
    let value: Value =
        serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).unwrap_or_default();
    let args = value
        .get("args")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let args: Vec<&str> = args.filter_map(Value::as_str).collect();
    let after = args.iter().position(|argument| *argument == "--port");
    let after = after.and_then(|at| args.get(at + 1)?.parse().ok());
    after.into_iter().chain([port(&value)]).collect()
}

/// The port a config has, whatever its `args` say.
fn port(config: &Value) -> u16 {
    let port = config.pointer("/server/port").and_then(Value::as_u64);
    port.and_then(|port| port.try_into().ok())
        .unwrap_or(DEFAULT_PORT)
}

/// A field of a section, unless it is null.
pub(super) fn field<'a>(config: &'a Value, section: &str, key: &str) -> Option<&'a Value> {
    config
        .get(section)?
        .get(key)
        .filter(|value| !value.is_null())
}

impl Draft<'_> {
    /// The port it listens on.
    pub(super) fn port(&self) -> u16 {
        let inline = self
            .inline
            .get("server")
            .and_then(|server| server.get("port"));
        let inline = inline.and_then(Value::as_u64);
        let inline = inline.and_then(|port| port.try_into().ok());
        inline.unwrap_or_else(|| port(self.config))
    }

    fn field(&self, section: &str, key: &str) -> Option<&Value> {
        field(self.config, section, key)
    }

    fn text(&self, section: &str, key: &str) -> Option<&str> {
        self.field(section, key)?.as_str()
    }

    fn args(&self) -> Vec<String> {
        let args = self.inline.get("args").or_else(|| self.config.get("args"));
        let args = args.and_then(Value::as_array).into_iter().flatten();
        args.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let fields = self.inline.entry(section).or_insert_with(|| json!({}));
        if let Some(fields) = fields.as_object_mut() {
            fields.insert(key.to_owned(), value.into());
        }
    }

    fn find(&mut self, severity: Severity, what: String, hint: Option<String>) {
        let finding = Finding::new(severity, self.name.as_str(), what);
        self.findings.push(Finding { hint, ..finding });
    }

    fn refuse(&mut self, what: &str, hint: String) {
        self.is_refused = true;
        self.find(
            Severity::Open,
            format!("is not taken over: {what}"),
            Some(hint),
        );
    }

    /// Options that have a field of their own have no place in `args`, where they won over the field.
    fn arguments(&mut self) {
        let mut kept = Vec::new();
        let mut moved = Vec::new();
        let mut args = self.args().into_iter();
        while let Some(argument) = args.next() {
            let Some((option, instead)) = owned_option(&argument) else {
                kept.push(argument);
                continue;
            };
            let value = match argument.split_once('=') {
                Some((_, value)) => Some(value.to_owned()),
                None => args.next(),
            };
            let port = value.as_ref().and_then(|value| value.parse::<u16>().ok());
            match (option, value, port) {
                ("--host", Some(host), _) => self.set("server", "host", host),
                ("--port", Some(_), Some(port)) => self.set("server", "port", port),
                ("--model" | "-m", Some(path), _) => self.set("model", "path", path),
                ("--api-key-file", Some(file), _) => {
                    self.set("server", "api_key", json!({ "file": file }));
                }
                ("--alias" | "-a", Some(alias), _) => {
                    if alias != self.name.as_str() {
                        let what = format!(
                            "was also called `{alias}`: a server is called like its instance"
                        );
                        self.find(Severity::Differs, what, None);
                    }
                }
                _ => {
                    let what = format!("its `args` contain `{option}`");
                    self.refuse(&what, format!("in its config.json, {instead}"));
                }
            }
            moved.push(option);
        }
        if !moved.is_empty() {
            self.inline.insert("args".to_owned(), json!(kept));
            let what = format!(
                "`args` contained {}, which fields say now",
                moved.join(", ")
            );
            self.find(Severity::Note, what, None);
        }
    }

    /// One slot was never passed, so the server chose.
    fn slots(&mut self) {
        let is_slots = |argument: &String| argument == "--parallel" || argument == "-np";
        let is_one = self.field("server", "parallel").and_then(Value::as_u64) == Some(1);
        if is_one && !self.args().iter().any(is_slots) {
            self.set("server", "parallel", -1);
        }
    }

    /// What the old tool made of `gpu`: layers for everything but `cpu`, a variable for the device.
    fn gpu(&mut self, accelerator: Option<&Accelerator>) {
        let backend = self.text("gpu", "backend").map(str::to_owned);
        let device = self.field("gpu", "device_id").cloned();
        let layers = self.field("gpu", "layers").cloned();
        let mut variable = None;
        match backend.as_deref() {
            None => {
                // Absent meant `cpu`, for which it passed nothing.
                if layers.is_some() {
                    self.set("gpu", "layers", -1);
                }
            }
            Some("cpu") => {
                if !matches!(accelerator, None | Some(Accelerator::Cpu)) {
                    let what = "`gpu.backend: cpu` did not keep a build for GPUs off the GPU: it does from now on";
                    let hint = "to have it as before, write the backend and its layers, such as `gpu: { backend: vulkan, layers: 999 }`";
                    self.find(Severity::Differs, what.to_owned(), Some(hint.to_owned()));
                }
                return;
            }
            Some(other) => {
                if layers.is_none() {
                    self.set("gpu", "layers", 0);
                }
                variable = match other {
                    "vulkan" => Some("GGML_VULKAN_DEVICE"),
                    "cuda" => Some("CUDA_VISIBLE_DEVICES"),
                    _ => None,
                };
            }
        }
        let Some(variable) = variable else {
            let is_chosen = self.args().iter().any(|argument| chooses_device(argument));
            if device.is_some() && !is_chosen && backend.as_deref() != Some("metal") {
                let what = "`gpu.device_id` chooses a device from now on, which it did not before";
                self.find(Severity::Differs, what.to_owned(), None);
            }
            return;
        };
        if self.field("env", variable).is_none() {
            let device = device.unwrap_or(json!(0)).to_string();
            self.set("env", variable, device.clone());
            let is_chosen = self.args().iter().any(|argument| chooses_device(argument));
            if variable == "GGML_VULKAN_DEVICE" && !is_chosen {
                let what = format!(
                    "`{variable}: {device}` is written out, as the old tool set it; llama.cpp does not read it any more"
                );
                let hint = format!("take it out, and `--device Vulkan{device}` is passed");
                self.find(Severity::Note, what, Some(hint));
            }
        }
    }

    /// Where a file lies on this machine is not to be guessed from where it lay on another.
    fn paths_of_windows(&mut self) {
        let name = self.name.clone();
        let hint = |yaml: String| Some(format!("write where it is here, under `{name}`: `{yaml}`"));
        let model = self.inline.get("model").and_then(|model| model.get("path"));
        let model = model.or_else(|| self.field("model", "path"));
        let model = model.and_then(Value::as_str).map(str::to_owned);
        if let Some(path) = model.filter(|path| is_of_windows(path)) {
            let what = format!("`model.path` is `{path}`, a path of Windows");
            self.find(
                Severity::Open,
                what,
                hint("model: { path: ... }".to_owned()),
            );
        }
        let env = self.config.get("env").and_then(Value::as_object).cloned();
        for (variable, value) in env.unwrap_or_default() {
            let path = value.as_str().filter(|path| is_of_windows(path));
            if let Some(path) = path.filter(|_| !is_secret_name(&variable)) {
                let what = format!("`env.{variable}` is `{path}`, a path of Windows");
                self.find(
                    Severity::Open,
                    what,
                    hint(format!("env: {{ {variable}: ... }}")),
                );
            }
        }
        let mut is_file = false;
        for argument in self.args() {
            let value = match argument.split_once('=') {
                Some((option, value)) if option.starts_with('-') => {
                    is_file = takes_file(option);
                    value
                }
                _ => argument.as_str(),
            };
            // Back-slashes in fields are read as what they are; a server gets its arguments as written.
            if is_of_windows(value) || (is_file && value.contains('\\')) {
                let what = format!("`args` contain `{value}`, a path of Windows");
                self.find(Severity::Open, what, hint("args: [...]".to_owned()));
            }
            is_file = takes_file(&argument);
        }
    }
}

/// Whether a path begins with a drive or the name of a machine, as only Windows' do.
fn is_of_windows(path: &str) -> bool {
    let bytes = path.as_bytes();
    let has_drive = bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.get(1) == Some(&b':')
        && matches!(bytes.get(2), Some(b'\\' | b'/'));
    has_drive || path.starts_with(r"\\")
}
