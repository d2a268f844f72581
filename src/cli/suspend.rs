//! `suspend`: notes that passes are to leave instances as they are. Needs no manifest and waits for no
//! other pass: one that runs rereads the note between its steps.

use clap::Args;
use llama_orch::instance::record::Suspended;
use llama_orch::reconcile;

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, ReasonArgs, Selection, noted};

/// Leave instances as they are, whatever the manifest says
///
/// No pass starts, restarts, updates, stops or removes them until `llama-orch resume`. Their supervisors
/// go on by their restart policy, a gate that runs comes to its verdict, and `llama-orch down` ends them
/// all the same.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SuspendArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    why: ReasonArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch suspend chat --reason 'a demo until five'
  llama-orch suspend --all";

pub(crate) fn run(global: &Global, args: &SuspendArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let names = noted::chosen(&root, &args.instances, noted::begun(&root)?, ui)?;
    let suspended = Suspended {
        at: reconcile::now(),
        reason: args.why.reason.clone(),
    };
    noted::note(
        &root,
        &names,
        args.why.asked("suspend"),
        |name| format!("left as it is until `llama-orch resume {name}`"),
        |record| record.suspended = Some(suspended.clone()),
        ui,
    )
}
