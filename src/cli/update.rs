//! `update`: moves floating pins in the lock, and says from where to where.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Args;
use llama_orch::desired::resolve::Terms;
use llama_orch::instance::InstanceName;
use llama_orch::reconcile::update::{FloatingPin, Update, floats};
use llama_orch::reconcile::{self, Loaded, PassLock};

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, LockArgs, Narrowing, clock, followed, runtime};

/// Move floating pins in orchestrator.lock to the builds they lead to by now
///
/// Only `stable` and `nightly` float, and only this verb moves them. What the lock does not cover yet is
/// added to it. It changes no server: `plan` shows what follows. Commit orchestrator.lock to have every machine follow.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    instances: Narrowing,
    /// Write nothing; exit with 2 where something would be written
    #[arg(long)]
    check: bool,
    /// Choose anew what `variant: auto` stands for on this machine
    #[arg(long)]
    variant: bool,
    /// Print it as JSON (`config schema update` prints its schema)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch update && llama-orch plan
  llama-orch update chat --variant
  llama-orch update --check --quiet || notify-send 'a newer llama.cpp is out'";

pub(crate) fn run(global: &Global, args: &UpdateArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = if args.check {
        global.find_root()?
    } else {
        global.writable_root()?
    };
    if !args.check {
        followed::refuse(&root, "update")?;
    }
    let pass_lock: Option<PassLock> = (!args.check)
        .then(|| args.lock.take(&root, "update"))
        .transpose()?;
    let loaded = global.load(&root, ui)?;
    let names = asked(&loaded, args, ui)?;
    let terms = Terms {
        offline: global.offline,
        ..Terms::default()
    };
    let source = loaded.source(terms);
    let update = loaded.update(&source, &names, args.variant, terms);
    let (update, resolved) = runtime()?.block_on(update);
    let lacks = loaded.lock.lacks(&resolved.lock);
    if args.json {
        ui.data(serde_json::to_string_pretty(&update).unwrap_or_default());
    } else if update.pins.is_empty() && lacks {
        ui.data("No pin floats; orchestrator.lock lacks builds that others name.");
    } else {
        show(&update, ui);
    }
    let moves = lacks || update.pins.iter().any(FloatingPin::moves);
    if !args.check && moves {
        loaded.remember(&resolved)?;
        ui.remark("orchestrator.lock is written; see `llama-orch plan`.");
    }
    drop(pass_lock);
    let has_problem = update.pins.iter().any(|pin| pin.problem.is_some());
    Ok(match (has_problem, update.unreachable) {
        (true, true) => 69,
        (true, false) => 1,
        (false, _) if args.check && moves => 2,
        (false, _) => 0,
    })
}

/// The instances that are asked for.
fn asked(loaded: &Loaded, args: &UpdateArgs, ui: &Ui) -> Result<BTreeSet<InstanceName>, Failure> {
    let manifest = &loaded.manifest;
    let known: BTreeSet<InstanceName> = manifest.instances.keys().cloned().collect();
    let asked = args.instances.among(&known, Some(manifest))?;
    let is_floating = |name: &InstanceName| floats(manifest.instances[name].binary.as_ref());
    if let Some(asked) = &asked {
        for name in asked.iter().filter(|name| !is_floating(name)) {
            ui.remark(format_args!(
                "the pin of `{name}` does not float; `llama-orch upgrade {name}` changes it"
            ));
        }
    }
    Ok(asked.unwrap_or(known))
}

fn show(update: &Update, ui: &Ui) {
    if update.pins.is_empty() {
        ui.data("No pin floats.");
        return;
    }
    let mut shown = String::new();
    for pin in &update.pins {
        let head = match pin.version.as_str() {
            "" => pin.instance.clone(),
            version => format!("{} ({version})", pin.instance),
        };
        if let Some(problem) = &pin.problem {
            ui.error(format_args!("{head}: {problem}"));
            if let Some(hint) = &pin.hint {
                ui.hint(hint);
            }
            continue;
        }
        let build = |build: &Option<String>, published: &Option<String>| {
            let build = build.as_deref().unwrap_or("not locked");
            match published.as_deref().and_then(|at| at.parse().ok()) {
                Some(at) => format!("{build} ({})", clock::when(at, reconcile::now())),
                None => build.to_owned(),
            }
        };
        let to = build(&pin.to, &pin.to_published);
        let line = if pin.from == pin.to {
            format!("{head}: {to} is the newest")
        } else {
            format!("{head}: {} -> {to}", build(&pin.from, &pin.from_published))
        };
        let _ = writeln!(shown, "{line}");
        if let (Some(from), Some(to)) = (&pin.variant_from, &pin.variant_to) {
            let _ = writeln!(shown, "  variant {from} -> {to}");
        }
        if let Some(compare) = &pin.compare {
            let _ = writeln!(shown, "  {compare}");
        }
    }
    if !shown.is_empty() {
        ui.data(shown.trim_end());
    }
}
