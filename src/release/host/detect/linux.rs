//! A Linux machine: its devices, its drivers' files, and the C library they are linked with.

#![expect(
    clippy::disallowed_methods,
    reason = "the one look at this machine that a choice of builds needs"
)]

use std::path::{Path, PathBuf};

use crate::linkage;
use crate::release::host::{Finding, Host, Libc, Part, newest_cuda};
use crate::release::{Arch, Os};

/// Where Linux systems keep shared libraries, those of the processor's own width first; `ld.so`
/// knows more, but asking it needs a process.
const LIBRARY_FOLDERS: &[&str] = &[
    "usr/lib64",
    "lib64",
    "usr/lib/{triplet}",
    "lib/{triplet}",
    "usr/lib",
    "lib",
    "usr/local/lib",
    "usr/local/lib64",
    "run/opengl-driver/lib",
    WSL,
];

/// Where Windows lays its drivers' libraries for the Linux systems inside it.
const WSL: &str = "usr/lib/wsl/lib";

/// Where the Vulkan loader looks for drivers, each a JSON file (the loader's own description of
/// `LoaderDriverInterface.md`; NixOS has a place of its own).
const VULKAN_DRIVERS: &[&str] = &[
    "etc/vulkan/icd.d",
    "usr/local/etc/vulkan/icd.d",
    "usr/local/share/vulkan/icd.d",
    "usr/share/vulkan/icd.d",
    "run/opengl-driver/share/vulkan/icd.d",
];

impl Host {
    pub(in crate::release::host) fn on_linux(root: &Path, arch: Arch) -> Self {
        let mut host = Self::of(Os::Linux, arch);
        let machine = Machine { root, arch };
        host.libc(&machine);
        host.nvidia(&machine);
        host.vulkan(&machine);
        host.rocm(&machine);
        host
    }

    fn libc(&mut self, machine: &Machine<'_>) {
        let glibc = machine.libraries("libc.so.6").find_map(|path| {
            let version = linkage::read(&path).ok()??.offers?;
            Some((version, path))
        });
        let musl = machine.first(&["lib", "usr/lib"], |name| name.starts_with("ld-musl-"));
        let (libc, finding) = match (glibc, musl) {
            (Some((version, path)), _) => (
                Libc::Glibc(version),
                Finding::there(
                    Part::CLibrary,
                    format!("glibc {version}"),
                    machine.shown(&path),
                ),
            ),
            (None, Some(path)) => (
                Libc::Musl,
                Finding::there(Part::CLibrary, "musl", machine.shown(&path)),
            ),
            (None, None) => (
                Libc::Unknown,
                Finding::there(
                    Part::CLibrary,
                    "not known",
                    "there is no libc.so.6 in the usual places",
                ),
            ),
        };
        self.libc = libc;
        self.findings.push(finding);
    }

    fn nvidia(&mut self, machine: &Machine<'_>) {
        const VERSION: &str = "proc/driver/nvidia/version";
        let missing = |why: &str| Finding::missing(Part::NvidiaDriver, why);
        let has_library = machine.libraries("libcuda.so.1").next().is_some();
        let text = std::fs::read_to_string(machine.root.join(VERSION)).ok();
        let version = text.as_deref().and_then(driver_version);
        let finding = if machine.nvidia_device() {
            let major = version.and_then(|version| version.split('.').next()?.parse().ok());
            self.accelerators.driver = major.filter(|_| has_library);
            match (version, major.and_then(newest_cuda)) {
                _ if !has_library => missing("a device, but no libcuda.so.1"),
                (None, _) => missing("a device and a driver, but its version cannot be read"),
                (Some(version), None) => {
                    missing(&format!("{version} is too old for CUDA 12 and newer"))
                }
                (Some(version), Some(cuda)) => {
                    self.accelerators.cuda = Some(cuda);
                    let value = format!("{version}, which runs CUDA {cuda}");
                    Finding::there(Part::NvidiaDriver, value, format!("/{VERSION}"))
                }
            }
        } else if machine.has("dev/dxg") && machine.has(&format!("{WSL}/libcuda.so.1")) {
            // The driver is Windows', whose version no file here tells; every one that is still
            // in use runs CUDA 12.
            self.accelerators.cuda = Some(12);
            Finding::there(
                Part::NvidiaDriver,
                "that of Windows, which runs CUDA 12 at least",
                format!("/{WSL}/libcuda.so.1"),
            )
        } else {
            missing("there is no /dev/nvidia0")
        };
        self.findings.push(finding);
    }

