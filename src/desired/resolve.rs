//! From what was written to what is wanted.
//!
//! Pure: where a fact is missing, [`resolve`] says which question has to be asked, the shell asks
//! it and calls again. A lock that covers a pin leaves no question.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;
use uuid::Uuid;

use super::argv::{self, Salt};
use super::{
    Answer, ArchiveOrigin, Desired, Question, Unanswered, Wanted, WantedArchive, WantedBinary,
    WantedInstance,
};
use crate::instance::{BinaryId, InstanceName, Supervision};
use crate::lock::{Lock, LockedAsset, LockedPin};
use crate::manifest::{Instance, Manifest, Pin, ReleaseRequest};
use crate::release::host::{Choice, Chosen, Host};
use crate::release::variant::{self, Recognised};
use crate::release::{Asset, BuildName, Digest, Release, Tag, Variant, VariantRequest};

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
pub struct Terms {
    /// The lock may not be extended.
    pub locked: bool,
    /// Every instance may be removed at once.
    pub allow_empty: bool,
    /// Unused builds are to be pruned, whatever the manifest says.
    pub prune: bool,
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
}

/// What was asked so far, and the seed of the ids that are minted.
#[derive(Debug, Clone)]
pub struct Answers {
    known: BTreeMap<Question, Result<Answer, Unanswered>>,
    seed: Uuid,
}

impl Answers {
    /// No answer yet. Two runs with the same seed mint the same ids.
    pub const fn new(seed: Uuid) -> Self {
        Self {
            known: BTreeMap::new(),
            seed,
        }
    }

    /// Notes what the source said.
    pub fn note(&mut self, question: Question, answer: Result<Answer, Unanswered>) {
        self.known.insert(question, answer);
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
enum Open {
    Ask(Question),
    Never(Unanswered),
}

impl From<Unanswered> for Open {
    fn from(why: Unanswered) -> Self {
        Self::Never(why)
    }
}

/// Turns what was written into what is wanted, or says what has to be asked first.
pub fn resolve(known: &Known<'_>) -> Resolution {
    let mut lock = known.lock.clone();
    lock.pins.clear();
    let mut resolver = Resolver {
        known,
        needs: BTreeSet::new(),
        binaries: BTreeMap::new(),
        lock,
        used: BTreeSet::new(),
        chosen: BTreeMap::new(),
        why: BTreeMap::new(),
    };
    let mut instances = BTreeMap::new();
    let mut all_resolved = true;
    for (name, instance) in &known.manifest.instances {
        match resolver.instance(name, instance) {
            Ok(wanted) => {
                instances.insert(name.clone(), WantedInstance::Resolved(Box::new(wanted)));
            }
            Err(Open::Ask(question)) => {
                resolver.needs.insert(question);
            }
            Err(Open::Never(why)) => {
                all_resolved = false;
                if let Some(pin) = known.lock.pins.get(name) {
                    resolver.lock.pins.insert(name.clone(), pin.clone());
                }
                instances.insert(name.clone(), WantedInstance::Unresolved(why));
            }
        }
    }
    if !resolver.needs.is_empty() {
        return Resolution::Needs(resolver.needs);
    }
    let Resolver {
        binaries,
        mut lock,
        used,
        chosen,
        why,
        ..
    } = resolver;
    if all_resolved && !known.terms.locked {
        lock.assets.retain(|tag, _| used.contains(tag));
    }
    let manifest = known.manifest;
    let mut retention = manifest.retention;
    retention.prune |= known.terms.prune;
    Resolution::Complete(Box::new(Resolved {
        desired: Desired {
            binaries,
            instances,
            rollout: manifest.rollout.clone(),
            retention,
            protect: manifest.protect.clone(),
            allow_empty: known.terms.allow_empty,
        },
        lock,
        chosen,
        why,
    }))
}

struct Resolver<'a> {
    known: &'a Known<'a>,
    needs: BTreeSet<Question>,
    binaries: BTreeMap<BinaryId, WantedBinary>,
    lock: Lock,
    used: BTreeSet<Tag>,
    chosen: BTreeMap<InstanceName, Variant>,
    why: BTreeMap<InstanceName, String>,
}

/// What a release's list holds for a request.
struct Found {
    variant: Variant,
    archives: Vec<WantedArchive>,
    why: String,
}

impl Resolver<'_> {
    fn instance(&mut self, name: &InstanceName, instance: &Instance) -> Result<Wanted, Open> {
        let binary = self.binary(name, instance)?;
        let installed = self.by_id(binary.id).and_then(|installed| installed.digest);
        let digest = binary.digest().or(installed);
        let launch = argv::launch(name, instance, &binary, digest, self.known.salt);
        let model = launch
            .files
            .iter()
            .find(|(_, role)| **role == crate::instance::FileRole::Model)
            .map(|(path, _)| path.clone());
        self.binaries.insert(binary.id, binary);
        Ok(Wanted {
            launch,
            supervision: Supervision {
                gate: instance.gate.clone(),
                restart_policy: instance.restart_policy.clone(),
                logs: instance.logs.clone(),
                stop_timeout: instance.stop_timeout,
                prove_after: instance.rollout.prove_after,
            },
            enabled: instance.enabled,
            depends_on: instance.depends_on.clone(),
            model,
        })
    }

