//! The JSON Schema of `orchestrator.yaml`, for editors.
//!
//! These types feed schemars and nothing else: what is read, and how mistakes are told, is decided
//! by the decoder. A test keeps both to the same keys.
#![expect(dead_code, reason = "the fields are read by the derive alone")]
#![expect(
    clippy::struct_field_names,
    reason = "fields are named as the keys they stand for"
)]

mod instance;
mod source;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use instance::Instance;
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
    /// The version of this file's form, which is 1.
    #[schemars(range(min = 1, max = 1))]
    version: u32,
    /// What every instance is built on. Over it lie, field by field, `instances/<name>/config.json` and then
    /// the instance itself; lists replace each other as a whole.
    defaults: Option<Instance>,
    /// The servers by their names; the name is also the alias of the model.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$" }))]
    instances: BTreeMap<String, Option<Instance>>,
    /// Order and pace of changes.
    rollout: Option<Order>,
    /// What happens to builds nothing uses.
    retention: Option<Retention>,
    /// Instances that are not removed even when they leave this file, until `unprotect` lifts it.
    protect: Option<Vec<Name>>,
    /// What `llama-orch watch` may do by itself. What it may not is held, and `llama-orch apply` does it.
    watch: Option<Watch>,
    /// Whom `llama-orch watch` tells of what goes wrong, and of what is right again.
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

/// Order and pace of changes.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Order {
    /// How many instances are restarted at a time.
    #[schemars(range(min = 1, max = 1000))]
    #[schemars(extend("default" = 1))]
    max_parallel: Option<u32>,
    /// How many instances are started at a time.
    #[schemars(range(min = 1, max = 1000))]
    #[schemars(extend("default" = 4))]
    start_parallel: Option<u32>,
    /// The instance that goes first; where it fails, the rest is left as it is.
    canary: Option<Name>,
}

/// What happens to builds nothing uses.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retention {
    /// How many unused builds are kept besides those in use, newest first.
    #[schemars(range(min = 0, max = 1000))]
    #[schemars(extend("default" = 2))]
    keep: Option<u32>,
    /// Whether `apply` takes away the others without being asked.
    #[schemars(extend("default" = false))]
    prune: Option<bool>,
}

/// What `llama-orch watch` may do by itself. What it may not is held, and `llama-orch apply` does it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Watch {
    /// Install builds.
    #[schemars(extend("default" = true))]
    install: Option<bool>,
    /// Restart and stop instances whose settings, files or pin changed.
    #[schemars(extend("default" = true))]
    restart: Option<bool>,
    /// Start what has ended by itself, take over what has lost its supervisor, replace damaged builds.
    #[schemars(extend("default" = true))]
    heal: Option<bool>,
    /// Remove instances that left this file.
    #[schemars(extend("default" = false))]
    remove: Option<bool>,
    /// Take away builds that nothing uses.
    #[schemars(extend("default" = false))]
    prune: Option<bool>,
    /// Time between two passes when nothing happens; at least 1 s.
    #[schemars(extend("default" = "1m"))]
    resync: Option<Time>,
    /// Time before an install or a start that failed is tried again with the same inputs; at least 1 s.
    #[schemars(extend("default" = "10m"))]
    retry_interval: Option<Time>,
}

/// Whom `llama-orch watch` tells of what goes wrong, and of what is right again.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Notify {
    /// A program and its arguments, run in the root; the notice comes on its standard input as JSON.
    command: Option<Vec<Text>>,
}
