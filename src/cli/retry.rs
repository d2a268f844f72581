//! `retry`: forgets that launches failed or were rolled back, so that the next pass tries what the
//! manifest says again, and runs it.

use clap::Args;

use super::diagnostic::Failure;
use super::narrowed::{self, Note, Wish};
use super::ui::Ui;
use super::{Global, LockArgs, ReasonArgs, Selection};

/// Try launches again that have failed or were rolled back
///
/// That is noted at once. Where another llama-orch is at work, its pass goes on as it was planned, and
/// this one waits for it (`--lock-timeout`); if it gives up waiting, the next pass tries them again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    why: ReasonArgs,
    /// Do not extend orchestrator.lock: what it does not cover is held
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    lock: LockArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch retry chat
  llama-orch retry --all --reason 'the driver is mended'";

pub(crate) fn run(global: &Global, args: &RetryArgs, ui: &Ui) -> Result<u8, Failure> {
    let wish = Wish {
        asked: args.why.asked("retry"),
        instances: &args.instances,
        locked: args.locked,
        lock: &args.lock,
        note: Some(Note {
            holds: "what has failed of them is forgotten",
            change: |record, assignment| {
                record.failed.clear();
                record.rolled_back = None;
                record.pardon(assignment);
            },
        }),
        of_gone: false,
        restart: None,
    };
    narrowed::run(global, &wish, ui)
}
