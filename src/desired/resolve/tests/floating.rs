//! Versions that stand for another build from one day to the next.

use super::*;

#[test]
fn stable_is_asked_once_and_stays_where_the_lock_has_it() {
    let world = World::pinned("version: stable, variant: vulkan")
        .stable("b9553")
        .publishes("b9553", &[VULKAN, CPU])
        .publishes("b9600", &[VULKAN, CPU]);
    let first = world.settle();
    assert_eq!(
        first.asked,
        [Question::NewestStable, Question::Assets(tag("b9553"))]
    );
    assert_eq!(first.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(first.locked_tag("chat"), Some(tag("b9553")));

    let later = world.stable("b9600").after(&first);
    let second = later.settle().asked_nothing();
    assert_eq!(second.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(second.resolved.lock, first.resolved.lock);
}

#[test]
fn another_floating_version_is_asked_anew() {
    let world = World::pinned("version: nightly, variant: vulkan")
        .stable("b9553")
        .publishes("b9553", &[VULKAN])
        .publishes("b9600", &[VULKAN])
        .locks("b9553", &[VULKAN])
        .locks_pin("chat", "stable", "b9553");
    let settled = world.settle();
    assert_eq!(settled.asked, [Question::Recent]);
    assert_eq!(settled.build("chat"), "b9600 ubuntu-vulkan-x64");
    assert_eq!(settled.locked_tag("chat"), Some(tag("b9600")));
    let pin = &settled.resolved.lock.pins[&name("chat")];
    assert_eq!(pin.version, "nightly");
}

#[test]
fn latest_is_another_word_for_stable() {
    let settled = World::pinned("version: latest, variant: vulkan")
        .locks("b9553", &[VULKAN])
        .locks_pin("chat", "stable", "b9553")
        .settle()
        .asked_nothing();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
}

#[test]
fn a_pin_that_stops_floating_leaves_the_lock() {
    let settled = World::pinned("version: b9553, variant: vulkan")
        .locks("b9553", &[VULKAN])
        .locks_pin("chat", "stable", "b9600")
        .settle()
        .asked_nothing();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(settled.resolved.lock.pins.len(), 0);
}

#[test]
fn a_stable_release_is_asked_for_the_build_it_names() {
    let mut world = World::pinned("version: v0.9.0, variant: vulkan").publishes("b9553", &[VULKAN]);
    let version: Version = "v0.9.0".parse().expect("a version");
    world.versions.insert(version, tag("b9553"));
    let settled = world.settle();
    assert_eq!(settled.asked[0], Question::TagOf(version));
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(settled.resolved.lock.pins[&name("chat")].version, "v0.9.0");
}

#[test]
fn nightly_is_the_newest_build_that_has_the_file() {
    let world = World::pinned("version: nightly, variant: vulkan")
        .publishes("b9700", &[])
        .publishes("b9650", &[CPU])
        .publishes("b9600", &[CPU, VULKAN])
        .publishes("b9553", &[CPU, VULKAN]);
    let settled = world.settle();
    assert_eq!(settled.asked, [Question::Recent]);
    assert_eq!(settled.build("chat"), "b9600 ubuntu-vulkan-x64");
}

#[test]
fn nightly_passes_over_a_cuda_build_whose_runtime_is_not_there_yet() {
    const CUDA: &str = "win-cuda-13.4-x64";
    let mut world = World::pinned("version: nightly, variant: cuda")
        .publishes("b9700", &[CUDA])
        .publishes("b9600", &[CUDA]);
    world.host.os = Os::Windows;
    let older = &mut world.releases[1].assets;
    older.push(asset("cudart-llama-bin-win-cuda-13.4-x64.zip".to_owned()));
    let settled = world.settle();
    assert_eq!(settled.build("chat"), "b9600 win-cuda-13.4-x64");
    assert_eq!(settled.binary("chat").archives.len(), 2);
}

#[test]
fn nightly_does_not_take_a_lesser_build_from_an_upload_that_is_under_way() {
    let mut world = World::pinned("version: nightly")
        .publishes("b9700", &[CPU])
        .publishes("b9650", &[CPU, VULKAN])
        .publishes("b9600", &[CPU, VULKAN]);
    assert_eq!(world.settle().build("chat"), "b9700 ubuntu-x64");
    world.host.accelerators.vulkan = true;
    assert_eq!(world.settle().build("chat"), "b9650 ubuntu-vulkan-x64");
}

#[test]
fn where_no_recent_build_has_the_file_nightly_says_so() {
    let settled = World::pinned("version: nightly, variant: rocm")
        .publishes("b9700", &[VULKAN])
        .publishes("b9600", &[VULKAN])
        .settle();
    assert_eq!(
        settled.why("chat").to_string(),
        "none of the 2 newest builds has a `rocm` build"
    );
    assert_eq!(settled.locked_tag("chat"), None);
}

#[test]
fn instances_float_each_by_itself() {
    let pins = [
        ("a", "version: stable, variant: vulkan"),
        ("b", "version: stable, variant: vulkan"),
    ];
    let settled = World::of(&pins)
        .stable("b9600")
        .publishes("b9600", &[VULKAN])
        .locks("b9553", &[VULKAN])
        .locks_pin("a", "stable", "b9553")
        .settle();
    assert_eq!(settled.build("a"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(settled.build("b"), "b9600 ubuntu-vulkan-x64");
}

#[test]
fn a_source_that_does_not_answer_blocks_only_who_needs_it() {
    let pins = [
        ("a", "version: stable, variant: vulkan"),
        ("b", "version: b9553, variant: vulkan"),
    ];
    let settled = World::of(&pins)
        .has(installed(ONE, "b9553", VULKAN))
        .settle();
    assert!(matches!(settled.why("a"), Unanswered::Source { .. }));
    assert_eq!(settled.binary("b").id, id(ONE));
}
