//! How long servers are given to finish their open requests.

use insta::assert_snapshot;

use super::world::{SECOND, World, name, on};
use crate::instance::state::Health;
use crate::observed::{Seen, Verdict};
use crate::plan::action::Action;
use crate::plan::ending;

/// Runs on `b1` by settings that drain for a minute.
fn draining(world: World, who: &str) -> World {
    world.see(who, |seen| {
        let Seen::Known(Some(supervisor)) = &mut seen.supervisor else {
            panic!("no supervisor");
        };
        supervisor.settings.drain = Some(60 * SECOND);
    })
}

fn restarted() -> World {
    draining(World::new().runs("chat", on("b1")), "chat")
        .installed("b2")
        .wants("chat", on("b2"))
        .wanted("chat", |wanted| {
            wanted.supervision.drain = Some(30 * SECOND);
        })
}

#[test]
fn a_restart_takes_the_time_the_manifest_says() {
    let world = restarted();
    assert_snapshot!(world.shown(), @r"
    -/+ restart  chat                    binary b1 -> b2; about 12 s down (last load 11.6 s); up to 30 s to drain

    Plan: 1 to restart.
    ");
    assert_eq!(world.plan().steps()[0].action.drain(), Some(30 * SECOND));
    let forced = world.plan().without_drain();
    assert_eq!(forced.steps()[0].action.drain(), None);
    assert!(!forced.to_string().contains("drain"), "{forced}");
    world.assert_settles();
}

#[test]
fn one_that_does_not_serve_has_nothing_to_finish() {
    let starting = restarted().server("chat", |server| server.verdict = Verdict::Starting);
    assert_eq!(starting.plan().steps()[0].action.drain(), None);
    let wedged = restarted().server("chat", |server| server.health = Health::Unresponsive);
    assert_eq!(wedged.plan().steps()[0].action.drain(), None);
}

#[test]
fn one_that_left_the_manifest_or_is_put_down_takes_the_time_it_was_recorded_with() {
    let world = draining(World::new().runs("old", on("b1")), "old")
        .runs("chat", on("b1").at(8072))
        .wants("chat", on("b1").at(8072));
    assert_snapshot!(world.shown(), @r"
      - remove   old                     no longer in orchestrator.yaml; up to 60 s to drain

    Plan: 1 to remove.
    ");
    let ending = ending(&world.observed, &[name("old")].into(), None);
    assert_snapshot!(ending, @r"
      - stop     old                     put down; up to 60 s to drain

    Plan: 1 to stop.
    ");
}

#[test]
fn servers_that_swap_ports_are_drained_before_either_stops() {
    let world = World::new()
        .runs("a", on("b1").at(8071))
        .runs("b", on("b1").at(8072))
        .wants("a", on("b1").at(8072))
        .wants("b", on("b1").at(8071))
        .wanted("a", |wanted| wanted.supervision.drain = Some(60 * SECOND));
    let plan = world.plan();
    let drained: Vec<(&str, bool)> = plan
        .steps()
        .iter()
        .filter(|step| step.action.subject().instance() == Some(&name("a")))
        .map(|step| (step.action.verb(), step.action.drain().is_some()))
        .collect();
    assert_eq!(drained, [("stop", true), ("start", false)]);
    assert!(
        plan.steps().iter().all(|step| {
            !matches!(step.action, Action::Start(_)) || step.action.drain().is_none()
        })
    );
    world.assert_settles();
}
