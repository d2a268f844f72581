//! Files that people keep in git, replaced by edited ones: planned on before they are written, and
//! written only over what was read.
//!
//! What is edited, and how a text is, is left to [`mod@crate::manifest::edit`].

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::{LoadError, Loaded, Parts};
use crate::desired::resolve::{Resolved, lockable};
use crate::desired::{Answer, Question, WantedInstance};
use crate::durable::{self, FileError};
use crate::kill_point;
use crate::manifest::{Manifest, Mistakes, Pin, SourceText, Texts};
use crate::release::Tag;
use crate::release::source::{AnySource, ReleaseSource as _};
use crate::root::{self, Root};

/// One file that is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEdit<'a> {
    /// Its path, relative to the root.
    pub name: &'a str,
    /// What it says; `None` where it is not there yet.
    pub before: Option<&'a str>,
    /// What it is to say.
    pub after: &'a str,
}

/// Why files were not replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// It is not what was read, and planned on, any more.
    #[error("`{0}` was changed by someone else meanwhile")]
    Changed(String),
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl ReplaceError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Changed(_) => Some("nothing was changed by this; run it again".to_owned()),
            Self::File(error) => error.hint(),
        }
    }
}

impl Loaded {
    /// The root with these texts in place of its manifest and config files.
    ///
    /// # Errors
    /// The texts have mistakes, or something else of the root cannot be read.
    pub fn of(root: &Root, texts: &Texts) -> Result<Self, LoadError> {
        let manifest = Manifest::parse(texts).map_err(LoadError::from);
        Parts::beside(root, manifest).whole(root)
    }

    /// The same root as if its files said something else.
    ///
    /// # Errors
    /// The texts have mistakes.
    pub fn with_texts(&self, texts: &Texts) -> Result<Self, Mistakes> {
        Ok(Self {
            manifest: Manifest::parse(texts)?,
            ..self.clone()
        })
    }
}

impl Loaded {
    /// Adds to a lock that is to be written what it lacks of releases that are wanted: an installed
    /// build needs no list of its archives here, and other machines do. What the source does not say is
    /// left out.
    pub async fn cover(&self, source: &AnySource, resolved: &mut Resolved) {
        let is_release = |pin: Option<&Pin>| pin.is_some_and(|pin| pin.source_url.is_none());
        let instances = self.manifest.instances.iter();
        let pinned = instances.filter(|(_, instance)| is_release(instance.binary.as_ref()));
        let tags = pinned.filter_map(|(name, _)| match resolved.desired.instances.get(name) {
            Some(WantedInstance::Resolved(wanted)) => wanted.launch.build.tag(),
            Some(WantedInstance::Unresolved(_)) | None => None,
        });
        let tags: BTreeSet<Tag> = tags.collect();
        for tag in tags {
            if resolved.lock.assets.contains_key(&tag) {
                continue;
            }
            if let Ok(Answer::Assets(release)) = source.answer(&Question::Assets(tag)).await {
                let assets = lockable(&release.assets, &[]);
                resolved.lock.assets.insert(tag, assets);
                if release.uploading {
                    resolved.lock.uploading.insert(tag);
                }
            }
        }
    }
}

/// The files that differ. What was never read is not there yet: `is_new` says so of the manifest.
pub fn edits<'a>(before: &'a Texts, after: &'a Texts, is_new: bool) -> Vec<FileEdit<'a>> {
    let manifest = FileEdit {
        name: &after.manifest.name,
        before: (!is_new).then_some(before.manifest.text.as_str()),
        after: &after.manifest.text,
    };
    let configs = after.configs.iter().map(|(name, text)| FileEdit {
        name: &text.name,
        before: before.configs.get(name).map(|text| text.text.as_str()),
        after: &text.text,
    });
    std::iter::once(manifest)
        .chain(configs)
        .filter(|edit| edit.before != Some(edit.after))
        .collect()
}

/// Replaces files, each by one rename, once all of them are seen to be as they were read. A crash in
/// between leaves each file as it was or as it is to be, and the rest to whoever runs the verb again.
///
/// # Errors
/// Somebody else has changed one of them: then none is written.
pub fn replace(root: &Root, edits: &[FileEdit<'_>]) -> Result<(), ReplaceError> {
    let mut paths = Vec::new();
    for edit in edits {
        let path = root.path().join(edit.name);
        let now = durable::read_text(&path)?;
        if now.as_deref() != edit.before {
            return Err(ReplaceError::Changed(edit.name.to_owned()));
        }
        paths.push(written_at(path)?);
    }
    // Settings first: a manifest that names an instance finds them.
    for (edit, path) in edits.iter().zip(&paths).rev() {
        if let Some(folder) = path.parent() {
            durable::create_folder(folder)?;
        }
        durable::write(path, edit.after.as_bytes())?;
        kill_point::reached("edit.written");
    }
    Ok(())
}

/// Where a file lies: a link stays a link, and what it leads to is replaced.
fn written_at(path: Utf8PathBuf) -> Result<Utf8PathBuf, FileError> {
    if !path.exists() {
        return Ok(path);
    }
    durable::canonical(&path).map_err(|source| FileError::Read { path, source })
}

/// The texts of a root that has no manifest yet, for one that is to be written.
pub fn new_texts(manifest: &str) -> Texts {
    Texts {
        manifest: SourceText::new(root::MANIFEST, manifest),
        ..Texts::default()
    }
}
