//! The table: one line for each shape of name that llama.cpp has ever given to a release's file.
//!
//! Names were collected from releases b4458 to b11429. A pattern is plain text in which `{arch}`
//! stands for a processor, `{version}` for numbers and dots, `{word}` for letters and digits and
//! `{any}` for whatever is left. No name matches two rules; a test holds the table to that.

use super::{Accelerator, Arch, Archive, Os, Recognised, Variant, VariantParts};
use crate::release::Tag;

/// Where in a file's name a rule's pattern stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// `llama-<tag>-bin-<pattern>.<archive>`
    Build,
    /// `cudart-llama-bin-<pattern>.<archive>`, on Linux `cudart-llama-<tag>-bin-<pattern>.<archive>`
    Cudart,
    /// `llama-<tag>-<pattern>.<archive>`
    Extra,
    /// The whole name.
    Whole,
}

/// What a matching name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Cpu(Os),
    Vulkan(Os),
    Cuda(Os),
    Rocm(Os),
    /// A server for this system, by the words between the system and the processor.
    Other(Os),
    Companion(Os),
    Ignored(&'static str),
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) frame: Frame,
    pub(super) pattern: &'static str,
    pub(super) meaning: Meaning,
}

const fn build(pattern: &'static str, meaning: Meaning) -> Rule {
    Rule {
        frame: Frame::Build,
        pattern,
        meaning,
    }
}

const fn cudart(pattern: &'static str, os: Os) -> Rule {
    Rule {
        frame: Frame::Cudart,
        pattern,
        meaning: Meaning::Companion(os),
    }
}

const fn other(frame: Frame, pattern: &'static str, reason: &'static str) -> Rule {
    Rule {
        frame,
        pattern,
        meaning: Meaning::Ignored(reason),
    }
}

const PHONE: &str = "for Android or Snapdragon phones, which this program does not run on";
const ASCEND: &str = "for Huawei's openEuler on Ascend, which this program does not run on";

use Meaning::{Companion, Cpu, Cuda, Ignored, Other, Rocm, Vulkan};

pub(super) const RULES: &[Rule] = &[
    build("ubuntu-{arch}", Cpu(Os::Linux)),
    build("ubuntu-vulkan-{arch}", Vulkan(Os::Linux)),
    build("ubuntu-cuda-{version}-{arch}", Cuda(Os::Linux)),
    build("ubuntu-rocm-{version}-{arch}", Rocm(Os::Linux)),
    build("ubuntu-sycl-{word}-{arch}", Other(Os::Linux)),
    build("ubuntu-openvino-{version}-{arch}", Other(Os::Linux)),
    build("macos-{arch}", Cpu(Os::Macos)),
    build("macos-{arch}-kleidiai", Other(Os::Macos)),
    build("win-cpu-{arch}", Cpu(Os::Windows)),
    // Until mid-2025 there was one CPU build for each instruction set. AVX2 is the one that runs
    // on nearly every machine and is still fast, so it alone answers to `cpu`.
    build("win-avx2-{arch}", Cpu(Os::Windows)),
    build("win-avx-{arch}", Other(Os::Windows)),
    build("win-avx512-{arch}", Other(Os::Windows)),
    build("win-noavx-{arch}", Other(Os::Windows)),
    build("win-openblas-{arch}", Other(Os::Windows)),
    build("win-kompute-{arch}", Other(Os::Windows)),
    build("win-llvm-{arch}", Cpu(Os::Windows)),
    build("win-llvm-{arch}-opencl-adreno", Other(Os::Windows)),
    build("win-msvc-{arch}", Other(Os::Windows)),
    build("win-vulkan-{arch}", Vulkan(Os::Windows)),
    build("win-cuda-{version}-{arch}", Cuda(Os::Windows)),
    build("win-cuda-cu{version}-{arch}", Cuda(Os::Windows)),
    build("win-rocm-{version}-{arch}", Rocm(Os::Windows)),
    build("win-hip-radeon-{arch}", Rocm(Os::Windows)),
    // One GPU family each (`gfx1100`), so they never answer to `rocm`.
    build("win-hip-{arch}-{word}", Other(Os::Windows)),
    build("win-sycl-{arch}", Other(Os::Windows)),
    build("win-opencl-adreno-{arch}", Other(Os::Windows)),
    build("win-openvino-{version}-{arch}", Other(Os::Windows)),
    cudart("ubuntu-cuda-{version}-{arch}", Os::Linux),
    cudart("win-cuda-{version}-{arch}", Os::Windows),
    cudart("win-cu{version}-{arch}", Os::Windows),
    other(Frame::Build, "android-{any}", PHONE),
    other(Frame::Build, "linux-arm64-snapdragon", PHONE),
    other(Frame::Build, "310p-openEuler-{any}", ASCEND),
    other(Frame::Build, "910b-openEuler-{any}", ASCEND),
    other(Frame::Extra, "ui", "the web page alone, without a server"),
    other(
        Frame::Extra,
        "xcframework",
        "a framework for Xcode, without a server",
    ),
    other(
        Frame::Whole,
        "nightly-tag.txt",
        "names the build a stable release promotes",
    ),
];

