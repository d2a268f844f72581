//! `watch suspend`: watch changes nothing by itself until it is resumed.

use clap::Args;
use llama_orch::reconcile;
use llama_orch::watch::snapshot::Halted;

use super::halting::{self, Wish};
use super::{Failure, Global, ReasonArgs, Ui};

/// Let watch change nothing by itself, until it is resumed
///
/// It starts, restarts and installs nothing, and takes no commit. What it is at is broken off: a server that was
/// started goes on to its gate, and a download is gone on with later. It goes on looking and telling, and
/// servers go on by their restart policy. A verb that a person types counts as ever. It survives a restart
/// of watch and of the machine.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SuspendArgs {
    #[command(flatten)]
    why: ReasonArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch watch suspend --reason 'a demo until five'
  llama-orch suspend chat                # one instance alone";

pub(crate) fn run(global: &Global, args: &SuspendArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let halted = Halted {
        at: reconcile::now().to_string(),
        reason: args.why.reason.clone(),
    };
    let wish = Wish {
        action: "suspend",
        asked: args.why.asked("watch suspend"),
        holds: "changes nothing by itself until `llama-orch watch resume`".to_owned(),
    };
    halting::halt(&root, &wish, |brake| brake.suspended = Some(halted), ui)?;
    halting::watching(&root, ui);
    Ok(0)
}
