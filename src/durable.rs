//! The only writer of our own files: write to a temporary file beside, flush, rename, flush the
//! folder; and the locks by which processes keep out of each other's way.
//!
//! What stands in the files is their modules' business. Locks are held on files that are never
//! renamed, and the kernel drops them with the last descriptor, whoever dies. How a system does that,
//! and what else of files each has its own calls for, is in `os`.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one writer of our files"
)]

#[cfg_attr(unix, path = "durable/unix.rs")]
#[cfg_attr(windows, path = "durable/windows.rs")]
mod os;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kill_point;

pub use os::sync_folder;
pub(crate) use os::{
    Place, canonical, closed_to_others, create_closed_folder, open_to_all, place, place_of,
};

/// Why one of our files could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Reading failed for a reason other than absence.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing failed; the file is as it was before.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is not what this program writes. Never taken for empty.
    #[error("`{path}` is damaged: {why}")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is not what was read, and decided on, any more. Nothing was written.
    #[error("`{path}` was changed by someone else meanwhile")]
    Changed {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The file was written by a later version of this program.
    #[error("`{path}` has schema {found}, and this version knows {known} at most")]
    Newer {
        /// The file.
        path: Utf8PathBuf,
        /// The schema it has.
        found: u64,
        /// The newest one known here.
        known: u32,
    },
}

impl FileError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::Write { .. } => None,
            Self::Changed { .. } => Some("nothing was written by this; run it again".to_owned()),
            Self::Damaged { path, .. } => Some(format!(
                "restore `{path}` from a backup, or move it aside and run `llama-orch plan` to see what that means"
            )),
            Self::Newer { .. } => {
                Some("use the newer llama-orch that wrote it; nothing was changed".to_owned())
            }
        }
    }
}

/// Reads a text; `None` when there is no such file.
pub fn read_text(path: &Utf8Path) -> Result<Option<String>, FileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(FileError::Damaged {
            path: path.to_owned(),
            why: "it is not UTF-8 text".to_owned(),
        }),
        Err(source) => Err(FileError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads one of our JSON files with an integer `schema`; `None` when there is no such file.
///
/// # Errors
/// A newer schema and a damaged file are told apart, and neither is ever taken for absence.
pub fn read_json<T: DeserializeOwned>(path: &Utf8Path, known: u32) -> Result<Option<T>, FileError> {
    match read_text(path)? {
        Some(text) => parse_json(&text, path, known).map(Some),
        None => Ok(None),
    }
}

/// Reads the text of one of our JSON files with an integer `schema`. The path is for messages.
///
/// # Errors
/// A newer schema and a damaged text are told apart.
pub fn parse_json<T: DeserializeOwned>(
    text: &str,
    path: &Utf8Path,
    known: u32,
) -> Result<T, FileError> {
    /// Only the part that says whether the rest can be understood.
    #[derive(serde::Deserialize)]
    struct Head {
        schema: u64,
    }
    let damaged = |error: serde_json::Error| FileError::Damaged {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let head: Head = serde_json::from_str(text).map_err(damaged)?;
    if head.schema > u64::from(known) {
        return Err(FileError::Newer {
            path: path.to_owned(),
            found: head.schema,
            known,
        });
    }
    serde_json::from_str(text).map_err(damaged)
}

/// Writes a value as indented JSON. See [`write()`].
pub fn write_json<T: Serialize>(path: &Utf8Path, value: &T) -> Result<(), FileError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| FileError::Write {
        path: path.to_owned(),
        source: error.into(),
    })?;
    text.push('\n');
    write(path, text.as_bytes())
}

