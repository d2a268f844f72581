//! One look at everything, and the snapshot that is made of it. Changes nothing; asks the release source only what
//! was not answered before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Keeper;
use super::state::State;
use crate::backend::Backend as _;
use crate::backend::local::Local;
use crate::binaries::{BinaryList, Uses};
use crate::desired::Desired;
use crate::desired::resolve::{Answers, Resolved, Terms};
use crate::history;
use crate::install::cache;
use crate::instance::InstanceName;
use crate::observed::{Observed, Vitals};
use crate::plan::json::PlanDocument;
use crate::plan::{self, Plan};
use crate::reconcile::{LoadError, Loaded};
use crate::release::Digest;
use crate::root::Root;
use crate::status::Status;
use crate::watch::inputs::Inputs;
use crate::watch::snapshot::{FORMAT_VERSION, InstanceSnapshot, Snapshot};

/// Passes shown of the history.
const PASSES_SHOWN: usize = 50;
/// How old a look may be while somebody watches the page.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// The least time between two looks that somebody asks for.
const LOOKS_APART: Duration = Duration::from_millis(300);

/// What looks leave behind for those after them.
#[derive(Default)]
pub(super) struct Looks {
    /// What the source said, to which files, and when it was asked.
    answers: Option<(Digest, Duration, Answers)>,
    vitals: BTreeMap<InstanceName, Vitals>,
    speeds: Arc<Mutex<BTreeMap<InstanceName, f64>>>,
    /// When it was last looked for somebody.
    at: Option<Duration>,
    /// Whether somebody has asked since, too early.
    asked: bool,
}

impl Looks {
    /// Whether somebody who watches sees something older than it should be.
    pub(super) fn are_older_than(&self, now: Duration) -> bool {
        self.at.is_none_or(|at| now.saturating_sub(at) >= FRESH_FOR)
    }

    /// When it is to be looked for somebody who asked too early.
    pub(super) fn due(&self) -> Option<Duration> {
        self.at.filter(|_| self.asked).map(|at| at + LOOKS_APART)
    }

    /// Has the source asked anew.
    pub(super) fn forget_answers(&mut self) {
        self.answers = None;
    }
}

/// Everything that was seen at one moment, and what follows.
pub(super) struct Sight {
    pub(super) loaded: Loaded,
    pub(super) backend: Local,
    pub(super) resolved: Resolved,
    pub(super) observed: Observed,
    pub(super) plan: Plan,
}

