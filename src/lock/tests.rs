//! Locks as they are printed, read, damaged and written by later versions.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Lock, LockError> {
    Lock::parse("orchestrator.lock", text)
}

fn damaged(text: &str) -> String {
    match parse(text).expect_err("a damaged lock") {
        LockError::Damaged(mistakes) => mistakes.to_string(),
        newer @ LockError::Newer { .. } => panic!("{newer}"),
    }
}

#[test]
fn a_lock_is_read_as_it_was_printed() {
    let mut lock = Lock::default();
    let pin = LockedPin {
        version: "stable".to_owned(),
        tag: Tag::new(9553),
    };
    lock.pins.insert("chat".parse().expect("a name"), pin);
    let asset = LockedAsset::new(Digest::of("x"), Some(31_255_000));
    let name = "llama-b9553-bin-ubuntu-x64.tar.gz".to_owned();
    lock.assets
        .entry(Tag::new(9553))
        .or_default()
        .insert(name, asset);
    let url = "https://builds.example/a.tar.gz".to_owned();
    lock.archives
        .insert(url, LockedAsset::new(Digest::of("y"), None));
    lock.uploading.extend([Tag::new(9600), Tag::new(9553)]);
    assert_snapshot!(lock.print(), @"
    # Written by llama-orch, read by every machine: commit it together with orchestrator.yaml.
    # `llama-orch update` moves floating pins; nothing else does.
    schema: 1
    pins:
      chat: { version: stable, tag: b9553 }
    assets:
      b9553:
        llama-b9553-bin-ubuntu-x64.tar.gz: { sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, size: 31255000 }
    uploading: [b9553, b9600]
    archives:
      https://builds.example/a.tar.gz: { sha256: a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa }
    ");
    assert_eq!(parse(&lock.print()), Ok(lock));
}

#[test]
fn keys_of_a_later_version_survive_rewriting() {
    let text = "\
schema: 1
pins:
  chat: { version: stable, tag: b9553, since: [2026, x] }
assets:
  b9553:
    a.zip: { sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, size: 1, signed: { by: 'no' } }
notes: { a: 1.5, b: ~, c: [true, 'true'] }
";
    let lock = parse(text).expect("a lock");
    let printed = lock.print();
    for kept in [
        r#""since": [2026,"x"]"#,
        r#""signed": {"by":"no"}"#,
        r#"notes: {"a":1.5,"b":null"#,
    ] {
        assert!(printed.contains(kept), "{kept}: {printed}");
    }
    assert_eq!(parse(&printed), Ok(lock));
}

#[test]
fn a_newer_lock_is_an_error_of_its_own() {
    let newer = parse("schema: 2\npins: of another form\n").expect_err("a newer lock");
    assert_eq!(
        newer,
        LockError::Newer {
            name: "orchestrator.lock".to_owned(),
            found: 2
        }
    );
    assert_snapshot!(newer, @r"`orchestrator.lock` has schema 2, and this llama-orch knows 1");
}

#[test]
fn damage_is_never_taken_for_an_empty_lock() {
    for text in [
        "",
        "# comment\n",
        "pins: {}\n",
        "schema: one\n",
        "[]",
        "schema: 1\npins: []\n",
        "schema: -1\n",
    ] {
        damaged(text);
    }
    assert!(parse("schema: 1\n").expect("an empty lock").pins.is_empty());
    assert_snapshot!(damaged("\
schema: 1
pins:
  chat: b9553
  Bad: { version: stable, tag: b1 }
  embed: { version: stable, tag: 9553 }
assets:
  9553: {}
  b9553:
    a.zip: { size: 1 }
    b.zip: { sha256: abc, size: 1 }
    c.zip: { sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 }
    d.zip: { sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, size: x }
    d.zip: {}
"), @r"
    `orchestrator.lock` has 10 mistakes
      orchestrator.lock:3:9: `chat` wants a mapping
          3 |   chat: b9553
            |         ^^^^^
      orchestrator.lock:4:3: `Bad` is not an instance name (1 to 64 of a-z, 0-9, `_` and `-`, with a letter or digit at both ends)
          4 |   Bad: { version: stable, tag: b1 }
            |   ^^^
      orchestrator.lock:5:10: a pin is written as `{ version: stable, tag: b9553 }`
          5 |   embed: { version: stable, tag: 9553 }
            |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      orchestrator.lock:5:34: `9553` is not a build tag such as `b9553`
          5 |   embed: { version: stable, tag: 9553 }
            |                                  ^^^^
      orchestrator.lock:7:3: `9553` is not a build tag such as `b9553`
          7 |   9553: {}
            |   ^^^^
      orchestrator.lock:9:5: `a.zip` has no `sha256`
          9 |     a.zip: { size: 1 }
            |     ^^^^^
      orchestrator.lock:10:22: `abc` is not a sha256 of 64 hexadecimal digits
         10 |     b.zip: { sha256: abc, size: 1 }
            |                      ^^^
      orchestrator.lock:11:5: `c.zip` has no `size`
         11 |     c.zip: { sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 }
            |     ^^^^^
      orchestrator.lock:12:94: `size` wants a number of bytes
         12 |     d.zip: { sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, size: x }
            |                                                                                              ^
      orchestrator.lock:13:5: duplicate key `d.zip`
         13 |     d.zip: {}
            |     ^^^^^ the first one is at orchestrator.lock:12:5
    ");
}

#[test]
fn builds_that_are_still_uploaded_are_a_list_of_tags() {
    assert!(
        parse("schema: 1\nuploading:\n")
            .expect("a lock")
            .uploading
            .is_empty()
    );
    assert_snapshot!(damaged("schema: 1\nuploading: b9553\n"), @r"
    `orchestrator.lock` has 1 mistake
      orchestrator.lock:2:12: `uploading` wants a list of builds
          2 | uploading: b9553
            |            ^^^^^
    ");
    let found = damaged("schema: 1\nuploading: [b9553, 9600, {}]\n");
    assert!(found.contains("has 2 mistakes"), "{found}");
    assert!(found.contains("`9600` is not a build tag"), "{found}");
}

#[test]
fn a_conflict_of_git_is_told_as_one() {
    let found = damaged(
        "schema: 1\npins:\n<<<<<<< HEAD\n  a: { version: stable, tag: b1 }\n=======\n>>>>>>> b\n",
    );
    assert_snapshot!(found, @r"
    `orchestrator.lock` has 1 mistake
      orchestrator.lock:3:1: git left a conflict here
          3 | <<<<<<< HEAD
            | ^^^^^^^ resolve the conflict and commit the file
    ");
    let hint = parse("<<<<<<< a\n")
        .expect_err("a conflict")
        .hint()
        .expect("a hint");
    assert!(hint.contains("git checkout"), "{hint}");
}

fn asset(sized: bool) -> impl Strategy<Value = LockedAsset> {
    let size = any::<u64>().prop_map(Some);
    let size = if sized {
        size.boxed()
    } else {
        prop_oneof![Just(None), size].boxed()
    };
    (any::<[u8; 32]>(), size)
        .prop_map(|(bytes, size)| LockedAsset::new(Digest::from_bytes(bytes), size))
}

fn lock() -> impl Strategy<Value = Lock> {
    let name = "[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?".prop_map(|name| name.parse().expect("a name"));
    let tag = any::<u32>().prop_map(Tag::new);
    let version = prop_oneof![Just("stable"), Just("nightly"), Just("v0.9.0")];
    let pin = (version, tag.clone()).prop_map(|(version, tag)| LockedPin {
        version: version.to_owned(),
        tag,
    });
    let assets = prop::collection::btree_map(any::<String>(), asset(true), 0..4);
    (
        prop::collection::btree_map(name, pin, 0..4),
        prop::collection::btree_map(tag.clone(), assets, 0..4),
        prop::collection::btree_set(tag, 0..4),
        prop::collection::btree_map("https://[ -~]{1,30}", asset(false), 0..4),
    )
        .prop_map(|(pins, assets, uploading, archives)| Lock {
            pins,
            assets,
            uploading,
            archives,
            ..Lock::default()
        })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(lock in lock()) {
        prop_assert_eq!(parse(&lock.print()), Ok(lock));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), tail in "[ -~\n]{0,80}") {
        let _ = parse(&text);
        let _ = parse(&format!("schema: 1\n{tail}"));
    }
}
