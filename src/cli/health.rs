//! `health`: asks the servers themselves, now, once or until they are well or for as long as
//! somebody watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Args;
use llama_orch::backend::local::Local;
use llama_orch::health::{Checkup, Health, Word};
use llama_orch::instance::InstanceName;
use llama_orch::instance::folder;
use llama_orch::manifest::duration_of;
use llama_orch::reconcile::{self, Loaded};

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, Narrowing, text};

/// Ask servers how they are, right now
///
/// Each is asked as its `healthcheck` says, and nothing that would wake a sleeping model. Without names
/// every instance is asked, and those that are down on purpose do not count.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    only: Narrowing,
    /// Wait no longer than this for an answer, such as `2s` (the default is that of each `healthcheck`)
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Ask until all are well, but not longer than this, such as `5m`
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "watch")]
    wait: Option<Duration>,
    /// Go on asking: show the latest answers at a terminal, else a line for each change
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print it as JSON (`config schema health` prints its schema)
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  llama-orch health
  llama-orch health chat --wait 5m && echo ready
  until llama-orch health chat > /dev/null; do sleep 1; done

Exit codes:
  0    all of them are healthy, or sleep and would wake
  1    one is not: it loads, does not answer, or is down
  130  interrupted, as `--watch` always ends";

/// How long until servers are asked again while waiting, and while watching.
const WAIT_BETWEEN: Duration = Duration::from_millis(200);
const WATCH_BETWEEN: Duration = Duration::from_secs(1);

fn duration(text: &str) -> Result<Duration, &'static str> {
    duration_of(text).ok_or("a duration is written as `10s`, `5m` or `1h30m`")
}

pub(crate) fn run(global: &Global, args: &HealthArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let unread = |error: std::io::Error| {
        Failure::new(Kind::Failed, "cannot list the instances".to_owned()).because(&error)
    };
    let mut known: BTreeSet<InstanceName> = folder::list(root.path())
        .map_err(unread)?
        .into_iter()
        .collect();
    let mut disabled = BTreeSet::new();
    let manifest = match Loaded::read(&root) {
        Ok(loaded) => {
            let instances = &loaded.manifest.instances;
            // Whoever left the manifest is asked as long as it runs, which its answer tells.
            disabled.extend(
                known
                    .iter()
                    .filter(|name| !instances.contains_key(*name))
                    .cloned(),
            );
            let off = instances.iter().filter(|(_, instance)| !instance.enabled);
            disabled.extend(off.map(|(name, _)| name.clone()));
            known.extend(instances.keys().cloned());
            Some(loaded.manifest)
        }
        // What runs can be asked whatever the manifest says.
        Err(error) => {
            ui.warning(Failure::from(error).render());
            None
        }
    };
    let only = args.only.among(&known, manifest.as_ref())?;
    let by_name = only.is_some();
    let names: Vec<InstanceName> = only.unwrap_or(known).into_iter().collect();
    let backend = Local::bare(&root);
    let ask = || {
        let mut checkups = backend.check_up(&names, args.timeout);
        for (name, checkup) in names.iter().zip(&mut checkups) {
            let off = checkup.health == Word::Down && disabled.contains(name);
            checkup.meant |= off;
        }
        Health::of(reconcile::now(), checkups, by_name)
    };
    if args.watch || args.wait.is_some() {
        // A question may take long, and so may its answer.
        let at_once = Arc::new(AtomicBool::new(true));
        let _ = signal_hook::flag::register_conditional_shutdown(
            signal_hook::consts::SIGINT,
            130,
            at_once,
        );
    }
    if args.watch {
        watch(ask, ui);
        return Ok(0);
    }
    let began = Instant::now();
    let mut health = ask();
    while !health.healthy && args.wait.is_some_and(|wait| began.elapsed() < wait) {
        std::thread::sleep(WAIT_BETWEEN);
        health = ask();
    }
    if args.json {
        ui.data(serde_json::to_string_pretty(&health).unwrap_or_default());
    } else {
        ui.data(shown(&health, ui.width()));
    }
    Ok(u8::from(!health.healthy))
}

/// Asks until nobody reads it any more.
fn watch(ask: impl Fn() -> Health, ui: &Ui) {
    let mut before = BTreeMap::new();
    let mut lines = 0;
    loop {
        let health = ask();
        let goes_on = if ui.is_terminal() {
            let text = shown(&health, ui.width());
            let goes_on = ui.repaint(lines, &text);
            lines = text.lines().count();
            goes_on
        } else {
            let mut changed = health.instances.iter().filter(|one| {
                let now = (one.health, one.reason.is_some());
                before.insert(one.name.clone(), now) != Some(now)
            });
            changed.all(|one| ui.stream(format_args!("{} {}", health.at, line(one))))
        };
        if !goes_on {
            return;
        }
        std::thread::sleep(WATCH_BETWEEN);
    }
}

fn line(one: &Checkup) -> String {
    let latency = one.latency_ms.map(|latency| format!(" {}", time(latency)));
    let reason = one.reason.as_ref().map(|reason| format!(": {reason}"));
    format!(
        "{} {}{}{}",
        one.name,
        one.health.word(),
        latency.unwrap_or_default(),
        reason.unwrap_or_default()
    )
}

fn time(milliseconds: f64) -> String {
    if milliseconds < 10.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{milliseconds:.0} ms")
    }
}

fn shown(health: &Health, width: Option<usize>) -> String {
    if health.instances.is_empty() {
        return "There are no instances.".to_owned();
    }
    let rows = health.instances.iter().map(|one| {
        let cell = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            one.name.clone(),
            one.health.word().to_owned(),
            cell(&one.latency_ms.map(time)),
            cell(&one.build),
            cell(&one.address),
        ]
    });
    let header = ["NAME", "HEALTH", "LATENCY", "BUILD", "ADDRESS"];
    let mut shown = text::table(&header, rows.collect(), width);
    for one in &health.instances {
        if let Some(reason) = &one.reason {
            shown.push('\n');
            shown += &text::note(&one.name, reason, width);
        }
    }
    shown
}
