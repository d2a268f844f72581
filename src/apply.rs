//! Carries a plan out: runs whatever step is ready, within the plan's limits, and reports.
//!
//! It decides nothing. Whether and in which order stands in the plan; how stands in the backend.

#![expect(
    clippy::disallowed_methods,
    reason = "the executor measures how long each step took"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::backend::{ActionError, Backend, Progress};
use crate::plan::Plan;
use crate::plan::action::{Action, Needs, Step, StepId, Subject};

/// Told what happens while a plan is carried out. Methods may be called from any thread.
pub trait Events: Send + Sync {
    /// A step begins.
    fn started(&self, step: &Step);
    /// Bytes of its download have come.
    fn received(&self, step: &Step, bytes: u64, total: Option<u64>);
    /// It entered a phase, such as `loading`.
    fn phase(&self, step: &Step, phase: &str);
    /// It has something to say that a person should know, though nothing is wrong.
    fn remark(&self, step: &Step, remark: &str);
    /// It is over, or was never begun.
    fn ended(&self, step: &Step, outcome: &Outcome);
}

/// What became of each step, in the order they ended.
#[derive(Debug, Default)]
pub struct Report {
    /// Every step of the plan with its outcome.
    pub outcomes: Vec<(Step, Outcome)>,
}

/// What became of a step.
#[derive(Debug)]
pub enum Outcome {
    /// It was done.
    Done {
        /// How long it took.
        took: Duration,
    },
    /// It was tried and not done.
    Failed(ActionError),
    /// It was not tried, since it needs a step that was not done.
    Skipped {
        /// What that step was about.
        because_of: Subject,
    },
    /// A person wished so meanwhile.
    GivenUp(Wish),
}

/// What a person wished of an instance while a step of it was to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It was put down.
    PutDown,
    /// It was suspended.
    Suspended,
}

impl Wish {
    /// The words people read.
    pub const fn words(self) -> &'static str {
        match self {
            Self::PutDown => "put down",
            Self::Suspended => "suspended",
        }
    }
}

impl Report {
    /// Whether nothing was done, for no other reason than that the release source is out of reach.
    pub fn was_unreachable(&self) -> bool {
        let mut failed = false;
        for (_, outcome) in &self.outcomes {
            match outcome {
                Outcome::Failed(error) if error.is_unreachable() => failed = true,
                Outcome::Skipped { .. } | Outcome::GivenUp(_) => {}
                Outcome::Done { .. } | Outcome::Failed(_) => return false,
            }
        }
        failed
    }

    /// Whether every step was done, or given up because a person wished so.
    pub fn succeeded(&self) -> bool {
        self.outcomes
            .iter()
            .all(|(_, outcome)| matches!(outcome, Outcome::Done { .. } | Outcome::GivenUp(_)))
    }
}

/// Runs plans on a backend.
#[derive(Debug)]
pub struct Executor<'a, B> {
    backend: &'a B,
}

/// How far the step at one place has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waiting,
    Running,
    Done,
    NotDone,
}

/// Kinds of steps that have a limit of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Installs,
    Restarts,
    Starts,
    Other,
}

/// Installs at a time: more would only share the same link.
const INSTALLS_AT_A_TIME: usize = 3;

impl<'a, B: Backend> Executor<'a, B> {
    /// An executor for this backend.
    pub const fn new(backend: &'a B) -> Self {
        Self { backend }
    }

    /// Runs whatever is ready, within the plan's limits. A step that fails stops only those that
    /// need its success: a start whose build failed to install is skipped.
    pub async fn apply(&self, plan: &Plan, events: &dyn Events) -> Report {
        let steps = plan.steps();
        let mut standing = vec![Standing::Waiting; steps.len()];
        let mut lanes: BTreeMap<Lane, usize> = BTreeMap::new();
        let mut running = FuturesUnordered::new();
        let mut report = Report::default();
        loop {
            for (index, step) in steps.iter().enumerate() {
                if standing[index] != Standing::Waiting {
                    continue;
                }
                if let Some(before) = hindered_by(step, &standing) {
                    standing[index] = Standing::NotDone;
                    let because_of = steps[before.index()].action.subject();
                    let outcome = Outcome::Skipped { because_of };
                    events.ended(step, &outcome);
                    report.outcomes.push((step.clone(), outcome));
                    continue;
                }
                let lane = lane(&step.action);
                let limit = match lane {
                    Lane::Installs => INSTALLS_AT_A_TIME,
                    Lane::Restarts => plan.limits().max_parallel,
                    Lane::Starts => plan.limits().start_parallel,
                    Lane::Other => usize::MAX,
                };
                let used = lanes.entry(lane).or_default();
                if *used < limit && is_ready(step, &standing) {
                    *used += 1;
                    standing[index] = Standing::Running;
                    events.started(step);
                    running.push(async move {
                        let began = Instant::now();
                        let progress = StepProgress { step, events };
                        let result = self.backend.perform(&step.action, &progress).await;
                        (index, began.elapsed(), result)
                    });
                }
            }
            let Some((index, took, result)) = running.next().await else {
                break;
            };
            if let Some(used) = lanes.get_mut(&lane(&steps[index].action)) {
                *used -= 1;
            }
            let outcome = match result {
                Ok(()) => Outcome::Done { took },
                Err(ActionError::PutDown(_)) => Outcome::GivenUp(Wish::PutDown),
                Err(ActionError::Suspended(_)) => Outcome::GivenUp(Wish::Suspended),
                Err(error) => Outcome::Failed(error),
            };
            standing[index] = match outcome {
                Outcome::Done { .. } => Standing::Done,
                Outcome::Failed(_) | Outcome::Skipped { .. } | Outcome::GivenUp(_) => {
                    Standing::NotDone
                }
            };
            events.ended(&steps[index], &outcome);
            report.outcomes.push((steps[index].clone(), outcome));
        }
        report
    }
}

const fn lane(action: &Action) -> Lane {
    match action {
        Action::Install(_) | Action::Fetch(_) => Lane::Installs,
        Action::Replace(_) => Lane::Restarts,
        Action::Start(_) => Lane::Starts,
        Action::Update(_) | Action::Stop(_) | Action::Remove(_) | Action::Prune(_) => Lane::Other,
    }
}

fn is_ready(step: &Step, standing: &[Standing]) -> bool {
    step.after
        .iter()
        .all(|after| match standing[after.step.index()] {
            Standing::Done => true,
            Standing::NotDone => after.needs == Needs::Ended,
            Standing::Waiting | Standing::Running => false,
        })
}

fn hindered_by(step: &Step, standing: &[Standing]) -> Option<StepId> {
    step.after
        .iter()
        .find(|after| {
            after.needs == Needs::Success && standing[after.step.index()] == Standing::NotDone
        })
        .map(|after| after.step)
}

/// Adds the step to what its action says of itself.
struct StepProgress<'a> {
    step: &'a Step,
    events: &'a dyn Events,
}

impl Progress for StepProgress<'_> {
    fn received(&self, bytes: u64, total: Option<u64>) {
        self.events.received(self.step, bytes, total);
    }

    fn phase(&self, phase: &str) {
        self.events.phase(self.step, phase);
    }

    fn remark(&self, remark: &str) {
        self.events.remark(self.step, remark);
    }
}
