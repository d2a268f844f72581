//! `apply`: plans, asks where something running would stop, carries it out and reports.

use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::join_all;
use llama_orch::apply::{Executor, Outcome, Report};
use llama_orch::backend::ActionError;
use llama_orch::backend::local::Local;
use llama_orch::history::{self, Asked, Entry};
use llama_orch::instance::InstanceName;
use llama_orch::plan::Plan;
use llama_orch::plan::action::Action;
use llama_orch::reconcile::{self, Pass};
use llama_orch::root::Root;

use super::diagnostic::{Failure, Kind};
use super::progress::Live;
use super::ui::Ui;
use super::{Global, LockArgs, Runtime, TermsArgs, plan, runtime, service, text, variants};

/// Make it so: install, start, restart, roll back
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ApplyArgs {
    /// Carry it out without asking, removals included
    #[arg(short, long)]
    yes: bool,
    /// Do not wait for the open requests of servers that stop (`rollout.drain`)
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    lock: LockArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch apply
  llama-orch apply --yes --prune             # in a script; unused builds go
  llama-orch apply --locked                  # nothing but what the lock covers";

pub(crate) fn run(global: &Global, args: &ApplyArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let pass_lock = args.lock.take(&root, "apply")?;
    Local::bare(&root).tidy()?;
    let runtime = runtime()?;
    let terms = args.terms.terms(global, &root);
    loop {
        let loaded = global.load(&root, ui)?;
        let backend = Local::new(&loaded, terms);
        backend.settle()?;
        let source = loaded.source(terms);
        let Pass {
            resolved,
            observed,
            plan,
            unreachable,
        } = runtime.block_on(reconcile::pass(&loaded, &source, &backend, terms));
        let plan = if args.yes || ui.can_ask() {
            plan
        } else {
            plan.without_removals()
        };
        let plan = if args.force {
            plan.without_drain()
        } else {
            plan
        };
        ui.data(text::plan(&plan, ui.width(), text::AS_WRITTEN));
        if global.verbose {
            let details = text::details(&plan, &resolved, &observed, &loaded.lock)
                + &variants::details(&loaded, &resolved, None, ui.width());
            if !details.is_empty() {
                ui.data(details.trim_end());
            }
        }
        plan::hints(&plan, ui);
        if !args.yes && !consents(&plan, ui)? {
            return Ok(1);
        }
        loaded.remember(&resolved)?;
        backend.forget_rollbacks(&resolved.desired, &observed)?;
        let report = carry_out(&runtime, &backend, &plan, "apply", &root, ui)?;
        let started = await_starting(&runtime, &backend, &plan, ui)?;
        if report.was_unreachable() && started == Started::None {
            return Ok(69);
        }
        if !report.succeeded() || started == Started::Failed {
            return Ok(1);
        }
        // What waited for those that have come up can go on now.
        if started == Started::Up && plan.waits_for_another() {
            continue;
        }
        service::reboot::remark(&root, ui);
        drop(pass_lock);
        return Ok(if unreachable && plan::is_stuck(&plan) {
            69
        } else {
            u8::from(plan.needs_attention())
        });
    }
}

/// Asks, where something that runs would stop and a person can be asked.
pub(super) fn consents(plan: &Plan, ui: &Ui) -> Result<bool, Failure> {
    let stops = plan.steps().iter().any(|step| step.action.stops_a_server());
    let agreed = !stops || !ui.can_ask() || ui.ask("\nSomething that runs would stop. Go on?")?;
    if !agreed {
        ui.remark("nothing was changed");
    }
    Ok(agreed)
}

/// What became of the instances that were starting before this pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Started {
    /// There were none.
    None,
    /// All of them passed their gate.
    Up,
    /// Some did not.
    Failed,
}

