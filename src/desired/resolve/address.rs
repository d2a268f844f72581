//! A fork's or private build, by the URL of its archive.

use url::Url;

use super::{Open, Resolver};
use crate::desired::{ArchiveOrigin, Unanswered, WantedArchive, WantedBinary};
use crate::lock::LockedAsset;
use crate::manifest::{Pin, ReleaseRequest};
use crate::release::variant::{self, Recognised};
use crate::release::{BuildName, Digest, Tag, Variant, VariantRequest, shown};

impl Resolver<'_> {
    pub(super) fn at_address(&mut self, pin: &Pin, url: &Url) -> Result<WantedBinary, Open> {
        let file = url
            .path_segments()
            .and_then(|mut parts| parts.next_back())
            .unwrap_or_default();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Open::impossible(
                format!("{} must not carry a user name or password", shown(url)),
                Some(format!(
                    "a server that wants them is not supported yet: fetch the archive by hand, and add `--from-file {file}` to \
                     `llama-orch binary install` with the URL without them"
                )),
            ));
        }
        self.used_urls.insert(url.to_string());
        let digest = self.digest_of(pin, url, file)?;
        let (tag, read) = match variant::recognise(file) {
            Some(Recognised::Server { tag, variant, .. }) => (Some(tag), Some(variant)),
            Some(Recognised::Companion { .. } | Recognised::Ignored(_)) | None => (None, None),
        };
        let build = build_of(pin, url, file, tag)?;
        let variant = self.variant_of(pin, url, read)?;
        let locked = self.known.lock.archives.get(url.as_str());
        let size = locked.and_then(|locked| locked.size);
        if locked.is_none() {
            let asset = LockedAsset::new(digest, None);
            self.lock.archives.insert(url.to_string(), asset);
        }
        let id = match pin.binary_id {
            Some(id) => {
                self.ids.entry(digest).or_insert(id);
                id
            }
            None => self.id_for(digest, &[]),
        };
        Ok(WantedBinary {
            id,
            build,
            variant,
            archives: vec![WantedArchive {
                name: file.to_owned(),
                size,
                digest,
                origin: ArchiveOrigin::Url(url.clone()),
            }],
        })
    }

    fn digest_of(&self, pin: &Pin, url: &Url, file: &str) -> Result<Digest, Open> {
        let locked = self.known.lock.archives.get(url.as_str());
        match (locked.map(|locked| locked.sha256), pin.sha256) {
            (Some(locked), Some(pinned)) if locked != pinned => {
                Err(Open::Never(Unanswered::Contradiction(format!(
                    "the pin's `sha256` is {pinned}, but `orchestrator.lock` has {locked} for {}",
                    shown(url)
                ))))
            }
            (Some(digest), _) | (None, Some(digest)) => Ok(digest),
            (None, None) => {
                let vouched = self.known.answers.vouched.get(file);
                vouched.copied().ok_or_else(|| {
                    Open::Never(Unanswered::NoDigest {
                        name: file.to_owned(),
                        size: None,
                        origin: Box::new(ArchiveOrigin::Url(url.clone())),
                    })
                })
            }
        }
    }

    fn variant_of(&self, pin: &Pin, url: &Url, read: Option<Variant>) -> Result<Variant, Open> {
        let host = self.known.host;
        match (&pin.variant, read) {
            (VariantRequest::Named(text), Some(read))
                if !pin.variant.matches(&read, host.os, host.arch) =>
            {
                Err(Open::Never(Unanswered::Contradiction(format!(
                    "the pin's `variant` is {text}, but {} is {read} by its name",
                    shown(url)
                ))))
            }
            (VariantRequest::Named(_) | VariantRequest::Auto, Some(read)) => Ok(read),
            (VariantRequest::Named(text), None) => Ok(Variant::new(text.clone())),
            (VariantRequest::Auto, None) => Ok(Variant::new("unknown")),
        }
    }
}

fn build_of(pin: &Pin, url: &Url, file: &str, read: Option<Tag>) -> Result<BuildName, Open> {
    match (&pin.version, read) {
        (Some(ReleaseRequest::Tag(tag)), Some(read)) if *tag != read => {
            Err(Open::Never(Unanswered::Contradiction(format!(
                "the pin's `version` is {tag}, but {} is {read} by its name",
                shown(url)
            ))))
        }
        (Some(ReleaseRequest::Tag(tag)), _) => Ok(BuildName::from(*tag)),
        (None, Some(read)) => Ok(BuildName::from(read)),
        (Some(ReleaseRequest::Named(build)), _) => Ok(build.clone()),
        (
            Some(
                other @ (ReleaseRequest::Stable
                | ReleaseRequest::Nightly
                | ReleaseRequest::Version(_)),
            ),
            _,
        ) => Err(Open::Never(Unanswered::Contradiction(format!(
            "`version: {other}` floats, but `source_url` names one archive"
        )))),
        (None, None) => file
            .trim_end_matches(".tar.gz")
            .trim_end_matches(".zip")
            .parse()
            .map_err(|_| {
                Open::impossible(
                    format!("nothing says what the build of {} is called", shown(url)),
                    Some("add a `version` to the pin".to_owned()),
                )
            }),
    }
}
