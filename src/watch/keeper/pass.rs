//! One pass: read, look, and carry out what follows; then say what came of it.

use std::pin::pin;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::look::Sight;
use super::{Event, Keeper};
use crate::apply::{Executor, Outcome, Report};
use crate::backend::ActionError;
use crate::backend::local::Local;
use crate::history::{self, Entry, StepEntry};
use crate::plan::Plan;
use crate::reconcile::{self, LoadError, PassLock, PassLockError};
use crate::watch::brake::Brake;
use crate::watch::inputs::{Inputs, LastGood};
use crate::watch::notice::notices;
use crate::watch::progress::Progress;
use crate::watch::schedule::Wake;
use crate::watch::senses::{End, Sense};
use crate::watch::snapshot::{Halted, PassResult, PassState};

/// How long the pass lock is waited for before the pass is put off.
const LOCK_PATIENCE: Duration = Duration::from_millis(50);
/// The least time to a pass that is made for a hold.
const SECOND: Duration = Duration::from_secs(1);

/// What came of carrying out.
enum Carried {
    /// All of it was tried.
    Report(Report),
    /// Newer files came.
    Superseded(Vec<StepEntry>),
    /// Watch is to end.
    Ended(End, Vec<StepEntry>),
}

/// A pass so far.
struct Course {
    at: Timestamp,
    began: Instant,
    woken_by: String,
    result: PassResult,
    done: usize,
    failed: usize,
    error: Option<String>,
}

