//! Builds that do not have what is pinned: said with what there is, never replaced by another one.

use super::*;

#[test]
fn a_flavour_that_is_not_there_names_what_is_and_the_nearest_builds() {
    let world = World::pinned("version: b9553, variant: rocm")
        .publishes("b9700", &["ubuntu-rocm-10.0-x64"])
        .publishes("b9560", &["ubuntu-rocm-10.0-x64"])
        .publishes("b9555", &[VULKAN])
        .publishes("b9553", &[VULKAN, CPU, "macos-arm64"])
        .publishes("b9550", &["ubuntu-rocm-7.2-x64"])
        .publishes("b9000", &["ubuntu-rocm-7.2-x64"]);
    let settled = world.settle();
    assert_eq!(
        settled.asked,
        [Question::Assets(tag("b9553")), Question::Recent]
    );
    let why = settled.why("chat");
    assert_eq!(
        why.to_string(),
        "b9553 has no `rocm` build; it has vulkan-x64, cpu-x64"
    );
    assert_eq!(
        why.hint().as_deref(),
        Some("the nearest builds that have it: b9550, b9560, b9700")
    );
    assert!(settled.resolved.desired.binaries.is_empty());
}

#[test]
fn builds_of_the_lock_count_as_near_ones() {
    let world = World::pinned("version: b9553, variant: vulkan")
        .publishes("b9553", &[CPU])
        .locks("b9540", &[VULKAN]);
    let settled = world.settle();
    let Unanswered::NotPublished { nearest, .. } = settled.why("chat") else {
        panic!("{}", settled.why("chat"));
    };
    assert_eq!(*nearest, [tag("b9540")]);
}

#[test]
fn a_release_that_is_still_being_uploaded_is_told_from_one_that_is_done() {
    let world = World::pinned("version: b9553, variant: vulkan").publishes("b9540", &[VULKAN]);
    let done = world.clone().publishes("b9553", &[]).settle();
    let uploading = world.clone().uploads("b9553", &[CPU]).settle();
    let alone = World::pinned("version: b9553, variant: vulkan")
        .uploads("b9553", &[])
        .settle();
    let told = [done, uploading, alone].map(|settled| {
        assert!(settled.resolved.lock.assets.is_empty());
        let why = settled.why("chat");
        format!("{why}\n  {}", why.hint().expect("a hint"))
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    b9553 has no `vulkan` build; it has none for this system
      the nearest builds that have it: b9540
    b9553 has no `vulkan` build yet: it is still being uploaded; it has cpu-x64
      run `llama-orch plan` again in some minutes; the nearest builds that have it: b9540
    b9553 has no `vulkan` build yet: it is still being uploaded; it has none for this system
      run `llama-orch plan` again in some minutes
    "#);
}

#[test]
fn a_cuda_build_without_its_runtime_is_not_complete() {
    let settled = World::pinned("version: b9553, variant: cuda")
        .publishes("b9553", &["ubuntu-cuda-13.4-x64", CPU])
        .settle();
    let why = settled.why("chat").to_string();
    assert!(why.contains("ubuntu-cuda-13.4-x64"), "{why}");
    assert!(why.contains("cudart-"), "{why}");
}

/// Whatever else is near: a pin leads to its build or to none.
#[test]
fn another_build_never_takes_the_place_of_a_pin() {
    let table = [
        "version: b9553, variant: vulkan".to_owned(),
        "version: own-1, variant: vulkan".to_owned(),
        "version: stable, variant: vulkan".to_owned(),
        "version: nightly, variant: cuda".to_owned(),
        "version: v0.9.0, variant: vulkan".to_owned(),
        format!("binary_id: {OTHER}"),
        format!("version: b9553, variant: vulkan, binary_id: {OTHER}"),
        format!("version: b9600, sha256: {}", Digest::of("not it")),
        format!("version: own-1, source_url: https://example.org/own-1.tar.gz, binary_id: {OTHER}"),
    ];
    for pin in table {
        let mut world = World::pinned(&pin)
            .has(installed(ONE, "b9600", VULKAN))
            .locks("b9600", &[VULKAN])
            .publishes("b9600", &[VULKAN]);
        world.legacy = true;
        let settled = world.settle();
        settled.why("chat");
        assert!(settled.resolved.desired.binaries.is_empty(), "{pin}");
    }
}

#[test]
fn who_cannot_be_resolved_keeps_its_settings_and_its_switch() {
    let mut world = World::pinned("version: own-1");
    world.text = "version: 1\ninstances:\n  chat: { binary: { version: own-1 }, server: { port: 8071 }, stop_timeout: 7s, enabled: false }\n".to_owned();
    let settled = world.settle();
    let instance = settled.instance("chat");
    assert!(!instance.enabled());
    assert_eq!(instance.supervision().stop_timeout.as_secs(), 7);
}
