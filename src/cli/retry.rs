//! `retry`: forgets that launches failed or were rolled back, so that the next pass tries what the
//! manifest says again, and runs it.

use clap::Args;
use llama_orch::instance::record::Record;

use super::diagnostic::Failure;
use super::ui::Ui;
use super::up::narrowed_pass;
use super::{Global, LockArgs, Selection};

/// Try launches again that have failed or were rolled back
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    instances: Selection,
    /// Do not extend orchestrator.lock: what it does not cover is held
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    lock: LockArgs,
}

pub(crate) fn run(global: &Global, args: &RetryArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let forget = |record: &mut Record, assignment| {
        record.failed.clear();
        record.rolled_back = None;
        record.pardon(assignment);
    };
    narrowed_pass(
        global,
        &root,
        &args.instances,
        args.locked,
        &args.lock,
        "retry",
        forget,
        ui,
    )
}
