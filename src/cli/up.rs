//! `up`: takes back a `down`, and brings the instances up by an ordinary pass narrowed to them.

use std::collections::BTreeSet;

use clap::Args;
use llama_orch::backend::local::Local;
use llama_orch::desired::resolve::Terms;
use llama_orch::instance::InstanceName;
use llama_orch::instance::record::Record;
use llama_orch::reconcile::{self, Loaded, Pass};
use llama_orch::root::Root;

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, LockArgs, Selection, apply, plan, runtime, text};

/// Start instances that were put down
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    instances: Selection,
    /// Do not extend orchestrator.lock: what it does not cover is held
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    lock: LockArgs,
}

pub(crate) fn run(global: &Global, args: &UpArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let clear = |record: &mut Record, assignment| {
        record.put_down = None;
        // Whoever brings it up wants it tried again, but not what has failed its gate.
        record.pardon_giving_up(assignment);
    };
    narrowed_pass(
        global,
        &root,
        &args.instances,
        args.locked,
        &args.lock,
        "up",
        clear,
        ui,
    )
}

/// Changes the records of some instances, then plans and applies what concerns them.
#[expect(
    clippy::too_many_arguments,
    reason = "the verbs' own arguments, passed on once"
)]
pub(crate) fn narrowed_pass(
    global: &Global,
    root: &Root,
    instances: &Selection,
    locked: bool,
    lock: &LockArgs,
    verb: &str,
    change: impl Fn(&mut Record, Option<uuid::Uuid>),
    ui: &Ui,
) -> Result<u8, Failure> {
    let loaded = global.load(root, ui)?;
    let known: BTreeSet<InstanceName> = loaded.manifest.instances.keys().cloned().collect();
    let names = instances.among(&known, Some(&loaded.manifest))?;
    let pass_lock = lock.take(root, verb)?;
    Local::bare(root).tidy()?;
    let loaded: Loaded = global.load(root, ui)?;
    let terms = Terms {
        locked,
        offline: global.offline,
        attended: true,
        ..Terms::default()
    };
    let backend = Local::new(&loaded, terms);
    backend.settle()?;
    for name in &names {
        backend.change_record(name, |record, assignment| change(record, assignment))?;
    }
    let source = loaded.source(terms);
    let runtime = runtime()?;
    let pass = runtime.block_on(reconcile::pass(&loaded, &source, &backend, terms));
    let Pass {
        resolved,
        observed,
        plan,
        unreachable,
    } = pass;
    let plan = plan.narrowed(&names);
    ui.data(text::plan(&plan, ui.width(), text::AS_WRITTEN));
    plan::hints(&plan, ui);
    loaded.remember(&resolved)?;
    backend.forget_rollbacks(&resolved.desired, &observed)?;
    let report = apply::carry_out(&runtime, &backend, &plan, verb, root, ui)?;
    let started = apply::await_starting(&runtime, &backend, &plan, ui)?;
    drop(pass_lock);
    Ok(
        if !report.succeeded() || started == apply::Started::Failed {
            1
        } else if unreachable && plan::is_stuck(&plan) {
            69
        } else {
            u8::from(plan.needs_attention())
        },
    )
}