    fn binary(&mut self, name: &InstanceName, instance: &Instance) -> Result<WantedBinary, Open> {
        let Some(pin) = &instance.binary else {
            if self.known.legacy {
                return Ok(WantedBinary {
                    id: BinaryId::LEGACY,
                    build: BuildName::legacy(),
                    variant: Variant::new("unknown"),
                    archives: Vec::new(),
                });
            }
            return Err(Open::Never(Unanswered::Impossible {
                why: "it has no `binary`, and there is no legacy `bin/llama-server`".to_owned(),
                hint: Some(format!(
                    "write `binary: {{ version: stable }}` under `{name}`"
                )),
            }));
        };
        if let Some(id) = pin.binary_id
            && let Some(installed) = self.by_id(id)
        {
            return self.installed_as_pinned(name, pin, id, &installed.clone());
        }
        if let Some(url) = &pin.source_url {
            return self.from_url(name, pin, url);
        }
        let tag = match &pin.version {
            Some(ReleaseRequest::Named(build)) => return self.registered(pin, build),
            Some(request) => self.tag(name, request, &pin.variant)?,
            None => {
                return Err(Open::Never(Unanswered::Impossible {
                    why: match pin.binary_id {
                        Some(id) => format!(
                            "`binary_id` {id} is not installed here, and without a `version` it cannot be fetched"
                        ),
                        None => "`binary` names neither a `version` nor a `binary_id`".to_owned(),
                    },
                    hint: Some("add a `version`, such as `version: stable`".to_owned()),
                }));
            }
        };
        self.released(name, pin, tag)
    }

    /// The build a `binary_id` leads to, unless the rest of the pin says otherwise.
    fn installed_as_pinned(
        &mut self,
        name: &InstanceName,
        pin: &Pin,
        id: BinaryId,
        installed: &InstalledBuild,
    ) -> Result<WantedBinary, Open> {
        let disagree = |field: &str, pinned: &str, has: &str| {
            Open::Never(Unanswered::Contradiction(format!(
                "`binary_id` {id} is {has} in the registry, but the pin's `{field}` says {pinned}"
            )))
        };
        let version = match &pin.version {
            None => None,
            Some(ReleaseRequest::Named(build)) => Some(build.clone()),
            Some(request) => match self.tag(name, request, &pin.variant) {
                Ok(tag) => Some(tag.into()),
                // A floating version that was never locked is what the id says.
                Err(Open::Ask(_)) => None,
                Err(never) => return Err(never),
            },
        };
        if let Some(build) = version
            && build != installed.build
        {
            return Err(disagree(
                "version",
                build.as_str(),
                installed.build.as_str(),
            ));
        }
        let host = self.known.host;
        if !pin.variant.matches(&installed.variant, host.os, host.arch)
            && pin.variant != VariantRequest::Auto
        {
            let (pinned, has) = (pin.variant.to_string(), installed.variant.to_string());
            return Err(disagree("variant", &pinned, &has));
        }
        if let (Some(pinned), Some(has)) = (pin.sha256, installed.digest)
            && pinned != has
        {
            return Err(disagree("sha256", &pinned.to_string(), &has.to_string()));
        }
        if let Some(tag) = installed.build.tag() {
            self.used.insert(tag);
        }
        Ok(wanted(id, installed))
    }

