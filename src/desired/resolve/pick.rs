//! Which files of a release a pin means on this machine, or why there are none (yet).
//!
//! What a single file is good for is judged by [`host`](crate::release::host). Here is what goes beyond
//! one list: what `auto` chose before, what may still be uploaded, and the builds around.

use super::released::list_of;
use super::{Open, Resolver};
use crate::desired::{Answer, Question, Unanswered};
use crate::instance::InstanceName;
use crate::manifest::Pin;
use crate::release::host::{Choice, Chosen, Doubt, Verdict, files_of};
use crate::release::{Accelerator, Asset, Release, Tag, Variant, VariantRequest};

/// What `auto` takes first where the machine runs it, as [`crate::release::host`] has it.
const CUDA_RANK: u8 = 3;
const ROCM_RANK: u8 = 2;
const VULKAN_RANK: u8 = 1;
const CPU_RANK: u8 = 0;

pub(super) fn rank(variant: &Variant) -> u8 {
    match variant.accelerator() {
        Some(Accelerator::Cuda(_)) => CUDA_RANK,
        Some(Accelerator::Rocm(_)) => ROCM_RANK,
        Some(Accelerator::Vulkan) => VULKAN_RANK,
        Some(Accelerator::Cpu | Accelerator::Other(_)) | None => CPU_RANK,
    }
}

impl Resolver<'_> {
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

    /// The files of a release for a pin, whether or not it is known what they hash to.
    pub(super) fn pick(
        &self,
        name: &InstanceName,
        pin: &Pin,
        release: &Release,
    ) -> Result<Chosen, Open> {
        let host = self.known.host;
        let assets = &release.assets;
        let request = self.request(name, pin, Some(assets));
        let chosen = match host.choose(&request, assets) {
            Choice::Chosen(chosen) => *chosen,
            other => return Err(self.missing(release, &request, other)),
        };
        let moved = pin.variant == VariantRequest::Auto
            && self.known.chosen.get(name) != Some(&chosen.variant);
        let awaited = if request == VariantRequest::Auto && release.uploading {
            self.awaited(&chosen.variant, assets)
        } else {
            None
        };
        let mut wanted = match awaited {
            // What is chosen now would be kept, and a better one may be minutes away.
            Some(kind) => VariantRequest::Named(kind.to_owned()),
            // The family of what was chosen before is there, for a newer driver than this one.
            None if moved && !self.drives(&chosen.variant) => self.newest_driven(),
            None => return Ok(chosen),
        };
        let mut choice = host.choose(&wanted, assets);
        if matches!(&choice, Choice::Chosen(other) if !self.drives(&other.variant)) {
            wanted = self.newest_driven();
            choice = host.choose(&wanted, assets);
        }
        Err(self.missing(release, &wanted, choice))
    }

    /// A better kind than `chosen` that this machine runs, and of which a list has nothing yet that
    /// was judged for what it is.
    pub(super) fn awaited(&self, chosen: &Variant, assets: &[Asset]) -> Option<&'static str> {
        let host = self.known.host;
        let here = host.accelerators;
        let kinds = [
            (CUDA_RANK, "cuda", here.cuda.is_some()),
            (ROCM_RANK, "rocm", here.rocm),
            (VULKAN_RANK, "vulkan", here.vulkan),
        ];
        let judged = host.explain(&VariantRequest::Auto, assets);
        let is_there = |kind| {
            judged.iter().any(|one| {
                let may_change = matches!(
                    one.verdict,
                    Verdict::PassedOver(Doubt::NoCompanion | Doubt::OldDriver { .. })
                );
                rank(&one.variant) == kind && !may_change
            })
        };
        kinds
            .into_iter()
            .find(|(kind, _, runs)| *runs && *kind > rank(chosen) && !is_there(*kind))
            .map(|(_, name, _)| name)
    }

    /// Whether the driver of this machine, where there is one, runs a build of this variant.
    fn drives(&self, variant: &Variant) -> bool {
        let Some(Accelerator::Cuda(version)) = variant.accelerator() else {
            return true;
        };
        let major = version.split('.').next().and_then(|text| text.parse().ok());
        let newest = self.known.host.accelerators.cuda;
        newest.is_none_or(|newest| major.is_some_and(|major: u32| major <= newest))
    }

    /// CUDA builds of the newest version that the driver of this machine runs.
    fn newest_driven(&self) -> VariantRequest {
        let newest = self.known.host.accelerators.cuda;
        VariantRequest::Named(newest.map_or("cuda".to_owned(), |newest| format!("cuda-{newest}")))
    }

    /// Why a release has not what is wanted; first, the builds around it that have it are worth one
    /// question.
    fn missing(&self, release: &Release, request: &VariantRequest, choice: Choice) -> Open {
        let (build, uploading) = (release.tag, release.uploading);
        if let Choice::Unfit { why } = choice {
            return Open::impossible(
                match request {
                    VariantRequest::Auto => {
                        format!("no build of {build} runs on this machine: it {why}")
                    }
                    VariantRequest::Named(_) => {
                        format!(
                            "the `{request}` build of {build} does not run on this machine: it {why}"
                        )
                    }
                },
                Some(why.hint().to_owned()),
            );
        }
        if !self.known.terms.locked && !self.known.answers.known.contains_key(&Question::Recent) {
            return Open::Ask(Question::Recent);
        }
        let nearest = self.nearest_with(build, request);
        let published = match choice {
            Choice::CompanionMissing { variant } => {
                return Open::Never(Unanswered::CompanionMissing {
                    build,
                    variant,
                    nearest,
                    uploading,
                });
            }
            Choice::NotPublished { published } => published,
            Choice::Chosen(other) => vec![other.variant],
            Choice::Unfit { .. } => Vec::new(),
        };
        Open::Never(Unanswered::NotPublished {
            build,
            wanted: request.to_string(),
            published: published.iter().map(Variant::short).collect(),
            nearest,
            uploading,
        })
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
