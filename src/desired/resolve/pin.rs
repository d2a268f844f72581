//! From a pin to a build, in the order design puts the ways: an id in the registry, a URL, the name
//! of an own build, a release.

use super::pick::rank;
use super::{Open, Resolver, wanted};
use crate::desired::{Answer, Question, Unanswered, WantedArchive, WantedBinary};
use crate::instance::{BinaryId, InstanceName};
use crate::lock::LockedPin;
use crate::manifest::{Pin, ReleaseRequest};
use crate::release::host::files_of;
use crate::release::{BuildName, Release, Tag, Variant, VariantRequest};

use super::InstalledBuild;

impl Resolver<'_> {
    pub(super) fn binary(
        &mut self,
        name: &InstanceName,
        pin: Option<&Pin>,
    ) -> Result<WantedBinary, Open> {
        let Some(pin) = pin else {
            return self.legacy(name);
        };
        if let Some(id) = pin.binary_id
            && let Some(installed) = self.by_id(id)
        {
            let installed = installed.clone();
            return self.installed_as_pinned(name, pin, id, &installed);
        }
        if let Some(url) = &pin.source_url {
            return self.at_address(pin, url);
        }
        match &pin.version {
            Some(ReleaseRequest::Named(build)) => self.registered(pin, build),
            Some(request) => {
                let tag = self.tag(name, pin, request)?;
                self.released(name, pin, tag)
            }
            None => Err(Open::impossible(
                match pin.binary_id {
                    Some(id) => format!(
                        "`binary_id` {id} is not installed here, and without a `version` it cannot be fetched"
                    ),
                    None => "`binary` names neither a `version` nor a `binary_id`".to_owned(),
                },
                Some("add a `version`, such as `version: stable`".to_owned()),
            )),
        }
    }

    fn legacy(&self, name: &InstanceName) -> Result<WantedBinary, Open> {
        if self.known.legacy {
            return Ok(WantedBinary {
                id: BinaryId::LEGACY,
                build: BuildName::legacy(),
                variant: Variant::new("unknown"),
                archives: Vec::new(),
            });
        }
        Err(Open::impossible(
            "it has no `binary`, and there is no legacy `bin/llama-server`",
            Some(format!(
                "write `binary: {{ version: stable }}` under `{name}`"
            )),
        ))
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
            Some(ReleaseRequest::Tag(tag)) => Some(BuildName::from(*tag)),
            // A floating version that was never locked is what the id says: nobody is asked.
            Some(
                request @ (ReleaseRequest::Stable
                | ReleaseRequest::Nightly
                | ReleaseRequest::Version(_)),
            ) => self.locked_pin(name, request).map(BuildName::from),
        };
        if let Some(build) = version
            && build != installed.build
        {
            let (pinned, has) = (build.as_str(), installed.build.as_str());
            return Err(disagree("version", pinned, has));
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
        let mut wanted = wanted(installed.id_for(id), installed);
        wanted.archives = self.archives_of(pin, installed);
        if installed.damaged && wanted.archives.is_empty() && pin.source_url.is_none() {
            wanted.archives = self.fetched_again(name, pin, installed)?;
        }
        Ok(wanted)
    }

    /// Where an installed build can be had again, as far as the lock and the pin know.
    fn archives_of(&mut self, pin: &Pin, installed: &InstalledBuild) -> Vec<WantedArchive> {
        if let Some(url) = &pin.source_url {
            let archives = self.at_address(pin, url).map(|wanted| wanted.archives);
            return archives
                .ok()
                .filter(|archives| archives.first().map(|one| one.digest) == installed.digest)
                .unwrap_or_default();
        }
        let Some(tag) = installed.build.tag() else {
            return Vec::new();
        };
        self.used_tags.insert(tag);
        let locked = self.locked_assets(tag).unwrap_or_default();
        files_of(&installed.variant, &locked)
            .filter(|(server, _)| server.digest.is_some() && server.digest == installed.digest)
            .and_then(|(server, companions)| {
                let all = std::iter::once(server).chain(companions);
                all.map(|asset| super::released::archive(tag, asset.clone()).ok())
                    .collect()
            })
            .unwrap_or_default()
    }

    pub(super) fn by_id(&self, id: BinaryId) -> Option<&InstalledBuild> {
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
        found
            .map(|installed| wanted(installed.id, installed))
            .ok_or_else(|| {
                Open::impossible(
                    format!("no build is registered as `{build}`"),
                    Some(
                        "a `version` is `stable`, `nightly`, a tag such as `b9553`, a release such as `v0.9.0`, or the name of a build that `llama-orch binary register` took in; \
                         with a `source_url` and a `sha256` it is fetched from there"
                            .to_owned(),
                    ),
                )
            })
    }

    /// The tag a floating version stands for in the lock, which is where it stays.
    fn locked_pin(&mut self, name: &InstanceName, request: &ReleaseRequest) -> Option<Tag> {
        let pin = self.known.lock.pins.get(name)?;
        (pin.version == request.to_string()).then(|| {
            self.lock.pins.insert(name.clone(), pin.clone());
            pin.tag
        })
    }

    /// The tag a version stands for. Floating ones stand in the lock once they were resolved.
    fn tag(
        &mut self,
        name: &InstanceName,
        pin: &Pin,
        request: &ReleaseRequest,
    ) -> Result<Tag, Open> {
        let question = match request {
            ReleaseRequest::Tag(tag) => return Ok(*tag),
            ReleaseRequest::Stable => Question::NewestStable,
            ReleaseRequest::Nightly => Question::Recent,
            ReleaseRequest::Version(version) => Question::TagOf(*version),
            ReleaseRequest::Named(build) => {
                return Err(Open::impossible(
                    format!("`{build}` is not a release"),
                    None,
                ));
            }
        };
        if let Some(tag) = self.locked_pin(name, request) {
            return Ok(tag);
        }
        let version = request.to_string();
        let tag = match self.ask(question, &format!("`{name}` at `{version}`"))? {
            Answer::Stable { tag, .. } | Answer::Tag(tag) => tag,
            Answer::Releases(releases) => self.newest_with(name, pin, &releases)?,
            Answer::Assets(_) => return Err(mismatched(question)),
        };
        self.lock
            .pins
            .insert(name.clone(), LockedPin { version, tag });
        Ok(tag)
    }

    /// The newest build that has what a pin asks for.
    pub(super) fn newest_with(
        &self,
        name: &InstanceName,
        pin: &Pin,
        releases: &[Release],
    ) -> Result<Tag, Open> {
        let has = |release: &Release| {
            let chosen = self.pick(name, pin, release).ok()?;
            Some((rank(&chosen.variant), release.tag))
        };
        // One that is still being uploaded may have only its CPU build yet, and what `auto` chooses
        // stays: of several, the newest one of the best kind.
        releases
            .iter()
            .filter_map(has)
            .rev()
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, tag)| tag)
            .ok_or_else(|| {
                let request = self.request(name, pin, None);
                Open::impossible(
                    format!(
                        "none of the {} newest builds has a `{request}` build",
                        releases.len()
                    ),
                    Some("pin a tag that has it".to_owned()),
                )
            })
    }

    pub(super) fn ask(&self, question: Question, what: &str) -> Result<Answer, Open> {
        match self.known.answers.known.get(&question) {
            Some(Ok(answer)) => Ok(answer.clone()),
            Some(Err(why)) => Err(Open::Never(why.clone())),
            None if self.known.terms.locked => {
                Err(Open::Never(Unanswered::NotLocked(what.to_owned())))
            }
            None => Err(Open::Ask(question)),
        }
    }
}

pub(super) fn mismatched(question: Question) -> Open {
    Open::impossible(
        format!("the release source gave an answer of another kind to {question:?}"),
        None,
    )
}
