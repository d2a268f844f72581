//! What this machine is, told by files that are there or not. Nothing is run and nothing is loaded.
//!
//! Every fact is kept with where it comes from. What follows from the facts is left to the choice.

mod linux;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::{Accelerators, Finding, Host, Part};
use crate::release::{Arch, Os};

impl Host {
    /// Looks at this machine. `None` on a system or processor llama.cpp publishes nothing for.
    pub fn detect() -> Option<Self> {
        let arch = match std::env::consts::ARCH {
            "x86_64" => Arch::X64,
            "aarch64" => Arch::Arm64,
            "s390x" => Arch::S390x,
            _ => return None,
        };
        match std::env::consts::OS {
            "linux" => Some(Self::on_linux(Path::new("/"), arch)),
            "macos" => Some(Self::on_macos(arch)),
            "windows" => Some(Self::on_windows(Path::new(r"C:\Windows\System32"), arch)),
            _ => None,
        }
    }

    /// What is known of it before anything was looked at.
    fn of(os: Os, arch: Arch) -> Self {
        let system = Finding::there(
            Part::System,
            format!("{os} on {arch}"),
            "what this program was built for",
        );
        Self {
            findings: vec![system],
            ..Self::bare(os, arch)
        }
    }

    pub(super) fn on_macos(arch: Arch) -> Self {
        let mut host = Self::of(Os::Macos, arch);
        host.findings.push(if arch == Arch::Arm64 {
            Finding::there(
                Part::Metal,
                "the processor's GPU",
                "every Mac on arm64 has one",
            )
        } else {
            Finding::missing(Part::Metal, "the builds for Macs on x64 leave it out")
        });
        host
    }

    pub(super) fn on_windows(system: &Path, arch: Arch) -> Self {
        let mut host = Self::of(Os::Windows, arch);
        let has = |name: &str| system.join(name).exists();
        // The driver's version is not to be had from a file's name, and every driver that is
        // still in use runs CUDA 12.
        host.accelerators = Accelerators {
            // The loader comes with the driver of any GPU that can do Vulkan.
            vulkan: has("vulkan-1.dll"),
            cuda: has("nvcuda.dll").then_some(12),
            ..Accelerators::default()
        };
        host.findings.push(if has("nvcuda.dll") {
            let value = "of unknown version, which runs CUDA 12 at least";
            Finding::there(Part::NvidiaDriver, value, "nvcuda.dll")
        } else {
            Finding::missing(Part::NvidiaDriver, "there is no nvcuda.dll")
        });
        host.findings.push(if has("vulkan-1.dll") {
            Finding::there(Part::Vulkan, "a loader with its driver", "vulkan-1.dll")
        } else {
            Finding::missing(Part::Vulkan, "there is no vulkan-1.dll")
        });
        let unseen = "not looked for on Windows; ask for it by name";
        host.findings.push(Finding::missing(Part::Rocm, unseen));
        host
    }
}
