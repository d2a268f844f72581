//! From an instance's fields to the launch of its server: arguments, environment, the files it
//! names, and the inputs it is compared by.
//!
//! Pure. Which build runs it was decided before; what the files contain is looked at by the
//! backend.

pub(crate) mod origin;

use std::collections::BTreeMap;
use std::fmt;

use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::WantedBinary;
use crate::instance::{EnvironmentValue, FileRole, InstanceName, Launch, LaunchInputs};
use crate::manifest::{GpuBackend, Instance, ModelSource, is_secret_name};
use crate::release::{Accelerator, Digest};

/// A random text that never leaves this machine, mixed into hashes of secrets so that a record
/// cannot be searched for a known one.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(String);

impl Salt {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The salted hash of a secret.
    pub fn hash(&self, secret: impl AsRef<[u8]>) -> Digest {
        Digest::of([self.0.as_bytes(), b"\0", secret.as_ref()].concat())
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// The options of `llama-server` whose value is a file, and how a change of the file is noticed.
const FILE_OPTIONS: &[(&[&str], FileRole)] = &[
    (&["--mmproj", "-mm"], FileRole::Model),
    (&["--lora", "--lora-scaled"], FileRole::Model),
    (
        &["--control-vector", "--control-vector-scaled"],
        FileRole::Model,
    ),
    (
        &["--model-draft", "-md", "--spec-draft-model"],
        FileRole::Model,
    ),
    (&["--model-vocoder", "-mv"], FileRole::Model),
    (&["--chat-template-file"], FileRole::Content),
    (&["--models-preset"], FileRole::Content),
    (&["--grammar-file"], FileRole::Content),
    (&["--json-schema-file", "-jf"], FileRole::Content),
    (&["--ssl-key-file"], FileRole::Content),
    (&["--ssl-cert-file"], FileRole::Content),
];

/// Of those, the ones that take several files between commas, each with a scale after a colon
/// where the name says so (llama.cpp's tools/server/README.md, b11429).
const LIST_OPTIONS: &[&str] = &[
    "--lora",
    "--lora-scaled",
    "--control-vector",
    "--control-vector-scaled",
];

/// Options and variables that choose devices by themselves, so that `gpu.device_id` keeps out.
const DEVICE_OPTIONS: &[&str] = &["--device", "-dev", "--main-gpu", "-mg"];
const DEVICE_VARIABLES: &[&str] = &[
    "CUDA_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "GGML_VULKAN_DEVICE",
    "HIP_VISIBLE_DEVICES",
    "LLAMA_ARG_DEVICE",
    "ROCR_VISIBLE_DEVICES",
];

/// The first build that says what it loads where only at `--verbosity 4` (ggml-org/llama.cpp#23021);
/// at 4, earlier ones log every token.
const TERSE_SINCE: u32 = 9151;

/// The variables that set the same: `LLAMA_LOG_VERBOSITY` up to b9357, the other one since.
const VERBOSITY_VARIABLES: &[&str] = &["LLAMA_ARG_LOG_VERBOSITY", "LLAMA_LOG_VERBOSITY"];

/// The launch of an instance on a build.
pub(super) fn launch(
    name: &InstanceName,
    instance: &Instance,
    binary: &WantedBinary,
    digest: Option<Digest>,
    salt: &Salt,
) -> Launch {
    let mut launch = Drafted::default();
    launch.inputs.set("binary", binary_input(binary, digest));
    launch.model(instance);
    launch.gpu(instance, binary);
    launch.server(name, instance);
    for (variable, value) in &instance.env {
        launch.inputs.set(
            format!("env.{variable}"),
            environment_input(variable, value, salt),
        );
        if let EnvironmentValue::File(path) = value {
            launch.files.insert(path.clone(), FileRole::Content);
        }
    }
    launch.name_files(&instance.args);
    if !instance.args.is_empty() {
        launch.inputs.set("args", instance.args.clone());
    }
    launch.arguments.extend(instance.args.iter().cloned());
    let source = instance.model.as_ref().map(|model| &model.source);
    Launch {
        binary: binary.id,
        build: binary.build.clone(),
        environment: instance.env.clone(),
        host: instance.server.host.clone(),
        port: instance.server.port,
        api_key: instance.server.api_key.clone(),
        files: launch.files,
        fetches: !origin::fetched(&launch.arguments).is_empty(),
        arguments: launch.arguments,
        router: matches!(source, Some(ModelSource::Directory(_))),
        foreign: false,
        gpu: launch.required,
        inputs: launch.inputs,
    }
}

/// A build is compared by its archive; one without is by its id. The names are there to be read.
fn binary_input(binary: &WantedBinary, digest: Option<Digest>) -> Value {
    let (key, value) = match digest {
        Some(digest) => ("sha256", digest.to_string()),
        None => ("id", binary.id.to_string()),
    };
    json!({ "build": binary.build.as_str(), "variant": binary.variant.as_str(), key: value })
}

fn environment_input(variable: &str, value: &EnvironmentValue, salt: &Salt) -> Value {
    match value {
        EnvironmentValue::Literal(text) if is_secret_name(variable) => {
            json!(format!("(secret {})", &salt.hash(text).to_string()[..12]))
        }
        EnvironmentValue::Literal(text) => json!(text),
        EnvironmentValue::File(path) => json!({ "file": path }),
        EnvironmentValue::FromEnv(other) => json!({ "from_env": other }),
    }
}

#[derive(Default)]
struct Drafted {
    arguments: Vec<String>,
    /// [`Launch::gpu`].
    required: Option<String>,
    inputs: LaunchInputs,
    files: BTreeMap<Utf8PathBuf, FileRole>,
}

impl Drafted {
    fn option(&mut self, option: &str, value: impl fmt::Display) {
        self.arguments
            .extend([option.to_owned(), format!("{value}")]);
    }

    /// An option that is passed, and compared, only where its field was written.
    fn optional(&mut self, field: &str, option: &str, value: Option<impl Into<i64>>) {
        if let Some(value) = value.map(Into::into) {
            self.option(option, value);
            self.inputs.set(field, value);
        }
    }

    fn model(&mut self, instance: &Instance) {
        let Some(model) = &instance.model else { return };
        match &model.source {
            ModelSource::Path(path) => {
                self.option("--model", path);
                self.inputs.set("model.path", path.as_str());
                self.files.insert(path.clone(), FileRole::Model);
            }
            ModelSource::HuggingFace(name) => {
                self.option("--hf-repo", name);
                self.inputs.set("model.hf", name.as_str());
            }
            ModelSource::Directory(path) => {
                self.option("--models-dir", path);
                self.inputs.set("model.directory", path.as_str());
                self.files.insert(path.clone(), FileRole::Directory);
            }
            ModelSource::Unset => {}
        }
        self.optional("model.context_size", "--ctx-size", model.context_size);
        self.optional("model.batch_size", "--batch-size", model.batch_size);
        self.optional("model.threads", "--threads", model.threads);
    }

    fn gpu(&mut self, instance: &Instance, binary: &WantedBinary) {
        let gpu = &instance.gpu;
        let chosen_elsewhere = instance
            .args
            .iter()
            .any(|argument| chooses_device(argument))
            || instance
                .env
                .keys()
                .any(|key| DEVICE_VARIABLES.contains(&key.as_str()));
        let device = match (gpu.backend.or_else(|| backend_of(binary)), gpu.device_id) {
            // A build that has a GPU would use it unasked (`-ngl auto` is upstream's default).
            (Some(GpuBackend::Cpu), _) => match binary.variant.accelerator() {
                Some(Accelerator::Cpu) | None => None,
                Some(_) => Some("none".to_owned()),
            },
            (Some(backend), Some(id)) => Some(format!("{}{id}", device_prefix(backend))),
            (Some(_), None) | (None, _) => None,
        };
        if gpu.require && gpu.backend != Some(GpuBackend::Cpu) {
            self.required = Some(
                match (&device, gpu.backend.or_else(|| backend_of(binary))) {
                    (Some(device), _) if !chosen_elsewhere => device.clone(),
                    (_, Some(backend)) => device_prefix(backend).to_owned(),
                    (_, None) => String::new(),
                },
            );
            self.inputs.set("gpu.require", true);
            self.say_what_loads(instance, binary);
        }
        if let (Some(device), false) = (device, chosen_elsewhere) {
            self.inputs.set("gpu.device", device.as_str());
            self.option("--device", device);
        }
        if gpu.backend != Some(GpuBackend::Cpu) {
            let layers = gpu.layers.filter(|layers| *layers >= 0);
            self.optional("gpu.layers", "--n-gpu-layers", layers);
        }
    }

    /// Builds that do not say by themselves what they load where are told to, unless the manifest
    /// sets what they log.
    fn say_what_loads(&mut self, instance: &Instance, binary: &WantedBinary) {
        let quiet = binary
            .build
            .tag()
            .is_some_and(|tag| tag.number() >= TERSE_SINCE);
        let chosen = instance
            .env
            .keys()
            .any(|key| VERBOSITY_VARIABLES.contains(&key.as_str()));
        if quiet && !chosen {
            self.option("--verbosity", 4);
        }
    }

    fn server(&mut self, name: &InstanceName, instance: &Instance) {
        let server = &instance.server;
        self.option("--host", &server.host);
        self.option("--port", server.port);
        self.option("--alias", name);
        self.inputs.set("server.host", server.host.as_str());
        self.inputs.set("server.port", server.port);
        self.optional("server.parallel", "--parallel", server.parallel);
        self.optional("server.timeout", "--timeout", server.timeout);
        match &server.api_key {
            Some(EnvironmentValue::File(path)) => {
                self.option("--api-key-file", path);
                self.inputs.set("server.api_key", json!({ "file": path }));
                self.files.insert(path.clone(), FileRole::Content);
            }
            // Reaches the server as LLAMA_API_KEY.
            Some(EnvironmentValue::FromEnv(variable)) => {
                self.inputs
                    .set("server.api_key", json!({ "from_env": variable }));
            }
            Some(EnvironmentValue::Literal(_)) | None => {}
        }
    }

    /// Notes the files that `args` name, written as two arguments or with `=`.
    fn name_files(&mut self, arguments: &[String]) {
        for (index, argument) in arguments.iter().enumerate() {
            let option = option_of(argument);
            let value = match argument.split_once('=') {
                Some((_, value)) => Some(value),
                None => arguments.get(index + 1).map(String::as_str),
            };
            let known = FILE_OPTIONS
                .iter()
                .find(|(names, _)| names.contains(&option.as_str()));
            let (Some((_, role)), Some(value)) = (known, value) else {
                continue;
            };
            if LIST_OPTIONS.contains(&option.as_str()) {
                let scaled = option.ends_with("-scaled");
                for file in value.split(',').filter(|file| !file.is_empty()) {
                    let file = if scaled { without_scale(file) } else { file };
                    self.files.insert(Utf8PathBuf::from(file), *role);
                }
            } else {
                self.files.insert(Utf8PathBuf::from(value), *role);
            }
        }
    }
}

/// The option an argument is. llama.cpp itself takes `--main_gpu` for `--main-gpu` (common/arg.cpp).
fn option_of(argument: &str) -> String {
    let option = argument.split('=').next().unwrap_or_default();
    if option.starts_with("--") {
        option.replace('_', "-")
    } else {
        option.to_owned()
    }
}

/// Whether the value of this option is a file, or several.
pub(crate) fn takes_file(argument: &str) -> bool {
    let option = option_of(argument);
    FILE_OPTIONS
        .iter()
        .any(|(names, _)| names.contains(&option.as_str()))
}

/// Whether this option chooses devices, so that `gpu.device_id` keeps out.
pub(crate) fn chooses_device(argument: &str) -> bool {
    DEVICE_OPTIONS.contains(&option_of(argument).as_str())
}

/// The file of `file:scale`.
fn without_scale(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((file, scale)) if scale.parse::<f32>().is_ok() => file,
        Some(_) | None => text,
    }
}

/// What a build computes on, as far as its variant says.
fn backend_of(binary: &WantedBinary) -> Option<GpuBackend> {
    match binary.variant.accelerator()? {
        Accelerator::Vulkan => Some(GpuBackend::Vulkan),
        Accelerator::Cuda(_) => Some(GpuBackend::Cuda),
        Accelerator::Rocm(_) => Some(GpuBackend::Rocm),
        Accelerator::Cpu | Accelerator::Other(_) => None,
    }
}

/// What `llama-server --list-devices` calls the devices of a backend, less the number.
pub(crate) const fn device_prefix(backend: GpuBackend) -> &'static str {
    match backend {
        GpuBackend::Cpu => "CPU",
        GpuBackend::Vulkan => "Vulkan",
        GpuBackend::Cuda => "CUDA",
        GpuBackend::Metal => "MTL",
        GpuBackend::Rocm => "ROCm",
        GpuBackend::Sycl => "SYCL",
    }
}

#[cfg(test)]
mod tests;
