//! `switch`: one instance off and another one on, in one edit and one pass.

use clap::Args;
use llama_orch::instance::InstanceName;

use super::diagnostic::{Failure, Kind};
use super::editing::{EditArgs, Editing, Wish};
use super::enable::toggle;
use super::ui::Ui;
use super::{Global, among};

/// Disable one instance and enable another in its place
///
/// For two that share a port or a GPU: the first is stopped before the second is started, in one pass.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llama-orch switch chat-small chat-large
  llama-orch switch chat-large chat-small --reason 'back to normal'")]
pub(crate) struct SwitchArgs {
    /// The instance that is not to run any more
    #[arg(value_name = "FROM")]
    from: InstanceName,
    /// The instance that is to run in its place
    #[arg(value_name = "TO")]
    to: InstanceName,
    #[command(flatten)]
    edit: EditArgs,
}

pub(crate) fn run(global: &Global, args: &SwitchArgs, ui: &Ui) -> Result<u8, Failure> {
    if args.from == args.to {
        let message = format!("`{}` cannot take its own place", args.from);
        return Err(Failure::new(Kind::Usage, message).hint("name two instances"));
    }
    let editing = Editing::begin(global, &args.edit, "switch", ui)?;
    among(&[args.from.clone(), args.to.clone()], &editing.known())?;
    let off = toggle(&editing, &args.from, false, ui);
    let on = toggle(&editing, &args.to, true, ui);
    let edits: Vec<_> = off.into_iter().chain(on).collect();
    if edits.is_empty() {
        return Ok(0);
    }
    editing.run(&Wish::to(edits))
}
