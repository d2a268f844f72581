//! Versions of the GNU C library: which one a machine has, and which one a variant was built for.
//!
//! Pure. What a file really needs is read from the file once it is there, by the installer; what
//! this machine has is read in `detect`.

use std::fmt;
use std::str::FromStr;

use crate::release::variant::VariantParts;
use crate::release::{Accelerator, Arch, Os, ParseError};

/// A version of glibc, such as `2.38`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glibc {
    /// 2 since 1997.
    pub major: u32,
    /// Moves twice a year.
    pub minor: u32,
}

impl Glibc {
    /// The version of these numbers.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The version a symbol version of glibc stands for: `GLIBC_2.38`, and `GLIBC_2.2.5` as 2.2.
    /// `GLIBC_ABI_DT_RELR` names a feature of the loader that came with 2.36 (glibc's NEWS).
    /// `None` for `GLIBC_PRIVATE` and for versions of other libraries.
    pub fn of_symbol(name: &str) -> Option<Self> {
        let version = name.strip_prefix("GLIBC_")?;
        if version == "ABI_DT_RELR" {
            return Some(Self::new(2, 36));
        }
        let mut numbers = version.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Glibc {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self::new(major.parse().ok()?, minor.parse().ok()?)))
            .ok_or_else(|| ParseError::new(text, "a version of glibc such as `2.38`"))
    }
}

/// The C library of a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Libc {
    /// It could not be told, or the system has no choice of it. Nothing follows from that.
    #[default]
    Unknown,
    /// It is musl. llama.cpp publishes no builds for it.
    Musl,
    /// It is glibc.
    Glibc(Glibc),
}

/// The oldest glibc that llama.cpp's build of a variant runs on; `None` for systems without one.
///
/// A build needs at most what it was built on: 2.34 and more on Ubuntu 22.04, 2.38 on 24.04. What
/// is built where is the `runs-on` of llama.cpp's `.github/workflows/release.yml`, as of commit
/// 002efcd4 (2026-06), the jobs that came later from reports of what they need (2026-11): x64 for
/// the processor, for Vulkan and for `ROCm` 7.2 on 22.04, all else on 24.04. It moves with time and
/// forks, so that it guides `auto` alone; the files of the build have the last word.
pub(super) fn built_for(parts: &VariantParts) -> Option<Glibc> {
    const UBUNTU_22_04: Glibc = Glibc::new(2, 34);
    const UBUNTU_24_04: Glibc = Glibc::new(2, 38);
    if parts.os != Os::Linux {
        return None;
    }
    let is_older = parts.arch == Arch::X64
        && match &parts.accelerator {
            Accelerator::Cpu | Accelerator::Vulkan => true,
            Accelerator::Rocm(version) => version
                .as_deref()
                .is_none_or(|version| super::numbers(version) < vec![7, 14]),
            Accelerator::Cuda(_) | Accelerator::Other(_) => false,
        };
    Some(if is_older { UBUNTU_22_04 } else { UBUNTU_24_04 })
}
