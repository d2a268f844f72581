//! The API of GitHub as a release source, and where its downloads lie.
//!
//! Since llama.cpp v0.2.0 (2026-08) every `bNNNN` release is a prerelease, and the newest stable
//! one carries no binaries but `nightly-tag.txt`, which names its build; so a stable release takes
//! one hop more.
//!
//! Downloads come from `<mirror>/releases/download/...` where `source.mirror` is written; else from
//! `https://github.com/<repository>/releases/download/...`, or, where `source.api` is not GitHub's,
//! from the same path on the API's own host, as GitHub Enterprise has it (without the `api.` in
//! front that `ghe.com` puts there). They cost none of the API's quota. The URLs an answer carries are
//! never followed.
//!
//! A release is created first and its files are uploaded one by one, so one that is young, or has
//! files that are announced and not there, may still get more.

#![expect(
    clippy::disallowed_methods,
    reason = "reads a token from the environment, and the clock between attempts"
)]

mod knock;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::http::attempts::Attempts;
use super::http::{Http, Token};
use super::source::{Network, Opened, Patience, ReleaseSource, Resume, SourceError};
use super::{Asset, Digest, Release, Tag, Version, shown};
use crate::desired::{Answer, ArchiveOrigin, Question, WantedArchive};
use crate::manifest::Source;

/// How many releases are asked for at once; each is about 85 KB.
const RECENT: &str = "10";

/// The file of a stable release that names its build.
const NIGHTLY_TAG: &str = "nightly-tag.txt";

pub(super) const GITHUB_API: &str = "api.github.com";

/// The variables that hold a token of github.com by custom.
pub(super) const GITHUB_TOKENS: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

/// The domain of GitHub Enterprise Cloud with data residency: `api.SUBDOMAIN.ghe.com`.
const GHE: &str = ".ghe.com";

/// How long after its publication a release may still get files. Upstream needs minutes.
const UPLOAD: SignedDuration = SignedDuration::from_hours(1);

/// How long an answer holds: without a token every request counts, one that finds nothing new as
/// well; with one, that costs nothing. One about an upload soon changes.
const HOLDS: SignedDuration = SignedDuration::from_mins(10);
const HOLDS_SHORTLY: SignedDuration = SignedDuration::from_mins(1);

/// Somebody may be waiting for the answer to a question, so there is less patience with it than with
/// a download.
const QUESTION: Patience = Patience {
    connect: Duration::from_secs(15),
    idle: Duration::from_secs(30),
    attempts: 3,
    delay: Duration::from_millis(500),
    wait: Duration::from_secs(15),
};

/// Where the value of an environment variable comes from.
type Environment = fn(&str) -> Option<String>;

/// Releases on GitHub or on something that speaks like it.
#[derive(Debug)]
pub struct GitHub {
    repository: String,
    api: Url,
    downloads: Url,
    token_env: String,
    environment: Environment,
    http: Http,
}

/// A release as the API lists it; only what is used here.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ApiRelease {
    tag_name: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    published_at: Option<String>,
    #[serde(default)]
    assets: Vec<ApiAsset>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ApiAsset {
    name: String,
    size: u64,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    state: Option<String>,
}

impl ApiAsset {
    /// Whether it can be had; one that is still being uploaded is listed all the same.
    fn is_there(&self) -> bool {
        self.state
            .as_deref()
            .is_none_or(|state| state == "uploaded")
    }
}

impl ApiRelease {
    fn published(&self) -> Option<Timestamp> {
        self.published_at.as_deref()?.parse().ok()
    }

    /// Whether it may still get files.
    fn is_uploading(&self, now: Timestamp) -> bool {
        // A clock that is far off says nothing about it.
        self.published()
            .is_some_and(|at| now.duration_since(at).abs() < UPLOAD)
            || !self.assets.iter().all(ApiAsset::is_there)
    }

    /// As a build's release, with the files that are there.
    fn into_release(self, tag: Tag, now: Timestamp) -> Release {
        Release {
            tag,
            uploading: self.is_uploading(now),
            published: self.published(),
            assets: self.assets(),
        }
    }

    fn assets(self) -> Vec<Asset> {
        self.assets
            .into_iter()
            .filter(ApiAsset::is_there)
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
        Self::with_environment(source, network, |name| std::env::var(name).ok())
    }

