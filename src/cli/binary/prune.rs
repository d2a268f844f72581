//! `binary prune`: a plan of nothing but prunes, carried out like any other.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Args;
use llama_orch::backend::local::Local;
use llama_orch::binaries::Uses;
use llama_orch::desired::resolve::Terms;
use llama_orch::install::cache::{self, Unfinished};
use llama_orch::instance::BinaryId;
use llama_orch::observed::Observed;
use llama_orch::plan::Plan;
use llama_orch::plan::action::{Action, Bytes};
use llama_orch::plan::json::PlanDocument;
use llama_orch::plan::text::Line;
use llama_orch::reconcile::{self, Loaded};

use super::{ALONE, consent, count};
use crate::cli::diagnostic::{Failure, Kind};
use crate::cli::ui::Ui;
use crate::cli::{Global, LockArgs, apply, runtime, text};

/// Remove every build that nothing uses, but the newest few
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PruneArgs {
    /// Keep so many of the newest unused builds, in place of `retention.keep`
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long, conflicts_with = "dry_run")]
    yes: bool,
    /// Print the plan as JSON (`config schema plan` prints its schema)
    #[arg(long, requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch binary prune --dry-run
  llama-orch binary prune --keep 1 --yes";

pub(crate) fn run(global: &Global, args: &PruneArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = if args.dry_run {
        global.find_root()?
    } else {
        global.writable_root()?
    };
    let pass_lock = (!args.dry_run)
        .then(|| args.lock.take(&root, "binary prune"))
        .transpose()?;
    if pass_lock.is_some() {
        Local::bare(&root).tidy()?;
    }
    let mut loaded = global.load(&root, ui)?;
    if let Some(keep) = args.keep {
        loaded.manifest.retention.keep = keep;
    }
    let terms = Terms {
        prune: true,
        ..ALONE
    };
    let backend = Local::new(&loaded, terms);
    if pass_lock.is_some() {
        backend.settle()?;
    }
    let runtime = runtime()?;
    let source = loaded.source(terms);
    let pass = runtime.block_on(reconcile::pass(&loaded, &source, &backend, terms));
    let uses = Uses::of(Some(&pass.resolved.desired), &pass.observed);
    refuse(&uses)?;
    let plan = pass.plan.prunes();
    // What is being received right now is somebody's.
    let mut unfinished = cache::unfinished(&root.bins())?;
    unfinished.retain(|one| !one.busy);
    if args.json {
        let document = PlanDocument::from(&plan);
        ui.data(serde_json::to_string_pretty(&document).unwrap_or_default());
        return Ok(0);
    }
    if !unfinished.is_empty() {
        ui.data(text::line(&cleared(&unfinished), ui.width()));
    }
    if plan.has_changes() || unfinished.is_empty() {
        let settled = "every build is in use or kept";
        ui.data(text::plan(&plan, ui.width(), settled));
    }
    if global.verbose {
        ui.data("");
        for line in kept(&plan, &loaded, &pass.observed, &uses) {
            ui.data(text::line(&line, ui.width()));
        }
    }
    if args.dry_run || (!plan.has_changes() && unfinished.is_empty()) {
        return Ok(0);
    }
    let what: Vec<String> = [
        (plan.steps().len(), "build"),
        (unfinished.len(), "unfinished download"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, noun)| count(number, noun))
    .collect();
    let question = format!("\nRemove {}?", what.join(" and "));
    if !consent(args.yes, &question, ui)? {
        ui.remark("nothing was changed");
        return Ok(1);
    }
    for one in &unfinished {
        cache::clear(one)?;
    }
    let report = apply::carry_out(&runtime, &backend, &plan, "binary prune", &root, ui)?;
    Ok(u8::from(!report.succeeded()))
}

/// Nothing is pruned where anything may still be in use.
fn refuse(uses: &Uses) -> Result<(), Failure> {
    if uses.unknown().is_empty() {
        return Ok(());
    }
    let mut message =
        "nothing is pruned, since it cannot be told which builds are in use".to_owned();
    for unknown in uses.unknown() {
        let instance = unknown.instance.as_deref().unwrap_or_default();
        let _ = write!(message, "\n  `{instance}`: {}", unknown.why);
    }
    Err(Failure::new(Kind::Failed, message)
        .hint("resolve the pins first; until then `llama-orch binary remove --force` takes single builds away"))
}

/// What is cleared besides builds, as a line of the plan.
fn cleared(unfinished: &[Unfinished]) -> Line {
    let bytes = unfinished.iter().map(|one| one.bytes).sum();
    Line {
        rune: "-",
        verb: "clear",
        subject: count(unfinished.len(), "unfinished download"),
        detail: format!("{}, in bins/.cache", Bytes(bytes)),
    }
}

/// What stays, and why.
fn kept(plan: &Plan, loaded: &Loaded, observed: &Observed, uses: &Uses) -> Vec<Line> {
    let pruned: BTreeSet<BinaryId> = plan
        .steps()
        .iter()
        .filter_map(|step| match &step.action {
            Action::Prune(prune) => Some(prune.binary),
            _ => None,
        })
        .collect();
    let seen = observed.binaries.known();
    let is_ours = |id| {
        seen.and_then(|binaries| binaries.get(&id))
            .is_some_and(|binary| binary.prunable)
    };
    loaded
        .registry
        .entries()
        .iter()
        .filter(|entry| !pruned.contains(&entry.id))
        .map(|entry| {
            let reasons: Vec<String> = uses
                .of_entry(entry)
                .iter()
                .flat_map(|one| {
                    let words = one.how.iter().map(|how| how.words());
                    words
                        .map(|words| format!("{} {words}", one.instance))
                        .collect::<Vec<_>>()
                })
                .collect();
            Line {
                rune: ".",
                verb: "kept",
                subject: format!("{} {}", entry.version, entry.variant.short()),
                detail: if !reasons.is_empty() {
                    reasons.join(", ")
                } else if is_ours(entry.id) {
                    let keep = loaded.manifest.retention.keep;
                    format!("unused, and one of the {keep} newest")
                } else {
                    "unused, but not installed from an archive; `llama-orch binary remove` takes it away"
                        .to_owned()
                },
            }
        })
        .collect()
}
