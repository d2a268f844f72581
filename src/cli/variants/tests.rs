//! How a choice is told to somebody who asks why.

use llama_orch::release::host::{Accelerators, Glibc, Libc, Part};
use llama_orch::release::{Arch, Os};

use super::*;

/// A machine with an NVIDIA GPU whose driver is not the newest, as it would be found.
fn machine_of_2024() -> Host {
    let finding = |what, value: Option<&str>, from: &str| Finding {
        what,
        value: value.map(str::to_owned),
        from: from.to_owned(),
    };
    Host {
        accelerators: Accelerators {
            cuda: Some(12),
            driver: Some(550),
            ..Accelerators::default()
        },
        libc: Libc::Glibc(Glibc::new(2, 39)),
        findings: vec![
            finding(
                Part::System,
                Some("Linux on x64"),
                "what this program was built for",
            ),
            finding(
                Part::CLibrary,
                Some("glibc 2.39"),
                "/usr/lib/x86_64-linux-gnu/libc.so.6",
            ),
            finding(
                Part::NvidiaDriver,
                Some("550.54.14, which runs CUDA 12"),
                "/proc/driver/nvidia/version",
            ),
            finding(
                Part::Vulkan,
                None,
                "a GPU and a loader, but no driver in /usr/share/vulkan/icd.d",
            ),
        ],
        ..Host::bare(Os::Linux, Arch::X64)
    }
}

fn assets() -> Vec<Asset> {
    let names = [
        "llama-b11429-bin-ubuntu-x64.tar.gz",
        "llama-b11429-bin-ubuntu-vulkan-x64.tar.gz",
        "llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz",
        "llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz",
        "cudart-llama-b11429-bin-ubuntu-cuda-12.8-x64.tar.gz",
        "cudart-llama-b11429-bin-ubuntu-cuda-13.4-x64.tar.gz",
        "llama-b11429-bin-ubuntu-openvino-2026.4.1-x64.tar.gz",
        "llama-b11429-bin-macos-arm64.tar.gz",
    ];
    let asset = |name: &str| Asset {
        name: name.to_owned(),
        size: 1,
        digest: None,
    };
    names.map(asset).into()
}

fn explained(variant: &str, is_kept: bool, assets: Option<&[Asset]>) -> String {
    let choice = Choice {
        build: &"b11429".parse().expect("a build"),
        variant: &Variant::new(variant),
        is_kept,
    };
    let text = choice.explained(&machine_of_2024(), &["chat", "embed"], assets, Some(80));
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    text
}

#[test]
fn a_choice_is_explained_by_the_machine_and_the_release() {
    let text = machine(&machine_of_2024().findings, Some(80))
        + &explained("ubuntu-cuda-12.8-x64", false, Some(&assets()));
    insta::assert_snapshot!(text, @r"

    this machine:
        system         Linux on x64 (what this program was built for)
        C library      glibc 2.39 (/usr/lib/x86_64-linux-gnu/libc.so.6)
        NVIDIA driver  550.54.14, which runs CUDA 12 (/proc/driver/nvidia/version)
        Vulkan         none (a GPU and a loader, but no driver in
                       /usr/share/vulkan/icd.d)

    variant `auto` of chat, embed (b11429) is ubuntu-cuda-12.8-x64:
        ubuntu-cuda-13.4-x64          passed over, needs NVIDIA driver 580, this
                                      machine has 550
        ubuntu-cuda-12.8-x64          taken, the NVIDIA driver of this machine runs
                                      CUDA 12
        ubuntu-vulkan-x64             passed over, needs a GPU, a Vulkan loader and
                                      a driver for it
        ubuntu-x64                    not needed, a better one is there
        ubuntu-openvino-2026.4.1-x64  passed over, only taken where it is asked for
                                      by name
    ");
}

#[test]
fn a_choice_of_an_earlier_run_is_kept_and_says_what_it_would_be_today() {
    let text = explained("ubuntu-x64", true, Some(&assets()))
        + &explained("ubuntu-cuda-12.8-x64", true, Some(&assets()))
        + &explained("ubuntu-x64", true, None);
    insta::assert_snapshot!(text, @r"

    variant `auto` of chat, embed (b11429) is ubuntu-x64, as chosen on an earlier
      run and kept in .llama-orch/machine.json:
        ubuntu-cuda-13.4-x64          passed over, needs NVIDIA driver 580, this
                                      machine has 550
        ubuntu-cuda-12.8-x64          would be taken today: the NVIDIA driver of
                                      this machine runs CUDA 12
        ubuntu-vulkan-x64             passed over, needs a GPU, a Vulkan loader and
                                      a driver for it
        ubuntu-x64                    kept
        ubuntu-openvino-2026.4.1-x64  passed over, only taken where it is asked for
                                      by name

    variant `auto` of chat, embed (b11429) is ubuntu-cuda-12.8-x64, as chosen on an
      earlier run and kept in .llama-orch/machine.json:
        ubuntu-cuda-13.4-x64          passed over, needs NVIDIA driver 580, this
                                      machine has 550
        ubuntu-cuda-12.8-x64          kept, and would be taken today: the NVIDIA
                                      driver of this machine runs CUDA 12
        ubuntu-vulkan-x64             passed over, needs a GPU, a Vulkan loader and
                                      a driver for it
        ubuntu-x64                    not needed, a better one is there
        ubuntu-openvino-2026.4.1-x64  passed over, only taken where it is asked for
                                      by name

    variant `auto` of chat, embed (b11429) is ubuntu-x64, as chosen on an earlier
      run and kept in .llama-orch/machine.json; orchestrator.lock does not list what
      else the release has
    ");
}

#[test]
fn what_was_asked_for_is_doubted_until_its_files_have_spoken() {
    let old = Host {
        libc: Libc::Glibc(Glibc::new(2, 36)),
        ..machine_of_2024()
    };
    let doubt = |request: &str, is_installed| {
        let request = request.parse().expect("a request");
        doubt(&old.explain(&request, &assets()), is_installed).map(|doubt| doubt.to_string())
    };
    let too_old = "needs glibc 2.38, this machine has 2.36";
    assert_eq!(doubt("cuda", false).as_deref(), Some(too_old));
    assert_eq!(doubt("cuda", true), None);
    let too_new = "needs NVIDIA driver 580, this machine has 550";
    assert_eq!(doubt("cuda-13", true).as_deref(), Some(too_new));
    assert_eq!(doubt("cpu", false), None);
}

#[test]
fn nothing_is_wrapped_where_nobody_looks() {
    let text = machine(&machine_of_2024().findings, None);
    assert_eq!(text.lines().count(), 6, "{text}");
}
