//! Machines of all kinds, each a folder with the files that are told by.

#![expect(clippy::disallowed_methods, reason = "prepares files")]

use super::*;
use crate::linkage::fixture::Elf;
use crate::release::host::{Glibc, Libc};

const NVIDIA: &str =
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:10:12 UTC 2025\n";

/// Files of a machine: where they lie, and what is in them.
type Files<'a> = &'a [(&'a str, &'a str)];

/// A Linux machine on x64 with these files.
fn linux(files: Files<'_>) -> Host {
    with_files(files, |root| Host::on_linux(root, Arch::X64))
}

fn with_files(files: Files<'_>, look: impl FnOnce(&Path) -> Host) -> Host {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        write(root.path(), path, text.as_bytes());
    }
    look(root.path())
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}

/// What was found, a line each, without the system, which is the same in all.
fn told(host: &Host) -> String {
    let lines: Vec<String> = host.findings[1..].iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn an_empty_machine_has_nothing_and_says_what_it_lacks() {
    let host = linux(&[]);
    assert_eq!(host.accelerators, Accelerators::default());
    assert_eq!(host.libc, Libc::Unknown);
    let lines: Vec<String> = host.findings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    system: Linux on x64 (what this program was built for)
    C library: not known (there is no libc.so.6 in the usual places)
    NVIDIA driver: none (there is no /dev/nvidia0)
    Vulkan: none (there is no GPU, as in /dev/dri/renderD128)
    ROCm: none (there is no /dev/kfd)
    ");
}

#[test]
fn vulkan_takes_a_gpu_a_loader_and_a_driver() {
    let gpu = ("dev/dri/renderD128", "");
    let loader = ("usr/lib/x86_64-linux-gnu/libvulkan.so.1", "");
    let driver = ("usr/share/vulkan/icd.d/radeon_icd.x86_64.json", "{}");
    let software = ("usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "{}");
    let table: &[(Files<'_>, bool)] = &[
        (&[gpu, loader, driver], true),
        (&[gpu, loader, software, driver], true),
        (
            &[
                ("dev/nvidia0", ""),
                loader,
                ("etc/vulkan/icd.d/nvidia_icd.json", "{}"),
            ],
            true,
        ),
        (&[gpu, loader], false),
        (&[gpu, loader, software], false),
        (&[gpu, loader, ("usr/share/vulkan/icd.d/README", "")], false),
        (&[gpu, driver], false),
        (&[("dev/dri/card0", ""), loader, driver], false),
    ];
    let mut lines = Vec::new();
    for (files, wanted) in table {
        let host = linux(files);
        assert_eq!(host.accelerators.vulkan, *wanted, "{files:?}");
        let finding = host.findings.iter().find(|one| one.what == Part::Vulkan);
        let finding = finding.expect("it is always looked for");
        assert_eq!(finding.value.is_some(), *wanted, "{finding}");
        lines.push(finding.to_string());
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    Vulkan: a GPU, a loader and a driver (/usr/share/vulkan/icd.d/radeon_icd.x86_64.json)
    Vulkan: a GPU, a loader and a driver (/usr/share/vulkan/icd.d/radeon_icd.x86_64.json)
    Vulkan: a GPU, a loader and a driver (/etc/vulkan/icd.d/nvidia_icd.json)
    Vulkan: none (a GPU and a loader, but no driver in /usr/share/vulkan/icd.d)
    Vulkan: none (a GPU and a loader, but no driver in /usr/share/vulkan/icd.d)
    Vulkan: none (a GPU and a loader, but no driver in /usr/share/vulkan/icd.d)
    Vulkan: none (a GPU, but no loader, libvulkan.so.1)
    Vulkan: none (there is no GPU, as in /dev/dri/renderD128)
    ");
}

#[test]
fn the_driver_of_nvidia_says_which_cuda_it_runs() {
    let library = ("usr/lib/x86_64-linux-gnu/libcuda.so.1", "");
    let version = |text: &'static str| ("proc/driver/nvidia/version", text);
    let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\nGCC version: 12.2.0\n";
    let device = ("dev/nvidia0", "");
    let table: &[(Files<'_>, Option<u32>, Option<u32>)] = &[
        (&[device, library, version(NVIDIA)], Some(13), Some(580)),
        (&[device, library, version(open)], Some(12), Some(550)),
        (
            &[("dev/nvidia3", ""), library, version(open)],
            Some(12),
            Some(550),
        ),
        (
            &[device, library, version("NVRM version: NVIDIA  470.1.1  x")],
            None,
            Some(470),
        ),
        (&[device, library, version("something else")], None, None),
        (&[device, library], None, None),
        (&[device, version(NVIDIA)], None, None),
        (
            &[("dev/nvidiactl", ""), library, version(NVIDIA)],
            None,
            None,
        ),
        (
            &[("dev/dxg", ""), ("usr/lib/wsl/lib/libcuda.so.1", "")],
            Some(12),
            None,
        ),
    ];
    let mut lines = Vec::new();
    for (files, cuda, driver) in table {
        let host = linux(files);
        assert_eq!(host.accelerators.cuda, *cuda, "{files:?}");
        assert_eq!(host.accelerators.driver, *driver, "{files:?}");
        let finding = host
            .findings
            .iter()
            .find(|one| one.what == Part::NvidiaDriver);
        lines.push(finding.expect("it is always looked for").to_string());
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    NVIDIA driver: 580.65.06, which runs CUDA 13 (/proc/driver/nvidia/version)
    NVIDIA driver: 550.54.14, which runs CUDA 12 (/proc/driver/nvidia/version)
    NVIDIA driver: 550.54.14, which runs CUDA 12 (/proc/driver/nvidia/version)
    NVIDIA driver: none (470.1.1 is too old for CUDA 12 and newer)
    NVIDIA driver: none (a device and a driver, but its version cannot be read)
    NVIDIA driver: none (a device and a driver, but its version cannot be read)
    NVIDIA driver: none (a device, but no libcuda.so.1)
    NVIDIA driver: none (there is no /dev/nvidia0)
    NVIDIA driver: that of Windows, which runs CUDA 12 at least (/usr/lib/wsl/lib/libcuda.so.1)
    ");
}

#[test]
fn rocm_takes_a_device_and_the_runtime() {
    let device = ("dev/kfd", "");
    let table: &[(Files<'_>, bool)] = &[
        (
            &[
                device,
                ("opt/rocm/lib/libamdhip64.so", ""),
                ("opt/rocm/.info/version", "6.4.1-83\n"),
            ],
            true,
        ),
        (
            &[
                device,
                ("opt/rocm/lib/libamdhip64.so.7", ""),
                ("opt/rocm/.info/version", "\x1b[2J"),
            ],
            true,
        ),
        (
            &[device, ("usr/lib/x86_64-linux-gnu/libamdhip64.so.6", "")],
            true,
        ),
        (&[device], false),
        (&[("opt/rocm/lib/libamdhip64.so", "")], false),
    ];
    let mut lines = Vec::new();
    for (files, wanted) in table {
        let host = linux(files);
        assert_eq!(host.accelerators.rocm, *wanted, "{files:?}");
        let finding = host.findings.iter().find(|one| one.what == Part::Rocm);
        lines.push(finding.expect("it is always looked for").to_string());
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    ROCm: 6.4.1-83 (/opt/rocm/.info/version)
    ROCm: a GPU and the runtime (/opt/rocm/lib/libamdhip64.so.7)
    ROCm: a GPU and the runtime (/usr/lib/x86_64-linux-gnu/libamdhip64.so.6)
    ROCm: none (a device, but no libamdhip64.so)
    ROCm: none (there is no /dev/kfd)
    ");
}

#[test]
fn glibc_tells_its_version_and_musl_that_it_is_none() {
    let glibc = Elf::default()
        .offering(&["GLIBC_2.2.5", "GLIBC_2.36"])
        .bytes();
    let with = |path: &str, bytes: &[u8], musl: bool| {
        let root = tempfile::tempdir().expect("a temporary folder");
        write(root.path(), path, bytes);
        if musl {
            write(root.path(), "lib/ld-musl-x86_64.so.1", b"");
        }
        Host::on_linux(root.path(), Arch::X64)
    };
    let debian = "usr/lib/x86_64-linux-gnu/libc.so.6";
    let has = Libc::Glibc(Glibc::new(2, 36));
    assert_eq!(with(debian, &glibc, false).libc, has);
    assert_eq!(with("usr/lib64/libc.so.6", &glibc, false).libc, has);
    assert_eq!(
        with(debian, &glibc, true).libc,
        has,
        "musl-tools are installed"
    );
    assert_eq!(with("etc/hostname", b"", true).libc, Libc::Musl);
    assert_eq!(with(debian, b"\x7fELF, cut off", false).libc, Libc::Unknown);
    assert_eq!(
        with("usr/lib/aarch64-linux-gnu/libc.so.6", &glibc, false).libc,
        Libc::Unknown
    );
    let told: Vec<String> = [with(debian, &glibc, false), with("etc/hostname", b"", true)]
        .iter()
        .map(|host| host.findings[1].to_string())
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    C library: glibc 2.36 (/usr/lib/x86_64-linux-gnu/libc.so.6)
    C library: musl (/lib/ld-musl-x86_64.so.1)
    ");
}

#[test]
fn a_machine_with_everything_says_all_of_it() {
    let host = linux(&[
        ("dev/nvidia0", ""),
        ("dev/dri/renderD128", ""),
        ("usr/lib64/libcuda.so.1", ""),
        ("usr/lib64/libvulkan.so.1", ""),
        ("usr/share/vulkan/icd.d/nvidia_icd.json", "{}"),
        ("proc/driver/nvidia/version", NVIDIA),
        ("dev/kfd", ""),
        ("opt/rocm/lib/libamdhip64.so", ""),
        ("opt/rocm/.info/version", "7.2.0"),
    ]);
    insta::assert_snapshot!(told(&host), @r"
    C library: not known (there is no libc.so.6 in the usual places)
    NVIDIA driver: 580.65.06, which runs CUDA 13 (/proc/driver/nvidia/version)
    Vulkan: a GPU, a loader and a driver (/usr/share/vulkan/icd.d/nvidia_icd.json)
    ROCm: 7.2.0 (/opt/rocm/.info/version)
    ");
}

#[test]
fn other_systems_tell_what_they_have() {
    let lines = |host: &Host| {
        let lines: Vec<String> = host.findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let windows = with_files(&[("nvcuda.dll", ""), ("vulkan-1.dll", "")], |system| {
        Host::on_windows(system, Arch::X64)
    });
    assert_eq!(
        windows.accelerators,
        Accelerators {
            vulkan: true,
            cuda: Some(12),
            ..Accelerators::default()
        }
    );
    let bare = with_files(&[], |system| Host::on_windows(system, Arch::X64));
    assert_eq!(bare.accelerators, Accelerators::default());
    let all = [
        windows,
        bare,
        Host::on_macos(Arch::Arm64),
        Host::on_macos(Arch::X64),
    ];
    let all: Vec<String> = all.iter().map(lines).collect();
    insta::assert_snapshot!(all.join("\n\n"), @r"
    system: Windows on x64 (what this program was built for)
    NVIDIA driver: of unknown version, which runs CUDA 12 at least (nvcuda.dll)
    Vulkan: a loader with its driver (vulkan-1.dll)
    ROCm: none (not looked for on Windows; ask for it by name)

    system: Windows on x64 (what this program was built for)
    NVIDIA driver: none (there is no nvcuda.dll)
    Vulkan: none (there is no vulkan-1.dll)
    ROCm: none (not looked for on Windows; ask for it by name)

    system: macOS on arm64 (what this program was built for)
    Metal: the processor's GPU (every Mac on arm64 has one)

    system: macOS on x64 (what this program was built for)
    Metal: none (the builds for Macs on x64 leave it out)
    ");
}

#[test]
fn this_machine_is_one_of_those_that_are_known() {
    let host = Host::detect().expect("llama.cpp publishes builds for machines that run this test");
    assert_eq!(host.findings[0].what, Part::System);
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        assert!(
            matches!(host.libc, Libc::Glibc(version) if version >= Glibc::new(2, 17))
                || host.libc == Libc::Unknown,
            "{:?}",
            host.findings
        );
    }
}
