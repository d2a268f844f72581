//! What this machine can run, and the choice of a release's file for it.
//!
//! Pure, so the choice of any machine can be tested on any other. Looking at a machine is left to
//! [`Host::detect`], in a file of its own.

mod detect;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use super::variant::{Recognised, VariantParts, recognise};
use super::{Accelerator, Arch, Archive, Asset, Os, Variant, VariantRequest};

/// A machine, as far as the choice of a build depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its system.
    pub os: Os,
    /// Its processor.
    pub arch: Arch,
    /// What it can compute on besides the processor.
    pub accelerators: Accelerators,
}

/// What a machine can compute on besides its processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accelerators {
    /// Whether there is a Vulkan loader and a GPU to drive through it.
    pub vulkan: bool,
    /// Whether there is an AMD GPU open for computing, and the `ROCm` runtime.
    pub rocm: bool,
    /// The newest CUDA major version the installed NVIDIA driver runs; `None` without a driver.
    pub cuda: Option<u32>,
}

/// The file to install, and why it is that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The archive with the server.
    pub server: Asset,
    /// Its flavour.
    pub variant: Variant,
    /// The archives to unpack beside it.
    pub companions: Vec<Asset>,
    /// Why, as a clause: `this machine has a GPU and a Vulkan loader`.
    pub why: String,
}

/// What came of looking for a file in a release's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// There is one.
    Chosen(Box<Chosen>),
    /// The build is there, the CUDA runtime it needs is not (yet).
    CompanionMissing {
        /// The flavour that is short of it.
        variant: Variant,
    },
    /// There is none of that flavour.
    NotPublished {
        /// The flavours that are there for this system, sorted.
        published: Vec<Variant>,
    },
}

/// A server archive of the list, with what has to come with it.
struct Candidate<'a> {
    asset: &'a Asset,
    variant: Variant,
    parts: VariantParts,
    archive: Archive,
    companions: Vec<&'a Asset>,
}

impl Host {
    /// Chooses from a release's files. Toolkit versions move between builds, so of several that
    /// match the newest one is taken, but none newer than the driver of this machine runs where
    /// that is known; `.tar.gz` before `.zip`, except on Windows.
    pub fn choose(&self, request: &VariantRequest, assets: &[Asset]) -> Choice {
        let mut candidates: Vec<Candidate<'_>> = assets
            .iter()
            .filter_map(|asset| candidate(asset, assets))
            .filter(|one| request.matches(&one.variant, self.os, self.arch))
            .collect();
        candidates.sort_by_cached_key(|one| Reverse(self.rank(one)));
        if *request == VariantRequest::Auto {
            return self.choose_best(&candidates);
        }
        let why = || format!("`{request}` was asked for");
        match candidates.iter().find(|one| one.is_complete()) {
            Some(one) => one.chosen(why()),
            None => match candidates.first() {
                Some(one) => Choice::CompanionMissing {
                    variant: one.variant.clone(),
                },
                None => self.not_published(assets),
            },
        }
    }

