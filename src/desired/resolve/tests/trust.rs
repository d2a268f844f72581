//! What an archive must hash to: the lock before the manifest before the release, and no two of them
//! may disagree.

use super::*;

const CUDA: &str = "ubuntu-cuda-13.4-x64";
const RUNTIME: &str = "cudart-llama-b9553-bin-ubuntu-cuda-13.4-x64.tar.gz";

fn cuda() -> World {
    let mut world =
        World::pinned("version: b9553, variant: cuda").publishes("b9553", &[CUDA, VULKAN]);
    world.releases[0].assets.push(asset(RUNTIME.to_owned()));
    world
}

#[test]
fn an_archive_that_was_replaced_after_it_was_locked_is_not_passed_over() {
    // The lock knows the server alone, so the release is asked for the rest.
    let mut world = cuda().locks("b9553", &[CUDA]);
    world.releases[0].assets[0].digest = Some(Digest::of("another"));
    let settled = world.settle();
    assert_eq!(
        settled.contradiction(),
        format!(
            "`{}` is {} in the lock, but the release now says {}: it was replaced after it was locked",
            file("b9553", CUDA),
            digest("b9553", CUDA),
            Digest::of("another")
        )
    );
    assert_eq!(settled.resolved.lock, world.lock);
}

#[test]
fn what_is_not_wanted_may_be_replaced() {
    let mut world = cuda().locks("b9553", &[VULKAN]);
    world.releases[0].assets[1].digest = Some(Digest::of("another"));
    let settled = world.settle();
    assert_eq!(settled.binary("chat").archives.len(), 2);
    let locked = &settled.resolved.lock.assets[&tag("b9553")];
    assert_eq!(
        locked[&file("b9553", VULKAN)].sha256,
        digest("b9553", VULKAN),
        "what was locked stays"
    );
}

#[test]
fn a_pin_against_lock_and_release_says_against_which() {
    let pinned = Digest::of("not it");
    let pin = format!("version: b9553, variant: vulkan, sha256: {pinned}");
    let there = digest("b9553", VULKAN);
    let file = file("b9553", VULKAN);
    let locked = World::pinned(&pin).locks("b9553", &[VULKAN]).settle();
    assert_eq!(
        locked.contradiction(),
        format!("the pin's `sha256` is {pinned}, but `{file}` is {there} in `orchestrator.lock`")
    );
    let listed = World::pinned(&pin).publishes("b9553", &[VULKAN]).settle();
    assert_eq!(
        listed.contradiction(),
        format!("the pin's `sha256` is {pinned}, but `{file}` is {there} in the release")
    );
}

#[test]
fn an_archive_nobody_says_the_digest_of_is_refused_by_name() {
    let mut world = World::pinned("version: b4458, variant: vulkan").publishes("b4458", &[VULKAN]);
    world.releases[0].assets[0].digest = None;
    let settled = world.settle();
    let why = settled.why("chat");
    assert_eq!(
        *why,
        Unanswered::NoDigest {
            name: file("b4458", VULKAN),
            size: Some(1_000),
            origin: Box::new(ArchiveOrigin::Release(tag("b4458"))),
        }
    );
    let hint = why.hint().expect("a hint");
    assert!(hint.contains("`sha256`"), "{hint}");
    assert!(
        hint.contains("binary install b4458 --allow-unverified"),
        "{hint}"
    );
}

#[test]
fn a_person_vouches_for_archives_one_by_one_where_nobody_else_does() {
    let mut world = cuda();
    for asset in &mut world.releases[0].assets {
        asset.digest = None;
    }
    let server = file("b9553", CUDA);
    let mut vouched = Vec::new();
    let settled = loop {
        let settled = world.settle_vouching(&vouched);
        match settled.instance("chat") {
            WantedInstance::Resolved(_) => break settled,
            WantedInstance::Unresolved(open) => {
                let Unanswered::NoDigest { name, .. } = &open.why else {
                    panic!("{}", open.why);
                };
                let digest = Digest::of(format!("bytes of {name}"));
                vouched.push((name.clone(), digest));
            }
        }
    };
    let names: Vec<&str> = vouched.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [server.as_str(), RUNTIME]);
    let archives = &settled.binary("chat").archives;
    assert_eq!(archives[1].digest, vouched[1].1);

    // It counts for nothing where somebody says otherwise.
    let known = cuda();
    let settled = known.settle_vouching(&[(server, Digest::of("a lie"))]);
    assert_eq!(settled.binary("chat").digest(), Some(digest("b9553", CUDA)));
}

