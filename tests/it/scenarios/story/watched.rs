//! One pass of a story as `watch` makes it: nobody is there to ask, and what failed is remembered.

use futures_util::FutureExt as _;
use jiff::Timestamp;
use llama_orch::apply::{Executor, Outcome, Report};
use llama_orch::backend::ActionError;
use llama_orch::desired::resolve::Answers;
use llama_orch::manifest::Manifest;
use llama_orch::plan::Plan;
use llama_orch::release::Digest;
use llama_orch::watch::attempts::Attempts;
use uuid::Uuid;

use super::{Pass, Story, Unheard};

/// What watch keeps between two passes.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) attempts: Attempts,
    /// The last manifest that was good.
    last_good: Option<(String, Manifest)>,
    /// What the release source said, to which files, and when it was asked.
    answers: Option<(Digest, Timestamp, Answers)>,
}

impl Story {
    /// One pass of watch. `None` where there is no manifest to go by. One that is superseded ends as soon
    /// as it has something to wait for.
    pub(super) fn watch(&mut self, superseded: bool) -> Option<Plan> {
        let manifest = self.manifest_to_go_by()?;
        self.machine.world().settle();
        let pass = self.watch_pass(&manifest);
        self.say(&pass.plan);
        if let Some(until) = pass.plan.wake_at() {
            self.say(format_args!(
                "looks again at {}",
                until.strftime("%H:%M:%S")
            ));
        }
        self.lock = pass.resolved.lock.clone();
        let resolved = &pass.resolved;
        self.machine.world().forget_rollbacks(&resolved.desired);
        self.chosen
            .retain(|name, _| resolved.desired.instances.contains_key(name));
        self.chosen.extend(resolved.chosen.clone());
        if superseded {
            self.begin_and_leave(&pass.plan);
        } else {
            let executor = Executor::new(&self.machine);
            let report = self.runtime.block_on(executor.apply(&pass.plan, &Unheard));
            self.say_what_happened();
            self.report(&report);
            self.note(&report);
        }
        Some(pass.plan)
    }

    fn manifest_to_go_by(&mut self) -> Option<Manifest> {
        if let Some((text, manifest)) = &self.watched.last_good
            && *text == self.manifest
        {
            return Some(manifest.clone());
        }
        match Manifest::parse(&Self::texts(&self.manifest)) {
            Ok(manifest) => {
                let good = (self.manifest.clone(), manifest.clone());
                self.watched.last_good = Some(good);
                Some(manifest)
            }
            Err(mistakes) => {
                self.say(mistakes);
                let good = self.watched.last_good.clone();
                self.say(match good {
                    Some(_) => "the last manifest that was good still counts",
                    None => "there was no good manifest yet: nothing is done",
                });
                good.map(|(_, manifest)| manifest)
            }
        }
    }

    fn watch_pass(&mut self, manifest: &Manifest) -> Pass {
        let watch = &manifest.watch;
        let now = self.machine.world().now;
        let good = self.watched.last_good.as_ref();
        let good = good.map_or("", |(text, _)| text);
        let inputs = Digest::of(format!("{good}\n{}", self.lock.print()));
        let known = self.watched.answers.take().filter(|(of, at, answers)| {
            let is_time = now.duration_since(*at).unsigned_abs() >= watch.retry_interval;
            *of == inputs && (answers.are_whole() || !is_time)
        });
        // Whoever asks anew mints other ids.
        self.passes += 1;
        let anew = || (now, Answers::new(Uuid::from_u128(self.passes)));
        let (at, answers) = known.map_or_else(anew, |(_, at, answers)| (at, answers));
        let (mut resolved, answers) = self.resolve_knowing(manifest, &["unattended"], answers);
        self.watched.answers = Some((inputs, at, answers));
        resolved.desired = resolved.desired.unattended(watch);
        let observed = self.runtime.block_on(llama_orch::backend::Backend::observe(
            &self.machine,
            &resolved.desired,
        ));
        let plan = llama_orch::plan::plan(&resolved.desired, &observed).permitted(watch);
        let attempts = &mut self.watched.attempts;
        let plan = attempts.held_back(plan, now, watch.retry_interval).paced();
        Pass {
            resolved,
            observed,
            plan,
        }
    }

    fn note(&mut self, report: &Report) {
        let outcomes = report
            .outcomes
            .iter()
            .filter_map(|(step, outcome)| match outcome {
                Outcome::Done { .. } => Some((step, None)),
                Outcome::Failed(ActionError::Stale(_))
                | Outcome::Skipped { .. }
                | Outcome::GivenUp(_) => None,
                Outcome::Failed(error) => Some((step, Some(super::chain(error)))),
            });
        let now = self.machine.world().now;
        self.watched.attempts.note(outcomes, now);
    }

    /// Begins what there is to do, and leaves as soon as there is something to wait for: what was begun
    /// goes on by itself.
    fn begin_and_leave(&mut self, plan: &Plan) {
        self.machine.world().nobody_waits = true;
        let executor = Executor::new(&self.machine);
        let report = executor.apply(plan, &Unheard).now_or_never();
        self.machine.world().nobody_waits = false;
        self.say_what_happened();
        if let Some(report) = report {
            self.report(&report);
            self.note(&report);
        } else {
            self.say("the pass is given up: the files have changed");
        }
    }
}
