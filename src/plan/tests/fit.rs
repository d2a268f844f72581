//! What is to be started has to fit its build and this machine.

use std::sync::Arc;

use insta::assert_snapshot;
use jiff::SignedDuration;
use uuid::Uuid;

use super::world::{World, id, name, on};
use crate::abilities::{Abilities, Device, DeviceList, Options, SCHEMA, Stamp};
use crate::instance::Launch;
use crate::instance::record::FileFact;
use crate::observed::MemoryFacts;
use crate::plan::action::Action;
use crate::release::Variant;

/// A build that knows `--host`, `--port` and some more options, and sees these devices.
fn knows(world: World, build: &str, devices: &[&str]) -> World {
    let filler = ('a'..='t').map(|letter| format!("--filler-{letter} N  fills\n"));
    let help = filler.collect::<Vec<_>>().concat();
    let options = Options::parse(&format!(
        "{help}--flash-attn X  hurries\n--hf-repo X  fetches\n"
    ));
    world.observed(|observed| {
        let at = observed.at - SignedDuration::from_secs(10);
        let boot = Uuid::from_u128(7);
        observed.host.boot = Some(boot);
        let device = |name: &&str| Device {
            name: (*name).to_owned(),
            description: String::new(),
            total_mib: Some(8192),
            free_mib: None,
        };
        let abilities = Abilities {
            schema: SCHEMA,
            program: Stamp {
                size: 1,
                modified: at,
            },
            options,
            devices: Some(DeviceList {
                at,
                boot,
                devices: devices.iter().map(device).collect(),
            }),
            other: serde_json::Map::new(),
        };
        observed.abilities.insert(id(build), Arc::new(abilities));
    })
}

fn arguments(launch: Launch, arguments: &[&str]) -> Launch {
    let mut launch = launch.with("args", arguments.to_vec());
    launch
        .arguments
        .extend(arguments.iter().map(|text| (*text).to_owned()));
    launch
}

