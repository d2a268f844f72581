//! Why something is left for later: held for time or for a person.

use jiff::Timestamp;

use super::{Ago, Subject};
use crate::instance::InstanceName;
use crate::instance::record::Failure;
use crate::observed::Unseen;
use crate::release::BuildName;

/// Deliberately not done in this pass: time will change that, or a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// What is held.
    pub subject: Subject,
    /// Why.
    pub why: HoldReason,
    /// When it is worth looking again, where time alone helps.
    pub until: Option<Timestamp>,
}

/// Why something is not done in this pass.
#[derive(Debug, Clone, PartialEq)]
pub enum HoldReason {
    /// It starts; its gate is not decided.
    Starting {
        /// Since when.
        for_seconds: i64,
    },
    /// It ended, and its supervisor starts it again at a time.
    BackingOff {
        /// Restarts in a row.
        restarts: u32,
        /// Seconds to the next one.
        in_seconds: i64,
    },
    /// It ended too often.
    GaveUp(String),
    /// It ended, and its policy restarts it never.
    NotRestarted(String),
    /// The wanted launch has failed and is not tried again.
    FailedInputs {
        /// The build that failed.
        build: BuildName,
        /// Why.
        failure: Failure,
        /// Seconds since.
        seconds_ago: i64,
        /// The build that runs in its stead.
        runs: Option<BuildName>,
    },
    /// What runs is what is wanted, has failed its gate, and was left running as it is.
    FailedAndLeft {
        /// Its build.
        build: BuildName,
        /// Why it failed.
        failure: Failure,
        /// Seconds since.
        seconds_ago: i64,
    },
    /// A person put it down.
    PutDown {
        /// Why, where they said so.
        reason: Option<String>,
    },
    /// A person suspended it.
    Suspended {
        /// Seconds since.
        seconds_ago: i64,
        /// Why, where they said so.
        reason: Option<String>,
    },
    /// A person rolled it back.
    RolledBack {
        /// The build it is rolled back to.
        build: BuildName,
        /// The build the manifest wants.
        instead_of: BuildName,
        /// Seconds since.
        seconds_ago: i64,
        /// Why, where they said so.
        reason: Option<String>,
    },
    /// It left the manifest and is protected.
    Protected,
    /// Removing it needs `--yes`.
    NeedsConsent,
    /// Too many would be removed at once.
    TooManyRemovals {
        /// How many.
        removed: usize,
        /// Of how many.
        of: usize,
    },
    /// It waits for the gate of another instance that is not up.
    WaitsFor(InstanceName),
    /// It is to change after the canary, which has not come through.
    WaitsForCanary(InstanceName),
    /// It needs a step that is left out.
    LeftOut(Subject),
    /// `watch` may not do it by itself.
    NotByItself(Switch),
    /// It needs a step that `watch` may not do by itself.
    NeedsPerson {
        /// What that step is about.
        needs: Subject,
        /// What would permit it.
        switch: Switch,
    },
    /// Another instance starts, and no more may change at a time.
    AfterAnother(InstanceName),
    /// It was tried with the same inputs and failed, and it is not time to try again.
    TriedBefore {
        /// How it failed.
        why: String,
        /// Seconds until it is tried again.
        in_seconds: i64,
    },
    /// The lock does not cover its pin and may not be extended.
    Locked(String),
    /// It lives and does not answer.
    Unresponsive,
    /// Part of it could not be seen.
    Unseen(Unseen),
}

/// What a person has to have switched on in the manifest for `watch` to do something by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Switch {
    /// Fetching builds and models.
    Install,
    /// Ending a server that runs, to start another or none.
    Restart,
    /// Mending what broke by itself.
    Heal,
}

