//! Stories of what wakes watch, by a clock of their own.

use std::time::Duration;

use super::{Schedule, Wake};

const MINUTE: Duration = Duration::from_mins(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn file() -> Wake {
    Wake::Files("orchestrator.yaml".to_owned())
}

/// One that has begun and ended its first pass at 0.
fn after_the_first() -> Schedule {
    let mut schedule = Schedule::new(7);
    schedule.woken(Wake::Started, ms(0));
    assert_eq!(schedule.begin(ms(0)), Some(vec![Wake::Started]));
    schedule.ended(ms(0), MINUTE, None);
    schedule
}

#[test]
fn nothing_is_due_before_anything_wakes_it() {
    let mut schedule = Schedule::new(7);
    assert_eq!(schedule.due(), None);
    assert_eq!(schedule.begin(MINUTE), None);
    assert!(!schedule.supersedes(MINUTE));
}

/// What it is about, what wakes it when, and when a pass is due.
type Case = (&'static str, Vec<(Wake, u64)>, u64);

#[test]
fn each_wake_is_due_in_its_time() {
    let git = || Wake::Git("0a1b2c3".to_owned());
    let cases: [Case; 9] = [
        ("a file, once it is quiet", vec![(file(), 500)], 600),
        (
            "two writes, after the second",
            vec![(file(), 500), (file(), 560)],
            660,
        ),
        (
            "writes without end, after a second",
            (0..40).map(|index| (file(), 500 + index * 50)).collect(),
            1500,
        ),
        (
            "two files, after the second",
            vec![
                (file(), 500),
                (Wake::Files("orchestrator.lock".to_owned()), 580),
            ],
            680,
        ),
        ("a commit, at once", vec![(git(), 500)], 500),
        ("a hangup, at once", vec![(Wake::Hangup, 500)], 500),
        (
            "a hangup right after a pass, at once",
            vec![(Wake::Hangup, 5)],
            5,
        ),
        ("a state, at once", vec![(Wake::States, 500)], 500),
        (
            "a state right after a pass, a breath later",
            vec![(Wake::States, 5)],
            100,
        ),
    ];
    for (what, wakes, due) in cases {
        let mut schedule = after_the_first();
        for (wake, at) in wakes {
            schedule.woken(wake, ms(at));
        }
        assert_eq!(schedule.due(), Some(ms(due)), "{what}");
        assert_eq!(schedule.begin(ms(due - 1)), None, "{what}");
        assert!(schedule.begin(ms(due)).is_some(), "{what}");
        assert_eq!(schedule.due(), None, "{what}: one runs");
    }
}

#[test]
fn one_pass_runs_at_a_time_and_one_answers_all_that_came_meanwhile() {
    let mut schedule = after_the_first();
    schedule.woken(Wake::Hangup, ms(1000));
    assert_eq!(schedule.begin(ms(1000)), Some(vec![Wake::Hangup]));
    for at in [1100, 1200, 1300] {
        schedule.woken(Wake::States, ms(at));
        schedule.woken(Wake::Hangup, ms(at));
        assert_eq!(schedule.begin(ms(at)), None);
    }
    schedule.ended(ms(2000), MINUTE, None);
    assert_eq!(
        schedule.begin(ms(2000)),
        Some(vec![Wake::States, Wake::Hangup])
    );
    schedule.ended(ms(2001), MINUTE, None);
    assert_eq!(schedule.begin(ms(10_000)), None);
}

#[test]
fn files_that_are_not_quiet_are_left_for_the_pass_after() {
    let mut schedule = after_the_first();
    schedule.woken(file(), ms(1000));
    schedule.woken(Wake::Hangup, ms(1010));
    assert_eq!(schedule.begin(ms(1010)), Some(vec![Wake::Hangup]));
    assert_eq!(schedule.supersedes_at(), Some(ms(1100)));
    assert!(!schedule.supersedes(ms(1099)));
    assert!(schedule.supersedes(ms(1100)));
    schedule.ended(ms(1100), MINUTE, None);
    assert_eq!(schedule.begin(ms(1100)), Some(vec![file()]));
    assert!(!schedule.supersedes(ms(5000)));
}

#[test]
fn only_newer_files_supersede_a_pass() {
    for (wake, supersedes) in [
        (Wake::Started, false),
        (file(), true),
        (Wake::States, false),
        (Wake::Hold, false),
        (Wake::Resync, false),
        (Wake::Hangup, false),
        (Wake::Git("0a1b2c3".to_owned()), true),
        (Wake::Followup, false),
    ] {
        let mut schedule = after_the_first();
        schedule.woken(Wake::Hangup, ms(1000));
        assert!(schedule.begin(ms(1000)).is_some());
        schedule.woken(wake.clone(), ms(1200));
        assert_eq!(schedule.supersedes(ms(1300)), supersedes, "{wake:?}");
    }
}

#[test]
fn a_resync_is_due_about_when_the_manifest_says() {
    let mut dues = Vec::new();
    for seed in 0..200 {
        let mut schedule = Schedule::new(seed);
        schedule.ended(ms(0), MINUTE, None);
        dues.push(schedule.due().expect("a resync"));
    }
    let (first, last) = (dues.iter().min(), dues.iter().max());
    assert!(
        first.is_some_and(|due| *due >= ms(54_000) && *due < ms(55_000)),
        "{dues:?}"
    );
    assert!(
        last.is_some_and(|due| *due <= ms(66_000) && *due > ms(65_000)),
        "{dues:?}"
    );
    let mut schedule = after_the_first();
    let due = schedule.due().expect("a resync");
    assert_eq!(schedule.begin(due), Some(vec![Wake::Resync]));
    // A time without end is no error.
    schedule.ended(Duration::MAX, Duration::MAX, Some(Duration::MAX));
    assert_eq!(schedule.due(), Some(Duration::MAX));
}

#[test]
fn a_hold_that_is_over_before_is_due_before() {
    let mut schedule = after_the_first();
    schedule.woken(Wake::Hangup, ms(1000));
    assert!(schedule.begin(ms(1000)).is_some());
    schedule.ended(ms(1000), MINUTE, Some(ms(30_000)));
    assert_eq!(schedule.due(), Some(ms(31_000)));
    assert_eq!(schedule.begin(ms(31_000)), Some(vec![Wake::Hold]));
    schedule.ended(ms(31_000), MINUTE, None);
    assert!(schedule.due().is_some_and(|due| due > ms(80_000)));
}

#[test]
fn a_hold_that_is_always_over_makes_no_busy_loop() {
    let mut schedule = after_the_first();
    let (mut now, mut passes) = (ms(0), 0);
    schedule.woken(Wake::States, now);
    while now < ms(10_000) {
        now = schedule.due().expect("it goes on").max(now);
        assert!(schedule.begin(now).is_some());
        schedule.woken(Wake::States, now);
        schedule.woken(Wake::Followup, now);
        schedule.ended(now, Duration::ZERO, Some(Duration::ZERO));
        passes += 1;
    }
    assert!(passes <= 101, "{passes} passes in ten seconds");
}

#[test]
fn a_pass_that_could_not_begin_is_tried_again_after_growing_waits() {
    let mut schedule = after_the_first();
    schedule.woken(file(), ms(1000));
    let mut now = ms(1100);
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(schedule.begin(now), Some(vec![file()]));
        schedule.deferred(now);
        // Whatever else comes waits as well.
        schedule.woken(file(), now + ms(1));
        let due = schedule.due().expect("again");
        waits.push(due.saturating_sub(now).as_millis());
        now = due;
    }
    assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
    schedule.woken(Wake::Hangup, now);
    assert_eq!(schedule.begin(now), Some(vec![file(), Wake::Hangup]));
    schedule.ended(now, MINUTE, None);
    schedule.woken(Wake::Hangup, now);
    assert!(schedule.begin(now).is_some());
    schedule.deferred(now);
    assert_eq!(
        schedule.due(),
        Some(now + ms(200)),
        "it begins with the short one again"
    );
}

#[test]
fn however_much_wakes_it_little_is_kept() {
    let mut schedule = after_the_first();
    for index in 0..10_000 {
        schedule.woken(
            Wake::Files(format!("instances/a{index}/config.json")),
            ms(index),
        );
        schedule.woken(Wake::Git(format!("{index:07}")), ms(index));
        schedule.woken(Wake::States, ms(index));
    }
    assert!(schedule.woken.len() <= 10, "{}", schedule.woken.len());
    let wakes = schedule.begin(ms(10_000)).expect("a pass");
    assert!(
        wakes.contains(&Wake::Git("0009999".to_owned())),
        "{wakes:?}"
    );
}

#[test]
fn a_person_reads_what_woke_it() {
    for (wake, words) in [
        (Wake::Started, "watch began"),
        (file(), "orchestrator.yaml changed"),
        (Wake::States, "the state of an instance changed"),
        (Wake::Hold, "the time of a hold was over"),
        (Wake::Resync, "time had passed"),
        (Wake::Hangup, "SIGHUP"),
        (Wake::Git("0a1b2c3".to_owned()), "commit 0a1b2c3"),
        (Wake::Followup, "the pass before it left more to do"),
    ] {
        assert_eq!(wake.words(), words);
    }
}

#[test]
fn newer_files_that_say_nothing_new_are_answered_by_the_pass_that_runs() {
    let mut schedule = Schedule::new(1);
    schedule.woken(Wake::Started, ms(0));
    assert!(schedule.begin(ms(0)).is_some());
    schedule.woken(file(), ms(1000));
    schedule.woken(Wake::Git("1a2b3c4".to_owned()), ms(1000));
    assert!(schedule.supersedes(ms(1100)));
    schedule.answered();
    assert_eq!(schedule.supersedes_at(), None, "nothing is left to look at");
    schedule.ended(ms(2000), MINUTE, None);
    assert!(schedule.due() > Some(ms(50_000)), "nor to make a pass for");
}

#[test]
fn files_that_are_written_as_they_were_put_no_resync_off() {
    let mut schedule = after_the_first();
    let resync = schedule.due().expect("one is due");
    for at in (1000..50_000).step_by(1000) {
        schedule.woken(file(), ms(at));
        assert_eq!(schedule.begin(ms(at + 100)), Some(vec![file()]));
        schedule.unchanged();
    }
    assert_eq!(schedule.due(), Some(resync));
}
