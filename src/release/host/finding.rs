//! What was found on a machine, one fact at a time, with where it was found.
//!
//! Plain values, so that whoever explains a choice and whoever examines the machine show the same.

use std::fmt;

/// What was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// The system and the processor.
    System,
    /// The C library.
    CLibrary,
    /// The driver of NVIDIA GPUs.
    NvidiaDriver,
    /// A GPU, a Vulkan loader and a driver for it.
    Vulkan,
    /// An AMD GPU open for computing, and the `ROCm` runtime.
    Rocm,
    /// A GPU of Apple's.
    Metal,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::System => "system",
            Self::CLibrary => "C library",
            Self::NvidiaDriver => "NVIDIA driver",
            Self::Vulkan => "Vulkan",
            Self::Rocm => "ROCm",
            Self::Metal => "Metal",
        })
    }
}

/// One fact about a machine. Shown as `NVIDIA driver: 580.65.06, which runs CUDA 13
/// (/proc/driver/nvidia/version)`, or as `Vulkan: none (there is no libvulkan.so.1)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked for.
    pub what: Part,
    /// What there is of it; `None` where there is none that could be used.
    pub value: Option<String>,
    /// Where it was found, or what is missing.
    pub from: String,
}

impl Finding {
    /// Something that is there.
    pub(super) fn there(what: Part, value: impl Into<String>, from: impl Into<String>) -> Self {
        Self {
            what,
            value: Some(value.into()),
            from: from.into(),
        }
    }

    /// Something that is not, or not all of it.
    pub(super) fn missing(what: Part, why: impl Into<String>) -> Self {
        Self {
            what,
            value: None,
            from: why.into(),
        }
    }

    /// The fact without what it is about.
    pub fn told(&self) -> String {
        let value = self.value.as_deref().unwrap_or("none");
        format!("{value} ({})", self.from)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.told())
    }
}
