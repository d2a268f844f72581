//! What a server says of its load in its log: the devices it computes on, the layers it put there,
//! its context. Pure; reading the file is left to [`crate::instance::log`].
//!
//! The texts are those of llama.cpp b4600 to b11434 (`src/llama.cpp`, `src/llama-model.cpp`,
//! `src/llama-context.cpp`, `tools/server`, ggml's backends). From b9151 on they are only written at
//! `--verbosity 4`; a log that has none of them says nothing, which is no finding.

use crate::instance::record::LoadFacts;

/// Texts by which a server says that it found no GPU, whatever else it says.
const NO_GPU: [&str; 5] = [
    "no usable GPU found",
    "no CUDA-capable device",
    "ggml_cuda_init: failed to initialize",
    "ggml_vulkan: No devices found",
    "ggml_metal_init: error",
];

/// Reads a log line by line, keeping nothing but what it found.
#[derive(Debug, Default)]
pub struct LoadLog {
    found: LoadFacts,
    /// The context the slots add up to, where no line tells it itself.
    slots: Option<u32>,
}

impl LoadLog {
    /// Takes the next line.
    pub fn line(&mut self, line: &str) {
        if let Some(device) = using_device(line).or_else(|| buffer_device(line)) {
            if !self.found.devices.iter().any(|known| known == device) {
                self.found.devices.push(device.to_owned());
            }
        } else if let Some(layers) = offloaded(line) {
            // A draft model is loaded after the model and has fewer layers; `--fit` loads the model
            // itself several times, and the last one counts.
            if self.found.layers.is_none_or(|(_, all)| layers.1 >= all) {
                self.found.layers = Some(layers);
            }
        } else if let Some(context) = context(line) {
            self.found.context = self.found.context.max(Some(context));
        } else if let Some(slots) = slots(line) {
            self.slots = Some(slots);
        } else if NO_GPU.iter().any(|words| line.contains(words)) {
            self.found.no_gpu = true;
        }
    }

    /// What was found.
    pub fn found(mut self) -> LoadFacts {
        self.found.context = self.found.context.or(self.slots);
        self.found
    }
}

/// `llama_prepare_model_devices: using device CUDA0 (NVIDIA GeForce ...) - 11245 MiB free`
fn using_device(line: &str) -> Option<&str> {
    let (_, after) = line.split_once(": using device ")?;
    let (name, rest) = after.split_once(" (")?;
    (rest.contains("MiB free") && !name.contains(' ')).then(|| device_of(name))
}

/// `load_tensors:      Vulkan0 model buffer size =  4699.90 MiB`
fn buffer_device(line: &str) -> Option<&str> {
    let (before, _) = line.split_once(" model buffer size =")?;
    let name = before.rsplit([' ', ':']).next()?;
    (!name.is_empty()).then(|| device_of(name))
}

/// The device a buffer lies on: `CUDA0` of `CUDA0_Split`, and the processor's memory for what the
/// host holds on a device's behalf (`CUDA_Host`).
fn device_of(buffer: &str) -> &str {
    match buffer.split_once('_') {
        Some((_, "Host") | ("CPU", _)) => "CPU",
        Some((device, "Mapped" | "Split" | "Private" | "Shared" | "REPACK")) => device,
        Some(_) | None if buffer == "AMX" => "CPU",
        Some(_) | None => buffer,
    }
}

/// `load_tensors: offloaded 33/33 layers to GPU`
fn offloaded(line: &str) -> Option<(u32, u32)> {
    let (_, after) = line.split_once("offloaded ")?;
    let (counts, _) = after.split_once(" layers to GPU")?;
    let (offloaded, all) = counts.split_once('/')?;
    Some((offloaded.parse().ok()?, all.parse().ok()?))
}

/// `llama_context: n_ctx                 = 4096`; older builds say it as
/// `llama_init_from_model` or `llama_new_context_with_model`.
fn context(line: &str) -> Option<u32> {
    let (before, after) = line.split_once(": n_ctx ")?;
    let who = before.rsplit(' ').next()?;
    let tells = ["llama_context", "llama_init", "llama_new_context"];
    if !tells.iter().any(|name| who.starts_with(name)) {
        return None;
    }
    after.trim_start().strip_prefix('=')?.trim().parse().ok()
}

/// `load_model: initializing, n_slots = 4, n_ctx_slot = 512, kv_unified = 'true'`: slots of a unified
/// cache share one context.
fn slots(line: &str) -> Option<u32> {
    let number = |name: &str| -> Option<u32> {
        let (_, after) = line.split_once(name)?;
        let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    let each = number("n_ctx_slot = ")?;
    let count = number("n_slots = ")?;
    if line.contains("kv_unified = 'true'") {
        Some(each)
    } else {
        each.checked_mul(count)
    }
}

#[cfg(test)]
mod tests;
