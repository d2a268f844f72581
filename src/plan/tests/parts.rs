//! A part of a plan: some instances only.

use insta::assert_snapshot;

use super::world::{World, name, on};

#[test]
fn a_plan_for_some_brings_the_installs_they_need() {
    let world = World::new()
        .wants("chat", on("b1"))
        .wants("embed", on("b2").at(8072))
        .wants("ocr", on("b1").at(8075))
        .stranger_at(8075, "`python3` (pid 4121)");
    assert_snapshot!(world.plan().narrowed(&[name("chat")].into()), @r#"
      + install  b1 vulkan-x64           29.8 MiB download, not installed
      + start    chat                    not running

    Plan: 1 to install, 1 to start.
    "#);
    assert_snapshot!(world.plan().narrowed(&[name("ocr")].into()), @r#"
      x blocked  ocr                     port 8075 is held by `python3` (pid 4121)

    Plan: nothing to do; 1 blocked.
    "#);
}

#[test]
fn what_needs_a_step_of_somebody_else_is_held() {
    let world = World::new()
        .installed("b1")
        .wants("chat", on("b1"))
        .depends("chat", &["embed"])
        .wants("embed", on("b1").at(8072));
    assert_snapshot!(world.plan().narrowed(&[name("chat")].into()), @r#"
      ! hold     chat                    needs a step of `embed`, which is left out here

    Plan: nothing to do; 1 held.
    "#);
}

#[test]
fn half_of_a_swap_stops_nothing() {
    let world = World::new()
        .runs("a", on("b1").at(8071))
        .runs("b", on("b1").at(8072))
        .wants("a", on("b2").at(8072))
        .wants("b", on("b3").at(8071));
    let narrowed = world.plan().narrowed(&[name("a")].into());
    assert_snapshot!(narrowed, @r#"
      ! hold     a                       needs a step of `b`, which is left out here

    Plan: nothing to do; 1 held.
    "#);
    assert!(!narrowed.has_changes());
}

#[test]
fn limits_are_never_nought() {
    let world = World::new().desired(|desired| {
        desired.rollout.max_parallel = 0;
        desired.rollout.start_parallel = 0;
    });
    let limits = world.plan().limits();
    assert_eq!((limits.max_parallel, limits.start_parallel), (1, 1));
}
