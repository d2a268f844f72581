//! `down`: notes that instances are to stay down and ends their servers. Needs no manifest and
//! waits for no other pass: a pass that runs rereads the note between its steps.

use clap::Args;
use llama_orch::backend::Backend as _;
use llama_orch::backend::local::Local;
use llama_orch::desired::Desired;
use llama_orch::instance::record::PutDown;
use llama_orch::plan::ending;
use llama_orch::reconcile;

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, ReasonArgs, Selection, apply, noted, runtime, text};

/// Stop instances and keep them down
///
/// On this machine, until `up`; no file is edited. It waits for no other pass, and needs no manifest that
/// can be read.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    why: ReasonArgs,
    /// Do not wait for their open requests (`rollout.drain`)
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch down chat --reason 'the card is needed'
  llama-orch down --tag gpu0
  llama-orch down --all --force";

pub(crate) fn run(global: &Global, args: &DownArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let runtime = runtime()?;
    let backend = Local::bare(&root);
    let nothing = Desired::nothing();
    let seen = runtime.block_on(backend.observe(&nothing));
    let begun = seen.instances.keys().cloned();
    let names = noted::chosen(&root, &args.instances, begun, ui)?;
    let at = reconcile::now();
    let mut unnoted = false;
    for name in &names {
        let noted = backend.change_record(name, |record, _| {
            record.put_down = Some(PutDown {
                at,
                reason: args.why.reason.clone(),
            });
        });
        // Its server is ended all the same, and so are the others.
        if let Err(error) = noted {
            unnoted = true;
            ui.failure(&Failure::from(error));
        }
    }
    let seen = runtime.block_on(backend.observe(&nothing));
    let plan = ending(&seen, &names, args.why.reason.as_deref());
    let plan = if args.force {
        plan.without_drain()
    } else {
        plan
    };
    ui.data(text::plan(&plan, ui.width(), "none of them runs"));
    let report = apply::carry_out(&runtime, &backend, &plan, args.why.asked("down"), &root, ui)?;
    Ok(u8::from(
        unnoted || !report.succeeded() || plan.needs_attention(),
    ))
}
