//! `rollback`: back to an earlier, proven launch. Where that differs from the manifest by its build
//! alone, the pin is written back; else it is put on record on this machine, and brought about by an
//! ordinary pass narrowed to the instance.

use std::collections::BTreeSet;

use clap::Args;
use llama_orch::apply::{Outcome, Report};
use llama_orch::backend::local::Local;
use llama_orch::backend::{ActionError, Backend as _};
use llama_orch::binaries;
use llama_orch::desired::resolve::Resolved;
use llama_orch::desired::{Desired, WantedInstance};
use llama_orch::instance::InstanceName;
use llama_orch::instance::record::{RecordedLaunch, RolledBack};
use llama_orch::manifest::edit::{Edit, WrittenPin};
use llama_orch::observed::{Observed, ObservedInstance, Seen};
use llama_orch::plan::rollback::{self, NoTarget, Proven};
use llama_orch::reconcile::Loaded;

use super::diagnostic::{Failure, Kind};
use super::editing::{EditArgs, Editing, Wish};
use super::ui::Ui;
use super::{Global, among, apply, plan, text};

/// Go back to the launch that was proven before, and stay there
///
/// Where it differs from what is written by its build alone, the pin is written back to that. Else, for
/// the canary, where `watch --git` keeps the files, and with `--local`, these stay as they are and it is put on
/// record on this machine: it counts until the manifest wants something else of the instance, or `retry` lifts it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RollbackArgs {
    /// The instance
    #[arg(value_name = "NAME")]
    name: InstanceName,
    /// Go to the proven launch of this build: its name, or the beginning of its id
    #[arg(long, value_name = "BUILD")]
    to: Option<String>,
    /// Edit no file: put it on record on this machine alone
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    edit: EditArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch rollback chat
  llama-orch rollback chat --to b9553 --reason 'slower answers'
  llama-orch rollback chat --local --yes";

pub(crate) fn run(global: &Global, args: &RollbackArgs, ui: &Ui) -> Result<u8, Failure> {
    let editing = Editing::begin(global, &args.edit, "rollback", ui)?;
    among(std::slice::from_ref(&args.name), &editing.known())?;
    let terms = editing.terms();
    let backend = Local::new(&editing.loaded, terms);
    if !args.edit.dry_run {
        backend.settle()?;
    }
    let source = editing.source();
    let resolved = editing.loaded.resolve(&source, terms);
    let (resolved, _) = editing.runtime.block_on(resolved);
    let desired = &resolved.desired;
    let seen = editing.runtime.block_on(backend.observe(desired));
    if editing.is_followed && !args.local {
        ui.remark(
            "the files are as git has them, and stay so: the rollback is put on record on this machine",
        );
    }
    if args.local || editing.is_followed {
        let rolled_back = choose(args, desired, &seen, None)?;
        return on_record(&editing, args, &resolved, rolled_back, ui);
    }
    let target = match runs_proven(args, desired, &seen) {
        Some(launch) => launch,
        None => choose(args, desired, &seen, None)?.launch,
    };
    // Others would follow a canary that has no change of its own any more.
    let is_canary = editing.loaded.manifest.rollout.canary.as_ref() == Some(&args.name);
    let edit = if is_canary {
        None
    } else {
        pinned_back(&editing, &args.name, &target)?
    };
    let Some(edit) = edit else {
        let (name, build) = (&args.name, &target.launch.build);
        let why = if is_canary {
            format!("`{name}` is the canary, which nobody is to follow while it is back at {build}")
        } else {
            format!("`{name}` ran {build} with other settings than those that are written")
        };
        ui.remark(format_args!("{why}: the files stay as they are"));
        let rolled_back = choose(args, desired, &seen, Some(target))?;
        return on_record(&editing, args, &resolved, rolled_back, ui);
    };
    let fingerprint = target.fingerprint();
    let mut wish = Wish::to(vec![edit]);
    wish.goes_back = true;
    if let Some(WantedInstance::Resolved(wanted)) = desired.instances.get(&args.name) {
        let (name, was) = (&args.name, &wanted.launch.build);
        wish.way_out = Some(format!(
            "a rollback is not rolled back by itself; `llama-orch upgrade {name} --binary-version {was}` goes on with {was}"
        ));
    }
    // A person wants it: what stood against it is forgotten.
    wish.record = Some(Box::new(move |record, assignment| {
        record
            .failed
            .retain(|failed| failed.fingerprint != fingerprint);
        record.pardon(assignment);
    }));
    editing.run(&wish)
}

