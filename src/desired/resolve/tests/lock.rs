//! What the lock answers, what it forbids, and what is left in it.

use super::*;

#[test]
fn a_lock_that_covers_a_pin_leaves_no_question() {
    let world = World::pinned("version: b9553, variant: vulkan")
        .locks("b9553", &[VULKAN, CPU])
        .publishes("b9553", &[VULKAN]);
    let settled = world.settle().asked_nothing();
    let archive = &settled.binary("chat").archives[0];
    assert_eq!(
        *archive,
        WantedArchive {
            name: file("b9553", VULKAN),
            size: Some(1_000),
            digest: digest("b9553", VULKAN),
            origin: ArchiveOrigin::Release(tag("b9553")),
        }
    );
    assert_eq!(settled.resolved.lock, world.lock);
}

#[test]
fn a_lock_without_the_file_is_completed_from_the_release() {
    let world = World::pinned("version: b9553, variant: vulkan")
        .locks("b9553", &[CPU])
        .publishes("b9553", &[VULKAN, CPU]);
    let settled = world.settle();
    assert_eq!(settled.asked, [Question::Assets(tag("b9553"))]);
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(settled.resolved.lock.assets[&tag("b9553")].len(), 2);
}

#[test]
fn what_was_locked_once_is_what_it_must_hash_to() {
    let mut world = World::pinned("version: b9553, variant: vulkan")
        .locks("b9553", &[CPU])
        .publishes("b9553", &[VULKAN, CPU]);
    for asset in &mut world.releases[0].assets {
        asset.digest = Some(Digest::of("replaced upstream"));
    }
    let settled = world.settle();
    let locked = &settled.resolved.lock.assets[&tag("b9553")];
    assert_eq!(locked[&file("b9553", CPU)].sha256, digest("b9553", CPU));
    assert_eq!(
        locked[&file("b9553", VULKAN)].sha256,
        Digest::of("replaced upstream")
    );
}

#[test]
fn the_lock_has_the_files_of_every_platform_and_their_companions() {
    let mut world = World::pinned("version: b9553, variant: vulkan").publishes(
        "b9553",
        &[
            VULKAN,
            CPU,
            "macos-arm64",
            "win-cuda-13.4-x64",
            "android-arm64",
        ],
    );
    let more = [
        "cudart-llama-bin-win-cuda-13.4-x64.zip",
        "llama-b9553-ui.tar.gz",
    ];
    let files = &mut world.releases[0].assets;
    files.extend(more.map(|name| asset(name.to_owned())));
    let settled = world.settle();
    let locked = &settled.resolved.lock.assets[&tag("b9553")];
    let names: Vec<&str> = locked.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "cudart-llama-bin-win-cuda-13.4-x64.zip",
            "llama-b9553-bin-macos-arm64.tar.gz",
            "llama-b9553-bin-ubuntu-vulkan-x64.tar.gz",
            "llama-b9553-bin-ubuntu-x64.tar.gz",
            "llama-b9553-bin-win-cuda-13.4-x64.zip",
        ]
    );

    let mut windows = world
        .repinned("version: b9553, variant: cuda")
        .after(&settled);
    windows.host.os = Os::Windows;
    windows.releases.clear();
    let elsewhere = windows.settle().asked_nothing();
    assert_eq!(elsewhere.binary("chat").archives.len(), 2);
}

#[test]
fn a_pinned_digest_that_contradicts_the_lock_names_both() {
    let pinned = Digest::of("something else");
    let world = World::pinned(&format!(
        "version: b9553, variant: vulkan, sha256: {pinned}"
    ))
    .locks("b9553", &[VULKAN]);
    let settled = world.settle().asked_nothing();
    let both = settled.contradiction();
    let locked = digest("b9553", VULKAN).to_string();
    assert!(both.contains(&pinned.to_string()), "{both}");
    assert!(both.contains(&locked), "{both}");
    assert_eq!(settled.resolved.lock, world.lock);
}

#[test]
fn a_file_whose_digest_nobody_knows_is_refused_until_the_pin_vouches_for_it() {
    let mut world =
        World::pinned("version: b4458, variant: vulkan").publishes("b4458", &[VULKAN, CPU]);
    for asset in &mut world.releases[0].assets {
        asset.digest = None;
    }
    let settled = world.settle();
    let why = settled.why("chat");
    assert!(why.to_string().contains(&file("b4458", VULKAN)), "{why}");
    assert!(why.hint().expect("a hint").contains("`sha256`"));
    assert_eq!(settled.resolved.lock, Lock::default());

    let vouched = digest("b4458", VULKAN);
    let pin = format!("version: b4458, variant: vulkan, sha256: {vouched}");
    let settled = world.repinned(&pin).settle();
    assert_eq!(settled.binary("chat").digest(), Some(vouched));
    let locked = &settled.resolved.lock.assets[&tag("b4458")];
    let names: Vec<&String> = locked.keys().collect();
    assert_eq!(names, [&file("b4458", VULKAN)]);
}

#[test]
fn locked_asks_nothing_and_leaves_the_lock_as_it_is() {
    let pins = [
        ("a", "version: stable, variant: vulkan"),
        ("b", "version: b9600, variant: vulkan"),
        ("c", "version: b9553, variant: vulkan"),
        ("d", "version: b9553, variant: rocm"),
    ];
    let world = World::of(&pins)
        .stable("b9553")
        .publishes("b9600", &[VULKAN])
        .locks("b9553", &[VULKAN])
        .locks("b9000", &[VULKAN])
        .locks_pin("gone", "stable", "b9000")
        .locked();
    let settled = world.settle().asked_nothing();
    for (who, what) in [("a", "stable"), ("b", "b9600")] {
        let why = settled.why(who);
        assert!(matches!(why, Unanswered::NotLocked(_)), "{who}: {why}");
        assert!(why.to_string().contains(what), "{why}");
    }
    assert_eq!(settled.build("c"), "b9553 ubuntu-vulkan-x64");
    settled.why("d");
    assert_eq!(settled.resolved.lock, world.lock);
}

#[test]
fn what_nothing_uses_leaves_the_lock_once_everything_is_resolved() {
    let open = World::pinned("version: b9700, variant: vulkan")
        .locks("b9553", &[VULKAN])
        .locks_pin("gone", "stable", "b9553");
    let settled = open.settle();
    settled.why("chat");
    assert!(settled.resolved.lock.assets.contains_key(&tag("b9553")));
    assert_eq!(settled.locked_tag("gone"), None);

    let settled = open.publishes("b9700", &[VULKAN]).settle();
    let tags: Vec<&Tag> = settled.resolved.lock.assets.keys().collect();
    assert_eq!(tags, [&tag("b9700")]);
}

#[test]
fn an_installed_build_keeps_what_the_lock_knows_of_it() {
    let world = World::pinned(&format!("binary_id: {ONE}"))
        .has(installed(ONE, "b9553", VULKAN))
        .locks("b9553", &[VULKAN]);
    let settled = world.settle().asked_nothing();
    assert_eq!(settled.resolved.lock, world.lock);
    let archive = &settled.binary("chat").archives[0];
    assert_eq!(archive.digest, digest("b9553", VULKAN));
}

#[test]
fn the_line_of_a_pin_that_is_open_stays() {
    let world = World::pinned("version: stable, variant: rocm")
        .locks("b9553", &[VULKAN])
        .locks_pin("chat", "stable", "b9553")
        .publishes("b9553", &[VULKAN]);
    let settled = world.settle();
    settled.why("chat");
    assert_eq!(settled.resolved.lock, world.lock);
}
