//! Installing a build: receive, verify, check, commit. Each stage consumes the one before.
//!
//! One pass over the bytes of a `.tar.gz`: read, hash, inflate and write at once, into a staging
//! folder beside the final place. Nothing is run or linked to before the archive's digest is known
//! to be right, and nothing is visible before one rename. Which archive it has to be was decided
//! before; whether to try again after a failure is decided by whoever called.
//!
//! # One life of an archive
//!
//! `<sha256>.partial` in `bins/.cache` is locked by the one who receives it. The runtime reads the
//! network; one thread hashes, keeps what comes in the partial and hands it on; another inflates and
//! writes into `bins/.staging/<sha256>/`, hashing each file. Bounded channels join them. A connection
//! that breaks is opened again by Range and If-Range from where it broke off; whatever a server makes
//! of that comes back as one stream that says where it begins, and anything but the very next byte of
//! the very same file is one clean beginning more, three at most. After a crash the partial is read
//! back through the same two threads, so nothing is fetched twice and everything is hashed again. A
//! wrong digest removes the partial. Only then links are made, a zip is unpacked (from the partial),
//! the companions are laid beside the server, the tree is checked and the server is asked for its
//! version; then `syncfs`, one rename, and the registry.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "writes what archives contain; our own files are written by `durable`"
)]

mod archive;
mod build;
pub mod cache;
mod check;
mod damage;
mod download;
mod error;
mod fetch;
mod files;
mod place;
mod present;
mod receive;
mod recover;
mod register;
mod share;
mod staging;
mod system;
mod tree;
mod verify;
mod writeback;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use camino::Utf8Path;

pub use archive::ArchiveError;
pub use check::CheckError;
pub(crate) use check::{AskError, Asking, Shortfall, build_number, is_of_cuda};
pub use damage::{damage, note_damage, reference};
pub use download::Pause;
pub use error::InstallError;
pub use fetch::{FetchRequest, fetch_unverified};
pub use files::{FileNote, Files, LinkNote};
pub use recover::{Recovered, listed, recover, uninstall};
pub(crate) use register::contents;
pub use register::{RegisterError, RegisterRequest, register};
pub use staging::is_being_installed;
pub(crate) use system::free_bytes;
pub use verify::{Difference, OnBytes, Verification, verify};

use build::{Build, Origin};
use cache::Partial;
pub(crate) use files::LIST;
use futures_util::future::try_join_all;
use present::present;
use receive::{Reception, Verified};
use staging::Staging;
use tokio::sync::Semaphore;

use crate::desired::{ArchiveOrigin, WantedArchive, WantedBinary};
use crate::durable::{self, FileError};
use crate::kill_point;
use crate::registry::{Entry, Registry};
use crate::release::host::Host;
use crate::release::source::ReleaseSource;

/// The names of the server's program, here and on Windows.
const PROGRAMS: [&str; 2] = ["llama-server", "llama-server.exe"];

/// Our own note in a build's folder: its entry of the registry.
pub(crate) const METADATA: &str = ".llama-orch.json";

/// Where builds are put together, in the folder of all builds. A build that was installed again
/// leaves through it, also while a server still runs from it.
pub const STAGING: &str = ".staging";

/// What is to be installed, and where.
#[derive(Debug, Clone, Copy)]
pub struct InstallRequest<'a> {
    /// The build.
    pub binary: &'a WantedBinary,
    /// The folder of all builds.
    pub bins: &'a Utf8Path,
    /// This machine: a build for another one is not run.
    pub host: Option<&'a Host>,
    /// Whether the source is llama.cpp's own, whose builds must report the number of their tag.
    pub official: bool,
    /// How many archives may be received at once, by all who share it.
    pub slots: &'a Semaphore,
    /// Whether nobody but the archive itself said what it must hash to, which is written down.
    pub unverified: bool,
    /// Whether its id was made up for this install: where the same bits are here under another id,
    /// nobody needs them under this one as well.
    pub minted: bool,
}

