//! The names of release assets, read by a table of rules.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ParseError;

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

/// What a build computes on, with the toolkit version its name carries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Accelerator {
    /// The processor alone (and Metal on macOS arm64, which names nothing).
    Cpu,
    /// Vulkan.
    Vulkan,
    /// CUDA of this version, such as `12.8`.
    Cuda(String),
    /// ROCm of this version; old names say `hip-radeon` and carry none.
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

/// One flavour of a build, canonically the middle of its asset's name: `ubuntu-vulkan-x64`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variant(String);

/// What a manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VariantRequest {
    /// The best this machine can run.
    Auto,
    /// A family (`cuda`, `cuda-13`, `rocm`) or an exact variant, with or without the os part.
    Named(String),
}
