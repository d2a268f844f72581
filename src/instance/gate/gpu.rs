//! Whether a server computes where it has to: on the device it was told, with no fewer layers there
//! and no less context than the launch before it. Pure.
//!
//! llama.cpp lowers all three by itself where memory is short (`--fit`, `-ngl auto`), and then
//! serves, slowly. What its log says is read in [`super::load_log`].

use crate::instance::Launch;
use crate::instance::record::{LoadFacts, RecordedLaunch};

/// In what a server falls short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcoming {
    /// As one line that follows the server's name.
    pub reason: String,
    /// Whether the same launch may do better at another time.
    pub transient: bool,
}

/// What computes and is no GPU.
const NO_GPUS: [&str; 3] = ["CPU", "BLAS", "ACCEL"];

/// In what a server that must compute on a GPU falls short, as far as its log tells.
pub fn shortcoming(
    launch: &Launch,
    load: &LoadFacts,
    baseline: Option<&LoadFacts>,
) -> Option<Shortcoming> {
    let wanted = launch.gpu.as_ref()?;
    if load.devices.is_empty() && load.no_gpu
        || !load.devices.is_empty() && !load.devices.iter().any(|name| is_a(name, wanted))
    {
        return Some(Shortcoming {
            reason: elsewhere(wanted, load),
            transient: true,
        });
    }
    let short = |reason: String| {
        Some(Shortcoming {
            reason,
            transient: false,
        })
    };
    let before = baseline.and_then(|baseline| baseline.layers);
    match (load.layers, before) {
        (Some((0, all)), _) if all > 0 => {
            return short(format!("offloaded 0 of {all} layers to the GPU"));
        }
        (Some((now, all)), Some((then, _))) if now < then => {
            return short(format!(
                "offloaded {now} of {all} layers to the GPU, the last proven launch {then}"
            ));
        }
        _ => {}
    }
    match (load.context, baseline.and_then(|baseline| baseline.context)) {
        (Some(now), Some(then)) if now < then => short(format!(
            "has a context of {now} tokens, the last proven launch {then}"
        )),
        _ => None,
    }
}

/// Whether the log tells whether a server computes where it has to.
pub fn is_told(load: &LoadFacts) -> bool {
    load.no_gpu || !load.devices.is_empty()
}

/// What a launch has to measure up to: what the last proven one said, where nothing differs between
/// them that could be meant to change it. Memory is shared between layers and context, so that any
/// other option may.
pub fn baseline(
    launch: &RecordedLaunch,
    last: &RecordedLaunch,
    load: &LoadFacts,
) -> Option<LoadFacts> {
    const HARMLESS: [&str; 6] = [
        "binary",
        "gpu.require",
        "server.api_key",
        "server.host",
        "server.port",
        "server.timeout",
    ];
    let changes = last.changes_to(launch);
    changes
        .iter()
        .all(|change| HARMLESS.contains(&change.field.as_str()))
        .then(|| load.clone())
}

/// Whether a device is the one that is wanted: of that name, or of that kind where no number is told.
fn is_a(name: &str, wanted: &str) -> bool {
    if wanted.is_empty() {
        return !NO_GPUS.contains(&name);
    }
    if wanted.ends_with(|last: char| last.is_ascii_digit()) {
        return name == wanted;
    }
    // Metal devices were called `Metal` before they were counted (`MTL0`).
    name.starts_with(wanted) || (wanted == "MTL" && name == "Metal")
}

fn elsewhere(wanted: &str, load: &LoadFacts) -> String {
    let device = if wanted.is_empty() { "GPU" } else { wanted };
    if load.devices.is_empty() {
        format!("found no {device} device")
    } else {
        let uses = load.devices.join(" and ");
        format!("computes on {uses}, and not on {device}")
    }
}

#[cfg(test)]
mod tests;
