//! What `migrate --json` prints.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Finding, Migration, Step, TakenOver};

/// The number in `format_version`.
pub const FORMAT_VERSION: u32 = 1;

/// A migration as it would be, or was, carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MigrateDocument {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// The folder.
    pub root: String,
    /// Whether there is something to do, or was.
    pub changes_present: bool,
    /// Whether it was done. `false` for a preview.
    pub applied: bool,
    /// The backup that `--undo` goes by, where it was done.
    pub backup: Option<String>,
    /// The instances that are taken over.
    pub instances: Vec<TakenOver>,
    /// What is written; nothing that is there is changed but the registry, by an entry more.
    pub steps: Vec<StepDocument>,
    /// What a person should know, the gravest first.
    pub findings: Vec<Finding>,
}

/// One thing that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum StepDocument {
    /// `bin/` is copied to a folder of its own in `bins/`, and registered.
    Register {
        /// What it is called from now on.
        version: String,
        /// The bytes the copy takes.
        bytes: u64,
    },
    /// A config is copied to where its folder has the name of its instance.
    Copy {
        /// The config.
        from: String,
        /// The copy.
        to: String,
    },
    /// A file is written.
    Write {
        /// The file.
        path: String,
        /// What stands in it.
        content: String,
    },
}

impl MigrateDocument {
    /// The document of a migration, with the backup where it was carried out.
    pub fn of(migration: &Migration, root: &str, backup: Option<&str>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            root: root.to_owned(),
            changes_present: !migration.steps.is_empty(),
            applied: backup.is_some(),
            backup: backup.map(str::to_owned),
            instances: migration.instances.clone(),
            steps: migration.steps.iter().map(StepDocument::from).collect(),
            findings: migration.findings.clone(),
        }
    }
}

impl From<&Step> for StepDocument {
    fn from(step: &Step) -> Self {
        match step {
            Step::Register { version, bytes } => Self::Register {
                version: version.to_string(),
                bytes: *bytes,
            },
            Step::Copy { from, to, .. } => Self::Copy {
                from: from.to_string(),
                to: to.to_string(),
            },
            Step::Manifest { text } => Self::Write {
                path: "orchestrator.yaml".to_owned(),
                content: text.clone(),
            },
        }
    }
}

/// The JSON Schema of [`MigrateDocument`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(MigrateDocument).to_value()
}
