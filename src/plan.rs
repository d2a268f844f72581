//! The heart: compares what is wanted with what was seen and decides everything there is to decide.
//!
//! [`plan`] is pure, total and deterministic; `Observed::at` is its only clock. Builds are judged in
//! `installs` and `unused`, instances in `decide` and `removals`, what they have to do with each other
//! in `order`. Doing what a plan says is left to [`crate::apply`], which decides nothing.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod action;
mod decide;
mod draft;
mod drain;
mod fetch;
mod fit;
mod graph;
mod installs;
pub mod json;
mod narrow;
mod order;
mod pace;
mod permit;
mod ports;
mod removals;
mod restart;
pub mod rollback;
#[cfg(test)]
mod tests;
pub mod text;
mod unused;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::desired::{Desired, WantedInstance};
use crate::instance::{BinaryId, InstanceName};
use crate::observed::{Observed, ObservedInstance};
use action::{Action, BlockReason, Blocker, Hold, HoldReason, Step, Subject, Unused, Warning};
use draft::Drafts;
use installs::Build;
pub(crate) use ports::keeps_out;

/// How long a replaced model file must have been still before it counts: a copy in progress is
/// not a new model.
pub const MODEL_STILL_FOR: SignedDuration = SignedDuration::from_secs(60);

/// The graph of steps that leads from what was seen to what is wanted, and what is left for later.
/// The only way to get one is [`plan`].
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
    holds: Vec<Hold>,
    blockers: Vec<Blocker>,
    unused: Vec<Unused>,
    warnings: Vec<Warning>,
    limits: Limits,
    /// What was seen to start, whatever is to become of it.
    underway: BTreeSet<InstanceName>,
}

/// How many steps of a kind may run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Restarts at a time.
    pub max_parallel: usize,
    /// Starts at a time.
    pub start_parallel: usize,
}

/// Compares and decides. Total (never fails), deterministic, no I/O.
///
/// # Guarantees
/// - The plan has no steps if `observed` already satisfies `desired`.
/// - An instance whose inputs are unchanged and that is healthy is never stopped.
/// - Nothing is stopped, removed or pruned on the strength of an unknown.
/// - A build is pruned only if it is ours, nothing desired uses it, nothing runs it or may start it,
///   and it is neither proven for a rollback nor within `keep`.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let sides = Sides::of(desired, observed);
    let mut planner = Planner::new(desired, observed);
    planner.install(&sides);
    let absent = ObservedInstance::absent();
    for (name, wanted, seen) in &sides.wanted {
        planner.instance(name, wanted, seen.unwrap_or(&absent));
    }
    planner.removals(&sides);
    planner.settle_order();
    let unused = planner.unused();
    planner.finish(unused)
}

/// The plan that ends the servers of these instances and nothing else: what `down` asks for, with
/// or without a manifest.
#[must_use]
pub fn ending(observed: &Observed, names: &BTreeSet<InstanceName>, reason: Option<&str>) -> Plan {
    let desired = Desired::nothing();
    let mut planner = Planner::new(&desired, observed);
    for name in names {
        if let Some(seen) = observed.instances.get(name) {
            planner.end(name, seen, reason);
        }
    }
    planner.finish(Vec::new())
}

/// Every instance with what is wanted and what was seen of it, by name.
struct Sides<'a> {
    /// Those of the manifest.
    wanted: Vec<(
        &'a InstanceName,
        &'a WantedInstance,
        Option<&'a ObservedInstance>,
    )>,
    /// Those that left it.
    gone: Vec<(&'a InstanceName, &'a ObservedInstance)>,
}

impl<'a> Sides<'a> {
    fn of(desired: &'a Desired, observed: &'a Observed) -> Self {
        let mut wanted = Vec::with_capacity(desired.instances.len());
        let mut gone = Vec::new();
        // Both are sorted by name, so one walk finds all that belongs together.
        let mut seen = observed.instances.iter().peekable();
        for (name, instance) in &desired.instances {
            gone.extend(std::iter::from_fn(|| {
                seen.next_if(|(other, _)| *other < name)
            }));
            let own = seen.next_if(|(other, _)| *other == name);
            wanted.push((name, instance, own.map(|(_, seen)| seen)));
        }
        gone.extend(seen);
        Self { wanted, gone }
    }
}

