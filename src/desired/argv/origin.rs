//! Where an argument of a launch comes from, for whoever has to tell a person what to change.

use serde_json::Value;

use crate::instance::Launch;

/// Variables that may change which devices a build lists, by how their names begin.
const DEVICE_VARIABLES_BEGIN: &[&str] = &[
    "CUDA_", "GGML_", "GPU_", "HIP_", "HSA_", "LD_", "ONEAPI_", "ROCR_", "SYCL_", "VK_", "ZE_",
];

/// The options that fields are passed by. `--model`, `--host`, `--port` and `--alias` are as old as the
/// server itself.
const FIELD_OPTIONS: &[(&str, &str)] = &[
    ("--hf-repo", "model.hf"),
    ("--models-dir", "model.directory"),
    ("--ctx-size", "model.context_size"),
    ("--batch-size", "model.batch_size"),
    ("--threads", "model.threads"),
    ("--device", "gpu.device_id"),
    ("--n-gpu-layers", "gpu.layers"),
    ("--parallel", "server.parallel"),
    ("--timeout", "server.timeout"),
    ("--api-key-file", "server.api_key"),
];

/// The field of the manifest that an argument of a launch comes from.
pub(crate) fn field_of(launch: &Launch, argument: &str) -> Option<&'static str> {
    let args = launch.inputs.get("args").and_then(Value::as_array);
    if args.is_some_and(|args| args.iter().any(|arg| arg == argument)) {
        return Some("args");
    }
    let known = FIELD_OPTIONS.iter().find(|(option, _)| *option == argument);
    known.map(|(_, field)| *field)
}

/// The device a launch asks for by its field, as `--list-devices` has to name it. `None` where it asks
/// for none, or where its environment may show it other devices than the build lists.
pub(crate) fn listed_device(launch: &Launch) -> Option<&str> {
    let device = launch.inputs.get("gpu.device")?.as_str()?;
    let meddles = |name: &String| {
        let mut begins = DEVICE_VARIABLES_BEGIN.iter();
        begins.any(|begin| name.starts_with(begin))
    };
    (device != "none" && !launch.environment.keys().any(meddles)).then_some(device)
}

/// The options that make a server fetch something by name before it can start, in the spellings of
/// llama.cpp b5000 to b11434 (`common/arg.cpp`).
const FETCH_OPTIONS: &[&str] = &[
    "-hf",
    "-hfr",
    "--hf-repo",
    "-hff",
    "--hf-file",
    "-hfd",
    "-hfrd",
    "--hf-repo-draft",
    "--spec-draft-hf",
    "-hfv",
    "-hfrv",
    "--hf-repo-v",
    "-mu",
    "--model-url",
    "-mmu",
    "--mmproj-url",
    "-dr",
    "--docker-repo",
];

/// What a server with these arguments fetches by name, as options with their values. Nothing where it
/// is told to stay offline.
pub(crate) fn fetched(arguments: &[String]) -> Vec<(String, String)> {
    if arguments.iter().any(|argument| argument == OFFLINE) {
        return Vec::new();
    }
    let pairs = arguments
        .iter()
        .enumerate()
        .filter_map(|(index, argument)| {
            let option = super::option_of(argument);
            let value = match argument.split_once('=') {
                Some((_, value)) => value,
                None => arguments.get(index + 1)?,
            };
            FETCH_OPTIONS
                .contains(&option.as_str())
                .then(|| (option, value.to_owned()))
        });
    pairs.collect()
}

/// The option by which a server uses what was fetched before, and nothing else.
pub(crate) const OFFLINE: &str = "--offline";
