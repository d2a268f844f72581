//! The manifest: what `orchestrator.yaml` and the `config.json` files say, checked and merged but
//! not yet resolved; `stable` is still a wish here.
//!
//! Takes texts, not paths: reading files is left to the shell. Every mistake the texts alone show
//! is reported at once; whatever the world decides is left to `resolve` and `plan`.

mod argument;
mod check;
mod decode;
mod document;
pub mod edit;
mod excerpt;
mod instance;
mod layer;
mod mistake;
pub(crate) mod node;
mod outline;
mod redact;
pub mod schema;
pub mod show;
mod text;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use camino::Utf8PathBuf;
use url::Url;

use crate::instance::{
    BinaryId, EnvironmentValue, GateSpec, InstanceName, LogPolicy, RestartPolicy,
};
use crate::release::{BuildName, Digest, ParseError, Tag, VariantRequest, Version};

pub(crate) use argument::owned as owned_option;
pub(crate) use check::hosts_overlap;
pub(crate) use excerpt::{is_secret_name, without_tokens};
pub(crate) use mistake::Collector;
pub use mistake::{Mistake, Mistakes};
pub use outline::outline;
pub use redact::redacted;
pub(crate) use text::yaml_text;
pub use text::{SourceText, Texts};
pub use value::duration_of;

/// Everything the manifest says.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The instances, with defaults and config files merged in.
    pub instances: BTreeMap<InstanceName, Instance>,
    /// Order and pace of changes.
    pub rollout: RolloutOrder,
    /// What happens to builds nothing uses.
    pub retention: Retention,
    /// Instances that are not removed even when they leave the manifest.
    pub protect: BTreeSet<InstanceName>,
    /// Where builds come from.
    pub source: Source,
    /// What `watch` may do by itself.
    pub watch: Watch,
    /// The command told about events, as argv; empty for none.
    pub notify: Vec<String>,
}

impl Manifest {
    /// Reads and checks the texts of a manifest.
    ///
    /// # Errors
    ///
    /// Every mistake that the texts alone show, each with its place.
    pub fn parse(texts: &Texts) -> Result<Self, Mistakes> {
        document::parse(texts)
    }
}

/// One instance as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// The build it is pinned to; `None` only where no `binary` is written anywhere.
    pub binary: Option<Pin>,
    /// The model; `None` for a server that gets none (its `args` may name one).
    pub model: Option<Model>,
    /// Address, port and the like.
    pub server: Server,
    /// Which device, how many layers.
    pub gpu: Gpu,
    /// Environment of the server.
    pub env: BTreeMap<String, EnvironmentValue>,
    /// Further options, which come last and win.
    pub args: Vec<String>,
    /// What a start must pass (`healthcheck` and `rollout.min_healthy`).
    pub gate: GateSpec,
    /// What happens when it ends by itself.
    pub restart_policy: RestartPolicy,
    /// How a new launch replaces the old one.
    pub rollout: Rollout,
    /// Rotation of its log.
    pub logs: LogPolicy,
    /// Instances whose gate must have been passed before this one starts.
    pub depends_on: BTreeSet<InstanceName>,
    /// Labels to select by.
    pub tags: BTreeSet<String>,
    /// Wait between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// Whether it is to run at all.
    pub enabled: bool,
    /// Where each field's value was written, by its path (`server.port`).
    pub origins: BTreeMap<String, Origin>,
}

/// Where a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Under `defaults` in the manifest.
    Defaults,
    /// In `instances/<name>/config.json`.
    Config,
    /// Under the instance itself in the manifest.
    Inline,
}

/// What an instance asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// Which build.
    pub version: Option<ReleaseRequest>,
    /// Which of its variants.
    pub variant: VariantRequest,
    /// Under which id it is, or is to be, installed.
    pub binary_id: Option<BinaryId>,
    /// What its archive must hash to.
    pub sha256: Option<Digest>,
    /// Where a fork's or private build comes from.
    pub source_url: Option<Url>,
}

/// Which build is wished for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleaseRequest {
    /// The newest stable release; floats until it stands in the lock.
    Stable,
    /// The newest build that has the asset; floats likewise.
    Nightly,
    /// One build.
    Tag(Tag),
    /// One stable release, which names a build.
    Version(Version),
    /// A build made elsewhere, by the name it was registered under (or, with a `source_url`, is to be).
    Named(BuildName),
}

impl fmt::Display for ReleaseRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stable => f.write_str("stable"),
            Self::Nightly => f.write_str("nightly"),
            Self::Tag(tag) => tag.fmt(f),
            Self::Version(version) => version.fmt(f),
            Self::Named(name) => name.fmt(f),
        }
    }
}

