//! A build of llama.cpp itself: from the registry, else the lock, else the release's own list.

use std::collections::BTreeMap;

use super::pin::mismatched;
use super::{InstalledBuild, Open, Resolver, wanted};
use crate::desired::{Answer, ArchiveOrigin, Question, Unanswered, WantedArchive, WantedBinary};
use crate::instance::InstanceName;
use crate::lock::LockedAsset;
use crate::manifest::Pin;
use crate::release::variant::{self, Recognised};
use crate::release::{Asset, BuildName, Release, Tag, Variant, VariantRequest};

/// What a release's list holds for a request.
struct Found {
    variant: Variant,
    archives: Vec<WantedArchive>,
    why: String,
}

impl Found {
    /// The archives to unpack beside the server's.
    fn companions(&self) -> &[WantedArchive] {
        self.archives.get(1..).unwrap_or_default()
    }
}

impl Resolver<'_> {
    pub(super) fn released(
        &mut self,
        name: &InstanceName,
        pin: &Pin,
        tag: Tag,
    ) -> Result<WantedBinary, Open> {
        self.used_tags.insert(tag);
        let locked = self.covered(name, pin, tag)?;
        if let Some(installed) = self.already_there(name, pin, tag, locked.as_ref()) {
            let installed = installed.clone();
            let archives = match locked {
                Some(found) => found.archives,
                None if installed.damaged => self.fetched_again(name, pin, &installed)?,
                None => Vec::new(),
            };
            let id = pin.binary_id.map(|id| installed.id_for(id));
            let wanted = wanted(id.unwrap_or(installed.id), &installed);
            self.note_choice(name, pin, &wanted.variant, None);
            return Ok(WantedBinary { archives, ..wanted });
        }
        let (found, place) = match locked {
            Some(found) => (found, "`orchestrator.lock`"),
            None => (self.listed(name, pin, tag)?, "the release"),
        };
        let Some(server) = found.archives.first() else {
            return Err(mismatched(Question::Assets(tag)));
        };
        if let Some(pinned) = pin.sha256.filter(|pinned| *pinned != server.digest) {
            return Err(Open::Never(Unanswered::Contradiction(format!(
                "the pin's `sha256` is {pinned}, but `{}` is {} in {place}",
                server.name, server.digest
            ))));
        }
        let digest = server.digest;
        let id = match pin.binary_id {
            Some(id) => {
                self.ids.entry(digest).or_insert(id);
                id
            }
            None => self.id_for(digest, found.companions()),
        };
        self.note_choice(name, pin, &found.variant, Some(found.why));
        Ok(WantedBinary {
            id,
            build: tag.into(),
            variant: found.variant,
            archives: found.archives,
        })
    }

    /// What the lock has for a pin. Where it says that the release was still being uploaded, it does
    /// not cover everybody.
    fn covered(&self, name: &InstanceName, pin: &Pin, tag: Tag) -> Result<Option<Found>, Open> {
        let Some(locked) = self.locked_release(tag) else {
            return Ok(None);
        };
        let Ok(found) = self.found(name, pin, &locked) else {
            return Ok(None);
        };
        // What `auto` chooses first, it keeps. Before that is a lesser kind than this machine can
        // run, a release that was not whole is asked whether it has a better one by now; where it
        // cannot be asked, the lock has to do.
        let settled = !self.known.lock.uploading.contains(&tag)
            || self.request(name, pin, Some(&locked.assets)) != VariantRequest::Auto
            || self.awaited(&found.variant, &locked.assets).is_none();
        let question = Question::Assets(tag);
        match self.known.answers.known.get(&question) {
            _ if settled || self.known.terms.locked || self.known.terms.offline => Ok(Some(found)),
            None => Err(Open::Ask(question)),
            Some(Ok(_)) => Ok(None),
            Some(Err(_)) => Ok(Some(found)),
        }
    }

    /// The archives of an installed build that is damaged, from the release's own list: the same
    /// ones that it came from. None where there is no asking.
    pub(super) fn fetched_again(
        &mut self,
        name: &InstanceName,
        pin: &Pin,
        installed: &InstalledBuild,
    ) -> Result<Vec<WantedArchive>, Open> {
        let Some(tag) = installed.build.tag() else {
            return Ok(Vec::new());
        };
        if self.known.terms.locked || installed.variant.parts().is_none() {
            return Ok(Vec::new());
        }
        let same = Pin {
            variant: VariantRequest::Named(installed.variant.to_string()),
            ..pin.clone()
        };
        let found = self.listed(name, &same, tag)?;
        match (installed.digest, found.archives.first()) {
            (Some(was), Some(server)) if was != server.digest => {
                Err(Open::Never(Unanswered::Contradiction(format!(
                    "the damaged build {} came from an archive that is {was}, but `{}` is {} in the release",
                    installed.id, server.name, server.digest
                ))))
            }
            _ => Ok(found.archives),
        }
    }

    /// What the release itself lists, which the lock remembers from then on.
    fn listed(&mut self, name: &InstanceName, pin: &Pin, tag: Tag) -> Result<Found, Open> {
        let mut release = self.release_of(name, tag)?;
        let mut locked = self
            .known
            .lock
            .assets
            .get(&tag)
            .cloned()
            .unwrap_or_default();
        let mut replaced = BTreeMap::new();
        for asset in &mut release.assets {
            // What was locked once is what it must hash to, whatever the release says today.
            if let Some(known) = locked.get(&asset.name) {
                if let Some(now) = asset.digest.filter(|now| *now != known.sha256) {
                    replaced.insert(asset.name.clone(), now);
                }
                asset.digest = Some(known.sha256);
            }
        }
        let found = self.found(name, pin, &release)?;
        for archive in &found.archives {
            if let Some(now) = replaced.get(&archive.name) {
                return Err(Open::Never(Unanswered::Contradiction(format!(
                    "`{}` is {} in the lock, but the release now says {now}: it was replaced after it was locked",
                    archive.name, archive.digest
                ))));
            }
        }
        for (name, asset) in lockable(&release.assets, &found.archives) {
            locked.entry(name).or_insert(asset);
        }
        self.lock.assets.insert(tag, locked);
        if release.uploading {
            self.lock.uploading.insert(tag);
        } else {
            self.lock.uploading.remove(&tag);
        }
        Ok(found)
    }

    pub(super) fn release_of(&self, name: &InstanceName, tag: Tag) -> Result<Release, Open> {
        if let Some(Ok(Answer::Releases(releases))) =
            self.known.answers.known.get(&Question::Recent)
            && let Some(release) = releases.iter().find(|release| release.tag == tag)
            // A folder hashes its archives only when it is asked for those of one build.
            && release.assets.iter().all(|asset| asset.digest.is_some())
        {
            return Ok(release.clone());
        }
        let question = Question::Assets(tag);
        match self.ask(question, &format!("{tag} for `{name}`"))? {
            Answer::Assets(release) => Ok(release),
            Answer::Stable { .. } | Answer::Tag(_) | Answer::Releases(_) => {
                Err(mismatched(question))
            }
        }
    }

    fn locked_release(&self, tag: Tag) -> Option<Release> {
        Some(Release {
            tag,
            assets: self.locked_assets(tag)?,
            uploading: false,
            published: None,
        })
    }

    pub(super) fn locked_assets(&self, tag: Tag) -> Option<Vec<Asset>> {
        self.known.lock.assets.get(&tag).map(list_of)
    }

    fn already_there(
        &self,
        name: &InstanceName,
        pin: &Pin,
        tag: Tag,
        locked: Option<&Found>,
    ) -> Option<&InstalledBuild> {
        let host = self.known.host;
        let build = BuildName::from(tag);
        let request = self.request(name, pin, None);
        let fits = |installed: &&InstalledBuild| {
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
            match locked {
                Some(found) => {
                    installed.variant == found.variant
                        && installed.digest == found.archives.first().map(|archive| archive.digest)
                        && installed.has(found.companions())
                }
                // Without a list there is nothing that `auto` could be chosen from.
                None => {
                    request != VariantRequest::Auto
                        && request.matches(&installed.variant, host.os, host.arch)
                }
            }
        };
        // Of two that are the same, the one that is whole.
        let installed = self.known.installed.iter();
        installed
            .filter(fits)
            .min_by_key(|installed| installed.damaged)
    }

    fn found(&self, name: &InstanceName, pin: &Pin, release: &Release) -> Result<Found, Open> {
        let chosen = self.pick(name, pin, release)?;
        let mut server = chosen.server;
        server.digest = server.digest.or(pin.sha256);
        let archives = std::iter::once(server)
            .chain(chosen.companions)
            .map(|mut asset| {
                let vouched = self.known.answers.vouched.get(&asset.name);
                asset.digest = asset.digest.or(vouched.copied());
                archive(release.tag, asset)
            })
            .collect::<Result<_, _>>()?;
        Ok(Found {
            variant: chosen.variant,
            archives,
            why: chosen.why,
        })
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
}

