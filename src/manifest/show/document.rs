//! `config show --json`: the same as [`super::show`] prints, for programs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::print;
use crate::instance::InstanceName;
use crate::manifest::mistake::Collector;
use crate::manifest::node;
use crate::manifest::{Instance, SourceText};

/// The number in `format_version`.
pub const FORMAT_VERSION: u32 = 1;

/// Instances as they came out of their layers.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ShownInstances {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// One entry each, by name.
    pub instances: Vec<ShownInstance>,
}

/// One instance as it came out of its layers.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ShownInstance {
    /// The instance.
    pub name: String,
    /// Every value in force, in the form of an instance in `orchestrator.yaml` (`config schema` prints
    /// its schema). A secret that stands in the manifest itself is `***`.
    pub values: Value,
    /// Where each value was written, by its path such as `server.port`: `defaults`, the instance's
    /// `config.json`, `orchestrator.yaml`, or nowhere (`built in`).
    pub origins: BTreeMap<String, String>,
}

impl ShownInstances {
    /// Puts instances together.
    pub fn of<'a>(instances: impl IntoIterator<Item = (&'a InstanceName, &'a Instance)>) -> Self {
        let instances = instances.into_iter().map(|(name, instance)| {
            let page = print(name, instance);
            ShownInstance {
                name: name.to_string(),
                values: values(&page.text),
                origins: page.origins,
            }
        });
        Self {
            format_version: FORMAT_VERSION,
            instances: instances.collect(),
        }
    }
}

/// What was printed, read as the manifest is read.
fn values(printed: &str) -> Value {
    let text = SourceText::new("shown", printed);
    let mut mistakes = Collector::default();
    let file = mistakes.add_file(&text);
    node::read(&text, file, &mut mistakes).map_or(Value::Null, |root| root.to_json())
}

/// The schema of `config show --json`.
pub fn schema() -> Value {
    schemars::schema_for!(ShownInstances).to_value()
}
