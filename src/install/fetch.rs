//! An archive of which nobody has said what it must hash to: received once, and from then on held
//! to what it hashed to then. Only ever because a person asked for it.

use camino::Utf8Path;
use tokio::sync::Semaphore;

use super::cache::Partial;
use super::receive::Reception;
use super::{InstallError, OnProgress, Progress, ignore_in_git};
use crate::desired::{ArchiveOrigin, WantedArchive};
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
    let mut partial = Partial::enter(bins, archive.digest, || progress(Progress::Waiting)).await?;
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
    match arrived.file {
        Some(_) => partial.remove()?,
        None => partial.rename(bins, arrived.digest)?,
    }
    Ok(arrived.digest)
}
