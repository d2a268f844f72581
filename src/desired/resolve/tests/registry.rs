//! What is installed: by id, by alias, by version and variant, by the name of an own build.

use super::*;

#[test]
fn an_id_in_the_registry_comes_before_everything_else() {
    let world = World::pinned(&format!("binary_id: {ONE}"))
        .has(installed(ONE, "b9553", VULKAN))
        .has(installed(OTHER, "b9600", VULKAN))
        .locks("b9600", &[VULKAN]);
    let settled = world.settle().asked_nothing();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
    assert_eq!(settled.binary("chat").id, id(ONE));
}

#[test]
fn an_alias_leads_to_the_build_it_stands_for() {
    let mut build = installed(ONE, "b9553", VULKAN);
    build.aliases.push(id(OTHER));
    let pin = format!("version: b9553, variant: vulkan, binary_id: {OTHER}");
    let settled = World::pinned(&pin).has(build).settle().asked_nothing();
    assert_eq!(settled.build("chat"), "b9553 ubuntu-vulkan-x64");
    let WantedInstance::Resolved(wanted) = settled.instance("chat") else {
        panic!("not resolved");
    };
    let inputs: Vec<_> = wanted.launch.inputs.iter().collect();
    let (_, binary) = inputs[0];
    let same = digest("b9553", VULKAN).to_string();
    assert_eq!(binary["sha256"], same, "compared by its bits, not its id");
}

#[test]
fn a_damaged_build_is_wanted_once_under_its_own_id_by_whichever_id_it_is_pinned() {
    let mut build = installed(ONE, "b9553", VULKAN);
    build.aliases.push(id(OTHER));
    build.damaged = true;
    let pins: Vec<String> = [ONE, OTHER]
        .iter()
        .map(|id| format!("version: b9553, variant: vulkan, binary_id: {id}"))
        .collect();
    let world = World::of(&[("a", &pins[0]), ("b", &pins[1])])
        .has(build)
        .publishes("b9553", &[VULKAN]);
    for world in [world.clone(), world.locks("b9553", &[VULKAN])] {
        let settled = world.settle();
        let wanted: Vec<_> = settled.resolved.desired.binaries.keys().collect();
        assert_eq!(wanted, [&id(ONE)]);
        assert_eq!(settled.binary("b").digest(), Some(digest("b9553", VULKAN)));
    }
}

#[test]
fn an_id_that_disagrees_with_the_rest_of_the_pin_names_both() {
    let elsewhere = Digest::of("something else");
    let here = digest("b9553", VULKAN);
    let table = [
        ("version: b9600", "b9600".to_owned(), "b9553".to_owned()),
        ("version: own-1", "own-1".to_owned(), "b9553".to_owned()),
        (
            "version: b9553, variant: rocm",
            "rocm".to_owned(),
            VULKAN.to_owned(),
        ),
        (
            &format!("version: b9553, sha256: {elsewhere}"),
            elsewhere.to_string(),
            here.to_string(),
        ),
    ];
    for (pin, pinned, has) in table {
        let world = World::pinned(&format!("{pin}, binary_id: {ONE}"))
            .has(installed(ONE, "b9553", VULKAN))
            .publishes("b9600", &[VULKAN]);
        let settled = world.settle().asked_nothing();
        let both = settled.contradiction();
        for part in [ONE, &pinned, &has] {
            assert!(both.contains(part), "{part} is not in: {both}");
        }
    }
}

#[test]
fn an_id_that_disagrees_with_the_lock_names_both() {
    let world = World::pinned(&format!("version: stable, binary_id: {ONE}"))
        .has(installed(ONE, "b9553", VULKAN))
        .locks_pin("chat", "stable", "b9600");
    let settled = world.settle().asked_nothing();
    let both = settled.contradiction();
    assert!(both.contains("b9600") && both.contains("b9553"), "{both}");
    assert_eq!(settled.locked_tag("chat"), Some(tag("b9600")));
}

#[test]
fn an_id_that_is_not_here_is_what_the_build_is_installed_under() {
    let pin = format!("version: b9553, variant: vulkan, binary_id: {ONE}");
    let settled = World::pinned(&pin).locks("b9553", &[VULKAN]).settle();
    let settled = settled.asked_nothing();
    let binary = settled.binary("chat");
    assert_eq!(binary.id, id(ONE));
    assert_eq!(binary.digest(), Some(digest("b9553", VULKAN)));
}

#[test]
fn an_id_that_is_not_here_is_kept_where_the_same_bits_have_another_one() {
    let pin = format!("version: b9553, variant: vulkan, binary_id: {ONE}");
    let world = World::pinned(&pin)
        .has(installed(OTHER, "b9553", VULKAN))
        .locks("b9553", &[VULKAN]);
    let settled = world.settle().asked_nothing();
    let binary = settled.binary("chat");
    assert_eq!(binary.id, id(ONE));
    assert_eq!(binary.digest(), Some(digest("b9553", VULKAN)));
}

