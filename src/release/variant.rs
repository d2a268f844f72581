//! The names of release assets, read by a table of rules; and the names people give to variants.
//!
//! A name is always *read* from a release's own list and never formatted from a template: the
//! names, the toolkit versions in them and the kind of archive have all moved between builds.
//! Which of the variants a machine can run is left to [`host`](super::host).

mod rules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ParseError, Tag};

/// An operating system llama.cpp publishes builds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Os {
    /// Linux with glibc (`ubuntu` in asset names).
    Linux,
    /// macOS.
    Macos,
    /// Windows (`win`).
    Windows,
}

impl Os {
    /// The words that stand for it at the beginning of a variant; the first one is upstream's.
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Linux => &["ubuntu", "linux"],
            Self::Macos => &["macos"],
            Self::Windows => &["win", "windows"],
        }
    }
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Linux => "Linux",
            Self::Macos => "macOS",
            Self::Windows => "Windows",
        })
    }
}

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// x86-64.
    X64,
    /// 64-bit ARM.
    Arm64,
    /// IBM Z.
    S390x,
}

impl Arch {
    const ALL: [Self; 3] = [Self::X64, Self::Arm64, Self::S390x];

    /// The word in asset names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
            Self::S390x => "s390x",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a build computes on, with the toolkit version its name carries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Accelerator {
    /// The processor alone (and Metal on macOS arm64, which names nothing).
    Cpu,
    /// Vulkan.
    Vulkan,
    /// CUDA of this version, such as `12.8`.
    Cuda(String),
    /// `ROCm` of this version; old names say `hip-radeon` and carry none.
    Rocm(Option<String>),
    /// Anything else that is a server for this system, by the word in its name (`sycl-fp16`).
    Other(String),
}

/// How an asset is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Archive {
    /// `.tar.gz`
    TarGz,
    /// `.zip`
    Zip,
}

impl Archive {
    /// Splits a file name into its stem and the kind its extension says.
    pub fn of(name: &str) -> Option<(&str, Self)> {
        let tar = name.strip_suffix(".tar.gz").map(|stem| (stem, Self::TarGz));
        tar.or_else(|| name.strip_suffix(".tgz").map(|stem| (stem, Self::TarGz)))
            .or_else(|| name.strip_suffix(".zip").map(|stem| (stem, Self::Zip)))
            .filter(|(stem, _)| !stem.is_empty())
    }
}

/// One flavour of a build, canonically the middle of its asset's name: `ubuntu-vulkan-x64`.
///
/// Any text is kept: registries hold `unknown` as well, of which nothing else can be said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variant(String);

/// What a variant's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantParts {
    /// The system it runs on.
    pub os: Os,
    /// The processor it runs on.
    pub arch: Arch,
    /// What it computes on.
    pub accelerator: Accelerator,
}

impl Variant {
    /// Keeps a text, whether or not a rule can read it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the name says; `None` where no rule reads it as a server for a system we run on.
    pub fn parts(&self) -> Option<VariantParts> {
        rules::read_middle(&self.0)
    }

    /// The system it runs on, where the name says so.
    pub fn os(&self) -> Option<Os> {
        self.parts().map(|parts| parts.os)
    }

    /// The processor it runs on, where the name says so.
    pub fn arch(&self) -> Option<Arch> {
        self.parts().map(|parts| parts.arch)
    }

    /// What it computes on, where the name says so.
    pub fn accelerator(&self) -> Option<Accelerator> {
        self.parts().map(|parts| parts.accelerator)
    }

    /// The name without the system: `vulkan-x64`, `cpu-x64`, `metal-arm64`. What it names is named
    /// explicitly, also where the asset's name leaves it out. Any other text stays as it is.
    pub fn short(&self) -> String {
        let Some(parts) = self.parts() else {
            return self.0.clone();
        };
        let rest = self.without_os(parts.os);
        if rest == parts.arch.as_str() {
            let word = if is_metal(&parts) { "metal" } else { "cpu" };
            format!("{word}-{rest}")
        } else {
            rest.to_owned()
        }
    }

