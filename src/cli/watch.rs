//! `watch`: what a person halts of it, and lifts again.

mod halting;
mod pin;
mod resume;
mod suspend;

use clap::{Args, Subcommand};

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, ReasonArgs};

/// Halt what keeps this root, and lift that again
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    #[command(subcommand)]
    command: Option<WatchCommand>,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch watch suspend --reason 'a demo until five'
  llama-orch watch pin 1a2b3c4d5e
  llama-orch watch resume";

/// What can be asked of watch, whether it runs or not.
#[derive(Debug, Subcommand)]
pub(super) enum WatchCommand {
    Suspend(suspend::SuspendArgs),
    Resume(resume::ResumeArgs),
    Pin(pin::PinArgs),
}

impl WatchCommand {
    pub(super) fn run(&self, global: &Global, ui: &Ui) -> Result<u8, Failure> {
        match self {
            Self::Suspend(args) => suspend::run(global, args, ui),
            Self::Resume(args) => resume::run(global, args, ui),
            Self::Pin(args) => pin::run(global, args, ui),
        }
    }
}

pub(crate) fn run(global: &Global, args: &WatchArgs, ui: &Ui) -> Result<u8, Failure> {
    match &args.command {
        Some(command) => command.run(global, ui),
        None => {
            let message = "there is nothing to do".to_owned();
            let hint = "`llama-orch watch --help` shows what there is";
            Err(Failure::new(Kind::Usage, message).hint(hint))
        }
    }
}
