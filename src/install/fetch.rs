//! An archive of which nobody has said what it must hash to: received once, and from then on held
//! to what it hashed to then. Only ever because a person asked for it.

use camino::Utf8Path;
use tokio::sync::Semaphore;

use super::cache::{self, Partial};
use super::receive::Reception;
use super::{InstallError, OnProgress, Progress, check_room, damage, ignore_in_git};
use crate::desired::{ArchiveOrigin, WantedArchive, room_of};
use crate::registry::{Entry, Registry};
use crate::release::Digest;
use crate::release::source::ReleaseSource;

/// An archive without a digest.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequest<'a> {
    /// Its file name.
    pub name: &'a str,
    /// Its size in bytes, where known.
    pub size: Option<u64>,
    /// Where to get it.
    pub origin: &'a ArchiveOrigin,
    /// The folder of all builds.
    pub bins: &'a Utf8Path,
    /// How many archives may be received at once.
    pub slots: &'a Semaphore,
}

/// Receives an archive and says what it hashes to. Its bytes stay where an install that wants this
/// digest finds them; nothing is unpacked.
pub async fn fetch_unverified<S: ReleaseSource>(
    request: &FetchRequest<'_>,
    source: &S,
    progress: OnProgress<'_>,
) -> Result<Digest, InstallError> {
    let FetchRequest { bins, .. } = *request;
    ignore_in_git(bins)?;
    let mut archive = WantedArchive {
        name: request.name.to_owned(),
        size: request.size,
        digest: Digest::of(""),
        origin: request.origin.clone(),
    };
    // Until it is known by its digest it is known by where it lies.
    let location = match &archive.origin {
        ArchiveOrigin::Url(url) => url.to_string(),
        ArchiveOrigin::Release(_) => source.location(&archive),
    };
    archive.digest = Digest::of(&location);
    // A file at hand may be another one than the last time, and costs nothing to look at.
    let is_at_hand = source.at_hand(&archive).is_some();
    let known = || {
        if is_at_hand {
            Ok(None)
        } else {
            known(bins, &location)
        }
    };
    if let Some(digest) = known()? {
        return Ok(digest);
    }
    if let Some(needed) = request.size {
        check_room(bins, room_of(needed))?;
    }
    let mut partial = Partial::enter(bins, archive.digest, || progress(Progress::Waiting)).await?;
    // Another process may have fetched it meanwhile.
    if let Some(digest) = known()? {
        return Ok(digest);
    }
    let reception = Reception {
        source,
        bins,
        slots: request.slots,
        on_bytes: &|bytes| {
            progress(Progress::Receiving {
                bytes,
                total: request.size,
            });
        },
        on_pause: &|pause| progress(Progress::Pausing(pause)),
    };
    let arrived = reception.arrive(&archive, None, &mut partial).await?;
    if arrived.file.is_some() {
        partial.remove()?;
    } else {
        let waiting = || progress(Progress::Waiting);
        let there = Partial::enter(bins, arrived.digest, waiting).await?;
        partial.rename(there, request.name, arrived.digest)?;
    }
    Ok(arrived.digest)
}

/// What the archive at this place hashed to when it was fetched before: it is installed, or its
/// bytes are here still.
fn known(bins: &Utf8Path, location: &str) -> Result<Option<Digest>, InstallError> {
    let registry = Registry::load(bins)?;
    let installed = registry.entries().iter().find(|entry| {
        entry.unverified
            && entry.download_url.as_deref() == Some(location)
            && damage(bins, entry).is_none()
    });
    Ok(installed
        .and_then(Entry::digest)
        .or_else(|| cache::fetched(bins, Digest::of(location))))
}
