//! What a person wishes of instances and what is noted in their records, without a pass: from then on
//! it counts, also for a pass that is at work.

use std::collections::BTreeSet;
use std::time::Instant;

use llama_orch::backend::local::Local;
use llama_orch::history::{self, Asked, Entry, StepEntry};
use llama_orch::instance::InstanceName;
use llama_orch::instance::folder;
use llama_orch::instance::record::Record;
use llama_orch::reconcile::{self, Loaded};
use llama_orch::root::Root;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Selection, text};

/// The instances that have left a trace.
pub(super) fn begun(root: &Root) -> Result<Vec<InstanceName>, Failure> {
    folder::list(root.path()).map_err(|error| {
        Failure::new(Kind::Failed, "cannot list the instances".to_owned()).because(&error)
    })
}

/// Those that are meant, of the ones that have left a trace and the ones that are written. A manifest that
/// cannot be read is no reason to leave alone what runs.
pub(super) fn chosen(
    root: &Root,
    instances: &Selection,
    begun: impl IntoIterator<Item = InstanceName>,
    ui: &Ui,
) -> Result<BTreeSet<InstanceName>, Failure> {
    let mut known: BTreeSet<InstanceName> = begun.into_iter().collect();
    let manifest = match Loaded::read(root) {
        Ok(loaded) => Some(loaded.manifest),
        Err(error) => {
            ui.warning(Failure::from(error).render());
            None
        }
    };
    let written = manifest.iter().flat_map(|it| it.instances.keys());
    known.extend(written.cloned());
    instances.among(&known, manifest.as_ref())
}

/// Changes the record of each, shows what holds from then on and keeps it in the history.
pub(super) fn note(
    root: &Root,
    names: &BTreeSet<InstanceName>,
    asked: Asked<'_>,
    holds: impl Fn(&InstanceName) -> String,
    change: impl Fn(&mut Record),
    ui: &Ui,
) -> Result<u8, Failure> {
    let backend = Local::bare(root);
    let (at, began) = (reconcile::now(), Instant::now());
    let mut failures = Vec::new();
    let mut steps = Vec::new();
    for name in names {
        let noted = backend.change_record(name, |record, _| change(record));
        let error = noted.as_ref().err().map(|error| history::chain(error));
        let outcome = if error.is_none() { "done" } else { "failed" };
        steps.push(StepEntry {
            action: asked.verb.to_owned(),
            subject: name.to_string(),
            reason: asked.reason.unwrap_or("asked for").to_owned(),
            outcome: outcome.to_owned(),
            seconds: None,
            error,
        });
        match noted {
            Ok(()) => ui.remark(text::done(asked.verb, name.as_str(), &holds(name))),
            // The others are noted all the same.
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    let entry = Entry {
        schema: history::SCHEMA,
        at: at.to_string(),
        seconds: began.elapsed().as_secs_f64(),
        verb: asked.verb.to_owned(),
        reason: asked.reason.map(str::to_owned),
        succeeded: failures.is_empty(),
        interrupted: false,
        steps,
        notices: Vec::new(),
    };
    for failure in &failures {
        ui.failure(failure);
    }
    history::append(root, &entry)?;
    Ok(u8::from(!failures.is_empty()))
}
