//! Choices for machines of all kinds from the lists of real releases.

use super::*;
use crate::release::fixtures;

fn host(os: Os, arch: Arch) -> Host {
    Host::bare(os, arch)
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
        Choice::Unfit { why } => format!("none runs here: {why}"),
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
    Linux vulkan of b7572: llama-b7572-bin-ubuntu-vulkan-x64.tar.gz (`vulkan` was asked for, though it needs a GPU, a Vulkan loader and a driver for it)
    Linux cuda of b11429: llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz + cudart-llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz (`cuda` was asked for, though it needs an NVIDIA driver that runs CUDA)
    Linux cuda-12 of b11429: llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz + cudart-llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz (`cuda-12` was asked for, though it needs an NVIDIA driver that runs CUDA)
    Linux cuda of b7572: none; there are ubuntu-vulkan-x64, ubuntu-x64
    Linux rocm of b9000: llama-b9000-bin-ubuntu-rocm-7.2-x64.tar.gz (`rocm` was asked for, though it needs an AMD GPU and the ROCm runtime)
    Linux rocm-7 of b10883: none; there are ubuntu-openvino-2026.2.1-x64, ubuntu-rocm-10.0-x64, ubuntu-sycl-fp16-x64, ubuntu-sycl-fp32-x64, ubuntu-vulkan-x64, ubuntu-x64
    Linux vulkan of b11027: none at all
    Linux sycl of b11429: llama-b11429-bin-ubuntu-sycl-fp32-x64.tar.gz (`sycl` was asked for)
    Windows cpu of b4458: llama-b4458-bin-win-avx2-x64.zip (`cpu` was asked for)
    Windows cpu of b7360: llama-b7360-bin-win-cpu-x64.zip (`cpu` was asked for)
    Windows cuda-12.4 of b4458: llama-b4458-bin-win-cuda-cu12.4-x64.zip + cudart-llama-bin-win-cu12.4-x64.zip (`cuda-12.4` was asked for, though it needs an NVIDIA driver that runs CUDA)
    Windows cuda of b7572: llama-b7572-bin-win-cuda-13.1-x64.zip + cudart-llama-bin-win-cuda-13.1-x64.zip (`cuda` was asked for, though it needs an NVIDIA driver that runs CUDA)
    Windows rocm of b7572: llama-b7572-bin-win-hip-radeon-x64.zip (`rocm` was asked for, though it needs an AMD GPU and the ROCm runtime)
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
        cuda: Some(13),
        ..Accelerators::default()
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

/// What was thought of each variant, a line each.
fn explained(host: &Host, request: &str, assets: &[Asset]) -> String {
    let request = request.parse().expect("a request");
    let considered = host.explain(&request, assets);
    let lines = considered
        .iter()
        .map(|one| format!("{}: {}", one.variant, one.verdict));
    lines.collect::<Vec<_>>().join("\n")
}

/// Machines of every kind there is a rule about.
fn machines() -> Vec<Host> {
    let glibcs = [
        Libc::Unknown,
        Libc::Musl,
        Libc::Glibc(Glibc::new(2, 31)),
        Libc::Glibc(Glibc::new(2, 36)),
        Libc::Glibc(Glibc::new(2, 39)),
    ];
    let drivers = [
        (None, None),
        (None, Some(470)),
        (Some(12), Some(550)),
        (Some(12), None),
        (Some(13), Some(580)),
    ];
    let systems = [
        (Os::Linux, Arch::X64, &glibcs[..]),
        (Os::Linux, Arch::Arm64, &glibcs[3..]),
        (Os::Windows, Arch::X64, &glibcs[..1]),
        (Os::Macos, Arch::Arm64, &glibcs[..1]),
    ];
    let mut all = Vec::new();
    for (os, arch, glibcs) in systems {
        for libc in glibcs {
            for (cuda, driver) in drivers {
                for (vulkan, rocm) in [(false, false), (true, false), (true, true)] {
                    let accelerators = Accelerators {
                        vulkan,
                        rocm,
                        cuda,
                        driver,
                    };
                    all.push(Host {
                        accelerators,
                        libc: *libc,
                        ..host(os, arch)
                    });
                }
            }
        }
    }
    all
}

#[test]
fn an_explanation_is_the_choice() {
    let requests = ["auto", "cuda", "rocm", "sycl"];
    let requests = requests.map(|text| text.parse::<VariantRequest>().expect("a request"));
    let machines = machines();
    for (tag, assets) in fixtures::all() {
        for host in &machines {
            for request in &requests {
                let taken: Vec<(String, String)> = host
                    .explain(request, &assets)
                    .into_iter()
                    .filter_map(|one| match one.verdict {
                        Verdict::Taken { why, .. } => Some((one.variant.to_string(), why)),
                        Verdict::PassedOver(_) | Verdict::NotNeeded => None,
                    })
                    .collect();
                let chosen: Vec<(String, String)> = match host.choose(request, &assets) {
                    Choice::Chosen(chosen) => vec![(chosen.variant.to_string(), chosen.why)],
                    Choice::CompanionMissing { .. }
                    | Choice::Unfit { .. }
                    | Choice::NotPublished { .. } => Vec::new(),
                };
                assert_eq!(taken, chosen, "{request} of {tag} on {host:?}");
            }
        }
    }
}

#[test]
fn every_variant_is_accounted_for_in_order_of_preference() {
    let accelerators = Accelerators {
        vulkan: true,
        cuda: Some(12),
        driver: Some(550),
        ..Accelerators::default()
    };
    let machine = Host {
        accelerators,
        libc: Libc::Glibc(Glibc::new(2, 39)),
        ..host(Os::Linux, Arch::X64)
    };
    let assets = fixtures::assets("b11429");
    insta::assert_snapshot!(explained(&machine, "auto", &assets), @r"
    ubuntu-cuda-13.4-x64: passed over, needs NVIDIA driver 580, this machine has 550
    ubuntu-cuda-12.8-x64: taken, the NVIDIA driver of this machine runs CUDA 12
    ubuntu-rocm-10.0-x64: passed over, needs an AMD GPU and the ROCm runtime
    ubuntu-vulkan-x64: not needed, a better one is there
    ubuntu-x64: not needed, a better one is there
    ubuntu-sycl-fp32-x64: passed over, only taken where it is asked for by name
    ubuntu-sycl-fp16-x64: passed over, only taken where it is asked for by name
    ubuntu-openvino-2026.4.1-x64: passed over, only taken where it is asked for by name
    ");
    insta::assert_snapshot!(explained(&machine, "cuda", &assets), @r"
    ubuntu-cuda-12.8-x64: taken, `cuda` was asked for
    ubuntu-cuda-13.4-x64: not needed, a better one is there
    ");
}

#[test]
fn a_build_for_a_newer_glibc_is_passed_over_and_said_so() {
    let accelerators = Accelerators {
        vulkan: true,
        cuda: Some(13),
        driver: Some(580),
        ..Accelerators::default()
    };
    let machine = |minor, accelerators| Host {
        accelerators,
        libc: Libc::Glibc(Glibc::new(2, minor)),
        ..host(Os::Linux, Arch::X64)
    };
    let no_vulkan = Accelerators {
        vulkan: false,
        ..accelerators
    };
    let arm = Host {
        libc: Libc::Glibc(Glibc::new(2, 36)),
        ..host(Os::Linux, Arch::Arm64)
    };
    let lines = [
        choose(&machine(36, accelerators), "auto", "b11429"),
        choose(&machine(36, no_vulkan), "auto", "b11429"),
        choose(&machine(38, accelerators), "auto", "b11429"),
        choose(&machine(31, accelerators), "auto", "b11429"),
        choose(&arm, "auto", "b11429"),
        // Whoever names one gets it: the files themselves will tell.
        choose(&machine(36, accelerators), "cuda", "b11429"),
        choose(&arm, "cpu", "b11429"),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    llama-b11429-bin-ubuntu-vulkan-x64.tar.gz (this machine has a GPU and a Vulkan loader; `ubuntu-cuda-13.4-x64` needs glibc 2.38, this machine has 2.36)
    llama-b11429-bin-ubuntu-x64.tar.gz (the release has no build for the GPU of this machine that runs on it; `ubuntu-cuda-13.4-x64` needs glibc 2.38, this machine has 2.36)
    llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz + cudart-llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz (the NVIDIA driver of this machine runs CUDA 13)
    none runs here: needs glibc 2.34, this machine has 2.31
    none runs here: needs glibc 2.38, this machine has 2.36
    llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz + cudart-llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz (`cuda` was asked for, though it needs glibc 2.38, this machine has 2.36)
    llama-b11429-bin-ubuntu-arm64.tar.gz (`cpu` was asked for, though it needs glibc 2.38, this machine has 2.36)
    ");
}

#[test]
fn nothing_is_installed_on_a_machine_with_musl() {
    let machine = Host {
        libc: Libc::Musl,
        ..host(Os::Linux, Arch::X64)
    };
    for (tag, assets) in fixtures::all() {
        for request in ["auto", "cpu", "vulkan", "cuda", "ubuntu-x64"] {
            let request = request.parse().expect("a request");
            match machine.choose(&request, &assets) {
                Choice::Unfit { why } => {
                    assert_eq!(why.to_string(), "needs glibc, this machine has musl");
                }
                Choice::NotPublished { .. } | Choice::CompanionMissing { .. } => {}
                Choice::Chosen(chosen) => panic!("{} of {tag}", chosen.server.name),
            }
        }
    }
    // Fetching for another system is not affected.
    assert!(choose(&machine, "win-cpu-x64", "b11429").starts_with("llama-b11429-bin-win-cpu-x64"));
}

#[test]
fn what_a_variant_was_built_on_is_read_from_its_name() {
    let built = |name: &str| {
        let parts = Variant::new(name).parts().expect("a variant");
        glibc::built_for(&parts).map(|version| version.to_string())
    };
    let table = [
        ("ubuntu-x64", Some("2.34")),
        ("ubuntu-vulkan-x64", Some("2.34")),
        ("ubuntu-rocm-7.2-x64", Some("2.34")),
        ("ubuntu-rocm-7.14-x64", Some("2.38")),
        ("ubuntu-rocm-10.0-x64", Some("2.38")),
        ("ubuntu-cuda-12.8-x64", Some("2.38")),
        ("ubuntu-sycl-fp16-x64", Some("2.38")),
        ("ubuntu-openvino-2026.4.1-x64", Some("2.38")),
        ("ubuntu-arm64", Some("2.38")),
        ("ubuntu-vulkan-arm64", Some("2.38")),
        ("ubuntu-s390x", Some("2.38")),
        ("macos-arm64", None),
        ("win-cuda-13.4-x64", None),
    ];
    for (name, wanted) in table {
        assert_eq!(built(name).as_deref(), wanted, "{name}");
    }
}

#[test]
fn versions_of_glibc_are_compared_by_number_and_read_from_symbols() {
    assert!(Glibc::new(2, 4) < Glibc::new(2, 34));
    assert_eq!("2.38".parse(), Ok(Glibc::new(2, 38)));
    assert!("2".parse::<Glibc>().is_err() && "2.x".parse::<Glibc>().is_err());
    let table = [
        ("GLIBC_2.38", Some(Glibc::new(2, 38))),
        ("GLIBC_2.2.5", Some(Glibc::new(2, 2))),
        ("GLIBC_ABI_DT_RELR", Some(Glibc::new(2, 36))),
        ("GLIBC_PRIVATE", None),
        ("GLIBCXX_3.4.32", None),
        ("CXXABI_1.3.9", None),
        ("GLIBC_", None),
    ];
    for (name, wanted) in table {
        assert_eq!(Glibc::of_symbol(name), wanted, "{name}");
    }
}
