//! One pass: read, look, and carry out what follows; then say what came of it.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::look::Sight;
use super::reading::words;
use super::{Event, Keeper};
use crate::apply::{Executor, Outcome, Report};
use crate::backend::local::Local;
use crate::history::{self, Entry, StepEntry};
use crate::plan::Plan;
use crate::reconcile::{self, LoadError, PassLock, PassLockError};
use crate::watch::progress::Progress;
use crate::watch::schedule::Wake;
use crate::watch::senses::{End, Sense};
use crate::watch::snapshot::{PassResult, PassState};

/// How long the pass lock is waited for before the pass is put off.
const LOCK_PATIENCE: Duration = Duration::from_millis(50);

const NEWER_FILES: &str = "newer files came; starting over with them";
const SUSPENDED: &str = "suspended; what was not begun is left";

/// What came of carrying out.
enum Carried {
    /// All of it was tried.
    Report(Report),
    /// Newer files came, or a person suspended watch: what was not begun is left, and these are the words for it.
    BrokenOff(&'static str, Vec<StepEntry>),
    /// Watch is to end.
    Ended(End, Vec<StepEntry>),
}

/// A pass so far.
pub(super) struct Course {
    at: Timestamp,
    began: Instant,
    woken_by: String,
    pub(super) result: PassResult,
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
                // Read before it was told of, maybe. A commit speaks for the files it has changed.
                Some(file) if !wakes.iter().any(|wake| matches!(wake, Wake::Git(_))) => {
                    let others = wakes.iter().filter(|wake| !is_file(wake)).map(Wake::words);
                    let words = std::iter::once(Wake::Files(file).words()).chain(others);
                    course.woken_by = words.collect::<Vec<_>>().join(", ");
                }
                // Written, and as it was.
                None if wakes.iter().all(is_file) && self.state.now().manifest.good => {
                    self.schedule.unchanged();
                    self.publish_state();
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
                    self.kept_off = Some(error);
                    self.publish(&sight);
                    self.publish_state();
                    // What woke it is still to be answered.
                    self.passed = before;
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
                (Entry::of("watch".into(), course.at, took, report), None)
            }
            Carried::BrokenOff(why, steps) => {
                course.result = PassResult::Superseded;
                // Even where they come back as they were, what was left off is to be gone on with.
                self.passed = None;
                self.voice.breaks_off(why);
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
        let progress = Progress::new(voice);
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
            let may_brake = matches!(event, Event::Sense(Sense::States));
            if let Some(report) = meanwhile(carrying.as_mut(), self.handle(event)).await {
                break Carried::Report(report);
            }
            if may_brake && self.brake().suspended.is_some() {
                break Carried::BrokenOff(SUSPENDED, progress.entries());
            }
            if self.state.set_doing(progress.doing()) {
                self.publish_state();
            }
            if self.schedule.supersedes(self.now()) {
                let mut is_newer = false;
                let look = async { is_newer = self.is_newer().await };
                if let Some(report) = meanwhile(carrying.as_mut(), look).await {
                    break Carried::Report(report);
                }
                if is_newer {
                    break Carried::BrokenOff(NEWER_FILES, progress.entries());
                }
                // Bad files are shown at once, however long the pass goes on.
                self.publish_state();
            }
        };
        let tried = progress.tried();
        let tried = tried.iter().map(|(step, failed)| (step, failed.clone()));
        self.attempts.note(tried, reconcile::now());
        self.state.received(progress.received());
        let _ = self.state.set_doing(Vec::new());
        carried
    }

    async fn refused(&mut self, mut course: Course, error: &LoadError) -> Option<End> {
        course.result = PassResult::Refused;
        course.error = Some(words(error));
        self.voice.warning(&words(error));
        self.publish_bare();
        self.over(course, None).await;
        None
    }
}

/// Does something to its end, and lets the steps go on meanwhile: the report where all of them have ended by then.
async fn meanwhile(
    mut carrying: Pin<&mut impl Future<Output = Report>>,
    work: impl Future<Output = ()>,
) -> Option<Report> {
    let mut work = pin!(work);
    tokio::select! {
        () = &mut work => None,
        report = &mut carrying => {
            work.await;
            Some(report)
        }
    }
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

    pub(super) fn ended(self) -> PassState {
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
