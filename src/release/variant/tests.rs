//! The table against the names of real releases, and what people may ask for.

use super::rules::{self, Meaning, RULES};
use super::*;
use crate::release::fixtures;

#[test]
fn every_name_of_every_release_matches_exactly_one_rule() {
    for (tag, assets) in fixtures::all() {
        for asset in assets {
            let framed = rules::frame(&asset.name);
            let matching: Vec<_> = RULES
                .iter()
                .filter(|rule| rule.read(framed.frame, framed.text).is_some())
                .map(|rule| rule.pattern)
                .collect();
            assert_eq!(matching.len(), 1, "`{}` of {tag}: {matching:?}", asset.name);
            assert!(
                recognise(&asset.name).is_some(),
                "`{}` of {tag}",
                asset.name
            );
        }
    }
}

#[test]
fn every_rule_matches_something_that_was_published() {
    let names: Vec<String> = fixtures::all()
        .into_iter()
        .flat_map(|(_, assets)| assets)
        .map(|asset| asset.name)
        .collect();
    for rule in RULES {
        let used = names.iter().any(|name| {
            let framed = rules::frame(name);
            rule.read(framed.frame, framed.text).is_some()
        });
        assert!(used, "{rule:?}");
    }
}

#[test]
fn what_is_ignored_says_why() {
    for rule in RULES {
        if let Meaning::Ignored(reason) = rule.meaning {
            assert!(reason.len() > 10, "{rule:?}");
        }
    }
}

#[test]
fn a_name_says_system_processor_accelerator_and_archive() {
    let read = |name: &str| match recognise(name) {
        Some(Recognised::Server {
            tag,
            variant,
            parts,
            archive,
        }) => {
            format!(
                "{tag} {variant} {:?} {:?} {:?} {archive:?}",
                parts.os, parts.arch, parts.accelerator
            )
        }
        Some(Recognised::Companion {
            tag,
            os,
            arch,
            cuda,
            archive,
        }) => {
            format!("cudart {tag:?} {os:?} {arch:?} {cuda} {archive:?}")
        }
        Some(Recognised::Ignored(_)) => "ignored".to_owned(),
        None => "unknown".to_owned(),
    };
    let names = [
        "llama-b11429-bin-ubuntu-x64.tar.gz",
        "llama-b4458-bin-ubuntu-x64.zip",
        "llama-b11429-bin-ubuntu-cuda-13.4-arm64.tar.gz",
        "llama-b4458-bin-win-cuda-cu12.4-x64.zip",
        "llama-b7572-bin-win-hip-radeon-x64.zip",
        "llama-b9000-bin-ubuntu-rocm-7.2-x64.tar.gz",
        "llama-b9000-bin-ubuntu-sycl-fp16-x64.tar.gz",
        "llama-b11429-bin-win-openvino-2026.4.1-x64.zip",
        "llama-b9000-bin-macos-arm64-kleidiai.tar.gz",
        "cudart-llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz",
        "cudart-llama-bin-win-cuda-13.4-arm64.zip",
        "llama-b11429-bin-android-arm64-snapdragon.tar.gz",
        "llama-b11429-bin-ubuntu-x64.rpm",
        "llama-b11429-bin-ubuntu-riscv64.tar.gz",
        "llama-bin-ubuntu-x64.tar.gz",
        "README.md",
    ];
    let table: Vec<String> = names
        .iter()
        .map(|name| format!("{name} -> {}", read(name)))
        .collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    llama-b11429-bin-ubuntu-x64.tar.gz -> b11429 ubuntu-x64 Linux X64 Cpu TarGz
    llama-b4458-bin-ubuntu-x64.zip -> b4458 ubuntu-x64 Linux X64 Cpu Zip
    llama-b11429-bin-ubuntu-cuda-13.4-arm64.tar.gz -> b11429 ubuntu-cuda-13.4-arm64 Linux Arm64 Cuda("13.4") TarGz
    llama-b4458-bin-win-cuda-cu12.4-x64.zip -> b4458 win-cuda-cu12.4-x64 Windows X64 Cuda("12.4") Zip
    llama-b7572-bin-win-hip-radeon-x64.zip -> b7572 win-hip-radeon-x64 Windows X64 Rocm(None) Zip
    llama-b9000-bin-ubuntu-rocm-7.2-x64.tar.gz -> b9000 ubuntu-rocm-7.2-x64 Linux X64 Rocm(Some("7.2")) TarGz
    llama-b9000-bin-ubuntu-sycl-fp16-x64.tar.gz -> b9000 ubuntu-sycl-fp16-x64 Linux X64 Other("sycl-fp16") TarGz
    llama-b11429-bin-win-openvino-2026.4.1-x64.zip -> b11429 win-openvino-2026.4.1-x64 Windows X64 Other("openvino-2026.4.1") Zip
    llama-b9000-bin-macos-arm64-kleidiai.tar.gz -> b9000 macos-arm64-kleidiai Macos Arm64 Other("kleidiai") TarGz
    cudart-llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz -> cudart Some(Tag(11429)) Linux X64 12.8 TarGz
    cudart-llama-bin-win-cuda-13.4-arm64.zip -> cudart None Windows Arm64 13.4 Zip
    llama-b11429-bin-android-arm64-snapdragon.tar.gz -> ignored
    llama-b11429-bin-ubuntu-x64.rpm -> unknown
    llama-b11429-bin-ubuntu-riscv64.tar.gz -> unknown
    llama-bin-ubuntu-x64.tar.gz -> unknown
    README.md -> unknown
    "#);
}

