//! From what was written to what is wanted.
//!
//! Pure: where a fact is missing, [`resolve`] says which question has to be asked, the shell asks
//! it and calls again. A lock that covers a pin leaves no question.

mod address;
mod pick;
mod pin;
mod released;
mod single;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::argv::{self, Salt};
use super::{
    Answer, Desired, Question, Unanswered, Unresolved, Wanted, WantedArchive, WantedBinary,
    WantedInstance,
};
use crate::instance::{BinaryId, InstanceName, Supervision};
use crate::lock::Lock;
use crate::manifest::{Instance, Manifest, OnFailure};
use crate::release::host::Host;
use crate::release::{BuildName, Digest, Tag, Variant, VariantRequest};

pub(crate) use released::lockable;
pub use single::{Newest, newest, resolve_pin};

/// Everything resolving may look at.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What was written.
    pub manifest: &'a Manifest,
    /// What was resolved before, on any machine.
    pub lock: &'a Lock,
    /// The builds that are installed here.
    pub installed: &'a [InstalledBuild],
    /// Whether there is a legacy `bin/llama-server`.
    pub legacy: bool,
    /// What this machine can run.
    pub host: &'a Host,
    /// The variants `auto` chose before on this machine.
    pub chosen: &'a BTreeMap<InstanceName, Variant>,
    /// What was asked so far.
    pub answers: &'a Answers,
    /// For hashes of secrets that stand in the manifest.
    pub salt: &'a Salt,
    /// What this run may and may not do.
    pub terms: Terms,
}

/// What a run may and may not do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a permission of its own, as it is typed"
)]
pub struct Terms {
    /// The lock may not be extended.
    pub locked: bool,
    /// The network may not be used.
    pub offline: bool,
    /// Every instance may be removed at once.
    pub allow_empty: bool,
    /// Unused builds are to be pruned, whatever the manifest says.
    pub prune: bool,
    /// A person typed it: what only a person may start again is started.
    pub attended: bool,
}

/// An installed build, as far as resolving needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledBuild {
    /// The id it is installed under.
    pub id: BinaryId,
    /// Further ids it answers to.
    pub aliases: Vec<BinaryId>,
    /// What it is called.
    pub build: BuildName,
    /// Which variant it is.
    pub variant: Variant,
    /// The digest of its archive, where known.
    pub digest: Option<Digest>,
    /// The digests of what was unpacked beside the server.
    pub companions: Vec<Digest>,
    /// Whether something of it is missing or changed, so that it has to be fetched again.
    pub damaged: bool,
}

impl InstalledBuild {
    /// The id it is wanted by where a pin says `pinned`. One that is damaged is installed again, once
    /// and under its own id, by whichever of its ids it is pinned.
    const fn id_for(&self, pinned: BinaryId) -> BinaryId {
        if self.damaged { self.id } else { pinned }
    }

    /// Whether everything that belongs beside the server is there.
    fn has(&self, companions: &[WantedArchive]) -> bool {
        companions
            .iter()
            .all(|wanted| self.companions.contains(&wanted.digest))
    }
}

/// What was asked so far, and the seed of the ids that are minted.
#[derive(Debug, Clone)]
pub struct Answers {
    known: BTreeMap<Question, Result<Answer, Unanswered>>,
    vouched: BTreeMap<String, Digest>,
    seed: Uuid,
}

impl Answers {
    /// No answer yet. Two runs with the same seed mint the same ids.
    pub const fn new(seed: Uuid) -> Self {
        Self {
            known: BTreeMap::new(),
            vouched: BTreeMap::new(),
            seed,
        }
    }

    /// Notes what the source said.
    pub fn note(&mut self, question: Question, answer: Result<Answer, Unanswered>) {
        self.known.insert(question, answer);
    }

    /// Takes a person's word for what the archive of this name hashes to. It counts only where
    /// neither the lock nor the pin nor the source says anything.
    pub fn vouch(&mut self, name: String, digest: Digest) {
        self.vouched.insert(name, digest);
    }

    /// Whether every question that was asked has an answer.
    pub fn are_whole(&self) -> bool {
        self.known.values().all(Result::is_ok)
    }