/// What an install is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another process installs the same archive; it is waited for.
    Waiting,
    /// Bytes come in.
    Receiving {
        /// Bytes of all its archives so far.
        bytes: u64,
        /// Bytes of all its archives, where known.
        total: Option<u64>,
    },
    /// A connection broke, or the source asked to come again later.
    Pausing(Pause),
    /// Everything is there; it is being checked and made to last.
    Checking,
}

/// Whom an install tells what it is doing, some ten times a second.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// How a build came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was received and unpacked.
    Installed,
    /// It was there already.
    Present,
    /// The same bits were there under another id, which now answers to this one as well.
    Aliased,
}

/// An installed build.
#[derive(Debug, Clone, PartialEq)]
pub struct Installed {
    /// How it came to be there.
    pub outcome: Outcome,
    /// Its entry of the registry. Its id is another one than was asked for when it is an alias.
    pub entry: Entry,
    /// What a person should know, though nothing is wrong.
    pub remarks: Vec<String>,
}

/// Installs a build, or finds that it is there. Safe to repeat, and to run in several processes at
/// once: the second one waits, and then finds it done. Needs a runtime with timers.
///
/// # Errors
/// Whatever goes wrong, `bins/` is as it was before.
pub async fn install<S: ReleaseSource>(
    request: &InstallRequest<'_>,
    source: &S,
    progress: OnProgress<'_>,
) -> Result<Installed, InstallError> {
    let Some(digest) = request.binary.digest() else {
        return match present(request)? {
            Some(installed) => Ok(installed),
            None => Err(InstallError::NothingToFetch),
        };
    };
    if let Some(installed) = present(request)? {
        return Ok(installed);
    }
    build::check_companion(request.binary)?;
    ignore_in_git(request.bins)?;
    let staging =
        Arc::new(Staging::enter(request.bins, digest, || progress(Progress::Waiting)).await?);
    if let Some(installed) = present(request)? {
        return Ok(installed);
    }
    check_space(request)?;
    let verified = receive_all(request, source, &staging, progress).await?;
    kill_point::reached("install.verified");
    progress(Progress::Checking);
    let location = request
        .binary
        .archives
        .first()
        .map(|archive| source.location(archive));
    let location = location.unwrap_or_default();
    let (binary, bins) = (present::under_own_id(request)?, request.bins.to_owned());
    let (host, unverified) = (request.host.cloned(), request.unverified);
    let is_release = |archive: &WantedArchive| matches!(archive.origin, ArchiveOrigin::Release(_));
    let strict = request.official && binary.archives.first().is_some_and(is_release);
    let (verified, partials): (Vec<_>, Vec<_>) = verified.into_iter().unzip();
    let waited_for = WaitedFor::default();
    let given_up = Arc::clone(&waited_for.given_up);
    let done = blocking(move || {
        // The folder stays as long as somebody works in it, also when the caller gave up.
        let _held = staging;
        let build = Build::assemble(verified)?;
        kill_point::reached("install.unpacked");
        let mut checked = build.check(&binary, host.as_ref(), strict, &given_up)?;
        let remarks = std::mem::take(&mut checked.remarks);
        let origin = Origin {
            location,
            unverified,
        };
        if given_up.load(Ordering::Relaxed) {
            return Err(InstallError::GivenUp);
        }
        let entry = checked.commit(&binary, &bins, origin)?;
        for partial in partials.into_iter().flatten() {
            partial.remove()?;
        }
        Ok(Installed {
            outcome: Outcome::Installed,
            entry,
            remarks,
        })
    });
    let done = done.await;
    drop(waited_for);
    done
}

/// Says when it goes away that nobody waits for an install any more: what it still does on a thread
/// of its own is to end.
#[derive(Debug, Default)]
struct WaitedFor {
    given_up: Arc<AtomicBool>,
}