#[test]
fn a_variant_is_shown_without_its_system_and_can_be_asked_for_as_it_is_shown() {
    let shown = [
        ("ubuntu-x64", "cpu-x64"),
        ("ubuntu-vulkan-x64", "vulkan-x64"),
        ("ubuntu-cuda-12.8-x64", "cuda-12.8-x64"),
        ("win-cpu-x64", "cpu-x64"),
        ("win-cuda-cu12.4-x64", "cuda-cu12.4-x64"),
        ("macos-arm64", "metal-arm64"),
        ("macos-x64", "cpu-x64"),
        ("macos-arm64-kleidiai", "arm64-kleidiai"),
        ("unknown", "unknown"),
    ];
    for (canonical, short) in shown {
        assert_eq!(Variant::new(canonical).short(), short);
        assert_eq!(Variant::new(canonical).to_string(), canonical);
    }
    for (_, assets) in fixtures::all() {
        for asset in assets {
            let Some(Recognised::Server { variant, parts, .. }) = recognise(&asset.name) else {
                continue;
            };
            for text in [variant.short(), variant.to_string()] {
                let request: VariantRequest = text.parse().expect("a request");
                assert!(
                    request.matches(&variant, parts.os, parts.arch),
                    "{request} -> {variant}"
                );
            }
        }
    }
}

#[test]
fn requests_match_by_whole_words_and_whole_numbers() {
    let variants = [
        "ubuntu-x64",
        "ubuntu-arm64",
        "ubuntu-vulkan-x64",
        "ubuntu-cuda-12.8-x64",
        "ubuntu-cuda-13.4-x64",
        "ubuntu-rocm-10.0-x64",
        "ubuntu-sycl-fp16-x64",
        "ubuntu-openvino-2026.4.1-x64",
        "win-cuda-13.4-x64",
        "win-hip-radeon-x64",
        "unknown",
    ];
    let matched = |request: &str| -> Vec<&str> {
        let request: VariantRequest = request.parse().expect("a request");
        let matches = |text: &&str| request.matches(&Variant::new(*text), Os::Linux, Arch::X64);
        let found: Vec<&str> = variants.into_iter().filter(matches).collect();
        if found.is_empty() {
            vec!["nothing"]
        } else {
            found
        }
    };
    let requests = "cpu cpu-x64 x64 ubuntu-x64 vulkan linux-vulkan cuda cuda-1 cuda-12 cuda-12.8 \
        cuda-12.8-x64 cuda-13 cuda-x64 cud rocm rocm-10 hip sycl openvino openvino-2026.4 \
        win-cuda-13.4-x64 win-cuda vulkan-arm64 unknown unknow";
    let table: Vec<String> = requests
        .split_whitespace()
        .map(|request| format!("{request} -> {}", matched(request).join(", ")))
        .collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    cpu -> ubuntu-x64
    cpu-x64 -> ubuntu-x64
    x64 -> ubuntu-x64
    ubuntu-x64 -> ubuntu-x64
    vulkan -> ubuntu-vulkan-x64
    linux-vulkan -> ubuntu-vulkan-x64
    cuda -> ubuntu-cuda-12.8-x64, ubuntu-cuda-13.4-x64
    cuda-1 -> nothing
    cuda-12 -> ubuntu-cuda-12.8-x64
    cuda-12.8 -> ubuntu-cuda-12.8-x64
    cuda-12.8-x64 -> ubuntu-cuda-12.8-x64
    cuda-13 -> ubuntu-cuda-13.4-x64
    cuda-x64 -> ubuntu-cuda-12.8-x64, ubuntu-cuda-13.4-x64
    cud -> nothing
    rocm -> ubuntu-rocm-10.0-x64
    rocm-10 -> ubuntu-rocm-10.0-x64
    hip -> ubuntu-rocm-10.0-x64
    sycl -> ubuntu-sycl-fp16-x64
    openvino -> ubuntu-openvino-2026.4.1-x64
    openvino-2026.4 -> ubuntu-openvino-2026.4.1-x64
    win-cuda-13.4-x64 -> win-cuda-13.4-x64
    win-cuda -> nothing
    vulkan-arm64 -> nothing
    unknown -> unknown
    unknow -> nothing
    "#);
}

#[test]
fn hip_is_what_rocm_was_called() {
    let variant = Variant::new("win-hip-radeon-x64");
    for text in ["rocm", "hip", "hip-radeon", "hip-radeon-x64", "rocm-x64"] {
        let request: VariantRequest = text.parse().expect("a request");
        assert!(request.matches(&variant, Os::Windows, Arch::X64), "{text}");
    }
    let other: VariantRequest = "rocm-10".parse().expect("a request");
    assert!(!other.matches(&variant, Os::Windows, Arch::X64));
}

#[test]
fn a_request_is_a_short_plain_word() {
    for text in ["", "-x64", "cuda-", "../x", "cuda 12", "ü", &"a".repeat(65)] {
        assert!(text.parse::<VariantRequest>().is_err(), "{text}");
    }
    assert_eq!("auto".parse(), Ok(VariantRequest::Auto));
    assert_eq!(VariantRequest::Auto.to_string(), "auto");
}