#[test]
fn a_damaged_build_is_looked_up_in_its_release_and_keeps_its_id() {
    let mut broken = installed(ONE, "b9553", VULKAN);
    broken.damaged = true;
    for pin in [
        "version: b9553, variant: vulkan".to_owned(),
        format!("binary_id: {ONE}"),
    ] {
        let world = World::pinned(&pin)
            .has(broken.clone())
            .publishes("b9553", &[CPU, VULKAN]);
        let settled = world.settle();
        assert_eq!(settled.asked, [Question::Assets(tag("b9553"))], "{pin}");
        let binary = settled.binary("chat");
        assert_eq!(binary.id, id(ONE), "{pin}");
        assert_eq!(binary.digest(), Some(digest("b9553", VULKAN)), "{pin}");
        // The lock that comes of it covers the next time.
        world.clone().after(&settled).settle().asked_nothing();

        // Where nothing may be asked, the plan says that it cannot be fetched.
        let held = world.locked().settle().asked_nothing();
        assert_eq!(held.binary("chat").archives, []);
    }
}

#[test]
fn a_damaged_build_whose_archive_was_replaced_is_not_repaired_by_another_one() {
    let mut broken = installed(ONE, "b9553", VULKAN);
    broken.damaged = true;
    broken.digest = Some(Digest::of("what it was"));
    let settled = World::pinned("version: b9553, variant: vulkan")
        .has(broken)
        .publishes("b9553", &[VULKAN])
        .settle();
    let both = settled.contradiction();
    assert!(
        both.contains(&Digest::of("what it was").to_string()),
        "{both}"
    );
    assert!(
        both.contains(&digest("b9553", VULKAN).to_string()),
        "{both}"
    );
}

#[test]
fn a_whole_build_that_is_not_locked_is_asked_about_by_nobody() {
    let settled = World::pinned("version: b9553, variant: vulkan")
        .has(installed(ONE, "b9553", VULKAN))
        .settle()
        .asked_nothing();
    assert_eq!(settled.binary("chat").archives, []);
    assert!(settled.resolved.lock.assets.is_empty());
}

#[test]
fn a_cuda_build_that_was_installed_without_its_runtime_is_not_the_one() {
    let world = cuda().has(installed(ONE, "b9553", CUDA));
    let first = World::pinned("version: b9553, variant: cuda");
    let locked = cuda().settle();
    let settled = world.clone().after(&locked).settle().asked_nothing();
    assert_ne!(settled.binary("chat").id, id(ONE));
    assert_eq!(settled.binary("chat").archives.len(), 2);

    let mut whole = installed(OTHER, "b9553", CUDA);
    whole.companions = vec![Digest::of(RUNTIME)];
    let settled = first
        .after(&locked)
        .has(installed(ONE, "b9553", CUDA))
        .has(whole);
    let settled = settled.settle().asked_nothing();
    assert_eq!(settled.binary("chat").id, id(OTHER));
}

#[test]
fn of_two_copies_of_a_build_the_whole_one_is_taken() {
    let mut broken = installed(ONE, "b9553", VULKAN);
    broken.damaged = true;
    let whole = installed(OTHER, "b9553", VULKAN);
    let world = World::pinned("version: b9553, variant: vulkan")
        .has(broken)
        .has(whole);
    let settled = world.clone().settle().asked_nothing();
    assert_eq!(settled.binary("chat").id, id(OTHER));
    let settled = world.locks("b9553", &[VULKAN]).settle().asked_nothing();
    assert_eq!(settled.binary("chat").id, id(OTHER));
}