pub(super) fn archive(tag: Tag, asset: Asset) -> Result<WantedArchive, Open> {
    let origin = ArchiveOrigin::Release(tag);
    let Some(digest) = asset.digest else {
        return Err(Open::Never(Unanswered::NoDigest {
            name: asset.name,
            size: Some(asset.size),
            origin: Box::new(origin),
        }));
    };
    Ok(WantedArchive {
        name: asset.name,
        size: Some(asset.size),
        digest,
        origin,
    })
}

/// The files of a release that belong into the lock: every server and every companion, of all
/// platforms, so that one machine's lock serves all. Of those whose digest the release does not say,
/// only the ones a pin vouches for.
pub(crate) fn lockable(
    assets: &[Asset],
    vouched: &[WantedArchive],
) -> BTreeMap<String, LockedAsset> {
    assets
        .iter()
        .filter(|asset| {
            matches!(
                variant::recognise(&asset.name),
                Some(Recognised::Server { .. } | Recognised::Companion { .. })
            )
        })
        .filter_map(|asset| {
            let vouched = vouched.iter().find(|archive| archive.name == asset.name);
            let digest = asset.digest.or(vouched.map(|archive| archive.digest))?;
            let locked = LockedAsset::new(digest, Some(asset.size));
            Some((asset.name.clone(), locked))
        })
        .collect()
}

pub(super) fn list_of(assets: &BTreeMap<String, LockedAsset>) -> Vec<Asset> {
    assets
        .iter()
        .map(|(name, locked)| Asset {
            name: name.clone(),
            size: locked.size.unwrap_or_default(),
            digest: Some(locked.sha256),
        })
        .collect()
}
