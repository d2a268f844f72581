//! One `llama-server` and what is wanted of it: its name, how it is launched, what that launch is
//! compared by, and the settings of the supervisor that owns it.
//!
//! The values here are pure and shared by the core and the shell. Acting on a machine is left to
//! the modules below: [`supervisor`] owns a server, [`process`] and [`identity`] deal with the
//! operating system, [`record`] and [`state`] are the two files that describe an instance on disk.

pub mod backoff;
pub mod census;
pub mod folder;
pub mod gate;
pub mod identity;
pub mod listener;
pub mod log;
#[cfg(windows)]
mod object;
mod orders;
pub mod probe;
pub mod process;
pub mod record;
mod settings;
pub mod state;
pub mod supervisor;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::release::{BuildName, Digest, ParseError};

pub use settings::{
    CheckKind, GateSpec, Liveness, LogPolicy, ProbeKind, RestartPolicy, Supervision,
};

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

    /// The value of a field, where it is set.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
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
    /// What the devices are called of which the server must use one (`CUDA`, `Vulkan`), less their
    /// number; empty for any but the CPU. `None`: whatever it finds will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// What this launch is compared by.
    pub inputs: LaunchInputs,
}

impl Launch {
    /// The hash of [`Launch::inputs`].
    pub fn fingerprint(&self) -> Fingerprint {
        self.inputs.fingerprint()
    }

    /// What the archive of its build hashed to, where it came from one.
    pub fn archive(&self) -> Option<Digest> {
        let binary = self.inputs.get("binary")?;
        binary.get("sha256")?.as_str()?.parse().ok()
    }
}
