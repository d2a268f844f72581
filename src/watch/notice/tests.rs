//! Snapshots in sequence, and what is told of them. What was told is written and read again between any
//! two of them, as if watch were restarted each time.

use serde_json::{Value, json};

use super::*;
use crate::binaries::BinaryList;
use crate::instance::InstanceName;
use crate::instance::record::Failure;
use crate::plan::action::{BlockReason, Blocker, Hold, HoldReason, Subject};
use crate::plan::json::{
    BlockerDocument, HoldDocument, PlanDocument, StepDocument, SubjectDocument,
};
use crate::status::{InstanceState, Row};
use crate::watch::snapshot::{
    GitHoldState, GitState, InstanceSnapshot, ManifestState, PassResult, PassState, WatchState,
};

const CHAT: &str = "chat";

struct World {
    now: Timestamp,
    told: Value,
    snapshot: Snapshot,
}

impl World {
    /// One instance that runs as it should.
    fn new() -> Self {
        let now: Timestamp = "2026-11-28T02:15:00Z".parse().expect("a moment");
        let mut world = Self {
            now,
            told: serde_json::to_value(Told::default()).expect("JSON"),
            snapshot: snapshot(),
        };
        assert_eq!(world.look(), Vec::<String>::new());
        world
    }

    fn later(&mut self, seconds: i64) -> &mut Self {
        self.now += SignedDuration::from_secs(seconds);
        self
    }

    fn row(&mut self) -> &mut Row {
        &mut self.snapshot.instances[0].row
    }

    /// It is at this, and the plan says no more of it.
    fn is(&mut self, state: InstanceState) -> &mut Self {
        self.snapshot.plan.holds.clear();
        self.snapshot.plan.blockers.clear();
        self.snapshot.plan.steps.clear();
        let runs = matches!(state, InstanceState::Running | InstanceState::Starting);
        let row = self.row();
        row.state = state;
        row.process = runs.then(|| "pid 4121".to_owned());
        row.seconds = runs.then_some(5);
        self
    }

    fn held(&mut self, why: HoldReason) -> &mut Self {
        self.snapshot.plan.holds.push(hold(why));
        self
    }

    /// The new launch has failed, and the one before it runs.
    fn rolled_back(&mut self, build: &str, seconds_ago: i64) -> &mut Self {
        self.is(InstanceState::Running)
            .held(HoldReason::FailedInputs {
                build: build.parse().expect("a build"),
                failure: Failure {
                    reason: "exited with code 1".to_owned(),
                    log_tail: Vec::new(),
                },
                seconds_ago,
                runs: Some("b9001".parse().expect("a build")),
            })
    }

    fn notices(&mut self) -> Vec<Notice> {
        let mut told: Told = serde_json::from_value(self.told.take()).expect("it loads");
        self.snapshot.at = self.now.to_string();
        let notices = notices(&mut told, &self.snapshot);
        self.told = serde_json::to_value(&told).expect("JSON");
        notices
    }

    fn look(&mut self) -> Vec<String> {
        let line =
            |notice: Notice| format!("{} {}: {}", notice.kind.word(), notice.code, notice.text);
        self.notices().into_iter().map(line).collect()
    }

    #[track_caller]
    fn tells(&mut self, expected: &[&str]) {
        assert_eq!(self.look(), expected);
        assert_eq!(self.look(), Vec::<String>::new(), "and once only");
    }

    #[track_caller]
    fn tells_nothing(&mut self) {
        self.tells(&[]);
    }

    fn pass(&mut self) -> &mut PassState {
        self.snapshot
            .watch
            .last_pass
            .as_mut()
            .expect("there was one")
    }
}

fn hold(why: HoldReason) -> HoldDocument {
    let name: InstanceName = CHAT.parse().expect("a name");
    let hold = Hold {
        subject: Subject::Instance(name),
        why,
        until: None,
    };
    HoldDocument {
        subject: (&hold.subject).into(),
        reason: hold.why.code().to_owned(),
        text: hold.text(),
        until: None,
        failure: hold.why.is_failure(),
    }
}

fn blocker(why: BlockReason) -> BlockerDocument {
    let subject = Subject::Instance(CHAT.parse().expect("a name"));
    let blocker = Blocker { subject, why };
    BlockerDocument {
        subject: (&blocker.subject).into(),
        reason: blocker.why.code().to_owned(),
        text: blocker.why.to_string(),
        hint: blocker.why.hint(),
    }
}

