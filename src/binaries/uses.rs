//! Who uses a build: what is pinned to it, runs it, may start it or may be rolled back to it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::desired::{Desired, WantedInstance};
use crate::instance::{BinaryId, InstanceName};
use crate::observed::{Observed, ObservedInstance, Seen};
use crate::registry::Entry;
use crate::release::Digest;

/// How an instance uses a build, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its server runs from it.
    Runs,
    /// The manifest pins it to it.
    Pinned,
    /// A person rolled it back to it, and it does not run.
    RolledBack,
    /// Its supervisor may start it by itself, as its fallback or after a pause.
    MayStart,
    /// It may be rolled back to it.
    Rollback,
}

impl How {
    /// The words people read: `chat` ... it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Runs => "runs it",
            Self::Pinned => "is pinned to it",
            Self::RolledBack => "is rolled back to it",
            Self::MayStart => "has a supervisor that may start it",
            Self::Rollback => "may be rolled back to it",
        }
    }
}

/// An instance that uses a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Use {
    /// The instance.
    pub instance: String,
    /// In which ways, the strongest first.
    pub how: Vec<How>,
}

/// Something that may use any build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnknownUse {
    /// The instance; `null` where it is about all of them.
    pub instance: Option<String>,
    /// Why it cannot be told.
    pub why: String,
    /// Whether it may even run one.
    pub may_run: bool,
}

/// Who uses which build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    of: BTreeMap<BinaryId, BTreeSet<(InstanceName, How)>>,
    /// Pins by digest: a build may be wanted under another id than it has here.
    by_digest: BTreeMap<Digest, BTreeSet<InstanceName>>,
    unknown: Vec<UnknownUse>,
}

impl Uses {
    /// What follows from what is wanted and what was seen. `desired` is `None` where the manifest
    /// cannot be read, so that anything may be pinned to anything.
    pub fn of(desired: Option<&Desired>, observed: &Observed) -> Self {
        let mut uses = Self::default();
        match desired {
            Some(desired) => uses.pins(desired),
            None => uses.unknown.push(UnknownUse {
                instance: None,
                why: "`orchestrator.yaml` cannot be read, and says what is pinned".to_owned(),
                may_run: false,
            }),
        }
        for (name, seen) in &observed.instances {
            uses.seen(name, seen);
        }
        uses
    }

    fn pins(&mut self, desired: &Desired) {
        for (name, wanted) in &desired.instances {
            match wanted {
                WantedInstance::Resolved(wanted) => {
                    let id = wanted.launch.binary;
                    self.add(id, name, How::Pinned);
                    let binary = desired.binaries.get(&id);
                    if let Some(digest) = binary.and_then(crate::desired::WantedBinary::digest) {
                        let names = self.by_digest.entry(digest).or_default();
                        names.insert(name.clone());
                    }
                }
                WantedInstance::Unresolved(_) => self.unknown.push(UnknownUse {
                    instance: Some(name.to_string()),
                    why: "its pin is not resolved; see `llama-orch plan`".to_owned(),
                    may_run: false,
                }),
            }
        }
    }

    fn seen(&mut self, name: &InstanceName, seen: &ObservedInstance) {
        let mut unseen = |why: &dyn std::fmt::Display, may_run| {
            let unknown = UnknownUse {
                instance: Some(name.to_string()),
                why: why.to_string(),
                may_run,
            };
            self.unknown.push(unknown);
        };
        let server = match &seen.server {
            Seen::Known(server) => server.as_ref(),
            Seen::Unknown(why) => {
                unseen(why, true);
                None
            }
        };
        // One cause can hide several parts; it is told once.
        if server.is_some() || matches!(seen.server, Seen::Known(None)) {
            match (&seen.supervisor, &seen.memory) {
                (Seen::Unknown(why), _) | (_, Seen::Unknown(why)) => unseen(why, false),
                (Seen::Known(_), Seen::Known(_)) => {}
            }
        }
        let runs = server.map(|server| server.launch.launch.binary);
        if let Some(id) = runs {
            self.add(id, name, How::Runs);
        }
        if let Seen::Known(Some(supervisor)) = &seen.supervisor {
            for id in supervisor.builds.iter().filter(|id| runs != Some(**id)) {
                self.add(*id, name, How::MayStart);
            }
        }
        if let Seen::Known(memory) = &seen.memory {
            let rolled_back = memory.rolled_back.iter().map(|it| it.launch.launch.binary);
            for id in rolled_back.filter(|id| runs != Some(*id)) {
                self.add(id, name, How::RolledBack);
            }
            // Going back from what runs to the same build is no way back.
            let others = memory
                .proven
                .iter()
                .filter(|launch| runs != Some(launch.launch.binary));
            for launch in others {
                self.add(launch.launch.binary, name, How::Rollback);
            }
        }
    }

    fn add(&mut self, id: BinaryId, name: &InstanceName, how: How) {
        self.of.entry(id).or_default().insert((name.clone(), how));
    }

    /// The instances that use a build, under whichever of its ids, by name.
    pub fn of_entry(&self, entry: &Entry) -> Vec<Use> {
        let mut found: BTreeMap<&InstanceName, BTreeSet<How>> = BTreeMap::new();
        for id in std::iter::once(&entry.id).chain(&entry.aliases) {
            for (name, how) in self.of.get(id).into_iter().flatten() {
                found.entry(name).or_default().insert(*how);
            }
        }
        let same_bits = entry
            .digest()
            .and_then(|digest| self.by_digest.get(&digest));
        for name in same_bits.into_iter().flatten() {
            found.entry(name).or_default().insert(How::Pinned);
        }
        found
            .into_iter()
            .map(|(name, how)| Use {
                instance: name.to_string(),
                how: how.into_iter().collect(),
            })
            .collect()
    }

    /// What may use any build, though it cannot be told which.
    pub fn unknown(&self) -> &[UnknownUse] {
        &self.unknown
    }
}
