//! A build that was just installed or registered, or found to be there.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::BinaryInfo;
use crate::install::Outcome;

/// What came of an install.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct InstalledBinary {
    /// How the build came to be there.
    pub outcome: InstalledOutcome,
    /// What a person should know, though nothing is wrong.
    pub remarks: Vec<String>,
    /// The build.
    #[serde(flatten)]
    pub info: BinaryInfo,
}

/// How a build came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstalledOutcome {
    /// It was installed.
    Installed,
    /// It was there already.
    Present,
    /// It was there under another UUID, which is now an alias of it.
    Aliased,
}

impl From<Outcome> for InstalledOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Installed => Self::Installed,
            Outcome::Present => Self::Present,
            Outcome::Aliased => Self::Aliased,
        }
    }
}

/// The JSON Schema of [`InstalledBinary`].
pub fn installed_schema() -> Value {
    schemars::schema_for!(InstalledBinary).to_value()
}
