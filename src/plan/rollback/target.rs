//! Which launch a rollback goes to, or why there is none.

use std::collections::BTreeMap;
use std::fmt;

use crate::instance::record::RecordedLaunch;
use crate::instance::{BinaryId, InstanceName, Launch};
use crate::observed::{ObservedBinary, ObservedInstance, Seen, Unseen};
use crate::release::{BuildName, Variant};

/// The fewest characters of a UUID that are taken for one.
const FEWEST: usize = 4;

/// How much of a UUID a message shows.
const SHOWN: usize = 8;

/// A launch that was proven, as a message names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The build it ran.
    pub build: BuildName,
    /// Which variant, where the launch tells.
    pub variant: Option<Variant>,
    /// The id of that build.
    pub binary: BinaryId,
}

impl Proven {
    /// The launch by what a message names.
    pub fn of(launch: &RecordedLaunch) -> Self {
        let variant = launch.launch.inputs.get("binary");
        let variant = variant.and_then(|binary| binary.get("variant")?.as_str());
        Self {
            build: launch.launch.build.clone(),
            variant: variant.map(Variant::new),
            binary: launch.launch.binary,
        }
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut id = self.binary.to_string();
        id.truncate(SHOWN);
        write!(f, "{} ({id})", self.build)
    }
}

/// Why a rollback has nothing to go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoTarget {
    /// What is known of the instance could not be seen.
    #[error("what `{name}` may go back to could not be seen: {why}")]
    Unseen {
        /// The instance.
        name: InstanceName,
        /// Why not.
        why: Unseen,
    },
    /// None of its launches was ever proven.
    #[error("no launch of `{0}` is proven yet")]
    NothingProven(InstanceName),
    /// Those that were proven are what runs or what the manifest wants.
    #[error("`{name}` has no proven launch to go back to but {}", list(.proven))]
    NoOther {
        /// The instance.
        name: InstanceName,
        /// What is proven.
        proven: Vec<Proven>,
        /// Whether it is rolled back already.
        rolled_back: bool,
    },
    /// No proven launch ran the build that was named.
    #[error("no proven launch of `{name}` ran `{to}`")]
    NotProven {
        /// The instance.
        name: InstanceName,
        /// What was named.
        to: String,
        /// What is proven.
        proven: Vec<Proven>,
    },
    /// The build that was named is the one that is running, or wanted.
    #[error("`{name}` {} `{to}` already", if *.runs { "runs" } else { "is pinned to" })]
    Already {
        /// The instance.
        name: InstanceName,
        /// What was named.
        to: String,
        /// Whether it runs; else the manifest says so.
        runs: bool,
    },
    /// Its build was taken away, or cannot be used.
    #[error("{0} is not installed any more")]
    NotInstalled(Proven),
}

fn list(proven: &[Proven]) -> String {
    let names: Vec<String> = proven.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl NoTarget {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unseen { .. } | Self::Already { runs: true, .. } => None,
            Self::NothingProven(_) => Some(
                "a launch is proven once it has stayed healthy for `rollout.prove_after`; until then, change the pin"
                    .to_owned(),
            ),
            Self::NoOther {
                name,
                rolled_back: true,
                ..
            }
            | Self::Already {
                name, runs: false, ..
            } => Some(format!(
                "`llama-orch retry {name}` goes on with what orchestrator.yaml says"
            )),
            Self::NoOther { .. } => Some("change the pin to run another build".to_owned()),
            Self::NotProven { proven, .. } => Some(format!("proven are {}", list(proven))),
            Self::NotInstalled(proven) => {
                let build = &proven.build;
                Some(match &proven.variant {
                    _ if build.tag().is_none() => {
                        "`llama-orch binary register` takes it in again".to_owned()
                    }
                    Some(variant) => format!(
                        "`llama-orch binary install {build} --variant {}` fetches it again",
                        variant.short()
                    ),
                    None => format!("`llama-orch binary install {build}` fetches it again"),
                })
            }
        }
    }
}

/// The launch a rollback goes to: the newest proven one that differs both from what runs and from
/// what the manifest wants, or the newest such one of the build that `to` names, by its name or by
/// the beginning of its id.
///
/// # Errors
/// Says why there is none, and what there is.
pub fn target(
    name: &InstanceName,
    wanted: &Launch,
    seen: &ObservedInstance,
    binaries: &BTreeMap<BinaryId, ObservedBinary>,
    to: Option<&str>,
) -> Result<RecordedLaunch, NoTarget> {
    let unseen = |why: &Unseen| NoTarget::Unseen {
        name: name.clone(),
        why: why.clone(),
    };
    let (memory, server) = match (&seen.memory, &seen.server) {
        (Seen::Known(memory), Seen::Known(server)) => (memory, server),
        (Seen::Unknown(why), _) | (_, Seen::Unknown(why)) => return Err(unseen(why)),
    };
    let rolled_back = memory.rollback_against(wanted);
    let current = match (server, rolled_back) {
        (Some(server), _) => &server.launch.launch,
        (None, Some(rolled_back)) => &rolled_back.launch.launch,
        (None, None) => wanted,
    };
    let is_meant = |launch: &RecordedLaunch| {
        let inputs = &launch.launch.inputs;
        *inputs != wanted.inputs
            && *inputs != current.inputs
            && to.is_none_or(|to| is_named(&launch.launch, to))
    };
    if let Some(found) = memory.proven.iter().find(|launch| is_meant(launch)) {
        return if is_installed(&found.launch, binaries) {
            Ok(found.clone())
        } else {
            Err(NoTarget::NotInstalled(Proven::of(found)))
        };
    }
    // What runs counts among them as soon as it has passed its gate.
    let is_on_trial = |launch: &&RecordedLaunch| {
        let server = server.as_ref().filter(|server| !server.proven);
        server.is_some_and(|server| server.launch.launch.inputs == launch.launch.inputs)
    };
    let proven = memory.proven.iter().filter(|launch| !is_on_trial(launch));
    let proven: Vec<Proven> = proven.map(Proven::of).collect();
    let name = name.clone();
    Err(match to {
        _ if proven.is_empty() => NoTarget::NothingProven(name),
        None => NoTarget::NoOther {
            name,
            proven,
            rolled_back: rolled_back.is_some(),
        },
        Some(to) if is_named(current, to) || is_named(wanted, to) => NoTarget::Already {
            name,
            to: to.to_owned(),
            runs: server.is_some() && is_named(current, to),
        },
        Some(to) => NoTarget::NotProven {
            name,
            to: to.to_owned(),
            proven,
        },
    })
}

/// Whether a text names the build of a launch: by its name, or by the beginning of its id.
fn is_named(launch: &Launch, text: &str) -> bool {
    let digits = |text: &str| text.replace('-', "").to_ascii_lowercase();
    let (id, begin) = (digits(&launch.binary.to_string()), digits(text));
    launch.build.as_str() == text || (begin.len() >= FEWEST && id.starts_with(&begin))
}

/// Whether the build of a launch is there and can be used, under whichever id.
fn is_installed(launch: &Launch, binaries: &BTreeMap<BinaryId, ObservedBinary>) -> bool {
    let digest = launch.archive();
    binaries.iter().any(|(id, binary)| {
        let is_it = *id == launch.binary
            || binary.aliases.contains(&launch.binary)
            || (digest.is_some() && binary.digest == digest);
        is_it && binary.damage.is_none()
    })
}