impl Keeper<'_> {
    /// Makes one pass. `Some` where watch was told to end meanwhile.
    pub(super) async fn pass(&mut self, wakes: &[Wake]) -> Option<End> {
        let words: Vec<String> = wakes.iter().map(Wake::words).collect();
        let mut course = Course {
            at: reconcile::now(),
            began: Instant::now(),
            woken_by: words.join(", "),
            result: PassResult::Converged,
            done: 0,
            failed: 0,
            error: None,
        };
        if wakes.contains(&Wake::Hangup) {
            self.looks.forget_answers();
        }
        let brake = self.brake();
        self.state.set_brake(&brake);
        if brake != self.braked {
            // What was held still may move, or is to be somewhere else.
            self.braked = brake.clone();
            self.advance().await;
        }
        let before = self.passed.clone();
        let good = self.take_inputs().await;
        if let (Some(before), Some(now)) = (&before, &self.read) {
            let is_file = |wake: &Wake| matches!(wake, Wake::Files(_));
            match now.difference(before) {
                Some(file) if wakes.iter().any(is_file) => {
                    let others = wakes.iter().filter(|wake| !is_file(wake)).map(Wake::words);
                    let words = std::iter::once(Wake::Files(file).words()).chain(others);
                    course.woken_by = words.collect::<Vec<_>>().join(", ");
                }
                // Written, and as it was.
                None if wakes.iter().all(is_file) && self.state.now().manifest.good => {
                    let now = self.now();
                    let hold = self.hold_at.map(|at| at.saturating_sub(now));
                    self.schedule.ended(now, self.resync, hold);
                    return None;
                }
                Some(_) | None => {}
            }
        }
        self.passed.clone_from(&self.read);
        let Some(good) = good else {
            course.result = PassResult::Refused;
            course.error.clone_from(&self.state.now().manifest.message);
            self.publish_bare();
            self.over(course, None).await;
            return None;
        };
        if let Err(error) = Local::bare(&self.root).settle() {
            self.voice.warning(&history::chain(&error));
        }
        let mut sight = match self.sight(&good.inputs).await {
            Ok(sight) => sight,
            Err(error) => return self.refused(course, &error).await,
        };
        if brake.suspended.is_some() {
            self.over(course, Some(sight)).await;
            return None;
        }
        if sight.plan.has_changes() || !sight.loaded.is_remembered(&sight.resolved) {
            let _lock = match PassLock::take(&self.root, "watch", LOCK_PATIENCE) {
                Ok(lock) => lock,
                Err(error) => {
                    if let PassLockError::File(error) = &error {
                        self.voice.warning(&history::chain(error));
                    }
                    self.publish(&sight);
                    let now = self.now();
                    self.schedule.deferred(now);
                    return None;
                }
            };
            if let Err(error) = Local::bare(&self.root).tidy() {
                self.voice.warning(&history::chain(&error));
            }
            // Whoever had the lock may have changed anything.
            sight = match self.sight(&good.inputs).await {
                Ok(sight) => sight,
                Err(error) => return self.refused(course, &error).await,
            };
            let ended = self.bring_about(&mut course, &sight).await;
            if ended.is_some() {
                self.over(course, None).await;
                return ended;
            }
            // What it came to is looked at by the pass that follows.
            if course.done > 0 {
                self.schedule.woken(Wake::Followup, self.now());
            }
        } else {
            let remembered = sight
                .backend
                .forget_rollbacks(&sight.resolved.desired, &sight.observed);
            if let Err(error) = remembered {
                self.voice.warning(&history::chain(&error));
            }
        }
        self.over(course, Some(sight)).await;
        None
    }

    /// Reads the files, and says which to go by: those that lie there, or the last that were good.
    async fn take_inputs(&mut self) -> Option<LastGood> {
        let now = reconcile::now();
        let usable = match &mut self.git {
            Some(git) => {
                let usable = git.checkout.look(now).await;
                let state = git.checkout.state().clone();
                self.take_git(state);
                usable
            }
            None => true,
        };
        let read = Inputs::read(&self.root);
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
    fn take_lock(&mut self, text: String) {
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
                let error = history::chain(&error);
                self.voice.warning(&error);
                let mut brake = Brake::default();
                brake.suspended = Some(Halted {
                    at: reconcile::now().to_string(),
                    reason: Some(error),
                });
                brake
            }
        }
    }

    /// Carries the plan out, and notes in the history what came of it.
    async fn bring_about(&mut self, course: &mut Course, sight: &Sight) -> Option<End> {
        let Sight {
            loaded,
            backend,
            resolved,
            observed,
            plan,
        } = sight;
        let remembered = loaded
            .remember(resolved)
            .and_then(|()| backend.forget_rollbacks(&resolved.desired, observed));
        if let Err(error) = remembered {
            course.result = PassResult::Refused;
            course.error = Some(history::chain(&error));
            self.voice.warning(&history::chain(&error));
            return None;
        }
        if resolved.lock != loaded.lock {
            self.take_lock(resolved.lock.print());
        }
        if !plan.has_changes() {
            return None;
        }
        self.voice.begins(&course.woken_by, plan);
        self.stood.clear();
        let carried = self.carry_out(backend, plan).await;
        let took = course.began.elapsed();
        let (entry, end) = match &carried {
            Carried::Report(report) => {
                course.count(report);
                self.voice.ends(report, took);
                let outcomes = report.outcomes.iter();
                let tried = outcomes.filter(|(_, outcome)| was_tried(outcome));
                let tried = tried.map(|(step, outcome)| (step, why_failed(outcome)));
                self.attempts.note(tried, reconcile::now());
                (Entry::of("watch".into(), course.at, took, report), None)
            }
            Carried::Superseded(steps) => {
                course.result = PassResult::Superseded;
                self.voice.starts_over();
                (course.interrupted(took, steps), None)
            }
            Carried::Ended(end, steps) => {
                course.result = PassResult::Superseded;
                (course.interrupted(took, steps), Some(*end))
            }
        };
        if let Err(error) = history::append(&self.root, &entry) {
            self.voice.warning(&history::chain(&error));
        }
        end
    }

    /// Runs the steps, and goes on sensing meanwhile.
    async fn carry_out(&mut self, backend: &Local, plan: &Plan) -> Carried {
        let voice = self.voice;
        let progress = Progress::new(upcast(voice));
        let executor = Executor::new(backend);
        let mut carrying = pin!(executor.apply(plan, &progress));
        let carried = loop {
            let event = tokio::select! {
                report = &mut carrying => break Carried::Report(report),
                event = self.next() => event,
            };
            if let Event::Sense(Sense::End(end)) = event {
                break Carried::Ended(end, progress.entries());
            }
            if matches!(event, Event::Asked) {
                let _ = self.state.set_doing(progress.doing());
            }
            self.handle(event).await;
            if self.state.set_doing(progress.doing()) {
                self.publish_state();
            }
            if self.schedule.supersedes(self.now()) && self.is_newer().await {
                break Carried::Superseded(progress.entries());
            }
        };
        self.state.received(progress.received());
        let _ = self.state.set_doing(Vec::new());
        carried
    }

    /// Whether other files lie in the root than those the pass goes by, and good ones. Bad ones are no reason to
    /// stop what is going on.
    async fn is_newer(&mut self) -> bool {
        let before = self.good.as_ref().map(|good| good.inputs.digest());
        let now = self.take_inputs().await.map(|good| good.inputs.digest());
        before != now
    }

    async fn refused(&mut self, mut course: Course, error: &LoadError) -> Option<End> {
        course.result = PassResult::Refused;
        course.error = Some(words(error));
        self.voice.warning(&words(error));
        self.publish_bare();
        self.over(course, None).await;
        None
    }

    /// A pass is over: says so to everybody who is to know.
    async fn over(&mut self, mut course: Course, sight: Option<Sight>) {
        let (mut resync, mut hold) = (super::RESYNC, None);
        if let Some(sight) = &sight {
            let watch = &sight.loaded.manifest.watch;
            resync = watch.resync;
            self.resync = resync;
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
        self.hold_at = hold.map(|hold| now + hold);
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
        if self.told != before
            && let Err(error) = self.told.keep(&self.root)
        {
            self.voice.warning(&history::chain(&error));
        }
        if told.is_empty() {
            return;
        }
        let entry = Entry::noticed(reconcile::now(), told.clone());
        if let Err(error) = history::append(&self.root, &entry) {
            self.voice.warning(&history::chain(&error));
        }
        let command = match sight {
            Some(sight) => sight.loaded.manifest.notify.clone(),
            None => self.last_command(),
        };
        if !command.is_empty() {
            self.notifier.tell(&command, told);
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

/// What is wrong with the files, whole.
fn words(error: &LoadError) -> String {
    match error {
        LoadError::Mistakes(mistakes) => mistakes.to_string().trim_end().to_owned(),
        other => history::chain(other),
    }
}

/// Whether an outcome says anything of trying again.
const fn was_tried(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed(
            ActionError::Stale(_) | ActionError::PutDown(_) | ActionError::Suspended(_),
        )
        | Outcome::Skipped { .. }
        | Outcome::GivenUp(_) => false,
        // A gate that failed for good is on record and planned no more; one that failed for a cause that may pass
        // would be tried without end, each time at the cost of what runs in its stead.
        Outcome::Done { .. }
        | Outcome::Failed(ActionError::Failed { .. } | ActionError::GateFailed { .. }) => true,
    }
}

fn why_failed(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed(error) => Some(history::chain(error)),
        Outcome::Done { .. } | Outcome::Skipped { .. } | Outcome::GivenUp(_) => None,
    }
}

fn upcast(voice: &dyn super::Voice) -> &dyn crate::apply::Events {
    voice
}

impl Course {
    fn count(&mut self, report: &Report) {
        let done = |outcome: &Outcome| matches!(outcome, Outcome::Done { .. });
        self.done = report.outcomes.iter().filter(|(_, it)| done(it)).count();
        let failed = |it: &Outcome| matches!(it, Outcome::Failed(_) | Outcome::Skipped { .. });
        self.failed = report.outcomes.iter().filter(|(_, it)| failed(it)).count();
        self.result = if report.succeeded() {
            PassResult::Changed
        } else {
            PassResult::Failed
        };
    }

    fn interrupted(&self, took: Duration, steps: &[StepEntry]) -> Entry {
        Entry::interrupted("watch".into(), self.at, took, steps.to_vec())
    }

    fn ended(self) -> PassState {
        PassState {
            at: self.at.to_string(),
            seconds: self.began.elapsed().as_secs_f64(),
            woken_by: self.woken_by,
            result: self.result,
            done: self.done,
            failed: self.failed,
            error: self.error,
        }
    }
}
