//! `bins/.cache`: archives that are on their way, each under the digest it has to have, so that
//! whatever was received once is not fetched again.
//!
//! `<sha256>.partial` holds the bytes and is locked by the one who receives them; `<sha256>.json`
//! says what the rest has to come from. A file that a person puts here under an archive's own name
//! is read in place of a download. What the bytes are worth is for the digest to say.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::InstallError;
use crate::durable::{self, FileError, FileLock};
use crate::release::Digest;
use crate::release::source::{Resume, Validator};

/// How often a partial that somebody else receives is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// How long bytes nobody came back for are kept.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// The number in `schema` of a note.
const SCHEMA: u32 = 1;

/// What is known of a partial's origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    schema: u32,
    /// The archive's file name, for people.
    name: String,
    /// What the rest is recognised by; without it there is nothing to go on from.
    validator: Option<Validator>,
    /// Bytes of the whole archive, where the source said so.
    total: Option<u64>,
    /// What it hashed to, for one that nobody had said that of: its bytes lie under that now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hashed: Option<Digest>,
}

/// The bytes of one archive that have come so far. Locked: nobody else receives it.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: Utf8PathBuf,
    note: Option<Note>,
    is_gone: bool,
}

/// An archive that was not received to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The file with its bytes.
    pub path: Utf8PathBuf,
    /// The archive's file name, where it is known.
    pub name: Option<String>,
    /// Bytes that have come.
    pub bytes: u64,
    /// Whether somebody receives it right now.
    pub busy: bool,
}

impl Unfinished {
    /// What its archive has to hash to.
    fn digest(&self) -> Option<Digest> {
        self.path.file_stem()?.parse().ok()
    }

    /// Whether it is what has come of the archive with this digest.
    pub(super) fn is_of(&self, digest: Digest) -> bool {
        self.digest() == Some(digest)
    }
}

/// The folder of everything that is on its way.
pub(super) fn folder(bins: &Utf8Path) -> Utf8PathBuf {
    bins.join(".cache")
}

/// Where a person may put an archive to have it read in place of a download.
pub(super) fn place(bins: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    // The name may come from a lock file somebody edited.
    (Utf8Path::new(name).file_name() == Some(name)).then(|| folder(bins).join(name))
}

fn note_of(partial: &Utf8Path) -> Utf8PathBuf {
    partial.with_extension("json")
}

impl Partial {
    /// Opens the partial of an archive and waits until nobody else receives it; `waiting` is called
    /// once when that is so.
    pub(super) async fn enter(
        bins: &Utf8Path,
        digest: Digest,
        waiting: impl Fn(),
    ) -> Result<Self, InstallError> {
        durable::create_folder(&folder(bins))?;
        let path = partial_of(bins, digest);
        let mut told = false;
        loop {
            if let Some(partial) = Self::try_enter(&path)? {
                return Ok(partial);
            }
            if !told {
                waiting();
                told = true;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn try_enter(path: &Utf8Path) -> Result<Option<Self>, FileError> {
        let failed = |source| FileError::Write {
            path: path.to_owned(),
            source,
        };
        let Some(lock) = FileLock::try_take(path)? else {
            return Ok(None);
        };
        let file = lock.into_file();
        // Whoever had it before may have finished and removed it meanwhile.
        if !super::system::is_at(&file, path).map_err(failed)? {
            return Ok(None);
        }
        // Its own note is worth nothing when it cannot be read: then the bytes are not either.
        let note = durable::read_json(&note_of(path), SCHEMA).ok().flatten();
        Ok(Some(Self {
            file,
            path: path.to_owned(),
            note,
            is_gone: false,
        }))
    }

    pub(super) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Bytes that are there.
    pub(super) fn length(&self) -> Result<u64, InstallError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|source| self.failed(source))?.len())
    }

    /// Whether every byte is there, by the size the archive has to have or was said to have.
    pub(super) fn is_complete(&self, size: Option<u64>) -> Result<bool, InstallError> {
        let total = size.or_else(|| self.note.as_ref()?.total);
        Ok(total == Some(self.length()?))
    }

    /// From where on the rest is wanted; `None` when it has to be the whole.
    pub(super) fn resume(&self, size: Option<u64>) -> Result<Option<Resume>, InstallError> {
        let from = self.length()?;
        let fits = from > 0 && size.is_none_or(|size| from < size);
        let validator = self.note.as_ref().and_then(|note| note.validator.clone());
        Ok(validator
            .filter(|_| fits)
            .map(|validator| Resume { from, validator }))
    }

    /// Notes what the bytes from now on come from. Before the first of them is written: bytes
    /// without a note are never gone on from.
    pub(super) fn note(
        &mut self,
        name: &str,
        validator: Option<Validator>,
        total: Option<u64>,
    ) -> Result<(), InstallError> {
        let note = Note {
            schema: SCHEMA,
            name: name.to_owned(),
            validator,
            total,
            hashed: None,
        };
        if self.note.as_ref() != Some(&note) {
            durable::write_json(&note_of(&self.path), &note)?;
            self.note = Some(note);
        }
        Ok(())
    }

    /// Throws the bytes away and begins anew.
    pub(super) fn clear(&mut self) -> Result<(), InstallError> {
        self.note = None;
        super::staging::remove(&note_of(&self.path)).map_err(|source| self.failed(source))?;
        self.file.set_len(0).map_err(|source| self.failed(source))
    }

    /// The file at its first byte, to be read and then written on. The lock lasts as long as this
    /// does, whoever gives up meanwhile.
    pub(super) fn handle(&self) -> Result<File, InstallError> {
        let cloned = self.file.try_clone().and_then(|mut file| {
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        });
        cloned.map_err(|source| self.failed(source))
    }

