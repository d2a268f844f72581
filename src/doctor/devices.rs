//! GPUs and Vulkan against what instances ask for. What a server itself says that it computes on goes
//! before what files of drivers tell.

use super::facts::{Machine, Wanted};
use super::machine::{enabled, unread};
use super::{Check, Code, Examined, Finding};
use crate::desired::argv::device_prefix;
use crate::manifest::GpuBackend;
use crate::observed::Seen;
use crate::release::host::{Doubt, Finding as Found, Host, Part};
use crate::release::{Accelerator, Os, Variant};

/// What to do where a GPU is not to be had.
const DO_WITHOUT: &str = "pin `variant: cpu` and leave `gpu.backend` out";

fn found(host: &Host, part: Part) -> Option<&Found> {
    host.findings.iter().find(|found| found.what == part)
}

/// What an instance is to compute on, as it is written or as its variant says.
fn backend(one: &Wanted) -> Option<GpuBackend> {
    one.backend
        .or_else(|| match one.variant.as_ref()?.accelerator()? {
            Accelerator::Cuda(_) => Some(GpuBackend::Cuda),
            Accelerator::Rocm(_) => Some(GpuBackend::Rocm),
            Accelerator::Vulkan => Some(GpuBackend::Vulkan),
            Accelerator::Cpu | Accelerator::Other(_) => None,
        })
        .filter(|backend| *backend != GpuBackend::Cpu)
}

/// Whether the instance's own server says that it has such a device; `None` where it says nothing.
fn has_device(one: &Wanted, backend: GpuBackend) -> Option<bool> {
    let devices = one.devices.as_ref().filter(|devices| !devices.is_empty())?;
    let prefix = device_prefix(backend);
    let metal = |name: &str| backend == GpuBackend::Metal && name.starts_with("Metal");
    Some(
        devices
            .iter()
            .any(|name| name.starts_with(prefix) || metal(name)),
    )
}

/// Why this machine, or the build, does not have what an instance asks for.
fn lacks(host: &Host, one: &Wanted, backend: GpuBackend) -> Option<String> {
    let has = &host.accelerators;
    let (is_there, what, part) = match backend {
        GpuBackend::Cpu | GpuBackend::Sycl => return other_build(host, one, backend),
        GpuBackend::Cuda => (
            has.cuda.is_some(),
            Doubt::NoDriver.to_string(),
            Part::NvidiaDriver,
        ),
        GpuBackend::Rocm => (has.rocm, Doubt::NoRocm.to_string(), Part::Rocm),
        GpuBackend::Vulkan => (has.vulkan, Doubt::NoVulkan.to_string(), Part::Vulkan),
        GpuBackend::Metal => {
            let is_there = found(host, Part::Metal).is_some_and(|it| it.value.is_some());
            (
                is_there,
                "needs a Mac with a processor of Apple's".to_owned(),
                Part::Metal,
            )
        }
    };
    if !is_there {
        let missing = found(host, part).filter(|found| found.value.is_none());
        let missing = missing.map(|found| format!(" ({})", found.from));
        return Some(what + &missing.unwrap_or_default());
    }
    let parts = one.variant.as_ref().and_then(Variant::parts);
    let doubt = parts.and_then(|parts| host.device_doubt(&parts));
    doubt
        .map(|doubt| doubt.to_string())
        .or_else(|| other_build(host, one, backend))
}

/// Whether a build is for something else than its instance asks for. What is made for Macs names no
/// accelerator.
fn other_build(host: &Host, one: &Wanted, backend: GpuBackend) -> Option<String> {
    let variant = one.variant.as_ref()?;
    let is_for = match variant.accelerator()? {
        Accelerator::Cpu => GpuBackend::Cpu,
        Accelerator::Vulkan => GpuBackend::Vulkan,
        Accelerator::Cuda(_) => GpuBackend::Cuda,
        Accelerator::Rocm(_) => GpuBackend::Rocm,
        Accelerator::Other(_) => return None,
    };
    (host.os != Os::Macos && is_for != backend).then(|| {
        format!(
            "asks for {}, and its build is `{}`",
            device_prefix(backend),
            variant.short()
        )
    })
}