#[test]
fn an_option_its_build_does_not_know_blocks_what_is_to_change_and_nothing_that_runs() {
    let wanted = |build| arguments(on(build), &["--flash"]);
    let world = knows(World::new().installed("b2"), "b2", &[])
        .runs("chat", wanted("b1"))
        .wants("chat", wanted("b2"));
    assert_snapshot!(world.shown(), @r"
      x blocked  chat                    b2 does not know the option `--flash` of `args` (did you mean `--flash-attn`?)

    Plan: nothing to do; 1 blocked.
    ");
    let runs = knows(World::new(), "b1", &[])
        .runs("chat", wanted("b1"))
        .wants("chat", wanted("b1"));
    assert!(runs.plan().is_converged());
}

#[test]
fn a_build_that_is_not_installed_is_not_judged() {
    let wanted = arguments(on("b2"), &["--flash"]);
    let world = knows(World::new(), "b2", &[]).wants("chat", wanted);
    assert_snapshot!(world.shown(), @r"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      + start    chat                    not running

    Plan: 1 to install, 1 to start.
    ");
}

#[test]
fn a_device_its_build_does_not_see_blocks_while_its_list_is_young() {
    let wanted = on("b1").with("gpu.device", "Vulkan2");
    let world = knows(World::new().installed("b1"), "b1", &["Vulkan0"]).wants("chat", wanted);
    assert_snapshot!(world.shown(), @r"
      x blocked  chat                    b1 sees no device `Vulkan2` here; it sees Vulkan0

    Plan: nothing to do; 1 blocked.
    ");
    let later = world
        .clone()
        .observed(|observed| observed.at += SignedDuration::from_hours(1));
    assert_eq!(later.plan().steps().len(), 1);
    let rebooted = world.observed(|observed| observed.host.boot = Some(Uuid::from_u128(8)));
    assert_eq!(rebooted.plan().steps().len(), 1);
}

#[test]
fn servers_that_swap_ports_are_checked_before_either_stops() {
    let world = World::new()
        .runs("a", on("b1").at(8071))
        .runs("b", on("b1").at(8072))
        .wants("a", on("b1").at(8072))
        .wants("b", on("b1").at(8071));
    let plan = world.plan();
    let followed = plan.steps().iter().filter_map(|step| match &step.action {
        Action::Stop(stop) => Some((stop.instance.clone(), stop.successor.as_ref()?.port)),
        _ => None,
    });
    let followed: Vec<_> = followed.collect();
    assert_eq!(followed, [(name("a"), 8072), (name("b"), 8071)]);
}

const GIB: u64 = 1 << 30;

/// Wants `chat` on a build of this variant, with a model of 22 GiB and 16 GiB of memory free.
fn heavy(variant: &str, launch: Launch) -> World {
    let id = launch.binary;
    World::new()
        .installed("b1")
        .wants("chat", launch)
        .desired(|desired| {
            let binary = desired.binaries.get_mut(&id).expect("it is wanted");
            binary.variant = Variant::new(variant);
        })
        .see("chat", |seen| seen.model_size = 22 * GIB)
        .observed(|observed| {
            observed.host.memory = MemoryFacts {
                available: Some(16 * GIB),
                lockable: Some(8 << 20),
            };
        })
}

fn warnings(world: &World) -> Vec<String> {
    let plan = world.plan();
    let warnings = plan.warnings().iter();
    warnings.map(|warning| warning.why.to_string()).collect()
}

#[test]
fn a_model_larger_than_the_free_memory_is_warned_of_and_started() {
    let world = heavy("ubuntu-x64", on("b1"));
    assert_snapshot!(world.shown(), @r"
      + start    chat                    not running
      ? warning  chat                    its model is 22.0 GiB; 16.0 GiB of memory are free

    Plan: 1 to start.
    ");
    assert!(!world.plan().needs_attention());
    // Whoever is not asked for is not warned of.
    assert!(
        world
            .plan()
            .narrowed(&[name("embed")].into())
            .warnings()
            .is_empty()
    );
    world.clone().assert_settles();
    let unknown = world.observed(|observed| observed.host.memory = MemoryFacts::default());
    assert!(warnings(&unknown).is_empty());
}

#[test]
fn what_a_replaced_server_holds_counts_as_free() {
    let mut old = on("b0").recorded();
    let fact = |size| FileFact {
        size,
        modified: None,
        content: None,
    };
    old.facts.insert("models/old.gguf".into(), fact(10 * GIB));
    let world = heavy("ubuntu-x64", on("b1")).runs("chat", on("b0"));
    let world = world.see("chat", |seen| seen.model_size = 22 * GIB);
    assert_eq!(
        warnings(&world),
        ["its model is 22.0 GiB; 16.0 GiB of memory are free"]
    );
    let world = world.server("chat", |server| server.launch = old);
    assert!(warnings(&world).is_empty());
}

#[test]
fn a_model_larger_than_its_device_is_warned_of() {
    let on_gpu = |launch| {
        knows(
            heavy("ubuntu-vulkan-x64", launch),
            "b1",
            &["Vulkan0", "Vulkan1"],
        )
    };
    assert_eq!(
        warnings(&on_gpu(on("b1").with("gpu.device", "Vulkan1"))),
        ["its model is 22.0 GiB; `Vulkan1` has 8.0 GiB in all"]
    );
    assert_eq!(
        warnings(&on_gpu(on("b1"))),
        ["its model is 22.0 GiB; the devices its build sees have 16.0 GiB in all"]
    );
    assert!(warnings(&on_gpu(on("b1").with("gpu.layers", 20))).is_empty());
    assert!(warnings(&on_gpu(arguments(on("b1"), &["--filler-a", "1", "-cmoe"]))).is_empty());
    assert_eq!(
        warnings(&on_gpu(on("b1").with("gpu.layers", 0))),
        ["its model is 22.0 GiB; 16.0 GiB of memory are free"]
    );
}

#[test]
fn locking_more_than_may_be_locked_is_warned_of() {
    let world = heavy("ubuntu-vulkan-x64", arguments(on("b1"), &["--mlock"]));
    assert_eq!(
        warnings(&world),
        [
            "`--mlock` is to keep 22.0 GiB in memory, and `ulimit -l` allows 8.0 MiB; raise `memlock` in /etc/security/limits.conf"
        ]
    );
}

#[test]
fn a_device_that_was_not_there_a_while_ago_is_warned_of() {
    let wanted = on("b1").with("gpu.device", "Vulkan2");
    let world = knows(World::new().installed("b1"), "b1", &["Vulkan0"]).wants("chat", wanted);
    let later = world.observed(|observed| observed.at += SignedDuration::from_hours(3));
    assert_eq!(
        warnings(&later),
        ["asked 3 h ago: b1 sees no device `Vulkan2` here; it sees Vulkan0"]
    );
}

#[test]
fn a_model_by_name_is_fetched_after_its_build_and_before_anything_stops() {
    let by_name = |version| {
        let mut launch = arguments(on(version), &["--filler-a", "1"]).with("model.hf", "org/tiny");
        launch
            .arguments
            .extend(["--hf-repo".to_owned(), "org/tiny".to_owned()]);
        launch.fetches = true;
        launch
    };
    let world = World::new()
        .runs("chat", on("b1"))
        .wants("chat", by_name("b2"));
    assert_snapshot!(world.shown(), @r"
      + install  b2 vulkan-x64           29.8 MiB download, not installed
      + fetch    chat                    model org/tiny
    -/+ restart  chat                    args, binary b1 -> b2, model.hf org/tiny (was not set); about 12 s down (last load 11.6 s)

    Plan: 1 to install, 1 to fetch, 1 to restart.
    ");
    let plan = world.plan();
    let after = |index: usize| plan.steps()[index].after[0].step.index();
    assert_eq!((after(1), plan.steps()[2].after.len()), (0, 2));
    world.clone().assert_settles();
    let fetched = world.clone().see("chat", |seen| seen.fetched = true);
    assert_eq!(fetched.plan().steps().len(), 2);
    // Where the build cannot go offline afterwards, it is no use.
    let old = knows(world.installed("b2"), "b2", &[]);
    assert_eq!(
        warnings(&old),
        ["org/tiny is fetched while it is down: b2 does not know `--offline`"]
    );
}