impl Drop for WaitedFor {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// Receives the archives of a build beside each other; a companion that lies in another build is
/// taken from there.
async fn receive_all<S: ReleaseSource>(
    request: &InstallRequest<'_>,
    source: &S,
    staging: &Arc<Staging>,
    progress: OnProgress<'_>,
) -> Result<Vec<(Verified, Option<Partial>)>, InstallError> {
    let archives = &request.binary.archives;
    let total = archives
        .iter()
        .try_fold(0, |sum: u64, archive| sum.checked_add(archive.size?));
    let counts: Vec<AtomicU64> = archives.iter().map(|_| AtomicU64::new(0)).collect();
    let on_pause = |pause| progress(Progress::Pausing(pause));
    let on_waiting = || progress(Progress::Waiting);
    let tell = |number: usize, bytes| {
        counts[number].store(bytes, Ordering::Relaxed);
        let bytes = counts.iter().map(|count| count.load(Ordering::Relaxed));
        progress(Progress::Receiving {
            bytes: bytes.sum(),
            total,
        });
    };
    let receiving = archives.iter().enumerate().map(|(number, archive)| {
        let tell = &tell;
        let (on_pause, on_waiting) = (&on_pause, &on_waiting);
        async move {
            if number > 0
                && let Some(verified) = shared(request, archive, number, staging).await?
            {
                tell(number, archive.size.unwrap_or_default());
                return Ok((verified, None));
            }
            // Before a slot is taken: whoever is waited for may need one.
            let partial = Partial::enter(request.bins, archive.digest, on_waiting).await?;
            // Whoever was waited for may have installed it.
            if number > 0
                && let Some(verified) = shared(request, archive, number, staging).await?
            {
                tell(number, archive.size.unwrap_or_default());
                return Ok((verified, Some(partial)));
            }
            let reception = Reception {
                source,
                bins: request.bins,
                slots: request.slots,
                on_bytes: &move |bytes| tell(number, bytes),
                on_pause,
            };
            let (verified, partial) = reception.receive(archive, number, staging, partial).await?;
            Ok((verified, Some(partial)))
        }
    });
    try_join_all(receiving).await
}

/// A companion as it lies in another build, if it lies in one.
async fn shared(
    request: &InstallRequest<'_>,
    archive: &WantedArchive,
    number: usize,
    staging: &Arc<Staging>,
) -> Result<Option<Verified>, InstallError> {
    let (bins, wanted) = (request.bins.to_owned(), archive.clone());
    let staging = Arc::clone(staging);
    let unpacked = blocking(move || {
        let registry = Registry::load(&bins)?;
        share::share(&bins, &registry, &wanted, &staging.part(number))
    })
    .await?;
    let archive = archive.clone();
    Ok(unpacked.map(|unpacked| Verified { archive, unpacked }))
}

/// Does something that takes its time without holding up the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, InstallError> + Send + 'static,
) -> Result<T, InstallError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => Err(InstallError::Stopped { source: stopped }),
    }
}

fn check_space(request: &InstallRequest<'_>) -> Result<(), InstallError> {
    let folder = request.bins.to_owned();
    // What came before is on the disk already.
    let kept: u64 = cache::unfinished(&folder)?
        .iter()
        .filter(|one| {
            let digests = request.binary.archives.iter().map(|archive| archive.digest);
            digests.into_iter().any(|digest| one.is_of(digest))
        })
        .map(|one| one.bytes)
        .sum();
    let needed = request.binary.room().unwrap_or_default();
    check_room(&folder, needed.saturating_sub(kept))
}

/// Whether so many bytes can still be written to the folder of builds.
fn check_room(folder: &Utf8Path, needed: u64) -> Result<(), InstallError> {
    let folder = folder.to_owned();
    match system::free_bytes(&folder) {
        Ok(free) if free < needed => Err(InstallError::NoSpace {
            folder,
            free,
            needed,
        }),
        // Where it cannot be known, writing will show.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Keeps builds out of git. A person's own `.gitignore` stays as it is.
fn ignore_in_git(bins: &Utf8Path) -> Result<(), FileError> {
    durable::create_folder(bins)?;
    let path = bins.join(".gitignore");
    if path.exists() {
        Ok(())
    } else {
        durable::write(&path, b"*\n")
    }
}