    fn by_id(&self, id: BinaryId) -> Option<&InstalledBuild> {
        self.known
            .installed
            .iter()
            .find(|build| build.id == id || build.aliases.contains(&id))
    }

    /// A build that was made elsewhere and registered here.
    fn registered(&self, pin: &Pin, build: &BuildName) -> Result<WantedBinary, Open> {
        let host = self.known.host;
        let found = self.known.installed.iter().find(|installed| {
            installed.build == *build
                && (pin.variant == VariantRequest::Auto
                    || pin.variant.matches(&installed.variant, host.os, host.arch))
                && pin
                    .sha256
                    .is_none_or(|pinned| installed.digest == Some(pinned))
        });
        match found {
            Some(installed) => Ok(wanted(installed.id, installed)),
            None => Err(Open::Never(Unanswered::Impossible {
                why: format!("no build is registered as `{build}`"),
                hint: Some(
                    "a `version` is `stable`, `nightly`, a tag such as `b9553`, a release such as `v0.9.0`, or the name of a build in bins/registry.json; \
                     with a `source_url` and a `sha256` it is fetched from there"
                        .to_owned(),
                ),
            })),
        }
    }

    /// The tag a version stands for. Floating ones stand in the lock once they were resolved.
    fn tag(
        &mut self,
        name: &InstanceName,
        request: &ReleaseRequest,
        variant: &VariantRequest,
    ) -> Result<Tag, Open> {
        let question = match request {
            ReleaseRequest::Tag(tag) => return Ok(*tag),
            ReleaseRequest::Stable => Question::NewestStable,
            ReleaseRequest::Nightly => Question::Recent,
            ReleaseRequest::Version(version) => Question::TagOf(*version),
            ReleaseRequest::Named(build) => {
                return Err(Open::Never(Unanswered::Impossible {
                    why: format!("`{build}` is not a release"),
                    hint: None,
                }));
            }
        };
        let written = request.to_string();
        let tag = match self.known.lock.pins.get(name) {
            Some(pin) if pin.version == written => pin.tag,
            _ => match self.ask(question, &format!("`{name}` at `{written}`"))? {
                Answer::Tag(tag) => tag,
                Answer::Releases(releases) => self.newest_with(&releases, variant)?,
                Answer::Assets(_) => return Err(mismatched(question)),
            },
        };
        self.lock.pins.insert(
            name.clone(),
            LockedPin {
                version: written,
                tag,
            },
        );
        Ok(tag)
    }

    fn newest_with(&self, releases: &[Release], variant: &VariantRequest) -> Result<Tag, Open> {
        releases
            .iter()
            .find(|release| {
                matches!(
                    self.known.host.choose(variant, &release.assets),
                    Choice::Chosen(_)
                )
            })
            .map(|release| release.tag)
            .ok_or_else(|| {
                Open::Never(Unanswered::Impossible {
                    why: format!(
                        "none of the {} newest builds has a `{variant}` build",
                        releases.len()
                    ),
                    hint: Some("pin a tag that has it".to_owned()),
                })
            })
    }

