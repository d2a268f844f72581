//! What a person suspended: whatever it is at, no pass touches it.

use insta::{allow_duplicates, assert_snapshot};

use super::world::{World, name, on};
use crate::desired::Unanswered;

#[test]
fn whatever_it_is_at_it_stays_as_it_is() {
    let to_be_restarted = World::new().runs("chat", on("b1")).wants("chat", on("b2"));
    let to_be_updated = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1"))
        .wanted("chat", |wanted| {
            wanted.supervision.restart_policy.enabled = false;
        });
    let to_be_started = World::new()
        .crashed("chat", on("b1"))
        .wants("chat", on("b1"));
    let to_be_stopped = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1"))
        .wanted("chat", |wanted| wanted.enabled = false);
    let to_be_ended = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1"))
        .put_down("chat", None);
    let to_be_taken_over = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1"))
        .unsupervised("chat");
    let to_be_removed = World::new()
        .runs("chat", on("b1"))
        .desired(|desired| desired.allow_empty = true);
    let asked_for = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1"))
        .restart("chat", None);
    let locked = Unanswered::NotLocked("`chat`".to_owned());
    let unresolved = World::new()
        .runs("chat", on("b1"))
        .unresolved("chat", locked);
    for world in [
        to_be_restarted,
        to_be_updated,
        to_be_started,
        to_be_stopped,
        to_be_ended,
        to_be_taken_over,
        to_be_removed,
        asked_for,
    ] {
        assert!(world.plan().has_changes(), "{world:?}");
        let suspended = world.suspended("chat", Some("a demo"));
        let plan = suspended.plan();
        allow_duplicates! {
            assert_snapshot!(plan, @r"
              ! hold     chat                    suspended 3 min ago: a demo; `llama-orch resume chat`

            Plan: nothing to do; 1 held.
            ");
        }
        assert!(plan.is_converged() && !plan.needs_attention());
        suspended.assert_settles();
    }
    let suspended = unresolved.suspended("chat", None);
    assert_snapshot!(suspended.shown(), @"
      ! hold     chat                    suspended 3 min ago; `llama-orch resume chat`

    Plan: nothing to do; 1 held.
    ");
}

#[test]
fn its_build_is_neither_fetched_nor_taken_away() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b2"))
        .suspended("chat", None)
        .desired(|desired| desired.retention.prune = true);
    assert_snapshot!(world.shown(), @r"
      ! hold     chat                    suspended 3 min ago; `llama-orch resume chat`

    Plan: nothing to do; 1 held.
    ");
}

#[test]
fn others_go_on_around_it() {
    // Its port is taken, what depends on it counts on it, and it is none of those to be removed.
    let world = World::new()
        .runs("chat", on("b1"))
        .runs("old", on("b1").at(8073))
        .suspended("chat", None)
        .suspended("old", None)
        .installed("b2")
        .wants("chat", on("b2"))
        .wants("embed", on("b1").at(8073))
        .wants("rerank", on("b1").at(8074))
        .depends("rerank", &["chat"]);
    assert_snapshot!(world.shown(), @r"
      + start    rerank                  not running
      ! hold     chat                    suspended 3 min ago; `llama-orch resume chat`
      ! hold     old                     suspended 3 min ago; `llama-orch resume old`
      x blocked  embed                   port 8073 is held by `old`, which is left as it is

    Plan: 1 to start; 2 held, 1 blocked.
    ");
    world.assert_settles();
}

#[test]
fn others_wait_for_a_canary_that_is_suspended_before_its_change() {
    let before = World::new()
        .runs("chat", on("b1"))
        .runs("embed", on("b1").at(8072))
        .installed("b2")
        .wants("chat", on("b2"))
        .wants("embed", on("b2").at(8072))
        .suspended("chat", None)
        .desired(|desired| desired.rollout.canary = Some(name("chat")));
    assert_snapshot!(before.shown(), @r"
      ! hold     chat                    suspended 3 min ago; `llama-orch resume chat`
      ! hold     embed                   waits for the canary `chat`, which has not come through

    Plan: nothing to do; 2 held.
    ");
    before.assert_settles();
    let after = World::new()
        .runs("chat", on("b2"))
        .runs("embed", on("b1").at(8072))
        .wants("chat", on("b2"))
        .wants("embed", on("b2").at(8072))
        .suspended("chat", None)
        .desired(|desired| desired.rollout.canary = Some(name("chat")));
    assert_snapshot!(after.shown(), @r"
    -/+ restart  embed                   binary b1 -> b2; about 12 s down (last load 11.6 s)
      ! hold     chat                    suspended 3 min ago; `llama-orch resume chat`

    Plan: 1 to restart; 1 held.
    ");
    after.assert_settles();
}
