//! `retry`: forgets that launches failed, so that the next pass tries them again, and runs it.

use clap::Args;
use llama_orch::instance::record::Record;

use super::diagnostic::Failure;
use super::ui::Ui;
use super::up::narrowed_pass;
use super::{Global, LockArgs, Names, TermsArgs};

/// Try launches again that have failed
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    lock: LockArgs,
}

pub(crate) fn run(global: &Global, args: &RetryArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let forget = |record: &mut Record, assignment| {
        record.failed.clear();
        record.pardon(assignment);
    };
    narrowed_pass(
        global,
        &root,
        &args.names,
        &args.terms,
        &args.lock,
        "retry",
        forget,
        ui,
    )
}
