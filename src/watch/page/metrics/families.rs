//! Which metrics there are, and where in a snapshot each comes from.

use std::collections::BTreeMap;

use super::{Family, Kind, Series, amount, count, moment, series};
use crate::status::{InstanceState, Row};
use crate::watch::snapshot::{PassResult, Snapshot, WatchState};

/// All metrics of a snapshot.
pub(super) fn families(snapshot: &Snapshot) -> Vec<Family> {
    let watch = &snapshot.watch;
    let mut all = vec![
        Family::new(
            Kind::Info,
            "build",
            "The version of llama-orch that watches",
        )
        .with([series([("version", &snapshot.version)], 1)]),
        Family::new(
            Kind::Seconds,
            "start_time",
            "When watch began, in seconds since 1970",
        )
        .maybe(moment(&watch.since)),
    ];
    all.extend(instances(snapshot));
    all.extend(passes(watch));
    all.extend(plan(snapshot));
    all.extend(files(watch));
    all
}

fn instances(snapshot: &Snapshot) -> [Family; 11] {
    let rows = || snapshot.instances.iter().map(|instance| &instance.row);
    let each = |value: fn(&Row) -> Option<f64>| {
        rows().filter_map(move |row| Some(series([("instance", &row.name)], value(row)?)))
    };
    let told = snapshot.instances.iter().filter_map(|instance| {
        let labels = [("instance", instance.row.name.as_str())];
        Some(series(labels, instance.tokens_per_second?))
    });
    let state_set = rows().flat_map(|row| {
        STATES.iter().map(|state| {
            let labels = [("instance", row.name.as_str()), ("state", word(*state))];
            series(labels, u8::from(row.state == *state))
        })
    });
    let described = rows().map(|row| {
        let build = row.build.as_deref().unwrap_or_default();
        let address = row.address.as_deref().unwrap_or_default();
        let labels = [
            ("instance", row.name.as_str()),
            ("build", build),
            ("address", address),
        ];
        series(labels, 1)
    });
    let exit = |row: &Row| moment(&row.last_exit.as_ref()?.at);
    let new = Family::new;
    [
        new(
            Kind::Info,
            "instance",
            "The build an instance runs or was assigned last, and where it listens",
        )
        .with(described),
        new(
            Kind::Gauge,
            "instance_up",
            "Whether the server of an instance runs",
        )
        .with(each(|row| Some(f64::from(u8::from(row.process.is_some()))))),
        new(
            Kind::Gauge,
            "instance_ready",
            "Whether it has passed its gate and answers",
        )
        .with(each(|row| {
            let is_ready = row.state == InstanceState::Running;
            Some(f64::from(u8::from(is_ready)))
        })),
        new(
            Kind::Gauge,
            "instance_matches",
            "Whether it is at what the manifest says",
        )
        .with(each(|row| Some(f64::from(u8::from(row.matches))))),
        new(
            Kind::Gauge,
            "instance_state",
            "What an instance is at: 1 for its state, 0 for all others",
        )
        .with(state_set),
        new(
            Kind::Counter,
            "instance_restarts",
            "Restarts of its present launch; a new launch begins at 0",
        )
        .with(each(|row| Some(f64::from(row.restarts)))),
        new(
            Kind::Seconds,
            "instance_last_exit_timestamp",
            "When its server was last seen to end, in seconds since 1970",
        )
        .with(rows().filter_map(|row| Some(series([("instance", &row.name)], exit(row)?)))),
        new(
            Kind::Bytes,
            "instance_resident_memory",
            "Memory that its server and the server's children have in place",
        )
        .with(each(|row| row.memory_bytes.map(count))),
        new(
            Kind::Bytes,
            "instance_gpu_memory",
            "GPU memory they have, where the driver tells",
        )
        .with(each(|row| row.gpu_memory_bytes.map(count))),
        new(
            Kind::Seconds,
            "instance_load_duration",
            "How long its last load took",
        )
        .with(each(|row| row.load_seconds)),
        new(
            Kind::Gauge,
            "instance_generation_tokens_per_second",
            "Tokens its server generates in a second, on average, where it tells",
        )
        .with(told),
    ]
}

fn passes(watch: &WatchState) -> [Family; 9] {
    let last = watch.last_pass.as_ref();
    let results = last.iter().flat_map(|last| {
        PassResult::ALL
            .map(|result| series([("result", result.word())], u8::from(last.result == result)))
    });
    let new = Family::new;
    [
        new(Kind::Counter, "passes", "Passes since watch began").one(count(watch.passes)),
        new(
            Kind::Counter,
            "pass_failures",
            "Passes since watch began in which a step failed",
        )
        .one(count(watch.failed_passes)),
        new(
            Kind::Seconds,
            "last_pass_timestamp",
            "When the last pass began, in seconds since 1970",
        )
        .maybe(last.and_then(|last| moment(&last.at))),
        new(
            Kind::Seconds,
            "last_pass_duration",
            "How long the last pass took",
        )
        .maybe(last.map(|last| last.seconds)),
        new(
            Kind::Gauge,
            "last_pass_result",
            "What came of the last pass: 1 for its result, 0 for all others",
        )
        .with(results),
        new(
            Kind::Gauge,
            "pass_running_steps",
            "Steps that are being done right now",
        )
        .one(amount(watch.doing.len())),
        new(
            Kind::Seconds,
            "next_pass_timestamp",
            "When the next pass is due if nothing wakes it before, in seconds since 1970",
        )
        .maybe(watch.next_pass_at.as_deref().and_then(moment)),
        new(
            Kind::Gauge,
            "suspended",
            "Whether a person has suspended watch",
        )
        .one(u8::from(watch.suspended.is_some())),
        new(
            Kind::BytesCounter,
            "received",
            "Bytes of archives received since watch began",
        )
        .one(count(watch.received_bytes)),
    ]
}