    fn ask(&self, question: Question, what: &str) -> Result<Answer, Open> {
        match self.known.answers.known.get(&question) {
            Some(Ok(answer)) => Ok(answer.clone()),
            Some(Err(why)) => Err(Open::Never(why.clone())),
            None if self.known.terms.locked => {
                Err(Open::Never(Unanswered::NotLocked(what.to_owned())))
            }
            None => Err(Open::Ask(question)),
        }
    }

    /// A build of llama.cpp itself: from the registry, else the lock, else the release's own list.
    fn released(&mut self, name: &InstanceName, pin: &Pin, tag: Tag) -> Result<WantedBinary, Open> {
        self.used.insert(tag);
        let locked = self.known.lock.assets.get(&tag).map(list_of);
        let request = self.request(name, pin, locked.as_deref());
        let found = match &locked {
            Some(assets) => Some(self.choose(tag, &request, assets)?),
            None => None,
        };
        if let Some(installed) = self.already_there(pin, tag, &request, found.as_ref()) {
            let wanted = wanted(pin.binary_id.unwrap_or(installed.id), installed);
            let archives = found.map(|found| found.archives).unwrap_or_default();
            self.note_choice(name, pin, &wanted.variant, None);
            return Ok(WantedBinary { archives, ..wanted });
        }
        let found = match found {
            Some(found) => found,
            None => {
                let what = format!("{tag} for `{name}`");
                let Answer::Assets(assets) = self.ask(Question::Assets(tag), &what)? else {
                    return Err(mismatched(Question::Assets(tag)));
                };
                let request = self.request(name, pin, Some(&assets));
                let found = self.choose(tag, &request, &assets)?;
                self.lock.assets.insert(tag, lockable(&assets));
                found
            }
        };
        self.agree_on_digest(pin, &found)?;
        let id = pin.binary_id.unwrap_or_else(|| {
            let digest = found.archives.first().map(|archive| archive.digest);
            self.known
                .installed
                .iter()
                .find(|installed| installed.digest.is_some() && installed.digest == digest)
                .map_or_else(
                    || self.known.answers.mint(&format!("{tag} {}", found.variant)),
                    |installed| installed.id,
                )
        });
        self.note_choice(name, pin, &found.variant, Some(found.why));
        Ok(WantedBinary {
            id,
            build: tag.into(),
            variant: found.variant,
            archives: found.archives,
        })
    }

    /// What to look for: `auto` stays with what it chose before, where that is still published.
    fn request(&self, name: &InstanceName, pin: &Pin, assets: Option<&[Asset]>) -> VariantRequest {
        match (&pin.variant, self.known.chosen.get(name)) {
            (VariantRequest::Auto, Some(chosen))
                if assets.is_none_or(|assets| {
                    crate::release::host::files_of(chosen, assets).is_some()
                }) =>
            {
                VariantRequest::Named(chosen.to_string())
            }
            (request, _) => request.clone(),
        }
    }

    fn already_there(
        &self,
        pin: &Pin,
        tag: Tag,
        request: &VariantRequest,
        found: Option<&Found>,
    ) -> Option<&InstalledBuild> {
        let host = self.known.host;
        let build = BuildName::from(tag);
        self.known.installed.iter().find(|installed| {
            if installed.build != build
                || pin
                    .binary_id
                    .is_some_and(|id| id != installed.id && !installed.aliases.contains(&id))
                || pin
                    .sha256
                    .is_some_and(|pinned| installed.digest != Some(pinned))
            {
                return false;
            }
            match found {
                Some(found) => {
                    installed.variant == found.variant
                        && installed.digest == found.archives.first().map(|archive| archive.digest)
                }
                // Without a list there is nothing that `auto` could be chosen from.
                None => {
                    *request != VariantRequest::Auto
                        && request.matches(&installed.variant, host.os, host.arch)
                }
            }
        })
    }