fn step() -> StepDocument {
    StepDocument {
        id: 0,
        action: "restart".to_owned(),
        subject: SubjectDocument::Instance {
            name: CHAT.to_owned(),
        },
        reason: "changed".to_owned(),
        text: "binary b9001 -> b9003".to_owned(),
        changes: Vec::new(),
        after: Vec::new(),
    }
}

fn git() -> GitState {
    GitState {
        remote: "git@example.org:llama.git".to_owned(),
        branch: "main".to_owned(),
        commit: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned(),
        subject: "chat: b9002".to_owned(),
        applied: None,
        upstream: None,
        fetched_at: Some("2026-11-28T02:14:30Z".to_owned()),
        fetch_error: None,
        hold: None,
        pinned: None,
        verifies: false,
    }
}

fn row() -> Row {
    Row {
        name: CHAT.to_owned(),
        state: InstanceState::Running,
        build: Some("b9001".to_owned()),
        address: None,
        seconds: Some(7200),
        retry_in_seconds: None,
        health: None,
        health_seconds: None,
        load_seconds: None,
        memory_bytes: None,
        gpu_memory_bytes: None,
        restarts: 0,
        last_exit: None,
        proven: true,
        process: Some("pid 4121".to_owned()),
        in_manifest: Some(true),
        matches: true,
        suspended: None,
        note: None,
    }
}

fn snapshot() -> Snapshot {
    let at = "2026-11-28T02:15:00Z".to_owned();
    Snapshot {
        format_version: crate::watch::snapshot::FORMAT_VERSION,
        at: at.clone(),
        version: "0.1.0".to_owned(),
        root: "/srv/llama".to_owned(),
        watch: WatchState {
            pid: 812,
            since: "2026-11-28T00:00:00Z".to_owned(),
            doing: Vec::new(),
            manifest: ManifestState {
                good: true,
                since: at.clone(),
                message: None,
                last_good_at: Some(at.clone()),
            },
            last_pass: Some(PassState {
                at: at.clone(),
                seconds: 0.1,
                woken_by: "resync".to_owned(),
                result: PassResult::Converged,
                done: 0,
                failed: 0,
                error: None,
            }),
            next_pass_at: None,
            passes: 1,
            failed_passes: 0,
            received_bytes: 0,
            suspended: None,
            git: None,
        },
        instances: vec![InstanceSnapshot {
            row: row(),
            tokens_per_second: None,
        }],
        plan: PlanDocument {
            format_version: crate::plan::json::FORMAT_VERSION,
            changes_present: false,
            converged: true,
            steps: Vec::new(),
            holds: Vec::new(),
            blockers: Vec::new(),
            warnings: Vec::new(),
            unused: Vec::new(),
        },
        binaries: BinaryList {
            format_version: 1,
            at,
            binaries: Vec::new(),
            unknown_uses: Vec::new(),
            unfinished: Vec::new(),
        },
        history: Vec::new(),
    }
}

const ROLLED_BACK: &str = "rolled_back failed_inputs: chat rolled back: b9002 failed 8 s ago: exited with \
     code 1; b9001 runs; change it or `llama-orch retry chat`";

#[test]
fn a_rollback_is_told_once_and_what_clears_it_once() {
    let mut world = World::new();
    world.is(InstanceState::Starting);
    world.held(HoldReason::Starting { for_seconds: 3 });
    world.tells_nothing();
    world
        .later(10)
        .rolled_back("b9002", 8)
        .tells(&[ROLLED_BACK]);
    // Its age is no news, and hours are none.
    for _ in 0..10 {
        world.later(3600).rolled_back("b9002", 3600).tells_nothing();
    }
    // The pin is put right: what comes of that is not known before its gate.
    world.snapshot.plan.holds.clear();
    world.snapshot.plan.steps.push(step());
    world.later(60).tells_nothing();
    world.is(InstanceState::Starting);
    world.held(HoldReason::Starting { for_seconds: 3 });
    world.later(5).tells_nothing();
    world.is(InstanceState::Running);
    world.row().build = Some("b9003".to_owned());
    world
        .later(5)
        .tells(&["recovered failed_inputs: chat recovered: it runs b9003"]);
}

#[test]
fn another_failure_of_the_same_instance_is_another_notice() {
    let mut world = World::new();
    world.rolled_back("b9002", 8).tells(&[ROLLED_BACK]);
    // In the same breath: nobody looked in between.
    world
        .later(700)
        .rolled_back("b9003", 8)
        .tells(&[&ROLLED_BACK.replace("b9002", "b9003")]);
    // Too soon to be told at once, and told once that is over.
    world.later(60).rolled_back("b9004", 8).tells_nothing();
    world.later(10).rolled_back("b9005", 8).tells_nothing();
    let text = ROLLED_BACK
        .replace("b9002", "b9005")
        .replace("8 s", "9 min");
    world
        .later(540)
        .rolled_back("b9005", 550)
        .tells(&[&format!("{text} (and once more since that was told last)")]);
}

