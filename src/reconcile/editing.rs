//! Files that people keep in git, replaced by edited ones: planned on before they are written, and
//! written only over what was read.
//!
//! What is edited, and how a text is, is left to [`mod@crate::manifest::edit`].

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::{LoadError, Loaded, Parts, read_texts};
use crate::desired::resolve::{Resolved, Terms, lockable};
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

impl Loaded {
    /// The root with these texts in place of its manifest and config files.
    ///
    /// # Errors
    /// The texts have mistakes, or something else of the root cannot be read.
    pub fn of(root: &Root, texts: &Texts) -> Result<Self, LoadError> {
        Self::of_inputs(root, texts, durable::read_text(&root.lock()))
    }

    /// The root with these texts and this lock in place of those that lie there.
    ///
    /// # Errors
    /// The texts have mistakes, or something else of the root cannot be read.
    pub fn of_inputs(
        root: &Root,
        texts: &Texts,
        lock: Result<Option<String>, FileError>,
    ) -> Result<Self, LoadError> {
        let manifest = Manifest::parse(texts).map_err(LoadError::from);
        Parts::beside(root, manifest, lock).whole(root)
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

    /// Resolves what was written against a lock that covers it for other machines as well: an installed
    /// build needs no list of its archives here, and they do. What the source does not say is left out. With
    /// it comes whether the source was out of reach.
    pub async fn resolve_covered(&self, source: &AnySource, terms: Terms) -> (Resolved, bool) {
        let (resolved, answers) = self.resolve(source, terms).await;
        let mut covered = self.clone();
        covered.lock = resolved.lock.clone();
        if !terms.offline && !answers.unreachable() {
            for tag in self.released(&resolved) {
                if covered.lock.assets.contains_key(&tag) {
                    continue;
                }
                if let Ok(Answer::Assets(release)) = source.answer(&Question::Assets(tag)).await {
                    let assets = lockable(&release.assets, &[]);
                    covered.lock.assets.insert(tag, assets);
                    if release.uploading {
                        covered.lock.uploading.insert(tag);
                    }
                }
            }
        }
        if covered.lock == resolved.lock {
            return (resolved, answers.unreachable());
        }
        let (resolved, answers) = covered.resolve(source, terms).await;
        (resolved, answers.unreachable())
    }

    /// The builds of llama.cpp that instances are pinned to.
    fn released(&self, resolved: &Resolved) -> BTreeSet<Tag> {
        let is_release = |pin: Option<&Pin>| pin.is_some_and(|pin| pin.source_url.is_none());
        let instances = self.manifest.instances.iter();
        let pinned = instances.filter(|(_, instance)| is_release(instance.binary.as_ref()));
        let tags = pinned.filter_map(|(name, _)| match resolved.desired.instances.get(name) {
            Some(WantedInstance::Resolved(wanted)) => wanted.launch.build.tag(),
            Some(WantedInstance::Unresolved(_)) | None => None,
        });
        tags.collect()
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

/// Replaces files, each by one rename, once all that was planned on is seen to be as it was read: those
/// files, every other one of the manifest, and the lock. A crash in between leaves each file as it was or
/// as it is to be, and the rest to whoever runs the verb again.
///
/// # Errors
/// [`FileError::Changed`] where somebody else has changed one of them: then none is written.
pub fn replace(
    loaded: &Loaded,
    before: &Texts,
    edits: &[FileEdit<'_>],
    is_new: bool,
) -> Result<(), FileError> {
    let root = &loaded.root;
    let now = match read_texts(root) {
        Err(LoadError::NoManifest(_)) if is_new => None,
        Ok(texts) if !is_new => Some(texts),
        Ok(_) | Err(_) => {
            let path = root.manifest();
            return Err(FileError::Changed { path });
        }
    };
    if let Some(changed) = now.and_then(|now| difference(before, &now)) {
        let path = root.path().join(changed);
        return Err(FileError::Changed { path });
    }
    loaded.check_lock()?;
    let paths: Vec<Utf8PathBuf> = edits
        .iter()
        .map(|edit| written_at(root.path().join(edit.name)))
        .collect::<Result<_, _>>()?;
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

/// The first file that two readings differ in, by its path in the root.
pub(crate) fn difference(before: &Texts, now: &Texts) -> Option<String> {
    if before.manifest != now.manifest {
        return Some(before.manifest.name.clone());
    }
    let mut names = before.configs.keys().chain(now.configs.keys());
    let changed = names.find(|name| before.configs.get(name) != now.configs.get(name))?;
    let text = before.configs.get(changed).or(now.configs.get(changed))?;
    Some(text.name.clone())
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