/// A plan in the making.
struct Planner<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    drafts: Drafts,
    holds: Vec<Hold>,
    blockers: Vec<Blocker>,
    warnings: Vec<Warning>,
    /// What became of each wanted build: there already, a step, or why not.
    builds: BTreeMap<BinaryId, Build>,
}

impl<'a> Planner<'a> {
    fn new(desired: &'a Desired, observed: &'a Observed) -> Self {
        Self {
            desired,
            observed,
            drafts: Drafts::default(),
            holds: Vec::new(),
            blockers: Vec::new(),
            warnings: Vec::new(),
            builds: BTreeMap::new(),
        }
    }

    fn hold(&mut self, name: &InstanceName, why: HoldReason, until: Option<Timestamp>) {
        self.holds.push(Hold {
            subject: Subject::Instance(name.clone()),
            why,
            until,
        });
    }

    fn block(&mut self, name: &InstanceName, why: BlockReason) {
        self.blockers.push(Blocker {
            subject: Subject::Instance(name.clone()),
            why,
        });
    }

    /// Leaves an instance alone of which some part could not be seen.
    fn unseen(&mut self, name: &InstanceName, seen: &ObservedInstance) {
        if let Some(why) = seen.unseen() {
            self.hold(name, HoldReason::Unseen(why.clone()), None);
        }
    }

    fn finish(self, unused: Vec<Unused>) -> Plan {
        let Self {
            desired,
            observed,
            drafts,
            mut holds,
            mut blockers,
            mut warnings,
            ..
        } = self;
        // Steps may have been taken back since.
        warnings.retain(|warning| {
            let name = warning.subject.instance();
            name.is_some_and(|name| drafts.starts().contains_key(name))
        });
        warnings.sort_by(|a, b| a.subject.cmp(&b.subject));
        holds.sort_by(|a, b| a.subject.cmp(&b.subject));
        blockers.sort_by(|a, b| a.subject.cmp(&b.subject));
        Plan {
            steps: graph::arrange(drafts),
            holds,
            blockers,
            unused,
            warnings,
            limits: Limits {
                max_parallel: desired.rollout.max_parallel.max(1),
                start_parallel: desired.rollout.start_parallel.max(1),
            },
            underway: pace::underway(observed),
        }
    }
}

impl Plan {
    /// Whether there is anything to do.
    pub fn has_changes(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether what was seen is what is wanted: no step, no blocker, nothing starting, and no
    /// failure on hold.
    pub fn is_converged(&self) -> bool {
        self.steps.is_empty()
            && self.blockers.is_empty()
            && self.holds.iter().all(|hold| {
                !hold.why.is_failure()
                    && !matches!(
                        hold.why,
                        HoldReason::Starting { .. } | HoldReason::AfterAnother(_)
                    )
            })
    }

    /// Whether something is blocked, or on hold after a failure.
    pub fn needs_attention(&self) -> bool {
        !self.blockers.is_empty() || self.holds.iter().any(|hold| hold.why.is_failure())
    }

    /// The steps, each after those it comes after; ties by kind and name, stable to the byte.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is not done in this pass.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// What is wanted and cannot be done.
    pub fn blockers(&self) -> &[Blocker] {
        &self.blockers
    }

    /// What a person should know before it is carried out.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Builds that `--prune` would take away.
    pub fn unused(&self) -> &[Unused] {
        &self.unused
    }

    /// How many steps of a kind may run at a time.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The instances whose gate is not decided, so that they are neither converged nor to be touched,
    /// less those whose step waits for the verdict itself.
    pub fn starting(&self) -> Vec<InstanceName> {
        let waited_for = |name: &InstanceName| {
            self.steps.iter().any(|step| {
                matches!(&step.action, Action::Update(update) if update.adopt && update.instance == *name)
            })
        };
        self.holds
            .iter()
            .filter(|hold| matches!(hold.why, HoldReason::Starting { .. }))
            .filter_map(|hold| hold.subject.instance())
            .filter(|name| !waited_for(name))
            .cloned()
            .collect()
    }

    /// Whether some instance waits for another one that is not up.
    pub fn waits_for_another(&self) -> bool {
        self.holds
            .iter()
            .any(|hold| matches!(hold.why, HoldReason::WaitsFor(_)))
    }

    /// When the earliest hold that time alone ends is over.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.holds.iter().filter_map(|hold| hold.until).min()
    }
}
