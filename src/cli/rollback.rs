//! `rollback`: puts on record that an instance is to run an earlier, proven launch, and brings that
//! about by an ordinary pass narrowed to it.

use std::collections::BTreeSet;

use clap::Args;
use llama_orch::apply::{Outcome, Report};
use llama_orch::backend::local::Local;
use llama_orch::backend::{ActionError, Backend as _};
use llama_orch::desired::resolve::Terms;
use llama_orch::desired::{Desired, WantedInstance};
use llama_orch::instance::InstanceName;
use llama_orch::instance::record::RolledBack;
use llama_orch::observed::{Observed, ObservedInstance, Seen};
use llama_orch::plan::rollback::{self, NoTarget};
use llama_orch::reconcile;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, LockArgs, ReasonArgs, among, apply, plan, runtime, text};

/// Go back to the launch that was proven before, and stay there
///
/// It stays there until the manifest wants something else of the instance, or `retry` lifts it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RollbackArgs {
    /// The instance
    #[arg(value_name = "NAME")]
    name: InstanceName,
    /// Go to the proven launch of this build: its name, or the beginning of its id
    #[arg(long, value_name = "BUILD")]
    to: Option<String>,
    #[command(flatten)]
    why: ReasonArgs,
    /// Carry it out without asking
    #[arg(short, long)]
    yes: bool,
    /// Do not wait for the open requests of the server that stops (`rollout.drain`)
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
  llama-orch rollback chat
  llama-orch rollback chat --to b9553 --reason \"slower answers\"";

pub(crate) fn run(global: &Global, args: &RollbackArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let known = |loaded: &reconcile::Loaded| -> BTreeSet<InstanceName> {
        loaded.manifest.instances.keys().cloned().collect()
    };
    among(
        std::slice::from_ref(&args.name),
        &known(&global.load(&root, ui)?),
    )?;
    let pass_lock = args.lock.take(&root, "rollback")?;
    Local::bare(&root).tidy()?;
    let loaded = global.load(&root, ui)?;
    let names = among(std::slice::from_ref(&args.name), &known(&loaded))?;
    let terms = Terms {
        locked: args.locked,
        offline: global.offline,
        attended: true,
        ..Terms::default()
    };
    let mut backend = Local::new(&loaded, terms);
    backend.settle()?;
    let runtime = runtime()?;
    let source = loaded.source(terms);
    let (resolved, _) = runtime.block_on(loaded.resolve(&source, terms));
    let desired = &resolved.desired;
    let seen = runtime.block_on(backend.observe(desired));
    backend.propose(&args.name, choose(args, desired, &seen)?);
    // From here on it is looked at as if it were so.
    let observed = runtime.block_on(backend.observe(desired));
    let plan = llama_orch::plan::plan(desired, &observed).narrowed(&names);
    let plan = if args.force {
        plan.without_drain()
    } else {
        plan
    };
    ui.data(text::plan(&plan, ui.width(), text::AS_WRITTEN));
    plan::hints(&plan, ui);
    if !plan.blockers().is_empty() {
        ui.remark("nothing was changed");
        return Ok(1);
    }
    if !args.yes && !apply::consents(&plan, ui)? {
        return Ok(1);
    }
    loaded.remember(&resolved)?;
    let memory = observed.instances.get(&args.name);
    let memory = memory.and_then(|seen| seen.memory.known());
    if let Some(rolled_back) = memory.and_then(|memory| memory.rolled_back.clone()) {
        backend.change_record(&args.name, |record, assignment| {
            record.roll_back(rolled_back, assignment);
        })?;
    }
    let report = apply::carry_out(
        &runtime,
        &backend,
        &plan,
        args.why.asked("rollback"),
        &root,
        ui,
    )?;
    let started = apply::await_starting(&runtime, &backend, &plan, ui)?;
    drop(pass_lock);
    if failed_its_gate(&report) {
        ui.hint(format_args!(
            "a rollback is not rolled back by itself; `llama-orch retry {}` goes on with what orchestrator.yaml says",
            args.name
        ));
    }
    Ok(
        if !report.succeeded() || started == apply::Started::Failed {
            1
        } else {
            u8::from(plan.needs_attention())
        },
    )
}

/// The rollback that is asked for.
fn choose(
    args: &RollbackArgs,
    desired: &Desired,
    observed: &Observed,
) -> Result<RolledBack, Failure> {
    let name = &args.name;
    let refused = |message: String| Failure::new(Kind::Failed, message);
    let wanted = match desired.instances.get(name) {
        Some(WantedInstance::Resolved(wanted)) => wanted,
        Some(WantedInstance::Unresolved(unresolved)) => {
            let failure = refused(format!("what `{name}` is to run is not resolved"));
            let failure = failure.because(&unresolved.why);
            return Err(match unresolved.why.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            });
        }
        None => return Err(refused(format!("there is no instance `{name}`"))),
    };
    let binaries = match &observed.binaries {
        Seen::Known(binaries) => binaries,
        Seen::Unknown(why) => {
            return Err(refused(format!("the builds could not be seen: {why}")));
        }
    };
    let absent = ObservedInstance::absent();
    let seen = observed.instances.get(name).unwrap_or(&absent);
    let to = args.to.as_deref();
    let launch = rollback::target(name, &wanted.launch, seen, binaries, to)?;
    Ok(RolledBack {
        launch,
        instead_of: wanted.launch.fingerprint(),
        instead_of_build: wanted.launch.build.clone(),
        at: observed.at,
        reason: args.why.reason.clone(),
    })
}

impl From<NoTarget> for Failure {
    fn from(error: NoTarget) -> Self {
        let failure = Self::of(Kind::Failed, &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn failed_its_gate(report: &Report) -> bool {
    report
        .outcomes
        .iter()
        .any(|(_, outcome)| matches!(outcome, Outcome::Failed(ActionError::GateFailed { .. })))
}