/// Creates a folder and those above it, unless it is there.
pub fn create_folder(path: &Utf8Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Creates a folder with the mode of another one, unless it is there.
pub fn create_folder_like(path: &Utf8Path, like: &Utf8Path) -> Result<(), FileError> {
    let create = || {
        if path.is_dir() {
            return Ok(());
        }
        let permissions = std::fs::metadata(like)?.permissions();
        create_closed_folder(path)?;
        std::fs::set_permissions(path, permissions)
    };
    create().map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Replaces a file by new content, so that after a crash either the old or the new one is there.
/// A folder that is missing stays so: whoever still writes into a root that was moved or removed
/// must not bring it back.
pub fn write(path: &Utf8Path, content: &[u8]) -> Result<(), FileError> {
    // A new file has the mode the umask leaves; one that is there keeps what a person gave it.
    let permissions = std::fs::metadata(path)
        .map(|there| there.permissions())
        .ok();
    put(path, content, permissions, |new, path| {
        std::fs::rename(new, path)
    })
    .map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that is not there yet; with the mode of another one, where that is named.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], where something lies there by then: it stays as it is.
pub fn write_new(
    path: &Utf8Path,
    content: &[u8],
    like: Option<&Utf8Path>,
) -> Result<(), FileError> {
    let write = || {
        let like = like.map(std::fs::metadata).transpose()?;
        let permissions = like.map(|like| like.permissions());
        put(path, content, permissions, os::rename_new)
    };
    write().map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}

fn put(
    path: &Utf8Path,
    content: &[u8],
    permissions: Option<Permissions>,
    rename: impl FnOnce(&Utf8Path, &Utf8Path) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Utf8Path::new("."));
    let temporary = beside(path);
    let file = os::open_temporary(&temporary)?;
    let filled = fill(&file, permissions, content).and_then(|()| {
        kill_point::reached("durable.filled");
        rename(&temporary, path)
    });
    if filled.is_err() {
        // Whatever is left is written over by the next attempt.
        let _ = std::fs::remove_file(&temporary);
    }
    filled?;
    kill_point::reached("durable.renamed");
    sync_folder(folder)
}

/// Removes a file, for good.
///
/// # Errors
/// It cannot be removed. One that is not there is none.
pub fn remove(path: &Utf8Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Utf8Path::new("."));
    let removed = match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    removed
        .and_then(|()| sync_folder(folder))
        .map_err(|source| FileError::Write {
            path: path.to_owned(),
            source,
        })
}

/// Removes what a write of this file left beside it when it was cut off.
pub(crate) fn remove_unfinished(path: &Utf8Path) -> io::Result<()> {
    let temporary = beside(path);
    match std::fs::remove_file(&temporary) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Where the new content of a file is written first.
fn beside(path: &Utf8Path) -> Utf8PathBuf {
    path.with_file_name(format!(".new-{}", path.file_name().unwrap_or("file")))
}

fn fill(mut file: &File, permissions: Option<Permissions>, content: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// Bytes of a file; 0 where there is none.
pub(crate) fn size(path: &Utf8Path) -> Result<u64, FileError> {
    match std::fs::metadata(path) {
        Ok(there) => Ok(there.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(FileError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Gives one of our files another name, in place of whatever has that; `false` where there is no such file.
pub(crate) fn rename(from: &Utf8Path, to: &Utf8Path) -> Result<bool, FileError> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(FileError::Write {
            path: to.to_owned(),
            source,
        }),
    }
}

/// Appends one line to a file, in one write, and flushes it.
pub fn append_line(path: &Utf8Path, line: &str) -> Result<(), FileError> {
    let append = || {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)?;
        // A line that a crash has torn is ended first, so that it costs no other one.
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        let gap = if last == [b'\n'] { "" } else { "\n" };
        file.write_all(format!("{gap}{line}\n").as_bytes())?;
        file.sync_data()
    };
    append().map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// An exclusive lock, held until it is dropped and, where the descriptor was inherited, until the
/// last process that has it ends.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Tries once. `None` when someone else holds it. The file is created, its folder is not.
    pub fn try_take(path: &Utf8Path) -> Result<Option<Self>, FileError> {
        Self::try_with(path, Hold::Alone)
    }

    /// Tries once to hold the lock together with others who share it. `None` when someone holds it
    /// alone.
    pub fn try_share(path: &Utf8Path) -> Result<Option<Self>, FileError> {
        Self::try_with(path, Hold::Shared)
    }

    fn try_with(path: &Utf8Path, hold: Hold) -> Result<Option<Self>, FileError> {
        let opened = os::open_held(path, hold).map_err(|source| FileError::Write {
            path: path.to_owned(),
            source,
        })?;
        Ok(opened.map(|file| Self { file }))
    }

    /// Tries again and again until `patience` is over. `None` when someone else still holds it.
    ///
    /// A look at a lock by [`is_locked`] holds it for an instant, so whoever really wants it asks
    /// with some patience.
    pub fn take_within(path: &Utf8Path, patience: Duration) -> Result<Option<Self>, FileError> {
        let began = Instant::now();
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(Some(lock));
            }
            if began.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The open file, to write the holder's name into or to hand on to a child.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The open file, which keeps the lock as long as it or a clone of it is open.
    pub fn into_file(self) -> File {
        self.file
    }
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// By nobody else.
    Alone,
    /// Together with others who share it.
    Shared,
}

/// Whether someone holds the lock. A file that is not there is not locked.
pub fn is_locked(path: &Utf8Path) -> Result<bool, FileError> {
    match os::is_held(path) {
        Ok(held) => Ok(held),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(FileError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
