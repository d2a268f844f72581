//! One pin by itself, and the newest builds: what verbs ask that concern no instance.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Loaded;
use super::asking::installed;
use crate::desired::argv::Salt;
use crate::desired::resolve::{
    Answers, InstalledBuild, Known, Newest, Open, Terms, newest, resolve_pin,
};
use crate::desired::{Question, Unanswered, WantedBinary};
use crate::instance::InstanceName;
use crate::lock::Lock;
use crate::manifest::{Pin, ReleaseRequest};
use crate::release::source::AnySource;
use crate::release::{Variant, VariantRequest};

/// The newest builds of both kinds. An error of one says nothing about the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// What `stable` leads to.
    pub stable: Result<Newest, Unanswered>,
    /// What `nightly` leads to.
    pub nightly: Result<Newest, Unanswered>,
}

impl Latest {
    /// Whether the source was out of reach for some of it.
    pub fn unreachable(&self) -> bool {
        [&self.stable, &self.nightly].iter().any(|newest| {
            let why = match newest {
                Ok(newest) => newest.variant.as_ref().err(),
                Err(why) => Some(why),
            };
            matches!(
                why,
                Some(Unanswered::Source {
                    unreachable: true,
                    ..
                })
            )
        })
    }
}

impl Loaded {
    /// Resolves one pin as if it were the only one: against the archives the lock knows, what is
    /// installed, and the source. What instances were locked to, and what `auto` chose for them, does
    /// not count. With the build comes why `auto` chose its variant, where that was left to it.
    ///
    /// `answers` carries what a person vouches for.
    ///
    /// # Errors
    /// Why the pin cannot be had; [`Unanswered::NoDigest`] names an archive to vouch for.
    pub async fn resolve_pin(
        &self,
        source: &AnySource,
        pin: Pin,
        mut answers: Answers,
        terms: Terms,
    ) -> Result<(WantedBinary, Option<String>), Unanswered> {
        let mut lock = self.lock.clone();
        lock.pins.clear();
        let ground = Ground {
            lock,
            installed: installed(&self.root, &self.registry),
            chosen: BTreeMap::new(),
            salt: self.machine.salt(),
        };
        let step = |answers: &Answers, terms| {
            settle(resolve_pin(&ground.known(self, answers, terms), &pin))
        };
        self.asking(source, &mut answers, terms, step).await
    }

    /// Which builds are the newest, and whether they have this variant. Neither the lock nor what is
    /// installed counts.
    pub async fn latest(
        &self,
        source: &AnySource,
        variant: VariantRequest,
        terms: Terms,
    ) -> Latest {
        let mut answers = Answers::new(Uuid::nil());
        let ground = Ground {
            lock: Lock::default(),
            installed: Vec::new(),
            chosen: BTreeMap::new(),
            salt: self.machine.salt(),
        };
        let step = |request: ReleaseRequest| {
            let (ground, variant) = (&ground, &variant);
            move |answers: &Answers, terms| {
                settle(newest(
                    &ground.known(self, answers, terms),
                    &request,
                    variant,
                ))
            }
        };
        let stable = step(ReleaseRequest::Stable);
        let nightly = step(ReleaseRequest::Nightly);
        Latest {
            stable: self.asking(source, &mut answers, terms, stable).await,
            nightly: self.asking(source, &mut answers, terms, nightly).await,
        }
    }
}

/// What is known besides the answers.
struct Ground {
    lock: Lock,
    installed: Vec<InstalledBuild>,
    chosen: BTreeMap<InstanceName, Variant>,
    salt: Salt,
}

impl Ground {
    fn known<'a>(&'a self, loaded: &'a Loaded, answers: &'a Answers, terms: Terms) -> Known<'a> {
        Known {
            manifest: &loaded.manifest,
            lock: &self.lock,
            installed: &self.installed,
            legacy: false,
            host: &loaded.host,
            chosen: &self.chosen,
            answers,
            salt: &self.salt,
            terms,
        }
    }
}

/// An open end as a question, or as an end.
fn settle<T>(result: Result<T, Open>) -> Result<Result<T, Unanswered>, BTreeSet<Question>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Open::Never(why)) => Ok(Err(why)),
        Err(Open::Ask(question)) => Err(BTreeSet::from([question])),
    }
}
