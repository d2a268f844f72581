//! `instances` and `defaults` in the schema: one server.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::{EnvironmentValue, Name, Secret, Text, Time};

/// One `llama-server`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Instance {
    /// The build it is pinned to.
    binary: Option<Binary>,
    /// The model it serves.
    model: Option<Model>,
    /// Where it listens; `port` is the one field that every instance must have.
    server: Option<Server>,
    /// Which device, how many layers.
    gpu: Option<Gpu>,
    /// Its environment. Of that of llama-orch it gets no more than `HOME`, `PATH`, the locale, proxies,
    /// folders for temporary files and caches, `HF_*` and `SSL_CERT_*`.
    env: Option<BTreeMap<String, EnvironmentValue>>,
    /// Further arguments of `llama-server`. They come last, so they win over what the other fields say.
    args: Option<Vec<Text>>,
    /// What a start must pass, and the probe afterwards.
    healthcheck: Option<Healthcheck>,
    /// What happens when it ends by itself.
    restart_policy: Option<RestartPolicy>,
    /// How a new launch replaces the old one.
    rollout: Option<Rollout>,
    /// Rotation of its log.
    logs: Option<Logs>,
    /// Instances that must have passed their gate before this one starts. They may not wait for each other.
    depends_on: Option<Vec<Name>>,
    /// Labels to select by (`status --tag`).
    tags: Option<Vec<Text>>,
    /// Wait between SIGTERM and SIGKILL.
    #[schemars(extend("default" = "30s"))]
    stop_timeout: Option<Time>,
    /// Whether it is to run at all. One that is not keeps its place, its log and its proven launches.
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
}

/// The build an instance is pinned to.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Binary {
    /// Which build: `bNNNN`, `vX.Y.Z`, `stable` (or `latest`), `nightly`, or the name of a build of your own.
    version: Option<String>,
    /// What it computes on: `auto`, a family (`cuda`, `cuda-13`, `rocm`), or an exact variant (`vulkan-x64`).
    #[schemars(extend("default" = "auto"))]
    variant: Option<String>,
    /// The id of an installed build, or the one to install it under.
    binary_id: Option<String>,
    /// What its archive must hash to; one that hashes to anything else is not unpacked.
    #[schemars(regex(pattern = r"^(sha256:)?[0-9a-fA-F]{64}$"))]
    sha256: Option<String>,
    /// Where the archive of a fork's or private build comes from.
    source_url: Option<String>,
}

/// The model: at most one of `path`, `hf` and `directory`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Model {
    /// A file, relative to the folder of this one or absolute.
    path: Option<String>,
    /// A repository on Hugging Face, `owner/name[:quantization]`.
    hf: Option<String>,
    /// A folder of models; the server becomes a router.
    directory: Option<String>,
    /// Tokens of context (`--ctx-size`).
    #[schemars(range(min = 0, max = 1_073_741_824))]
    context_size: Option<u32>,
    /// Tokens per batch (`--batch-size`).
    #[schemars(range(min = 1, max = 1_048_576))]
    batch_size: Option<u32>,
    /// CPU threads (`--threads`).
    #[schemars(range(min = 1, max = 4096))]
    threads: Option<u32>,
}

/// Where a server listens.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Server {
    /// An address, a host name, or a path that ends in `.sock`.
    #[schemars(extend("default" = "127.0.0.1"))]
    host: Option<String>,
    /// The port, of which each instance needs its own.
    #[schemars(range(min = 1, max = 65_535))]
    port: Option<u16>,
    /// Slots: requests answered at the same time (`--parallel`); -1 leaves it to the server.
    #[schemars(range(min = -1, max = 1024), extend("not" = { "const": 0 }))]
    parallel: Option<i32>,
    /// How long a connection may be silent, in whole seconds (`--timeout`).
    timeout: Option<Time>,
    /// The key clients must send; it reaches the server by a file or a variable, never by its command line.
    api_key: Option<Secret>,
    /// A front that owns the public port. Not available in this version: it can only be `false`.
    #[schemars(extend("default" = false))]
    front: Option<bool>,
}