    fn with_environment(source: &Source, network: Network, environment: Environment) -> Self {
        let downloads = downloads(source);
        let http = Http::visiting(&[&source.api, &downloads], &source.token_env, network);
        Self {
            repository: source.repository.clone(),
            api: source.api.clone(),
            downloads,
            token_env: source.token_env.clone(),
            environment,
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

    /// The variables a token is looked for in.
    fn token_variables(&self) -> impl Iterator<Item = &str> {
        let is_github = self.api.host_str() == Some(GITHUB_API);
        let fallback = (is_github && self.token_env != "GH_TOKEN").then_some("GH_TOKEN");
        let named =
            Some(self.token_env.as_str()).filter(|name| is_github || !GITHUB_TOKENS.contains(name));
        named.into_iter().chain(fallback)
    }

    /// A token for the API: from the variable the manifest names, and for GitHub's own API also
    /// from `GH_TOKEN`, which its own program uses. The variables of github.com's tokens are read
    /// for nobody else: a mirror or another GitHub has to be given one of its own by name.
    fn token(&self) -> Option<Token> {
        self.token_variables().find_map(|from| {
            let secret = (self.environment)(from).filter(|secret| !secret.trim().is_empty())?;
            Some(Token {
                secret: secret.trim().to_owned(),
                from: from.to_owned(),
            })
        })
    }

    async fn release(&self, path: &[&str], what: &str) -> Result<ApiRelease, SourceError> {
        let token = self.token();
        let time_to_live =
            |release: &ApiRelease| holds(token.as_ref(), std::slice::from_ref(release));
        self.http
            .json(&self.api_url(path), token.as_ref(), what, time_to_live)
            .await
    }

    async fn newest_stable(&self) -> Result<Answer, SourceError> {
        let release = self.release(&["latest"], "stable release").await;
        let release = release.map_err(|error| match error {
            SourceError::NotFound { url, .. } => SourceError::NoStable { url },
            other => other,
        })?;
        let name = release.tag_name.clone();
        let tag = self.build_of(release).await?;
        // Forks and mirrors may call a build itself stable.
        let release = (name != tag.to_string()).then_some(name);
        Ok(Answer::Stable { release, tag })
    }

    async fn tag_of(&self, version: Version) -> Result<Tag, SourceError> {
        let version = version.to_string();
        let release = self
            .release(&["tags", &version], &format!("release `{version}`"))
            .await?;
        self.build_of(release).await
    }

    /// The build a release is or names.
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
            .text(&url, &format!("file `{NIGHTLY_TAG}` of `{name}`"), |text| {
                tag_in(text, &name).is_ok()
            })
            .await?;
        tag_in(&text, &name)
    }

    async fn assets(&self, tag: Tag) -> Result<Release, SourceError> {
        let name = tag.to_string();
        let release = self
            .release(&["tags", &name], &format!("release `{name}`"))
            .await?;
        Ok(release.into_release(tag, Timestamp::now()))
    }

    async fn recent(&self) -> Result<Vec<Release>, SourceError> {
        let mut url = self.api_url(&[]);
        url.query_pairs_mut().append_pair("per_page", RECENT);
        let what = "list of releases";
        let token = self.token();
        let time_to_live = |releases: &Vec<ApiRelease>| holds(token.as_ref(), releases);
        let listed: Vec<ApiRelease> = self
            .http
            .json(&url, token.as_ref(), what, time_to_live)
            .await?;
        let now = Timestamp::now();
        let mut builds: Vec<Release> = listed
            .into_iter()
            .filter(|release| !release.draft)
            .filter_map(|release| {
                let tag = release.tag_name.parse().ok()?;
                Some(release.into_release(tag, now))
            })
            .collect();
        builds.sort_by_key(|release| std::cmp::Reverse(release.tag));
        Ok(builds)
    }
}

impl GitHub {
    async fn attempt(&self, question: &Question) -> Result<Answer, SourceError> {
        match *question {
            Question::NewestStable => self.newest_stable().await,
            Question::TagOf(version) => self.tag_of(version).await.map(Answer::Tag),
            Question::Assets(tag) => self.assets(tag).await.map(Answer::Assets),
            Question::Recent => self.recent().await.map(Answer::Releases),
        }
    }
}

impl ReleaseSource for GitHub {
    async fn answer(&self, question: &Question) -> Result<Answer, SourceError> {
        let mut attempts = Attempts::new(self.patience().at_most(QUESTION));
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
        shown(&self.url_of(archive))
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
    let mirror = source.mirror.clone();
    mirror.unwrap_or_else(|| page(source))
}

/// Whether an archive at this address belongs to a release of this source.
pub fn is_release_of(source: &Source, url: &Url) -> bool {
    [downloads(source), page(source)].iter().any(|base| {
        let base = below(base, &["releases", "download", ""]);
        url.as_str().starts_with(base.as_str())
    })
}

/// The page on which what lies between two builds is shown.
pub fn comparison(source: &Source, from: Tag, to: Tag) -> Url {
    below(&page(source), &["compare", &format!("{from}...{to}")])
}

/// The page of a repository, on the host that its API belongs to.
fn page(source: &Source) -> Url {
    let mut host = source.api.clone();
    host.set_query(None);
    host.set_path("");
    let api = source.api.host_str().unwrap_or_default();
    let own = match api.strip_prefix("api.") {
        Some(rest) if api == GITHUB_API || rest.ends_with(GHE) => rest,
        Some(_) | None => api,
    };
    // The host of a URL that has one is replaced by another host: this cannot fail.
    let _ = host.set_host(Some(own));
    let repository: Vec<&str> = source.repository.split('/').collect();
    below(&host, &repository)
}

/// How long an answer about these releases holds.
fn holds(token: Option<&Token>, releases: &[ApiRelease]) -> SignedDuration {
    let now = Timestamp::now();
    if token.is_some() || releases.iter().any(|release| release.is_uploading(now)) {
        HOLDS_SHORTLY
    } else {
        HOLDS
    }
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
