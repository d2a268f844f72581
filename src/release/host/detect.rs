//! What this machine is, told by files that are there or not. Nothing is run and nothing is loaded.

#![expect(
    clippy::disallowed_methods,
    reason = "the one look at this machine that a choice of builds needs"
)]

use std::path::Path;

use super::{Accelerators, Host};
use crate::release::{Arch, Os};

impl Host {
    /// Looks at this machine. `None` on a system or processor llama.cpp publishes nothing for.
    pub fn detect() -> Option<Self> {
        let os = match std::env::consts::OS {
            "linux" => Os::Linux,
            "macos" => Os::Macos,
            "windows" => Os::Windows,
            _ => return None,
        };
        let arch = match std::env::consts::ARCH {
            "x86_64" => Arch::X64,
            "aarch64" => Arch::Arm64,
            "s390x" => Arch::S390x,
            _ => return None,
        };
        let accelerators = match os {
            Os::Linux => Accelerators::on_linux(Path::new("/")),
            Os::Windows => Accelerators::on_windows(Path::new(r"C:\Windows\System32")),
            Os::Macos => Accelerators::default(),
        };
        Some(Self {
            os,
            arch,
            accelerators,
        })
    }
}

/// Where Linux systems keep shared libraries; `ld.so` knows more, but asking it needs a process.
const LIBRARY_FOLDERS: &[&str] = &[
    "usr/lib",
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/local/lib",
    "lib64",
    "run/opengl-driver/lib",
    "usr/lib/wsl/lib",
];

impl Accelerators {
    pub(super) fn on_linux(root: &Path) -> Self {
        let there = |path: &str| root.join(path).exists();
        let library = |name: &str| {
            LIBRARY_FOLDERS
                .iter()
                .any(|folder| there(&format!("{folder}/{name}")))
        };
        let render_device = std::fs::read_dir(root.join("dev/dri")).is_ok_and(|mut entries| {
            entries.any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("renderD"))
            })
        });
        let nvidia = there("dev/nvidia0");
        Self {
            vulkan: (render_device || nvidia) && library("libvulkan.so.1"),
            rocm: there("dev/kfd")
                && (there("opt/rocm/lib/libamdhip64.so") || library("libamdhip64.so")),
            cuda: if nvidia && library("libcuda.so.1") {
                std::fs::read_to_string(root.join("proc/driver/nvidia/version"))
                    .ok()
                    .and_then(|text| driver_major(&text))
                    .and_then(newest_cuda)
            } else {
                None
            },
        }
    }

    fn on_windows(system: &Path) -> Self {
        Self {
            // The loader comes with the driver of any GPU that can do Vulkan.
            vulkan: system.join("vulkan-1.dll").exists(),
            rocm: false,
            // The driver's version is not to be had from a file's name, and every driver that is
            // still in use runs CUDA 12.
            cuda: system.join("nvcuda.dll").exists().then_some(12),
        }
    }
}

/// The driver's major version in `/proc/driver/nvidia/version`, which has a line such as `NVRM
/// version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:10:12 UTC 2025`.
fn driver_major(text: &str) -> Option<u32> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    line.split_whitespace().find_map(|word| {
        let (major, rest) = word.split_once('.')?;
        rest.starts_with(|c: char| c.is_ascii_digit())
            .then(|| major.parse().ok())?
    })
}

/// NVIDIA's minimum drivers for minor version compatibility: 525 for CUDA 12, 580 for CUDA 13.
const fn newest_cuda(driver: u32) -> Option<u32> {
    match driver {
        580.. => Some(13),
        525.. => Some(12),
        _ => None,
    }
}
