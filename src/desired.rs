//! The state the machine should be in, with every choice made, and the questions that have to be
//! answered before it can be said.
//!
//! Pure. [`resolve::resolve`] turns what was written into what is wanted; asking the questions it leaves
//! open is the shell's business.

pub mod argv;
pub mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use url::Url;

use crate::instance::{BinaryId, InstanceName, Launch, Supervision};
use crate::manifest::{OnFailure, Retention, RolloutOrder};
use crate::release::{BuildName, Digest, Release, Tag, Variant, Version, shown};

/// The state the machine should be in, with every choice already made.
///
/// There is no `stable` here and no optional default: if two people read the same `Desired`, they
/// would start the same processes from the same files.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Every build some instance is pinned to.
    pub binaries: BTreeMap<BinaryId, WantedBinary>,
    /// Every instance of the manifest; one that is absent is to be removed.
    pub instances: BTreeMap<InstanceName, WantedInstance>,
    /// Order and pace of changes.
    pub rollout: RolloutOrder,
    /// What happens to builds nothing uses.
    pub retention: Retention,
    /// Instances that are not removed even when they leave the manifest.
    pub protect: BTreeSet<InstanceName>,
    /// Whether a person agreed to remove every instance, or most of them, at once.
    pub allow_empty: bool,
    /// Whether a person asks for this pass: what its policy never restarts is started then.
    pub attended: bool,
    /// Instances that a person wants restarted although nothing has changed, and why, where they
    /// said so.
    pub restart: BTreeMap<InstanceName, Option<String>>,
}

impl Desired {
    /// A desired state that knows of no instance. Only for looking: as a wish it would remove
    /// everything, which is why planning from it needs [`Desired::allow_empty`].
    pub fn nothing() -> Self {
        Self {
            binaries: BTreeMap::new(),
            instances: BTreeMap::new(),
            rollout: RolloutOrder {
                max_parallel: 1,
                start_parallel: 4,
                canary: None,
            },
            retention: Retention {
                keep: usize::MAX,
                prune: false,
            },
            protect: BTreeSet::new(),
            allow_empty: false,
            attended: false,
            restart: BTreeMap::new(),
        }
    }
}

/// A build some instance is pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedBinary {
    /// The id it has or will be installed under.
    pub id: BinaryId,
    /// What it is called.
    pub build: BuildName,
    /// Which of the build's variants.
    pub variant: Variant,
    /// The archive with the server first, then its companions. Empty for a build that was
    /// registered by hand and cannot be fetched.
    pub archives: Vec<WantedArchive>,
}

impl WantedBinary {
    /// Bytes of disk it takes to install. `None` where a size is not known.
    pub fn room(&self) -> Option<u64> {
        let packed = self
            .archives
            .iter()
            .try_fold(0, |sum: u64, archive| sum.checked_add(archive.size?))?;
        Some(room_of(packed))
    }

    /// The digest that identifies the build: that of the archive with the server.
    pub fn digest(&self) -> Option<Digest> {
        self.archives.first().map(|archive| archive.digest)
    }
}

/// Bytes of disk it takes to install archives of so many bytes: themselves, what they unpack to
/// (about four times as much, measured on releases of 2026), and some to spare.
pub(crate) const fn room_of(packed: u64) -> u64 {
    const PER_BYTE: u64 = 5;
    const TO_SPARE: u64 = 16 * 1024 * 1024;
    packed.saturating_mul(PER_BYTE).saturating_add(TO_SPARE)
}

/// One archive to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedArchive {
    /// File name, which says how it is packed.
    pub name: String,
    /// Size in bytes, where known.
    pub size: Option<u64>,
    /// What it must hash to.
    pub digest: Digest,
    /// Where to get it.
    pub origin: ArchiveOrigin,
}

/// Where an archive comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveOrigin {
    /// A release of the configured source, by its tag.
    Release(Tag),
    /// A URL written in the manifest.
    Url(Url),
}

/// An instance of the manifest.
#[derive(Debug, Clone, PartialEq)]
pub enum WantedInstance {
    /// Every choice is made.
    Resolved(Box<Wanted>),
    /// A question about it has no answer: it is blocked and left as it is, never removed.
    Unresolved(Box<Unresolved>),
}

impl WantedInstance {
    /// Whether it is to run.
    pub fn enabled(&self) -> bool {
        match self {
            Self::Resolved(wanted) => wanted.enabled,
            Self::Unresolved(unresolved) => unresolved.enabled,
        }
    }

    /// The settings of its supervisor, which no build is needed to know.
    pub fn supervision(&self) -> &Supervision {
        match self {
            Self::Resolved(wanted) => &wanted.supervision,
            Self::Unresolved(unresolved) => &unresolved.supervision,
        }
    }
}

/// What is known of an instance whose build is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Unresolved {
    /// Why its build is not known.
    pub why: Unanswered,
    /// The settings of its supervisor.
    pub supervision: Supervision,
    /// Whether it is to run.
    pub enabled: bool,
}

/// One instance with every choice made.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// How to start it; shared with the plan that does.
    pub launch: Arc<Launch>,
    /// The settings of its supervisor.
    pub supervision: Supervision,
    /// Whether it is to run.
    pub enabled: bool,
    /// Instances whose gate must have been passed before this one starts.
    pub depends_on: BTreeSet<InstanceName>,
    /// What happens when its launch fails.
    pub on_failure: OnFailure,
}