#[test]
fn whoever_pushes_a_commit_hears_of_it_at_once() {
    let mut world = World::new();
    world.snapshot.watch.git = Some(git());
    world.rolled_back("b9002", 8).tells(&[ROLLED_BACK]);
    world.is(InstanceState::Starting);
    world.held(HoldReason::Starting { for_seconds: 3 });
    world.snapshot.watch.git.as_mut().expect("git").commit = "2".repeat(40);
    world.later(60).tells_nothing();
    world
        .later(10)
        .rolled_back("b9002", 8)
        .tells(&[ROLLED_BACK]);
}

#[test]
fn a_crash_loop_is_told_when_it_does_not_end_by_itself() {
    let mut world = World::new();
    let crash = |world: &mut World, restarts| {
        world.is(InstanceState::BackingOff);
        world.held(HoldReason::BackingOff {
            restarts,
            in_seconds: 10,
        });
    };
    // Once is no news.
    crash(&mut world, 1);
    world.later(10).tells_nothing();
    world.is(InstanceState::Running).later(10).tells_nothing();
    world.row().seconds = Some(90);
    world.later(90).tells_nothing();
    // Again and again is, and coming up for a moment in between changes nothing.
    for restarts in 1..=4 {
        crash(&mut world, restarts);
        world.later(25).tells_nothing();
        world.is(InstanceState::Running).later(10).tells_nothing();
    }
    crash(&mut world, 5);
    world
        .later(25)
        .tells(&["held backing_off: chat does not stay up: crashed 5 times, next try in 10 s"]);
    world.is(InstanceState::Running).later(10).tells_nothing();
    crash(&mut world, 6);
    world.later(10).tells_nothing();
    world.is(InstanceState::GaveUp);
    world.held(HoldReason::GaveUp("crashed 6 times".to_owned()));
    world.later(10).tells(&[
        "gave_up gave_up: chat gave up: crashed 6 times; change it or `llama-orch retry chat`",
    ]);
    world.is(InstanceState::Running).later(10).tells_nothing();
    world.row().seconds = Some(70);
    // One word for all that was wrong.
    world
        .later(60)
        .tells(&["recovered gave_up: chat recovered: it runs b9001"]);
}

#[test]
fn what_comes_and_goes_is_told_once_in_ten_minutes_with_how_often() {
    let mut world = World::new();
    let unresponsive =
        "held unresponsive: chat held: lives and does not answer; see `llama-orch logs chat`";
    let recovered = "recovered unresponsive: chat recovered: it runs b9001";
    let mut all = Vec::new();
    for _ in 0..20 {
        world.is(InstanceState::Unresponsive);
        world.held(HoldReason::Unresponsive).later(15);
        all.extend(world.look());
        world.is(InstanceState::Running).later(15);
        all.extend(world.look());
    }
    assert_eq!(all, [unresponsive, recovered]);
    world.is(InstanceState::Unresponsive);
    world.held(HoldReason::Unresponsive);
    world.later(15).tells(&[&format!(
        "{unresponsive} (and 19 times more since that was told last)"
    )]);
}

#[test]
fn bad_files_are_told_whole_and_once_and_good_ones_after_them() {
    let mut world = World::new();
    let bad = |message: &str| ManifestState {
        good: false,
        since: "2026-11-28T02:15:00Z".to_owned(),
        message: Some(message.to_owned()),
        last_good_at: Some("2026-11-28T02:00:00Z".to_owned()),
    };
    world.snapshot.watch.manifest = bad("`orchestrator.yaml` has 1 mistake\n  3:5: unknown key");
    world.later(5);
    let notices = world.notices();
    assert_eq!(notices.len(), 1);
    assert_eq!(
        notices[0].text,
        "manifest bad: `orchestrator.yaml` has 1 mistake; the last good files stay in force"
    );
    assert_eq!(
        notices[0].details.as_deref(),
        Some("`orchestrator.yaml` has 1 mistake\n  3:5: unknown key")
    );
    world.tells_nothing();
    // Somebody is at it, and saves now and then.
    world.snapshot.watch.manifest = bad("`orchestrator.yaml` has 1 mistake\n  3:9: unknown key");
    world.later(30).tells_nothing();
    world.snapshot.watch.manifest = snapshot().watch.manifest;
    world
        .later(30)
        .tells(&["recovered manifest_bad: manifest recovered: the files are good again"]);
}

