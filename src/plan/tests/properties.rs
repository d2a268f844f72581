//! What holds in every world: random small ones are planned, carried out and planned again.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::watch::switches;
use super::world::{World, id, name, on, unseen};
use crate::desired::{Unanswered, WantedInstance};
use crate::manifest::Watch;
use crate::observed::{Comparison, GaveUp, ObservedInstance, Seen, Verdict};
use crate::plan::Plan;
use crate::plan::action::{Action, After, Needs, Reason, Subject};
use crate::watch::attempts::Attempts;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const BUILDS: [&str; 4] = ["b1", "b2", "b3", "b4"];
const FIRST_PORT: u16 = 8071;
/// Passes after which a world of five has to have come to rest.
const PASSES: usize = 8;

#[derive(Debug, Clone)]
enum Wish {
    Absent,
    Unresolved,
    On {
        build: &'static str,
        enabled: bool,
        lean: Vec<bool>,
        settings: bool,
        missing: bool,
    },
}

#[derive(Debug, Clone, Copy)]
enum Life {
    Never,
    Runs,
    Starting,
    Unsupervised,
    BackingOff,
    Stopped,
    Crashed,
    GaveUp,
    Left,
}

#[derive(Debug, Clone, Copy)]
enum Blind {
    Not,
    Memory,
    Supervisor,
    Server,
    Comparison,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be so or not, by itself"
)]
struct Past {
    life: Life,
    build: &'static str,
    proven: Vec<&'static str>,
    failed: bool,
    put_down: bool,
    protected: bool,
    rolled_back: bool,
    asked: bool,
    suspended: bool,
    blind: Blind,
}

fn wish() -> impl Strategy<Value = Wish> {
    let on = (
        select(&BUILDS[..]),
        prop::bool::weighted(0.9),
        prop::collection::vec(prop::bool::weighted(0.2), NAMES.len()),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        2 => Just(Wish::Absent),
        1 => Just(Wish::Unresolved),
        8 => on.prop_map(|(build, enabled, lean, settings, missing)| Wish::On {
            build,
            enabled,
            lean,
            settings,
            missing,
        }),
    ]
}

fn past() -> impl Strategy<Value = Past> {
    let life = prop_oneof![
        2 => Just(Life::Never),
        6 => Just(Life::Runs),
        1 => Just(Life::Starting),
        1 => Just(Life::Unsupervised),
        1 => Just(Life::BackingOff),
        1 => Just(Life::Stopped),
        1 => Just(Life::Crashed),
        1 => Just(Life::GaveUp),
        1 => Just(Life::Left),
    ];
    let blind = prop_oneof![
        16 => Just(Blind::Not),
        1 => Just(Blind::Memory),
        1 => Just(Blind::Supervisor),
        1 => Just(Blind::Server),
        1 => Just(Blind::Comparison),
    ];
    let rest = (
        select(&BUILDS[..]),
        subsequence(&BUILDS[..], 0..=2),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.15),
        (prop::bool::weighted(0.15), prop::bool::weighted(0.1)),
    );
    (life, blind, rest).prop_map(
        |(
            life,
            blind,
            (build, proven, failed, put_down, protected, rolled_back, (asked, suspended)),
        )| Past {
            life,
            build,
            proven,
            failed,
            put_down,
            protected,
            rolled_back,
            asked,
            suspended,
            blind,
        },
    )
}

fn ports() -> impl Strategy<Value = Vec<u16>> {
    let all: Vec<u16> = (0..6).map(|port| FIRST_PORT + port).collect();
    Just(all).prop_shuffle()
}

