//! One instance by itself: started, restarted, left alone, held, blocked.

use std::time::Duration;

use insta::assert_snapshot;

use super::world::{SECOND, World, on, unseen};
use crate::desired::Unanswered;
use crate::instance::state::{Exit, Health};
use crate::manifest::OnFailure;
use crate::observed::{Comparison, GaveUp, ListensAt, Seen, Verdict};
use crate::plan::action::{Action, PlannedLaunch};

#[test]
fn a_new_instance_is_installed_and_started() {
    let world = World::new().wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      + install  b1 vulkan-x64           29.8 MiB download, not installed
      + start    chat                    not running

    Plan: 1 to install, 1 to start.
    "#);
    let plan = world.plan();
    assert_eq!(plan.steps()[1].after[0].step.index(), 0);
    world.assert_settles();
}

#[test]
fn what_runs_as_wanted_is_left_alone() {
    let world = World::new().runs("chat", on("b1")).wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
    Nothing to do: everything is as orchestrator.yaml says.
    "#);
    assert!(world.plan().is_converged());
    world.assert_settles();
}

#[test]
fn another_build_is_a_restart_with_the_old_launch_behind_it() {
    let world = World::new().runs("chat", on("b1")).wants("chat", on("b2"));
    assert_snapshot!(world.shown(), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
    -/+ restart  chat                    binary b1 -> b2; about 12 s down (last load 11.6 s)

    Plan: 1 to install, 1 to restart.
    "#);
    let Action::Replace(start) = &world.plan().steps()[1].action.clone() else {
        panic!("not a restart");
    };
    let fallback = start.fallback.as_ref().expect("a fallback");
    assert_eq!(fallback.launch.build.as_str(), "b1");
    world.assert_settles();
}

#[test]
fn every_kind_of_change_is_told_in_one_line() {
    let old = on("b1")
        .with("model.context_size", 4096)
        .with("args", vec!["--metrics"])
        .with("model.threads", 8);
    let new = on("b1")
        .with("model.context_size", 8192)
        .with("args", vec!["--metrics", "--jinja"])
        .with("server.parallel", 2);
    let world = World::new().runs("chat", old).wants("chat", new);
    assert_snapshot!(world.shown(), @r#"
    -/+ restart  chat                    args, model.context_size 4096 -> 8192, model.threads no longer 8, 1 more; about 12 s down (last load 11.6 s)

    Plan: 1 to restart.
    "#);
    world.assert_settles();
}

#[test]
fn settings_of_the_supervisor_need_no_restart() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b1"))
        .wanted("chat", |wanted| {
            wanted.supervision.restart_policy.enabled = false;
            wanted.supervision.stop_timeout = Duration::from_secs(5);
        });
    assert_snapshot!(world.shown(), @r#"
      ~ update   chat                    restart_policy, stop_timeout (no restart)

    Plan: 1 to update.
    "#);
    world.assert_settles();
}

#[test]
fn a_server_that_lost_its_supervisor_gets_a_new_one_and_no_restart() {
    let world = World::new()
        .runs("chat", on("b1"))
        .unsupervised("chat")
        .wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      ~ update   chat                    its supervisor is gone; a new one takes over (no restart)

    Plan: 1 to update.
    "#);
    world.assert_settles();
}

#[test]
fn a_crash_that_nobody_mends_is_a_start() {
    let world = World::new()
        .crashed("chat", on("b1"))
        .wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      + start    chat                    not running: it was ended by SIGKILL

    Plan: 1 to start.
    "#);
    world.assert_settles();
}

#[test]
fn a_crash_that_is_being_mended_is_waited_for() {
    let world = World::new()
        .backing_off("chat", on("b1"), 32)
        .wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    crashed 4 times, next try in 32 s

    Plan: nothing to do; 1 held.
    "#);
    let plan = world.plan();
    assert_eq!(
        plan.wake_at(),
        Some(world.now() + jiff::SignedDuration::from_secs(32))
    );
    assert!(!plan.is_converged() && plan.needs_attention());
    world.assert_settles();
}

#[test]
fn a_change_of_settings_reaches_a_supervisor_that_waits() {
    let world = World::new()
        .backing_off("chat", on("b1"), 32)
        .wants("chat", on("b1"))
        .wanted("chat", |wanted| {
            wanted.supervision.restart_policy.max_delay = SECOND;
        });
    assert_snapshot!(world.shown(), @r#"
      ~ update   chat                    restart_policy (no restart)
      ! hold     chat                    crashed 4 times, next try in 32 s

    Plan: 1 to update; 1 held.
    "#);
    world.assert_settles();
}

#[test]
fn other_inputs_end_the_waiting() {
    let world = World::new()
        .backing_off("chat", on("b1"), 300)
        .wants("chat", on("b2"));
    assert_snapshot!(world.shown(), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      + start    chat                    not running

    Plan: 1 to install, 1 to start.
    "#);
    world.assert_settles();
}

#[test]
fn what_gave_up_stays_down_until_somebody_changes_something() {
    let gave_up = World::new()
        .crashed("chat", on("b1"))
        .memory("chat", |memory| {
            memory.gave_up = Some(GaveUp::TooOften("exited with code 137".to_owned()));
        });
    let same = gave_up.clone().wants("chat", on("b1"));
    assert_snapshot!(same.shown(), @r#"
      ! hold     chat                    gave up: exited with code 137; change it or `llama-orch retry chat`

    Plan: nothing to do; 1 held.
    "#);
    assert!(same.plan().needs_attention());
    same.assert_settles();
    let changed = gave_up.wants("chat", on("b2"));
    assert_snapshot!(changed.shown(), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      + start    chat                    not running: it was ended by SIGKILL
      . unused   b1 vulkan-x64           61.0 MiB; `apply --prune` removes it

    Plan: 1 to install, 1 to start.
    "#);
}

#[test]
fn what_its_policy_never_restarts_is_started_by_a_person_alone() {
    let ended = World::new()
        .crashed("chat", on("b1"))
        .memory("chat", |memory| {
            memory.gave_up = Some(GaveUp::ByPolicy("exited with code 0".to_owned()));
        })
        .wants("chat", on("b1"))
        .wanted("chat", |wanted| {
            wanted.supervision.restart_policy.enabled = false;
        });
    assert_snapshot!(ended.shown(), @r#"
      ! hold     chat                    exited with code 0; `restart_policy.enabled` is false, `llama-orch up chat` or `apply` starts it

    Plan: nothing to do; 1 held.
    "#);
    assert!(ended.plan().needs_attention());
    ended.clone().assert_settles();
    let asked = ended.clone().desired(|desired| desired.attended = true);
    assert_snapshot!(asked.shown(), @r#"
      + start    chat                    not running: it exited with code 0; `restart_policy.enabled` is false, `apply` starts it

    Plan: 1 to start.
    "#);
    asked.assert_settles();
    // A policy that restarts it by now is a reason of its own.
    let changed = ended.wanted("chat", |wanted| {
        wanted.supervision.restart_policy.enabled = true;
    });
    assert_snapshot!(changed.shown(), @r#"
      + start    chat                    not running: it was ended by SIGKILL

    Plan: 1 to start.
    "#);
    changed.assert_settles();
}

#[test]
fn a_person_starts_what_was_proven_where_neither_runs_and_nothing_is_restarted() {
    let ended = World::new()
        .crashed("chat", on("b1"))
        .proven("chat", on("b1"))
        .memory("chat", |memory| {
            memory.gave_up = Some(GaveUp::ByPolicy("exited with code 0".to_owned()));
        })
        .installed("b2")
        .failed("chat", on("b2"))
        .wants("chat", on("b2"))
        .wanted("chat", |wanted| {
            wanted.supervision.restart_policy.enabled = false;
        });
    assert!(!ended.plan().has_changes());
    let asked = ended.desired(|desired| desired.attended = true);
    assert_snapshot!(asked.shown(), @r#"
      + start    chat                    from its last proven launch, since the wanted one exited with code 1
      ! hold     chat                    b2 failed 2 h ago: exited with code 1; change it or `llama-orch retry chat`

    Plan: 1 to start; 1 held.
    "#);
    asked.assert_settles();
}

#[test]
fn a_supervisor_of_the_version_before_is_told_only_what_it_knows() {
    let world = World::new()
        .runs("chat", on("b1"))
        .see("chat", |seen| {
            let Seen::Known(Some(supervisor)) = &mut seen.supervisor else {
                panic!("no supervisor");
            };
            supervisor.protocol = 1;
        })
        .wants("chat", on("b1"))
        .wanted("chat", |wanted| {
            wanted.supervision.drain = Some(SECOND);
        });
    assert_snapshot!(world.shown(), @r#"
    Nothing to do: everything is as orchestrator.yaml says.
    "#);
    let both = world.wanted("chat", |wanted| wanted.supervision.stop_timeout = SECOND);
    assert_snapshot!(both.shown(), @r#"
      ~ update   chat                    stop_timeout (no restart)

    Plan: 1 to update.
    "#);
}

#[test]
fn a_starting_server_is_waited_for_and_not_called_converged() {
    let world = World::new()
        .starting("chat", on("b1"))
        .wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    starting for 40 s; its gate is not decided yet

    Plan: nothing to do; 1 held.
    "#);
    let plan = world.plan();
    assert!(!plan.is_converged() && !plan.needs_attention());
    world.assert_settles();
}

#[test]
fn a_server_that_starts_with_other_inputs_is_no_fallback() {
    let world = World::new()
        .starting("chat", on("b2"))
        .proven("chat", on("b1"))
        .wants("chat", on("b3"));
    assert_snapshot!(world.shown(), @r#"
      + install  b3 vulkan-x64           29.8 MiB download, not installed
    -/+ restart  chat                    binary b2 -> b3; about 12 s down (last load 11.6 s)

    Plan: 1 to install, 1 to restart.
    "#);
    let Action::Replace(start) = &world.plan().steps()[1].action.clone() else {
        panic!("not a restart");
    };
    let fallback = start.fallback.as_ref().expect("a fallback");
    assert_eq!(fallback.launch.build.as_str(), "b1");
    world.assert_settles();
}

#[test]
fn a_server_that_does_not_answer_is_reported_and_left() {
    let world = World::new()
        .runs("chat", on("b1"))
        .server("chat", |server| server.health = Health::Unresponsive)
        .wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    lives and does not answer; see `llama-orch logs chat`

    Plan: nothing to do; 1 held.
    "#);
    assert!(world.plan().needs_attention());
    world.assert_settles();
}

#[test]
fn a_fallback_is_installed_and_never_the_same_inputs() {
    let fallback = |world: &World| {
        let plan = world.plan();
        let step = plan.steps().iter().find_map(|step| match &step.action {
            Action::Start(start) | Action::Replace(start) => Some(start.clone()),
            _ => None,
        });
        let start = step.expect("a start");
        start.fallback.map(|launch| launch.launch.build.to_string())
    };
    // A model file that was replaced leaves the inputs as they are: going back helps nobody.
    let replaced = World::new()
        .runs("chat", on("b1"))
        .see("chat", |seen| {
            seen.comparison = Comparison::Differs(Vec::new());
        })
        .proven("chat", on("b1"))
        .wants("chat", on("b1"));
    let mut unrefreshed = replaced.clone();
    unrefreshed.desired.allow_empty = true;
    let plan = crate::plan::plan(&unrefreshed.desired, &unrefreshed.observed);
    let Action::Replace(start) = &plan.steps()[0].action else {
        panic!("not a restart");
    };
    assert_eq!(start.fallback, None);

    let newest = World::new()
        .crashed("chat", on("b3"))
        .proven("chat", on("b2"))
        .proven("chat", on("b1"))
        .wants("chat", on("b4"));
    assert_eq!(fallback(&newest).as_deref(), Some("b2"));
    let pruned = newest.observed(|observed| {
        let Seen::Known(binaries) = &mut observed.binaries else {
            panic!("the builds are not seen");
        };
        binaries.remove(&super::world::id("b2"));
    });
    assert_eq!(fallback(&pruned).as_deref(), Some("b1"));
    let stop = pruned.wanted("chat", |wanted| wanted.on_failure = OnFailure::Stop);
    assert_eq!(fallback(&stop), None);
}

#[test]
fn a_launch_that_failed_is_held_while_the_old_one_runs() {
    let world = World::new()
        .runs("chat", on("b1"))
        .installed("b2")
        .failed("chat", on("b2"))
        .wants("chat", on("b2"));
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    b2 failed 2 h ago: exited with code 1; b1 runs; change it or `llama-orch retry chat`

    Plan: nothing to do; 1 held.
    "#);
    assert!(world.plan().needs_attention());
    world.assert_settles();
}

#[test]
fn a_server_that_failed_its_gate_and_was_left_is_left_until_somebody_wants_it_tried_again() {
    let left = World::new()
        .runs("chat", on("b2"))
        .server("chat", |server| server.verdict = Verdict::Failed)
        .wants("chat", on("b2"));
    assert_snapshot!(left.shown(), @r"
    -/+ restart  chat                    tried again: it had failed its gate and was left running

    Plan: 1 to restart.
    ");
    let held = left.failed("chat", on("b2"));
    assert_snapshot!(held.shown(), @r#"
      ! hold     chat                    b2 failed its gate 2 h ago and was left running: exited with code 1; change it or `llama-orch retry chat`

    Plan: nothing to do; 1 held.
    "#);
    assert!(held.plan().needs_attention());
    let changed = held.installed("b3").wants("chat", on("b3"));
    assert_snapshot!(changed.shown(), @r"
    -/+ restart  chat                    binary b2 -> b3; about 12 s down (last load 11.6 s)

    Plan: 1 to restart.
    ");
}

#[test]
fn a_bad_build_rolls_back_and_is_not_tried_again() {
    let mut world = World::new().runs("chat", on("b1")).wants("chat", on("b2"));
    world.bad.insert("b2".parse().expect("a build"));
    let plan = world.plan();
    world.carry_out(&plan);
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    b2 failed 0 s ago: exited with code 1; b1 runs; change it or `llama-orch retry chat`

    Plan: nothing to do; 1 held.
    "#);
    world.assert_settles();
}

#[test]
fn a_held_instance_that_does_not_run_is_started_from_its_proven_launch() {
    let world = World::new()
        .stopped("chat", on("b2"))
        .proven("chat", on("b1"))
        .failed("chat", on("b2"))
        .wants("chat", on("b2"));
    assert_snapshot!(world.shown(), @r#"
      + start    chat                    from its last proven launch, since the wanted one exited with code 1
      ! hold     chat                    b2 failed 2 h ago: exited with code 1; change it or `llama-orch retry chat`

    Plan: 1 to start; 1 held.
    "#);
    let Action::Start(start) = &world.plan().steps()[0].action.clone() else {
        panic!("not a start");
    };
    assert!(matches!(start.launch, PlannedLaunch::Proven(_)));
    assert_eq!(start.fallback, None);
    world.assert_settles();
}

#[test]
fn a_held_instance_stays_down_where_the_manifest_says_so() {
    let world = World::new()
        .stopped("chat", on("b2"))
        .proven("chat", on("b1"))
        .failed("chat", on("b2"))
        .wants("chat", on("b2"))
        .wanted("chat", |wanted| wanted.on_failure = OnFailure::Stop);
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    b2 failed 2 h ago: exited with code 1; change it or `llama-orch retry chat`

    Plan: nothing to do; 1 held.
    "#);
    world.assert_settles();
}

#[test]
fn the_wanted_launch_counts_as_mended_once_it_runs() {
    let world = World::new()
        .runs("chat", on("b2"))
        .failed("chat", on("b2"))
        .wants("chat", on("b2"));
    assert_snapshot!(world.shown(), @r#"
    Nothing to do: everything is as orchestrator.yaml says.
    "#);
    world.assert_settles();
}

#[test]
fn put_down_means_stopped_and_then_left_down() {
    let world = World::new()
        .runs("chat", on("b1"))
        .put_down("chat", Some("gpu is needed elsewhere"))
        .wants("chat", on("b2"));
    assert_snapshot!(world.shown(), @r#"
      - stop     chat                    put down: gpu is needed elsewhere

    Plan: 1 to stop.
    "#);
    let mut after = world.clone();
    let plan = after.plan();
    after.carry_out(&plan);
    assert_snapshot!(after.shown(), @r#"
      ! hold     chat                    put down: gpu is needed elsewhere; `llama-orch up chat` starts it
      . unused   b1 vulkan-x64           61.0 MiB; `apply --prune` removes it

    Plan: nothing to do; 1 held.
    "#);
    assert!(after.plan().is_converged());
    world.assert_settles();
}

#[test]
fn what_is_put_down_is_stopped_even_where_its_pin_is_not_resolved() {
    let why = Unanswered::Impossible {
        why: "no build is registered as `mine`".to_owned(),
        hint: None,
    };
    let world = World::new()
        .runs("chat", on("b1"))
        .put_down("chat", None)
        .unresolved("chat", why);
    assert_snapshot!(world.shown(), @r#"
      - stop     chat                    put down

    Plan: 1 to stop.
    "#);
    world.assert_settles();
}

#[test]
fn disabled_means_stopped_without_a_word_afterwards() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b2"))
        .wanted("chat", |wanted| wanted.enabled = false);
    assert_snapshot!(world.shown(), @r#"
      - stop     chat                    disabled in orchestrator.yaml

    Plan: 1 to stop.
    "#);
    let mut after = world.clone();
    let plan = after.plan();
    after.carry_out(&plan);
    assert_snapshot!(after.shown(), @r#"
      . unused   b1 vulkan-x64           61.0 MiB; `apply --prune` removes it

    Nothing to do: everything is as orchestrator.yaml says.
    "#);
    world.assert_settles();
}

#[test]
fn an_unresolved_pin_blocks_its_instance_alone_and_supervision_is_mended() {
    let why = Unanswered::Source {
        why: "cannot reach api.github.com".to_owned(),
        hint: None,
        unreachable: true,
    };
    let world = World::new()
        .runs("chat", on("b1"))
        .unsupervised("chat")
        .unresolved("chat", why)
        .wants("embed", on("b2").at(8072));
    assert_snapshot!(world.shown(), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      ~ update   chat                    its supervisor is gone; a new one takes over (no restart)
      + start    embed                   not running
      x blocked  chat                    cannot reach api.github.com

    Plan: 1 to install, 1 to update, 1 to start; 1 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn a_pin_the_lock_does_not_cover_is_held_where_the_lock_may_not_grow() {
    let world = World::new().runs("chat", on("b1")).unresolved(
        "chat",
        Unanswered::NotLocked("`chat` at `stable`".to_owned()),
    );
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    `orchestrator.lock` does not cover `chat` at `stable`; `llama-orch update` extends it: in a clone, commit and push that

    Plan: nothing to do; 1 held.
    "#);
    assert!(world.plan().needs_attention());
    world.assert_settles();
}

#[test]
fn missing_files_block_their_instance_alone() {
    let world = World::new()
        .wants("chat", on("b1"))
        .see("chat", |seen| {
            seen.missing = vec!["model `models/gemma.gguf` is not there".to_owned()];
        })
        .wants("embed", on("b1").at(8072));
    assert_snapshot!(world.shown(), @r#"
      + install  b1 vulkan-x64           29.8 MiB download, not installed
      + start    embed                   not running
      x blocked  chat                    model `models/gemma.gguf` is not there

    Plan: 1 to install, 1 to start; 1 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn a_blocked_restart_leaves_the_old_server_supervised() {
    let world = World::new()
        .runs("chat", on("b1"))
        .unsupervised("chat")
        .wants("chat", on("b2"))
        .see("chat", |seen| {
            seen.missing = vec!["model `models/gemma.gguf` is not there".to_owned()];
        });
    assert_snapshot!(world.shown(), @r#"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      ~ update   chat                    its supervisor is gone; a new one takes over (no restart)
      x blocked  chat                    model `models/gemma.gguf` is not there

    Plan: 1 to install, 1 to update; 1 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn a_stranger_on_the_port_is_named() {
    let world = World::new()
        .wants("ocr", on("b1").at(8075))
        .stranger_at(8075, "`python3` (pid 4121)");
    assert_snapshot!(world.shown(), @r#"
      + install  b1 vulkan-x64           29.8 MiB download, not installed
      x blocked  ocr                     port 8075 is held by `python3` (pid 4121)

    Plan: 1 to install; 1 blocked.
    "#);
    world.assert_settles();
}

#[test]
fn a_stranger_is_in_the_way_of_its_own_address_alone() {
    let blocked = |host: &str, at: ListensAt| {
        let world = World::new()
            .wants("ocr", on("b1").at_host(host).at(8075))
            .stranger(at, "`python3` (pid 4121)");
        world.plan().blockers().first().map(|it| it.why.to_string())
    };
    let table = [
        ("127.0.0.1", "10.0.0.5", false),
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "0.0.0.0", true),
        ("127.0.0.1", "::", true),
        ("127.0.0.1", "::1", false),
        ("127.0.0.1", "::ffff:127.0.0.1", true),
        ("0.0.0.0", "10.0.0.5", true),
        ("0.0.0.0", "fd00::5", false),
        ("::", "10.0.0.5", true),
        ("::1", "0.0.0.0", false),
        ("localhost", "127.0.0.1", true),
        ("localhost", "10.0.0.5", false),
        ("gpu.example", "10.0.0.5", true),
        ("127.0.0.1,10.0.0.5", "10.0.0.5", true),
    ];
    for (ours, theirs, expected) in table {
        let at = theirs.parse().expect("an address");
        let why = blocked(ours, ListensAt::Port(at, 8075));
        assert_eq!(why.is_some(), expected, "{ours} beside {theirs}: {why:?}");
        assert_eq!(blocked(ours, ListensAt::Port(at, 8076)), None);
    }
    let at = |path: &str| ListensAt::Socket(path.to_owned());
    assert_eq!(
        blocked("run/x.sock", at("run/x.sock")).as_deref(),
        Some("socket `run/x.sock` is held by `python3` (pid 4121)")
    );
    assert_eq!(blocked("run/x.sock", at("run/y.sock")), None);
    assert_eq!(blocked("127.0.0.1", at("run/x.sock")), None);
}

#[test]
fn nothing_is_done_to_what_was_not_seen() {
    let base = World::new().runs("chat", on("b1")).wants("chat", on("b2"));
    let parts: [fn(&mut crate::observed::ObservedInstance); 4] = [
        |seen| seen.memory = Seen::Unknown(unseen("`record.json` is damaged")),
        |seen| seen.supervisor = Seen::Unknown(unseen("`supervisor.lock` cannot be asked")),
        |seen| seen.server = Seen::Unknown(unseen("`server.lock` cannot be asked")),
        |seen| seen.comparison = Comparison::Unknown(unseen("`state.json` is of a later version")),
    ];
    let told: Vec<String> = parts
        .iter()
        .map(|part| {
            let world = base.clone().installed("b2").see("chat", part);
            let plan = world.plan();
            assert!(!plan.has_changes(), "{plan}");
            assert!(plan.needs_attention());
            plan.to_string().lines().next().expect("a line").to_owned()
        })
        .collect();
    assert_snapshot!(told.join("\n"), @r#"
    ! hold     chat                    left alone: `record.json` is damaged
    ! hold     chat                    left alone: `supervisor.lock` cannot be asked
    ! hold     chat                    left alone: `server.lock` cannot be asked
    ! hold     chat                    left alone: `state.json` is of a later version
    "#);
}

#[test]
fn builds_that_were_not_seen_hold_what_needs_one() {
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", on("b2"))
        .wants("embed", on("b1").at(8072))
        .observed(|observed| {
            observed.binaries = Seen::Unknown(unseen("`registry.json` is damaged"));
        });
    assert_snapshot!(world.shown(), @r#"
      ! hold     chat                    left alone: `registry.json` is damaged
      ! hold     embed                   left alone: `registry.json` is damaged

    Plan: nothing to do; 2 held.
    "#);
    assert!(!world.plan().has_changes());
}

#[test]
fn a_crash_says_how_it_ended() {
    let world = World::new()
        .crashed("chat", on("b1"))
        .memory("chat", |memory| {
            let at = memory.last_exit.expect("an exit").1;
            memory.last_exit = Some((Exit::Unobserved, at));
        })
        .wants("chat", on("b1"));
    assert_snapshot!(world.shown(), @r#"
      + start    chat                    not running: it ended unobserved

    Plan: 1 to start.
    "#);
    world.assert_settles();
}