impl Switch {
    /// Its key under `watch` in the manifest.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Restart => "restart",
            Self::Heal => "heal",
        }
    }

    fn forbids(self) -> String {
        let (word, does) = (self.word(), self.does());
        format!("`watch.{word}` is false; `llama-orch apply` {does}")
    }

    fn forbids_what_it_needs(self, needs: &Subject) -> String {
        let (needs, word) = (step_of(needs), self.word());
        format!("needs {needs}, and `watch.{word}` is false; `llama-orch apply` does both")
    }

    const fn does(self) -> &'static str {
        match self {
            Self::Install => "fetches it",
            Self::Restart => "restarts or stops it",
            Self::Heal => "mends it",
        }
    }
}

impl HoldReason {
    /// Whether this hold is a failure that a person should look at (and the exit code should say).
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::GaveUp(_)
            | Self::NotRestarted(_)
            | Self::FailedInputs { .. }
            | Self::FailedAndLeft { .. }
            | Self::BackingOff { .. }
            | Self::TooManyRemovals { .. }
            | Self::WaitsFor(_)
            | Self::WaitsForCanary(_)
            | Self::LeftOut(_)
            | Self::TriedBefore { .. }
            | Self::Locked(_)
            | Self::Unresponsive
            | Self::Unseen(_) => true,
            Self::Starting { .. }
            | Self::PutDown { .. }
            | Self::Suspended { .. }
            | Self::RolledBack { .. }
            | Self::Protected
            | Self::NeedsConsent
            | Self::NotByItself(_)
            | Self::NeedsPerson { .. }
            | Self::AfterAnother(_) => false,
        }
    }

    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::BackingOff { .. } => "backing_off",
            Self::GaveUp(_) => "gave_up",
            Self::NotRestarted(_) => "not_restarted",
            Self::FailedInputs { .. } => "failed_inputs",
            Self::FailedAndLeft { .. } => "failed_and_left",
            Self::PutDown { .. } => "put_down",
            Self::Suspended { .. } => "suspended",
            Self::RolledBack { .. } => "rolled_back",
            Self::Protected => "protected",
            Self::NeedsConsent => "needs_consent",
            Self::TooManyRemovals { .. } => "too_many_removals",
            Self::WaitsFor(_) => "waits_for",
            Self::WaitsForCanary(_) => "waits_for_canary",
            Self::LeftOut(_) => "left_out",
            Self::NotByItself(_) | Self::NeedsPerson { .. } => "not_by_itself",
            Self::AfterAnother(_) => "after_another",
            Self::TriedBefore { .. } => "tried_before",
            Self::Locked(_) => "locked",
            Self::Unresponsive => "unresponsive",
            Self::Unseen(_) => "unseen",
        }
    }
}