prop_compose! {
    fn world()(
        wishes in prop::collection::vec(wish(), NAMES.len()),
        pasts in prop::collection::vec(past(), NAMES.len()),
        wanted_ports in ports(),
        held_ports in ports(),
        installed in subsequence(&BUILDS[..], 0..=BUILDS.len()),
        bad in subsequence(&BUILDS[..], 0..=1),
        stranger in prop::bool::weighted(0.3),
        canary in prop::option::weighted(0.3, select(&NAMES[..])),
        (allow_empty, prune, keep) in (any::<bool>(), any::<bool>(), 0_usize..3),
    ) -> World {
        let mut world = World::new();
        for build in installed {
            world = world.installed(build);
        }
        for (index, who) in NAMES.into_iter().enumerate() {
            world = live(world, who, &pasts[index], held_ports[index]);
            world = want(world, who, &wishes[index], wanted_ports[index]);
        }
        for (index, who) in NAMES.into_iter().enumerate() {
            let past = &pasts[index];
            if past.asked {
                world = world.restart(who, None);
            }
            if let (true, Blind::Not, Wish::On { build, .. }) =
                (past.rolled_back, past.blind, &wishes[index])
                && !matches!(past.life, Life::Never)
            {
                let (to, from) = (on(past.build).at(held_ports[index]), on(build));
                world = world.rolled_back(who, to, &from.at(wanted_ports[index]));
            }
            if let (true, Wish::On { build, .. }) = (pasts[index].failed, &wishes[index])
                && !matches!(pasts[index].life, Life::Never)
            {
                world = world.failed(who, on(build).at(wanted_ports[index]));
            }
        }
        if stranger {
            world = world.stranger_at(held_ports[NAMES.len()], "`python3` (pid 4121)");
        }
        world.bad = bad.into_iter().map(|build| build.parse().expect("a build")).collect();
        world.desired(|desired| {
            desired.rollout.canary = canary.map(name);
            desired.allow_empty = allow_empty;
            desired.retention.prune = prune;
            desired.retention.keep = keep;
        })
    }
}

fn live(world: World, who: &str, past: &Past, port: u16) -> World {
    let launch = on(past.build).at(port);
    let world = match past.life {
        Life::Never => return world,
        Life::Runs => world.runs(who, launch),
        Life::Starting => world.starting(who, launch),
        Life::Left => world
            .runs(who, launch)
            .server(who, |server| server.verdict = Verdict::Failed),
        Life::Unsupervised => world.runs(who, launch).unsupervised(who),
        Life::BackingOff => world.backing_off(who, launch, 30),
        Life::Stopped => world.stopped(who, launch),
        Life::Crashed => world.crashed(who, launch),
        Life::GaveUp => world.crashed(who, launch).memory(who, |memory| {
            memory.gave_up = Some(GaveUp::TooOften("exited with code 1".to_owned()));
        }),
    };
    let mut world = world.memory(who, |memory| memory.protected = past.protected);
    for build in &past.proven {
        world = world.proven(who, on(build).at(port));
    }
    if past.put_down {
        world = world.put_down(who, None);
    }
    if past.suspended {
        world = world.suspended(who, None);
    }
    world.see(who, |seen| match past.blind {
        Blind::Not => {}
        Blind::Memory => seen.memory = Seen::Unknown(unseen("no memory")),
        Blind::Supervisor => seen.supervisor = Seen::Unknown(unseen("no supervisor")),
        Blind::Server => seen.server = Seen::Unknown(unseen("no server")),
        Blind::Comparison => seen.comparison = Comparison::Unknown(unseen("no comparison")),
    })
}

fn want(world: World, who: &str, wish: &Wish, port: u16) -> World {
    match wish {
        Wish::Absent => world,
        Wish::Unresolved => world.unresolved(
            who,
            Unanswered::Source {
                why: "out of reach".to_owned(),
                hint: None,
                unreachable: true,
            },
        ),
        Wish::On {
            build,
            enabled,
            lean,
            settings,
            missing,
        } => {
            let world = world.wants(who, on(build).at(port)).wanted(who, |wanted| {
                wanted.enabled = *enabled;
                // Only on those before it, as in a manifest without circles.
                let others = NAMES
                    .iter()
                    .zip(lean)
                    .take_while(|(other, _)| **other != who);
                wanted.depends_on = others
                    .filter(|(_, lean)| **lean)
                    .map(|(other, _)| name(other))
                    .collect();
                if *settings {
                    wanted.supervision.restart_policy.enabled = false;
                }
            });
            if *missing {
                world.see(who, |seen| seen.missing = vec!["its model".to_owned()])
            } else {
                world
            }
        }
    }
}

