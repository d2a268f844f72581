//! Instances that left the manifest: removed, protected, refused.

use insta::assert_snapshot;

use super::world::{World, name, on, unseen};
use crate::observed::Seen;
use crate::plan::ending;

#[test]
fn one_that_left_the_manifest_is_removed() {
    let world = World::new()
        .runs("chat", on("b1"))
        .runs("old", on("b1").at(8072))
        .wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      - remove   old                     no longer in orchestrator.yaml

    Plan: 1 to remove.
    "#);
    assert_snapshot!(world.plan().without_removals(), @r#"
      ! hold     old                     no longer in orchestrator.yaml; `llama-orch apply --yes` removes it

    Plan: nothing to do; 1 held.
    "#);
    world.assert_settles();
}

#[test]
fn what_needs_a_removal_waits_for_consent_too() {
    let world = World::new()
        .runs("chat", on("b1"))
        .runs("old", on("b1").at(8072))
        .wants("chat", on("b1"))
        .wants("new", on("b1").at(8072));
    assert_snapshot!(world.plan().without_removals(), @r#"
      ! hold     new                     needs a step of `old`, which is left out here
      ! hold     old                     no longer in orchestrator.yaml; `llama-orch apply --yes` removes it

    Plan: nothing to do; 2 held.
    "#);
    world.assert_settles();
}

#[test]
fn a_protected_instance_stays() {
    let world = World::new()
        .runs("chat", on("b1"))
        .runs("old", on("b1").at(8072))
        .memory("old", |memory| memory.protected = true)
        .wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      ! hold     old                     no longer in orchestrator.yaml, and protected; it goes on running until `llama-orch unprotect old`

    Plan: nothing to do; 1 held.
    "#);
    assert!(world.plan().is_converged());
    let named = World::new()
        .runs("chat", on("b1"))
        .runs("old", on("b1").at(8072))
        .wants("chat", on("b1"))
        .desired(|desired| {
            desired.protect.insert(name("old"));
        });
    assert_eq!(named.shown(), world.shown());
    world.assert_settles();
}

#[test]
fn protection_is_copied_while_the_instance_runs() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1"))
        .desired(|desired| {
            desired.protect.insert(name("chat"));
        });
    assert_snapshot!(world.shown(), @r#"
      ~ update   chat                    protect (no restart)

    Plan: 1 to update.
    "#);
    world.assert_settles();
}

#[test]
fn removing_all_needs_agreement() {
    let world = World::new()
        .runs("a", on("b1"))
        .runs("b", on("b1").at(8072));
    assert_snapshot!(world.shown(), @r#"
      ! hold     a                       no longer in orchestrator.yaml; 2 of 2 would be removed at once, which needs `--allow-empty`
      ! hold     b                       no longer in orchestrator.yaml; 2 of 2 would be removed at once, which needs `--allow-empty`

    Plan: nothing to do; 2 held.
    "#);
    assert!(!world.plan().has_changes() && world.plan().needs_attention());
    let agreed = world.desired(|desired| desired.allow_empty = true);
    assert_snapshot!(agreed.shown(), @r#"
      - remove   a                       no longer in orchestrator.yaml
      - remove   b                       no longer in orchestrator.yaml

    Plan: 2 to remove.
    "#);
    agreed.assert_settles();
}

#[test]
fn removing_every_known_one_needs_agreement_though_others_are_new() {
    let world = World::new()
        .runs("a", on("b1"))
        .runs("b", on("b1").at(8072))
        .wants("c", on("b1").at(8073));
    assert_snapshot!(world.shown(), @r#"
      + start    c                       not running
      ! hold     a                       no longer in orchestrator.yaml; 2 of 2 would be removed at once, which needs `--allow-empty`
      ! hold     b                       no longer in orchestrator.yaml; 2 of 2 would be removed at once, which needs `--allow-empty`

    Plan: 1 to start; 2 held.
    "#);
    world.assert_settles();
}

#[test]
fn a_new_name_for_the_same_launch_is_no_loss() {
    let world = World::new().runs("chat", on("b1")).wants("talk", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      - remove   chat                    no longer in orchestrator.yaml
      + start    talk                    not running

    Plan: 1 to start, 1 to remove.
    "#);
    world.assert_settles();
    // Another launch under another name may be a mistake.
    let other = World::new()
        .runs("chat", on("b1"))
        .wants("talk", on("b1").with("model.path", "other.gguf"));
    assert_snapshot!(other.shown(), @r#"
      ! hold     chat                    no longer in orchestrator.yaml; 1 of 1 would be removed at once, which needs `--allow-empty`
      x blocked  talk                    port 8071 is held by `chat`, which is left as it is

    Plan: nothing to do; 1 held, 1 blocked.
    "#);
}

#[test]
fn removing_most_of_three_or_more_needs_agreement_and_half_of_four_does_not() {
    let three = World::new()
        .runs("a", on("b1"))
        .runs("b", on("b1").at(8072))
        .runs("c", on("b1").at(8073));
    let most = three.clone().wants("a", on("b1"));
    assert_snapshot!(most.shown(), @r#"
      ! hold     b                       no longer in orchestrator.yaml; 2 of 3 would be removed at once, which needs `--allow-empty`
      ! hold     c                       no longer in orchestrator.yaml; 2 of 3 would be removed at once, which needs `--allow-empty`

    Plan: nothing to do; 2 held.
    "#);
    most.assert_settles();
    let half = three
        .runs("d", on("b1").at(8074))
        .wants("a", on("b1"))
        .wants("b", on("b1").at(8072));
    assert_snapshot!(half.shown(), @r#"
      - remove   c                       no longer in orchestrator.yaml
      - remove   d                       no longer in orchestrator.yaml

    Plan: 2 to remove.
    "#);
    half.assert_settles();
}

#[test]
fn protected_ones_are_not_counted_as_removed() {
    let world = World::new()
        .runs("a", on("b1"))
        .runs("b", on("b1").at(8072))
        .runs("c", on("b1").at(8073))
        .memory("b", |memory| memory.protected = true)
        .wants("a", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      - remove   c                       no longer in orchestrator.yaml
      ! hold     b                       no longer in orchestrator.yaml, and protected; it goes on running until `llama-orch unprotect b`

    Plan: 1 to remove; 1 held.
    "#);
    world.assert_settles();
}

#[test]
fn nobody_is_removed_who_was_not_seen() {
    let world = World::new()
        .runs("chat", on("b1"))
        .runs("old", on("b1").at(8072))
        .wants("chat", on("b1"))
        .see("old", |seen| {
            seen.server = Seen::Unknown(unseen("`server.lock` cannot be asked"));
        });
    assert_snapshot!(world.shown(), @r#"
      ! hold     old                     left alone: `server.lock` cannot be asked

    Plan: nothing to do; 1 held.
    "#);
    assert!(!world.plan().has_changes());
}

#[test]
fn down_ends_what_lives_whatever_the_record_says() {
    let world = World::new()
        .runs("chat", on("b1"))
        .stopped("embed", on("b1").at(8072))
        .runs("odd", on("b1").at(8073))
        .see("odd", |seen| {
            seen.server = Seen::Unknown(unseen("`server.lock` cannot be asked"));
        })
        .see("chat", |seen| {
            seen.memory = Seen::Unknown(unseen("`record.json` is damaged"));
        });
    let names = ["chat", "embed", "odd", "nobody"].map(name);
    let plan = ending(&world.observed, &names.into(), Some("maintenance"));
    assert_snapshot!(plan, @r#"
      - stop     chat                    put down: maintenance
      ! hold     odd                     left alone: `server.lock` cannot be asked

    Plan: 1 to stop; 1 held.
    "#);
}
