//! The API of GitHub as a release source, and where its downloads lie.
//!
//! Since llama.cpp v0.2.0 (2026-08) every `bNNNN` release is a prerelease, and the newest stable
//! one carries no binaries but `nightly-tag.txt`, which names its build; so a stable release takes
//! one hop more.
//!
//! Downloads come from `<mirror>/releases/download/...` where `source.mirror` is written; else from
//! `https://github.com/<repository>/releases/download/...`, or, where `source.api` is not GitHub's,
//! from the same path on the API's own host, as GitHub Enterprise has it. They cost none of the
//! API's quota. The URLs an answer carries are never followed.

#![expect(
    clippy::disallowed_methods,
    reason = "reads a token from the environment, and the clock between attempts"
)]

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Deserialize;
use url::Url;

use super::http::attempts::Attempts;
use super::http::{Http, Token};
use super::source::{Network, Opened, Patience, ReleaseSource, Resume, SourceError};
use super::{Asset, Digest, Release, Tag, Version};
use crate::desired::{Answer, ArchiveOrigin, Question, WantedArchive};
use crate::manifest::Source;

/// How many releases are asked for at once; each is about 85 KB.
const RECENT: &str = "10";

/// The file of a stable release that names its build.
const NIGHTLY_TAG: &str = "nightly-tag.txt";

const GITHUB_API: &str = "api.github.com";

/// Releases on GitHub or on something that speaks like it.
#[derive(Debug)]
pub struct GitHub {
    repository: String,
    api: Url,
    downloads: Url,
    token_env: String,
    http: Http,
}

/// A release as the API lists it; only what is used here.
#[derive(Debug, Deserialize)]
struct ApiRelease {
    tag_name: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    assets: Vec<ApiAsset>,
}

#[derive(Debug, Deserialize)]
struct ApiAsset {
    name: String,
    size: u64,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    state: Option<String>,
}

impl ApiRelease {
    /// The files that are there; one that is still being uploaded is listed and cannot be had.
    fn assets(self) -> Vec<Asset> {
        let there = |asset: &ApiAsset| {
            asset
                .state
                .as_deref()
                .is_none_or(|state| state == "uploaded")
        };
        self.assets
            .into_iter()
            .filter(there)
            .map(|asset| {
                // Only sha256 is known here; another kind is as good as none.
                let digest = asset.digest.and_then(|text| text.parse::<Digest>().ok());
                Asset {
                    name: asset.name,
                    size: asset.size,
                    digest,
                }
            })
            .collect()
    }
}

impl GitHub {
    /// A source for the repository a manifest names. Nothing is asked yet.
    pub fn new(source: &Source, network: Network) -> Self {
        let downloads = downloads(source);
        let http = Http::visiting(&[&source.api, &downloads], &source.token_env, network);
        Self {
            repository: source.repository.clone(),
            api: source.api.clone(),
            downloads,
            token_env: source.token_env.clone(),
            http,
        }
    }

    /// Where a file of a release is downloaded from.
    pub fn download_url(&self, release: &str, name: &str) -> Url {
        below(&self.downloads, &["releases", "download", release, name])
    }

    fn url_of(&self, archive: &WantedArchive) -> Url {
        match &archive.origin {
            ArchiveOrigin::Release(tag) => self.download_url(&tag.to_string(), &archive.name),
            ArchiveOrigin::Url(url) => url.clone(),
        }
    }

    fn api_url(&self, path: &[&str]) -> Url {
        let repository = self.repository.split('/');
        let parts: Vec<&str> = ["repos"]
            .into_iter()
            .chain(repository)
            .chain(["releases"])
            .chain(path.iter().copied())
            .collect();
        below(&self.api, &parts)
    }

    /// A token for the API: from the variable the manifest names, and for GitHub's own API also
    /// from `GH_TOKEN`, which its own program uses. The variables of github.com's tokens are read
    /// for nobody else: a mirror or another GitHub has to be given one of its own by name.
    fn token(&self) -> Option<Token> {
        let is_github = self.api.host_str() == Some(GITHUB_API);
        let fallback = is_github.then_some("GH_TOKEN");
        let named = Some(self.token_env.as_str())
            .filter(|name| is_github || !["GITHUB_TOKEN", "GH_TOKEN"].contains(name));
        [named, fallback].into_iter().flatten().find_map(|from| {
            let secret = std::env::var(from)
                .ok()
                .filter(|secret| !secret.trim().is_empty())?;
            Some(Token {
                secret: secret.trim().to_owned(),
                from: from.to_owned(),
            })
        })
    }

