//! How long the pure planner takes: with nothing to do, and with everything to start.
//!
//! Prints figures and judges none: a slow machine fails nothing here. What the rest of a pass costs
//! (reading, observing, printing) is left to the benchmarks of the whole program.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the clock and prints what it measured"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use llama_orch::desired::{
    ArchiveOrigin, Desired, Wanted, WantedArchive, WantedBinary, WantedInstance,
};
use llama_orch::instance::record::RecordedLaunch;
use llama_orch::instance::state::{Health, PROTOCOL};
use llama_orch::instance::{BinaryId, InstanceName, Launch, LaunchInputs, Supervision};
use llama_orch::manifest::OnFailure;
use llama_orch::observed::{
    Comparison, Memory, Observed, ObservedBinary, ObservedInstance, ObservedServer, Revision, Seen,
    Supervisor, Verdict,
};
use llama_orch::plan::plan;
use llama_orch::release::{Digest, Tag, Variant};
use uuid::Uuid;

const SIZES: [u16; 4] = [1, 100, 1_000, 10_000];
/// Instances that share a build, and of which all but the first wait for the first.
const GROUP: u16 = 10;
const BUILDS: u16 = 50;
const FIRST_PORT: u16 = 20_000;

fn main() {
    println!(
        "{:<18} {:>9} {:>12} {:>14}",
        "", "instances", "ms", "ns/instance"
    );
    for size in SIZES {
        let (desired, running) = world(size);
        let converged = plan(&desired, &running);
        assert!(converged.is_converged(), "something to do:\n{converged}");
        report("all converged", size, &desired, &running);
    }
    for size in SIZES {
        let (desired, running) = world(size);
        let mut idle = running;
        idle.instances.clear();
        let steps = plan(&desired, &idle).steps().len();
        assert_eq!(steps, usize::from(size), "each instance is one start");
        report("all to be started", size, &desired, &idle);
    }
}

fn report(what: &str, size: u16, desired: &Desired, observed: &Observed) {
    let time = median(|| plan(desired, observed));
    println!(
        "{what:<18} {size:>9} {:>12.3} {:>14}",
        time.as_secs_f64() * 1e3,
        time.as_nanos() / u128::from(size)
    );
}

/// The median of as many runs as fit into a second, and of no fewer than 11. What a run leaves
/// behind is freed outside the time that is taken.
fn median<T>(run: impl Fn() -> T) -> Duration {
    const FEWEST: usize = 11;
    const MOST: usize = 1_001;
    let began = Instant::now();
    let mut times = Vec::new();
    while times.len() < FEWEST || (times.len() < MOST && began.elapsed() < Duration::from_secs(1)) {
        let start = Instant::now();
        let result = black_box(run());
        times.push(start.elapsed());
        drop(result);
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// What is wanted, and a machine on which all of it runs.
fn world(size: u16) -> (Desired, Observed) {
    let at = Timestamp::UNIX_EPOCH;
    let mut desired = Desired::nothing();
    let mut observed = Observed::nothing(at);
    let mut installed = BTreeMap::new();
    for index in 0..size {
        let number = index / GROUP % BUILDS;
        let binary = binary(number);
        let launch = launch(index, &binary);
        let first = index - index % GROUP;
        let depends_on = (index != first).then(|| name(first));
        installed
            .entry(binary.id)
            .or_insert_with(|| observed_binary(&binary));
        desired.binaries.insert(binary.id, binary);
        observed
            .instances
            .insert(name(index), running(launch.clone(), at));
        let wanted = Wanted {
            launch: Arc::new(launch),
            supervision: Supervision::default(),
            enabled: true,
            depends_on: BTreeSet::from_iter(depends_on),
            on_failure: OnFailure::Rollback,
        };
        let wanted = WantedInstance::Resolved(Box::new(wanted));
        desired.instances.insert(name(index), wanted);
    }
    observed.binaries = Seen::Known(installed);
    (desired, observed)
}

fn name(index: u16) -> InstanceName {
    format!("instance-{index:05}")
        .parse()
        .expect("the name of an instance")
}

fn binary(number: u16) -> WantedBinary {
    let tag = Tag::new(9_000 + u32::from(number));
    let name = format!("llama-{tag}-bin-ubuntu-vulkan-x64.tar.gz");
    WantedBinary {
        id: BinaryId::new(Uuid::from_u128(u128::from(number) + 1)),
        build: tag.into(),
        variant: Variant::new("ubuntu-vulkan-x64"),
        archives: vec![WantedArchive {
            digest: Digest::of(&name),
            name,
            size: Some(31_247_565),
            origin: ArchiveOrigin::Release(tag),
        }],
    }
}

fn launch(index: u16, binary: &WantedBinary) -> Launch {
    let port = FIRST_PORT + index;
    let mut inputs = LaunchInputs::default();
    inputs.set("binary", binary.build.as_str());
    inputs.set("model.path", "models/gemma.gguf");
    inputs.set("model.context_size", 16_384);
    inputs.set("server.host", "127.0.0.1");
    inputs.set("server.port", port);
    Launch {
        binary: binary.id,
        build: binary.build.clone(),
        arguments: ["--model", "models/gemma.gguf", "--ctx-size", "16384"]
            .map(str::to_owned)
            .to_vec(),
        environment: BTreeMap::new(),
        host: "127.0.0.1".to_owned(),
        port,
        api_key: None,
        files: BTreeMap::new(),
        fetches: false,
        router: false,
        foreign: false,
        gpu: None,
        inputs,
    }
}

fn observed_binary(binary: &WantedBinary) -> ObservedBinary {
    ObservedBinary {
        build: binary.build.clone(),
        variant: binary.variant.clone(),
        size: 64_000_000,
        installed: Some(Timestamp::UNIX_EPOCH),
        digest: binary.digest(),
        damage: None,
        aliases: Vec::new(),
        prunable: true,
    }
}

/// An instance whose server has passed its gate and is proven.
fn running(launch: Launch, at: Timestamp) -> ObservedInstance {
    let binary = launch.binary;
    let launch = RecordedLaunch {
        program: format!("bins/{binary}/llama-server").into(),
        launch,
        facts: BTreeMap::new(),
    };
    ObservedInstance {
        revision: Revision::new(*b"it runs"),
        supervisor: Seen::Known(Some(Supervisor {
            settings: Supervision::default(),
            protocol: PROTOCOL,
            backing_off: None,
            restarts: 0,
            builds: BTreeSet::from([binary]),
        })),
        memory: Seen::Known(Memory {
            traces: true,
            proven: vec![launch.clone()],
            last_load: Some(11.6),
            ..Memory::default()
        }),
        server: Seen::Known(Some(ObservedServer {
            launch,
            verdict: Verdict::Passed,
            health: Health::Healthy,
            proven: true,
            since: at,
            load: Some(11.6),
            process: "pid 4121".to_owned(),
            restarts: 0,
        })),
        comparison: Comparison::Match,
        failed: None,
        missing: Vec::new(),
        model_size: 0,
        fetched: false,
    }
}