    fn without_os(&self, os: Os) -> &str {
        strip_os(&self.0, os).unwrap_or(&self.0)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn is_metal(parts: &VariantParts) -> bool {
    parts.os == Os::Macos && parts.arch == Arch::Arm64 && parts.accelerator == Accelerator::Cpu
}

fn strip_os(text: &str, os: Os) -> Option<&str> {
    os.words()
        .iter()
        .find_map(|word| text.strip_prefix(word)?.strip_prefix('-'))
}

/// What the name of a release's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// A build of the server for a system we run on.
    Server {
        /// The build it belongs to.
        tag: Tag,
        /// Its flavour.
        variant: Variant,
        /// What the flavour's name says.
        parts: VariantParts,
        /// How it is packed.
        archive: Archive,
    },
    /// The CUDA runtime a CUDA build needs beside it.
    Companion {
        /// The build it belongs to; Windows names carry none.
        tag: Option<Tag>,
        /// The system it is for.
        os: Os,
        /// The processor it is for.
        arch: Arch,
        /// The CUDA version it is of, such as `12.8`.
        cuda: String,
        /// How it is packed.
        archive: Archive,
    },
    /// Known, and of no use here, for this reason.
    Ignored(&'static str),
}

/// Reads the name of a release's file. `None` for a name no rule knows.
pub fn recognise(name: &str) -> Option<Recognised> {
    rules::read(name)
}

/// What a manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VariantRequest {
    /// The best this machine can run.
    Auto,
    /// A family (`cuda`, `cuda-13`, `rocm`) or an exact variant, with or without the os part.
    Named(String),
}

impl VariantRequest {
    /// Whether a published variant is one that was asked for, on a machine of this system.
    ///
    /// An exact name always matches itself, also on another system. Anything shorter is a prefix
    /// by whole words, and of a version by whole numbers: `cuda-13` is `cuda-13.4-x64` but not
    /// `cuda-130.1-x64`. [`VariantRequest::Auto`] matches whatever runs on such a system.
    pub fn matches(&self, variant: &Variant, os: Os, arch: Arch) -> bool {
        let Self::Named(wanted) = self else {
            return variant
                .parts()
                .is_some_and(|parts| parts.os == os && parts.arch == arch);
        };
        if wanted == variant.as_str() {
            return true;
        }
        let Some(parts) = variant.parts() else {
            return false;
        };
        if parts.os != os || parts.arch != arch {
            return false;
        }
        let wanted = strip_os(wanted, os).unwrap_or(wanted);
        spellings(variant, &parts)
            .iter()
            .any(|spelling| is_prefix(wanted, spelling))
    }
}

/// The ways to write a variant without its system, as words. The version may be left out.
fn spellings(variant: &Variant, parts: &VariantParts) -> Vec<Vec<String>> {
    let words = |text: &str| text.split('-').map(str::to_owned).collect::<Vec<_>>();
    let mut all = vec![words(variant.without_os(parts.os)), words(&variant.short())];
    let arch = parts.arch.as_str();
    let (family, version) = match &parts.accelerator {
        Accelerator::Cpu => ("cpu".to_owned(), None),
        Accelerator::Vulkan => ("vulkan".to_owned(), None),
        Accelerator::Cuda(version) => ("cuda".to_owned(), Some(version.clone())),
        Accelerator::Rocm(version) => {
            all.push(words(&format!("hip-{arch}")));
            ("rocm".to_owned(), version.clone())
        }
        Accelerator::Other(word) => (word.clone(), None),
    };
    all.push(words(&format!("{family}-{arch}")));
    if let Some(version) = version {
        all.push(words(&format!("{family}-{version}-{arch}")));
    }
    all
}

fn is_prefix(wanted: &str, spelling: &[String]) -> bool {
    let mut rest = spelling.iter();
    wanted.split('-').all(|part| {
        rest.next().is_some_and(|word| {
            word == part
                || (part.starts_with(|c: char| c.is_ascii_digit())
                    && word
                        .strip_prefix(part)
                        .is_some_and(|more| more.starts_with('.')))
        })
    })
}

impl fmt::Display for VariantRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Named(name) => f.pad(name),
        }
    }
}

impl FromStr for VariantRequest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let wrong = text.is_empty()
            || text.len() > 64
            || !text.bytes().all(plain)
            || text.starts_with(['-', '.'])
            || text.ends_with('-');
        if wrong {
            return Err(ParseError::new(
                text,
                "a variant (`auto`, a family such as `cuda` or `cuda-13`, or a name such as `vulkan-x64`)",
            ));
        }
        Ok(if text == "auto" {
            Self::Auto
        } else {
            Self::Named(text.to_owned())
        })
    }
}