fn assert_graph(plan: &Plan) {
    for (index, step) in plan.steps().iter().enumerate() {
        assert_eq!(step.id.index(), index);
        let mut before = BTreeSet::new();
        for after in &step.after {
            assert!(after.step < step.id, "an edge leads forward:\n{plan}");
            assert!(before.insert(after.step), "an edge stands twice:\n{plan}");
        }
    }
    let mut started = BTreeSet::new();
    for step in plan.steps() {
        if let Action::Start(start) | Action::Replace(start) = &step.action {
            assert!(
                started.insert(start.instance.clone()),
                "{} is started twice:\n{plan}",
                start.instance
            );
        }
    }
}

/// The builds a plan takes away.
fn pruned(plan: &Plan) -> BTreeSet<crate::instance::BinaryId> {
    plan.steps()
        .iter()
        .filter_map(|step| match &step.action {
            Action::Prune(prune) => Some(prune.binary),
            _ => None,
        })
        .collect()
}

/// Every step that stands or falls with another.
fn downstream(plan: &Plan, failed: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::from([failed]);
    for step in plan.steps() {
        let falls = step
            .after
            .iter()
            .any(|after| after.needs == Needs::Success && all.contains(&after.step.index()));
        if falls {
            all.insert(step.id.index());
        }
    }
    all
}

fn servers(world: &World) -> BTreeMap<String, Option<String>> {
    world
        .observed
        .instances
        .iter()
        .map(|(name, seen)| {
            let server = seen.server.known().and_then(Option::as_ref);
            let runs = server.map(|server| format!("{:?}", server.launch.launch.inputs));
            (name.to_string(), runs)
        })
        .collect()
}

