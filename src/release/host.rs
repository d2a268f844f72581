//! What this machine can run, and the choice of a release's file for it.
//!
//! Pure, so the choice of any machine can be tested on any other. Looking at a machine is left to
//! [`Host::detect`], in a file of its own; why a file is taken or passed over, to `consider`.

mod consider;
mod detect;
mod finding;
mod glibc;
#[cfg(test)]
mod tests;

use super::variant::{Recognised, VariantParts, recognise};
use super::{Accelerator, Arch, Archive, Asset, Os, Variant, VariantRequest};

pub use consider::{Considered, Doubt, Verdict};
pub use finding::{Finding, Part};
pub use glibc::{Glibc, Libc};

/// A machine, as far as the choice of a build depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its system.
    pub os: Os,
    /// Its processor.
    pub arch: Arch,
    /// What it can compute on besides the processor.
    pub accelerators: Accelerators,
    /// Its C library.
    pub libc: Libc,
    /// All of this as it was found, in the order it was looked for.
    pub findings: Vec<Finding>,
}

/// What a machine can compute on besides its processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accelerators {
    /// Whether there is a GPU, a Vulkan loader, and a driver for the loader to find.
    pub vulkan: bool,
    /// Whether there is an AMD GPU open for computing, and the `ROCm` runtime.
    pub rocm: bool,
    /// The newest CUDA major version the installed NVIDIA driver runs; `None` without a driver.
    pub cuda: Option<u32>,
    /// The major version of that driver, where known.
    pub driver: Option<u32>,
}

impl Accelerators {
    /// Whether there is anything besides the processor.
    const fn any(self) -> bool {
        self.vulkan || self.rocm || self.cuda.is_some()
    }
}

/// The newest first: CUDA's major versions, and the oldest major version of the driver that runs
/// all of their minor versions (NVIDIA's CUDA compatibility guide, as of 2026-11).
const DRIVERS: [(u32, u32); 2] = [(13, 580), (12, 525)];

/// The oldest driver that runs this major version of CUDA; `None` for versions not known here.
fn oldest_driver(cuda: u32) -> Option<u32> {
    let row = DRIVERS.iter().find(|(version, _)| *version == cuda);
    row.map(|(_, driver)| *driver)
}

/// The newest major version of CUDA that this driver runs.
fn newest_cuda(driver: u32) -> Option<u32> {
    let row = DRIVERS.iter().find(|(_, oldest)| driver >= *oldest);
    row.map(|(cuda, _)| *cuda)
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
    /// There are some, and none of them can run on this machine.
    Unfit {
        /// Why, as a clause about the builds: `needs glibc 2.34, this machine has 2.31`.
        why: Doubt,
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
    /// A machine of which nothing else is known.
    pub const fn bare(os: Os, arch: Arch) -> Self {
        Self {
            os,
            arch,
            accelerators: Accelerators {
                vulkan: false,
                rocm: false,
                cuda: None,
                driver: None,
            },
            libc: Libc::Unknown,
            findings: Vec::new(),
        }
    }

    /// Chooses from a release's files. Toolkit versions move between builds, so of several that
    /// match the newest one is taken, but none newer than the driver of this machine runs where
    /// that is known; `.tar.gz` before `.zip`, except on Windows. `auto` takes nothing that this
    /// machine's C library is too old for; what is asked for by name is taken all the same, since
    /// the files themselves will tell. [`Host::explain`] says what was thought of each.
    pub fn choose(&self, request: &VariantRequest, assets: &[Asset]) -> Choice {
        let judged = self.judge(request, assets);
        for (one, verdict) in &judged {
            if let Verdict::Taken { why, .. } = verdict {
                return one.chosen(why.clone());
            }
        }
        let doubts = || {
            judged.iter().filter_map(|(one, verdict)| match verdict {
                Verdict::PassedOver(doubt) => Some((one, *doubt)),
                Verdict::Taken { .. } | Verdict::NotNeeded => None,
            })
        };
        // What is least preferred is what asks least of a machine.
        let unfit =
            doubts().rfind(|(_, doubt)| matches!(doubt, Doubt::NoGlibc | Doubt::OldGlibc { .. }));
        if let Some((_, why)) = unfit {
            return Choice::Unfit { why };
        }
        if *request == VariantRequest::Auto {
            return Choice::NotPublished {
                published: published(judged.iter().map(|(one, _)| one)),
            };
        }
        match judged.first() {
            Some((one, _)) => Choice::CompanionMissing {
                variant: one.variant.clone(),
            },
            None => self.not_published(assets),
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
}

fn published<'a, 'b: 'a>(candidates: impl Iterator<Item = &'a Candidate<'b>>) -> Vec<Variant> {
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

impl VariantParts {
    /// The major version of CUDA it was built with; `None` for what is no CUDA build.
    fn cuda(&self) -> Option<u32> {
        let Accelerator::Cuda(version) = &self.accelerator else {
            return None;
        };
        numbers(version).first().copied()
    }
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
