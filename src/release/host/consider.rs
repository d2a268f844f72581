//! Every variant a release has for a machine, in order of preference, and why it is taken or not.
//!
//! The choice and its explanation are one judgement, so that they cannot disagree. Pure; what
//! follows from there being nothing to take is left to [`Host::choose`].

use std::cmp::Reverse;
use std::fmt;

use super::glibc::{Glibc, Libc, built_for};
use super::{Candidate, Host, candidate, numbers, oldest_driver};
use crate::release::variant::VariantParts;
use crate::release::{Accelerator, Archive, Asset, Os, Variant, VariantRequest};

/// A variant of a release, and what was thought of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// Which one.
    pub variant: Variant,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a variant that could be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Taken {
        /// Why, as a clause.
        why: String,
        /// What speaks against it all the same, where it was asked for by name.
        doubt: Option<Doubt>,
    },
    /// It is not for this machine.
    PassedOver(Doubt),
    /// It would do, and a better one was taken.
    NotNeeded,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { why, .. } => write!(f, "taken, {why}"),
            Self::PassedOver(doubt) => write!(f, "passed over, {doubt}"),
            Self::NotNeeded => f.write_str("not needed, a better one is there"),
        }
    }
}

/// Why a variant may not run on a machine. Shown as what is to be said of it: `needs glibc 2.38,
/// this machine has 2.36`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The CUDA runtime is not, or not yet, among the release's files.
    NoCompanion,
    /// The machine's C library is musl.
    NoGlibc,
    /// There is no NVIDIA driver, or none that runs any CUDA llama.cpp is built with.
    NoDriver,
    /// The NVIDIA driver runs older CUDA versions only.
    OldDriver {
        /// CUDA's major version.
        cuda: u32,
        /// The driver's major version, where known.
        has: Option<u32>,
    },
    /// There is no AMD GPU with the `ROCm` runtime.
    NoRocm,
    /// There is no GPU with a Vulkan loader and a driver.
    NoVulkan,
    /// The machine's glibc is older than what it was built on.
    OldGlibc {
        /// What it was built on.
        needs: Glibc,
        /// What the machine has.
        has: Glibc,
    },
    /// `auto` never takes one of its kind.
    OnlyByName,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCompanion => f.write_str("the release lacks its CUDA runtime (`cudart-`)"),
            Self::NoGlibc => f.write_str("needs glibc, this machine has musl"),
            Self::NoDriver => f.write_str("needs an NVIDIA driver that runs CUDA"),
            Self::OldDriver { cuda, has } => match (oldest_driver(*cuda), has) {
                (Some(needs), Some(has)) => {
                    write!(f, "needs NVIDIA driver {needs}, this machine has {has}")
                }
                _ => write!(f, "needs an NVIDIA driver that runs CUDA {cuda}"),
            },
            Self::NoRocm => f.write_str("needs an AMD GPU and the ROCm runtime"),
            Self::NoVulkan => f.write_str("needs a GPU, a Vulkan loader and a driver for it"),
            Self::OldGlibc { needs, has } => {
                write!(f, "needs glibc {needs}, this machine has {has}")
            }
            Self::OnlyByName => f.write_str("only taken where it is asked for by name"),
        }
    }
}

impl Doubt {
    /// Whether it stands in the way of what was asked for by name as well: there is nothing that
    /// could be installed, or nothing of it could ever run.
    const fn is_final(self) -> bool {
        matches!(self, Self::NoCompanion | Self::NoGlibc)
    }

    /// What a person can do where nothing else is left.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::OldGlibc { .. } => {
                "what llama.cpp builds on may have changed: a variant that is named, such as `variant: cpu`, is tried all the same"
            }
            Self::NoCompanion
            | Self::NoGlibc
            | Self::NoDriver
            | Self::OldDriver { .. }
            | Self::NoRocm
            | Self::NoVulkan
            | Self::OnlyByName => {
                "pin a build made for this machine by its `source_url` and `sha256`"
            }
        }
    }
}

impl Host {
    /// What [`Host::choose`] thinks of each variant that answers to the request, in its order.
    pub fn explain(&self, request: &VariantRequest, assets: &[Asset]) -> Vec<Considered> {
        self.judge(request, assets)
            .into_iter()
            .map(|(one, verdict)| Considered {
                variant: one.variant,
                verdict,
            })
            .collect()
    }