/// What the placeholders of a pattern stood for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Captures<'a> {
    arch: Option<Arch>,
    version: Option<&'a str>,
}

impl Rule {
    pub(super) fn read<'a>(&self, frame: Frame, text: &'a str) -> Option<Captures<'a>> {
        if frame != self.frame {
            return None;
        }
        let mut captures = Captures::default();
        captures.fill(self.pattern, text).then_some(captures)
    }
}

impl<'a> Captures<'a> {
    fn fill(&mut self, pattern: &str, text: &'a str) -> bool {
        let Some((literal, rest)) = pattern.split_once('{') else {
            return pattern == text;
        };
        let Some(text) = text.strip_prefix(literal) else {
            return false;
        };
        let Some((placeholder, rest)) = rest.split_once('}') else {
            return false;
        };
        match placeholder {
            "any" => !text.is_empty() && rest.is_empty(),
            "arch" => Arch::ALL.iter().any(|arch| {
                self.arch = Some(*arch);
                text.strip_prefix(arch.as_str())
                    .is_some_and(|text| self.fill(rest, text))
            }),
            "version" => {
                let version = leading(text, |b| b.is_ascii_digit() || b == b'.');
                self.version = Some(version);
                version.starts_with(|c: char| c.is_ascii_digit())
                    && self.fill(rest, &text[version.len()..])
            }
            _ => {
                let word = leading(text, |b| b.is_ascii_alphanumeric());
                !word.is_empty() && self.fill(rest, &text[word.len()..])
            }
        }
    }
}

fn leading(text: &str, belongs: impl Fn(u8) -> bool) -> &str {
    let end = text.bytes().position(|b| !belongs(b)).unwrap_or(text.len());
    &text[..end]
}

/// A file's name, taken apart as far as all rules have in common.
pub(super) struct Framed<'a> {
    pub(super) frame: Frame,
    pub(super) tag: Option<Tag>,
    pub(super) text: &'a str,
    pub(super) archive: Option<Archive>,
}

pub(super) fn frame(name: &str) -> Framed<'_> {
    let whole = Framed {
        frame: Frame::Whole,
        tag: None,
        text: name,
        archive: None,
    };
    let Some((stem, archive)) = Archive::of(name) else {
        return whole;
    };
    let archive = Some(archive);
    if let Some(text) = stem.strip_prefix("cudart-llama-bin-") {
        return Framed {
            frame: Frame::Cudart,
            tag: None,
            text,
            archive,
        };
    }
    let (is_cudart, rest) = match stem.strip_prefix("cudart-llama-") {
        Some(rest) => (true, rest),
        None => match stem.strip_prefix("llama-") {
            Some(rest) => (false, rest),
            None => return whole,
        },
    };
    let Some((tag, rest)) = rest.split_once('-') else {
        return whole;
    };
    let Ok(tag) = tag.parse::<Tag>() else {
        return whole;
    };
    let tag = Some(tag);
    match (is_cudart, rest.strip_prefix("bin-")) {
        (true, Some(text)) => Framed {
            frame: Frame::Cudart,
            tag,
            text,
            archive,
        },
        (false, Some(text)) => Framed {
            frame: Frame::Build,
            tag,
            text,
            archive,
        },
        (false, None) => Framed {
            frame: Frame::Extra,
            tag,
            text: rest,
            archive,
        },
        (true, None) => whole,
    }
}

pub(super) fn read(name: &str) -> Option<Recognised> {
    let framed = frame(name);
    let (rule, captures) = RULES
        .iter()
        .find_map(|rule| Some((rule, rule.read(framed.frame, framed.text)?)))?;
    match rule.meaning {
        Ignored(reason) => Some(Recognised::Ignored(reason)),
        Companion(os) => Some(Recognised::Companion {
            tag: framed.tag,
            os,
            arch: captures.arch?,
            cuda: captures.version?.to_owned(),
            archive: framed.archive?,
        }),
        Cpu(_) | Vulkan(_) | Cuda(_) | Rocm(_) | Other(_) => Some(Recognised::Server {
            tag: framed.tag?,
            variant: Variant::new(framed.text),
            parts: parts(rule, framed.text, &captures)?,
            archive: framed.archive?,
        }),
    }
}

pub(super) fn read_middle(text: &str) -> Option<VariantParts> {
    RULES
        .iter()
        .find_map(|rule| parts(rule, text, &rule.read(Frame::Build, text)?))
}

fn parts(rule: &Rule, text: &str, captures: &Captures<'_>) -> Option<VariantParts> {
    let arch = captures.arch?;
    let version = || captures.version.map(str::to_owned);
    let (os, accelerator) = match rule.meaning {
        Cpu(os) => (os, Accelerator::Cpu),
        Vulkan(os) => (os, Accelerator::Vulkan),
        Cuda(os) => (os, Accelerator::Cuda(version()?)),
        Rocm(os) => (os, Accelerator::Rocm(version())),
        Other(os) => {
            let words: Vec<&str> = text
                .split('-')
                .skip(1)
                .filter(|word| *word != arch.as_str())
                .collect();
            (os, Accelerator::Other(words.join("-")))
        }
        Companion(_) | Ignored(_) => return None,
    };
    Some(VariantParts {
        os,
        arch,
        accelerator,
    })
}