    fn choose(&self, tag: Tag, request: &VariantRequest, assets: &[Asset]) -> Result<Found, Open> {
        match self.known.host.choose(request, assets) {
            Choice::Chosen(chosen) => {
                let Chosen {
                    server,
                    variant,
                    companions,
                    why,
                } = *chosen;
                let archives = std::iter::once(server)
                    .chain(companions)
                    .map(|asset| archive(tag, asset))
                    .collect::<Result<_, _>>()?;
                Ok(Found {
                    variant,
                    archives,
                    why,
                })
            }
            Choice::CompanionMissing { variant } => Err(Open::Never(Unanswered::Impossible {
                why: format!(
                    "{tag} has a `{variant}` build, but not the CUDA runtime (`cudart-`) it needs"
                ),
                hint: Some(
                    "pin another build; upstream publishes both with most of them".to_owned(),
                ),
            })),
            Choice::NotPublished { published } => Err(Open::Never(Unanswered::NotPublished {
                build: tag,
                wanted: request.to_string(),
                published: published.iter().map(Variant::short).collect(),
                nearest: self.nearest_with(tag, request),
            })),
        }
    }

    /// The builds around `tag` that have the asset, as far as the lock and the answers know.
    fn nearest_with(&self, tag: Tag, request: &VariantRequest) -> Vec<Tag> {
        const SHOWN: usize = 3;
        let mut tags: Vec<Tag> = Vec::new();
        for (other, assets) in &self.known.lock.assets {
            if matches!(
                self.known.host.choose(request, &list_of(assets)),
                Choice::Chosen(_)
            ) {
                tags.push(*other);
            }
        }
        if let Some(Ok(Answer::Releases(releases))) =
            self.known.answers.known.get(&Question::Recent)
        {
            for release in releases {
                if matches!(
                    self.known.host.choose(request, &release.assets),
                    Choice::Chosen(_)
                ) {
                    tags.push(release.tag);
                }
            }
        }
        tags.sort_by_key(|other| (other.number().abs_diff(tag.number()), *other));
        tags.dedup();
        tags.truncate(SHOWN);
        tags
    }

    /// A digest in the manifest has to be that of the lock or the release.
    fn agree_on_digest(&self, pin: &Pin, found: &Found) -> Result<(), Open> {
        match (pin.sha256, found.archives.first()) {
            (Some(pinned), Some(archive)) if pinned != archive.digest => {
                Err(Open::Never(Unanswered::Contradiction(format!(
                    "the pin's `sha256` is {pinned}, but `{}` is {} in the lock or the release",
                    archive.name, archive.digest
                ))))
            }
            _ => Ok(()),
        }
    }

    fn note_choice(
        &mut self,
        name: &InstanceName,
        pin: &Pin,
        variant: &Variant,
        why: Option<String>,
    ) {
        if pin.variant == VariantRequest::Auto {
            self.chosen.insert(name.clone(), variant.clone());
            // A choice that was made before is not explained again.
            if let Some(why) = why
                && self.known.chosen.get(name) != Some(variant)
            {
                self.why.insert(name.clone(), why);
            }
        }
    }

