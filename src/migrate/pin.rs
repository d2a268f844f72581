//! Which build an old instance ran, and what its pin has to say so that it stays on that.
//!
//! The old tool took the id, else a build of that version and variant (`latest` was the one that
//! was installed last), else the registry's default, else `bin/`, and said nothing when it fell
//! through. This program never runs another build than the pin's, so where the old rule led to
//! something the pin does not say, the pin is written out.

use serde_json::{Map, Value, json};

use super::{Finding, Old, OldBuild, Severity};
use crate::manifest::ReleaseRequest;
use crate::release::{BuildName, Digest, Os, Tag, Variant};

/// The variant of a pin that names none.
const DEFAULT_VARIANT: &str = "win-vulkan-x64";

/// What becomes of a pin.
#[derive(Default)]
pub(super) struct Pinned {
    /// What the manifest has to say of it; nothing where the config says enough.
    pub(super) inline: Map<String, Value>,
    /// The variant it runs, where that is known.
    pub(super) variant: Option<Variant>,
    /// What a person should know.
    pub(super) findings: Vec<Finding>,
}

/// The `binary` of a config.
struct Written<'a> {
    id: Option<&'a str>,
    version: Option<&'a str>,
    variant: Option<&'a str>,
    sha256: Option<&'a str>,
    source_url: Option<&'a str>,
}

/// Judges the pin of an instance.
pub(super) fn pin(name: &str, config: &Value, old: &Old) -> Pinned {
    let text = |key: &str| config.get("binary")?.get(key)?.as_str();
    let written = Written {
        id: text("binary_id"),
        version: text("version"),
        variant: text("variant"),
        sha256: text("sha256"),
        source_url: text("source_url"),
    };
    let mut pinned = Pinned::default();
    if written.id.is_none() && written.version.is_none() {
        pinned.unpinned(name, old);
        return pinned;
    }
    let builds = old.builds.as_deref().unwrap_or_default();
    let asked = asked(&written, builds);
    let variant = written.variant.map(Variant::new);
    pinned.variant = asked.map(|build| build.variant.clone()).or(variant);
    match asked {
        Some(build) => pinned.listed(name, &written, build, old),
        None => pinned.unlisted(name, &written, old),
    }
    pinned
}

/// The build of the registry a pin led to.
fn asked<'a>(written: &Written<'_>, builds: &'a [OldBuild]) -> Option<&'a OldBuild> {
    let by_id = written.id.and_then(|id| {
        let id = id.parse().ok()?;
        builds.iter().find(|build| build.id == id)
    });
    if by_id.is_some() {
        return by_id;
    }
    let variant = written.variant.unwrap_or(DEFAULT_VARIANT);
    let of_variant = |build: &&OldBuild| build.variant.as_str() == variant;
    let version = written.version?;
    if version != "latest" {
        let mut same = builds.iter().filter(of_variant);
        return same.find(|build| build.version == version);
    }
    let is_release = |build: &&OldBuild| build.version.parse::<Tag>().is_ok();
    let installed = |build: &&OldBuild| build.installed;
    let releases = builds.iter().filter(of_variant).filter(is_release);
    let any = builds.iter().filter(of_variant);
    releases
        .max_by_key(installed)
        .or_else(|| any.max_by_key(installed))
}

impl Pinned {
    fn find(&mut self, severity: Severity, name: &str, what: String, hint: Option<String>) {
        let finding = Finding::new(severity, name, what);
        self.findings.push(Finding { hint, ..finding });
    }

    /// No build is named: the registry's default, else `bin/`.
    fn unpinned(&mut self, name: &str, old: &Old) {
        let builds = old.builds.as_deref().unwrap_or_default();
        let default = old
            .default
            .and_then(|id| builds.iter().find(|build| build.id == id));
        if let Some(build) = default.filter(|build| build.runs_on(old.os)) {
            self.to(build);
            let what = format!(
                "names no build, and so ran the registry's default, {}: it is pinned to that",
                build.label()
            );
            self.find(Severity::Note, name, what, None);
        } else if old.bin.is_some() {
            let what = "names no build, and goes on running from `bin/`".to_owned();
            self.find(Severity::Note, name, what, None);
        } else {
            let what = "names no build, and there is no `bin/` for this system".to_owned();
            let hint = format!("write `binary: {{ version: stable }}` under `{name}`");
            self.find(Severity::Open, name, what, Some(hint));
        }
    }

