//! One `llama-server` and what is wanted of it: its name, how it is launched, what that launch is
//! compared by, and the settings of the supervisor that owns it.
//!
//! The values here are pure and shared by the core and the shell. Acting on a machine is left to
//! the modules below: [`supervisor`] owns a server, [`process`] and [`identity`] deal with the
//! operating system, [`record`] and [`state`] are the two files that describe an instance on disk.

pub mod backoff;
pub mod folder;
pub mod gate;
pub mod identity;
pub mod listener;
pub mod log;
pub mod probe;
pub mod process;
pub mod record;
pub mod state;
pub mod supervisor;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::release::{BuildName, Digest, ParseError};

/// The name of an instance: 1 to 64 of `a-z 0-9 _ -`, beginning and ending with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceName(Arc<str>);

impl InstanceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<InstanceName> for String {
    fn from(name: InstanceName) -> Self {
        name.as_str().to_owned()
    }
}

impl TryFrom<String> for InstanceName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl FromStr for InstanceName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = |b: u8| edge(b) || b == b'_' || b == b'-';
        let bytes = text.as_bytes();
        let ends_well = |byte: Option<&u8>| byte.is_some_and(|b| edge(*b));
        if bytes.len() > 64
            || !ends_well(bytes.first())
            || !ends_well(bytes.last())
            || !bytes.iter().all(|b| inner(*b))
        {
            return Err(ParseError::new(
                text,
                "an instance name (1 to 64 of a-z, 0-9, `_` and `-`, with a letter or digit at both ends)",
            ));
        }
        Ok(Self(text.into()))
    }
}

/// The primary key of an installed build. Version 4 for those made here; any UUID is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BinaryId(Uuid);

impl BinaryId {
    /// Stands for the legacy `bin/llama-server`, which has no entry in the registry.
    pub const LEGACY: Self = Self(Uuid::nil());

    /// Wraps a UUID.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID itself.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for BinaryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BinaryId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| ParseError::new(text, "a UUID"))
    }
}

/// A hash of inputs, by which two launches are told apart without looking into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Digest);

impl Fingerprint {
    /// Wraps a digest of whatever the caller compares by.
    pub const fn new(digest: Digest) -> Self {
        Self(digest)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a host is the path of a Unix socket, which is how `llama-server` itself tells
/// (tools/server, b9000).
pub fn is_socket(host: &str) -> bool {
    host.as_bytes().ends_with(b".sock")
}

/// What a launch is compared by: the resolved fields of the instance as `field.path` -> value,
/// never the argv derived from them. A field that was not set has no entry, so a later version of
/// this program that knows more fields finds no difference where nothing was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaunchInputs(BTreeMap<String, Value>);

impl LaunchInputs {
    /// Records a field. A later value for the same field replaces the earlier one.
    pub fn set(&mut self, field: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(field.into(), value.into());
    }

    /// All fields in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(field, value)| (field.as_str(), value))
    }

    /// A hash of all fields and values.
    pub fn fingerprint(&self) -> Fingerprint {
        // Written as JSON would be, which cannot fail for values that came out of JSON.
        let text = Value::from_iter(self.0.clone()).to_string();
        Fingerprint(Digest::of(text))
    }

    /// What differs from `self` to `newer`, in the order of the fields' names.
    pub fn changes_to(&self, newer: &Self) -> Vec<Change> {
        let fields: BTreeSet<&String> = self.0.keys().chain(newer.0.keys()).collect();
        fields
            .into_iter()
            .filter(|field| self.0.get(*field) != newer.0.get(*field))
            .map(|field| Change {
                field: field.clone(),
                from: self.0.get(field).cloned(),
                to: newer.0.get(field).cloned(),
            })
            .collect()
    }
}

/// One field that differs between what runs and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The field's path in an instance, such as `model.context_size`.
    pub field: String,
    /// Its value now; `None` where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// Its value as wanted; `None` where it is to be unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// Where the value of one environment variable of a server comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentValue {
    /// Written in the manifest.
    Literal(String),
    /// The content of a file, relative to the root, less one final line break; read at each spawn.
    File(Utf8PathBuf),
    /// A variable of the environment the supervisor was started from.
    FromEnv(String),
}

/// Why a launch names a file, which decides how a change of the file is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// A model, projector or adapter: large, compared by size and modification time.
    Model,
    /// A key, template or preset: small, compared by a salted hash of its content.
    Content,
    /// A folder of models (router mode): must exist, its content is the server's own business.
    Directory,
}

/// How to start one server, in terms that hold on any machine: a binary by its id, paths relative
/// to the root, no pid and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The build to run.
    pub binary: BinaryId,
    /// What that build is called; the gate asks the server for its number where it is a tag and the
    /// build is not [`Launch::foreign`].
    pub build: BuildName,
    /// Everything after the program's name.
    pub arguments: Vec<String>,
    /// The manifest's own environment; a server gets nothing else but the pass-through names.
    #[serde(default)]
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// Address the server listens on: an IP address, a host name, or a path ending in `.sock`.
    pub host: String,
    /// Port the server listens on.
    pub port: u16,
    /// Where the API key comes from, if the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<EnvironmentValue>,
    /// Files the launch names, relative to the root (or absolute as written).
    #[serde(default)]
    pub files: BTreeMap<Utf8PathBuf, FileRole>,
    /// Whether the server has to fetch its model by name before it can bind its port.
    #[serde(default)]
    pub fetches: bool,
    /// Whether the server starts without a model and loads them on request.
    #[serde(default)]
    pub router: bool,
    /// Built elsewhere: the number it reports need not be that of its name.
    #[serde(default)]
    pub foreign: bool,
    /// What this launch is compared by.
    pub inputs: LaunchInputs,
}

