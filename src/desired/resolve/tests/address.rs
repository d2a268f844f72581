//! Builds that come from a `source_url`.

use super::*;
use crate::manifest::{Pin, ReleaseRequest};

const URL: &str = "https://example.org/own-1.tar.gz";

fn pin(rest: &str) -> String {
    format!("version: own-1, source_url: '{URL}'{rest}")
}

#[test]
fn an_address_needs_a_digest() {
    let settled = World::pinned(&pin("")).settle().asked_nothing();
    let why = settled.why("chat");
    assert_eq!(
        why.to_string(),
        format!("nothing says what {URL} has to hash to")
    );
    assert!(why.hint().expect("a hint").contains("`sha256`"));
}

/// What stands in it would be written down with the build.
#[test]
fn an_address_with_a_password_is_refused_and_not_repeated() {
    let world = World::pinned("version: stable");
    let texts = Texts {
        manifest: SourceText::new("orchestrator.yaml", world.text.as_str()),
        configs: BTreeMap::new(),
    };
    let pin = Pin {
        version: Some(ReleaseRequest::Named("own-1".parse().expect("a name"))),
        variant: VariantRequest::Auto,
        binary_id: None,
        sha256: Some(Digest::of("own")),
        source_url: "https://me:secret@example.org/own-1.tar.gz?token=secret"
            .parse()
            .ok(),
    };
    let known = Known {
        manifest: &Manifest::parse(&texts).expect("a manifest"),
        lock: &world.lock,
        installed: &[],
        legacy: false,
        host: &world.host,
        chosen: &world.chosen,
        answers: &Answers::new(world.seed),
        salt: &Salt::new("salt"),
        terms: world.terms,
    };
    let Err(Open::Never(why)) = resolve_pin(&known, &pin) else {
        panic!("it is not refused");
    };
    assert_eq!(
        why.to_string(),
        "https://example.org/own-1.tar.gz must not carry a user name or password"
    );
    let hint = why.hint().expect("a hint");
    assert!(hint.contains("--from-file own-1.tar.gz"), "{hint}");
    assert!(!format!("{why:?}").contains("secret"), "{why:?}");
}

#[test]
fn the_query_of_an_address_is_fetched_with_and_not_told() {
    let url = format!("{URL}?token=secret");
    let pin = |rest: &str| format!("version: own-1, source_url: '{url}'{rest}");
    let settled = World::pinned(&pin("")).settle();
    let why = settled.why("chat");
    let all = format!("{why} {}", why.hint().expect("a hint"));
    assert!(all.contains(URL) && !all.contains("secret"), "{all}");

    let digest = Digest::of("own");
    let settled = World::pinned(&pin(&format!(", sha256: {digest}"))).settle();
    let origin = ArchiveOrigin::Url(url.parse().expect("a URL"));
    assert_eq!(settled.binary("chat").archives[0].origin, origin);
    assert!(
        settled.resolved.lock.archives.contains_key(&url),
        "as it was written"
    );
}

#[test]
fn an_address_with_a_digest_is_fetched_and_locked() {
    let digest = Digest::of("own");
    let world = World::pinned(&pin(&format!(", sha256: {digest}")));
    let first = world.settle().asked_nothing();
    assert_eq!(first.build("chat"), "own-1 unknown");
    let archive = &first.binary("chat").archives[0];
    assert_eq!(
        (archive.name.as_str(), archive.digest),
        ("own-1.tar.gz", digest)
    );
    assert_eq!(
        archive.origin,
        ArchiveOrigin::Url(URL.parse().expect("a URL"))
    );
    assert_eq!(first.resolved.lock.archives[URL].sha256, digest);

    let second = world.repinned(&pin("")).after(&first).settle();
    let second = second.asked_nothing();
    assert_eq!(second.binary("chat").digest(), Some(digest));
}

#[test]
fn an_address_whose_digest_contradicts_the_lock_names_both() {
    let (pinned, locked) = (Digest::of("new"), Digest::of("old"));
    let mut world = World::pinned(&pin(&format!(", sha256: {pinned}")));
    let asset = LockedAsset::new(locked, None);
    world.lock.archives.insert(URL.to_owned(), asset);
    let settled = world.settle().asked_nothing();
    let both = settled.contradiction();
    assert!(both.contains(&pinned.to_string()), "{both}");
    assert!(both.contains(&locked.to_string()), "{both}");
}

#[test]
fn an_address_that_is_installed_is_found_by_its_digest() {
    let mut build = installed(ONE, "own-1", "unknown");
    build.digest = Some(Digest::of("own"));
    let world = World::pinned(&pin(&format!(", sha256: {}", Digest::of("own")))).has(build);
    assert_eq!(world.settle().binary("chat").id, id(ONE));
}

#[test]
fn a_file_that_says_it_is_another_build_is_a_contradiction() {
    let url = "https://example.org/llama-b9553-bin-ubuntu-vulkan-x64.tar.gz";
    let sha256 = Digest::of("own");
    let table = [
        ("version: b9600", "b9600", "b9553"),
        ("version: b9553, variant: rocm", "rocm", VULKAN),
        ("version: stable", "stable", "source_url"),
    ];
    for (written, one, other) in table {
        let pin = format!("{written}, sha256: {sha256}, source_url: '{url}'");
        let settled = World::pinned(&pin).settle().asked_nothing();
        let both = settled.contradiction();
        assert!(both.contains(one) && both.contains(other), "{both}");
    }
}

#[test]
fn an_address_nobody_uses_any_more_leaves_the_lock() {
    let mut world = World::pinned("version: b9553, variant: vulkan").locks("b9553", &[VULKAN]);
    let asset = LockedAsset::new(Digest::of("own"), None);
    world.lock.archives.insert(URL.to_owned(), asset);
    assert!(world.settle().resolved.lock.archives.is_empty());
    assert_eq!(world.locked().settle().resolved.lock.archives.len(), 1);
}
