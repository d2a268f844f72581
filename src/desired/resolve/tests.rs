//! Stories about pins: what was written and what is known, what gets asked, and what comes of it.

mod address;
mod auto;
mod floating;
mod lock;
mod published;
mod registry;
mod single;
mod trust;
mod uploading;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use uuid::Uuid;

use super::*;
use crate::desired::{ArchiveOrigin, WantedArchive};
use crate::lock::{LockedAsset, LockedPin};
use crate::manifest::{SourceText, Texts};
use crate::release::{Arch, Asset, Os, Release, Version};

const VULKAN: &str = "ubuntu-vulkan-x64";
const CPU: &str = "ubuntu-x64";
const ONE: &str = "11111111-1111-4111-8111-111111111111";
const OTHER: &str = "22222222-2222-4222-8222-222222222222";

fn name(text: &str) -> InstanceName {
    text.parse().expect("the name of an instance")
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn id(text: &str) -> BinaryId {
    text.parse().expect("a UUID")
}

/// The name of a release's file.
fn file(build: &str, variant: &str) -> String {
    let packed = if variant.starts_with("win-") {
        "zip"
    } else {
        "tar.gz"
    };
    format!("llama-{build}-bin-{variant}.{packed}")
}

fn asset(name: String) -> Asset {
    Asset {
        digest: Some(Digest::of(&name)),
        size: 1_000,
        name,
    }
}

/// The digest of a release's file, here and in [`installed`].
fn digest(build: &str, variant: &str) -> Digest {
    Digest::of(file(build, variant))
}

fn assets(build: &str, variants: &[&str]) -> Vec<Asset> {
    let files = variants.iter().map(|variant| file(build, variant));
    files.map(asset).collect()
}

fn release(build: &str, variants: &[&str]) -> Release {
    Release {
        tag: tag(build),
        assets: assets(build, variants),
        uploading: false,
        published: None,
    }
}

fn installed(id: &str, build: &str, variant: &str) -> InstalledBuild {
    InstalledBuild {
        id: self::id(id),
        aliases: Vec::new(),
        build: build.parse().expect("the name of a build"),
        variant: Variant::new(variant),
        digest: Some(digest(build, variant)),
        companions: Vec::new(),
        damaged: false,
    }
}

/// A machine with a file, and a release source that can be asked.
#[derive(Clone)]
struct World {
    text: String,
    lock: Lock,
    installed: Vec<InstalledBuild>,
    legacy: bool,
    host: Host,
    chosen: BTreeMap<InstanceName, Variant>,
    terms: Terms,
    seed: Uuid,
    /// What the source knows.
    stable: Option<Tag>,
    versions: BTreeMap<Version, Tag>,
    releases: Vec<Release>,
}

/// What came of it, and what was asked on the way.
struct Settled {
    resolved: Resolved,
    asked: Vec<Question>,
}

impl World {
    /// A Linux machine without a GPU, and one instance with this pin.
    fn pinned(pin: &str) -> Self {
        Self::of(&[("chat", pin)])
    }

    /// The same with several instances. An empty pin writes none.
    fn of(pins: &[(&str, &str)]) -> Self {
        Self {
            text: written(pins),
            lock: Lock::default(),
            installed: Vec::new(),
            legacy: false,
            host: Host::bare(Os::Linux, Arch::X64),
            chosen: BTreeMap::new(),
            terms: Terms::default(),
            seed: Uuid::from_u128(7),
            stable: None,
            versions: BTreeMap::new(),
            releases: Vec::new(),
        }
    }

    fn repinned(mut self, pin: &str) -> Self {
        self.text = written(&[("chat", pin)]);
        self
    }

    fn has(mut self, build: InstalledBuild) -> Self {
        self.installed.push(build);
        self
    }

    fn stable(mut self, build: &str) -> Self {
        self.stable = Some(tag(build));
        self
    }

    fn publishes(mut self, build: &str, variants: &[&str]) -> Self {
        self.releases.push(release(build, variants));
        self.releases.sort_by_key(|release| release.tag);
        self.releases.reverse();
        self
    }

    /// The same, and more may come.
    fn uploads(mut self, build: &str, variants: &[&str]) -> Self {
        self = self.publishes(build, variants);
        let mut releases = self.releases.iter_mut();
        let release = releases.find(|release| release.tag == tag(build));
        release.expect("it was published").uploading = true;
        self
    }

    /// The lock has these files of a build.
    fn locks(mut self, build: &str, variants: &[&str]) -> Self {
        let assets = assets(build, variants).into_iter().map(|asset| {
            let digest = asset.digest.expect("a digest");
            (asset.name, LockedAsset::new(digest, Some(asset.size)))
        });
        self.lock.assets.insert(tag(build), assets.collect());
        self
    }

    fn locks_pin(mut self, who: &str, version: &str, build: &str) -> Self {
        let pin = LockedPin {
            version: version.to_owned(),
            tag: tag(build),
        };
        self.lock.pins.insert(name(who), pin);
        self
    }

    fn locked(mut self) -> Self {
        self.terms.locked = true;
        self
    }

    fn resolve(&self, answers: &Answers) -> Resolution {
        let texts = Texts {
            manifest: SourceText::new("orchestrator.yaml", self.text.as_str()),
            configs: BTreeMap::new(),
        };
        let manifest = Manifest::parse(&texts).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        resolve(&Known {
            manifest: &manifest,
            lock: &self.lock,
            installed: &self.installed,
            legacy: self.legacy,
            host: &self.host,
            chosen: &self.chosen,
            answers,
            salt: &Salt::new("salt"),
            terms: self.terms,
        })
    }

    fn answer(&self, question: Question) -> Result<Answer, Unanswered> {
        let unknown = || Unanswered::Source {
            why: format!("nothing is known of {question:?}"),
            hint: None,
            unreachable: false,
        };
        match question {
            Question::NewestStable => self.stable.map(|tag| Answer::Stable {
                release: Some("v0.9.0".to_owned()),
                tag,
            }),
            Question::TagOf(version) => self.versions.get(&version).copied().map(Answer::Tag),
            Question::Assets(tag) => {
                let mut releases = self.releases.iter();
                releases
                    .find(|release| release.tag == tag)
                    .cloned()
                    .map(Answer::Assets)
            }
            Question::Recent => Some(Answer::Releases(self.releases.clone())),
        }
        .ok_or_else(unknown)
    }

    /// Asks until nothing is open.
    fn settle(&self) -> Settled {
        self.settle_vouching(&[])
    }

    /// The same, where a person vouches for these archives.
    fn settle_vouching(&self, vouched: &[(String, Digest)]) -> Settled {
        let mut answers = Answers::new(self.seed);
        for (name, digest) in vouched {
            answers.vouch(name.clone(), *digest);
        }
        let mut asked = Vec::new();
        loop {
            match self.resolve(&answers) {
                Resolution::Complete(resolved) => {
                    return Settled {
                        resolved: *resolved,
                        asked,
                    };
                }
                Resolution::Needs(questions) => {
                    for question in questions {
                        assert!(!asked.contains(&question), "{question:?} is asked again");
                        asked.push(question);
                        answers.note(question, self.answer(question));
                    }
                }
            }
        }
    }

    /// Goes on with the lock and the choices that came of a pass.
    fn after(mut self, settled: &Settled) -> Self {
        self.lock = settled.resolved.lock.clone();
        self.chosen = settled.resolved.chosen.clone();
        self
    }
}

fn written(pins: &[(&str, &str)]) -> String {
    let mut text = "version: 1\ninstances:\n".to_owned();
    for (index, (who, pin)) in pins.iter().enumerate() {
        let port = 8071 + index;
        let binary = if pin.is_empty() {
            String::new()
        } else {
            format!("binary: {{ {pin} }}, ")
        };
        writeln!(text, "  {who}: {{ {binary}server: {{ port: {port} }} }}")
            .expect("a text takes all");
    }
    text
}

impl Settled {
    fn instance(&self, who: &str) -> &WantedInstance {
        let instance = self.resolved.desired.instances.get(&name(who));
        instance.expect("an instance")
    }

    /// The build of an instance.
    fn binary(&self, who: &str) -> &WantedBinary {
        match self.instance(who) {
            WantedInstance::Resolved(wanted) => {
                &self.resolved.desired.binaries[&wanted.launch.binary]
            }
            WantedInstance::Unresolved(unresolved) => panic!("{who}: {}", unresolved.why),
        }
    }

    /// The build of an instance in words.
    fn build(&self, who: &str) -> String {
        let binary = self.binary(who);
        format!("{} {}", binary.build, binary.variant)
    }

    /// Why an instance has no build.
    fn why(&self, who: &str) -> &Unanswered {
        match self.instance(who) {
            WantedInstance::Resolved(wanted) => panic!("{who} runs {}", wanted.launch.build),
            WantedInstance::Unresolved(unresolved) => &unresolved.why,
        }
    }

    fn contradiction(&self) -> &str {
        let Unanswered::Contradiction(both) = self.why("chat") else {
            panic!("no contradiction: {}", self.why("chat"));
        };
        assert!(
            self.resolved.desired.binaries.is_empty(),
            "another build is wanted in its place"
        );
        both
    }

    fn asked_nothing(self) -> Self {
        assert_eq!(self.asked, []);
        self
    }

    fn locked_tag(&self, who: &str) -> Option<Tag> {
        let pin = self.resolved.lock.pins.get(&name(who))?;
        Some(pin.tag)
    }
}
