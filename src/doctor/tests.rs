//! What follows from facts, one table for each check.

use insta::assert_snapshot;
use jiff::Timestamp;

use super::facts::*;
use super::*;
use crate::manifest::GpuBackend;
use crate::observed::{ListensAt, Pulse, Seen, Stranger, Unseen};
use crate::release::host::{Accelerators, Finding as Found, Glibc, Host, Libc, Part};
use crate::release::{Arch, Os, Variant};

const GIB: u64 = 1 << 30;

fn at() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().expect("a time")
}

fn unseen<T>(why: &str) -> Seen<T> {
    Seen::Unknown(Unseen(why.to_owned()))
}

/// A machine with these devices and glibc 2.36.
fn host(accelerators: Accelerators) -> Host {
    let missing = |what| Found {
        what,
        value: None,
        from: "not found".to_owned(),
    };
    Host {
        accelerators,
        libc: Libc::Glibc(Glibc::new(2, 36)),
        findings: vec![missing(Part::NvidiaDriver), missing(Part::Vulkan)],
        ..Host::bare(Os::Linux, Arch::X64)
    }
}

fn machine(host: Host) -> Machine {
    Machine {
        host: Some(host),
        limits: Limits {
            files: Seen::Known(Some(1_048_576)),
            processes: Seen::Known(None),
            locked: Seen::Known(Some(8 << 20)),
            core: Seen::Known(Some(0)),
            group: None,
        },
        clock: Clock::default(),
        stray: Vec::new(),
    }
}

fn wanted(name: &str) -> Wanted {
    Wanted {
        name: name.parse().expect("a name"),
        enabled: true,
        host: "127.0.0.1".to_owned(),
        port: 8071,
        has_key: false,
        backend: None,
        required: false,
        build: None,
        variant: None,
        foreign: false,
        installed: true,
        unresolved: false,
        args: Vec::new(),
        model: 0,
        devices: None,
    }
}

fn on(name: &str, variant: &str) -> Wanted {
    Wanted {
        variant: Some(Variant::new(variant)),
        ..wanted(name)
    }
}

fn home(wanted: Vec<Wanted>) -> Home {
    Home {
        root: "/srv/llama".into(),
        wanted: Seen::Known(wanted),
        official: true,
        whole: 3,
        unread: Vec::new(),
        builds: Seen::Known(Vec::new()),
        access: Access::default(),
        free: vec![("the root".into(), Seen::Known(500 * GIB))],
        needed: None,
        pass: Pass {
            held: Seen::Known(false),
            holder: None,
            since: None,
            alive: None,
        },
        servers: Vec::new(),
        strangers: Seen::Known(Vec::new()),
    }
}

/// The lines of one check, each with its code.
fn lines(checks: &[Examined], check: Check) -> String {
    let mut lines = Vec::new();
    for examined in checks.iter().filter(|one| one.check == check) {
        if let (Some(told), true) = (&examined.told, examined.findings.is_empty()) {
            lines.push(format!("ok {told}"));
        }
        for finding in &examined.findings {
            let code = serde_json::to_value(finding.code).expect("a word");
            let code = code.as_str().expect("a word");
            let severity = format!("{:?}", finding.severity).to_lowercase();
            lines.push(format!("{code} {severity}: {finding}"));
            assert!(!finding.fix.is_empty(), "{finding} has no fix");
        }
        let skipped = examined.not_checked.iter().map(|why| format!("? {why}"));
        lines.extend(skipped);
    }
    lines.join("\n") + "\n"
}

fn of_machine(machine: &Machine, wanted: Vec<Wanted>, builds: Vec<Build>, check: Check) -> String {
    let (wanted, builds) = (Seen::Known(wanted), Seen::Known(builds));
    let checks = super::machine::examine(machine, Some(&wanted), Some(&builds), at());
    lines(&checks, check)
}

fn of_home(home: &Home, check: Check) -> String {
    let mut checks = super::files::examine(home);
    checks.extend(super::servers::examine(home, at()));
    checks.push(super::advisories::examine(home));
    lines(&checks, check)
}