/// Which device, how many layers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Gpu {
    /// What it computes on; `hip` is another word for `rocm`. Without it the server decides.
    backend: Option<Backend>,
    /// The device's number in the backend's list (`--device`).
    #[schemars(range(min = 0, max = 255))]
    device_id: Option<u32>,
    /// Layers to offload (`--n-gpu-layers`); -1 leaves it to the server.
    #[schemars(range(min = -1, max = 1_000_000))]
    layers: Option<i32>,
    /// Whether a start fails its gate that does not compute on that device (any GPU where none is
    /// named), or with fewer layers there or less context than the last proven launch of the same
    /// settings. From b9151 on the server is told to log what it loads (`--verbosity 4`).
    #[schemars(extend("default" = false))]
    require: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Backend {
    Cpu,
    Vulkan,
    Cuda,
    Metal,
    Rocm,
    Hip,
    Sycl,
}

/// What a start must pass, and the probe afterwards.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Healthcheck {
    /// How the probe asks: an HTTP request, a connection, or a program of your own.
    #[schemars(extend("default" = "http"))]
    r#type: Option<CheckKind>,
    /// The path that is asked for with `type: http`.
    #[schemars(extend("default" = "/health"))]
    path: Option<String>,
    /// HTTP status codes that mean healthy.
    #[schemars(extend("default" = [200]))]
    expected_status: Option<Vec<Status>>,
    /// Text the answer must contain.
    expected_body: Option<Text>,
    /// The program of `type: custom`; it says healthy by exiting with 0.
    custom_script: Option<String>,
    /// Time between two probes.
    #[schemars(extend("default" = "10s"))]
    interval: Option<Time>,
    /// How long one probe may take.
    #[schemars(extend("default" = "5s"))]
    timeout: Option<Time>,
    /// Probes that must fail in a row before a server is called unresponsive.
    #[schemars(range(min = 1, max = 1000))]
    #[schemars(extend("default" = 3))]
    retries: Option<u32>,
    /// What is done then: it is told of, or ended and started again. A long prompt may delay answers
    /// too, so `restart` wants `retries` times `interval` and `timeout` to be longer than any of them.
    #[schemars(extend("default" = "report"))]
    liveness: Option<Liveness>,
    /// How long it may load, from the moment it has bound its port. Large models on slow disks want more.
    #[schemars(extend("default" = "1m"))]
    start_period: Option<Time>,
    /// The request that is made once it says it is healthy, and must be answered for the gate to be passed.
    #[schemars(extend("default" = "none"))]
    probe: Option<Probe>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum CheckKind {
    Http,
    Tcp,
    Custom,
}

#[derive(JsonSchema)]
struct Status(#[schemars(range(min = 100, max = 599))] u16);

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Liveness {
    Report,
    Restart,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Probe {
    None,
    Completion,
    Embedding,
    Rerank,
}

/// What happens when a server ends by itself.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RestartPolicy {
    /// Whether it is started again at all.
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// Starts in a row before it is given up; without it, no number is too many.
    #[schemars(range(min = 0, max = 1_000_000))]
    max_retries: Option<u32>,
    /// Wait before the first restart.
    #[schemars(extend("default" = "1s"))]
    initial_delay: Option<Time>,
    /// Factor by which the wait grows from one restart to the next.
    #[schemars(range(min = 1, max = 1000))]
    #[schemars(extend("default" = 2))]
    backoff_multiplier: Option<f64>,
    /// The longest wait.
    #[schemars(extend("default" = "5m"))]
    max_delay: Option<Time>,
}

/// How a new launch replaces the old one.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rollout {
    /// The order of stop and start; `blue-green` is not available in this version.
    #[schemars(extend("default" = "stop-then-start"))]
    strategy: Option<Strategy>,
    /// How long a server must stay up to pass its gate.
    #[schemars(extend("default" = "2s"))]
    min_healthy: Option<Time>,
    /// How long a launch must stay healthy to be a target for rollback.
    #[schemars(extend("default" = "10m"))]
    prove_after: Option<Time>,
    /// What happens when it fails: what ran before is started again, nothing is, or the server is left
    /// running as it is, for a person to look at. One that has ended stays down then.
    #[schemars(extend("default" = "rollback"))]
    on_failure: Option<OnFailure>,
    /// How long to wait for open requests before a stop or restart; nothing is waited for without it.
    drain: Option<Time>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Strategy {
    StopThenStart,
    BlueGreen,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OnFailure {
    Rollback,
    Stop,
    Leave,
}

/// Rotation of a server's log.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Logs {
    /// Size in MiB at which it is rotated; 0 means never.
    #[schemars(range(min = 0, max = 1_048_576))]
    #[schemars(extend("default" = 100))]
    max_size_mb: Option<u64>,
    /// How many rotated files are kept.
    #[schemars(range(min = 0, max = 1000))]
    #[schemars(extend("default" = 5))]
    rotation: Option<u32>,
}
