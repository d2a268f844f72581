//! `source` in the schema: where builds come from.

use schemars::JsonSchema;

/// Where builds come from.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Source {
    /// `owner/name` on GitHub.
    repository: Option<String>,
    /// Base URL of the API: GitHub, GitHub Enterprise, or a mirror.
    api: Option<String>,
    /// Base URL that stands in for `https://github.com/<repository>` when downloading.
    mirror: Option<String>,
    /// A folder of archives instead of any network.
    directory: Option<String>,
    /// The environment variable that holds a token for the API.
    token_env: Option<String>,
    /// Archives fetched at a time; 3 where nothing is said.
    #[schemars(range(min = 1, max = 16))]
    parallel_downloads: Option<u32>,
}
