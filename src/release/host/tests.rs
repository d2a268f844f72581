//! Choices for machines of all kinds from the lists of real releases.

#![expect(clippy::disallowed_methods, reason = "prepares files")]

use super::*;
use crate::release::fixtures;

fn host(os: Os, arch: Arch) -> Host {
    Host {
        os,
        arch,
        accelerators: Accelerators::default(),
    }
}

fn choose(host: &Host, request: &str, tag: &str) -> String {
    let request: VariantRequest = request.parse().expect("a request");
    match host.choose(&request, &fixtures::assets(tag)) {
        Choice::Chosen(chosen) => {
            let mut names = vec![chosen.server.name];
            names.extend(chosen.companions.into_iter().map(|asset| asset.name));
            format!("{} ({})", names.join(" + "), chosen.why)
        }
        Choice::CompanionMissing { variant } => format!("no cudart for {variant}"),
        Choice::NotPublished { published } if published.is_empty() => "none at all".to_owned(),
        Choice::NotPublished { published } => {
            let names: Vec<&str> = published.iter().map(Variant::as_str).collect();
            format!("none; there are {}", names.join(", "))
        }
    }
}

#[test]
fn what_is_asked_for_is_found_in_releases_of_all_ages() {
    let linux = host(Os::Linux, Arch::X64);
    let windows = host(Os::Windows, Arch::X64);
    let table = [
        (&linux, "cpu", "b4458"),
        (&linux, "cpu", "b7360"),
        (&linux, "cpu", "b11429"),
        (&linux, "vulkan", "b7572"),
        (&linux, "cuda", "b11429"),
        (&linux, "cuda-12", "b11429"),
        (&linux, "cuda", "b7572"),
        (&linux, "rocm", "b9000"),
        (&linux, "rocm-7", "b10883"),
        (&linux, "vulkan", "b11027"),
        (&linux, "sycl", "b11429"),
        (&windows, "cpu", "b4458"),
        (&windows, "cpu", "b7360"),
        (&windows, "cuda-12.4", "b4458"),
        (&windows, "cuda", "b7572"),
        (&windows, "rocm", "b7572"),
        (&windows, "rocm", "b4458"),
        (&linux, "win-cuda-13.4-x64", "b11429"),
    ];
    let lines: Vec<String> = table
        .into_iter()
        .map(|(host, request, tag)| {
            format!(
                "{} {request} of {tag}: {}",
                host.os,
                choose(host, request, tag)
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Linux cpu of b4458: llama-b4458-bin-ubuntu-x64.zip (`cpu` was asked for)
    Linux cpu of b7360: llama-b7360-bin-ubuntu-x64.tar.gz (`cpu` was asked for)
    Linux cpu of b11429: llama-b11429-bin-ubuntu-x64.tar.gz (`cpu` was asked for)
    Linux vulkan of b7572: llama-b7572-bin-ubuntu-vulkan-x64.tar.gz (`vulkan` was asked for)
    Linux cuda of b11429: llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz + cudart-llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz (`cuda` was asked for)
    Linux cuda-12 of b11429: llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz + cudart-llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz (`cuda-12` was asked for)
    Linux cuda of b7572: none; there are ubuntu-vulkan-x64, ubuntu-x64
    Linux rocm of b9000: llama-b9000-bin-ubuntu-rocm-7.2-x64.tar.gz (`rocm` was asked for)
    Linux rocm-7 of b10883: none; there are ubuntu-openvino-2026.2.1-x64, ubuntu-rocm-10.0-x64, ubuntu-sycl-fp16-x64, ubuntu-sycl-fp32-x64, ubuntu-vulkan-x64, ubuntu-x64
    Linux vulkan of b11027: none at all
    Linux sycl of b11429: llama-b11429-bin-ubuntu-sycl-fp32-x64.tar.gz (`sycl` was asked for)
    Windows cpu of b4458: llama-b4458-bin-win-avx2-x64.zip (`cpu` was asked for)
    Windows cpu of b7360: llama-b7360-bin-win-cpu-x64.zip (`cpu` was asked for)
    Windows cuda-12.4 of b4458: llama-b4458-bin-win-cuda-cu12.4-x64.zip + cudart-llama-bin-win-cu12.4-x64.zip (`cuda-12.4` was asked for)
    Windows cuda of b7572: llama-b7572-bin-win-cuda-13.1-x64.zip + cudart-llama-bin-win-cuda-13.1-x64.zip (`cuda` was asked for)
    Windows rocm of b7572: llama-b7572-bin-win-hip-radeon-x64.zip (`rocm` was asked for)
    Windows rocm of b4458: none; there are win-avx-x64, win-avx2-x64, win-avx512-x64, win-cuda-cu11.7-x64, win-cuda-cu12.4-x64, win-hip-x64-gfx1030, win-hip-x64-gfx1100, win-kompute-x64, win-noavx-x64, win-openblas-x64, win-sycl-x64, win-vulkan-x64
    Linux win-cuda-13.4-x64 of b11429: llama-b11429-bin-win-cuda-13.4-x64.zip + cudart-llama-bin-win-cuda-13.4-x64.zip (`win-cuda-13.4-x64` was asked for)
    "#);
}

#[test]
fn auto_takes_what_the_machine_can_run_and_says_why() {
    let with = |accelerators| Host {
        accelerators,
        ..host(Os::Linux, Arch::X64)
    };
    let none = Accelerators::default();
    let machines = [
        ("nothing", with(none)),
        (
            "a GPU",
            with(Accelerators {
                vulkan: true,
                ..none
            }),
        ),
        (
            "an AMD GPU",
            with(Accelerators {
                vulkan: true,
                rocm: true,
                ..none
            }),
        ),
        (
            "an old NVIDIA driver",
            with(Accelerators {
                vulkan: true,
                cuda: Some(12),
                ..none
            }),
        ),
        (
            "a new NVIDIA driver",
            with(Accelerators {
                vulkan: true,
                cuda: Some(13),
                ..none
            }),
        ),
        ("a Mac", host(Os::Macos, Arch::Arm64)),
        ("an old Mac", host(Os::Macos, Arch::X64)),
        ("a mainframe", host(Os::Linux, Arch::S390x)),
    ];
    let mut lines = Vec::new();
    for (name, host) in &machines {
        for tag in ["b7572", "b11429"] {
            lines.push(format!("{name}, {tag}: {}", choose(host, "auto", tag)));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    nothing, b7572: llama-b7572-bin-ubuntu-x64.tar.gz (no GPU with its driver was found on this machine)
    nothing, b11429: llama-b11429-bin-ubuntu-x64.tar.gz (no GPU with its driver was found on this machine)
    a GPU, b7572: llama-b7572-bin-ubuntu-vulkan-x64.tar.gz (this machine has a GPU and a Vulkan loader)
    a GPU, b11429: llama-b11429-bin-ubuntu-vulkan-x64.tar.gz (this machine has a GPU and a Vulkan loader)
    an AMD GPU, b7572: llama-b7572-bin-ubuntu-vulkan-x64.tar.gz (this machine has a GPU and a Vulkan loader)
    an AMD GPU, b11429: llama-b11429-bin-ubuntu-rocm-10.0-x64.tar.gz (this machine has an AMD GPU and the ROCm runtime)
    an old NVIDIA driver, b7572: llama-b7572-bin-ubuntu-vulkan-x64.tar.gz (this machine has a GPU and a Vulkan loader)
    an old NVIDIA driver, b11429: llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz + cudart-llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz (the NVIDIA driver of this machine runs CUDA 12)
    a new NVIDIA driver, b7572: llama-b7572-bin-ubuntu-vulkan-x64.tar.gz (this machine has a GPU and a Vulkan loader)
    a new NVIDIA driver, b11429: llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz + cudart-llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz (the NVIDIA driver of this machine runs CUDA 13)
    a Mac, b7572: llama-b7572-bin-macos-arm64.tar.gz (the build for macOS on arm64)
    a Mac, b11429: llama-b11429-bin-macos-arm64.tar.gz (the build for macOS on arm64)
    an old Mac, b7572: llama-b7572-bin-macos-x64.tar.gz (the build for macOS on x64)
    an old Mac, b11429: llama-b11429-bin-macos-x64.tar.gz (the build for macOS on x64)
    a mainframe, b7572: llama-b7572-bin-ubuntu-s390x.tar.gz (no GPU with its driver was found on this machine)
    a mainframe, b11429: llama-b11429-bin-ubuntu-s390x.tar.gz (no GPU with its driver was found on this machine)
    "#);
}

#[test]
fn a_cuda_build_is_never_chosen_without_its_runtime() {
    let accelerators = Accelerators {
        vulkan: true,
        rocm: false,
        cuda: Some(13),
    };
    let host = Host {
        accelerators,
        ..host(Os::Linux, Arch::X64)
    };
    let mut assets = fixtures::assets("b11429");
    assets.retain(|asset| {
        !asset
            .name
            .contains("cudart-llama-b11429-bin-ubuntu-cuda-13.4-x64")
    });

    let Choice::Chosen(chosen) = host.choose(&VariantRequest::Auto, &assets) else {
        panic!("nothing was chosen");
    };
    assert_eq!(chosen.variant.as_str(), "ubuntu-cuda-12.8-x64");

    let exact = "cuda-13".parse().expect("a request");
    let variant = Variant::new("ubuntu-cuda-13.4-x64");
    assert_eq!(
        host.choose(&exact, &assets),
        Choice::CompanionMissing { variant }
    );
}

#[test]
fn a_family_keeps_to_what_the_driver_runs() {
    let accelerators = Accelerators {
        cuda: Some(12),
        ..Accelerators::default()
    };
    let host = Host {
        accelerators,
        ..host(Os::Linux, Arch::X64)
    };
    assert!(choose(&host, "cuda", "b11429").starts_with("llama-b11429-bin-ubuntu-cuda-12.8"));
    assert!(choose(&host, "cuda-13", "b11429").starts_with("llama-b11429-bin-ubuntu-cuda-13.4"));
}

#[test]
fn the_order_of_the_list_never_matters() {
    let hosts = [host(Os::Linux, Arch::X64), host(Os::Windows, Arch::X64)];
    for (tag, mut assets) in fixtures::all() {
        for host in &hosts {
            for request in ["auto", "cpu", "cuda", "sycl", "vulkan", "rocm"] {
                let request = request.parse().expect("a request");
                let one = host.choose(&request, &assets);
                assets.reverse();
                assert_eq!(one, host.choose(&request, &assets), "{request} of {tag}");
            }
        }
    }
}

#[test]
fn the_files_of_a_choice_are_found_again_by_its_variant() {
    let assets = fixtures::assets("b11429");
    let variant = Variant::new("win-cuda-13.4-x64");
    let (server, companions) = files_of(&variant, &assets).expect("published");
    assert_eq!(server.name, "llama-b11429-bin-win-cuda-13.4-x64.zip");
    assert_eq!(companions.len(), 1);
    assert_eq!(companions[0].name, "cudart-llama-bin-win-cuda-13.4-x64.zip");
    assert_eq!(files_of(&Variant::new("win-cuda-11.7-x64"), &assets), None);
}

#[test]
fn a_linux_machine_is_judged_by_the_files_it_has() {
    let looks = |files: &[(&str, &str)]| {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        Accelerators::on_linux(root.path())
    };
    let none = Accelerators::default();
    let nvidia = |version: &'static str| {
        [
            ("dev/nvidia0", ""),
            ("usr/lib/x86_64-linux-gnu/libcuda.so.1", ""),
            ("proc/driver/nvidia/version", version),
        ]
    };
    assert_eq!(looks(&[]), none);
    assert_eq!(looks(&[("dev/dri/renderD128", "")]), none);
    assert_eq!(
        looks(&[("dev/dri/card0", ""), ("usr/lib/libvulkan.so.1", "")]),
        none
    );
    assert_eq!(
        looks(&[("dev/dri/renderD128", ""), ("usr/lib/libvulkan.so.1", "")]),
        Accelerators {
            vulkan: true,
            ..none
        }
    );
    assert_eq!(
        looks(&[("dev/kfd", ""), ("opt/rocm/lib/libamdhip64.so", "")]),
        Accelerators { rocm: true, ..none }
    );
    let new =
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:10:12 UTC 2025\n";
    assert_eq!(
        looks(&nvidia(new)),
        Accelerators {
            cuda: Some(13),
            ..none
        }
    );
    let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\nGCC version: 12.2.0\n";
    assert_eq!(
        looks(&nvidia(open)),
        Accelerators {
            cuda: Some(12),
            ..none
        }
    );
    assert_eq!(looks(&nvidia("something else")), none);
    assert_eq!(looks(&nvidia("NVRM version: NVIDIA  470.1.1  x")), none);
}
