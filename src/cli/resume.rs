//! `resume`: takes a `suspend` back, and does what was held back by an ordinary pass narrowed to the
//! instances.

use clap::Args;

use super::diagnostic::Failure;
use super::narrowed::{self, Note, Wish};
use super::ui::Ui;
use super::{Global, LockArgs, ReasonArgs, Selection, noted};

/// Let passes change suspended instances again
///
/// What was held back meanwhile is done at once. One that left the manifest is not removed by this, but by
/// `llama-orch apply --yes`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    why: ReasonArgs,
    /// Leave what was held back to the next pass
    #[arg(long)]
    no_apply: bool,
    /// Do not extend orchestrator.lock: what it does not cover is held
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    lock: LockArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch resume chat
  llama-orch resume --all --no-apply && llama-orch plan";

pub(crate) fn run(global: &Global, args: &ResumeArgs, ui: &Ui) -> Result<u8, Failure> {
    if args.no_apply {
        return only_note(global, args, ui);
    }
    let wish = Wish {
        asked: args.why.asked("resume"),
        instances: &args.instances,
        locked: args.locked,
        lock: &args.lock,
        note: Some(Note {
            holds: "they are no longer suspended",
            change: |record, _| record.suspended = None,
        }),
        of_gone: true,
        restart: None,
    };
    narrowed::run(global, &wish, ui)
}

fn only_note(global: &Global, args: &ResumeArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let names = noted::chosen(&root, &args.instances, noted::begun(&root)?, ui)?;
    noted::note(
        &root,
        &names,
        args.why.asked("resume"),
        |_| "the next pass does what was held back".to_owned(),
        |record| record.suspended = None,
        ui,
    )
}
