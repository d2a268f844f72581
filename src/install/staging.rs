//! `bins/.staging`: where an install is half done, and the locks that keep installs apart.
//!
//! `lock` is shared by everyone who installs and taken alone by whoever sweeps; `<digest>.lock` is
//! held by the one who installs that archive. Lock files are removed by the sweep alone, so nobody
//! ever holds one that another process cannot see.

use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::{InstallError, STAGING};
use crate::durable::{self, FileError, FileLock};
use crate::instance::BinaryId;
use crate::release::Digest;

/// How often a lock that somebody else holds is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// How long a sweep waits to be alone: a process that is being started holds our locks for the
/// instant before it executes its program.
const ALONE: Duration = Duration::from_millis(200);

/// One install's folder. It goes away with this value, whatever came of the install.
#[derive(Debug)]
pub(super) struct Staging {
    bins: Utf8PathBuf,
    folder: Utf8PathBuf,
    locks: Option<(FileLock, FileLock)>,
}

pub(super) fn folder(bins: &Utf8Path) -> Utf8PathBuf {
    bins.join(STAGING)
}

fn gate(bins: &Utf8Path) -> Utf8PathBuf {
    folder(bins).join("lock")
}

/// Whether somebody installs this archive right now.
pub fn is_being_installed(bins: &Utf8Path, digest: Digest) -> Result<bool, FileError> {
    durable::is_locked(&folder(bins).join(format!("{digest}.lock")))
}

impl Staging {
    /// Waits until nobody else installs this archive; `waiting` is called once when that is so.
    pub(super) async fn enter(
        bins: &Utf8Path,
        digest: Digest,
        waiting: impl Fn(),
    ) -> Result<Self, InstallError> {
        durable::create_folder(&folder(bins))?;
        let shared = loop {
            match FileLock::try_share(&gate(bins))? {
                Some(lock) => break lock,
                None => tokio::time::sleep(AGAIN).await,
            }
        };
        let own = folder(bins).join(format!("{digest}.lock"));
        let mut told = false;
        let own = loop {
            if let Some(lock) = FileLock::try_take(&own)? {
                break lock;
            }
            if !told {
                waiting();
                told = true;
            }
            tokio::time::sleep(AGAIN).await;
        };
        Self::begin(bins, digest, (own, shared))
    }

    /// Waits as [`enter`](Self::enter) does, without a runtime.
    pub(super) fn enter_now(bins: &Utf8Path, digest: Digest) -> Result<Self, InstallError> {
        durable::create_folder(&folder(bins))?;
        let until = |try_once: &dyn Fn() -> Result<Option<FileLock>, FileError>| loop {
            match try_once() {
                Ok(None) => std::thread::sleep(AGAIN),
                Ok(Some(lock)) => return Ok(lock),
                Err(error) => return Err(error),
            }
        };
        let shared = until(&|| FileLock::try_share(&gate(bins)))?;
        let own = folder(bins).join(format!("{digest}.lock"));
        let own = until(&|| FileLock::try_take(&own))?;
        Self::begin(bins, digest, (own, shared))
    }

    fn begin(
        bins: &Utf8Path,
        digest: Digest,
        locks: (FileLock, FileLock),
    ) -> Result<Self, InstallError> {
        let path = folder(bins).join(digest.to_string());
        let failed = |source| FileError::Write {
            path: path.clone(),
            source,
        };
        remove(&path).map_err(failed)?;
        std::fs::create_dir(&path).map_err(failed)?;
        Ok(Self {
            bins: bins.to_owned(),
            folder: path.clone(),
            locks: Some(locks),
        })
    }

    /// A path inside, for the archive of this number.
    pub(super) fn part(&self, number: usize) -> Utf8PathBuf {
        self.folder.join(number.to_string())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next install or `recover`.
        let _ = remove(&self.folder);
        drop(self.locks.take());
        let _ = sweep(&self.bins);
    }
}

/// Holds everybody else off while a folder is moved about, and removes what they left behind.
/// `None` when somebody installs right now.
pub(super) fn sweep(bins: &Utf8Path) -> Result<Option<Swept>, FileError> {
    let folder = folder(bins);
    if !folder.exists() {
        return Ok(Some(Swept {
            _alone: None,
            removed: 0,
        }));
    }
    let Some(alone) = FileLock::take_within(&gate(bins), ALONE)? else {
        return Ok(None);
    };
    let failed = |source| FileError::Read {
        path: folder.clone(),
        source,
    };
    let mut removed = 0;
    for entry in folder.read_dir_utf8().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() == "lock" {
            continue;
        }
        let path = entry.path();
        removed += usize::from(path.is_dir());
        remove(path).map_err(|source| FileError::Write {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(Some(Swept {
        _alone: Some(alone),
        removed,
    }))
}

/// Nobody installs while this is held.
#[derive(Debug)]
pub(super) struct Swept {
    _alone: Option<FileLock>,
    /// Folders of half-done installs that were removed.
    pub(super) removed: usize,
}

/// Takes a build's folder out of sight, by one rename; the next sweep removes it.
pub(super) fn discard(bins: &Utf8Path, build: &Utf8Path, id: BinaryId) -> Result<(), FileError> {
    let failed = |source| FileError::Write {
        path: build.to_owned(),
        source,
    };
    let trash = folder(bins);
    std::fs::create_dir_all(&trash).map_err(failed)?;
    let trash = trash.join(format!("removed-{id}"));
    remove(&trash).map_err(failed)?;
    match std::fs::rename(build, &trash) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(()) => crate::durable::sync_folder(bins).map_err(failed),
    }
}

/// Removes a file or a folder with all that is in it, if it is there.
pub(super) fn remove(path: &Utf8Path) -> io::Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
