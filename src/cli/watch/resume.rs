//! `watch resume`: takes `watch suspend` and `watch pin` back.

use clap::Args;
use llama_orch::watch::brake::Brake;

use super::halting::{self, Wish};
use super::{Failure, Global, ReasonArgs, Ui};

/// Let watch go on by itself, and its clone follow its branch
///
/// Lifts both `watch suspend` and `watch pin`. What was held back meanwhile is done at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    why: ReasonArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch watch resume
  llama-orch watch resume --reason 'mended in 1a2b3c4'";

pub(crate) fn run(global: &Global, args: &ResumeArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let halted = Brake::read(&root)?;
    let holds = match (&halted.suspended, &halted.pinned) {
        (Some(_), Some(_)) => "is neither suspended nor pinned any more",
        (None, Some(_)) => "is no longer pinned",
        (Some(_) | None, None) => "is no longer suspended",
    };
    let wish = Wish {
        action: "resume",
        asked: args.why.asked("watch resume"),
        holds: holds.to_owned(),
    };
    let lift = |brake: &mut Brake| {
        brake.suspended = None;
        brake.pinned = None;
    };
    if halting::halt(&root, &wish, lift, ui)? {
        halting::watching(&root, ui);
    } else {
        ui.remark("Watch is neither suspended nor pinned.");
    }
    Ok(0)
}