    /// Whether the release source was out of reach for some question.
    pub fn unreachable(&self) -> bool {
        self.known.values().any(|answer| {
            matches!(
                answer,
                Err(Unanswered::Source {
                    unreachable: true,
                    ..
                })
            )
        })
    }

    /// A version 4 UUID that depends on the seed and on what it is for.
    fn mint(&self, purpose: &str) -> BinaryId {
        let digest = Digest::of(format!("{} {purpose}", self.seed)).to_string();
        let bits = u128::from_str_radix(&digest[..32], 16).unwrap_or_default();
        BinaryId::new(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid())
    }
}

/// What came of resolving.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// Every choice is made, or cannot be made by asking.
    Complete(Box<Resolved>),
    /// These have to be asked first.
    Needs(BTreeSet<Question>),
}

/// Every choice, and what is to be remembered of the choosing.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What is wanted.
    pub desired: Desired,
    /// The lock that covers it.
    pub lock: Lock,
    /// The variants `auto` stands for on this machine.
    pub chosen: BTreeMap<InstanceName, Variant>,
    /// Why, for each of them that was chosen now.
    pub why: BTreeMap<InstanceName, String>,
}

/// Why a pin has no build yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// This has to be asked first.
    Ask(Question),
    /// It cannot be had.
    Never(Unanswered),
}

impl From<Unanswered> for Open {
    fn from(why: Unanswered) -> Self {
        Self::Never(why)
    }
}

impl Open {
    fn impossible(why: impl Into<String>, hint: Option<String>) -> Self {
        Self::Never(Unanswered::Impossible {
            why: why.into(),
            hint,
        })
    }
}

/// Turns what was written into what is wanted, or says what has to be asked first.
pub fn resolve(known: &Known<'_>) -> Resolution {
    let mut resolver = Resolver::new(known);
    let mut instances = BTreeMap::new();
    let mut all_resolved = true;
    // A pin that brings an id first: whoever wants the same bits without one shares it.
    let has_id = |instance: &Instance| {
        let pin = instance.binary.as_ref();
        pin.is_some_and(|pin| pin.binary_id.is_some())
    };
    let mut written: Vec<_> = known.manifest.instances.iter().collect();
    written.sort_by_key(|(_, instance)| !has_id(instance));
    for (name, instance) in written {
        let wanted = match resolver.instance(name, instance) {
            Ok(wanted) => WantedInstance::Resolved(Box::new(wanted)),
            Err(Open::Ask(question)) => {
                resolver.needs.insert(question);
                continue;
            }
            Err(Open::Never(why)) => {
                all_resolved = false;
                resolver.keep_locked(name);
                WantedInstance::Unresolved(Box::new(Unresolved {
                    why,
                    supervision: supervision(instance),
                    enabled: instance.enabled,
                }))
            }
        };
        instances.insert(name.clone(), wanted);
    }
    if !resolver.needs.is_empty() {
        return Resolution::Needs(resolver.needs);
    }
    resolver.keep_choices();
    let lock = resolver.lock_to_write(all_resolved);
    let manifest = known.manifest;
    let mut retention = manifest.retention;
    retention.prune |= known.terms.prune;
    Resolution::Complete(Box::new(Resolved {
        desired: Desired {
            binaries: resolver.binaries,
            instances,
            rollout: manifest.rollout.clone(),
            retention,
            protect: manifest.protect.clone(),
            allow_empty: known.terms.allow_empty,
            attended: known.terms.attended,
            restart: BTreeMap::new(),
        },
        lock,
        chosen: resolver.chosen,
        why: resolver.why,
    }))
}

struct Resolver<'a> {
    known: &'a Known<'a>,
    needs: BTreeSet<Question>,
    binaries: BTreeMap<BinaryId, WantedBinary>,
    /// The ids that builds which are not installed get, by the digest of their archive.
    ids: BTreeMap<Digest, BinaryId>,
    lock: Lock,
    used_tags: BTreeSet<Tag>,
    used_urls: BTreeSet<String>,
    chosen: BTreeMap<InstanceName, Variant>,
    why: BTreeMap<InstanceName, String>,
}