    /// A fork's or private build, by its URL.
    fn from_url(
        &mut self,
        name: &InstanceName,
        pin: &Pin,
        url: &Url,
    ) -> Result<WantedBinary, Open> {
        let locked = self.known.lock.archives.get(url.as_str());
        let digest = match (locked.map(|locked| locked.sha256), pin.sha256) {
            (Some(locked), Some(pinned)) if locked != pinned => {
                return Err(Open::Never(Unanswered::Contradiction(format!(
                    "the pin's `sha256` is {pinned}, but `orchestrator.lock` has {locked} for {url}"
                ))));
            }
            (Some(digest), _) | (None, Some(digest)) => digest,
            (None, None) => {
                return Err(Open::Never(Unanswered::Impossible {
                    why: format!("nothing says what {url} has to hash to"),
                    hint: Some("add its `sha256` to the pin".to_owned()),
                }));
            }
        };
        let file = url
            .path_segments()
            .and_then(|mut parts| parts.next_back())
            .unwrap_or_default();
        let (tag, read) = match variant::recognise(file) {
            Some(Recognised::Server { tag, variant, .. }) => (Some(tag), Some(variant)),
            _ => (None, None),
        };
        let build = match (&pin.version, tag) {
            (Some(ReleaseRequest::Tag(tag)), _) => BuildName::from(*tag),
            (None, Some(tag)) => BuildName::from(tag),
            (Some(ReleaseRequest::Named(build)), _) => build.clone(),
            (Some(other), _) => {
                return Err(Open::Never(Unanswered::Contradiction(format!(
                    "`version: {other}` floats, but `source_url` names one archive"
                ))));
            }
            (None, None) => file
                .trim_end_matches(".tar.gz")
                .trim_end_matches(".zip")
                .parse()
                .map_err(|_| {
                    Open::Never(Unanswered::Impossible {
                        why: format!("nothing says what the build of {url} is called"),
                        hint: Some("add a `version` to the pin".to_owned()),
                    })
                })?,
        };
        let variant = match &pin.variant {
            VariantRequest::Named(text) => read.unwrap_or_else(|| Variant::new(text.clone())),
            VariantRequest::Auto => read.unwrap_or_else(|| Variant::new("unknown")),
        };
        let size = locked.and_then(|locked| locked.size);
        self.lock
            .archives
            .insert(url.to_string(), LockedAsset::new(digest, size));
        let id = pin.binary_id.unwrap_or_else(|| {
            self.known
                .installed
                .iter()
                .find(|installed| installed.digest == Some(digest))
                .map_or_else(
                    || self.known.answers.mint(&format!("{name} {url}")),
                    |installed| installed.id,
                )
        });
        let origin = ArchiveOrigin::Url(url.clone());
        let archives = vec![WantedArchive {
            name: file.to_owned(),
            size,
            digest,
            origin,
        }];
        Ok(WantedBinary {
            id,
            build,
            variant,
            archives,
        })
    }
}

fn wanted(id: BinaryId, installed: &InstalledBuild) -> WantedBinary {
    WantedBinary {
        id,
        build: installed.build.clone(),
        variant: installed.variant.clone(),
        archives: Vec::new(),
    }
}

fn mismatched(question: Question) -> Open {
    Open::Never(Unanswered::Impossible {
        why: format!("the release source gave an answer of another kind to {question:?}"),
        hint: None,
    })
}

fn archive(tag: Tag, asset: Asset) -> Result<WantedArchive, Open> {
    let digest = asset.digest.ok_or_else(|| {
        Open::Never(Unanswered::Impossible {
            why: format!("nothing says what `{}` has to hash to", asset.name),
            hint: Some("add the archive's `sha256` to the pin".to_owned()),
        })
    })?;
    Ok(WantedArchive {
        name: asset.name,
        size: Some(asset.size),
        digest,
        origin: ArchiveOrigin::Release(tag),
    })
}

/// The files of a release that belong into the lock: every server and every companion, of all
/// platforms, so that one machine's lock serves all.
fn lockable(assets: &[Asset]) -> BTreeMap<String, LockedAsset> {
    assets
        .iter()
        .filter(|asset| {
            matches!(
                variant::recognise(&asset.name),
                Some(Recognised::Server { .. } | Recognised::Companion { .. })
            )
        })
        .filter_map(|asset| {
            let locked = LockedAsset::new(asset.digest?, Some(asset.size));
            Some((asset.name.clone(), locked))
        })
        .collect()
}

fn list_of(assets: &BTreeMap<String, LockedAsset>) -> Vec<Asset> {
    assets
        .iter()
        .map(|(name, locked)| Asset {
            name: name.clone(),
            size: locked.size.unwrap_or_default(),
            digest: Some(locked.sha256),
        })
        .collect()
}