#[test]
fn a_clone_that_does_not_follow_is_told() {
    let mut world = World::new();
    world.snapshot.watch.git = Some(git());
    world.tells_nothing();
    let clone = |world: &mut World, hold: Option<&str>| {
        let git = world.snapshot.watch.git.as_mut().expect("git");
        git.hold = hold.map(|reason| GitHoldState {
            reason: reason.to_owned(),
            text: "commit 5e6f7a8 has no good signature".to_owned(),
            since: "2026-11-28T02:15:00Z".to_owned(),
        });
    };
    clone(&mut world, Some("unsigned"));
    world
        .later(60)
        .tells(&["held unsigned: git held: commit 5e6f7a8 has no good signature"]);
    // A restart of watch: nothing was fetched and nothing done yet.
    let pass = world.snapshot.watch.last_pass.take();
    clone(&mut world, None);
    world.later(60).tells_nothing();
    world.snapshot.watch.last_pass = pass;
    clone(&mut world, Some("unsigned"));
    world.later(5).tells_nothing();
    clone(&mut world, None);
    world
        .later(60)
        .tells(&["recovered unsigned: git recovered: follows `main` again"]);
    // A network that is gone is told after an hour.
    let git = world.snapshot.watch.git.as_mut().expect("git");
    git.fetch_error = Some("cannot resolve host".to_owned());
    world.later(60).tells_nothing();
    world.later(3600).tells(&[
        "held fetch_failed: git held: nothing could be fetched since 2026-11-28T02:14:30Z: cannot resolve host",
    ]);
}

#[test]
fn what_a_person_did_or_what_follows_from_another_is_not_told() {
    let other: InstanceName = "embed".parse().expect("a name");
    for why in [
        HoldReason::Starting { for_seconds: 3 },
        HoldReason::PutDown { reason: None },
        HoldReason::Suspended {
            seconds_ago: 5,
            reason: None,
        },
        HoldReason::Protected,
        HoldReason::WaitsFor(other.clone()),
        HoldReason::WaitsForCanary(other.clone()),
        HoldReason::LeftOut(Subject::Instance(other)),
        HoldReason::RolledBack {
            build: "b9001".parse().expect("a build"),
            instead_of: "b9002".parse().expect("a build"),
            seconds_ago: 5,
            reason: None,
        },
    ] {
        let mut world = World::new();
        world.is(InstanceState::Down).held(why);
        world.later(900).tells_nothing();
    }
}

#[test]
fn what_waits_for_a_person_is_told() {
    let mut world = World::new();
    world.is(InstanceState::Stopped);
    let held = "port 8080 is held by pid 77 (nginx)";
    world
        .snapshot
        .plan
        .blockers
        .push(blocker(BlockReason::PortHeld {
            port: 8080,
            by: "pid 77 (nginx)".to_owned(),
        }));
    world.tells(&[&format!("held port_held: chat blocked: {held}")]);
    // Put down meanwhile: that is over as well.
    world
        .is(InstanceState::Down)
        .held(HoldReason::PutDown { reason: None });
    world
        .later(60)
        .tells(&["recovered port_held: chat recovered: it is not wanted to run"]);
    let mut tried = hold(HoldReason::Starting { for_seconds: 0 });
    "tried_before".clone_into(&mut tried.reason);
    "restart failed 3 min ago: no space".clone_into(&mut tried.text);
    world
        .is(InstanceState::Running)
        .snapshot
        .plan
        .holds
        .push(tried);
    world.tells(&["held tried_before: chat held: restart failed 3 min ago: no space"]);
}

#[test]
fn a_launch_with_nothing_in_its_stead_has_given_up() {
    let mut world = World::new();
    world.rolled_back("b9002", 8).row().state = InstanceState::Failed;
    world.tells(&[&ROLLED_BACK
        .replace("rolled_back failed", "gave_up failed")
        .replace("rolled back", "does not run")]);
    // What it fell back to came up after all: that is a better state and no end of it.
    world
        .later(60)
        .rolled_back("b9002", 68)
        .tells(&[&ROLLED_BACK.replace("8 s", "68 s")]);
    // The plan says nothing of it, and it does not run.
    let mut world = World::new();
    world.is(InstanceState::Failed).row().note = Some("its launch failed its gate".to_owned());
    world.tells(&["gave_up failed: chat does not run: its launch failed its gate"]);
}

