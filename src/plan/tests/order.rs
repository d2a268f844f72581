//! What instances have to do with each other: ports that change hands, dependencies, the canary.

use insta::assert_snapshot;

use super::world::{World, on};
use crate::plan::Plan;
use crate::plan::action::{Action, Needs};

/// Each step after those it needs, in words.
fn edges(plan: &Plan) -> String {
    let what = |index: usize| {
        let action = &plan.steps()[index].action;
        format!("{} {}", action.verb(), action.subject())
    };
    plan.steps()
        .iter()
        .filter(|step| !step.after.is_empty())
        .map(|step| {
            let before: Vec<_> = step
                .after
                .iter()
                .map(|after| match after.needs {
                    Needs::Success => what(after.step.index()),
                    Needs::Ended => format!("({})", what(after.step.index())),
                })
                .collect();
            format!("{} after {}", what(step.id.index()), before.join(", "))
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_port_is_taken_once_it_is_free() {
    let world = World::new()
        .runs("a", on("b1").at(8071))
        .runs("b", on("b1").at(8072))
        .wants("a", on("b1").at(8072))
        .wants("b", on("b1").at(8073))
        .wants("c", on("b1").at(8071));
    assert_snapshot!(world.shown(), @r#"
    -/+ restart  b                       server.port 8072 -> 8073; about 12 s down (last load 11.6 s)
    -/+ restart  a                       server.port 8071 -> 8072; about 12 s down (last load 11.6 s)
      + start    c                       not running

    Plan: 2 to restart, 1 to start.
    "#);
    assert_snapshot!(edges(&world.plan()), @r#"
    restart a after restart b
    start c after restart a
    "#);
    world.assert_settles();
}

#[test]
fn two_that_swap_ports_stop_before_either_starts() {
    let world = World::new()
        .runs("a", on("b1").at(8071))
        .runs("b", on("b1").at(8072))
        .wants("a", on("b1").at(8072))
        .wants("b", on("b2").at(8071));
    assert_snapshot!(world.shown(), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      - stop     a                       swaps ports with another instance
      - stop     b                       swaps ports with another instance
      + start    a                       server.port 8071 -> 8072; about 12 s down (last load 11.6 s)
      + start    b                       binary b1 -> b2, server.port 8072 -> 8071; about 12 s down (last load 11.6 s)

    Plan: 1 to install, 2 to stop, 2 to start.
    "#);
    assert_snapshot!(edges(&world.plan()), @r#"
    stop a after install b2 vulkan-x64
    stop b after install b2 vulkan-x64
    start a after stop a, stop b
    start b after install b2 vulkan-x64, stop a, stop b
    "#);
    for step in world.plan().steps() {
        if let Action::Start(start) = &step.action {
            assert_eq!(start.fallback, None, "its old address is taken");
        }
    }
    world.assert_settles();
}

#[test]
fn three_ports_go_round_and_a_fourth_follows() {
    let world = World::new()
        .runs("a", on("b1").at(8071))
        .runs("b", on("b1").at(8072))
        .runs("c", on("b1").at(8073))
        .wants("a", on("b1").at(8072))
        .wants("b", on("b1").at(8073))
        .wants("c", on("b1").at(8071))
        .wants("d", on("b1").at(8074));
    assert_snapshot!(edges(&world.plan()), @r#"
    start a after stop a, stop b
    start b after stop b, stop c
    start c after stop a, stop c
    "#);
    world.assert_settles();
}

#[test]
fn a_port_that_stays_with_its_instance_blocks_whoever_wants_it() {
    // `b` cannot move on, so `a` cannot follow it, and `c` not `a`.
    let world = World::new()
        .runs("a", on("b1").at(8071))
        .runs("b", on("b1").at(8072))
        .wants("a", on("b1").at(8072))
        .wants("b", on("b1").at(8073))
        .wants("c", on("b1").at(8071))
        .stranger_at(8073, "`python3` (pid 4121)");
    assert_snapshot!(world.shown(), @r#"
      x blocked  a                       port 8072 is held by `b`, which is left as it is
      x blocked  b                       port 8073 is held by `python3` (pid 4121)
      x blocked  c                       port 8071 is held by `a`, which is left as it is

    Plan: nothing to do; 3 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn a_port_is_not_waited_for_where_its_holder_waits_for_somebody_else() {
    let world = World::new()
        .runs("a", on("b1").at(8071))
        .wants("a", on("b1").at(8073))
        .depends("a", &["embed"])
        .wants("c", on("b1").at(8071))
        .wants("embed", on("b1").at(8074))
        .stranger_at(8074, "`python3` (pid 4121)");
    assert_snapshot!(world.shown(), @r#"
      ! hold     a                       waits for `embed`, which is not up
      x blocked  c                       port 8071 is held by `a`, which is left as it is
      x blocked  embed                   port 8074 is held by `python3` (pid 4121)

    Plan: nothing to do; 1 held, 2 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn one_port_on_two_addresses_is_two() {
    let world = World::new()
        .runs("a", on("b1").at_host("127.0.0.2"))
        .wants("a", on("b1").at_host("127.0.0.2"))
        .wants("b", on("b1").at_host("127.0.0.3"));
    assert_snapshot!(world.shown(), @r#"
      + start    b                       not running

    Plan: 1 to start.
    "#);
    world.assert_settles();
    let everywhere = World::new()
        .runs("a", on("b1").at_host("0.0.0.0"))
        .wants("a", on("b1").at_host("127.0.0.2"))
        .wants("b", on("b1").at_host("127.0.0.3"));
    assert_snapshot!(edges(&everywhere.plan()), @r#"
    start b after restart a
    "#);
    everywhere.assert_settles();
}

#[test]
fn sockets_hold_no_port() {
    let world = World::new()
        .runs("a", on("b1").at_host("run/a.sock"))
        .wants("a", on("b1").at_host("run/a.sock"))
        .wants("b", on("b1").at_host("run/b.sock"))
        .wants("c", on("b1"))
        .stranger_at(8072, "`python3` (pid 4121)");
    assert_snapshot!(world.shown(), @r#"
      + start    b                       not running
      + start    c                       not running

    Plan: 2 to start.
    "#);
    world.assert_settles();
}

#[test]
fn a_removed_instance_leaves_its_port_to_another() {
    let world = World::new()
        .runs("old", on("b1"))
        .runs("other", on("b1").at(8072))
        .wants("other", on("b1").at(8072))
        .wants("new", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      - remove   old                     no longer in orchestrator.yaml
      + start    new                     not running

    Plan: 1 to start, 1 to remove.
    "#);
    assert_snapshot!(edges(&world.plan()), @r#"
    start new after remove old
    "#);
    world.assert_settles();
}

#[test]
fn what_is_depended_on_comes_first() {
    let world = World::new()
        .installed("b1")
        .wants("chat", on("b1"))
        .depends("chat", &["embed", "rerank"])
        .wants("embed", on("b1").at(8072))
        .depends("embed", &["rerank"])
        .wants("rerank", on("b1").at(8073));
    assert_snapshot!(edges(&world.plan()), @r#"
    start embed after start rerank
    start chat after start rerank, start embed
    "#);
    world.assert_settles();
}

#[test]
fn an_instance_waits_for_one_that_is_not_up() {
    let world = World::new()
        .starting("embed", on("b1").at(8072))
        .wants("embed", on("b1").at(8072))
        .wants("chat", on("b1"))
        .depends("chat", &["embed"])
        .wants("web", on("b1").at(8073))
        .depends("web", &["chat"]);
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    waits for `embed`, which is not up
      ! hold     embed                   starting for 40 s; its gate is not decided yet
      ! hold     web                     waits for `chat`, which is not up

    Plan: nothing to do; 3 held.
    "#);
    world.assert_settles();
}

#[test]
fn one_that_is_about_to_be_stopped_is_not_up() {
    let world = World::new()
        .runs("embed", on("b1").at(8072))
        .wants("embed", on("b1").at(8072))
        .wanted("embed", |wanted| wanted.enabled = false)
        .wants("chat", on("b1"))
        .depends("chat", &["embed"]);
    assert_snapshot!(world.shown(), @r#"
      - stop     embed                   disabled in orchestrator.yaml
      ! hold     chat                    waits for `embed`, which is not up

    Plan: 1 to stop; 1 held.
    "#);
    world.assert_settles();
}

#[test]
fn what_runs_goes_on_while_what_it_depends_on_is_down() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b2"))
        .depends("chat", &["embed"])
        .wants("embed", on("b1").at(8072))
        .stranger_at(8072, "`python3` (pid 4121)");
    assert_snapshot!(world.shown(), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      ! hold     chat                    waits for `embed`, which is not up
      x blocked  embed                   port 8072 is held by `python3` (pid 4121)

    Plan: 1 to install; 1 held, 1 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn the_canary_goes_first_with_what_it_depends_on() {
    let world = World::new()
        .installed("b2")
        .runs("a", on("b1").at(8071))
        .runs("canary", on("b1").at(8072))
        .wants("a", on("b2").at(8071))
        .wants("canary", on("b2").at(8072))
        .depends("canary", &["embed"])
        .wants("embed", on("b2").at(8073))
        .desired(|desired| desired.rollout.canary = Some(super::world::name("canary")));
    assert_snapshot!(edges(&world.plan()), @r#"
    restart canary after start embed
    restart a after restart canary
    "#);
    world.assert_settles();
}

#[test]
fn nothing_changes_while_the_canary_is_in_trouble() {
    let world = World::new()
        .installed("b2")
        .runs("a", on("b1").at(8071))
        .runs("canary", on("b1").at(8072))
        .crashed("b", on("b1").at(8073))
        .wants("a", on("b2").at(8071))
        .wants("b", on("b1").at(8073))
        .wants("canary", on("b2").at(8072))
        .failed("canary", on("b2").at(8072))
        .desired(|desired| desired.rollout.canary = Some(super::world::name("canary")));
    assert_snapshot!(world.shown(), @r#"
      + start    b                       not running: it was ended by SIGKILL
      ! hold     a                       waits for the canary `canary`, which has not come through
      ! hold     canary                  b2 failed 2 h ago: exited with code 1; b1 runs; change it or `llama-orch retry canary`

    Plan: 1 to start; 2 held.
    "#);
    world.assert_settles();
}

#[test]
fn a_canary_that_has_to_wait_holds_the_others() {
    let world = World::new()
        .installed("b2")
        .runs("a", on("b1").at(8071))
        .runs("canary", on("b1").at(8072))
        .wants("a", on("b2").at(8071))
        .wants("canary", on("b2").at(8072))
        .depends("canary", &["embed"])
        .wants("embed", on("b2").at(8073))
        .stranger_at(8073, "`python3` (pid 4121)")
        .desired(|desired| desired.rollout.canary = Some(super::world::name("canary")));
    assert_snapshot!(world.shown(), @r#"
      ! hold     a                       waits for the canary `canary`, which has not come through
      ! hold     canary                  waits for `embed`, which is not up
      x blocked  embed                   port 8073 is held by `python3` (pid 4121)

    Plan: nothing to do; 2 held, 1 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn a_canary_that_is_put_down_is_not_waited_for() {
    let world = World::new()
        .installed("b2")
        .runs("a", on("b1").at(8071))
        .stopped("canary", on("b1").at(8072))
        .put_down("canary", None)
        .wants("a", on("b2").at(8071))
        .wants("canary", on("b2").at(8072))
        .desired(|desired| desired.rollout.canary = Some(super::world::name("canary")));
    assert_snapshot!(world.shown(), @r#"
    -/+ restart  a                       binary b1 -> b2; about 12 s down (last load 11.6 s)
      ! hold     canary                  put down; `llama-orch up canary` starts it

    Plan: 1 to restart; 1 held.
    "#);
    world.assert_settles();
}