    async fn release(&self, path: &[&str], what: &str) -> Result<ApiRelease, SourceError> {
        self.http
            .json(&self.api_url(path), self.token().as_ref(), what)
            .await
    }

    async fn newest_stable(&self) -> Result<Tag, SourceError> {
        let release = self.release(&["latest"], "stable release").await?;
        self.build_of(release).await
    }

    async fn tag_of(&self, version: Version) -> Result<Tag, SourceError> {
        let version = version.to_string();
        let release = self
            .release(&["tags", &version], &format!("release `{version}`"))
            .await?;
        self.build_of(release).await
    }

    /// The build a release is or names. Forks and mirrors may still publish builds as stable ones.
    async fn build_of(&self, release: ApiRelease) -> Result<Tag, SourceError> {
        if let Ok(tag) = release.tag_name.parse() {
            return Ok(tag);
        }
        let name = release.tag_name;
        if !release.assets.iter().any(|asset| asset.name == NIGHTLY_TAG) {
            let why = format!("it has no file `{NIGHTLY_TAG}`");
            return Err(SourceError::NamesNoBuild { release: name, why });
        }
        let url = self.download_url(&name, NIGHTLY_TAG);
        let text = self
            .http
            .text(&url, &format!("file `{NIGHTLY_TAG}` of `{name}`"))
            .await?;
        tag_in(&text, &name)
    }

    async fn assets(&self, tag: Tag) -> Result<Vec<Asset>, SourceError> {
        let tag = tag.to_string();
        let release = self
            .release(&["tags", &tag], &format!("release `{tag}`"))
            .await?;
        Ok(release.assets())
    }

    async fn recent(&self) -> Result<Vec<Release>, SourceError> {
        let mut url = self.api_url(&[]);
        url.query_pairs_mut().append_pair("per_page", RECENT);
        let what = "list of releases";
        let listed: Vec<ApiRelease> = self.http.json(&url, self.token().as_ref(), what).await?;
        let mut builds: Vec<Release> = listed
            .into_iter()
            .filter(|release| !release.draft)
            .filter_map(|release| {
                Some(Release {
                    tag: release.tag_name.parse().ok()?,
                    assets: release.assets(),
                })
            })
            .collect();
        builds.sort_by_key(|release| std::cmp::Reverse(release.tag));
        Ok(builds)
    }
}

impl GitHub {
    async fn attempt(&self, question: &Question) -> Result<Answer, SourceError> {
        match *question {
            Question::NewestStable => self.newest_stable().await.map(Answer::Tag),
            Question::TagOf(version) => self.tag_of(version).await.map(Answer::Tag),
            Question::Assets(tag) => self.assets(tag).await.map(Answer::Assets),
            Question::Recent => self.recent().await.map(Answer::Releases),
        }
    }
}

impl ReleaseSource for GitHub {
    async fn answer(&self, question: &Question) -> Result<Answer, SourceError> {
        let mut attempts = Attempts::new(self.patience());
        loop {
            let error = match self.attempt(question).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match attempts.after(&error, Timestamp::now()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    fn location(&self, archive: &WantedArchive) -> String {
        self.url_of(archive).to_string()
    }

    async fn open(
        &self,
        archive: &WantedArchive,
        resume: Option<&Resume>,
    ) -> Result<Opened, SourceError> {
        self.http.open(&self.url_of(archive), resume).await
    }

    fn patience(&self) -> Patience {
        self.http.network.patience
    }
}

/// The base that stands before `releases/download/...`.
fn downloads(source: &Source) -> Url {
    if let Some(mirror) = &source.mirror {
        return mirror.clone();
    }
    let mut host = source.api.clone();
    host.set_query(None);
    host.set_path("");
    if source.api.host_str() == Some(GITHUB_API) {
        // The host of a URL that has one is replaced by another host: this cannot fail.
        let _ = host.set_host(Some("github.com"));
    }
    let repository: Vec<&str> = source.repository.split('/').collect();
    below(&host, &repository)
}

fn below(base: &Url, parts: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    url
}

/// The tag in the text of a `nightly-tag.txt`.
pub(super) fn tag_in(text: &str, release: &str) -> Result<Tag, SourceError> {
    text.trim()
        .parse()
        .map_err(|error: super::ParseError| SourceError::NamesNoBuild {
            release: release.to_owned(),
            why: format!("in `{NIGHTLY_TAG}`, {error}"),
        })
}
