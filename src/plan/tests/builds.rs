//! Builds: installed, damaged, too large, unused, pruned.

use insta::assert_snapshot;

use super::world::{World, id, on, unseen};
use crate::desired::Unanswered;
use crate::observed::{ObservedBinary, Seen};
use crate::plan::action::Action;
use crate::release::Digest;

fn binary(world: World, version: &str, change: impl FnOnce(&mut ObservedBinary)) -> World {
    world.observed(|observed| {
        let Seen::Known(binaries) = &mut observed.binaries else {
            panic!("the builds are not seen");
        };
        change(binaries.get_mut(&id(version)).expect("an installed build"));
    })
}

#[test]
fn a_build_that_two_are_pinned_to_is_installed_once() {
    let world = World::new()
        .wants("chat", on("b1"))
        .wants("embed", on("b1").at(8072));
    assert_snapshot!(world.shown(), @r#"
      + install  b1 vulkan-x64           29.8 MiB download, not installed
      + start    chat                    not running
      + start    embed                   not running

    Plan: 1 to install, 2 to start.
    "#);
    world.assert_settles();
}

#[test]
fn a_damaged_build_is_installed_again_while_its_server_runs() {
    let world = World::new().runs("chat", on("b1")).wants("chat", on("b1"));
    let world = binary(world, "b1", |binary| {
        binary.damage = Some("`libggml.so` changed".to_owned());
    });
    assert_snapshot!(world.shown(), @r#"
      + install  b1 vulkan-x64           damaged: `libggml.so` changed; 29.8 MiB download

    Plan: 1 to install.
    "#);
    world.assert_settles();
}

#[test]
fn a_build_that_cannot_be_fetched_blocks() {
    let mut world = World::new().wants("chat", on("mine"));
    world
        .desired
        .binaries
        .get_mut(&id("mine"))
        .expect("a wanted build")
        .archives
        .clear();
    assert_snapshot!(world.shown(), @r#"
      x blocked  chat                    its build mine vulkan-x64 (3fd30542-fe3f-61b1-4bd4-a4b2dc0b6fb3) is not installed and cannot be fetched

    Plan: nothing to do; 1 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn space_is_counted_over_all_installs() {
    let world = World::new()
        .wants("chat", on("b1"))
        .wants("embed", on("b2").at(8072))
        .observed(|observed| observed.host.free_disk = Seen::Known(200 << 20));
    assert_snapshot!(world.shown(), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      + start    embed                   not running
      x blocked  chat                    needs 165.0 MiB of disk, 35.0 MiB are free

    Plan: 1 to install, 1 to start; 1 blocked.
    "#);
    let unknown = world.observed(|observed| {
        observed.host.free_disk = Seen::Unknown(unseen("cannot ask"));
    });
    assert_eq!(unknown.plan().blockers(), []);
    unknown.assert_settles();
}

#[test]
fn what_nothing_uses_is_shown_and_pruned_only_where_asked() {
    let world = World::new()
        .installed("b1")
        .installed("b2")
        .runs("chat", on("b3"))
        .wants("chat", on("b3"));
    assert_snapshot!(world.shown(), @r#"
      . unused   b2 vulkan-x64           61.0 MiB; `apply --prune` removes it
      . unused   b1 vulkan-x64           61.0 MiB; `apply --prune` removes it

    Nothing to do: everything is as orchestrator.yaml says.
    "#);
    let pruned = world.desired(|desired| desired.retention.prune = true);
    assert_snapshot!(pruned.shown(), @r#"
      - prune    b1 vulkan-x64           61.0 MiB, no instance uses it
      - prune    b2 vulkan-x64           61.0 MiB, no instance uses it

    Plan: 2 to prune.
    "#);
    pruned.assert_settles();
}

#[test]
fn the_newest_unused_are_kept() {
    let mut world = World::new().runs("chat", on("b9")).wants("chat", on("b9"));
    for (hours, version) in ["b1", "b2", "b3"].into_iter().enumerate() {
        world = world.installed(version);
        let hours = i64::try_from(hours).expect("a few hours");
        let installed = world.now() - jiff::SignedDuration::from_hours(48 - hours);
        world = binary(world, version, |binary| binary.installed = Some(installed));
    }
    let world = world.desired(|desired| {
        desired.retention.keep = 2;
        desired.retention.prune = true;
    });
    assert_snapshot!(world.shown(), @r#"
      - prune    b1 vulkan-x64           61.0 MiB, no instance uses it

    Plan: 1 to prune.
    "#);
    world.assert_settles();
}

#[test]
fn nothing_is_pruned_that_something_could_need() {
    let world = World::new()
        .runs("chat", on("b2"))
        .proven("chat", on("b1"))
        .wants("chat", on("b3"))
        .backing_off("embed", on("b4").at(8072), 30)
        .wants("embed", on("b5").at(8072))
        .installed("b6")
        .desired(|desired| desired.retention.prune = true);
    // An own build, one of which another id is wanted, and one that is to be installed under
    // another id: only the first of these stands in the way of nothing.
    let world = binary(world.installed("own"), "own", |own| own.prunable = false);
    let world = binary(world.installed("alias"), "alias", |binary| {
        binary.aliases.push(id("b3"));
    });
    let world = binary(world.installed("same"), "same", |binary| {
        binary.digest = Some(Digest::of("b5"));
    });
    assert_snapshot!(world.shown(), @r#"
      + install  b5 vulkan-x64           29.8 MiB download, not installed
    -/+ restart  chat                    binary b2 -> b3; about 12 s down (last load 11.6 s)
      + start    embed                   not running
      - prune    b6 vulkan-x64           61.0 MiB, no instance uses it

    Plan: 1 to install, 1 to restart, 1 to start, 1 to prune.
    "#);
    let pruned: Vec<_> = world
        .plan()
        .steps()
        .iter()
        .filter_map(|step| match &step.action {
            Action::Prune(prune) => Some(prune.build.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(pruned, ["b6"]);
}

#[test]
fn nothing_is_pruned_where_anything_was_not_seen_or_not_resolved() {
    let world = World::new()
        .installed("b1")
        .runs("chat", on("b2"))
        .wants("chat", on("b2"))
        .desired(|desired| desired.retention.prune = true);
    assert!(world.plan().has_changes());
    let blind = world.clone().see("old", |seen| {
        seen.supervisor = Seen::Unknown(unseen("`supervisor.lock` cannot be asked"));
    });
    assert!(!blind.plan().has_changes(), "{}", blind.plan());
    let open = world.unresolved("embed", Unanswered::NotLocked("it".to_owned()));
    assert!(!open.plan().has_changes(), "{}", open.plan());
}

#[test]
fn a_prune_comes_after_everything_that_starts_or_ends_a_server() {
    let world = World::new()
        .installed("b0")
        .runs("chat", on("b1"))
        .proven("chat", on("b1"))
        .wants("chat", on("b2"))
        .desired(|desired| desired.retention.prune = true);
    let plan = world.plan();
    let prune = plan.steps().last().expect("a step");
    assert!(matches!(prune.action, Action::Prune(_)));
    assert_eq!(prune.after.len(), 1);
    world.assert_settles();
}
