//! The newest builds there are, and which of them are here.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::FORMAT_VERSION;
use crate::desired::Unanswered;
use crate::desired::resolve::Newest;
use crate::reconcile::Latest;
use crate::registry::Registry;

/// The newest stable build and the newest nightly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LatestBuilds {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// The variant that was asked for.
    pub variant: String,
    /// What `stable` leads to.
    pub stable: LatestBuild,
    /// What `nightly` leads to.
    pub nightly: LatestBuild,
    /// Whether the release source was out of reach for some of it.
    pub unreachable: bool,
}

/// One of the newest builds, as far as it could be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LatestBuild {
    /// The stable release that names the build, such as `v0.9.0`.
    pub release: Option<String>,
    /// The build.
    pub build: Option<String>,
    /// The variant it has of those that were asked for.
    pub variant: Option<String>,
    /// The UUID under which that is installed.
    pub installed_as: Option<String>,
    /// Why something of the above is not known, or not to be had.
    pub problem: Option<String>,
    /// What can be done about that.
    pub hint: Option<String>,
}

impl LatestBuilds {
    /// What the source said, beside what is installed.
    pub fn of(latest: &Latest, variant: &str, registry: &Registry) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            variant: variant.to_owned(),
            stable: LatestBuild::of(latest.stable.as_ref(), registry),
            nightly: LatestBuild::of(latest.nightly.as_ref(), registry),
            unreachable: latest.unreachable(),
        }
    }
}

impl LatestBuild {
    fn of(newest: Result<&Newest, &Unanswered>, registry: &Registry) -> Self {
        let failed = |why: &Unanswered| Self {
            problem: Some(why.to_string()),
            hint: why.hint(),
            ..Self::default()
        };
        let newest = match newest {
            Ok(newest) => newest,
            Err(why) => return failed(why),
        };
        let build = newest.tag.to_string();
        let known = match &newest.variant {
            Ok(variant) => Self {
                installed_as: registry
                    .entries()
                    .iter()
                    .find(|entry| entry.version == build && entry.variant == *variant)
                    .map(|entry| entry.id.to_string()),
                variant: Some(variant.to_string()),
                ..Self::default()
            },
            Err(why) => failed(why),
        };
        Self {
            release: newest.release.clone(),
            build: Some(build),
            ..known
        }
    }
}

/// The JSON Schema of [`LatestBuilds`].
pub fn latest_schema() -> Value {
    schemars::schema_for!(LatestBuilds).to_value()
}
