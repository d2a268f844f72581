//! `up`: takes back a `down`, and brings the instances up by an ordinary pass narrowed to them.

use clap::Args;

use super::diagnostic::Failure;
use super::narrowed::{self, Note, Wish};
use super::ui::Ui;
use super::{Global, LockArgs, ReasonArgs, Selection};

/// Start instances that were put down
///
/// Takes a `down` back and starts what does not run, as orchestrator.yaml says by now. What gave up is
/// tried again; a launch that has failed its gate is not (`llama-orch retry`).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpArgs {
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
  llama-orch up chat
  llama-orch up 'chat-*' --reason 'the card is back'
  llama-orch up --tag gpu0";

pub(crate) fn run(global: &Global, args: &UpArgs, ui: &Ui) -> Result<u8, Failure> {
    let wish = Wish {
        asked: args.why.asked("up"),
        instances: &args.instances,
        locked: args.locked,
        lock: &args.lock,
        note: Some(Note {
            holds: "they are no longer put down",
            change: |record, assignment| {
                record.put_down = None;
                // Whoever brings it up wants it tried again, but not what has failed its gate.
                record.pardon_giving_up(assignment);
            },
        }),
        of_gone: false,
        restart: None,
    };
    narrowed::run(global, &wish, ui)
}
