//! Floating pins resolved anew, against what the lock says they stand for.
//!
//! Nothing is written here, and no instance is looked at: what follows from a new lock is for a plan.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Loaded;
use crate::desired::resolve::{Resolved, Terms};
use crate::desired::{Answer, Question, Unanswered, WantedInstance};
use crate::instance::InstanceName;
use crate::manifest::{Pin, ReleaseRequest};
use crate::release::source::{AnySource, ReleaseSource as _};
use crate::release::{Tag, VariantRequest, github};

/// Version of [`Update`]'s form as JSON.
const FORMAT_VERSION: u32 = 1;

/// What floating pins stand for now, beside what they stood for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Update {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// The floating pins that were looked at, and any other that the lock cannot cover.
    pub pins: Vec<FloatingPin>,
    /// Whether the release source was out of reach for some of them.
    pub unreachable: bool,
}

/// One pin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FloatingPin {
    /// Whose.
    pub instance: String,
    /// As it is written: `stable`, `nightly`, or a build that cannot be had.
    pub version: String,
    /// The build the lock has for it.
    pub from: Option<String>,
    /// When that came out (RFC 3339), where the source says so.
    pub from_published: Option<String>,
    /// The build it leads to now.
    pub to: Option<String>,
    /// When that came out (RFC 3339), where the source says so.
    pub to_published: Option<String>,
    /// The variant `auto` stood for on this machine, where it stands for another one now.
    pub variant_from: Option<String>,
    /// The variant `auto` stands for now.
    pub variant_to: Option<String>,
    /// A page that shows what lies between the two builds.
    pub compare: Option<String>,
    /// Why it could not be resolved.
    pub problem: Option<String>,
    /// What can be done about that.
    pub hint: Option<String>,
}

impl FloatingPin {
    /// Whether it stands for something else than it did.
    pub fn moves(&self) -> bool {
        self.problem.is_none() && (self.from != self.to || self.variant_to.is_some())
    }
}

/// Whether a pin names a build that moves by itself upstream.
pub fn floats(pin: Option<&Pin>) -> bool {
    let version = pin.and_then(|pin| pin.version.as_ref());
    matches!(
        version,
        Some(ReleaseRequest::Stable | ReleaseRequest::Nightly)
    )
}

impl Loaded {
    /// Resolves the floating pins of these instances as if they were not locked; with `variants`,
    /// also what `auto` chose for them, as if it had chosen nothing. Of the others, those are told
    /// whose pins cannot be resolved, so that the lock cannot cover them.
    ///
    /// The second value is what is to be remembered ([`Loaded::remember`]); it leaves the pins of all
    /// others as they are.
    pub async fn update(
        &self,
        source: &AnySource,
        names: &BTreeSet<InstanceName>,
        variants: bool,
        terms: Terms,
    ) -> (Update, Resolved) {
        let floats_of = |name: &InstanceName| {
            let instance = self.manifest.instances.get(name);
            floats(instance.and_then(|instance| instance.binary.as_ref()))
        };
        let (names, others): (Vec<_>, Vec<_>) = names.iter().partition(|name| floats_of(name));
        let mut unlocked = self.clone();
        for name in &names {
            unlocked.lock.pins.remove(name);
            if variants {
                unlocked.machine.chosen.remove(name);
            }
        }
        let (mut resolved, answers) = unlocked.resolve(source, terms).await;
        let mut pins = Vec::new();
        for name in names {
            let name: &InstanceName = name;
            let mut pin = self.moved(name, &resolved, variants);
            if pin.problem.is_some() {
                // What cannot be resolved anew stays as it is.
                if let Some(locked) = self.lock.pins.get(name) {
                    resolved.lock.pins.insert(name.clone(), locked.clone());
                }
            } else if pin.from != pin.to {
                self.tell_dates(source, &mut pin).await;
            }
            pins.push(pin);
        }
        let is_enabled = |name: &&InstanceName| {
            let wanted = resolved.desired.instances.get(*name);
            wanted.is_some_and(WantedInstance::enabled)
        };
        let others = others
            .into_iter()
            .filter(is_enabled)
            .map(|name| self.moved(name, &resolved, false));
        pins.extend(others.filter(|pin| pin.problem.is_some()));
        let update = Update {
            format_version: FORMAT_VERSION,
            pins,
            unreachable: answers.unreachable(),
        };
        (update, resolved)
    }

    fn moved(&self, name: &InstanceName, resolved: &Resolved, variants: bool) -> FloatingPin {
        let pin = self.manifest.instances.get(name);
        let pin = pin.and_then(|instance| instance.binary.as_ref());
        let version = pin.and_then(|pin| pin.version.as_ref());
        let tag_in = |lock: &crate::lock::Lock| lock.pins.get(name).map(|pin| pin.tag);
        let (from, to) = (tag_in(&self.lock), tag_in(&resolved.lock));
        let is_auto = pin.is_some_and(|pin| pin.variant == VariantRequest::Auto);
        let chosen = |of: &std::collections::BTreeMap<InstanceName, crate::release::Variant>| {
            let variant = of.get(name).filter(|_| variants && is_auto);
            variant.map(ToString::to_string)
        };
        let (had, has) = (chosen(&self.machine.chosen), chosen(&resolved.chosen));
        let changed = had.is_some() && had != has;
        let why: Option<&Unanswered> = match resolved.desired.instances.get(name) {
            Some(WantedInstance::Unresolved(unresolved)) => Some(&unresolved.why),
            Some(WantedInstance::Resolved(_)) | None => None,
        };
        let compare = from.zip(to).filter(|(from, to)| from != to);
        let is_github = self.manifest.source.directory.is_none();
        FloatingPin {
            instance: name.to_string(),
            version: version.map(ToString::to_string).unwrap_or_default(),
            from: from.map(|tag| tag.to_string()),
            to: to.map(|tag| tag.to_string()),
            variant_from: had.filter(|_| changed),
            variant_to: has.filter(|_| changed),
            compare: compare
                .filter(|_| is_github)
                .map(|(from, to)| github::comparison(&self.manifest.source, from, to).to_string()),
            problem: why.map(ToString::to_string),
            hint: why.and_then(Unanswered::hint),
            ..FloatingPin::default()
        }
    }

    /// Asks when both builds came out. Where that is not known, it is left out.
    async fn tell_dates(&self, source: &AnySource, pin: &mut FloatingPin) {
        let published = async |tag: &Option<String>| -> Option<Timestamp> {
            let tag: Tag = tag.as_deref()?.parse().ok()?;
            match source.answer(&Question::Assets(tag)).await {
                Ok(Answer::Assets(release)) => release.published,
                _ => None,
            }
        };
        pin.from_published = published(&pin.from).await.map(|at| at.to_string());
        pin.to_published = published(&pin.to).await.map(|at| at.to_string());
    }
}

/// The JSON Schema of [`Update`].
pub fn schema() -> Value {
    schemars::schema_for!(Update).to_value()
}