#[test]
fn a_pass_that_cannot_begin_is_told_when_that_lasts() {
    let mut world = World::new();
    world.pass().result = PassResult::Refused;
    world.pass().error = Some("cannot write `/srv/llama/.llama-orch`: read-only".to_owned());
    world.tells_nothing();
    world
        .later(150)
        .tells(&["held refused: watch held: cannot write `/srv/llama/.llama-orch`: read-only"]);
    world.pass().result = PassResult::Converged;
    world
        .later(30)
        .tells(&["recovered refused: watch recovered: passes begin again"]);
}

#[test]
fn one_that_left_takes_its_trouble_with_it() {
    let mut world = World::new();
    world.rolled_back("b9002", 8).tells(&[ROLLED_BACK]);
    world.is(InstanceState::Running);
    let gone = world.snapshot.instances.remove(0);
    let pass = world.snapshot.watch.last_pass.take();
    // Nothing was looked at yet.
    world.later(60).tells_nothing();
    world.snapshot.watch.last_pass = pass;
    world
        .later(60)
        .tells(&["recovered failed_inputs: chat recovered: nothing is wrong with it any more"]);
    drop(gone);
}

#[test]
fn whatever_stands_there_a_notice_is_one_bounded_line() {
    let mut world = World::new();
    world.is(InstanceState::GaveUp);
    world.held(HoldReason::GaveUp(format!(
        "said\n\x1b[2J{}",
        "é".repeat(5000)
    )));
    let notices = world.notices();
    let text = &notices[0].text;
    assert!(text.starts_with("chat gave up: said [2Jé"), "{text}");
    assert!(text.ends_with("...") && text.chars().count() == LONGEST_TEXT + 3);
    // However many there are, what is kept in mind is bounded.
    for number in 0..2 * MOST {
        let mut hold = hold(HoldReason::Unresponsive);
        hold.reason = format!("reason_{number}");
        world.snapshot.plan.holds.push(hold);
    }
    let told = world.notices().len();
    assert_eq!(told, MOST - 1);
    assert_eq!(world.notices(), []);
}

#[test]
fn what_a_later_version_kept_besides_stays() {
    let mut world = World::new();
    world.told["later"] = json!(7);
    world.rolled_back("b9002", 8).tells(&[ROLLED_BACK]);
    assert_eq!(world.told["later"], 7);
}

/// The notices that `docs/NOTIFICATIONS.md` shows, one of each kind.
fn shown() -> Vec<Notice> {
    let mut world = World::new();
    world.snapshot.watch.git = Some(git());
    let mut shown = Vec::new();
    shown.extend(world.rolled_back("b9002", 8).notices());
    world.is(InstanceState::Running).row().build = Some("b9003".to_owned());
    shown.extend(world.later(600).notices());
    world.is(InstanceState::GaveUp);
    world.held(HoldReason::GaveUp("crashed 5 times".to_owned()));
    shown.extend(world.later(600).notices());
    world.is(InstanceState::Stopped);
    world
        .snapshot
        .plan
        .blockers
        .push(blocker(BlockReason::PortHeld {
            port: 8080,
            by: "nginx (pid 77)".to_owned(),
        }));
    shown.extend(world.later(600).notices());
    world.snapshot.watch.manifest.good = false;
    world.snapshot.watch.manifest.message = Some(
        "`orchestrator.yaml` has 1 mistake\n  orchestrator.yaml:10:15: unknown key `vresion` in \
         instance `chat`\n     10 |     binary: { vresion: b9002 }\n        |               ^^^^^^^ did \
         you mean `version`?"
            .to_owned(),
    );
    shown.extend(world.later(600).notices());
    shown
}

#[test]
fn the_documented_notices_are_those_that_are_given() {
    let document = include_str!("../../../docs/NOTIFICATIONS.md").replace("\r\n", "\n");
    let blocks = document.split("```json\n").skip(1);
    let written: Vec<Value> = blocks
        .filter_map(|block| block.split("```").next())
        .map(|block| serde_json::from_str(block).expect("JSON"))
        .collect();
    let given: Vec<Value> = shown()
        .iter()
        .map(|notice| serde_json::to_value(notice).expect("JSON"))
        .collect();
    for notice in &given {
        assert!(
            written.contains(notice),
            "docs/NOTIFICATIONS.md has to show this:\n{notice:#}"
        );
    }
    assert_eq!(written.len(), given.len());
    for kind in NoticeKind::ALL {
        assert!(
            given.iter().any(|notice| notice["kind"] == kind.word()),
            "{kind:?}"
        );
        assert!(document.contains(&format!("`{}`", kind.word())), "{kind:?}");
    }
}