/// A fact that resolving needs from the release source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Which release is the newest stable one, and which build it names.
    NewestStable,
    /// Which build this stable release names.
    TagOf(Version),
    /// Which files this build has.
    Assets(Tag),
    /// The newest builds with their files, newest first.
    Recent,
}

/// What the release source answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::NewestStable`].
    Stable {
        /// What the release itself is called, such as `v0.9.0`; `None` where it is the build, or
        /// the source knows the build alone.
        release: Option<String>,
        /// The build it names.
        tag: Tag,
    },
    /// To [`Question::TagOf`].
    Tag(Tag),
    /// To [`Question::Assets`].
    Assets(Release),
    /// To [`Question::Recent`].
    Releases(Vec<Release>),
}

/// Why a pin could not be resolved. Never a reason to run another build instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// The source was asked and gave no usable answer.
    #[error("{why}")]
    Source {
        /// What went wrong, the chain of causes included.
        why: String,
        /// What a person can do about it.
        hint: Option<String>,
        /// Whether the source could not be reached, or would not answer for now.
        unreachable: bool,
    },
    /// The build exists and has no such file.
    #[error("{build} has no {}{}; it has {}", kind(.wanted), yet(*.uploading), list(.published))]
    NotPublished {
        /// The build.
        build: Tag,
        /// The variant that was asked for.
        wanted: String,
        /// The variants that are there, for this system.
        published: Vec<String>,
        /// The nearest builds that have it, as far as known.
        nearest: Vec<Tag>,
        /// Whether it may still come.
        uploading: bool,
    },
    /// The build is there, but not the CUDA runtime it does not run without.
    #[error(
        "{build} has a `{variant}` build, but not the CUDA runtime (`cudart-`) it needs{}",
        yet(*.uploading)
    )]
    CompanionMissing {
        /// The build.
        build: Tag,
        /// The variant that is short of it.
        variant: Variant,
        /// The nearest builds that have both, as far as known.
        nearest: Vec<Tag>,
        /// Whether it may still come.
        uploading: bool,
    },
    /// Neither the lock nor the manifest nor the source says what an archive hashes to, so that it
    /// could not be told from another one.
    #[error("nothing says what {} has to hash to", place(.name, .origin))]
    NoDigest {
        /// Its file name.
        name: String,
        /// Its size in bytes, where known.
        size: Option<u64>,
        /// Where it would come from.
        origin: Box<ArchiveOrigin>,
    },
    /// The pin contradicts itself, the registry or the lock.
    #[error("{0}")]
    Contradiction(String),
    /// The pin cannot be had for another reason, said in words with what to do.
    #[error("{why}")]
    Impossible {
        /// The reason.
        why: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
    /// The lock does not cover the pin and may not be changed (`--locked`).
    #[error("`orchestrator.lock` does not cover {0}, and `--locked` forbids to extend it")]
    NotLocked(String),
}

fn kind(wanted: &str) -> String {
    match wanted {
        "auto" => "build for this machine".to_owned(),
        wanted => format!("`{wanted}` build"),
    }
}

const fn yet(uploading: bool) -> &'static str {
    if uploading {
        " yet: it is still being uploaded"
    } else {
        ""
    }
}

fn place(name: &str, origin: &ArchiveOrigin) -> String {
    match origin {
        ArchiveOrigin::Release(_) => format!("`{name}`"),
        ArchiveOrigin::Url(url) => shown(url),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none for this system".to_owned()
    } else {
        names.join(", ")
    }
}

impl Unanswered {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source { hint, .. } | Self::Impossible { hint, .. } => hint.clone(),
            Self::NotPublished {
                nearest, uploading, ..
            }
            | Self::CompanionMissing {
                nearest, uploading, ..
            } => {
                let tags: Vec<String> = nearest.iter().map(ToString::to_string).collect();
                let tags = tags.join(", ");
                Some(match (uploading, nearest.is_empty()) {
                    (true, true) => "run `llama-orch plan` again in some minutes".to_owned(),
                    (true, false) => format!(
                        "run `llama-orch plan` again in some minutes; the nearest builds that have it: {tags}"
                    ),
                    (false, true) => "pin another build, or another variant".to_owned(),
                    (false, false) => format!("the nearest builds that have it: {tags}"),
                })
            }
            Self::NoDigest { origin, .. } => Some(match origin.as_ref() {
                ArchiveOrigin::Release(tag) => format!(
                    "add the archive's `sha256` to the pin, or take it as it comes with `llama-orch binary install {tag} --allow-unverified`"
                ),
                ArchiveOrigin::Url(url) => {
                    let whole = if url.query().is_none() {
                        shown(url)
                    } else {
                        "URL".to_owned()
                    };
                    format!(
                        "add its `sha256` to the pin, or take it as it comes with `llama-orch binary install NAME --url {whole} --allow-unverified`"
                    )
                }
            }),
            Self::Contradiction(_) => None,
            Self::NotLocked(_) => Some(
                "`llama-orch update` extends `orchestrator.lock`; where that is kept in git, run it in a clone of your own, commit and push"
                    .to_owned(),
            ),
        }
    }
}
