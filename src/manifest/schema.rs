//! The JSON Schema of `orchestrator.yaml`, for editors.
//!
//! These types feed schemars and nothing else: what is read, and how mistakes are told, is decided
//! by the decoder. A test keeps both to the same keys.
#![expect(dead_code, reason = "the fields are read by the derive alone")]
#![expect(
    clippy::struct_field_names,
    reason = "fields are named as the keys they stand for"
)]

mod source;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use source::Source;

/// The schema, as it is committed under `docs/orchestrator.schema.json`.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Manifest);
    schema.insert("title".to_owned(), "orchestrator.yaml".into());
    schema.to_value()
}

/// The state llama-orch keeps this machine's llama.cpp servers in.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Manifest {
    /// The form of this file.
    #[schemars(range(min = 1, max = 1))]
    version: u32,
    /// What every instance is built on; a `config.json` and the instance itself lie over it.
    defaults: Option<Instance>,
    /// The servers by their names; the name is also the alias of the model.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$" }))]
    instances: BTreeMap<String, Option<Instance>>,
    /// Order and pace of changes.
    rollout: Option<Order>,
    /// What happens to builds nothing uses.
    retention: Option<Retention>,
    /// Instances that are not removed even when they leave this file.
    protect: Option<Vec<Name>>,
    /// What `llama-orch watch` may do by itself.
    watch: Option<Watch>,
    /// Who is told about events.
    notify: Option<Notify>,
    /// Where builds come from.
    source: Option<Source>,
}

#[derive(JsonSchema)]
struct Name(#[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"))] String);

/// A duration: seconds, or numbers with the units `ms s m h d`, the largest first.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Time {
    Seconds(#[schemars(range(min = 0))] f64),
    Text(
        #[schemars(regex(
            pattern = r"^([0-9.]+d)?([0-9.]+h)?([0-9.]+m)?([0-9.]+s)?([0-9.]+ms)?$|^[0-9.]+$"
        ))]
        String,
    ),
}

/// A text; numbers and truth values are taken as they are written.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Text {
    Words(String),
    Number(f64),
    Truth(bool),
}

/// Where a secret comes from; a secret never stands in this file.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Secret {
    File(FileSecret),
    Variable(VariableSecret),
}

/// The content of a file that git ignores.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct FileSecret {
    /// The file, relative to the folder of this one.
    file: String,
}

/// A variable of the environment llama-orch runs in.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct VariableSecret {
    /// The variable's name.
    from_env: String,
}

/// The value of an environment variable.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum EnvironmentValue {
    Text(Text),
    Secret(Secret),
}

/// One `llama-server`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Instance {
    /// The build it is pinned to.
    binary: Option<Binary>,
    /// The model it serves.
    model: Option<Model>,
    /// Where it listens.
    server: Option<Server>,
    /// Which device, how many layers.
    gpu: Option<Gpu>,
    /// Its environment, besides the variables that are passed through.
    env: Option<BTreeMap<String, EnvironmentValue>>,
    /// Further options; they come last and win.
    args: Option<Vec<Text>>,
    /// What a start must pass, and the probe afterwards.
    healthcheck: Option<Healthcheck>,
    /// What happens when it ends by itself.
    restart_policy: Option<RestartPolicy>,
    /// How a new launch replaces the old one.
    rollout: Option<Rollout>,
    /// Rotation of its log.
    logs: Option<Logs>,
    /// Instances whose gate must have been passed before this one starts.
    depends_on: Option<Vec<Name>>,
    /// Labels to select by.
    tags: Option<Vec<Text>>,
    /// Wait between SIGTERM and SIGKILL; 30 s if not written.
    stop_timeout: Option<Time>,
    /// Whether it is to run at all.
    enabled: Option<bool>,
}

