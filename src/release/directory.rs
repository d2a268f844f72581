//! A folder of archives as a release source, for machines without a network.
//!
//! Files are named as upstream names them (`llama-b9553-bin-ubuntu-x64.tar.gz`); a file of a
//! floating name says what that names (`nightly-tag.txt`, `nightly-tag-v0.9.0.txt` or
//! `v0.9.0/nightly-tag.txt`). `SHA256SUMS`, where it is there, says what each archive hashes to;
//! otherwise an archive is hashed when its digest is asked for. Beyond listing, nothing is decided.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads a folder of archives"
)]

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::Digest as _;

use super::http::Http;
use super::source::{Network, Opened, Patience, ReleaseSource, Resume, SourceError};
use super::variant::{Recognised, recognise};
use super::{Asset, Digest, Release, Tag, shown};
use crate::desired::{Answer, ArchiveOrigin, Question, WantedArchive};

/// How many of the newest builds are named as the recent ones.
const RECENT: usize = 10;

/// A folder of archives.
#[derive(Debug)]
pub struct Directory {
    folder: Utf8PathBuf,
    http: Http,
}

impl Directory {
    /// A source that reads this folder, when asked.
    pub fn new(folder: Utf8PathBuf, network: Network) -> Self {
        Self {
            folder,
            http: Http::new(network),
        }
    }
}

impl ReleaseSource for Directory {
    async fn answer(&self, question: &Question) -> Result<Answer, SourceError> {
        let listing = Listing {
            folder: self.folder.clone(),
        };
        let question = *question;
        // Hashing a large archive takes a second, which is too long for the runtime's only thread.
        match tokio::task::spawn_blocking(move || listing.answer(question)).await {
            Ok(answer) => answer,
            Err(stopped) => Err(SourceError::Folder {
                path: self.folder.clone(),
                source: io::Error::other(stopped),
            }),
        }
    }

    fn location(&self, archive: &WantedArchive) -> String {
        match &archive.origin {
            ArchiveOrigin::Url(url) => shown(url),
            ArchiveOrigin::Release(_) => self.folder.join(&archive.name).into_string(),
        }
    }

    async fn open(
        &self,
        archive: &WantedArchive,
        resume: Option<&Resume>,
    ) -> Result<Opened, SourceError> {
        match &archive.origin {
            ArchiveOrigin::Url(url) => self.http.open(url, resume).await,
            ArchiveOrigin::Release(_) => {
                let path = self.folder.join(&archive.name);
                // The name may come from a lock file somebody edited.
                if Utf8Path::new(&archive.name).file_name() == Some(&archive.name) && path.is_file()
                {
                    Ok(Opened::File(path))
                } else {
                    let name = archive.name.clone();
                    Err(SourceError::NoFile {
                        folder: self.folder.clone(),
                        name,
                    })
                }
            }
        }
    }

    fn patience(&self) -> Patience {
        self.http.network.patience
    }
}

/// The folder, to be read once.
struct Listing {
    folder: Utf8PathBuf,
}

impl Listing {
    fn answer(&self, question: Question) -> Result<Answer, SourceError> {
        match question {
            Question::NewestStable => {
                let tag = self.newest_stable()?;
                Ok(Answer::Stable { release: None, tag })
            }
            Question::TagOf(version) => {
                let places = [
                    self.folder
                        .join(version.to_string())
                        .join("nightly-tag.txt"),
                    self.folder.join(format!("nightly-tag-{version}.txt")),
                ];
                for place in &places {
                    if let Some(tag) = named_tag(place)? {
                        return Ok(Answer::Tag(tag));
                    }
                }
                let name = format!("nightly-tag-{version}.txt");
                Err(SourceError::NoFile {
                    folder: self.folder.clone(),
                    name,
                })
            }
            Question::Assets(tag) => {
                let assets = self.assets(tag)?;
                Ok(Answer::Assets(Release {
                    tag,
                    assets,
                    uploading: false,
                    published: None,
                }))
            }
            Question::Recent => self.recent().map(Answer::Releases),
        }
    }

