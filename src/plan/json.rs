//! A plan as machines read it. `format_version` moves only when a field goes or changes meaning.

use schemars::JsonSchema;
use serde::Serialize;

use super::Plan;
use super::action::{Needs, Subject};
use crate::instance::Change;

/// The number in `format_version`.
pub const FORMAT_VERSION: u32 = 1;

/// What `plan --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PlanDocument {
    /// Version of this form.
    pub format_version: u32,
    /// Whether there is any step.
    pub changes_present: bool,
    /// Whether what was seen is what is wanted: no step, no blocker, nothing starting, no failure.
    pub converged: bool,
    /// The steps, each after those it comes after.
    pub steps: Vec<StepDocument>,
    /// What is not done in this pass.
    pub holds: Vec<HoldDocument>,
    /// What is wanted and cannot be done.
    pub blockers: Vec<BlockerDocument>,
    /// What a person should know of what is to be started; it keeps nothing from being done.
    pub warnings: Vec<WarningDocument>,
    /// Builds that `apply --prune` would take away.
    pub unused: Vec<UnusedDocument>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StepDocument {
    /// Its number within the plan.
    pub id: usize,
    /// `install`, `fetch`, `restart`, `update`, `stop`, `start`, `remove` or `prune`.
    pub action: String,
    /// What it is about.
    pub subject: SubjectDocument,
    /// Why, as a stable word.
    pub reason: String,
    /// Why, for people.
    pub text: String,
    /// What differs, for a restart.
    pub changes: Vec<ChangeDocument>,
    /// What has to be over before.
    pub after: Vec<AfterDocument>,
}

/// What something is about: an instance, or a build and its variant.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum SubjectDocument {
    /// An instance.
    Instance {
        /// Its name.
        name: String,
    },
    /// A build.
    Binary {
        /// What it is called.
        build: String,
        /// Which variant.
        variant: String,
    },
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ChangeDocument {
    /// The field's path.
    pub field: String,
    /// Its value now.
    pub from: Option<serde_json::Value>,
    /// Its value as wanted.
    pub to: Option<serde_json::Value>,
}

/// An edge of the graph.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AfterDocument {
    /// The earlier step.
    pub step: usize,
    /// `success` or `ended`.
    pub needs: String,
}

/// Something that is held.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct HoldDocument {
    /// What.
    pub subject: SubjectDocument,
    /// Why, as a stable word.
    pub reason: String,
    /// Why, for people.
    pub text: String,
    /// When it is worth looking again (RFC 3339), where time alone helps.
    pub until: Option<String>,
    /// Whether it is a failure somebody should look at.
    pub failure: bool,
}

/// Something that is blocked.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BlockerDocument {
    /// What.
    pub subject: SubjectDocument,
    /// Why, as a stable word.
    pub reason: String,
    /// Why, for people.
    pub text: String,
    /// What a person can do about it.
    pub hint: Option<String>,
}

/// Something to know of what is to be started.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WarningDocument {
    /// What it is about.
    pub subject: SubjectDocument,
    /// What is to be known, as a stable word.
    pub reason: String,
    /// What is to be known, for people.
    pub text: String,
}

/// A build nothing uses.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct UnusedDocument {
    /// Its id.
    pub binary_id: String,
    /// What it is.
    pub subject: SubjectDocument,
    /// Bytes on disk.
    pub size_bytes: u64,
}

impl From<&Subject> for SubjectDocument {
    fn from(subject: &Subject) -> Self {
        match subject {
            Subject::Instance(name) => Self::Instance {
                name: name.to_string(),
            },
            Subject::Binary { build, variant } => Self::Binary {
                build: build.to_string(),
                variant: variant.to_string(),
            },
        }
    }
}

impl From<&Change> for ChangeDocument {
    fn from(change: &Change) -> Self {
        Self {
            field: change.field.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
        }
    }
}

impl From<&Plan> for PlanDocument {
    fn from(plan: &Plan) -> Self {
        let steps = plan.steps().iter().map(|step| StepDocument {
            id: step.id.index(),
            action: step.action.verb().to_owned(),
            subject: (&step.action.subject()).into(),
            reason: step.reason.code().to_owned(),
            text: step.text(),
            changes: step.reason.changes().iter().map(Into::into).collect(),
            after: step
                .after
                .iter()
                .map(|after| AfterDocument {
                    step: after.step.index(),
                    needs: match after.needs {
                        Needs::Success => "success",
                        Needs::Ended => "ended",
                    }
                    .to_owned(),
                })
                .collect(),
        });
        let holds = plan.holds().iter().map(|hold| HoldDocument {
            subject: (&hold.subject).into(),
            reason: hold.why.code().to_owned(),
            text: hold.text(),
            until: hold.until.map(|until| until.to_string()),
            failure: hold.why.is_failure(),
        });
        let blockers = plan.blockers().iter().map(|blocker| BlockerDocument {
            subject: (&blocker.subject).into(),
            reason: blocker.why.code().to_owned(),
            text: blocker.why.to_string(),
            hint: blocker.why.hint(),
        });
        let warnings = plan.warnings().iter().map(|warning| WarningDocument {
            subject: (&warning.subject).into(),
            reason: warning.why.code().to_owned(),
            text: warning.why.to_string(),
        });
        let unused = plan.unused().iter().map(|unused| UnusedDocument {
            binary_id: unused.binary.to_string(),
            subject: (&unused.subject).into(),
            size_bytes: unused.size,
        });
        Self {
            format_version: FORMAT_VERSION,
            changes_present: plan.has_changes(),
            converged: plan.is_converged(),
            steps: steps.collect(),
            holds: holds.collect(),
            blockers: blockers.collect(),
            warnings: warnings.collect(),
            unused: unused.collect(),
        }
    }
}

/// The JSON Schema of [`PlanDocument`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(PlanDocument).to_value()
}