impl Launch {
    /// The hash of [`Launch::inputs`].
    pub fn fingerprint(&self) -> Fingerprint {
        self.inputs.fingerprint()
    }
}

/// The request a gate makes once the server says it is healthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// No request.
    #[default]
    None,
    /// One token from `/completion`.
    Completion,
    /// One vector from `/embedding`.
    Embedding,
    /// One score from `/rerank`.
    Rerank,
}

/// How the probe asks a server whether it is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// A request to [`GateSpec::path`].
    #[default]
    Http,
    /// A connection to its port, nothing more.
    Tcp,
    /// A program that ends with code 0 when it is.
    Custom {
        /// The program, relative to the root or absolute.
        script: Utf8PathBuf,
    },
}

/// What a start must pass. Durations are written as seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateSpec {
    /// How the probe asks.
    pub kind: CheckKind,
    /// The path asked until it answers with one of `expected_status`.
    pub path: String,
    /// HTTP status codes that mean healthy.
    pub expected_status: Vec<u16>,
    /// Text the answer must contain.
    pub expected_body: Option<String>,
    /// Time between two probes once the gate is passed.
    #[serde(with = "seconds")]
    pub interval: Duration,
    /// How long one probe may take.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// How long a server may load, counted from the moment it has bound its port.
    #[serde(with = "seconds")]
    pub start_period: Duration,
    /// Probes that must fail in a row before a server that had passed is called unresponsive.
    pub retries: u32,
    /// The request made after `/health`.
    pub probe: ProbeKind,
    /// How long the server must stay up after that.
    #[serde(with = "seconds")]
    pub min_healthy: Duration,
}

impl Default for GateSpec {
    fn default() -> Self {
        Self {
            kind: CheckKind::Http,
            path: "/health".to_owned(),
            expected_status: vec![200],
            expected_body: None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            start_period: Duration::from_mins(1),
            retries: 3,
            probe: ProbeKind::None,
            min_healthy: Duration::from_secs(2),
        }
    }
}

/// When and how often a server that ended is started again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// Whether it is started again at all.
    pub enabled: bool,
    /// Starts in a row before giving up. `None`: without end for a proven launch, five for one
    /// that is not proven yet.
    pub max_retries: Option<u32>,
    /// Wait before the first restart.
    #[serde(with = "seconds")]
    pub initial_delay: Duration,
    /// Factor by which the wait grows.
    pub backoff_multiplier: f64,
    /// Longest wait.
    #[serde(with = "seconds")]
    pub max_delay: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            max_retries: None,
            initial_delay: Duration::from_secs(1),
            backoff_multiplier: 2.0,
            max_delay: Duration::from_mins(5),
        }
    }
}

/// When a server's log is turned over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogPolicy {
    /// Size in MiB at which `server.log` is rotated; 0 means never.
    pub max_size_mb: u64,
    /// How many rotated files are kept.
    pub rotation: u32,
}

impl Default for LogPolicy {
    fn default() -> Self {
        Self {
            max_size_mb: 100,
            rotation: 5,
        }
    }
}

/// The settings of a supervisor: they reach it while its server goes on running. Compared field by
/// field after reading, so that fields this version does not know yet never count as a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supervision {
    /// What a start must pass, and the probe afterwards.
    pub gate: GateSpec,
    /// What happens when the server ends by itself.
    pub restart_policy: RestartPolicy,
    /// Rotation of the server's log.
    pub logs: LogPolicy,
    /// Wait between SIGTERM and SIGKILL.
    #[serde(with = "seconds")]
    pub stop_timeout: Duration,
    /// How long a launch must stay healthy to count as proven.
    #[serde(with = "seconds")]
    pub prove_after: Duration,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            gate: GateSpec::default(),
            restart_policy: RestartPolicy::default(),
            logs: LogPolicy::default(),
            stop_timeout: Duration::from_secs(30),
            prove_after: Duration::from_mins(10),
        }
    }
}

impl Supervision {
    /// The manifest fields in which `self` and `newer` differ.
    pub fn changed_fields(&self, newer: &Self) -> Vec<&'static str> {
        let mut fields = Vec::new();
        let mut note = |differs: bool, field| {
            if differs {
                fields.push(field);
            }
        };
        note(self.gate != newer.gate, "healthcheck");
        note(
            self.restart_policy != newer.restart_policy,
            "restart_policy",
        );
        note(self.logs != newer.logs, "logs");
        note(self.stop_timeout != newer.stop_timeout, "stop_timeout");
        note(self.prove_after != newer.prove_after, "rollout.prove_after");
        fields
    }
}

/// Durations in stored files are numbers of seconds.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}
