//! Restarts that a person asks for although nothing has changed.

use insta::assert_snapshot;

use super::world::{World, on};
use crate::observed::{GaveUp, Verdict};
use crate::plan::action::{Action, Start};

/// What the only start or restart of a plan is to do.
fn only_start(world: &World) -> Start {
    let plan = world.plan();
    let mut starts = plan.steps().iter().filter_map(|step| match &step.action {
        Action::Start(start) | Action::Replace(start) => Some(Start::clone(start)),
        _ => None,
    });
    let only = starts.next().expect("a start");
    assert!(starts.next().is_none(), "{plan}");
    only
}

#[test]
fn what_runs_as_wanted_is_restarted_when_asked_for() {
    let world = World::new()
        .runs("chat", on("b1"))
        .runs("embed", on("b1").at(8072))
        .wants("chat", on("b1"))
        .wants("embed", on("b1").at(8072))
        .restart("chat", Some("a new driver"));
    assert_snapshot!(world.shown(), @r"
    -/+ restart  chat                    asked for: a new driver; about 12 s down (last load 11.6 s)

    Plan: 1 to restart.
    ");
    assert!(only_start(&world).anew);
    world.assert_settles();
}

/// It falls back to what any start of this launch would fall back to, never to itself.
#[test]
fn a_restart_that_fails_is_followed_by_what_follows_any_start_of_the_launch() {
    let world = World::new()
        .runs("chat", on("b2"))
        .proven("chat", on("b2"))
        .wants("chat", on("b2"));
    let asked = world.clone().restart("chat", None);
    assert_eq!(only_start(&asked).fallback, None);
    let asked = world.proven("chat", on("b1")).restart("chat", None);
    let fallback = only_start(&asked).fallback.expect("a fallback");
    assert_eq!(fallback.launch.build.as_str(), "b1");
    asked.assert_settles();
}

#[test]
fn one_that_has_changed_is_restarted_once() {
    let world = World::new()
        .runs("chat", on("b1"))
        .installed("b2")
        .wants("chat", on("b2"))
        .restart("chat", None);
    assert_snapshot!(world.shown(), @r"
    -/+ restart  chat                    binary b1 -> b2; about 12 s down (last load 11.6 s)

    Plan: 1 to restart.
    ");
    world.assert_settles();
}

#[test]
fn one_that_loads_without_end_can_be_restarted() {
    let world = World::new()
        .starting("chat", on("b1"))
        .wants("chat", on("b1"))
        .restart("chat", None);
    assert_snapshot!(world.shown(), @r"
    -/+ restart  chat                    asked for; about 12 s down (last load 11.6 s)

    Plan: 1 to restart.
    ");
    world.assert_settles();
}

#[test]
fn one_that_does_not_run_is_started() {
    let waits = World::new()
        .backing_off("chat", on("b1"), 30)
        .wants("chat", on("b1"))
        .restart("chat", None);
    assert_snapshot!(waits.shown(), @r"
      + start    chat                    not running

    Plan: 1 to start.
    ");
    waits.assert_settles();
    let gave_up = World::new()
        .crashed("chat", on("b1"))
        .memory("chat", |memory| {
            memory.gave_up = Some(GaveUp::TooOften("exited with code 1".to_owned()));
        })
        .wants("chat", on("b1"))
        .restart("chat", None);
    assert_snapshot!(gave_up.shown(), @r"
      + start    chat                    not running: it was ended by SIGKILL

    Plan: 1 to start.
    ");
    gave_up.assert_settles();
}

#[test]
fn one_that_is_to_be_down_stays_down() {
    let put_down = World::new()
        .stopped("chat", on("b1"))
        .wants("chat", on("b1"))
        .put_down("chat", Some("needs the card"))
        .restart("chat", None);
    assert_snapshot!(put_down.shown(), @r"
      ! hold     chat                    put down: needs the card; `llama-orch up chat` starts it

    Plan: nothing to do; 1 held.
    ");
    let disabled = World::new()
        .stopped("chat", on("b1"))
        .wants("chat", on("b1"))
        .wanted("chat", |wanted| wanted.enabled = false)
        .restart("chat", None);
    assert!(!disabled.plan().has_changes());
}

/// What was rolled back to by itself is what is restarted, and what has failed stays on hold.
#[test]
fn what_runs_in_the_stead_of_a_failed_launch_is_what_is_restarted() {
    let world = World::new()
        .runs("chat", on("b1"))
        .proven("chat", on("b1"))
        .installed("b2")
        .failed("chat", on("b2"))
        .wants("chat", on("b2"))
        .restart("chat", None);
    assert_snapshot!(world.shown(), @r"
    -/+ restart  chat                    asked for; about 12 s down (last load 11.6 s)
      ! hold     chat                    b2 failed 2 h ago: exited with code 1; b1 runs; change it or `llama-orch retry chat`

    Plan: 1 to restart; 1 held.
    ");
    let start = only_start(&world);
    assert_eq!(start.launch.launch().build.as_str(), "b1");
    assert_eq!(start.fallback, None);
    world.assert_settles();
}

#[test]
fn what_failed_its_gate_and_was_left_needs_a_retry() {
    let world = World::new()
        .runs("chat", on("b1"))
        .server("chat", |server| server.verdict = Verdict::Failed)
        .failed("chat", on("b1"))
        .wants("chat", on("b1"))
        .restart("chat", None);
    assert_snapshot!(world.shown(), @r"
      ! hold     chat                    b1 failed its gate 2 h ago and was left running: exited with code 1; change it or `llama-orch retry chat`

    Plan: nothing to do; 1 held.
    ");
    world.assert_settles();
}