fn plan(snapshot: &Snapshot) -> [Family; 6] {
    let plan = &snapshot.plan;
    let holds = plan.holds.iter().map(|hold| hold.reason.as_str());
    let blockers = plan.blockers.iter().map(|blocker| blocker.reason.as_str());
    let steps = plan.steps.iter().map(|step| step.action.as_str());
    let sizes = snapshot.binaries.binaries.iter();
    let sizes = sizes.filter_map(|binary| binary.size_bytes).map(count);
    let unused = plan.unused.iter().map(|unused| count(unused.size_bytes));
    let new = Family::new;
    [
        new(
            Kind::Gauge,
            "drift_steps",
            "Steps between what is and what is wanted, by action",
        )
        .with(tally("action", steps)),
        new(
            Kind::Gauge,
            "converged",
            "Whether what is there is what is wanted",
        )
        .one(u8::from(plan.converged)),
        new(Kind::Gauge, "holds", "What is held, by reason").with(tally("reason", holds)),
        new(
            Kind::Gauge,
            "blockers",
            "What is wanted and cannot be done, by reason",
        )
        .with(tally("reason", blockers)),
        new(
            Kind::Bytes,
            "binaries",
            "What installed builds take on disk",
        )
        .one(sizes.sum::<f64>()),
        new(
            Kind::Bytes,
            "unused_binaries",
            "What builds that nothing uses take on disk",
        )
        .one(unused.sum::<f64>()),
    ]
}

fn files(watch: &WatchState) -> [Family; 6] {
    let git = watch.git.as_ref();
    let commits = git.map(|git| {
        let applied = git.applied.as_deref().unwrap_or_default();
        let upstream = git.upstream.as_deref().unwrap_or_default();
        let labels = [
            ("branch", git.branch.as_str()),
            ("commit", git.commit.as_str()),
            ("applied", applied),
            ("upstream", upstream),
        ];
        series(labels, 1)
    });
    let hold = git.and_then(|git| git.hold.as_ref());
    let new = Family::new;
    [
        new(
            Kind::Gauge,
            "manifest_good",
            "Whether watch goes by what lies in the root, and not by what was last good",
        )
        .one(u8::from(watch.manifest.good)),
        new(
            Kind::Info,
            "git_commit",
            "The commit in the work tree, the newest that was applied, and the newest of the branch",
        )
        .with(commits),
        new(
            Kind::Seconds,
            "git_last_fetch_timestamp",
            "When the clone was last fetched, in seconds since 1970",
        )
        .maybe(git.and_then(|git| moment(git.fetched_at.as_deref()?))),
        new(
            Kind::Gauge,
            "git_fetch_failing",
            "Whether the last try to fetch failed",
        )
        .maybe(git.map(|git| u8::from(git.fetch_error.is_some()))),
        new(
            Kind::Gauge,
            "git_hold",
            "Why the clone does not follow its branch",
        )
        .with(hold.map(|hold| series([("reason", hold.reason.as_str())], 1))),
        new(
            Kind::Gauge,
            "git_pinned",
            "Whether a person holds the clone at a commit",
        )
        .maybe(git.map(|git| u8::from(git.pinned.is_some()))),
    ]
}

/// How often each word comes.
fn tally<'a>(label: &'static str, words: impl Iterator<Item = &'a str>) -> Vec<Series> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let all = counts.into_iter();
    all.map(|(word, count)| series([(label, word)], count))
        .collect()
}

/// All states, for a set of series of which one is 1.
pub(in crate::watch::page) const STATES: [InstanceState; 11] = [
    InstanceState::Running,
    InstanceState::Unresponsive,
    InstanceState::Starting,
    InstanceState::BackingOff,
    InstanceState::GaveUp,
    InstanceState::Failed,
    InstanceState::Unsupervised,
    InstanceState::Held,
    InstanceState::Down,
    InstanceState::Stopped,
    InstanceState::Unknown,
];

/// The word machines read, as in `/status.json`.
const fn word(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Running => "running",
        InstanceState::Unresponsive => "unresponsive",
        InstanceState::Starting => "starting",
        InstanceState::BackingOff => "backing_off",
        InstanceState::GaveUp => "gave_up",
        InstanceState::Failed => "failed",
        InstanceState::Unsupervised => "unsupervised",
        InstanceState::Held => "held",
        InstanceState::Down => "down",
        InstanceState::Stopped => "stopped",
        InstanceState::Unknown => "unknown",
    }
}
