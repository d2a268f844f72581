//! A build of llama.cpp itself: from the registry, else the lock, else the release's own list.

use std::collections::BTreeMap;

use super::pin::mismatched;
use super::{InstalledBuild, Open, Resolver, wanted};
use crate::desired::{Answer, ArchiveOrigin, Question, Unanswered, WantedArchive, WantedBinary};
use crate::instance::InstanceName;
use crate::lock::LockedAsset;
use crate::manifest::Pin;
use crate::release::host::{Choice, files_of};
use crate::release::variant::{self, Recognised};
use crate::release::{Accelerator, Asset, BuildName, Tag, Variant, VariantRequest};

/// What a release's list holds for a request.
struct Found {
    variant: Variant,
    archives: Vec<WantedArchive>,
    why: String,
}

impl Resolver<'_> {
    pub(super) fn released(
        &mut self,
        name: &InstanceName,
        pin: &Pin,
        tag: Tag,
    ) -> Result<WantedBinary, Open> {
        self.used_tags.insert(tag);
        // A lock that was written while the release was still uploading does not cover everybody.
        let locked = self.locked_assets(tag);
        let locked = locked.and_then(|assets| self.choose(name, pin, tag, &assets).ok());
        if let Some(installed) = self.already_there(name, pin, tag, locked.as_ref()) {
            let wanted = wanted(pin.binary_id.unwrap_or(installed.id), installed);
            let archives = locked.map(|found| found.archives).unwrap_or_default();
            self.note_choice(name, pin, &wanted.variant, None);
            return Ok(WantedBinary { archives, ..wanted });
        }
        let found = match locked {
            Some(found) => found,
            None => self.listed(name, pin, tag)?,
        };
        let Some(server) = found.archives.first() else {
            return Err(mismatched(Question::Assets(tag)));
        };
        if let Some(pinned) = pin.sha256.filter(|pinned| *pinned != server.digest) {
            return Err(Open::Never(Unanswered::Contradiction(format!(
                "the pin's `sha256` is {pinned}, but `{}` is {} in the lock or the release",
                server.name, server.digest
            ))));
        }
        let digest = server.digest;
        let id = match pin.binary_id {
            Some(id) => {
                self.ids.entry(digest).or_insert(id);
                id
            }
            None => self.id_for(digest),
        };
        self.note_choice(name, pin, &found.variant, Some(found.why));
        Ok(WantedBinary {
            id,
            build: tag.into(),
            variant: found.variant,
            archives: found.archives,
        })
    }

    /// What the release itself lists, which the lock remembers from then on.
    fn listed(&mut self, name: &InstanceName, pin: &Pin, tag: Tag) -> Result<Found, Open> {
        let mut assets = self.assets_of(name, tag)?;
        let mut locked = self
            .known
            .lock
            .assets
            .get(&tag)
            .cloned()
            .unwrap_or_default();
        for asset in &mut assets {
            // What was locked once is what it must hash to, whatever the release says today.
            if let Some(known) = locked.get(&asset.name) {
                asset.digest = Some(known.sha256);
            }
        }
        let found = self.choose(name, pin, tag, &assets)?;
        for (name, asset) in lockable(&assets, &found.archives) {
            locked.entry(name).or_insert(asset);
        }
        self.lock.assets.insert(tag, locked);
        Ok(found)
    }

    fn assets_of(&self, name: &InstanceName, tag: Tag) -> Result<Vec<Asset>, Open> {
        if let Some(Ok(Answer::Releases(releases))) =
            self.known.answers.known.get(&Question::Recent)
            && let Some(release) = releases.iter().find(|release| release.tag == tag)
            // A folder hashes its archives only when it is asked for those of one build.
            && release.assets.iter().all(|asset| asset.digest.is_some())
        {
            return Ok(release.assets.clone());
        }
        let question = Question::Assets(tag);
        match self.ask(question, &format!("{tag} for `{name}`"))? {
            Answer::Assets(assets) => Ok(assets),
            Answer::Tag(_) | Answer::Releases(_) => Err(mismatched(question)),
        }
    }

    pub(super) fn locked_assets(&self, tag: Tag) -> Option<Vec<Asset>> {
        self.known.lock.assets.get(&tag).map(list_of)
    }

    /// What to look for. `auto` stays with what it chose before; where toolkit versions have moved
    /// on, with the family of it.
    pub(super) fn request(
        &self,
        name: &InstanceName,
        pin: &Pin,
        assets: Option<&[Asset]>,
    ) -> VariantRequest {
        match (&pin.variant, self.known.chosen.get(name)) {
            (VariantRequest::Auto, Some(chosen)) => {
                let there = assets.is_none_or(|assets| files_of(chosen, assets).is_some());
                VariantRequest::Named(if there {
                    chosen.to_string()
                } else {
                    family(chosen)
                })
            }
            (VariantRequest::Auto | VariantRequest::Named(_), _) => pin.variant.clone(),
        }
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
            match locked {
                Some(found) => {
                    installed.variant == found.variant
                        && installed.digest == found.archives.first().map(|archive| archive.digest)
                }
                // Without a list there is nothing that `auto` could be chosen from.
                None => {
                    request != VariantRequest::Auto
                        && request.matches(&installed.variant, host.os, host.arch)
                }
            }
        })
    }

    fn choose(
        &self,
        name: &InstanceName,
        pin: &Pin,
        tag: Tag,
        assets: &[Asset],
    ) -> Result<Found, Open> {
        let request = self.request(name, pin, Some(assets));
        match self.known.host.choose(&request, assets) {
            Choice::Chosen(chosen) => {
                let mut server = chosen.server;
                server.digest = server.digest.or(pin.sha256);
                let archives = std::iter::once(server)
                    .chain(chosen.companions)
                    .map(|asset| archive(tag, asset))
                    .collect::<Result<_, _>>()?;
                Ok(Found {
                    variant: chosen.variant,
                    archives,
                    why: chosen.why,
                })
            }
            Choice::CompanionMissing { variant } => Err(Open::impossible(
                format!(
                    "{tag} has a `{variant}` build, but not the CUDA runtime (`cudart-`) it needs"
                ),
                Some("pin another build; upstream publishes both with most of them".to_owned()),
            )),
            Choice::Unfit { why } => Err(Open::impossible(
                format!("no `{request}` build of {tag} runs on this machine: it {why}"),
                Some(
                    "pin a build made for this machine by its `source_url` and `sha256`".to_owned(),
                ),
            )),
            Choice::NotPublished { published } => {
                // The builds around it that have it are worth one question.
                if !self.known.terms.locked
                    && !self.known.answers.known.contains_key(&Question::Recent)
                {
                    return Err(Open::Ask(Question::Recent));
                }
                Err(Open::Never(Unanswered::NotPublished {
                    build: tag,
                    wanted: request.to_string(),
                    published: published.iter().map(Variant::short).collect(),
                    nearest: self.nearest_with(tag, &request),
                }))
            }
        }
    }

    /// The builds around `tag` that have the asset, as far as the lock and the answers know.
    fn nearest_with(&self, tag: Tag, request: &VariantRequest) -> Vec<Tag> {
        const SHOWN: usize = 3;
        let has =
            |assets: &[Asset]| matches!(self.known.host.choose(request, assets), Choice::Chosen(_));
        let locked = self.known.lock.assets.iter();
        let mut tags: Vec<Tag> = locked
            .filter(|(_, assets)| has(&list_of(assets)))
            .map(|(tag, _)| *tag)
            .collect();
        if let Some(Ok(Answer::Releases(releases))) =
            self.known.answers.known.get(&Question::Recent)
        {
            let with_it = releases.iter().filter(|release| has(&release.assets));
            tags.extend(with_it.map(|release| release.tag));
        }
        tags.retain(|other| *other != tag);
        tags.sort_by_key(|other| (other.number().abs_diff(tag.number()), *other));
        tags.dedup();
        tags.truncate(SHOWN);
        tags
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

/// The family a variant belongs to, as a manifest would ask for it.
fn family(variant: &Variant) -> String {
    match variant.accelerator() {
        Some(Accelerator::Cpu) => "cpu".to_owned(),
        Some(Accelerator::Vulkan) => "vulkan".to_owned(),
        Some(Accelerator::Cuda(_)) => "cuda".to_owned(),
        Some(Accelerator::Rocm(_)) => "rocm".to_owned(),
        Some(Accelerator::Other(words)) => words,
        None => variant.to_string(),
    }
}

pub(super) fn archive(tag: Tag, asset: Asset) -> Result<WantedArchive, Open> {
    let Some(digest) = asset.digest else {
        return Err(Open::impossible(
            format!("nothing says what `{}` has to hash to", asset.name),
            Some("add the archive's `sha256` to the pin".to_owned()),
        ));
    };
    Ok(WantedArchive {
        name: asset.name,
        size: Some(asset.size),
        digest,
        origin: ArchiveOrigin::Release(tag),
    })
}

/// The files of a release that belong into the lock: every server and every companion, of all
/// platforms, so that one machine's lock serves all. Of those whose digest the release does not say,
/// only the ones a pin vouches for.
fn lockable(assets: &[Asset], vouched: &[WantedArchive]) -> BTreeMap<String, LockedAsset> {
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