    fn choose_best(&self, candidates: &[Candidate<'_>]) -> Choice {
        let cuda = candidates
            .iter()
            .find(|one| self.drives(one) && one.is_complete());
        if let (Some(one), Some(major)) = (cuda, self.accelerators.cuda) {
            return one.chosen(format!(
                "the NVIDIA driver of this machine runs CUDA {major}"
            ));
        }
        let on = |wanted: fn(&Accelerator) -> bool| {
            candidates.iter().find(|one| wanted(&one.parts.accelerator))
        };
        if self.accelerators.rocm
            && let Some(one) = on(|accelerator| matches!(accelerator, Accelerator::Rocm(_)))
        {
            return one.chosen("this machine has an AMD GPU and the ROCm runtime".to_owned());
        }
        if self.accelerators.vulkan
            && let Some(one) = on(|accelerator| *accelerator == Accelerator::Vulkan)
        {
            return one.chosen("this machine has a GPU and a Vulkan loader".to_owned());
        }
        match on(|accelerator| *accelerator == Accelerator::Cpu) {
            Some(one) if self.os == Os::Macos => {
                one.chosen(format!("the build for macOS on {}", self.arch))
            }
            Some(one) if self.accelerators == Accelerators::default() => {
                one.chosen("no GPU with its driver was found on this machine".to_owned())
            }
            Some(one) => {
                one.chosen("the release has no build for the GPU of this machine".to_owned())
            }
            None => Choice::NotPublished {
                published: published(candidates.iter()),
            },
        }
    }

    fn not_published(&self, assets: &[Asset]) -> Choice {
        let all: Vec<_> = assets
            .iter()
            .filter_map(|asset| candidate(asset, assets))
            .collect();
        let here = |one: &&Candidate<'_>| one.parts.os == self.os && one.parts.arch == self.arch;
        Choice::NotPublished {
            published: published(all.iter().filter(here)),
        }
    }

    /// Whether this is a CUDA build that the installed driver runs.
    fn drives(&self, one: &Candidate<'_>) -> bool {
        let Accelerator::Cuda(version) = &one.parts.accelerator else {
            return false;
        };
        self.accelerators
            .cuda
            .is_some_and(|newest| numbers(version).first() <= Some(&newest))
    }

    /// What is better sorts higher. The name comes last, so that the order of the list never matters.
    fn rank(&self, one: &Candidate<'_>) -> (bool, Vec<u32>, bool, String) {
        let version = match &one.parts.accelerator {
            Accelerator::Cuda(version) | Accelerator::Rocm(Some(version)) => numbers(version),
            Accelerator::Rocm(None)
            | Accelerator::Cpu
            | Accelerator::Vulkan
            | Accelerator::Other(_) => Vec::new(),
        };
        let usual = match self.os {
            Os::Linux | Os::Macos => Archive::TarGz,
            Os::Windows => Archive::Zip,
        };
        (
            self.drives(one),
            version,
            one.archive == usual,
            one.asset.name.clone(),
        )
    }
}

fn published<'a>(candidates: impl Iterator<Item = &'a Candidate<'a>>) -> Vec<Variant> {
    let mut all: Vec<Variant> = candidates.map(|one| one.variant.clone()).collect();
    all.sort();
    all.dedup();
    all
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

fn candidate<'a>(asset: &'a Asset, assets: &'a [Asset]) -> Option<Candidate<'a>> {
    let Recognised::Server {
        variant,
        parts,
        archive,
        ..
    } = recognise(&asset.name)?
    else {
        return None;
    };
    let companions = companions(&parts, assets);
    Some(Candidate {
        asset,
        variant,
        parts,
        archive,
        companions,
    })
}

/// The CUDA runtime for a CUDA build: the `cudart-*` file of the same system, processor and version.
fn companions<'a>(server: &VariantParts, assets: &'a [Asset]) -> Vec<&'a Asset> {
    let Accelerator::Cuda(wanted) = &server.accelerator else {
        return Vec::new();
    };
    let fits = |asset: &&Asset| {
        matches!(recognise(&asset.name), Some(Recognised::Companion { os, arch, cuda, .. })
            if os == server.os && arch == server.arch && cuda == *wanted)
    };
    // Two kinds of archive of one thing are one companion.
    assets.iter().find(fits).into_iter().collect()
}

impl Candidate<'_> {
    fn is_complete(&self) -> bool {
        !matches!(self.parts.accelerator, Accelerator::Cuda(_)) || !self.companions.is_empty()
    }

    fn chosen(&self, why: String) -> Choice {
        Choice::Chosen(Box::new(Chosen {
            server: self.asset.clone(),
            variant: self.variant.clone(),
            companions: self.companions.iter().copied().cloned().collect(),
            why,
        }))
    }
}

/// The files of a release that a variant of it consists of: the server's and its companions. Used
/// where the choice was made before and only the files of it are looked up, as from the lock.
pub fn files_of<'a>(variant: &Variant, assets: &'a [Asset]) -> Option<(&'a Asset, Vec<&'a Asset>)> {
    let mut all: Vec<_> = assets
        .iter()
        .filter_map(|asset| candidate(asset, assets))
        .filter(|one| one.variant == *variant && one.is_complete())
        .collect();
    let unusual =
        |one: &Candidate<'_>| (one.archive == Archive::Zip) == (one.parts.os != Os::Windows);
    all.sort_by_key(unusual);
    all.into_iter()
        .next()
        .map(|one| (one.asset, one.companions))
}
