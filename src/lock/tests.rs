use super::*;

#[test]
fn a_lock_is_read_as_it_was_printed() {
    let mut lock = Lock::default();
    let pin = LockedPin { version: "stable".to_owned(), tag: Tag::new(9553) };
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
    insta::assert_snapshot!(lock.print(), @r"
    # Written by llama-orch, read by every machine: commit it together with orchestrator.yaml.
    # To move a floating pin, take its line out of `pins` and run `llama-orch apply`.
    schema: 1
    pins:
      chat: { version: stable, tag: b9553 }
    assets:
      b9553:
        llama-b9553-bin-ubuntu-x64.tar.gz: { sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881, size: 31255000 }
    archives:
      https://builds.example/a.tar.gz: { sha256: a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa }
    ");
    assert_eq!(Lock::parse("orchestrator.lock", &lock.print()), Ok(lock));
}
