//! What came of a pass, told to everybody who is to know: the schedule, git, the page, whoever reads along,
//! `notify.command` and the service manager.

use std::time::Duration;

use jiff::Timestamp;

use super::Keeper;
use super::look::Sight;
use super::pass::Course;
use crate::history::{self, Entry};
use crate::reconcile;
use crate::watch::notice::notices;
use crate::watch::snapshot::PassResult;

/// The least time to a pass that is made for a hold.
const SECOND: Duration = Duration::from_secs(1);

impl Keeper<'_> {
    /// A pass is over: says so to everybody who is to know.
    pub(super) async fn over(&mut self, mut course: Course, sight: Option<Sight>) {
        let (mut resync, mut hold) = (super::RESYNC, None);
        if let Some(sight) = &sight {
            let watch = &sight.loaded.manifest.watch;
            resync = watch.resync;
            let at = sight.observed.at;
            let left = |until: Timestamp| Duration::try_from(until.duration_since(at));
            // One whose time is past and that is there still is worth no second look at once.
            let until = sight.plan.wake_at();
            hold = until.map(|until| left(until).unwrap_or_default().max(SECOND));
            let stuck = sight.plan.needs_attention();
            if course.result == PassResult::Converged && stuck {
                course.result = PassResult::Attention;
            }
            self.tell_what_stands(sight);
        }
        self.interest
            .set_stale_after((resync * 3).max(Duration::from_mins(1)));
        let is_applied = !matches!(course.result, PassResult::Refused | PassResult::Superseded);
        if let Some(git) = &mut self.git
            && is_applied
            && self.state.now().manifest.good
            && self.state.now().suspended.is_none()
        {
            if let Err(error) = git.checkout.applied().await {
                self.voice.warning(&history::chain(&error));
            }
            let state = git.checkout.state().clone();
            self.take_git(state);
        }
        let now = self.now();
        self.schedule.ended(now, resync, hold);
        self.state.passed(course.ended());
        let wait = self.schedule.due().map(|due| due.saturating_sub(now));
        let next = wait.and_then(|wait| reconcile::now().checked_add(wait).ok());
        self.state.set_next_pass(next.map(|next| next.to_string()));
        if let Some(sight) = &sight {
            self.publish(sight);
        }
        self.publish_state();
        self.give_notice(sight.as_ref());
        self.manager.status(&self.summary());
        self.manager.ready();
    }

    /// Tells whoever reads along what is held and blocked, where that is not what it was.
    fn tell_what_stands(&mut self, sight: &Sight) {
        let plan = &sight.plan;
        let holds = plan.holds().iter();
        let holds = holds.map(|hold| format!("{} {}", hold.subject, hold.why.code()));
        let blockers = plan.blockers().iter();
        let blockers = blockers.map(|it| format!("{} {}", it.subject, it.why.code()));
        let stands: Vec<String> = holds.chain(blockers).collect();
        if stands != self.stood && !plan.has_changes() {
            if !stands.is_empty() {
                self.voice.stands(plan);
            }
            self.stood = stands;
        }
    }

    /// Tells those who are told by `notify.command`.
    fn give_notice(&mut self, sight: Option<&Sight>) {
        let snapshot = self.published.borrow().clone();
        let before = self.told.clone();
        let told = notices(&mut self.told, &snapshot);
        if !told.is_empty() {
            let entry = Entry::noticed(reconcile::now(), told.clone());
            if let Err(error) = history::append(&self.root, &entry) {
                self.voice.warning(&history::chain(&error));
            }
        }
        let command = match sight {
            Some(sight) => sight.loaded.manifest.notify.clone(),
            None => self.last_command(),
        };
        self.notifier.tell(&command, told);
        // Last: a crash before tells it twice, which is better than not at all.
        if self.told != before
            && let Err(error) = self.told.keep(&self.root)
        {
            self.voice.warning(&history::chain(&error));
        }
    }

    /// The command of the files that were good last.
    fn last_command(&self) -> Vec<String> {
        let good = self.good.as_ref();
        let loaded = good.and_then(|good| good.inputs.load(&self.root).ok());
        loaded
            .map(|loaded| loaded.manifest.notify)
            .unwrap_or_default()
    }

    /// One line for the service manager.
    fn summary(&self) -> String {
        let snapshot = self.published.borrow();
        let running = snapshot.instances.iter();
        let running = running.filter(|one| !one.row.state.is_unhealthy()).count();
        let all = snapshot.instances.len();
        let manifest = if snapshot.watch.manifest.good {
            ""
        } else {
            "; the manifest is bad, going on with the last good one"
        };
        let suspended = if snapshot.watch.suspended.is_some() {
            "; suspended"
        } else {
            ""
        };
        format!("{running} of {all} instances well{manifest}{suspended}")
    }
}