#[test]
fn an_id_alone_that_is_not_here_cannot_be_had() {
    let settled = World::pinned(&format!("binary_id: {ONE}"))
        .has(installed(OTHER, "b9553", VULKAN))
        .settle()
        .asked_nothing();
    let why = settled.why("chat");
    assert!(why.to_string().contains(ONE), "{why}");
    assert!(why.hint().expect("a hint").contains("version"));
    assert!(settled.resolved.desired.binaries.is_empty());
}

#[test]
fn who_wants_the_same_bits_shares_the_id_that_someone_wrote() {
    let with_id = format!("version: b9553, variant: vulkan, binary_id: {ONE}");
    let pins = [
        ("a", "version: b9553, variant: vulkan"),
        ("b", with_id.as_str()),
    ];
    let settled = World::of(&pins).locks("b9553", &[VULKAN]).settle();
    assert_eq!(settled.binary("a").id, id(ONE));
    assert_eq!(settled.resolved.desired.binaries.len(), 1);
}

#[test]
fn an_installed_build_of_that_version_and_variant_needs_no_question() {
    let world = World::pinned("version: b9553, variant: vulkan")
        .has(installed(OTHER, "b9553", CPU))
        .has(installed(ONE, "b9553", VULKAN));
    let settled = world.settle().asked_nothing();
    assert_eq!(settled.binary("chat").id, id(ONE));
    assert_eq!(settled.binary("chat").archives, []);
}

#[test]
fn an_installed_build_of_another_digest_is_not_the_one_that_is_pinned() {
    let wanted = digest("b9553", VULKAN);
    let mut other = installed(ONE, "b9553", VULKAN);
    other.digest = Some(Digest::of("built elsewhere"));
    let pin = format!("version: b9553, variant: vulkan, sha256: {wanted}");
    let world = World::pinned(&pin).has(other).publishes("b9553", &[VULKAN]);
    let settled = world.settle();
    assert_eq!(settled.binary("chat").digest(), Some(wanted));
    assert_ne!(settled.binary("chat").id, id(ONE));
}

#[test]
fn an_installed_build_that_the_lock_knows_otherwise_is_fetched_anew() {
    let mut other = installed(ONE, "b9553", VULKAN);
    other.digest = Some(Digest::of("tampered with"));
    let world = World::pinned("version: b9553, variant: vulkan")
        .has(other)
        .locks("b9553", &[VULKAN]);
    let settled = world.settle().asked_nothing();
    assert_ne!(settled.binary("chat").id, id(ONE));
    assert_eq!(
        settled.binary("chat").digest(),
        Some(digest("b9553", VULKAN))
    );
}

#[test]
fn an_own_build_is_found_by_its_name_and_never_asked_for() {
    let mut build = installed(ONE, "dflash-1", "unknown");
    build.digest = None;
    let world = World::pinned("version: dflash-1").has(build);
    let settled = world.settle().asked_nothing();
    assert_eq!(settled.build("chat"), "dflash-1 unknown");

    let settled = world.repinned("version: dflash-2").settle().asked_nothing();
    let why = settled.why("chat");
    assert_eq!(why.to_string(), "no build is registered as `dflash-2`");
    assert!(settled.resolved.desired.binaries.is_empty());
}

#[test]
fn the_legacy_build_is_for_those_who_wrote_no_pin_at_all() {
    let mut world = World::of(&[("chat", ""), ("other", "version: b9553, variant: vulkan")]);
    world.legacy = true;
    let settled = world.settle();
    assert_eq!(settled.binary("chat").id, BinaryId::LEGACY);
    assert!(matches!(settled.why("other"), Unanswered::Source { .. }));

    world.legacy = false;
    let settled = world.settle();
    let why = settled.why("chat");
    assert!(why.to_string().contains("`bin/llama-server`"), "{why}");
    assert!(why.hint().expect("a hint").contains("version: stable"));
}

#[test]
fn minted_ids_are_random_ones_that_the_seed_decides() {
    let world = World::pinned("version: b9553, variant: vulkan").locks("b9553", &[VULKAN]);
    let first = world.settle().binary("chat").id;
    assert_eq!(first.uuid().get_version_num(), 4);
    assert_eq!(first.uuid().get_variant(), uuid::Variant::RFC4122);
    assert_eq!(world.settle().binary("chat").id, first);

    let mut elsewhere = world;
    elsewhere.seed = Uuid::from_u128(8);
    assert_ne!(elsewhere.settle().binary("chat").id, first);
}