    fn newest_stable(&self) -> Result<Tag, SourceError> {
        if let Some(tag) = named_tag(&self.folder.join("nightly-tag.txt"))? {
            return Ok(tag);
        }
        // The newest archive may be one somebody put there to try it: which build is stable has to
        // be said.
        Err(SourceError::NoFile {
            folder: self.folder.clone(),
            name: "nightly-tag.txt".to_owned(),
        })
    }

    /// Builds with the names and sizes of their archives; those without a tag belong to every one.
    fn builds(&self) -> Result<BTreeMap<Tag, BTreeMap<String, u64>>, SourceError> {
        let failed = |source| SourceError::Folder {
            path: self.folder.clone(),
            source,
        };
        let mut builds: BTreeMap<Tag, BTreeMap<String, u64>> = BTreeMap::new();
        let mut companions = Vec::new();
        for entry in self.folder.read_dir_utf8().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_owned();
            // Following links: a folder of links to a larger store is a fine source.
            let Ok(metadata) = std::fs::metadata(entry.path()) else {
                continue;
            };
            if !metadata.is_file() {
                continue;
            }
            match recognise(&name) {
                Some(Recognised::Server { tag, .. }) => {
                    builds.entry(tag).or_default().insert(name, metadata.len());
                }
                Some(Recognised::Companion { tag, .. }) => {
                    companions.push((tag, name, metadata.len()));
                }
                Some(Recognised::Ignored(_)) | None => {}
            }
        }
        for (of, name, size) in companions {
            for (tag, files) in &mut builds {
                if of.is_none_or(|of| of == *tag) {
                    files.insert(name.clone(), size);
                }
            }
        }
        Ok(builds)
    }

    fn assets(&self, tag: Tag) -> Result<Vec<Asset>, SourceError> {
        let mut builds = self.builds()?;
        let Some(files) = builds.remove(&tag) else {
            let has = builds.into_keys().rev().collect();
            return Err(SourceError::NotInFolder {
                folder: self.folder.clone(),
                tag,
                has,
            });
        };
        let sums = self.sums()?;
        files
            .into_iter()
            .map(|(name, size)| {
                let digest = match sums.get(&name) {
                    Some(digest) => *digest,
                    None => self.hash(&name)?,
                };
                Ok(Asset {
                    name,
                    size,
                    digest: Some(digest),
                })
            })
            .collect()
    }

    fn recent(&self) -> Result<Vec<Release>, SourceError> {
        let sums = self.sums()?;
        let releases = self
            .builds()?
            .into_iter()
            .rev()
            .take(RECENT)
            .map(|(tag, files)| {
                let asset = |(name, size): (String, u64)| {
                    let digest = sums.get(&name).copied();
                    Asset { name, size, digest }
                };
                Release {
                    tag,
                    assets: files.into_iter().map(asset).collect(),
                    uploading: false,
                    published: None,
                }
            });
        Ok(releases.collect())
    }

    fn sums(&self) -> Result<BTreeMap<String, Digest>, SourceError> {
        let path = self.folder.join("SHA256SUMS");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(source) => return Err(SourceError::Folder { path, source }),
        };
        let mut sums = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (digest, name) = line
                .split_once(' ')
                .and_then(|(digest, rest)| {
                    let name = rest.trim_start_matches([' ', '*']).trim_start_matches("./");
                    Some((digest.parse().ok()?, name)).filter(|_| !name.is_empty())
                })
                .ok_or_else(|| SourceError::BadSums {
                    path: path.clone(),
                    line: index + 1,
                })?;
            sums.insert(name.to_owned(), digest);
        }
        Ok(sums)
    }

    fn hash(&self, name: &str) -> Result<Digest, SourceError> {
        let path = self.folder.join(name);
        let failed = |source| SourceError::Folder {
            path: path.clone(),
            source,
        };
        let mut file = File::open(&path).map_err(failed)?;
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => return Ok(Digest::from_bytes(hasher.finalize().into())),
                read => hasher.update(&buffer[..read]),
            }
        }
    }
}

/// The tag in a file such as `nightly-tag.txt`; `None` when there is no such file.
fn named_tag(path: &Utf8Path) -> Result<Option<Tag>, SourceError> {
    match std::fs::read_to_string(path) {
        Ok(text) => super::github::tag_in(&text, path.as_str()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SourceError::Folder {
            path: path.to_owned(),
            source,
        }),
    }
}