/// What runs, where that was proven and is not what the manifest wants: then the manifest is what goes
/// back.
fn runs_proven(
    args: &RollbackArgs,
    desired: &Desired,
    observed: &Observed,
) -> Option<RecordedLaunch> {
    // What cannot be had is not what runs.
    let wanted = match desired.instances.get(&args.name)? {
        WantedInstance::Resolved(wanted) => Some(&wanted.launch.inputs),
        WantedInstance::Unresolved(_) => None,
    };
    let seen = observed.instances.get(&args.name)?;
    let (memory, server) = (seen.memory.known()?, seen.server.known()?.as_ref()?);
    let inputs = &server.launch.launch.inputs;
    let is_proven = |launch: &&RecordedLaunch| launch.launch.inputs == *inputs;
    let is_meant = args.to.is_none() && wanted != Some(inputs);
    memory
        .proven
        .iter()
        .find(is_proven)
        .filter(|_| is_meant)
        .cloned()
}

/// The pin that leads to a launch again. None where more than the pin differs.
fn pinned_back(
    editing: &Editing<'_>,
    name: &InstanceName,
    target: &RecordedLaunch,
) -> Result<Option<Edit>, Failure> {
    let version = WrittenPin {
        version: Some(target.launch.build.to_string()),
        ..WrittenPin::default()
    };
    let with_variant = WrittenPin {
        variant: Proven::of(target).variant.map(|variant| variant.short()),
        ..version.clone()
    };
    let with_id = WrittenPin {
        binary_id: Some(target.launch.binary.to_string()),
        ..with_variant.clone()
    };
    let source = editing.source();
    let Loaded {
        registry, manifest, ..
    } = &editing.loaded;
    let entry = registry.get(target.launch.binary);
    let whole = entry.map(|entry| binaries::written_pin(entry, &manifest.source));
    for pin in [version, with_variant, whole.unwrap_or(with_id)] {
        let edit = Edit::Pin {
            instance: name.clone(),
            pin,
        };
        let loaded = editing.with(std::slice::from_ref(&edit))?;
        let covered = loaded.resolve_covered(&source, editing.terms());
        let (resolved, _) = editing.runtime.block_on(covered);
        if let Some(WantedInstance::Resolved(wanted)) = resolved.desired.instances.get(name)
            && wanted.launch.inputs == target.launch.inputs
        {
            return Ok(Some(edit));
        }
    }
    Ok(None)
}

/// Puts a rollback on record, and brings it about by a pass narrowed to the instance.
fn on_record(
    editing: &Editing<'_>,
    args: &RollbackArgs,
    resolved: &Resolved,
    rolled_back: RolledBack,
    ui: &Ui,
) -> Result<u8, Failure> {
    let runtime = &editing.runtime;
    let desired = &resolved.desired;
    let mut backend = Local::new(&editing.loaded, editing.terms());
    // From here on it is looked at as if it were so.
    backend.propose(&args.name, rolled_back.clone());
    let observed = runtime.block_on(backend.observe(desired));
    let names = BTreeSet::from([args.name.clone()]);
    let plan = llama_orch::plan::plan(desired, &observed).narrowed(&names);
    let plan = if args.edit.force {
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
    if args.edit.dry_run {
        return Ok(0);
    }
    if !args.edit.yes && !apply::consents(&plan, ui)? {
        return Ok(1);
    }
    editing.loaded.remember(resolved)?;
    backend.change_record(&args.name, |record, assignment| {
        record.roll_back(rolled_back, assignment);
    })?;
    if args.edit.no_apply {
        ui.remark("See `llama-orch plan`.");
        return Ok(0);
    }
    let asked = args.edit.why.asked("rollback");
    let report = apply::carry_out(runtime, &backend, &plan, asked, &editing.root, ui)?;
    let started = apply::await_starting(runtime, &backend, &plan, ui)?;
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
    target: Option<RecordedLaunch>,
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
    let launch = match target {
        Some(launch) => launch,
        None => rollback::target(name, &wanted.launch, seen, binaries, to)?,
    };
    Ok(RolledBack {
        launch,
        instead_of: wanted.launch.fingerprint(),
        instead_of_build: wanted.launch.build.clone(),
        at: observed.at,
        reason: args.edit.why.reason.clone(),
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