/// Waits for the gates of instances that were starting already: they are not converged, and their
/// verdict belongs to this pass as well.
pub(super) fn await_starting(
    runtime: &Runtime,
    backend: &Local,
    plan: &Plan,
    ui: &Ui,
) -> Result<Started, Failure> {
    let names = plan.starting();
    if names.is_empty() {
        return Ok(Started::None);
    }
    let list: Vec<&str> = names.iter().map(InstanceName::as_str).collect();
    ui.remark(format_args!("waiting for the gate of {}", list.join(", ")));
    let gates = join_all(names.iter().map(|name| backend.await_gate(name)));
    let verdicts = runtime.block_on(async {
        tokio::select! {
            verdicts = gates => Ok(verdicts),
            _ = tokio::signal::ctrl_c() => Err(interrupted()),
        }
    })?;
    let mut started = Started::Up;
    for (name, verdict) in names.iter().zip(verdicts) {
        match verdict {
            Ok(()) => ui.remark(format_args!("{name} is up")),
            Err(error @ ActionError::PutDown(_)) => ui.remark(error),
            Err(error) => {
                started = Started::Failed;
                let failure = Failure::new(Kind::Failed, format!("`{name}` is not up"));
                ui.failure(&failure.because(&error));
                explain(name, &error, ui);
            }
        }
    }
    Ok(started)
}

fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted".to_owned()).hint(
        "servers go on as they are, and a gate that runs comes to its verdict; `llama-orch apply` finishes the rest",
    )
}

/// Runs the plan and waits for what starts; the exit code says what came of it.
pub(super) fn bring_about<'a>(
    runtime: &Runtime,
    backend: &Local,
    plan: &Plan,
    asked: impl Into<Asked<'a>>,
    root: &Root,
    ui: &Ui,
) -> Result<u8, Failure> {
    let report = carry_out(runtime, backend, plan, asked, root, ui)?;
    let started = await_starting(runtime, backend, plan, ui)?;
    let failed = !report.succeeded() || started == Started::Failed;
    Ok(u8::from(failed || plan.needs_attention()))
}

/// Runs the plan, shows what becomes of it, and notes it in the history.
pub(crate) fn carry_out<'a>(
    runtime: &Runtime,
    backend: &Local,
    plan: &Plan,
    asked: impl Into<Asked<'a>>,
    root: &Root,
    ui: &Ui,
) -> Result<Report, Failure> {
    if !plan.has_changes() {
        return Ok(Report::default());
    }
    let asked = asked.into();
    let at = reconcile::now();
    let began = Instant::now();
    let live = Live::new(ui);
    let executor = Executor::new(backend);
    let report = runtime.block_on(async {
        tokio::select! {
            report = executor.apply(plan, &live) => Some(report),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    live.finish();
    let took = began.elapsed();
    let Some(report) = report else {
        let entry = Entry::interrupted(asked, at, took, live.noted());
        history::append(root, &entry)?;
        return Err(interrupted());
    };
    history::append(root, &Entry::of(asked, at, took, &report))?;
    summarize(&report, took, ui);
    Ok(report)
}

/// What is behind a failure: the end of the server's log, and what can be done. Told however quiet
/// it is to be.
fn explain(subject: impl Display, error: &ActionError, ui: &Ui) {
    if let ActionError::GateFailed { failure, .. } = error
        && !failure.log_tail.is_empty()
    {
        ui.error(format_args!("\nthe last lines of {subject}:"));
        for line in &failure.log_tail {
            ui.error(format_args!("    {line}"));
        }
    }
    if let Some(hint) = error.hint() {
        ui.hint(hint);
    }
}

pub(super) fn summarize(report: &Report, took: Duration, ui: &Ui) {
    for (step, outcome) in &report.outcomes {
        if let Outcome::Failed(error) = outcome {
            explain(step.action.subject(), error, ui);
        }
    }
    let count = |wanted: fn(&Outcome) -> bool| {
        report
            .outcomes
            .iter()
            .filter(|(_, outcome)| wanted(outcome))
            .count()
    };
    let done = count(|outcome| matches!(outcome, Outcome::Done { .. }));
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let rest = report.outcomes.len() - done - failed;
    let mut text = format!("Applied in {:.1} s: {done} done", took.as_secs_f64());
    if failed > 0 {
        let _ = write!(text, ", {failed} failed");
    }
    if rest > 0 {
        let _ = write!(text, ", {rest} not tried");
    }
    ui.remark(format_args!("\n{text}."));
    if report.outcomes.iter().any(|(step, outcome)| {
        matches!(outcome, Outcome::Done { .. })
            && matches!(step.action, Action::Start(_) | Action::Replace(_))
    }) {
        ui.remark("See `llama-orch status`.");
    }
}