    /// Removes it: what it was for is done, or it is of no use to anybody.
    pub(super) fn remove(mut self) -> Result<(), InstallError> {
        self.is_gone = true;
        remove(&self.path).map_err(|source| self.failed(source))
    }

    /// Calls it by the digest its bytes turned out to have, in place of what lies there, and leaves
    /// a note that says so.
    pub(super) fn rename(
        mut self,
        mut there: Self,
        name: &str,
        digest: Digest,
    ) -> Result<(), InstallError> {
        let total = self.length()?;
        if there.is_complete(Some(total))? {
            there.note(name, None, Some(total))?;
            super::staging::remove(&self.path).map_err(|source| self.failed(source))?;
        } else {
            there.note(name, None, Some(total))?;
            there.is_gone = true;
            std::fs::rename(&self.path, &there.path).map_err(|source| self.failed(source))?;
        }
        self.is_gone = true;
        let note = Note {
            schema: SCHEMA,
            name: name.to_owned(),
            validator: None,
            total: Some(total),
            hashed: Some(digest),
        };
        Ok(durable::write_json(&note_of(&self.path), &note)?)
    }

    fn failed(&self, source: io::Error) -> InstallError {
        InstallError::write(&self.path, source)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let is_empty = || {
            self.file
                .metadata()
                .is_ok_and(|metadata| metadata.len() == 0)
        };
        if !self.is_gone && is_empty() {
            // Nothing came. An empty file that stays is used by the next attempt.
            let _ = remove(&self.path);
        }
    }
}

/// The note goes first: bytes without one are thrown away by whoever finds them.
fn remove(partial: &Utf8Path) -> io::Result<()> {
    super::staging::remove(&note_of(partial))?;
    super::staging::remove(partial)
}

/// What has come of archives and waits for the rest, sorted by path.
pub fn unfinished(bins: &Utf8Path) -> Result<Vec<Unfinished>, InstallError> {
    let mut found = partials(bins)?;
    // One that is empty was opened by somebody who was killed before anything came.
    found.retain(|one| one.bytes > 0);
    Ok(found)
}

fn partials(bins: &Utf8Path) -> Result<Vec<Unfinished>, InstallError> {
    let mut found = Vec::new();
    for path in paths(bins, "partial")? {
        let path = path.as_path();
        // One that has just been finished is gone.
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        let note: Option<Note> = durable::read_json(&note_of(path), SCHEMA).ok().flatten();
        found.push(Unfinished {
            path: path.to_owned(),
            name: note.map(|note| note.name),
            bytes: metadata.len(),
            busy: durable::is_locked(path).unwrap_or(true),
        });
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Removes an unfinished archive unless somebody receives it right now. `false` when somebody does.
pub fn clear(unfinished: &Unfinished) -> Result<bool, InstallError> {
    match Partial::try_enter(&unfinished.path)? {
        Some(partial) => partial.remove().map(|()| true),
        None => Ok(false),
    }
}

/// Removes what an install has left that was killed after its last step, what cannot be gone on
/// from, and what nobody came back for in 30 days.
pub(super) fn tidy(
    bins: &Utf8Path,
    is_installed: impl Fn(Digest) -> bool,
) -> Result<(), InstallError> {
    for one in partials(bins)? {
        let note: Option<Note> = durable::read_json(&note_of(&one.path), SCHEMA)
            .ok()
            .flatten();
        // Whole, it needs nothing to go on with.
        let is_lost =
            note.is_none_or(|note| note.validator.is_none() && note.total != Some(one.bytes));
        let digest = one.digest();
        let age = one
            .path
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|modified| modified.elapsed().ok());
        if is_lost || digest.is_some_and(&is_installed) || age.is_some_and(|age| age > KEPT) {
            clear(&one)?;
        }
    }
    for note in notes(bins)? {
        let hashed = hashed(&note);
        if hashed.is_some_and(|digest| !partial_of(bins, digest).exists()) {
            super::staging::remove(&note).map_err(|source| InstallError::write(&note, source))?;
        }
    }
    Ok(())
}

/// The notes of archives nobody had said the digest of.
fn notes(bins: &Utf8Path) -> Result<Vec<Utf8PathBuf>, InstallError> {
    let mut notes = paths(bins, "json")?;
    notes.retain(|path| !path.with_extension("partial").exists());
    Ok(notes)
}

/// The files of the cache with this extension.
fn paths(bins: &Utf8Path, extension: &str) -> Result<Vec<Utf8PathBuf>, InstallError> {
    let folder = folder(bins);
    let failed = |source| FileError::Read {
        path: folder.clone(),
        source,
    };
    let entries = match folder.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error).into()),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.into_path();
        if path.extension() == Some(extension) {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn hashed(note: &Utf8Path) -> Option<Digest> {
    let note: Option<Note> = durable::read_json(note, SCHEMA).ok().flatten();
    note?.hashed
}

/// What the archive of this place turned out to hash to, if its bytes are here still.
pub(super) fn fetched(bins: &Utf8Path, place: Digest) -> Option<Digest> {
    let digest = hashed(&note_of(&partial_of(bins, place)))?;
    let partial = partial_of(bins, digest);
    let note: Note = durable::read_json(&note_of(&partial), SCHEMA).ok()??;
    let length = partial.metadata().ok()?.len();
    (note.total == Some(length)).then_some(digest)
}

fn partial_of(bins: &Utf8Path, digest: Digest) -> Utf8PathBuf {
    folder(bins).join(format!("{digest}.partial"))
}
