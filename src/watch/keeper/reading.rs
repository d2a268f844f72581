//! What a pass goes by: the files, the clone they come from, and what a person holds still.

use super::Keeper;
use crate::history;
use crate::reconcile::{self, LoadError};
use crate::watch::brake::Brake;
use crate::watch::inputs::{Inputs, LastGood};
use crate::watch::snapshot::Halted;

impl Keeper<'_> {
    /// Reads the files, and says which to go by: those that lie there, or the last that were good.
    pub(super) async fn take_inputs(&mut self) -> Option<LastGood> {
        let now = reconcile::now();
        let mut usable = self.look_at_the_clone().await;
        let read = Inputs::read(&self.root);
        // Somebody may have edited them between the look and the reading.
        if usable && read.as_ref().ok() != self.read.as_ref() {
            usable = self.look_at_the_clone().await;
        }
        let known = self.good.as_ref().map(|good| &good.inputs);
        let loaded = match &read {
            Ok(inputs) if known == Some(inputs) => Ok(()),
            Ok(inputs) => inputs.load(&self.root).map(|_| ()),
            Err(_) => Ok(()),
        };
        self.read = read.as_ref().ok().cloned();
        let wrong = match (read, loaded) {
            // Edits that are no commit: git's hold says so.
            (Ok(_), Ok(())) if !usable => None,
            (Ok(inputs), Ok(())) => {
                if self.good.as_ref().is_none_or(|good| good.inputs != inputs) {
                    let good = LastGood { inputs, at: now };
                    if let Err(error) = good.keep(&self.root) {
                        self.voice.warning(&history::chain(&error));
                    }
                    self.good = Some(good);
                }
                None
            }
            (Err(error), _) | (_, Err(error)) => Some(error),
        };
        let message = wrong.as_ref().map(words);
        let last_good_at = self.good.as_ref().map(|good| good.at.to_string());
        if self.state.set_manifest(message.clone(), last_good_at) {
            match (&message, &self.good) {
                (Some(message), Some(good)) => self.voice.warning(&format!(
                    "{message}\ngoing on with the files of {}",
                    good.at.strftime("%Y-%m-%d %H:%M:%S UTC")
                )),
                (Some(message), None) => self.voice.warning(message),
                (None, _) => self.voice.note("the files are good again"),
            }
        }
        if !usable && self.good.is_none() {
            let message = "what lies here is no commit, and no files are known to be good";
            self.state.set_manifest(Some(message.to_owned()), None);
        }
        self.good.clone()
    }

    /// Goes by the lock it has just written itself: that is no change to wake for.
    pub(super) fn take_lock(&mut self, text: String) {
        for inputs in [&mut self.read, &mut self.passed].into_iter().flatten() {
            inputs.set_lock(text.clone());
        }
        if let Some(good) = &mut self.good {
            good.inputs.set_lock(text);
            if let Err(error) = good.keep(&self.root) {
                self.voice.warning(&history::chain(&error));
            }
        }
    }

    /// What a person has told watch to hold still. A file that cannot be read holds everything still.
    pub(super) fn brake(&mut self) -> Brake {
        match Brake::read(&self.root) {
            Ok(brake) => brake,
            Err(error) => {
                let reason = Some(history::chain(&error));
                let known = self.braked.suspended.as_ref();
                if known.is_some_and(|known| known.reason == reason) {
                    return self.braked.clone();
                }
                self.voice.warning(&history::chain(&error));
                let mut brake = self.braked.clone();
                brake.suspended = Some(Halted {
                    at: reconcile::now().to_string(),
                    reason,
                });
                brake
            }
        }
    }

    /// Whether the files are those of a commit; always, where no clone is followed.
    async fn look_at_the_clone(&mut self) -> bool {
        let Some(git) = &mut self.git else {
            return true;
        };
        let usable = git.checkout.look(reconcile::now()).await;
        let state = git.checkout.state().clone();
        self.take_git(state);
        usable
    }

    /// Whether other files lie in the root than those the pass goes by, and good ones. Bad ones are no reason to
    /// stop what is going on.
    pub(super) async fn is_newer(&mut self) -> bool {
        let before = self.good.as_ref().map(|good| good.inputs.digest());
        let now = self.take_inputs().await.map(|good| good.inputs.digest());
        if before == now {
            self.schedule.answered();
        }
        before != now
    }
}

/// What is wrong with the files, whole.
pub(super) fn words(error: &LoadError) -> String {
    match error {
        LoadError::Mistakes(mistakes) => mistakes.to_string().trim_end().to_owned(),
        other => history::chain(other),
    }
}
