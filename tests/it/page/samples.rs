//! Snapshots to look at: one of everything, one where all is well, one that means harm.

use llama_orch::binaries::{Binary, BinaryList, How, Trust, UnfinishedDownload, UnknownUse, Use};
use llama_orch::history::{Entry, StepEntry};
use llama_orch::plan::json::{
    BlockerDocument, ChangeDocument, HoldDocument, PlanDocument, StepDocument, SubjectDocument,
    UnusedDocument, WarningDocument,
};
use llama_orch::status::{ExitWords, HealthWord, InstanceState, Row, SuspendedWords};
use llama_orch::watch::notice::{Notice, NoticeKind};
use llama_orch::watch::snapshot::{
    Doing, FORMAT_VERSION, GitHoldState, GitState, Halted, InstanceSnapshot, ManifestState,
    PassResult, PassState, Pinned, Snapshot, WatchState,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Some time ago, as snapshots tell it.
pub(crate) fn ago(seconds: i64) -> String {
    (Timestamp::now() - SignedDuration::from_secs(seconds)).to_string()
}

/// An instance in a state, with what such a one has.
pub(crate) fn instance(name: &str, state: InstanceState) -> InstanceSnapshot {
    use InstanceState as S;
    let runs = matches!(
        state,
        S::Running | S::Unresponsive | S::Starting | S::Unsupervised
    );
    let health = match state {
        S::Running => Some(HealthWord::Healthy),
        S::Unresponsive => Some(HealthWord::Unresponsive),
        S::Starting | S::Unsupervised => Some(HealthWord::Unknown),
        _ => None,
    };
    let exit = ExitWords {
        how: "exited with code 1: out of device memory".to_owned(),
        at: ago(130),
        seconds_ago: 130,
        asked: false,
    };
    let ended = matches!(state, S::BackingOff | S::GaveUp | S::Failed | S::Stopped);
    InstanceSnapshot {
        row: Row {
            name: name.to_owned(),
            state,
            build: Some("b9553".to_owned()),
            address: Some("127.0.0.1:8071".to_owned()),
            seconds: runs.then_some(11_545),
            retry_in_seconds: (state == S::BackingOff).then_some(48),
            health,
            health_seconds: health
                .filter(|health| *health != HealthWord::Unknown)
                .map(|_| 11_530),
            load_seconds: runs.then_some(11.6),
            memory_bytes: runs.then_some(2 * GIB + 311 * MIB),
            gpu_memory_bytes: runs.then_some(5 * GIB + 17 * MIB),
            restarts: if ended { 5 } else { 0 },
            last_exit: ended.then_some(exit),
            proven: state == S::Running,
            process: runs.then(|| "pid 4121".to_owned()),
            in_manifest: Some(true),
            matches: runs || state == S::Down,
            suspended: None,
            note: None,
        },
        tokens_per_second: (state == S::Running).then_some(48.27),
    }
}

/// A machine where everything runs as written.
pub(crate) fn well(instances: usize) -> Snapshot {
    let names = ["chat", "embed", "rerank", "vision", "code"];
    let name = |at: usize| match instances {
        0..=5 => names[at].to_owned(),
        _ => format!("{}-{at:03}", names[at % names.len()]),
    };
    let used_by = (0..instances).map(|at| Use {
        instance: name(at),
        how: vec![How::Runs, How::Pinned],
    });
    Snapshot {
        format_version: FORMAT_VERSION,
        at: ago(0),
        version: "0.1.0".to_owned(),
        root: "/srv/llm".to_owned(),
        watch: watching(),
        instances: (0..instances)
            .map(|at| instance(&name(at), InstanceState::Running))
            .collect(),
        plan: PlanDocument {
            format_version: 1,
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
            at: ago(0),
            binaries: vec![binary("3aecf5b8", "b9553", used_by.take(5).collect())],
            unknown_uses: Vec::new(),
            unfinished: Vec::new(),
        },
        history: vec![
            pass(
                "apply",
                7_300,
                vec![step("install", "b9553 vulkan-x64", "done", None)],
            ),
            pass("watch", 3_500, vec![step("restart", "chat", "done", None)]),
        ],
    }
}

fn watching() -> WatchState {
    WatchState {
        pid: 812,
        since: ago(2 * 86_400 + 4_000),
        doing: Vec::new(),
        manifest: ManifestState {
            good: true,
            since: ago(3_600),
            message: None,
            last_good_at: Some(ago(3_600)),
        },
        last_pass: Some(PassState {
            at: ago(12),
            seconds: 0.041,
            woken_by: "`orchestrator.yaml` changed".to_owned(),
            result: PassResult::Converged,
            done: 0,
            failed: 0,
            error: None,
        }),
        next_pass_at: Some(ago(-48)),
        passes: 2_904,
        failed_passes: 0,
        received_bytes: 95 * MIB,
        suspended: None,
        git: None,
    }
}

fn binary(id: &str, build: &str, used_by: Vec<Use>) -> Binary {
    Binary {
        id: format!("{id}-63bb-4862-9b7a-8dd27714cb73"),
        short_id: id.to_owned(),
        aliases: Vec::new(),
        build: build.to_owned(),
        variant: "vulkan-x64".to_owned(),
        size_bytes: Some(61 * MIB + 7),
        installed_at: Some(ago(9 * 86_400)),
        trust: Trust::Verified,
        damage: None,
        used_by,
    }
}

fn step(action: &str, subject: &str, outcome: &str, error: Option<&str>) -> StepEntry {
    StepEntry {
        action: action.to_owned(),
        subject: subject.to_owned(),
        reason: "binary b9414 -> b9553".to_owned(),
        outcome: outcome.to_owned(),
        seconds: (outcome == "done").then_some(11.62),
        error: error.map(str::to_owned),
    }
}

fn pass(verb: &str, ago_seconds: i64, steps: Vec<StepEntry>) -> Entry {
    Entry {
        schema: 1,
        at: ago(ago_seconds),
        seconds: 12.4,
        verb: verb.to_owned(),
        reason: None,
        succeeded: steps.iter().all(|step| step.outcome == "done"),
        interrupted: steps.iter().any(|step| step.outcome == "interrupted"),
        steps,
        notices: Vec::new(),
    }
}

fn notice(kind: NoticeKind) -> Notice {
    Notice {
        schema: 1,
        at: ago(60),
        kind,
        subject: "guard".to_owned(),
        code: "failed_inputs".to_owned(),
        text: format!("guard: {} on b9553", kind.word()),
        root: "/srv/llm".to_owned(),
        version: "0.1.0".to_owned(),
        commit: None,
        details: Some("load_model: cannot open `models/guard.gguf`\nexiting".to_owned()),
    }
}

fn of_instance(name: &str) -> SubjectDocument {
    SubjectDocument::Instance {
        name: name.to_owned(),
    }
}

fn of_binary(build: &str) -> SubjectDocument {
    SubjectDocument::Binary {
        build: build.to_owned(),
        variant: "vulkan-x64".to_owned(),
    }
}

/// A machine on which everything there is to show is to be seen.
#[expect(clippy::too_many_lines, reason = "one of everything there is")]
pub(crate) fn everything() -> Snapshot {
    use InstanceState as S;
    let mut snapshot = well(3);
    let states = [
        ("audio", S::Starting, Some("its gate is not decided yet")),
        (
            "batch",
            S::BackingOff,
            Some("it ended and is started again"),
        ),
        (
            "draft",
            S::GaveUp,
            Some("gave up after 5 restarts; `llama-orch retry draft` tries again"),
        ),
        (
            "guard",
            S::Failed,
            Some("b9553 failed its gate 2 h ago; change the pin or `llama-orch retry guard`"),
        ),
        ("judge", S::Unresponsive, None),
        (
            "legacy",
            S::Unsupervised,
            Some("nobody watches it; `llama-orch apply` starts a supervisor"),
        ),
        (
            "ocr",
            S::Stopped,
            Some("blocked: port 8075 is held by `python3` (pid 4121)"),
        ),
        ("spare", S::Down, None),
        (
            "tools",
            S::Held,
            Some("waits for `embed`, which is starting"),
        ),
        (
            "unseen",
            S::Unknown,
            Some("its `state.json` cannot be read"),
        ),
    ];
    for (name, state, note) in states {
        let mut one = instance(name, state);
        one.row.note = note.map(str::to_owned);
        snapshot.instances.push(one);
    }
    snapshot.instances[1].row.suspended = Some(SuspendedWords {
        at: ago(600),
        seconds_ago: 600,
        reason: Some("measuring".to_owned()),
    });
    snapshot.instances[2].row.in_manifest = Some(false);
    snapshot.instances[2].row.matches = false;
    snapshot
        .instances
        .sort_by(|a, b| a.row.name.cmp(&b.row.name));
    snapshot.watch = troubled();
    snapshot.plan = planned();
    let uses = [
        ("chat", vec![How::Runs, How::Pinned]),
        ("guard", vec![How::Rollback]),
    ];
    let uses = uses.map(|(instance, how)| Use {
        instance: instance.to_owned(),
        how,
    });
    let mut damaged = binary("77c1d2e0", "b9414", Vec::new());
    damaged.damage = Some("`llama-server` is not the file that was installed".to_owned());
    let mut own = binary("9be0a1f4", "my-fork", uses[..1].to_vec());
    own.trust = Trust::Unrecorded;
    own.size_bytes = None;
    own.installed_at = None;
    let mut unverified = binary("c0ffee00", "b9101", Vec::new());
    unverified.trust = Trust::Unverified;
    snapshot.binaries.binaries = vec![
        binary("3aecf5b8", "b9553", uses.to_vec()),
        damaged,
        own,
        unverified,
    ];
    snapshot.binaries.unknown_uses = vec![UnknownUse {
        instance: Some("unseen".to_owned()),
        why: "its record cannot be read".to_owned(),
        may_run: true,
    }];
    snapshot.binaries.unfinished = vec![UnfinishedDownload {
        name: Some("llama-b9600-bin-ubuntu-vulkan-x64.tar.gz".to_owned()),
        bytes: 12 * MIB,
        busy: true,
    }];
    let log = "the gate failed: it ended\nload_model: cannot open `models/guard.gguf`\nexiting";
    snapshot.history.extend([
        pass(
            "watch",
            7_200,
            vec![
                step("install", "b9553 vulkan-x64", "done", None),
                step("restart", "guard", "failed", Some(log)),
                step("start", "tools", "skipped", Some("needs restart guard")),
            ],
        ),
        pass("down", 900, vec![step("stop", "spare", "done", None)]),
        pass(
            "apply",
            300,
            vec![step("restart", "chat", "interrupted", None)],
        ),
    ]);
    snapshot.history.push(Entry {
        notices: NoticeKind::ALL.map(notice).into(),
        seconds: 0.0,
        ..pass("watch", 60, Vec::new())
    });
    snapshot.history[3].reason = Some("the model is being replaced".to_owned());
    snapshot
}

fn troubled() -> WatchState {
    let mut watch = watching();
    watch.failed_passes = 3;
    watch.doing = vec![
        Doing {
            action: "install".to_owned(),
            subject: "b9600 vulkan-x64".to_owned(),
            reason: "not installed".to_owned(),
            phase: Some("receiving".to_owned()),
            received_bytes: Some(12 * MIB),
            total_bytes: Some(30 * MIB),
        },
        Doing {
            action: "start".to_owned(),
            subject: "audio".to_owned(),
            reason: "not running".to_owned(),
            phase: Some("loading".to_owned()),
            received_bytes: None,
            total_bytes: None,
        },
    ];
    let message = "orchestrator.yaml:7:5: unknown key `modle`\n  |\n7 |     modle: { path: models/gemma.gguf }\n  |     ^^^^^ did you mean `model`?";
    watch.manifest = ManifestState {
        good: false,
        since: ago(400),
        message: Some(message.to_owned()),
        last_good_at: Some(ago(3_600)),
    };
    watch.last_pass = Some(PassState {
        at: ago(20),
        seconds: 14.2,
        woken_by: "git: 3f2c1e9".to_owned(),
        result: PassResult::Failed,
        done: 1,
        failed: 2,
        error: Some("cannot read `bins/registry.json`: permission denied".to_owned()),
    });
    watch.suspended = Some(Halted {
        at: ago(1_200),
        reason: Some("moving the models to another disk".to_owned()),
    });
    watch.git = Some(GitState {
        remote: "git@example.org:ops/llm.git".to_owned(),
        branch: "main".to_owned(),
        commit: "3f2c1e9d0a4b5c6d7e8f90123456789abcdef012".to_owned(),
        subject: "chat: b9553".to_owned(),
        applied: Some("91ab5c6d7e8f90123456789abcdef0123f2c1e9d".to_owned()),
        upstream: Some("aa7788990123456789abcdef0123f2c1e9d0a4b5".to_owned()),
        fetched_at: Some(ago(31)),
        fetch_error: Some("could not resolve host: example.org".to_owned()),
        hold: Some(GitHoldState {
            reason: "local_edits".to_owned(),
            text: "`orchestrator.yaml` was edited in the clone; commit it or `git restore` it"
                .to_owned(),
            since: ago(250),
        }),
        pinned: Some(Pinned {
            commit: "3f2c1e9d0a4b5c6d7e8f90123456789abcdef012".to_owned(),
            at: ago(5_000),
            reason: Some("until b9600 is measured".to_owned()),
        }),
        verifies: true,
    });
    watch
}

fn planned() -> PlanDocument {
    let step = |id, action: &str, subject, text: &str| StepDocument {
        id,
        action: action.to_owned(),
        subject,
        reason: "inputs_changed".to_owned(),
        text: text.to_owned(),
        changes: Vec::new(),
        after: Vec::new(),
    };
    let mut restart = step(
        1,
        "restart",
        of_instance("chat"),
        "binary b9414 -> b9553; about 12 s down (last load 11.6 s)",
    );
    restart.changes = vec![
        ChangeDocument {
            field: "binary.version".to_owned(),
            from: Some(json!("b9414")),
            to: Some(json!("b9553")),
        },
        ChangeDocument {
            field: "model.context_size".to_owned(),
            from: None,
            to: Some(json!(16_384)),
        },
    ];
    PlanDocument {
        format_version: 1,
        changes_present: true,
        converged: false,
        steps: vec![
            step(
                0,
                "install",
                of_binary("b9600"),
                "29.8 MiB download, not installed",
            ),
            restart,
            step(
                2,
                "update",
                of_instance("rerank"),
                "restart_policy (no restart)",
            ),
            step(3, "start", of_instance("audio"), "not running"),
            step(
                4,
                "remove",
                of_instance("old"),
                "no longer in `orchestrator.yaml`",
            ),
        ],
        holds: vec![
            HoldDocument {
                subject: of_instance("guard"),
                reason: "failed".to_owned(),
                text: "b9553 failed its gate 2 h ago; change the pin or `llama-orch retry guard`"
                    .to_owned(),
                until: Some(ago(-600)),
                failure: true,
            },
            HoldDocument {
                subject: of_binary("b9101"),
                reason: "switched_off".to_owned(),
                text: "`watch.prune` is off".to_owned(),
                until: None,
                failure: false,
            },
        ],
        blockers: vec![BlockerDocument {
            subject: of_instance("ocr"),
            reason: "port_held".to_owned(),
            text: "port 8075 is held by `python3` (pid 4121)".to_owned(),
            hint: Some("end it, or give `ocr` another port".to_owned()),
        }],
        warnings: vec![WarningDocument {
            subject: of_instance("chat"),
            reason: "memory".to_owned(),
            text: "its model is larger than the memory that is free".to_owned(),
        }],
        unused: vec![UnusedDocument {
            binary_id: "c0ffee00-63bb-4862-9b7a-8dd27714cb73".to_owned(),
            subject: of_binary("b9101"),
            size_bytes: 61 * MIB,
        }],
    }
}

/// The same machine a little later: something was done, one is up and one is gone.
pub(crate) fn later() -> Snapshot {
    let mut snapshot = everything();
    snapshot
        .instances
        .retain(|instance| instance.row.name != "batch");
    for one in &mut snapshot.instances {
        if one.row.name == "audio" {
            *one = instance("audio", InstanceState::Running);
        }
    }
    let started = vec![step("start", "audio", "done", None)];
    snapshot.history.push(pass("retry", 1, started));
    snapshot
}

/// What would be markup, if anybody took it for that, and what turns text around.
pub(crate) const MARKUP: &str =
    r#"<img src=x onerror="window.harmed=1"></script><script>window.harmed=2</script>"#;
/// Text that turns the direction of what follows.
pub(crate) const TURNED: &str = "\u{202e}txet denrut\u{202c}\u{2067}";

/// Everything, with all texts as bad as they can be.
pub(crate) fn hostile() -> Snapshot {
    let mut snapshot = everything();
    let bad = || format!("{MARKUP} \"\\\n'`{TURNED}`");
    snapshot.root = format!("/srv/{MARKUP}");
    snapshot.version = bad();
    MARKUP.clone_into(&mut snapshot.instances[0].row.name);
    snapshot.instances[1].row.name = "n".repeat(10_240);
    TURNED.clone_into(&mut snapshot.instances[2].row.name);
    snapshot.instances[3].row.note = Some("w".repeat(10_240));
    for one in &mut snapshot.instances {
        one.row.address = Some(bad());
        one.row.build = Some(bad());
        one.row.note.get_or_insert_with(bad);
    }
    let watch = &mut snapshot.watch;
    watch.manifest.message = Some(bad().repeat(40));
    for doing in &mut watch.doing {
        doing.subject = bad();
        doing.reason = bad();
    }
    if let Some(git) = &mut watch.git {
        git.branch = bad();
        git.subject = bad();
        MARKUP.clone_into(&mut git.commit);
        git.remote = "r".repeat(2_000);
    }
    for hold in &mut snapshot.plan.holds {
        hold.text = bad();
        hold.reason = bad();
    }
    for binary in &mut snapshot.binaries.binaries {
        binary.build = bad();
        binary.variant = bad();
        binary.damage = Some(bad());
    }
    for entry in &mut snapshot.history {
        entry.verb = bad();
        for notice in &mut entry.notices {
            notice.text = bad();
            notice.details = Some(bad());
        }
        for step in &mut entry.steps {
            step.subject = bad();
            step.error = Some(bad());
        }
    }
    snapshot
}