/// Judges the instances that compute on one of these backends.
fn devices(
    examined: &mut Examined,
    host: &Host,
    wanted: Option<&Seen<Vec<Wanted>>>,
    codes: (Code, Code),
    is_mine: impl Fn(GpuBackend) -> bool,
    fix: &str,
) -> usize {
    let mut asking = 0;
    for one in enabled(wanted) {
        let Some(backend) = backend(one).filter(|backend| is_mine(*backend)) else {
            continue;
        };
        asking += 1;
        let name = one.name.as_str();
        match has_device(one, backend) {
            Some(true) => {}
            Some(false) => examined.find(Finding::new(
                if one.required {
                    codes.0
                } else {
                    Code::RunsWithoutGpu
                },
                name,
                format!(
                    "asks for {}, and its server computes on {}",
                    device_prefix(backend),
                    one.devices.as_deref().unwrap_or_default().join(", ")
                ),
                format!("see `llama-orch logs {name}`; {fix}"),
            )),
            None => {
                if let Some(why) = lacks(host, one, backend) {
                    let code = if one.required { codes.0 } else { codes.1 };
                    let rest = if one.required {
                        ""
                    } else {
                        "; it would compute on the processor"
                    };
                    examined.find(Finding::new(code, name, format!("{why}{rest}"), fix));
                }
            }
        }
    }
    asking
}

pub(super) fn gpu(machine: &Machine, wanted: Option<&Seen<Vec<Wanted>>>) -> Examined {
    let Some(host) = &machine.host else {
        return Examined::skipped(
            Check::Gpu,
            "llama.cpp publishes no builds for this system and processor",
        );
    };
    let mut examined = Examined::of(Check::Gpu);
    unread(&mut examined, wanted);
    let fix = format!("install the GPU's driver and pin a variant for it, or {DO_WITHOUT}");
    let asking = devices(
        &mut examined,
        host,
        wanted,
        (Code::RequiredGpuUnusable, Code::GpuUnusable),
        |backend| backend != GpuBackend::Vulkan,
        &fix,
    );
    for one in enabled(wanted) {
        if one.backend == Some(GpuBackend::Sycl) && has_device(one, GpuBackend::Sycl).is_none() {
            examined.skip(format_args!("{}: SYCL is not looked for", one.name));
        }
    }
    let parts = [Part::NvidiaDriver, Part::Rocm, Part::Metal];
    let there = parts.iter().filter_map(|part| {
        let found = found(host, *part)?;
        let value = found.value.as_ref()?;
        Some(format!("{} {value}", found.what))
    });
    let there: Vec<String> = there.collect();
    let there = if there.is_empty() {
        "no NVIDIA, ROCm or Metal GPU".to_owned()
    } else {
        there.join("; ")
    };
    examined.tell(
        if asking == 0 && wanted.is_some_and(|it| it.known().is_some()) {
            format!("{there}; no instance asks for one")
        } else {
            there
        },
    )
}

pub(super) fn vulkan(machine: &Machine, wanted: Option<&Seen<Vec<Wanted>>>) -> Examined {
    let Some(host) = &machine.host else {
        return Examined::skipped(Check::Vulkan, "it is not known how this system has it");
    };
    let mut examined = Examined::of(Check::Vulkan);
    unread(&mut examined, wanted);
    let there =
        found(host, Part::Vulkan).map_or_else(|| "not used on this system".to_owned(), Found::told);
    let fix = format!(
        "install the loader (`libvulkan1`, `vulkan-loader`) and the GPU's Vulkan driver and pin `variant: vulkan`, or {DO_WITHOUT}"
    );
    let asking = devices(
        &mut examined,
        host,
        wanted,
        (Code::RequiredVulkanUnusable, Code::VulkanUnusable),
        |backend| backend == GpuBackend::Vulkan,
        &fix,
    );
    examined.tell(
        if asking == 0 && wanted.is_some_and(|it| it.known().is_some()) {
            format!("{there}; no instance asks for it")
        } else {
            there
        },
    )
}
