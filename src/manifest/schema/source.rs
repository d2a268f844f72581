//! `source` in the schema: where builds come from.

use schemars::JsonSchema;

/// Where builds come from.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Source {
    /// `owner/name` on GitHub; a fork's builds must be named as llama.cpp names its own.
    #[schemars(extend("default" = "ggml-org/llama.cpp"))]
    repository: Option<String>,
    /// Base URL of the API: GitHub, GitHub Enterprise, or a mirror of it.
    #[schemars(extend("default" = "https://api.github.com"))]
    api: Option<String>,
    /// Base URL that stands in for `https://github.com/<repository>` when downloading.
    mirror: Option<String>,
    /// A folder of archives in place of any network, relative to the folder of this file or absolute.
    directory: Option<String>,
    /// The environment variable that holds a token for the API; the token itself never stands here.
    #[schemars(extend("default" = "GITHUB_TOKEN"))]
    token_env: Option<String>,
    /// How many archives are fetched at a time.
    #[schemars(range(min = 1, max = 16))]
    #[schemars(extend("default" = 3))]
    parallel_downloads: Option<u32>,
}
