//! What is tried again, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Attempts, Key};
use crate::desired::{ArchiveOrigin, Desired, Wanted, WantedArchive, WantedBinary, WantedInstance};
use crate::instance::{BinaryId, Launch, LaunchInputs, Supervision};
use crate::manifest::OnFailure;
use crate::observed::{Observed, Seen};
use crate::plan::action::{Action, HoldReason, Step};
use crate::plan::{Plan, plan};
use crate::release::{Digest, Tag, Variant};

const INTERVAL: Duration = Duration::from_mins(10);

fn begin() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("a timestamp")
}

fn minutes(minutes: i64) -> Timestamp {
    begin() + SignedDuration::from_mins(minutes)
}

/// One instance that is wanted on a build that is not there: an install, and a start after it. The id
/// of the build is another one in each pass.
fn wanting(build: &str, archive: &str, context: u32, pass: u128) -> Plan {
    let id = BinaryId::new(Uuid::from_u128(pass));
    let mut inputs = LaunchInputs::default();
    inputs.set("binary", build);
    inputs.set("context", context);
    let launch = Launch {
        binary: id,
        build: build.parse().expect("a build"),
        arguments: Vec::new(),
        environment: BTreeMap::new(),
        host: "127.0.0.1".to_owned(),
        port: 8071,
        api_key: None,
        files: BTreeMap::new(),
        fetches: false,
        router: false,
        foreign: false,
        gpu: None,
        inputs,
    };
    let archive = WantedArchive {
        name: format!("{build}.tar.gz"),
        size: Some(1024),
        digest: Digest::of(archive),
        origin: ArchiveOrigin::Release("b9414".parse::<Tag>().expect("a tag")),
    };
    let binary = WantedBinary {
        id,
        build: build.parse().expect("a build"),
        variant: Variant::new("ubuntu-x64"),
        archives: vec![archive],
    };
    let wanted = Wanted {
        launch: Arc::new(launch),
        supervision: Supervision::default(),
        enabled: true,
        depends_on: std::collections::BTreeSet::new(),
        on_failure: OnFailure::Rollback,
    };
    let mut desired = Desired::nothing();
    desired.binaries.insert(id, binary);
    let wanted = WantedInstance::Resolved(Box::new(wanted));
    desired
        .instances
        .insert("chat".parse().expect("a name"), wanted);
    let mut observed = Observed::nothing(begin());
    observed.binaries = Seen::Known(BTreeMap::new());
    plan(&desired, &observed)
}

/// What became of the first step of a plan.
fn first(plan: &Plan, failed: Option<&str>) -> Vec<(Step, Option<String>)> {
    vec![(plan.steps()[0].clone(), failed.map(str::to_owned))]
}

fn note(attempts: &mut Attempts, outcomes: &[(Step, Option<String>)], now: Timestamp) {
    attempts.note(
        outcomes.iter().map(|(step, failed)| (step, failed.clone())),
        now,
    );
}

/// One that has seen the install of b1 fail.
fn after_a_failure() -> Attempts {
    let mut attempts = Attempts::default();
    let plan = wanting("b1", "one", 512, 1);
    note(
        &mut attempts,
        &first(&plan, Some("cannot install b1: no")),
        begin(),
    );
    attempts
}

#[test]
fn what_failed_is_held_until_its_inputs_change_or_time_has_passed() {
    // What is wanted then, when, and whether it is tried.
    let cases = [
        (
            "the same at once",
            wanting("b1", "one", 512, 2),
            minutes(0),
            false,
        ),
        (
            "the same before it is time",
            wanting("b1", "one", 512, 2),
            minutes(9),
            false,
        ),
        (
            "the same when it is time",
            wanting("b1", "one", 512, 2),
            minutes(10),
            true,
        ),
        (
            "another build",
            wanting("b2", "one", 512, 2),
            minutes(1),
            true,
        ),
        (
            "another archive",
            wanting("b1", "two", 512, 2),
            minutes(1),
            true,
        ),
        (
            "another setting of its instance",
            wanting("b1", "one", 1024, 2),
            minutes(1),
            false,
        ),
        (
            "the clock was set back",
            wanting("b1", "one", 512, 2),
            minutes(-60),
            true,
        ),
    ];
    for (what, plan, now, tried) in cases {
        let held = after_a_failure().held_back(plan, now, INTERVAL);
        assert_eq!(held.has_changes(), tried, "{what}: {held}");
        assert_eq!(held.needs_attention(), !tried, "{what}: {held}");
    }
}

#[test]
fn the_hold_says_how_it_failed_and_what_to_do() {
    let mut attempts = after_a_failure();
    let plan = attempts.held_back(wanting("b1", "one", 512, 2), minutes(4), INTERVAL);
    let hold = &plan.holds()[0];
    assert_eq!(hold.why.code(), "tried_before");
    assert_eq!(hold.until, Some(minutes(10)));
    assert_eq!(plan.wake_at(), Some(minutes(10)));
    assert_eq!(
        hold.text(),
        "cannot install b1: no; tried again in 6 min, or at once with `llama-orch apply`"
    );
    let chat = &plan.holds()[1];
    assert!(matches!(chat.why, HoldReason::LeftOut(_)), "{chat:?}");
    assert_eq!(chat.text(), "needs b1 cpu-x64, which is left out here");
}

#[test]
fn a_start_is_known_by_the_launch_it_starts() {
    let started = |plan: &Plan| vec![(plan.steps()[1].clone(), Some("it does not".to_owned()))];
    for (context, holds) in [(512, 1), (1024, 0)] {
        let mut attempts = Attempts::default();
        note(
            &mut attempts,
            &started(&wanting("b1", "one", 512, 1)),
            begin(),
        );
        let plan = attempts.held_back(wanting("b1", "one", context, 2), minutes(1), INTERVAL);
        assert_eq!(plan.holds().len(), holds, "{plan}");
    }
}

#[test]
fn a_launch_is_the_same_whether_another_runs_in_its_stead_or_not() {
    let plan = wanting("b1", "one", 512, 1);
    let start = &plan.steps()[1];
    let Action::Start(launch) = &start.action else {
        panic!("it is started after its build is there: {start:?}");
    };
    let mut replace = start.clone();
    replace.action = Action::Replace(launch.clone());
    assert_ne!(start.action.verb(), replace.action.verb());
    assert_eq!(Key::of(start), Key::of(&replace));
}

#[test]
fn a_success_and_a_plan_without_it_forget_it() {
    let plan = wanting("b1", "one", 512, 1);
    let mut attempts = after_a_failure();
    note(&mut attempts, &first(&plan, None), minutes(10));
    assert!(attempts.is_empty());

    let mut attempts = after_a_failure();
    drop(attempts.held_back(wanting("b2", "two", 512, 1), minutes(1), INTERVAL));
    assert!(attempts.is_empty());
    let again = attempts.held_back(plan, minutes(2), INTERVAL);
    assert!(again.holds().is_empty(), "{again}");
}

#[test]
fn a_failure_again_begins_the_time_anew() {
    let mut attempts = after_a_failure();
    let plan = wanting("b1", "one", 512, 1);
    note(&mut attempts, &first(&plan, Some("still no")), minutes(10));
    assert_eq!(attempts.len(), 1);
    let held = attempts.held_back(plan.clone(), minutes(19), INTERVAL);
    assert!(!held.has_changes(), "{held}");
    assert!(
        attempts.held_back(plan, minutes(20), Duration::MAX).holds()[0].until
            == Some(Timestamp::MAX)
    );
}
