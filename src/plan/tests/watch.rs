//! What `watch` may do by itself, and at what pace.

use insta::assert_snapshot;

use super::world::{World, id, on};
use crate::manifest::Watch;
use crate::observed::Seen;
use crate::plan::Plan;
use crate::watch::attempts::Attempts;

/// With everything on but consent to removals and prunes.
pub(super) fn switches() -> Watch {
    Watch {
        install: true,
        restart: true,
        heal: true,
        remove: false,
        prune: false,
        resync: std::time::Duration::from_mins(1),
        retry_interval: std::time::Duration::from_mins(10),
    }
}

fn off(change: impl FnOnce(&mut Watch)) -> Watch {
    let mut watch = switches();
    change(&mut watch);
    watch
}

fn without_install(plan: Plan) -> Plan {
    plan.permitted(&off(|watch| watch.install = false))
}

fn without_restart(plan: Plan) -> Plan {
    plan.permitted(&off(|watch| watch.restart = false))
}

fn without_heal(plan: Plan) -> Plan {
    plan.permitted(&off(|watch| watch.heal = false))
}

fn everything_off(plan: Plan) -> Plan {
    plan.permitted(&off(|watch| {
        watch.install = false;
        watch.restart = false;
        watch.heal = false;
    }))
}

fn damaged(world: World, version: &str) -> World {
    world.observed(|observed| {
        if let Seen::Known(binaries) = &mut observed.binaries
            && let Some(binary) = binaries.get_mut(&id(version))
        {
            binary.damage = Some("`libggml.so` changed".to_owned());
        }
    })
}

fn swapping() -> World {
    World::new()
        .runs("a", on("b1").at(8071))
        .runs("b", on("b1").at(8072))
        .wants("a", on("b1").at(8072))
        .wants("b", on("b1").at(8071))
}