    /// Everything that answers to the request, what is preferred first, each variant once.
    pub(super) fn judge<'a>(
        &self,
        request: &VariantRequest,
        assets: &'a [Asset],
    ) -> Vec<(Candidate<'a>, Verdict)> {
        let mut candidates: Vec<Candidate<'_>> = assets
            .iter()
            .filter_map(|asset| candidate(asset, assets))
            .filter(|one| request.matches(&one.variant, self.os, self.arch))
            .collect();
        candidates.sort_by_cached_key(|one| Reverse(self.rank(request, one)));
        let mut judged: Vec<(Candidate<'_>, Verdict)> = Vec::new();
        let mut is_taken = false;
        for one in candidates {
            // Two kinds of archive of one thing are one variant.
            if judged.iter().any(|(other, _)| other.variant == one.variant) {
                continue;
            }
            let doubt = self.doubt(request, &one);
            let verdict = match doubt {
                Some(doubt) if *request == VariantRequest::Auto || doubt.is_final() => {
                    Verdict::PassedOver(doubt)
                }
                _ if is_taken => Verdict::NotNeeded,
                _ => {
                    is_taken = true;
                    let why = match (request, doubt) {
                        (VariantRequest::Auto, _) => self.why(&one, &judged),
                        (_, None) => format!("`{request}` was asked for"),
                        (_, Some(doubt)) => format!("`{request}` was asked for, though it {doubt}"),
                    };
                    Verdict::Taken { why, doubt }
                }
            };
            judged.push((one, verdict));
        }
        judged
    }

    /// What speaks against a variant on this machine; the C library last, so that whatever is
    /// passed over because of it would run but for that.
    fn doubt(&self, request: &VariantRequest, one: &Candidate<'_>) -> Option<Doubt> {
        if !one.is_complete() {
            return Some(Doubt::NoCompanion);
        }
        match &one.parts.accelerator {
            Accelerator::Other(_)
                if *request == VariantRequest::Auto
                    && one.parts.os == self.os
                    && !self.is_musl() =>
            {
                Some(Doubt::OnlyByName)
            }
            _ => self.unfit(&one.parts),
        }
    }

    const fn is_musl(&self) -> bool {
        matches!((self.os, self.libc), (Os::Linux, Libc::Musl))
    }

    /// What this machine lacks for a variant; the C library last, unless it is none that could do.
    fn unfit(&self, parts: &VariantParts) -> Option<Doubt> {
        if parts.os != self.os {
            return None;
        }
        if self.is_musl() {
            return Some(Doubt::NoGlibc);
        }
        self.device_doubt(parts).or_else(|| self.libc_doubt(parts))
    }

    /// What this machine lacks of the device a variant computes on.
    pub(crate) fn device_doubt(&self, parts: &VariantParts) -> Option<Doubt> {
        match &parts.accelerator {
            Accelerator::Cpu | Accelerator::Other(_) => None,
            Accelerator::Cuda(_) => self.driver_doubt(parts),
            Accelerator::Rocm(_) => (!self.accelerators.rocm).then_some(Doubt::NoRocm),
            Accelerator::Vulkan => (!self.accelerators.vulkan).then_some(Doubt::NoVulkan),
        }
    }

    /// Whether this machine's C library may be too old for a variant, or none at all that would do.
    pub(crate) fn libc_doubt(&self, parts: &VariantParts) -> Option<Doubt> {
        if parts.os != self.os {
            return None;
        }
        match (built_for(parts), self.libc) {
            (Some(_), Libc::Musl) => Some(Doubt::NoGlibc),
            (Some(needs), Libc::Glibc(has)) if has < needs => Some(Doubt::OldGlibc { needs, has }),
            _ => None,
        }
    }

    fn driver_doubt(&self, parts: &VariantParts) -> Option<Doubt> {
        let cuda = parts.cuda()?;
        match self.accelerators.cuda {
            Some(newest) if cuda <= newest => None,
            Some(_) => Some(Doubt::OldDriver {
                cuda,
                has: self.accelerators.driver,
            }),
            None => Some(match self.accelerators.driver {
                Some(has) => Doubt::OldDriver {
                    cuda,
                    has: Some(has),
                },
                None => Doubt::NoDriver,
            }),
        }
    }

    /// What is better sorts higher. `auto` goes by kind; whoever names a family gets what the
    /// installed driver runs first. The file's name comes last, so that the order of the list never
    /// matters.
    fn rank(&self, request: &VariantRequest, one: &Candidate<'_>) -> (u8, Vec<u32>, bool, String) {
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
        let preferred = if *request == VariantRequest::Auto {
            match &one.parts.accelerator {
                Accelerator::Cuda(_) => 4,
                Accelerator::Rocm(_) => 3,
                Accelerator::Vulkan => 2,
                Accelerator::Cpu => 1,
                Accelerator::Other(_) => 0,
            }
        } else {
            u8::from(one.parts.cuda().is_some() && self.driver_doubt(&one.parts).is_none())
        };
        (
            preferred,
            version,
            one.archive == usual,
            one.asset.name.clone(),
        )
    }

    /// Why `auto` takes this one, given what it has passed over.
    fn why(&self, one: &Candidate<'_>, passed: &[(Candidate<'_>, Verdict)]) -> String {
        let too_new = passed.iter().find_map(|(other, verdict)| match verdict {
            Verdict::PassedOver(doubt @ Doubt::OldGlibc { .. }) => {
                Some(format!("`{}` {doubt}", other.variant))
            }
            _ => None,
        });
        let why = match &one.parts.accelerator {
            Accelerator::Cuda(_) => match self.accelerators.cuda {
                Some(newest) => format!("the NVIDIA driver of this machine runs CUDA {newest}"),
                None => "this machine has an NVIDIA driver".to_owned(),
            },
            Accelerator::Rocm(_) => "this machine has an AMD GPU and the ROCm runtime".to_owned(),
            Accelerator::Vulkan => "this machine has a GPU and a Vulkan loader".to_owned(),
            Accelerator::Cpu | Accelerator::Other(_) if self.os == Os::Macos => {
                return format!("the build for macOS on {}", self.arch);
            }
            Accelerator::Cpu | Accelerator::Other(_) if !self.accelerators.any() => {
                return "no GPU with its driver was found on this machine".to_owned();
            }
            Accelerator::Cpu | Accelerator::Other(_) => match &too_new {
                Some(_) => "the release has no build for the GPU of this machine that runs on it",
                None => "the release has no build for the GPU of this machine",
            }
            .to_owned(),
        };
        match too_new {
            Some(too_new) => format!("{why}; {too_new}"),
            None => why,
        }
    }
}