fn is_blind(seen: &ObservedInstance) -> bool {
    seen.unseen().is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_graph_leads_backwards_and_starts_each_once(world in world()) {
        let plan = world.plan();
        assert_graph(&plan);
        assert_graph(&plan.clone().without_removals());
        for who in NAMES {
            assert_graph(&plan.clone().narrowed(&[name(who)].into()));
        }
        prop_assert_eq!(plan, world.plan());
    }

    #[test]
    fn it_comes_to_rest(world in world()) {
        let mut world = world;
        let mut last = world.plan();
        for _ in 0..PASSES {
            world.carry_out(&last);
            last = world.plan();
            if !last.has_changes() {
                return Ok(());
            }
        }
        prop_assert!(false, "after {PASSES} passes there is still to do:\n{last}");
    }

    #[test]
    fn what_was_not_seen_is_not_touched(world in world()) {
        let plan = world.plan();
        for step in plan.steps() {
            let subject = step.action.subject();
            let Some(name) = subject.instance() else {
                continue;
            };
            let Some(seen) = world.observed.instances.get(name) else {
                continue;
            };
            // Whether it differs does not matter to one that is to be down.
            let down = matches!(step.reason, Reason::PutDown(_) | Reason::Disabled);
            let comparison_only = matches!(seen.comparison, Comparison::Unknown(_))
                && matches!((&seen.memory, &seen.supervisor, &seen.server),
                    (Seen::Known(_), Seen::Known(_), Seen::Known(_)));
            let unresolved =
                matches!(world.desired.instances.get(name), Some(WantedInstance::Unresolved(_)));
            let mended = unresolved && matches!(step.action, Action::Update(_));
            prop_assert!(
                !is_blind(seen) || (comparison_only && (down || mended)),
                "{name} was not seen:\n{plan}"
            );
        }
        let blind = world.observed.instances.values().any(|seen| {
            !matches!((&seen.memory, &seen.supervisor, &seen.server),
                (Seen::Known(_), Seen::Known(_), Seen::Known(_)))
        });
        prop_assert!(!blind || pruned(&plan).is_empty(), "pruned blindly:\n{plan}");
    }

    #[test]
    fn what_is_suspended_is_not_touched(world in world()) {
        let plan = world.plan();
        for step in plan.steps() {
            let subject = step.action.subject();
            let seen = subject.instance().and_then(|name| world.observed.instances.get(name));
            let memory = seen.and_then(|seen| seen.memory.known());
            prop_assert!(
                memory.is_none_or(|memory| memory.suspended.is_none()),
                "{subject} is suspended:\n{plan}"
            );
        }
    }

    #[test]
    fn nobody_is_ended_for_want_of_an_answer(world in world()) {
        let plan = world.plan();
        for step in plan.steps() {
            let subject = step.action.subject();
            let Some(name) = subject.instance() else {
                continue;
            };
            let wanted = world.desired.instances.get(name);
            if matches!(step.action, Action::Remove(_)) {
                prop_assert!(wanted.is_none(), "{name} is still wanted:\n{plan}");
            }
            if let Some(WantedInstance::Unresolved(_)) = wanted {
                let put_down = matches!(step.reason, Reason::PutDown(_));
                prop_assert!(
                    put_down || matches!(step.action, Action::Update(_)),
                    "{name} is not resolved:\n{plan}"
                );
            }
        }
    }

    #[test]
    fn nothing_that_runs_or_may_be_started_is_pruned(world in world()) {
        let plan = world.plan();
        let gone = pruned(&plan);
        for seen in world.observed.instances.values() {
            if let Seen::Known(Some(server)) = &seen.server {
                prop_assert!(!gone.contains(&server.launch.launch.binary));
            }
            if let Seen::Known(memory) = &seen.memory {
                for proven in &memory.proven {
                    prop_assert!(!gone.contains(&proven.launch.binary));
                }
            }
        }
        for step in plan.steps() {
            if let Action::Start(start) | Action::Replace(start) = &step.action {
                prop_assert!(!gone.contains(&start.launch.launch().binary));
                let fallback = start.fallback.as_ref().map(|launch| launch.launch.binary);
                prop_assert!(fallback.is_none_or(|fallback| !gone.contains(&fallback)));
            }
        }
    }

    #[test]
    fn unchanged_healthy_instances_are_left_alone(world in world()) {
        let plan = world.plan();
        for step in plan.steps().iter().filter(|step| step.action.stops_a_server()) {
            let subject = step.action.subject();
            let name = subject.instance().expect("an instance");
            let wanted = world.desired.instances.get(name);
            let mut fresh = world.clone();
            fresh.refresh();
            let seen = &fresh.observed.instances[name];
            let put_down = seen.memory.known().is_some_and(|memory| memory.put_down.is_some());
            let server = seen.server.known().and_then(Option::as_ref);
            let failed = server.is_some_and(|server| server.verdict == Verdict::Failed);
            if let Some(WantedInstance::Resolved(wanted)) = wanted
                && wanted.enabled
                && !put_down
                && !failed
                && !fresh.desired.restart.contains_key(name)
            {
                prop_assert!(
                    matches!(&seen.comparison, Comparison::Differs(changes) if !changes.is_empty()),
                    "{name} has not changed:\n{plan}"
                );
            }
        }
    }

    #[test]
    fn a_failed_step_harms_nobody_else(world in world(), pick in any::<prop::sample::Index>()) {
        let plan = world.plan();
        if !plan.has_changes() {
            return Ok(());
        }
        let failed = pick.index(plan.steps().len());
        let falls = downstream(&plan, failed);
        let mut good = world.clone();
        good.bad.clear();
        let mut hurt = good.clone();
        good.carry_out(&plan);
        let subject = plan.steps()[failed].action.clone();
        hurt.carry_out_but(&plan, |action| *action == subject);
        let touched: BTreeSet<Subject> = falls
            .iter()
            .map(|index| plan.steps()[*index].action.subject())
            .collect();
        let (good, hurt) = (servers(&good), servers(&hurt));
        for who in NAMES {
            if !touched.contains(&Subject::Instance(name(who))) {
                prop_assert_eq!(good.get(who), hurt.get(who), "{} was harmed:\n{}", who, plan);
            }
        }
    }

    #[test]
    fn a_failed_install_stops_nothing(world in world()) {
        let plan = world.plan();
        let mut after = world.clone();
        after.carry_out_but(&plan, |action| matches!(action, Action::Install(_)));
        for step in plan.steps() {
            if let Action::Replace(start) = &step.action
                && !world.is_installed(start.launch.launch().binary)
            {
                let who = start.instance.to_string();
                prop_assert_eq!(&servers(&world)[&who], &servers(&after)[&who], "{}", plan);
            }
        }
    }

    #[test]
    fn watch_does_nothing_that_apply_would_not(
        world in world(),
        (install, restart, heal, remove) in
            (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let plan = world.plan();
        let watch = Watch { install, restart, heal, remove, ..switches() };
        let permitted = plan.clone().permitted(&watch);
        let paced = permitted.clone().paced();
        for less in [&permitted, &paced] {
            assert_graph(less);
            for step in less.steps() {
                let whole = plan.steps().iter().find(|other| other.action == step.action);
                let Some(whole) = whole else {
                    return Err(TestCaseError::fail(format!("a step is new:\n{less}")));
                };
                // What a step needed is there, or it is held itself.
                let needs = |after: &&After| after.needs == Needs::Success;
                prop_assert_eq!(
                    whole.after.iter().filter(needs).count(),
                    step.after.iter().filter(needs).count(),
                    "{} lost what it needs:\n{}", step.action.subject(), less
                );
            }
        }
        // Whatever is left out is told.
        for step in plan.steps() {
            let subject = step.action.subject();
            prop_assert!(
                permitted.steps().iter().any(|other| other.action == step.action)
                    || permitted.holds().iter().any(|hold| hold.subject == subject),
                "{subject} is left out in silence:\n{permitted}"
            );
        }
        prop_assert_eq!(plan.clone().permitted(&switches()), plan.without_removals());
    }

    #[test]
    fn what_fails_over_and_over_is_remembered_once(
        worlds in prop::collection::vec(world(), 1..6),
    ) {
        let mut attempts = Attempts::default();
        let interval = std::time::Duration::from_mins(10);
        for world in worlds {
            for _ in 0..3 {
                let plan = world.plan();
                // Of what waits, each kind of step that an instance has.
                let most = plan.steps().len() + 5 * plan.holds().len();
                let held = attempts.held_back(plan, world.now(), interval);
                prop_assert!(attempts.len() <= most);
                let failed = held.steps().iter().map(|step| (step, Some("no".to_owned())));
                attempts.note(failed, world.now());
                prop_assert!(attempts.len() <= most);
                assert_graph(&held);
            }
            let held = attempts.held_back(world.plan(), world.now(), interval);
            prop_assert!(!held.has_changes(), "tried a fourth time:\n{held}");
        }
    }

    #[test]
    fn it_does_not_matter_in_which_order_instances_are_named(world in world()) {
        // Names decide ties only: the same world with other names plans the same number of steps of
        // each kind, unless a tie was to be decided (a port, the disk).
        let mut reversed = World::new();
        for (name, wanted) in world.desired.instances.iter().rev() {
            reversed.desired.instances.insert(name.clone(), wanted.clone());
        }
        for (id, binary) in world.desired.binaries.iter().rev() {
            reversed.desired.binaries.insert(*id, binary.clone());
        }
        let reversed = crate::desired::Desired {
            instances: reversed.desired.instances,
            binaries: reversed.desired.binaries,
            ..world.desired.clone()
        };
        let mut fresh = world.clone();
        fresh.refresh();
        prop_assert_eq!(
            crate::plan::plan(&reversed, &fresh.observed).to_string(),
            world.shown()
        );
    }
}

#[test]
fn the_worlds_are_worth_looking_at() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut verbs: BTreeMap<&str, usize> = BTreeMap::new();
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..2048 {
        let world = world().new_tree(&mut runner).expect("a world").current();
        let plan = world.plan();
        for step in plan.steps() {
            *verbs.entry(step.action.verb()).or_default() += 1;
        }
        for hold in plan.holds() {
            *held.entry(hold.why.code()).or_default() += 1;
        }
        for blocker in plan.blockers() {
            *held.entry(blocker.why.code()).or_default() += 1;
        }
    }
    for verb in [
        "install", "restart", "update", "stop", "start", "remove", "prune",
    ] {
        assert!(
            verbs.get(verb).is_some_and(|count| *count >= 5),
            "{verbs:?}"
        );
    }
    for code in [
        "port_held",
        "waits_for",
        "suspended",
        "failed_inputs",
        "unseen",
        "protected",
        "unresolved",
    ] {
        assert!(held.get(code).is_some_and(|count| *count > 10), "{held:?}");
    }
    assert_ne!(id("b1"), id("b2"));
}