/// The build an instance is pinned to.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Binary {
    /// `bNNNN`, `vX.Y.Z`, `stable` (or `latest`), `nightly`, or the name of a build of your own.
    version: Option<String>,
    /// `auto`, a family (`cuda`, `cuda-13`, `rocm`), or an exact variant (`vulkan-x64`).
    variant: Option<String>,
    /// The id of an installed build, or the one to install it under.
    binary_id: Option<String>,
    /// What its archive must hash to.
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
    /// An address, a host name, or a path that ends in `.sock`; 127.0.0.1 if not written.
    host: Option<String>,
    /// The port.
    #[schemars(range(min = 1, max = 65_535))]
    port: Option<u16>,
    /// Slots (`--parallel`); -1 leaves it to the server.
    #[schemars(range(min = -1, max = 1024), extend("not" = { "const": 0 }))]
    parallel: Option<i32>,
    /// How long a connection may be silent, in whole seconds (`--timeout`).
    timeout: Option<Time>,
    /// The key clients must send.
    api_key: Option<Secret>,
    /// Not available in this version.
    front: Option<bool>,
}

/// Which device, how many layers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Gpu {
    /// The backend; `hip` is another word for `rocm`.
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
    /// How the probe asks.
    r#type: Option<CheckKind>,
    /// The path asked; `/health` if not written.
    path: Option<String>,
    /// HTTP status codes that mean healthy.
    expected_status: Option<Vec<Status>>,
    /// Text the answer must contain.
    expected_body: Option<Text>,
    /// The program of `type: custom`.
    custom_script: Option<String>,
    /// Time between two probes.
    interval: Option<Time>,
    /// How long one probe may take.
    timeout: Option<Time>,
    /// Probes that must fail in a row before a server is called unresponsive.
    #[schemars(range(min = 1, max = 1000))]
    retries: Option<u32>,
    /// What is done then: it is told of, or ended and started again. A long prompt may delay answers
    /// too, so `restart` wants `retries` times `interval` and `timeout` to be longer than any of them.
    liveness: Option<Liveness>,
    /// How long it may load, from the moment it has bound its port.
    start_period: Option<Time>,
    /// The request made once it says it is healthy.
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
    enabled: Option<bool>,
    /// Starts in a row before giving up; without end if not written.
    #[schemars(range(min = 0, max = 1_000_000))]
    max_retries: Option<u32>,
    /// Wait before the first restart.
    initial_delay: Option<Time>,
    /// Factor by which the wait grows.
    #[schemars(range(min = 1, max = 1000))]
    backoff_multiplier: Option<f64>,
    /// Longest wait.
    max_delay: Option<Time>,
}

/// How a new launch replaces the old one.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rollout {
    /// The order of stop and start; `blue-green` is not available in this version.
    strategy: Option<Strategy>,
    /// How long a server must stay up to pass its gate.
    min_healthy: Option<Time>,
    /// How long a launch must stay healthy to be a target for rollback.
    prove_after: Option<Time>,
    /// What happens when it fails: what ran before is started again, nothing is, or the server is left
    /// running as it is, for a person to look at. One that has ended stays down then.
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
    max_size_mb: Option<u64>,
    /// How many rotated files are kept.
    #[schemars(range(min = 0, max = 1000))]
    rotation: Option<u32>,
}

/// Order and pace of changes.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Order {
    /// Restarts at a time.
    #[schemars(range(min = 1, max = 1000))]
    max_parallel: Option<u32>,
    /// Starts at a time.
    #[schemars(range(min = 1, max = 1000))]
    start_parallel: Option<u32>,
    /// The instance that goes first; a failure there stops the rest.
    canary: Option<Name>,
}

/// What happens to builds nothing uses.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retention {
    /// Unused builds kept, newest first.
    #[schemars(range(min = 0, max = 1000))]
    keep: Option<u32>,
    /// Whether `apply` prunes without being asked.
    prune: Option<bool>,
}

/// What `llama-orch watch` may do by itself.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Watch {
    /// Install builds.
    install: Option<bool>,
    /// Restart instances.
    restart: Option<bool>,
    /// Start what ended.
    heal: Option<bool>,
    /// Remove instances that left this file.
    remove: Option<bool>,
    /// Prune builds.
    prune: Option<bool>,
    /// Time between two passes when nothing happens; at least 1 s.
    resync: Option<Time>,
}

/// Who is told about events.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Notify {
    /// A program and its arguments; the event comes on its standard input.
    command: Option<Vec<Text>>,
}
