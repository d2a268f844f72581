//! Going back by hand: what it goes to, how long it holds, and that nothing follows it by itself.

use insta::assert_snapshot;

use super::world::{World, id, name, on};
use crate::desired::WantedInstance;
use crate::observed::Seen;
use crate::plan::action::{Action, PlannedLaunch};
use crate::plan::rollback::{NoTarget, target};

/// Runs b2, which is wanted, and was rolled back to b1.
fn rolled_back() -> World {
    World::new()
        .runs("chat", on("b2"))
        .proven("chat", on("b2"))
        .proven("chat", on("b1"))
        .wants("chat", on("b2"))
        .rolled_back("chat", on("b1"), &on("b2"))
}

#[test]
fn a_rollback_is_a_restart_that_falls_back_to_nothing() {
    let world = rolled_back();
    assert_snapshot!(world.shown(), @r#"
    -/+ restart  chat                    rolled back to b1: binary b2 -> b1; about 12 s down (last load 11.6 s)
      ! hold     chat                    rolled back to b1 2 h ago: it is slow; change it or `llama-orch retry chat` to go on with b2

    Plan: 1 to restart; 1 held.
    "#);
    let Action::Replace(start) = &world.plan().steps()[0].action.clone() else {
        panic!("not a restart");
    };
    assert!(matches!(start.launch, PlannedLaunch::Proven(_)));
    assert_eq!(start.fallback, None);
    world.assert_settles();
}

#[test]
fn what_is_rolled_back_stays_so_and_is_called_converged() {
    let mut world = rolled_back();
    let plan = world.plan();
    world.carry_out(&plan);
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    rolled back to b1 2 h ago: it is slow; change it or `llama-orch retry chat` to go on with b2

    Plan: nothing to do; 1 held.
    "#);
    assert!(world.plan().is_converged() && !world.plan().needs_attention());
}

#[test]
fn another_pin_ends_it() {
    let mut world = rolled_back();
    let plan = world.plan();
    world.carry_out(&plan);
    let world = world.wants("chat", on("b3"));
    assert_snapshot!(world.shown(), @r#"
      + install  b3 vulkan-x64           29.8 MiB download, not installed
    -/+ restart  chat                    binary b1 -> b3; about 12 s down (last load 11.6 s)

    Plan: 1 to install, 1 to restart.
    "#);
    let Action::Replace(start) = &world.plan().steps()[1].action.clone() else {
        panic!("not a restart");
    };
    assert!(matches!(start.launch, PlannedLaunch::Wanted(_)));
    assert!(start.fallback.is_some());
    world.assert_settles();
}

#[test]
fn what_does_not_run_is_started_from_what_it_was_rolled_back_to() {
    let world = World::new()
        .crashed("chat", on("b2"))
        .proven("chat", on("b1"))
        .wants("chat", on("b2"))
        .rolled_back("chat", on("b1"), &on("b2"));
    assert_snapshot!(world.shown(), @r#"
      + start    chat                    not running: it was ended by SIGKILL
      ! hold     chat                    rolled back to b1 2 h ago: it is slow; change it or `llama-orch retry chat` to go on with b2

    Plan: 1 to start; 1 held.
    "#);
    let Action::Start(start) = &world.plan().steps()[0].action.clone() else {
        panic!("not a start");
    };
    assert_eq!(start.launch.launch().build.as_str(), "b1");
    world.assert_settles();
}

#[test]
fn it_stays_down_when_it_is_put_down() {
    let world = rolled_back().put_down("chat", None);
    assert_snapshot!(world.shown(), @r#"
      - stop     chat                    put down

    Plan: 1 to stop.
    "#);
    world.assert_settles();
}

#[test]
fn a_rollback_that_fails_is_held_and_nothing_is_started_for_it() {
    let world = World::new()
        .stopped("chat", on("b1"))
        .proven("chat", on("b3"))
        .wants("chat", on("b2"))
        .rolled_back("chat", on("b1"), &on("b2"))
        .failed("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    b1 failed 2 h ago: exited with code 1; change it or `llama-orch retry chat`
      ! hold     chat                    rolled back to b1 2 h ago: it is slow; change it or `llama-orch retry chat` to go on with b2

    Plan: nothing to do; 2 held.
    "#);
    assert!(world.plan().needs_attention());
    world.assert_settles();
}

#[test]
fn the_build_it_leaves_is_not_installed_and_the_one_it_goes_to_is_never_unused() {
    let world = World::new()
        .runs("chat", on("b1"))
        .put_down("chat", None)
        .installed("b3")
        .wants("chat", on("b2"))
        .rolled_back("chat", on("b1"), &on("b2"))
        .desired(|desired| desired.retention.prune = true);
    assert_snapshot!(world.shown(), @r#"
      - stop     chat                    put down
      - prune    b3 vulkan-x64           61.0 MiB, no instance uses it

    Plan: 1 to stop, 1 to prune.
    "#);
    world.assert_settles();
}

#[test]
fn a_build_that_is_gone_blocks_it() {
    let world = rolled_back().observed(|observed| {
        let Seen::Known(binaries) = &mut observed.binaries else {
            panic!("the builds are not seen");
        };
        binaries.remove(&id("b1"));
    });
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    rolled back to b1 2 h ago: it is slow; change it or `llama-orch retry chat` to go on with b2
      x blocked  chat                    b1, which it is rolled back to, is not installed any more; `llama-orch binary install b1` fetches it again

    Plan: nothing to do; 1 held, 1 blocked.
    "#);
}

#[test]
fn nobody_follows_a_canary_that_was_rolled_back() {
    let mut world = rolled_back()
        .runs("embed", on("b1").at(8072))
        .wants("embed", on("b2").at(8072))
        .desired(|desired| desired.rollout.canary = Some(name("chat")));
    assert_snapshot!(world.shown(), @r#"
    -/+ restart  chat                    rolled back to b1: binary b2 -> b1; about 12 s down (last load 11.6 s)
      ! hold     chat                    rolled back to b1 2 h ago: it is slow; change it or `llama-orch retry chat` to go on with b2
      ! hold     embed                   waits for the canary `chat`, which has not come through

    Plan: 1 to restart; 2 held.
    "#);
    let plan = world.plan();
    world.carry_out(&plan);
    assert!(!world.plan().has_changes());
}

#[test]
fn two_same_builds_are_told_by_words() {
    let before = on("b2").with("args", vec!["--metrics"]);
    let world = World::new()
        .runs("chat", on("b2"))
        .proven("chat", before.clone())
        .wants("chat", on("b2"))
        .rolled_back("chat", before, &on("b2"));
    assert_snapshot!(world.shown(), @r#"
    -/+ restart  chat                    rolled back to b2: args; about 12 s down (last load 11.6 s)
      ! hold     chat                    rolled back to an earlier launch of b2 2 h ago: it is slow; change it or `llama-orch retry chat` to go on with what orchestrator.yaml says

    Plan: 1 to restart; 1 held.
    "#);
    world.assert_settles();
}

/// What a rollback would go to, or why to nothing.
fn goes_to(world: &World, to: Option<&str>) -> Result<String, NoTarget> {
    let who = name("chat");
    let Some(WantedInstance::Resolved(wanted)) = world.desired.instances.get(&who) else {
        panic!("it is not wanted");
    };
    let seen = &world.observed.instances[&who];
    let binaries = world.observed.binaries.known().expect("they are seen");
    target(&who, &wanted.launch, seen, binaries, to).map(|it| it.launch.build.to_string())
}

#[test]
fn the_newest_proven_launch_that_differs_is_gone_back_to() {
    let world = World::new()
        .runs("chat", on("b3"))
        .proven("chat", on("b3"))
        .proven("chat", on("b2"))
        .proven("chat", on("b1"))
        .wants("chat", on("b3"));
    assert_eq!(goes_to(&world, None).as_deref(), Ok("b2"));
    assert_eq!(goes_to(&world, Some("b1")).as_deref(), Ok("b1"));
    let prefix = &id("b1").to_string()[..6];
    assert_eq!(goes_to(&world, Some(prefix)).as_deref(), Ok("b1"));

    // The second time it goes further back, and not to what it was rolled back from.
    let again = world
        .runs("chat", on("b2"))
        .rolled_back("chat", on("b2"), &on("b3"));
    assert_eq!(goes_to(&again, None).as_deref(), Ok("b1"));

    // What has failed runs no more, and what runs in its stead is not gone back to.
    let fallen = World::new()
        .runs("chat", on("b2"))
        .proven("chat", on("b2"))
        .proven("chat", on("b1"))
        .failed("chat", on("b3"))
        .wants("chat", on("b3"));
    assert_eq!(goes_to(&fallen, None).as_deref(), Ok("b1"));
}

#[test]
fn where_there_is_nothing_to_go_back_to_it_says_what_there_is() {
    let told = |world: &World, to| {
        let error = goes_to(world, to).expect_err("nothing to go back to");
        let hint = error.hint().map(|hint| format!("\n  {hint}"));
        error.to_string() + &hint.unwrap_or_default()
    };
    let new = World::new().runs("chat", on("b2")).wants("chat", on("b2"));
    let only = new
        .clone()
        .proven("chat", on("b2"))
        .server("chat", |server| server.proven = true);
    let gone = only.clone().proven("chat", on("b1")).observed(|observed| {
        let Seen::Known(binaries) = &mut observed.binaries else {
            panic!("the builds are not seen");
        };
        binaries.remove(&id("b1"));
    });
    let two = only.clone().proven("chat", on("b1"));
    let back = two
        .clone()
        .runs("chat", on("b1"))
        .rolled_back("chat", on("b1"), &on("b2"));
    let all = [
        told(&new, None),
        told(&only, None),
        told(&gone, None),
        told(&two, Some("b7")),
        told(&two, Some("b2")),
        told(&back, None),
        told(&back, Some("b2")),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    no launch of `chat` is proven yet
      a launch is proven once it has stayed healthy for `rollout.prove_after`; until then, change the pin
    `chat` has no proven launch to go back to but b2 (4814d920)
      change the pin to run another build
    b1 (7dc96f77) is not installed any more
      `llama-orch binary install b1` fetches it again
    no proven launch of `chat` ran `b7`
      proven are b2 (4814d920), b1 (7dc96f77)
    `chat` runs `b2` already
    `chat` has no proven launch to go back to but b2 (4814d920)
      `llama-orch retry chat` goes on with what orchestrator.yaml says
    `chat` is pinned to `b2` already
      `llama-orch retry chat` goes on with what orchestrator.yaml says
    "#);
}