impl Keeper<'_> {
    /// Looks at the root as these files want it.
    pub(super) async fn sight(&mut self, inputs: &Inputs) -> Result<Sight, LoadError> {
        let loaded = inputs.load(&self.root)?;
        let watch = &loaded.manifest.watch;
        let terms = self.terms(watch.prune);
        let source = loaded.source(terms);
        let digest = inputs.digest();
        let (at, answers) = self.answers(digest, watch.retry_interval);
        let (mut resolved, answers) = loaded.resolve_knowing(&source, terms, answers).await;
        self.looks.answers = Some((digest, at, answers));
        resolved.desired = resolved.desired.unattended(watch);
        let backend = Local::new(&loaded, terms);
        let observed = backend.observe(&resolved.desired).await;
        let plan = plan::plan(&resolved.desired, &observed).permitted(watch);
        self.attempts.from_source(&loaded.manifest.source);
        // What failed is out of the way before the rest is brought to its pace.
        let plan = self
            .attempts
            .held_back(plan, observed.at, watch.retry_interval)
            .paced();
        Ok(Sight {
            loaded,
            backend,
            resolved,
            observed,
            plan,
        })
    }

    /// What passes here may do.
    fn terms(&self, prune: bool) -> Terms {
        Terms {
            // What others commit is theirs to cover, and what lies here may not be what is gone by.
            locked: self.git.is_some() || !self.state.now().manifest.good,
            offline: self.options.offline,
            allow_empty: false,
            prune,
            attended: false,
        }
    }

    /// What the source said, as long as that can still be gone by: an answer for as long as the files are the same,
    /// a failure until it is time to try again.
    fn answers(&self, digest: Digest, retry_interval: Duration) -> (Duration, Answers) {
        let now = self.now();
        let known = self.looks.answers.as_ref().filter(|(of, at, answers)| {
            let is_time = now.saturating_sub(*at) >= retry_interval;
            *of == digest && (answers.are_whole() || !is_time)
        });
        match known {
            Some((_, at, answers)) => (*at, answers.clone()),
            None => (now, Answers::new(uuid::Uuid::new_v4())),
        }
    }

    /// Looks because somebody does, more closely than a pass has to.
    pub(super) async fn look_for_viewers(&mut self) {
        let now = self.now();
        if self
            .looks
            .at
            .is_some_and(|at| now.saturating_sub(at) < LOOKS_APART)
        {
            self.looks.asked = true;
            return;
        }
        self.looks.at = Some(now);
        self.looks.asked = false;
        let Some(good) = self.good.clone() else {
            return self.publish_bare();
        };
        let Ok(sight) = self.sight(&good.inputs).await else {
            return self.publish_bare();
        };
        self.looks.vitals = sight.backend.survey(&sight.resolved.desired).vitals;
        // A server that hangs must not keep the page waiting: what it says is shown the next time. Whoever asks
        // still has the other half of the answer, so that no more than one asks at a time.
        if Arc::strong_count(&self.looks.speeds) == 1 {
            let (root, speeds) = (self.root.clone(), self.looks.speeds.clone());
            tokio::task::spawn_blocking(move || {
                let told = Local::bare(&root).speeds();
                *speeds.lock().unwrap_or_else(PoisonError::into_inner) = told;
            });
        }
        self.publish(&sight);
    }

    /// Shows what was seen.
    pub(super) fn publish(&mut self, sight: &Sight) {
        let Sight {
            loaded,
            resolved,
            observed,
            plan,
            ..
        } = sight;
        let status = Status::of(&resolved.desired, observed, plan, &self.looks.vitals);
        let uses = Uses::of(Some(&resolved.desired), observed);
        let unfinished = cache::unfinished(&self.root.bins()).unwrap_or_default();
        let binaries = BinaryList::of(&loaded.registry, &unfinished, observed, &uses);
        self.show(status, plan.into(), binaries);
    }

    /// Shows what runs, where no files can be gone by.
    pub(super) fn publish_bare(&mut self) {
        let survey = Local::bare(&self.root).survey(&Desired::nothing());
        let status = Status::without_manifest(&survey.observed, &survey.vitals);
        let uses = Uses::of(None, &survey.observed);
        let registry = crate::install::listed(&self.root.bins()).unwrap_or_default();
        let binaries = BinaryList::of(&registry, &[], &survey.observed, &uses);
        self.show(status, no_plan(), binaries);
    }

    fn show(&mut self, status: Status, plan: PlanDocument, binaries: BinaryList) {
        let speeds = self.looks.speeds.lock();
        let speeds = speeds.unwrap_or_else(PoisonError::into_inner).clone();
        let speed = |name: &str| {
            let told = speeds.iter().find(|(told, _)| told.as_str() == name);
            told.map(|(_, speed)| *speed)
        };
        let instances = status.instances.into_iter().map(|row| InstanceSnapshot {
            tokens_per_second: speed(&row.name),
            row,
        });
        let history = history::last(&self.root, PASSES_SHOWN).unwrap_or_default();
        let snapshot = Snapshot {
            at: status.at,
            instances: instances.collect(),
            plan,
            binaries,
            history,
            ..blank(&self.root, &self.state)
        };
        self.published.send_replace(Arc::new(snapshot));
    }

    /// Shows what watch is at now beside what was seen last.
    pub(super) fn publish_state(&mut self) {
        let now = self.state.now().clone();
        self.published.send_modify(|latest| {
            let snapshot = Snapshot {
                watch: now,
                ..Snapshot::clone(latest)
            };
            *latest = Arc::new(snapshot);
        });
        if let Err(error) = self.state.tell(&self.root) {
            self.voice.warning(&error);
        }
    }
}

fn no_plan() -> PlanDocument {
    let nothing = Observed::nothing(crate::reconcile::now());
    (&plan::plan(&Desired::nothing(), &nothing)).into()
}

/// A snapshot of a root at which nobody has looked yet.
pub(super) fn blank(root: &Root, state: &State) -> Snapshot {
    let nothing = Observed::nothing(crate::reconcile::now());
    let registry = crate::registry::Registry::default();
    let uses = Uses::default();
    Snapshot {
        format_version: FORMAT_VERSION,
        at: nothing.at.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: root.path().to_string(),
        watch: state.now().clone(),
        instances: Vec::new(),
        plan: no_plan(),
        binaries: BinaryList::of(&registry, &[], &nothing, &uses),
        history: Vec::new(),
    }
}
