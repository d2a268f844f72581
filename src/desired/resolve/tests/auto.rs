//! `auto`: chosen once for this machine, then kept.

use super::*;
use crate::release::host::{Glibc, Libc};

const CUDA_12: &str = "ubuntu-cuda-12.8-x64";
const CUDA_13: &str = "ubuntu-cuda-13.4-x64";

fn with_runtimes(mut world: World) -> World {
    for release in &mut world.releases {
        let build = release.tag;
        let runtimes = ["12.8", "13.4"].map(|cuda| {
            asset(format!(
                "cudart-llama-{build}-bin-ubuntu-cuda-{cuda}-x64.tar.gz"
            ))
        });
        release.assets.extend(runtimes);
    }
    world
}

#[test]
fn the_choice_is_remembered_with_its_reason() {
    let mut world = World::pinned("version: b9553").publishes("b9553", &[VULKAN, CPU]);
    world.host.accelerators.vulkan = true;
    let settled = world.settle();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(settled.resolved.chosen[&name("chat")].as_str(), VULKAN);
    assert_eq!(
        settled.resolved.why[&name("chat")],
        "this machine has a GPU and a Vulkan loader"
    );
}

#[test]
fn the_choice_stays_when_the_pin_moves_and_the_machine_changes() {
    let mut world = World::pinned("version: b9553")
        .publishes("b9553", &[VULKAN, CPU])
        .publishes("b9600", &[VULKAN, CPU]);
    let first = world.settle();
    assert_eq!(first.build("chat"), "b9553 ubuntu-x64");

    world.host.accelerators.vulkan = true;
    let second = world.repinned("version: b9600").after(&first).settle();
    assert_eq!(second.build("chat"), "b9600 ubuntu-x64");
}

#[test]
fn a_flavour_that_is_gone_is_chosen_anew_within_its_family() {
    let mut world = with_runtimes(
        World::pinned("version: b9553")
            .publishes("b9553", &[CUDA_12, VULKAN, CPU])
            .publishes("b9600", &[CUDA_13, VULKAN, CPU]),
    );
    world.host.accelerators.cuda = Some(13);
    let first = world.settle();
    assert_eq!(first.build("chat"), "b9553 ubuntu-cuda-12.8-x64");
    let second = world.repinned("version: b9600").after(&first).settle();
    assert_eq!(second.build("chat"), "b9600 ubuntu-cuda-13.4-x64");
    assert_eq!(second.resolved.chosen[&name("chat")].as_str(), CUDA_13);
}

#[test]
fn a_family_that_is_gone_is_said_and_not_replaced() {
    let mut world = World::pinned("version: b9600").publishes("b9600", &[CPU]);
    world.chosen.insert(name("chat"), Variant::new(VULKAN));
    let settled = world.settle();
    assert_eq!(
        settled.why("chat").to_string(),
        "b9600 has no `vulkan` build; it has cpu-x64"
    );
    assert_eq!(settled.resolved.chosen[&name("chat")].as_str(), VULKAN);
}

#[test]
fn what_was_chosen_is_forgotten_where_a_variant_is_written() {
    let mut world = World::pinned("version: b9553, variant: cpu").locks("b9553", &[VULKAN, CPU]);
    world.chosen.insert(name("chat"), Variant::new(VULKAN));
    let settled = world.settle().asked_nothing();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-x64");
    assert!(settled.resolved.chosen.is_empty());
}

#[test]
fn a_choice_that_was_made_finds_the_installed_build_without_a_question() {
    let mut world = World::pinned("version: b9553").has(installed(ONE, "b9553", VULKAN));
    world.chosen.insert(name("chat"), Variant::new(VULKAN));
    let settled = world.settle().asked_nothing();
    assert_eq!(settled.binary("chat").id, id(ONE));
}

#[test]
fn nothing_is_chosen_from_what_happens_to_be_installed() {
    let mut world = World::pinned("version: b9553")
        .has(installed(ONE, "b9553", CPU))
        .publishes("b9553", &[VULKAN, CPU]);
    world.host.accelerators.vulkan = true;
    let settled = world.settle();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
}

#[test]
fn a_machine_that_runs_none_of_the_builds_is_told_why() {
    let mut world = World::pinned("version: b9553").publishes("b9553", &[VULKAN, CPU]);
    world.host.libc = Libc::Glibc(Glibc::new(2, 31));
    assert_eq!(
        world.settle().why("chat").to_string(),
        "no build of b9553 runs on this machine: it needs glibc 2.34, this machine has 2.31"
    );
    world.host.libc = Libc::Musl;
    let named = world.repinned("version: b9553, variant: cpu").settle();
    assert_eq!(
        named.why("chat").to_string(),
        "the `cpu` build of b9553 does not run on this machine: it needs glibc, this machine has musl"
    );
    assert!(
        named
            .why("chat")
            .hint()
            .expect("a hint")
            .contains("`source_url`")
    );
}

#[test]
fn what_is_named_is_taken_whatever_the_table_says_of_glibc() {
    let mut world = World::pinned("version: b9553, variant: cpu").publishes("b9553", &[CPU]);
    world.host.libc = Libc::Glibc(Glibc::new(2, 31));
    assert_eq!(world.settle().build("chat"), "b9553 ubuntu-x64");
}

/// The family is kept, and so is the bound of the driver.
#[test]
fn a_family_that_moved_on_beyond_the_driver_is_said_and_not_taken() {
    let mut world = with_runtimes(
        World::pinned("version: b9600")
            .publishes("b9553", &[CUDA_12, VULKAN, CPU])
            .publishes("b9600", &[CUDA_13, VULKAN, CPU]),
    );
    world.host.accelerators.cuda = Some(12);
    world.chosen.insert(name("chat"), Variant::new(CUDA_12));
    let settled = world.settle();
    let why = settled.why("chat");
    assert_eq!(
        why.to_string(),
        "b9600 has no `cuda-12` build; it has cuda-13.4-x64, vulkan-x64, cpu-x64"
    );
    assert_eq!(
        why.hint().as_deref(),
        Some("the nearest builds that have it: b9553")
    );
    assert_eq!(settled.resolved.chosen[&name("chat")].as_str(), CUDA_12);
}
