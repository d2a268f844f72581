//! `plan`: shows what would change, and why. Writes nothing.

use std::collections::BTreeSet;

use clap::Args;
use llama_orch::backend::local::Local;
use llama_orch::instance::InstanceName;
use llama_orch::plan::Plan;
use llama_orch::plan::json::PlanDocument;
use llama_orch::reconcile::{self, Pass};

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, Narrowing, TermsArgs, runtime, text, variants};

/// Show what would change, and why; changes nothing
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    only: Narrowing,
    #[command(flatten)]
    terms: TermsArgs,
    /// Print the plan as JSON (`config schema plan` prints its schema)
    #[arg(long)]
    json: bool,
    /// Exit with 2 when there are changes to make
    #[arg(long)]
    detailed_exitcode: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch plan
  llama-orch plan chat -v               # with differences, and why this variant
  llama-orch plan --detailed-exitcode || llama-orch apply --yes";

pub(crate) fn run(global: &Global, args: &PlanArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let loaded = global.load(&root, ui)?;
    let terms = args.terms.terms(global, &root);
    let backend = Local::new(&loaded, terms);
    let source = loaded.source(terms);
    let pass = runtime()?.block_on(reconcile::pass(&loaded, &source, &backend, terms));
    let Pass {
        resolved,
        observed,
        mut plan,
        unreachable,
    } = pass;
    let known: BTreeSet<InstanceName> = resolved
        .desired
        .instances
        .keys()
        .chain(observed.instances.keys())
        .cloned()
        .collect();
    let only = args.only.among(&known, Some(&loaded.manifest))?;
    if let Some(names) = &only {
        plan = plan.narrowed(names);
    }
    if args.json {
        let document = PlanDocument::from(&plan);
        ui.data(serde_json::to_string_pretty(&document).unwrap_or_default());
    } else {
        ui.data(text::plan(&plan, ui.width(), text::AS_WRITTEN));
        if global.verbose {
            let details = text::details(&plan, &resolved, &observed, &loaded.lock)
                + &variants::details(&loaded, &resolved, only.as_ref(), ui.width());
            if !details.is_empty() {
                ui.data(details.trim_end());
            }
        }
        hints(&plan, ui);
    }
    Ok(if unreachable && is_stuck(&plan) {
        69
    } else if plan.needs_attention() {
        1
    } else if args.detailed_exitcode && plan.has_changes() {
        2
    } else {
        0
    })
}

/// Whether nothing can be done but to wait for the release source.
pub(crate) fn is_stuck(plan: &Plan) -> bool {
    !plan.has_changes() && !plan.blockers().is_empty()
}

/// What can be done about the blockers, each once.
pub(crate) fn hints(plan: &Plan, ui: &Ui) {
    let hints: BTreeSet<String> = plan
        .blockers()
        .iter()
        .filter_map(|blocker| blocker.why.hint())
        .collect();
    for hint in hints {
        ui.hint(hint);
    }
}
