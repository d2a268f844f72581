//! What the verbs that halt watch have in common: they write what a person wants of it, which counts from
//! then on, show what holds, and keep it in the history.

use std::time::Duration;

use llama_orch::apply::Report;
use llama_orch::history::{self, Asked, Entry, StepEntry};
use llama_orch::reconcile;
use llama_orch::root::Root;
use llama_orch::watch::alive;
use llama_orch::watch::brake::Brake;
use llama_orch::watch::snapshot::WatchState;

use crate::cli::diagnostic::Failure;
use crate::cli::text;
use crate::cli::ui::Ui;

/// One wish.
pub(super) struct Wish<'a> {
    /// `suspend`, `resume`, `pin`.
    pub(super) action: &'static str,
    /// The whole verb, and why.
    pub(super) asked: Asked<'a>,
    /// What holds from then on.
    pub(super) holds: String,
}

/// Changes the brake, and says so. Whether it is another one now.
pub(super) fn halt(
    root: &Root,
    wish: &Wish<'_>,
    change: impl FnOnce(&mut Brake),
    ui: &Ui,
) -> Result<bool, Failure> {
    let (before, now) = Brake::change(root, change)?;
    if before == now {
        return Ok(false);
    }
    ui.remark(text::done(wish.action, "watch", &wish.holds));
    let step = StepEntry {
        action: wish.action.to_owned(),
        subject: "watch".to_owned(),
        reason: wish.asked.reason.unwrap_or("asked for").to_owned(),
        outcome: "done".to_owned(),
        seconds: None,
        error: None,
    };
    let mut entry = Entry::of(
        wish.asked,
        reconcile::now(),
        Duration::ZERO,
        &Report::default(),
    );
    entry.steps.push(step);
    history::append(root, &entry)?;
    Ok(true)
}

/// The watch that has to do with it, if one runs; that none does is said.
pub(super) fn watching(root: &Root, ui: &Ui) -> Option<WatchState> {
    let state = alive::living(root);
    if state.is_none() && !alive::is_living(root) {
        ui.remark("No watch runs here; it counts for the next one.");
    }
    state
}