    fn vulkan(&mut self, machine: &Machine<'_>) {
        let render = machine.first(&["dev/dri"], |name| name.starts_with("renderD"));
        let has_gpu = render.is_some() || machine.nvidia_device();
        // llvmpipe computes on the processor, slower than the build that is made for it.
        let driver = machine.first(VULKAN_DRIVERS, |name| {
            Path::new(name).extension().is_some_and(|end| end == "json")
                && !name.starts_with("lvp_")
        });
        let loader = machine.libraries("libvulkan.so.1").next();
        let finding = match (has_gpu, loader, driver) {
            (false, _, _) => {
                Finding::missing(Part::Vulkan, "there is no GPU, as in /dev/dri/renderD128")
            }
            (true, None, _) => {
                Finding::missing(Part::Vulkan, "a GPU, but no loader, libvulkan.so.1")
            }
            (true, Some(_), None) => Finding::missing(
                Part::Vulkan,
                "a GPU and a loader, but no driver in /usr/share/vulkan/icd.d",
            ),
            (true, Some(_), Some(driver)) => {
                self.accelerators.vulkan = true;
                let value = "a GPU, a loader and a driver";
                Finding::there(Part::Vulkan, value, machine.shown(&driver))
            }
        };
        self.findings.push(finding);
    }

    fn rocm(&mut self, machine: &Machine<'_>) {
        const VERSION: &str = "opt/rocm/.info/version";
        let library = machine
            .first(&["opt/rocm/lib", "opt/rocm/lib64"], is_hip)
            .or_else(|| machine.first(&machine.folders(), is_hip));
        let finding = match (machine.has("dev/kfd"), library) {
            (false, _) => Finding::missing(Part::Rocm, "there is no /dev/kfd"),
            (true, None) => Finding::missing(Part::Rocm, "a device, but no libamdhip64.so"),
            (true, Some(library)) => {
                self.accelerators.rocm = true;
                match std::fs::read_to_string(machine.root.join(VERSION)) {
                    Ok(text) if is_version(text.trim()) => {
                        Finding::there(Part::Rocm, text.trim(), format!("/{VERSION}"))
                    }
                    Ok(_) | Err(_) => {
                        let value = "a GPU and the runtime";
                        Finding::there(Part::Rocm, value, machine.shown(&library))
                    }
                }
            }
        };
        self.findings.push(finding);
    }
}

fn is_hip(name: &str) -> bool {
    name.starts_with("libamdhip64.so")
}

/// What is shown to a person: `6.4.1-83`, but not whatever else such a file may hold.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A file system that is looked at.
struct Machine<'a> {
    root: &'a Path,
    arch: Arch,
}

impl Machine<'_> {
    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn folders(&self) -> Vec<String> {
        let triplet = match self.arch {
            Arch::X64 => "x86_64-linux-gnu",
            Arch::Arm64 => "aarch64-linux-gnu",
            Arch::S390x => "s390x-linux-gnu",
        };
        let folders = LIBRARY_FOLDERS.iter();
        folders
            .map(|folder| folder.replace("{triplet}", triplet))
            .collect()
    }

    /// The places a library of this name lies in.
    fn libraries(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let paths: Vec<PathBuf> = self
            .folders()
            .iter()
            .map(|folder| self.root.join(folder).join(name))
            .collect();
        paths.into_iter().filter(|path| path.exists())
    }

    /// The first file, by folder and name, whose name is one that is looked for.
    fn first(&self, folders: &[impl AsRef<str>], wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
        folders.iter().find_map(|folder| {
            let entries = std::fs::read_dir(self.root.join(folder.as_ref())).ok()?;
            entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_name().to_str().is_some_and(&wanted))
                .map(|entry| entry.path())
                .min()
        })
    }

    /// Whether there is a GPU of NVIDIA's; a container may have been given the second one only.
    fn nvidia_device(&self) -> bool {
        let is_device = |name: &str| {
            name.strip_prefix("nvidia").is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
            })
        };
        self.first(&["dev"], is_device).is_some()
    }

    /// A path as it is on the machine itself.
    fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(self.root).unwrap_or(path);
        format!("/{}", path.display())
    }
}

/// The driver's version in `/proc/driver/nvidia/version`, which has a line such as `NVRM version:
/// NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:10:12 UTC 2025`.
fn driver_version(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    line.split_whitespace().find(|word| {
        word.contains('.')
            && word
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    })
}