impl Hold {
    /// The hold's reason in one line, with what a person can do.
    pub fn text(&self) -> String {
        let name = &self.subject;
        match &self.why {
            HoldReason::Starting { for_seconds } => {
                format!(
                    "starting for {}; its gate is not decided yet",
                    Ago(*for_seconds)
                )
            }
            HoldReason::BackingOff {
                restarts,
                in_seconds,
            } => {
                format!(
                    "crashed {}, next try in {}",
                    times(*restarts),
                    Ago(*in_seconds)
                )
            }
            HoldReason::GaveUp(why) => {
                format!("gave up: {why}; change it or `llama-orch retry {name}`")
            }
            HoldReason::NotRestarted(why) => format!(
                "{why}; `restart_policy.enabled` is false, `llama-orch up {name}` or `apply` starts it"
            ),
            HoldReason::FailedInputs {
                build,
                failure,
                seconds_ago,
                runs,
            } => {
                let runs = in_its_stead(build, runs.as_ref());
                let failed = failed(build, failure, *seconds_ago);
                format!("{failed}{runs}; change it or `llama-orch retry {name}`")
            }
            HoldReason::FailedAndLeft {
                build,
                failure,
                seconds_ago,
            } => format!(
                "{build} failed its gate {} ago and was left running: {}; change it or `llama-orch retry {name}`",
                Ago(*seconds_ago),
                failure.reason
            ),
            HoldReason::PutDown { reason } => {
                format!(
                    "put down{}; `llama-orch up {name}` starts it",
                    because(reason.as_deref())
                )
            }
            HoldReason::Suspended {
                seconds_ago,
                reason,
            } => format!(
                "suspended {} ago{}; `llama-orch resume {name}`",
                Ago(*seconds_ago),
                because(reason.as_deref())
            ),
            HoldReason::RolledBack {
                build,
                instead_of,
                seconds_ago,
                reason,
            } => {
                let (to, on) = way_back(build, instead_of);
                format!(
                    "rolled back to {to} {} ago{}; change it or `llama-orch retry {name}` to go on with {on}",
                    Ago(*seconds_ago),
                    because(reason.as_deref())
                )
            }
            HoldReason::Protected => {
                format!(
                    "no longer in orchestrator.yaml, and protected; it goes on running until `llama-orch unprotect {name}`"
                )
            }
            HoldReason::NeedsConsent => {
                "no longer in orchestrator.yaml; `llama-orch apply --yes` removes it".to_owned()
            }
            HoldReason::TooManyRemovals { removed, of } => format!(
                "no longer in orchestrator.yaml; {removed} of {of} would be removed at once, which needs `--allow-empty`"
            ),
            HoldReason::WaitsFor(other) => format!("waits for `{other}`, which is not up"),
            HoldReason::WaitsForCanary(canary) => {
                format!("waits for the canary `{canary}`, which has not come through")
            }
            HoldReason::LeftOut(other) => {
                format!("needs {}, which is left out here", step_of(other))
            }
            HoldReason::NotByItself(switch) => switch.forbids(),
            HoldReason::NeedsPerson { needs, switch } => switch.forbids_what_it_needs(needs),
            HoldReason::AfterAnother(other) => format!("comes after `{other}`, which is starting"),
            HoldReason::TriedBefore { why, in_seconds } => again(why, *in_seconds),
            HoldReason::Locked(what) => format!(
                "`orchestrator.lock` does not cover {what}; `llama-orch update` extends it: in a clone, commit and push that"
            ),
            HoldReason::Unresponsive => {
                format!("lives and does not answer; see `llama-orch logs {name}`")
            }
            HoldReason::Unseen(why) => format!("left alone: {why}"),
        }
    }
}

/// What was gone back to, and what would be gone on with.
fn way_back(build: &BuildName, instead_of: &BuildName) -> (String, String) {
    if build == instead_of {
        let to = format!("an earlier launch of {build}");
        (to, "what orchestrator.yaml says".to_owned())
    } else {
        (build.to_string(), instead_of.to_string())
    }
}

/// How a launch failed, and when.
fn failed(build: &BuildName, failure: &Failure, seconds_ago: i64) -> String {
    format!(
        "{build} failed {} ago: {}",
        Ago(seconds_ago),
        failure.reason
    )
}

/// How something was tried in vain, and when it is tried again.
fn again(why: &str, in_seconds: i64) -> String {
    let time = Ago(in_seconds);
    format!("{why}; tried again in {time}, or at once with `llama-orch apply`")
}

/// A step, by what it is about.
fn step_of(subject: &Subject) -> String {
    match subject {
        Subject::Binary { .. } => subject.to_string(),
        Subject::Instance(name) => format!("a step of `{name}`"),
    }
}

/// What a person gave as their reason, to follow what they did.
fn because(reason: Option<&str>) -> String {
    let reason = reason.map(|reason| format!(": {reason}"));
    reason.unwrap_or_default()
}

fn in_its_stead(failed: &BuildName, runs: Option<&BuildName>) -> String {
    match runs {
        Some(runs) if runs == failed => "; the launch before it runs".to_owned(),
        Some(runs) => format!("; {runs} runs"),
        None => String::new(),
    }
}

fn times(count: u32) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}