    /// The registry has what was asked for.
    fn listed(&mut self, name: &str, written: &Written<'_>, build: &OldBuild, old: &Old) {
        if let Some(os) = build.variant.os().filter(|os| *os != old.os) {
            return self.of_another_system(name, &build.version, build.variant.as_str(), os);
        }
        let by_id = written.id == Some(build.id.to_string().as_str());
        let is_release = build.version.parse::<Tag>().is_ok();
        if let Some(damage) = &build.damage {
            if !is_release {
                let what = format!(
                    "is pinned to {}, which is no release: {damage}",
                    build.label()
                );
                let hint = "bring its folder back, or pin another build".to_owned();
                return self.find(Severity::Open, name, what, Some(hint));
            }
            let what = format!("has to have {} installed again: {damage}", build.label());
            self.find(Severity::Differs, name, what, None);
        }
        if written.version == Some("latest") {
            let what = format!(
                "`latest` meant the build that was installed last: it is pinned to that, {}",
                build.label()
            );
            let hint = "`version: stable` follows llama.cpp's newest stable release".to_owned();
            self.to(build);
            return self.find(Severity::Note, name, what, Some(hint));
        }
        let digest: Option<Digest> = written.sha256.and_then(|text| text.parse().ok());
        let differs = written
            .version
            .is_some_and(|version| version != build.version)
            || written
                .variant
                .is_some_and(|variant| variant != build.variant.as_str())
            || (digest.is_some() && build.digest.is_some() && digest != build.digest);
        if differs {
            let what = format!(
                "its `binary_id` is {} in the registry, and its pin says {}: it stays on what it ran",
                build.label(),
                [written.version, written.variant]
                    .map(|text| text.unwrap_or("nothing"))
                    .join(" "),
            );
            self.to(build);
            return self.find(Severity::Note, name, what, None);
        }
        // Another id, or none, led here: what it ran is what it stays on.
        if !by_id && build.damage.is_none() {
            self.to(build);
        } else if build.damage.is_some() {
            self.source(written, is_release);
        }
    }

    /// The registry does not have it, and the old tool ran something else in its place.
    fn unlisted(&mut self, name: &str, written: &Written<'_>, old: &Old) {
        let variant = written.variant.unwrap_or(DEFAULT_VARIANT);
        if let Some(os) = Variant::new(variant).os().filter(|os| *os != old.os)
            && written.variant.is_some()
        {
            return self.of_another_system(name, written.version.unwrap_or_default(), variant, os);
        }
        if written.variant.is_none() && old.os == Os::Windows {
            self.inline
                .insert("variant".to_owned(), DEFAULT_VARIANT.into());
        }
        let request = written.version.and_then(|text| text.parse().ok());
        match request {
            None => {
                let what = format!(
                    "its `binary_id` {} is not in the registry, and it names no version",
                    written.id.unwrap_or_default()
                );
                let hint = format!("write `binary: {{ version: stable }}` under `{name}`");
                self.find(Severity::Open, name, what, Some(hint));
            }
            Some(ReleaseRequest::Named(build))
                if written.source_url.is_none_or(|url| !is_url(url)) =>
            {
                let what =
                    format!("is pinned to `{build}`, which is no release and not in the registry");
                let hint =
                    format!("`llama-orch binary register PATH --version {build}` takes it in");
                self.find(Severity::Open, name, what, Some(hint));
            }
            Some(ReleaseRequest::Stable) => {
                let what = "`latest` meant the build that was installed last, and none is: it is llama.cpp's newest stable release from now on";
                self.find(Severity::Differs, name, what.to_owned(), None);
            }
            Some(request) => {
                let what = format!(
                    "{request} is not installed: the old tool ran another build in its place, and `llama-orch apply` installs it"
                );
                self.find(Severity::Differs, name, what, None);
                self.source(written, matches!(request, ReleaseRequest::Tag(_)));
            }
        }
    }

    /// Leaves out a `source_url` that leads nowhere, or without a digest to a file of a release, which
    /// the release vouches for.
    fn source(&mut self, written: &Written<'_>, is_release: bool) {
        const RELEASES: &str = "https://github.com/ggml-org/llama.cpp/releases/download/";
        let Some(url) = written.source_url else {
            return;
        };
        let is_needless = is_release && written.sha256.is_none() && url.starts_with(RELEASES);
        if is_url(url) && !is_needless {
            return;
        }
        for (key, value) in [
            ("version", written.version),
            ("binary_id", written.id),
            ("sha256", written.sha256),
        ] {
            if let Some(value) = value {
                self.inline.insert(key.to_owned(), value.into());
            }
        }
    }

    fn of_another_system(&mut self, name: &str, version: &str, variant: &str, os: Os) {
        let what = format!("is pinned to `{variant}`, a build for {os}");
        let version = version
            .parse()
            .map_or("stable".to_owned(), |tag: Tag| tag.to_string());
        let hint = format!(
            "write the one for this machine under `{name}`: `binary: {{ version: {version}, variant: auto }}`"
        );
        self.find(Severity::Open, name, what, Some(hint));
    }

    fn to(&mut self, build: &OldBuild) {
        self.variant = Some(build.variant.clone());
        self.inline.insert("binary_id".to_owned(), json!(build.id));
        if build.version.parse::<BuildName>().is_ok() {
            self.inline
                .insert("version".to_owned(), build.version.clone().into());
        }
        self.inline
            .insert("variant".to_owned(), json!(build.variant));
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://")
}