#[test]
fn without_installs_whatever_needs_none_goes_on() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b2"))
        .wants("new", on("b1").at(8072))
        .runs("embed", on("b1").at(8073))
        .wants("embed", on("b1").at(8073).with("args", 2));
    assert_snapshot!(without_install(world.plan()), @r#"
    -/+ restart  embed                   args 2 (was not set); about 12 s down (last load 11.6 s)
      + start    new                     not running
      ! hold     b2 vulkan-x64           `watch.install` is false; `llama-orch apply` fetches it
      ! hold     chat                    needs b2 vulkan-x64, and `watch.install` is false; `llama-orch apply` does both

    Plan: 1 to restart, 1 to start; 2 held.
    "#);
    assert!(!without_install(world.plan()).needs_attention());
    // What is there and broken is another matter.
    let world = damaged(
        World::new().runs("chat", on("b1")).wants("chat", on("b1")),
        "b1",
    );
    assert_snapshot!(without_install(world.plan()), @r#"
      + install  b1 vulkan-x64           damaged: `libggml.so` changed; 29.8 MiB download

    Plan: 1 to install.
    "#);
    assert_snapshot!(without_heal(world.plan()), @r#"
      ! hold     b1 vulkan-x64           `watch.heal` is false; `llama-orch apply` mends it

    Plan: nothing to do; 1 held.
    "#);
}

#[test]
fn without_restarts_nothing_that_runs_is_ended() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b2"))
        .runs("off", on("b1").at(8072))
        .wants("off", on("b1").at(8072))
        .wanted("off", |wanted| wanted.enabled = false)
        .runs("put", on("b1").at(8073))
        .put_down("put", None)
        .wants("put", on("b1").at(8073))
        .runs("set", on("b1").at(8074))
        .wants("set", on("b1").at(8074))
        .wanted("set", |wanted| {
            wanted.supervision.restart_policy.enabled = false;
        })
        .wants("new", on("b1").at(8071));
    assert_snapshot!(without_restart(world.plan()), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      ~ update   set                     restart_policy (no restart)
      - stop     put                     put down
      ! hold     chat                    `watch.restart` is false; `llama-orch apply` restarts or stops it
      ! hold     off                     `watch.restart` is false; `llama-orch apply` restarts or stops it
      x blocked  new                     port 8071 is held by `chat`, which is left as it is

    Plan: 1 to install, 1 to update, 1 to stop; 2 held, 1 blocked.
    "#);
    assert_snapshot!(without_restart(swapping().plan()), @r#"
      ! hold     a                       `watch.restart` is false; `llama-orch apply` restarts or stops it
      ! hold     b                       `watch.restart` is false; `llama-orch apply` restarts or stops it

    Plan: nothing to do; 2 held.
    "#);
}

#[test]
fn without_healing_what_broke_stays_so_and_what_is_new_starts() {
    let world = World::new()
        .crashed("crashed", on("b1"))
        .wants("crashed", on("b1"))
        .stopped("ended", on("b1").at(8072))
        .wants("ended", on("b1").at(8072))
        .runs("alone", on("b1").at(8073))
        .unsupervised("alone")
        .wants("alone", on("b1").at(8073))
        .stopped("fell", on("b2").at(8074))
        .proven("fell", on("b1").at(8074))
        .failed("fell", on("b2").at(8074))
        .wants("fell", on("b2").at(8074))
        .wants("new", on("b1").at(8075));
    assert_snapshot!(without_heal(world.plan()), @r#"
      + start    ended                   not running
      + start    new                     not running
      ! hold     alone                   `watch.heal` is false; `llama-orch apply` mends it
      ! hold     crashed                 `watch.heal` is false; `llama-orch apply` mends it
      ! hold     fell                    b2 failed 2 h ago: exited with code 1; change it or `llama-orch retry fell`
      ! hold     fell                    `watch.heal` is false; `llama-orch apply` mends it

    Plan: 2 to start; 4 held.
    "#);
}

#[test]
fn with_everything_off_a_new_instance_is_started_all_the_same() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1").with("args", 2))
        .wants("new", on("b1").at(8072));
    assert_snapshot!(everything_off(world.plan()), @r#"
      + start    new                     not running
      ! hold     chat                    `watch.restart` is false; `llama-orch apply` restarts or stops it

    Plan: 1 to start; 1 held.
    "#);
}

#[test]
fn a_removal_is_left_to_a_person_until_the_manifest_says_otherwise() {
    let world = World::new()
        .runs("chat", on("b1"))
        .runs("old", on("b1").at(8072))
        .wants("chat", on("b1"))
        .wants("new", on("b1").at(8072));
    assert_snapshot!(world.plan().permitted(&switches()), @r#"
      ! hold     new                     needs a step of `old`, which is left out here
      ! hold     old                     no longer in orchestrator.yaml; `llama-orch apply --yes` removes it

    Plan: nothing to do; 2 held.
    "#);
    let removing = off(|watch| watch.remove = true);
    assert_eq!(world.plan().permitted(&removing), world.plan());
}

#[test]
fn nobody_is_there_to_agree_to_anything() {
    let attended = World::new().desired(|desired| {
        desired.attended = true;
        desired.allow_empty = true;
        desired.retention.prune = true;
    });
    for prune in [false, true] {
        let watch = off(|watch| watch.prune = prune);
        let desired = attended.desired.clone().unattended(&watch);
        let terms = (
            desired.attended,
            desired.allow_empty,
            desired.retention.prune,
        );
        assert_eq!(terms, (false, false, prune));
    }
}

#[test]
fn a_restart_waits_for_one_that_an_earlier_pass_began() {
    let world = World::new()
        .starting("chat", on("b1"))
        .wants("chat", on("b1"))
        .runs("embed", on("b1").at(8072))
        .wants("embed", on("b1").at(8072).with("args", 2))
        .runs("rerank", on("b1").at(8073))
        .wants("rerank", on("b1").at(8073).with("args", 2))
        .wants("new", on("b1").at(8074));
    let of = |parallel| {
        let world = world.clone();
        world.desired(|desired| desired.rollout.max_parallel = parallel)
    };
    assert_snapshot!(of(1).plan().paced(), @r#"
      + start    new                     not running
      ! hold     chat                    starting for 40 s; its gate is not decided yet
      ! hold     embed                   comes after `chat`, which is starting
      ! hold     rerank                  comes after `chat`, which is starting

    Plan: 1 to start; 3 held.
    "#);
    assert_snapshot!(of(2).plan().paced(), @r#"
    -/+ restart  embed                   args 2 (was not set); about 12 s down (last load 11.6 s)
      + start    new                     not running
      ! hold     chat                    starting for 40 s; its gate is not decided yet
      ! hold     rerank                  comes after `chat`, which is starting

    Plan: 1 to restart, 1 to start; 2 held.
    "#);
    assert_eq!(of(3).plan().paced(), of(3).plan());
    assert!(!of(1).plan().paced().is_converged());
    assert!(!of(1).plan().paced().needs_attention());
}

#[test]
fn what_starts_may_be_restarted_itself_and_comes_first() {
    let world = World::new()
        .starting("chat", on("b1"))
        .wants("chat", on("b1").with("args", 2))
        .runs("before", on("b1").at(8072))
        .wants("before", on("b1").at(8072).with("args", 2));
    assert_snapshot!(world.plan().paced(), @r#"
    -/+ restart  chat                    args 2 (was not set); about 12 s down (last load 11.6 s)
      ! hold     before                  comes after `chat`, which is starting

    Plan: 1 to restart; 1 held.
    "#);
    let calm = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1").with("args", 2));
    assert_eq!(calm.plan().paced(), calm.plan());
}

#[test]
fn what_failed_is_remembered_while_it_waits_for_its_turn() {
    let world = World::new()
        .starting("chat", on("b1"))
        .wants("chat", on("b1"))
        .runs("embed", on("b1").at(8072))
        .wants("embed", on("b1").at(8072).with("args", 2));
    let (now, interval) = (world.now(), switches().retry_interval);
    let plan = world.plan();
    let mut attempts = Attempts::default();
    attempts.note([(&plan.steps()[0], Some("no".to_owned()))], now);
    let waits = attempts.held_back(plan.clone().paced(), now, interval);
    assert!(!waits.has_changes() && attempts.len() == 1, "{waits}");
    let held = attempts.held_back(plan, now, interval);
    assert!(!held.has_changes() && held.needs_attention(), "{held}");
}