impl<'a> Resolver<'a> {
    fn new(known: &'a Known<'a>) -> Self {
        let mut lock = known.lock.clone();
        lock.pins.clear();
        Self {
            known,
            needs: BTreeSet::new(),
            binaries: BTreeMap::new(),
            ids: BTreeMap::new(),
            lock,
            used_tags: BTreeSet::new(),
            used_urls: BTreeSet::new(),
            chosen: BTreeMap::new(),
            why: BTreeMap::new(),
        }
    }

    fn instance(&mut self, name: &InstanceName, instance: &Instance) -> Result<Wanted, Open> {
        let binary = self.binary(name, instance.binary.as_ref())?;
        let installed = self.by_id(binary.id).and_then(|installed| installed.digest);
        let digest = binary.digest().or(installed);
        let mut launch = argv::launch(name, instance, &binary, digest, self.known.salt);
        let by_url = instance
            .binary
            .as_ref()
            .is_some_and(|pin| pin.source_url.is_some());
        launch.foreign = by_url || !self.known.manifest.source.is_official();
        let known = self.binaries.entry(binary.id);
        let known = known.or_insert_with(|| binary.clone());
        // Of two ways to the same build, the one that can fetch it is worth more.
        if known.archives.is_empty() {
            *known = binary;
        }
        Ok(Wanted {
            launch: Arc::new(launch),
            supervision: supervision(instance),
            enabled: instance.enabled,
            depends_on: instance.depends_on.clone(),
            on_failure: instance.rollout.on_failure,
        })
    }

    /// The id a build is to be installed under where its pin names none. One that lacks what belongs
    /// beside the server is not the same build.
    fn id_for(&mut self, digest: Digest, companions: &[WantedArchive]) -> BinaryId {
        let installed = self.known.installed.iter();
        let installed = installed
            .filter(|installed| installed.digest == Some(digest) && installed.has(companions))
            .min_by_key(|installed| installed.damaged)
            .map(|installed| installed.id);
        installed
            .or_else(|| self.ids.get(&digest).copied())
            .unwrap_or_else(|| {
                let id = self.known.answers.mint(&digest.to_string());
                self.ids.insert(digest, id);
                id
            })
    }

    /// Leaves the pin of an instance that could not be resolved as it stands in the lock.
    fn keep_locked(&mut self, name: &InstanceName) {
        match self.known.lock.pins.get(name) {
            Some(pin) => self.lock.pins.insert(name.clone(), pin.clone()),
            None => self.lock.pins.remove(name),
        };
    }

    /// Remembers what `auto` chose also where it could not be looked at this time.
    fn keep_choices(&mut self) {
        for (name, variant) in self.known.chosen {
            let instance = self.known.manifest.instances.get(name);
            let pin = instance.and_then(|instance| instance.binary.as_ref());
            if pin.is_some_and(|pin| pin.variant == VariantRequest::Auto) {
                self.chosen
                    .entry(name.clone())
                    .or_insert_with(|| variant.clone());
            }
        }
    }

    /// The lock that covers what was resolved. What nothing uses goes only when nothing is open,
    /// since an open pin may turn out to use it.
    fn lock_to_write(&mut self, all_resolved: bool) -> Lock {
        if self.known.terms.locked {
            return self.known.lock.clone();
        }
        let mut lock = std::mem::take(&mut self.lock);
        if all_resolved {
            lock.assets.retain(|tag, _| self.used_tags.contains(tag));
            lock.uploading.retain(|tag| self.used_tags.contains(tag));
            lock.archives.retain(|url, _| self.used_urls.contains(url));
        }
        lock
    }
}

fn supervision(instance: &Instance) -> Supervision {
    Supervision {
        gate: instance.gate.clone(),
        restart_policy: instance.restart_policy.clone(),
        logs: instance.logs.clone(),
        stop_timeout: instance.stop_timeout,
        prove_after: instance.rollout.prove_after,
        drain: instance.rollout.drain.filter(|drain| !drain.is_zero()),
        leave_failed: instance.rollout.on_failure == OnFailure::Leave,
    }
}

/// A build that is there already and need not be fetched.
fn wanted(id: BinaryId, installed: &InstalledBuild) -> WantedBinary {
    WantedBinary {
        id,
        build: installed.build.clone(),
        variant: installed.variant.clone(),
        archives: Vec::new(),
    }
}