#[test]
fn a_gpu_is_judged_by_what_instances_ask_for_and_by_what_servers_say() {
    let old_driver = Accelerators {
        cuda: Some(12),
        driver: Some(535),
        ..Accelerators::default()
    };
    let machine = machine(host(old_driver));
    let required = |one| Wanted {
        required: true,
        ..one
    };
    let says = |one, devices: &[&str]| Wanted {
        devices: Some(devices.iter().map(|&name| name.to_owned()).collect()),
        ..one
    };
    let asks = |name, backend| Wanted {
        backend: Some(backend),
        ..wanted(name)
    };
    let instances = vec![
        on("old", "ubuntu-cuda-12.8-x64"),
        on("new", "ubuntu-cuda-13.4-x64"),
        required(on("must", "ubuntu-cuda-13.4-x64")),
        on("amd", "ubuntu-rocm-10.0-x64"),
        says(on("proven", "ubuntu-rocm-10.0-x64"), &["ROCm0", "CPU"]),
        says(on("slow", "ubuntu-cuda-12.8-x64"), &["CPU"]),
        on("plain", "ubuntu-x64"),
        asks("mac", GpuBackend::Metal),
        asks("intel", GpuBackend::Sycl),
        asks("pixels", GpuBackend::Vulkan),
        required(on("window", "ubuntu-vulkan-x64")),
        Wanted {
            enabled: false,
            ..on("off", "ubuntu-cuda-13.4-x64")
        },
    ];
    assert_snapshot!(of_machine(&machine, instances.clone(), Vec::new(), Check::Gpu), @r"
    gpu_unusable warning: new: needs NVIDIA driver 580, this machine has 535; it would compute on the processor
    required_gpu_unusable broken: must: needs NVIDIA driver 580, this machine has 535
    gpu_unusable warning: amd: needs an AMD GPU and the ROCm runtime; it would compute on the processor
    runs_without_gpu warning: slow: asks for CUDA, and its server computes on CPU
    gpu_unusable warning: mac: needs a Mac with a processor of Apple's; it would compute on the processor
    ? intel: SYCL is not looked for
    ");
    assert_snapshot!(of_machine(&machine, instances, Vec::new(), Check::Vulkan), @r"
    vulkan_unusable warning: pixels: needs a GPU, a Vulkan loader and a driver for it (not found); it would compute on the processor
    required_vulkan_unusable broken: window: needs a GPU, a Vulkan loader and a driver for it (not found)
    ");
    let plain = vec![on("plain", "ubuntu-x64")];
    assert_snapshot!(of_machine(&machine, plain, Vec::new(), Check::Gpu), @"ok no NVIDIA, ROCm or Metal GPU; no instance asks for one");
}

#[test]
fn the_c_library_is_judged_by_what_files_need_and_else_by_what_upstream_builds_on() {
    let build = |name: &str, used: bool| Build {
        name: name.to_owned(),
        id: "1a2b3c4d".to_owned(),
        used_by: used.then(|| "chat".to_owned()).into_iter().collect(),
        ..Build::default()
    };
    let too_new = Some(("libllama.so.0".to_owned(), Glibc::new(2, 38)));
    let builds = vec![
        build("b12001 cpu-x64", true),
        Build {
            too_new: too_new.clone(),
            ..build("b12002 cuda-12.8-x64", true)
        },
        Build {
            too_new,
            ..build("b12003 cpu-x64", false)
        },
        Build {
            backend_too_new: Some("`libggml-cuda.so` cannot be used here".to_owned()),
            ..build("b12004 cuda-12.8-x64", true)
        },
    ];
    let pinned = Wanted {
        installed: false,
        ..on("later", "ubuntu-openvino-2026.4.1-x64")
    };
    let mut machine = machine(host(Accelerators::default()));
    assert_snapshot!(of_machine(&machine, vec![pinned.clone()], builds, Check::Glibc), @r"
    glibc_too_old broken: b12002 cuda-12.8-x64: `libllama.so.0` needs glibc 2.38, and this machine has glibc 2.36
    glibc_may_be_too_old warning: b12003 cpu-x64: `libllama.so.0` needs glibc 2.38, and this machine has glibc 2.36
    glibc_too_old_for_backend warning: b12004 cuda-12.8-x64: `libggml-cuda.so` cannot be used here
    glibc_may_be_too_old warning: later: upstream's `ubuntu-openvino-2026.4.1-x64` build needs glibc 2.38, this machine has 2.36
    ");
    assert_snapshot!(of_machine(&machine, Vec::new(), vec![build("b1", true)], Check::Glibc), @"ok glibc 2.36, which the installed build can do with");
    let libc = |libc| {
        Some(Host {
            libc,
            ..host(Accelerators::default())
        })
    };
    machine.host = libc(Libc::Musl);
    assert_snapshot!(of_machine(&machine, vec![pinned], Vec::new(), Check::Glibc), @r"
    glibc_too_old broken: later: upstream's `ubuntu-openvino-2026.4.1-x64` build needs glibc, this machine has musl
    ");
    machine.host = libc(Libc::Unknown);
    assert_snapshot!(of_machine(&machine, Vec::new(), Vec::new(), Check::Glibc), @r"
    ? there is no libc.so.6 in the usual places, so its version is not known
    ");
}

#[test]
fn a_cuda_build_needs_its_runtime_and_any_build_its_libraries() {
    let lacking = |library: &str, of_cuda| Lacking {
        file: "libggml-cuda.so".to_owned(),
        library: library.to_owned(),
        of_cuda,
    };
    let build = |name: &str, missing| Build {
        name: name.to_owned(),
        id: "1a2b3c4d".to_owned(),
        used_by: vec!["chat".to_owned()],
        missing,
        ..Build::default()
    };
    let builds = vec![
        build("b12001 cuda-12.8-x64", Vec::new()),
        build(
            "b12002 cuda-12.8-x64",
            vec![
                lacking("libcudart.so.12", true),
                lacking("libcublas.so.12", true),
            ],
        ),
        build("b12003 cpu-x64", vec![lacking("libllama.so.0", false)]),
        Build {
            damage: Some("`llama-server` is missing".to_owned()),
            used_by: Vec::new(),
            ..build("b12004 cpu-x64", Vec::new())
        },
    ];
    let machine = machine(host(Accelerators::default()));
    assert_snapshot!(of_machine(&machine, Vec::new(), builds.clone(), Check::Cudart), @r"
    cudart_missing broken: b12002 cuda-12.8-x64: `libggml-cuda.so` needs `libcudart.so.12` (and 1 more), which is not beside it
    ");
    let home = Home {
        builds: Seen::Known(builds),
        ..home(Vec::new())
    };
    assert_snapshot!(of_home(&home, Check::Builds), @r"
    library_missing broken: b12003 cpu-x64: `libggml-cuda.so` needs `libllama.so.0`, which is not beside it
    unused_build_damaged warning: b12004 cpu-x64: `llama-server` is missing
    ");
}

#[test]
fn limits_are_told_where_a_server_would_meet_them() {
    let mut machine = machine(host(Accelerators::default()));
    let locks = |name: &str, args: &[&str]| Wanted {
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        model: 3 * GIB,
        ..wanted(name)
    };
    let instances = vec![
        locks("older", &["--mlock"]),
        locks("newer", &["--load-mode", "mmap+mlock"]),
        locks("short", &["-lm=mlock"]),
        locks("free", &["--load-mode", "mmap"]),
    ];
    assert_snapshot!(of_machine(&machine, instances.clone(), Vec::new(), Check::Limits), @r"
    lock_limit warning: older: is to lock 3.0 GiB in memory, and 8.0 MiB may be locked
    lock_limit warning: newer: is to lock 3.0 GiB in memory, and 8.0 MiB may be locked
    lock_limit warning: short: is to lock 3.0 GiB in memory, and 8.0 MiB may be locked
    ");
    machine.limits = Limits {
        files: Seen::Known(Some(256)),
        processes: Seen::Known(Some(100)),
        locked: Seen::Known(None),
        core: Seen::Known(None),
        group: Some(2 * GIB),
    };
    assert_snapshot!(of_machine(&machine, vec![locks("chat", &["--mlock"])], Vec::new(), Check::Limits), @r"
    few_open_files warning: this shell allows 256 open files, and a server may need 1024
    few_processes warning: this shell allows 100 processes, and a server may need 512
    memory_limit warning: chat: its model is 3.0 GiB, and the control group may use 2.0 GiB
    core_dumps note: a server that crashes writes its memory to disk, its model with it
    ");
    machine.limits.files = unseen("not permitted");
    machine.limits.core = unseen("not permitted");
    assert_snapshot!(of_machine(&machine, Vec::new(), Vec::new(), Check::Limits), @r"
    few_processes warning: this shell allows 100 processes, and a server may need 512
    ? open files: not permitted
    ");
}

#[test]
fn a_clock_is_judged_by_the_source_by_files_and_by_this_program() {
    let told = |clock: Clock, now: &str| {
        let machine = Machine {
            clock,
            ..machine(host(Accelerators::default()))
        };
        let now = now.parse().expect("a time");
        lines(
            &super::machine::examine(&machine, None, None, now),
            Check::Clock,
        )
    };
    let remote = |there: &str| Clock {
        remote: Some((there.parse().expect("a time"), at())),
        youngest: None,
    };
    let now = "2026-11-24T12:00:00Z";
    assert_snapshot!(told(Clock::default(), now), @"ok 2026-11-24 12:00:00 UTC, with nothing to compare it with");
    assert_snapshot!(told(remote("2026-11-24T11:59:00Z"), now), @"ok agrees with that of the release source");
    assert_snapshot!(told(remote("2026-11-24T11:40:00Z"), now), @r"
    clock_off warning: is 20 min ahead of that of the release source
    ");
    assert_snapshot!(told(remote("2026-11-27T12:00:00Z"), now), @r"
    clock_far_off broken: is 3 days behind that of the release source
    ");
    assert_snapshot!(told(Clock::default(), "1970-01-01T00:00:30Z"), @r"
    clock_behind broken: stands at 1970-01-01T00:00:30Z, before this program was made (2026-11-23)
    ");
    let future = Clock {
        remote: None,
        youngest: Some((
            "orchestrator.yaml".to_owned(),
            "2026-11-24T15:00:00Z".parse().expect("a time"),
        )),
    };
    assert_snapshot!(told(future, now), @r"
    file_from_the_future warning: orchestrator.yaml: was written 3 h from now
    ");
}

#[test]
fn what_lives_is_judged_by_locks_states_and_protocols() {
    let lives = |name: &str| Life {
        name: name.parse().expect("a name"),
        server: Seen::Known(true),
        supervisor: Seen::Known(true),
        has_state: Some(true),
        holders: Vec::new(),
        server_pulse: Pulse::Alive,
        supervisor_pulse: Pulse::Alive,
        protocol: Some(crate::instance::state::PROTOCOL),
        other_program: Some(false),
    };
    let no = Seen::Known(false);
    let servers = vec![
        lives("well"),
        Life {
            supervisor: no.clone(),
            ..lives("alone")
        },
        Life {
            has_state: Some(false),
            holders: vec![4121],
            supervisor: no.clone(),
            ..lives("nobody")
        },
        Life {
            supervisor_pulse: Pulse::Suspended,
            ..lives("frozen")
        },
        Life {
            server_pulse: Pulse::Gone,
            ..lives("liar")
        },
        Life {
            protocol: Some(1),
            ..lives("older")
        },
        Life {
            protocol: Some(9),
            ..lives("newer")
        },
        Life {
            other_program: Some(true),
            ..lives("other")
        },
        Life {
            server: unseen("permission denied"),
            has_state: None,
            ..lives("hidden")
        },
        Life {
            server: no.clone(),
            supervisor: no,
            server_pulse: Pulse::Gone,
            ..lives("down")
        },
    ];
    let home = Home {
        servers,
        ..home(Vec::new())
    };
    assert_snapshot!(of_home(&home, Check::Servers), @r"
    unsupervised_server warning: alone: its server runs and nobody watches it: it is not started again when it ends
    unknown_server broken: nobody: pid 4121 holds its `server.lock`, and no `state.json` says who that is
    suspended warning: frozen: its supervisor is stopped by a signal (SIGSTOP)
    state_contradicted warning: liar: the server its `state.json` names is not there, and its lock is held
    older_supervisor note: older: its supervisor speaks protocol 1, and does not know every setting
    supervisor_not_understood warning: newer: its supervisor speaks protocol 9, and this program 1 and 2
    other_supervisor note: other: its supervisor runs another version of this program, which is left alone
    ? hidden, its server: permission denied
    ");
}

#[test]
fn a_held_pass_lock_is_told_with_its_holder_and_age() {
    let held = |since: &str, alive| Home {
        pass: Pass {
            held: Seen::Known(true),
            holder: Some("`llama-orch apply` (pid 4121) since 09:00".to_owned()),
            since: Some(since.parse().expect("a time")),
            alive: Some(alive),
        },
        ..home(Vec::new())
    };
    assert_snapshot!(of_home(&held("2026-11-24T11:59:00Z", true), Check::Locks), @r"
    pass_at_work note: pass.lock: is held by `llama-orch apply` (pid 4121) since 09:00
    ");
    assert_snapshot!(of_home(&held("2026-11-24T09:00:00Z", true), Check::Locks), @r"
    pass_stuck warning: pass.lock: has been held for 3 h by `llama-orch apply` (pid 4121) since 09:00
    ");
    assert_snapshot!(of_home(&held("2026-11-24T11:59:00Z", false), Check::Locks), @r"
    pass_stuck warning: pass.lock: is held, and `llama-orch apply` (pid 4121) since 09:00 is gone: a process it started has it still
    ");
}

#[test]
fn an_address_is_open_where_others_can_reach_it_and_no_key_is_asked() {
    let listens = |name: &str, host: &str| Wanted {
        host: host.to_owned(),
        ..wanted(name)
    };
    let mut instances = vec![
        listens("own", "127.0.0.1"),
        listens("six", "::1"),
        listens("mapped", "::ffff:127.0.0.1"),
        listens("local", "localhost"),
        listens("socket", "run/chat.sock"),
        listens("every", "0.0.0.0"),
        listens("all-six", "[::]"),
        listens("lan", "192.168.1.5"),
        listens("named", "box.lan"),
        listens("both", "127.0.0.1,10.0.0.2"),
    ];
    instances.push(Wanted {
        has_key: true,
        ..listens("keyed", "0.0.0.0")
    });
    instances.push(Wanted {
        enabled: false,
        ..listens("off", "0.0.0.0")
    });
    assert_snapshot!(of_home(&home(instances), Check::Exposure), @r"
    open_without_key warning: every: listens on 0.0.0.0 and asks nobody for a key
    open_without_key warning: all-six: listens on [::] and asks nobody for a key
    open_without_key warning: lan: listens on 192.168.1.5 and asks nobody for a key
    open_without_key warning: named: listens on box.lan and asks nobody for a key
    open_without_key warning: both: listens on 127.0.0.1,10.0.0.2 and asks nobody for a key
    ");
}

#[test]
fn a_stranger_is_told_where_it_keeps_an_instance_out() {
    let stranger = |address: &str| Stranger {
        at: ListensAt::Port(address.parse().expect("an address"), 8071),
        who: "`python3` (pid 4121)".to_owned(),
    };
    let told = |address: &str| {
        let home = Home {
            strangers: Seen::Known(vec![stranger(address)]),
            ..home(vec![wanted("chat")])
        };
        of_home(&home, Check::Ports)
    };
    assert_snapshot!(told("0.0.0.0"), @r"
    port_held broken: chat: port 8071 is held by `python3` (pid 4121)
    ");
    assert_snapshot!(told("192.168.1.5"), @"ok that of the instance is its own or free");
    let home = Home {
        strangers: unseen("cannot list listeners"),
        ..home(vec![wanted("chat")])
    };
    assert_snapshot!(of_home(&home, Check::Ports), @r"
    ? cannot list listeners
    ");
}

#[test]
fn room_is_judged_by_what_is_to_be_installed() {
    let told = |free: u64, needed| {
        let home = Home {
            free: vec![("bins".into(), Seen::Known(free))],
            needed,
            ..home(Vec::new())
        };
        of_home(&home, Check::Disk)
    };
    assert_snapshot!(told(500 * GIB, Some(2 * GIB)), @"ok 500.0 GiB free in bins, 2.0 GiB to be used");
    assert_snapshot!(told(GIB, Some(2 * GIB)), @r"
    no_space_to_install broken: bins: 1.0 GiB are free, and what is to be installed takes 2.0 GiB
    ");
    assert_snapshot!(told(GIB / 2, None), @"disk_low warning: bins: 512.0 MiB are free");
    assert_snapshot!(told(1 << 20, None), @r"
    disk_full broken: bins: 1.0 MiB are free: records and logs cannot be written
    ");
}

#[test]
fn a_pin_is_judged_by_its_build_its_variant_and_its_options() {
    let pinned = |name: &str, build: &str, variant: &str, args: &[&str]| Wanted {
        build: Some(build.parse().expect("a name")),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        ..on(name, variant)
    };
    let told = |instances: Vec<Wanted>| of_home(&home(instances), Check::Pins);
    assert_snapshot!(told(vec![
        pinned("chat", "b9165", "ubuntu-x64", &[]),
        pinned("win", "b9165", "win-cpu-x64", &[]),
        pinned("sleeper", "b9000", "ubuntu-x64", &["--sleep-idle-seconds=60"]),
        pinned("awake", "b9000", "ubuntu-x64", &[]),
        pinned("new", "b12110", "ubuntu-x64", &[]),
        pinned("own", "dflash-1", "ubuntu-x64", &[]),
    ]), @r"
    vulnerable_build warning: b9000: `sleeper` is pinned to it; CVE-2026-43631: requests while a model goes to sleep use memory that was freed
    known_bad_build warning: b9165: `chat` is pinned to it; every link in its archives is broken, so that the server does not load; b9163 is whole
    ");
    assert_snapshot!(told(vec![pinned("old", "b8000", "ubuntu-x64", &[])]), @r"
    vulnerable_build warning: b8000: `old` is pinned to it; CVE-2026-27940: a model's header can overflow a buffer; CVE-2026-21869: a request with a negative `n_discard` writes outside of memory
    ");
    let here = pinned("here", "b9352", "ubuntu-x64", &[]);
    let there = Wanted {
        installed: false,
        ..pinned("there", "b9352", "ubuntu-x64", &[])
    };
    assert_snapshot!(told(vec![here, there]), @r"
    incomplete_release warning: b9352: `there` is pinned to it; it was published with 8 of its 22 files and more
    ");
    let fork = Home {
        official: false,
        ..home(vec![pinned("chat", "b9165", "ubuntu-x64", &[])])
    };
    assert_snapshot!(of_home(&fork, Check::Pins), @"ok builds of another repository are not known here");
}

#[test]
fn what_cannot_be_looked_at_is_neither_fine_nor_broken() {
    let facts = Facts {
        at: at(),
        machine: machine(host(Accelerators::default())),
        source: Source {
            kind: SourceKind::Directory {
                path: "releases".into(),
                archives: Ok(2),
            },
            mirror: None,
        },
        home: Some(Home {
            wanted: unseen("`orchestrator.yaml` has 1 mistake"),
            builds: unseen("`registry.json` is damaged"),
            strangers: unseen("cannot list listeners"),
            ..home(Vec::new())
        }),
    };
    let diagnosis = Diagnosis::of(&facts);
    assert!(diagnosis.healthy);
    let silent = [
        Check::Builds,
        Check::Pins,
        Check::Cudart,
        Check::Ports,
        Check::Exposure,
    ];
    for examined in &diagnosis.checks {
        if silent.contains(&examined.check) {
            assert_eq!(examined.told, None, "{examined:?}");
            assert!(!examined.not_checked.is_empty(), "{examined:?}");
        }
    }
    assert_snapshot!(diagnosis.summary(), @"Doctor: nothing is wrong; 7 not checked.");
}

#[test]
fn a_lock_that_covers_everything_needs_the_mirror_alone() {
    let failed = || {
        Reach::Failed(Failure {
            kind: FailureKind::Unreachable,
            why: "is out of reach".to_owned(),
            fix: None,
        })
    };
    let source = Source {
        kind: SourceKind::Api {
            url: "https://api.github.com/".to_owned(),
            token: None,
            variables: Vec::new(),
            reach: failed(),
        },
        mirror: Some(("https://mirror.example/".to_owned(), failed())),
    };
    let one = Wanted {
        installed: false,
        ..wanted("chat")
    };
    let checks = super::source::examine(&source, Some(&Seen::Known(vec![one])), at());
    assert_snapshot!(lines(&checks, Check::Source), @r"
    source_unreachable warning: `https://api.github.com/`: is out of reach; nothing has to be asked of it now
    needed_source_unreachable broken: `https://mirror.example/`: is out of reach; `chat` cannot be had without
    ");
}

#[test]
fn of_many_files_a_few_are_named_and_every_secret() {
    let paths = |count: usize| (0..count).map(|n| format!("bins/{n}").into()).collect();
    let home = Home {
        access: Access {
            by_all: paths(5),
            secrets: paths(4),
            ..Access::default()
        },
        ..home(Vec::new())
    };
    let told = of_home(&home, Check::Permissions);
    assert_eq!(told.matches("writable_by_all").count(), 4, "{told}");
    assert_eq!(told.matches("secret_readable").count(), 4, "{told}");
    assert!(told.contains("the same is so of 2 more"), "{told}");
}

#[test]
fn a_source_out_of_reach_is_broken_where_something_needs_it() {
    let source = |kind| Source {
        kind: SourceKind::Api {
            url: "https://api.github.com/".to_owned(),
            token: Some("GITHUB_TOKEN".to_owned()),
            variables: vec!["GITHUB_TOKEN".to_owned(), "GH_TOKEN".to_owned()],
            reach: Reach::Failed(Failure {
                kind,
                why: "it says so".to_owned(),
                fix: None,
            }),
        },
        mirror: None,
    };
    let told = |kind, installed| {
        let one = Wanted {
            installed,
            ..wanted("chat")
        };
        let wanted = Seen::Known(vec![one]);
        let checks = super::source::examine(&source(kind), Some(&wanted), at());
        lines(&checks, Check::Token) + &lines(&checks, Check::Source)
    };
    assert_snapshot!(told(FailureKind::Unreachable, true), @r"
    ok there is one in `GITHUB_TOKEN`
    source_unreachable warning: `https://api.github.com/`: it says so; nothing has to be asked of it now
    ");
    assert_snapshot!(told(FailureKind::Unreachable, false), @r"
    ok there is one in `GITHUB_TOKEN`
    needed_source_unreachable broken: `https://api.github.com/`: it says so; `chat` cannot be had without
    ");
    assert_snapshot!(told(FailureKind::Limited, true), @r"
    ok there is one in `GITHUB_TOKEN`
    quota_used_up warning: `https://api.github.com/`: it says so
    ");
    assert_snapshot!(told(FailureKind::Token, true), @r"
    token_refused broken: `GITHUB_TOKEN`: it says so
    ? `https://api.github.com/`: it wants another token
    ");
    assert_snapshot!(told(FailureKind::Wrong, true), @r"
    ok there is one in `GITHUB_TOKEN`
    source_wrong broken: `https://api.github.com/`: it says so
    ");
}
