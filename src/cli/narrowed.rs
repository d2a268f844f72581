//! What a person asks of some instances: it is noted in their records at once, and brought about by an
//! ordinary pass narrowed to them.
//!
//! Noting needs no other lock than that of each instance, so that it counts from then on, whoever is
//! at work and whatever becomes of this pass.

use std::collections::{BTreeMap, BTreeSet};

use llama_orch::backend::local::Local;
use llama_orch::desired::resolve::Terms;
use llama_orch::history::Asked;
use llama_orch::instance::InstanceName;
use llama_orch::instance::record::Record;
use llama_orch::reconcile::{self, Pass};
use uuid::Uuid;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, LockArgs, Selection, apply, followed, noted, plan, runtime, text};

/// What is asked, and of whom.
pub(super) struct Wish<'a> {
    pub(super) asked: Asked<'a>,
    pub(super) instances: &'a Selection,
    /// Whether the lock may not be extended.
    pub(super) locked: bool,
    pub(super) lock: &'a LockArgs,
    /// What is noted.
    pub(super) note: Option<Note<'a>>,
    /// Whether it may be asked of instances that left the manifest as well.
    pub(super) of_gone: bool,
    /// Whether they are restarted although nothing has changed.
    pub(super) restart: Option<Restart>,
}

/// What is noted in the record of each.
pub(super) struct Note<'a> {
    /// What holds from then on, in words.
    pub(super) holds: &'a str,
    /// The change, given the assignment its supervisor last spoke of.
    pub(super) change: fn(&mut Record, Option<Uuid>),
}

/// How they are restarted.
#[derive(Clone, Copy)]
pub(super) struct Restart {
    /// Whether nobody is asked.
    pub(super) yes: bool,
    /// Whether no open request is waited for.
    pub(super) force: bool,
}

impl Wish<'_> {
    /// Those that are restarted although nothing has changed, and why.
    fn to_restart(&self, names: &BTreeSet<InstanceName>) -> BTreeMap<InstanceName, Option<String>> {
        let why = self.asked.reason.map(str::to_owned);
        let names = names.iter().filter(|_| self.restart.is_some());
        names.map(|name| (name.clone(), why.clone())).collect()
    }
}

/// Notes what is asked, then plans and applies what concerns the instances.
pub(super) fn run(global: &Global, wish: &Wish<'_>, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let loaded = global.load(&root, ui)?;
    let mut known: BTreeSet<InstanceName> = loaded.manifest.instances.keys().cloned().collect();
    if wish.of_gone {
        known.extend(noted::begun(&root)?);
    }
    let names = wish.instances.among(&known, Some(&loaded.manifest))?;
    if let Some(note) = &wish.note {
        for name in &names {
            Local::bare(&root).change_record(name, note.change)?;
        }
    }
    let pass_lock = wish.lock.take(&root, wish.asked.verb);
    let pass_lock = pass_lock.map_err(|failure| match (&wish.note, failure.kind) {
        (Some(note), Kind::Busy) => failure.hint(format!(
            "{} all the same, which counts from the next pass on",
            note.holds
        )),
        _ => failure,
    })?;
    Local::bare(&root).tidy()?;
    let loaded = global.load(&root, ui)?;
    let terms = Terms {
        locked: wish.locked || followed::is_followed(&root),
        offline: global.offline,
        attended: true,
        ..Terms::default()
    };
    let backend = Local::new(&loaded, terms);
    backend.settle()?;
    let source = loaded.source(terms);
    let runtime = runtime()?;
    let Pass {
        resolved,
        observed,
        plan,
        unreachable,
    } = runtime.block_on(reconcile::pass_restarting(
        &loaded,
        &source,
        &backend,
        terms,
        wish.to_restart(&names),
    ));
    // Nobody has agreed to the removal of one that left the manifest.
    let plan = plan.narrowed(&names).without_removals();
    let plan = match wish.restart {
        Some(Restart { force: true, .. }) => plan.without_drain(),
        Some(Restart { force: false, .. }) | None => plan,
    };
    ui.data(text::plan(&plan, ui.width(), text::AS_WRITTEN));
    plan::hints(&plan, ui);
    for name in &names {
        let wanted = resolved.desired.instances.get(name);
        if wanted.is_some_and(|wanted| !wanted.enabled()) {
            ui.remark(format_args!(
                "`{name}` is disabled in orchestrator.yaml (`enabled: false`)"
            ));
        }
    }
    if wish.restart.is_some_and(|restart| !restart.yes) && !apply::consents(&plan, ui)? {
        return Ok(1);
    }
    loaded.remember(&resolved)?;
    backend.forget_rollbacks(&resolved.desired, &observed)?;
    let code = apply::bring_about(&runtime, &backend, &plan, wish.asked, &root, ui)?;
    drop(pass_lock);
    Ok(if unreachable && plan::is_stuck(&plan) {
        69
    } else {
        code
    })
}