impl FromStr for ReleaseRequest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Ok(tag) = text.parse() {
            return Ok(Self::Tag(tag));
        }
        if let Ok(version) = text.parse() {
            return Ok(Self::Version(version));
        }
        match text {
            "stable" | "latest" => Ok(Self::Stable),
            "nightly" => Ok(Self::Nightly),
            _ => text.parse().map(Self::Named),
        }
    }
}

/// The model of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Where it comes from.
    pub source: ModelSource,
    /// Tokens of context; passed as `--ctx-size` where set.
    pub context_size: Option<u32>,
    /// Tokens per batch; passed as `--batch-size` where set.
    pub batch_size: Option<u32>,
    /// CPU threads; passed as `--threads` where set.
    pub threads: Option<u32>,
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// A file, relative to the root or absolute, with `/` between its parts.
    Path(Utf8PathBuf),
    /// A repository on Hugging Face, `owner/name[:quantization]`.
    HuggingFace(String),
    /// A folder of models, served by a router.
    Directory(Utf8PathBuf),
    /// Not given: only sizes are.
    Unset,
}

/// Address, port and the like.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on.
    pub port: u16,
    /// Slots; passed as `--parallel` where set. Written as -1, it is left to the server.
    pub parallel: Option<u32>,
    /// Seconds a connection may be silent; passed as `--timeout` where set.
    pub timeout: Option<u32>,
    /// Where the API key comes from. Never a literal.
    pub api_key: Option<EnvironmentValue>,
    /// Whether a front owns the public port.
    pub front: bool,
}

/// The backends of `gpu.backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuBackend {
    /// No GPU.
    Cpu,
    /// Vulkan.
    Vulkan,
    /// CUDA.
    Cuda,
    /// Metal.
    Metal,
    /// `ROCm`, which older files call `hip`.
    Rocm,
    /// Intel's SYCL.
    Sycl,
}

/// Which device, how many layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpu {
    /// The backend, where written.
    pub backend: Option<GpuBackend>,
    /// The device's number in that backend's list; becomes `--device <Backend>N`.
    pub device_id: Option<u32>,
    /// Layers to offload; passed as `--n-gpu-layers` where set. -1 leaves it to the server.
    pub layers: Option<i32>,
    /// Whether a start without that device fails its gate.
    pub require: bool,
}

/// What happens when a new launch fails its gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The launch it replaced is started again.
    #[default]
    Rollback,
    /// The instance stays down.
    Stop,
    /// The failed server is left as it is.
    Leave,
}

/// How a new launch replaces the old one.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// How long a launch must stay healthy to be proven.
    pub prove_after: Duration,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// How long to wait for open requests before a stop.
    pub drain: Option<Duration>,
}

/// Order and pace of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutOrder {
    /// Restarts at a time.
    pub max_parallel: usize,
    /// Starts at a time.
    pub start_parallel: usize,
    /// The instance that goes first; a failure there stops the rest.
    pub canary: Option<InstanceName>,
}

/// What happens to builds nothing uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Unused builds kept besides those in use, newest first.
    pub keep: usize,
    /// Whether apply prunes without being asked.
    pub prune: bool,
}

/// Where builds come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `owner/name` on GitHub.
    pub repository: String,
    /// Base URL of the API.
    pub api: Url,
    /// Base URL that stands in for `https://github.com/<repository>` when downloading.
    pub mirror: Option<Url>,
    /// A folder of archives instead of any network, relative to the root or absolute.
    pub directory: Option<Utf8PathBuf>,
    /// The environment variable that holds a token for the API.
    pub token_env: String,
    /// Archives fetched at a time, 1 to 16.
    pub parallel_downloads: usize,
}

impl Source {
    /// Whether builds are llama.cpp's own, which report the number of their tag.
    pub fn is_official(&self) -> bool {
        self.repository == "ggml-org/llama.cpp"
    }
}

impl Default for Source {
    fn default() -> Self {
        Self {
            repository: "ggml-org/llama.cpp".to_owned(),
            api: Url::parse("https://api.github.com").expect("a URL of our own is well formed"),
            mirror: None,
            directory: None,
            token_env: "GITHUB_TOKEN".to_owned(),
            parallel_downloads: 3,
        }
    }
}

/// What `watch` may do by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Watch {
    /// Install builds.
    pub install: bool,
    /// Restart instances.
    pub restart: bool,
    /// Start what ended.
    pub heal: bool,
    /// Remove instances that left the manifest.
    pub remove: bool,
    /// Prune builds.
    pub prune: bool,
    /// Time between two passes when nothing happens.
    pub resync: Duration,
    /// Time before what failed is tried again with the same inputs.
    pub retry_interval: Duration,
}

#[cfg(test)]
mod tests;
