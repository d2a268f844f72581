//! `binary remove`: takes builds away that nothing uses, and others only where that is forced.

use std::fmt::Write as _;
use std::time::Instant;

use clap::Args;
use llama_orch::backend::local::Local;
use llama_orch::binaries::{How, UnknownUse, Use};
use llama_orch::history::{self, Entry as Pass, StepEntry};
use llama_orch::install;
use llama_orch::plan::action::Bytes;
use llama_orch::reconcile;
use llama_orch::registry::Entry;

use super::{Stock, consent};
use crate::cli::diagnostic::{Failure, Kind};
use crate::cli::ui::Ui;
use crate::cli::{Global, LockArgs};

/// Remove builds that nothing uses
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RemoveArgs {
    /// Builds, each by the beginning of its id, or by its name
    #[arg(value_name = "PREFIX", required = true)]
    prefixes: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Remove them even where something is pinned to them or may be rolled back to them
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    lock: LockArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch binary remove b9553
  llama-orch binary remove 1f0c 77ab --yes";

pub(crate) fn run(global: &Global, args: &RemoveArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let _pass_lock = args.lock.take(&root, "binary remove")?;
    Local::bare(&root).tidy()?;
    let stock = Stock::of(&root)?;
    let mut chosen: Vec<&Entry> = Vec::new();
    for prefix in &args.prefixes {
        let entry = stock.choose(prefix)?;
        if !chosen.iter().any(|other| other.id == entry.id) {
            chosen.push(entry);
        }
    }
    for entry in &chosen {
        refuse(&stock, entry, args.force)?;
        if let Some(digest) = entry.digest()
            && install::is_being_installed(&root.bins(), digest)?
        {
            let message = format!("{} is being installed right now", stock.name(entry));
            return Err(Failure::new(Kind::Failed, message).hint("run it again when that is done"));
        }
    }
    if let Some(broken) = &stock.broken {
        ui.warning(broken.render());
    }
    let shown: Vec<String> = chosen.iter().map(|entry| sized(&stock, entry)).collect();
    let question = format!("Remove {}?", shown.join(", "));
    if !consent(args.yes, &question, ui)? {
        ui.remark("nothing was changed");
        return Ok(1);
    }
    let at = reconcile::now();
    let began = Instant::now();
    let mut steps = Vec::new();
    let mut failures = Vec::new();
    for entry in chosen {
        let started = Instant::now();
        let removed = install::uninstall(&root.bins(), entry.id);
        let mut step = StepEntry {
            action: "remove".to_owned(),
            subject: format!("{} {}", entry.version, entry.variant.short()),
            reason: "asked for".to_owned(),
            outcome: "done".to_owned(),
            seconds: Some(started.elapsed().as_secs_f64()),
            error: None,
        };
        match removed {
            Ok(_) => {
                ui.remark(format_args!("removed {}", sized(&stock, entry)));
                for one in stock.uses.of_entry(entry) {
                    if one.how.contains(&How::Pinned) {
                        ui.warning(format_args!(
                            "`{}` is pinned to it: `llama-orch apply` installs it again where it can be had",
                            one.instance
                        ));
                    }
                }
            }
            Err(error) => {
                "failed".clone_into(&mut step.outcome);
                step.seconds = None;
                step.error = Some(history::chain(&error));
                failures.push(Failure::from(error));
            }
        }
        steps.push(step);
    }
    let entry = Pass {
        schema: history::SCHEMA,
        at: at.to_string(),
        seconds: began.elapsed().as_secs_f64(),
        verb: "binary remove".to_owned(),
        reason: None,
        succeeded: failures.is_empty(),
        interrupted: false,
        steps,
        notices: Vec::new(),
    };
    history::append(&root, &entry)?;
    for failure in &failures {
        ui.failure(failure);
    }
    Ok(u8::from(!failures.is_empty()))
}

/// A build with what it takes on disk.
fn sized(stock: &Stock, entry: &Entry) -> String {
    let size = entry.size_bytes.map(|size| format!(", {}", Bytes(size)));
    format!("{}{}", stock.name(entry), size.unwrap_or_default())
}

/// Why a build is not removed: because something uses it, or may.
fn refuse(stock: &Stock, entry: &Entry, force: bool) -> Result<(), Failure> {
    let name = stock.name(entry);
    let uses = stock.uses.of_entry(entry);
    let unknown = stock.uses.unknown();
    let running: Vec<&str> = uses
        .iter()
        .filter(|one| one.how.contains(&How::Runs))
        .map(|one| one.instance.as_str())
        .collect();
    if force {
        if !running.is_empty() {
            let message = format!("{name} runs right now{}", lines(&uses, &[]));
            let down = format!("`llama-orch down {}` ends what runs", running.join(" "));
            return Err(Failure::new(Kind::Failed, message).hint(down));
        }
        // What cannot be seen may run it.
        let hidden: Vec<UnknownUse> = unknown.iter().filter(|one| one.may_run).cloned().collect();
        if hidden.is_empty() {
            return Ok(());
        }
        let message = format!("{name} may run right now{}", lines(&[], &hidden));
        return Err(Failure::new(Kind::Failed, message)
            .hint("`llama-orch status` shows what could not be looked at"));
    }
    if uses.is_empty() && unknown.is_empty() {
        return Ok(());
    }
    let state = if uses.is_empty() { "may be" } else { "is" };
    let message = format!("{name} {state} in use{}", lines(&uses, unknown));
    let hint = if uses.is_empty() {
        "`llama-orch plan` says more; `--force` removes it even so".to_owned()
    } else if running.is_empty() {
        "pin another build and run `llama-orch apply`, or say `--force`".to_owned()
    } else {
        format!(
            "pin another build and run `llama-orch apply`; or end what runs with `llama-orch down {}` and say `--force`",
            running.join(" ")
        )
    };
    Err(Failure::new(Kind::Failed, message).hint(hint))
}

/// All reasons, one line each.
fn lines(uses: &[Use], unknown: &[UnknownUse]) -> String {
    let mut text = String::new();
    for one in uses {
        for how in &one.how {
            let _ = write!(text, "\n  `{}` {}", one.instance, how.words());
        }
    }
    for one in unknown {
        let _ = match &one.instance {
            Some(instance) => write!(text, "\n  `{instance}` may use it: {}", one.why),
            None => write!(text, "\n  {}", one.why),
        };
    }
    text
}
