//! The seam between deciding and doing: a place where instances run, seen through two verbs.

pub mod local;

use std::future::Future;

use crate::desired::Desired;
use crate::instance::record::Failure;
use crate::observed::Observed;
use crate::plan::action::Action;
use crate::release::BuildName;

/// A place where instances run: the local machine, or a simulation.
///
/// `observe` does not fail; what it cannot see it reports as unknown. `perform` makes one attempt
/// at one action and may be repeated safely: an action already done succeeds, one whose revision no
/// longer holds fails as [`ActionError::Stale`] and the next pass plans anew.
pub trait Backend: Send + Sync {
    /// Looks at everything that is wanted or has left a trace.
    fn observe(&self, desired: &Desired) -> impl Future<Output = Observed> + Send;

    /// Makes one attempt at one action.
    ///
    /// # Errors
    /// Says why it was not done; see [`ActionError`].
    fn perform(
        &self,
        action: &Action,
        progress: &dyn Progress,
    ) -> impl Future<Output = Result<(), ActionError>> + Send;
}

/// Told what a long action is at.
pub trait Progress: Send + Sync {
    /// So many bytes of a download have come; `total` where known.
    fn received(&self, bytes: u64, total: Option<u64>);
    /// The action entered a phase, such as `loading`.
    fn phase(&self, phase: &str);
    /// Something a person should know, though nothing is wrong.
    fn remark(&self, remark: &str);
}

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// What was observed no longer holds; the next pass plans anew.
    #[error("`{0}` changed since it was looked at; run it again")]
    Stale(String),
    /// Its instance was put down meanwhile.
    #[error("`{0}` was put down meanwhile")]
    PutDown(String),
    /// Its instance was suspended meanwhile.
    #[error("`{0}` was suspended meanwhile")]
    Suspended(String),
    /// The new launch did not pass its gate.
    #[error("{build} {}{}", failure.reason, what_runs(.build, .runs.as_ref(), *.left))]
    GateFailed {
        /// The build that failed.
        build: BuildName,
        /// Why, with the end of its log.
        failure: Failure,
        /// The build that runs in its stead, where one does.
        runs: Option<BuildName>,
        /// Whether its server was left running as it is.
        left: bool,
    },
    /// Anything else, with its cause and what to do.
    #[error("{what}")]
    Failed {
        /// What could not be done.
        what: String,
        /// Why.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
        /// What a person can do about it.
        hint: Option<String>,
        /// Whether the release source was out of reach.
        unreachable: bool,
    },
}

fn what_runs(failed: &BuildName, runs: Option<&BuildName>, left: bool) -> String {
    match runs {
        None if left => "; it was left running".to_owned(),
        Some(runs) if runs == failed => "; rolled back to the launch before it".to_owned(),
        Some(runs) => format!("; rolled back to {runs}"),
        None => String::new(),
    }
}

impl ActionError {
    /// A failure with its cause.
    pub fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
        hint: Option<String>,
    ) -> Self {
        Self::Failed {
            what: what.into(),
            source: Some(source.into()),
            hint,
            unreachable: false,
        }
    }

    /// Whether nothing was wrong but that the release source was out of reach.
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Failed {
                unreachable: true,
                ..
            }
        )
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { hint, .. } => hint.clone(),
            Self::Stale(_) | Self::PutDown(_) | Self::Suspended(_) | Self::GateFailed { .. } => {
                None
            }
        }
    }
}
