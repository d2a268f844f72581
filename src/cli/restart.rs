//! `restart`: restarts servers because a person asks for it, by an ordinary pass narrowed to them.

use clap::Args;

use super::diagnostic::Failure;
use super::narrowed::{self, Restart, Wish};
use super::ui::Ui;
use super::{Global, LockArgs, ReasonArgs, Selection};

/// Restart instances although nothing has changed
///
/// What has changed in orchestrator.yaml counts as well, and each has to pass its gate. One that does not
/// run is started, unless it was put down, is suspended or is disabled.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    why: ReasonArgs,
    /// Carry it out without asking
    #[arg(short, long)]
    yes: bool,
    /// Do not wait for the open requests of servers that stop (`rollout.drain`)
    #[arg(long)]
    force: bool,
    /// Do not extend orchestrator.lock: what it does not cover is held
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    lock: LockArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch restart chat --reason 'a new driver'
  llama-orch restart --tag gpu0 --yes";

pub(crate) fn run(global: &Global, args: &RestartArgs, ui: &Ui) -> Result<u8, Failure> {
    let wish = Wish {
        asked: args.why.asked("restart"),
        instances: &args.instances,
        locked: args.locked,
        lock: &args.lock,
        note: None,
        of_gone: false,
        restart: Some(Restart {
            yes: args.yes,
            force: args.force,
        }),
    };
    narrowed::run(global, &wish, ui)
}
