//! The bytes of one archive: read, kept, hashed, inflated and written at once; then verified.
//!
//! Three stages joined by bounded channels: the runtime reads the network, a thread hashes and
//! keeps what comes, another one inflates and writes. Nothing of a [`Received`] can be reached, so
//! nothing of it can be run or linked to; [`Received::verify`] alone hands its files out. Where the
//! bytes come from, and trying again, is `download`'s business.

mod pipeline;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

use pipeline::{Content, From, Pipeline, WAITING};

use super::archive::{ArchiveError, Unpacked};
use super::cache::{self, Partial};
use super::download::{Brought, Download, OnPause, Stream};
use super::staging::{self, Staging};
use super::{InstallError, blocking, check_room};
use crate::desired::{WantedArchive, room_of};
use crate::kill_point;
use crate::release::source::{Opened, ReleaseSource};
use crate::release::{Archive, Digest};

/// How often progress is told.
const TOLD: Duration = Duration::from_millis(100);

/// How many times an archive may turn out to be another one than before while it is received.
const BEGINNINGS: usize = 3;

/// Where archives are received, and whom to tell.
pub(super) struct Reception<'a, S> {
    pub(super) source: &'a S,
    pub(super) bins: &'a Utf8Path,
    /// How many may be received at once.
    pub(super) slots: &'a Semaphore,
    /// Told how many bytes of this archive are there.
    pub(super) on_bytes: &'a (dyn Fn(u64) + Send + Sync),
    pub(super) on_pause: OnPause<'a>,
}

/// How an archive is unpacked while it comes.
pub(super) struct Unpacking {
    pub(super) kind: Archive,
    pub(super) into: Utf8PathBuf,
    /// Stays as long as somebody writes into it.
    pub(super) staging: Arc<Staging>,
}

/// The bytes of an archive have come.
pub(super) struct Arrived {
    pub(super) digest: Digest,
    content: Result<Content, ArchiveError>,
    /// Whether some of them had come before, in another run.
    resumed: bool,
    /// Where it lies, if it was read from a file here.
    pub(super) file: Option<Utf8PathBuf>,
}

/// An archive that was read to its end; whether it is the right one is not known yet.
struct Received {
    archive: WantedArchive,
    arrived: Arrived,
}

/// An archive that is the one that was wanted, unpacked.
pub(super) struct Verified {
    pub(super) archive: WantedArchive,
    pub(super) unpacked: Unpacked,
}

impl<S: ReleaseSource> Reception<'_, S> {
    /// Reads an archive into the staging folder and verifies it. Its partial is to be removed once
    /// it is of no more use.
    pub(super) async fn receive(
        &self,
        archive: &WantedArchive,
        number: usize,
        staging: &Arc<Staging>,
        mut partial: Partial,
    ) -> Result<(Verified, Partial), InstallError> {
        let Some((_, kind)) = Archive::of(&archive.name) else {
            return Err(InstallError::UnknownKind {
                name: archive.name.clone(),
            });
        };
        let unpacking = Unpacking {
            kind,
            into: staging.part(number),
            staging: Arc::clone(staging),
        };
        loop {
            let arrived = self.arrive(archive, Some(&unpacking), &mut partial).await?;
            kill_point::reached("install.received");
            let resumed = arrived.resumed;
            let received = Received {
                archive: archive.clone(),
                arrived,
            };
            match blocking(move || received.verify()).await {
                Ok(verified) => return Ok((verified, partial)),
                // What an earlier attempt had left was bad. Once more, from the first byte.
                Err(InstallError::OtherBytes { .. }) if resumed => partial.clear()?,
                Err(error) => {
                    if matches!(error, InstallError::OtherBytes { .. }) {
                        partial.remove()?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Reads an archive to its end, and unpacks it on the way where that is wanted.
    pub(super) async fn arrive(
        &self,
        archive: &WantedArchive,
        unpacking: Option<&Unpacking>,
        partial: &mut Partial,
    ) -> Result<Arrived, InstallError> {
        let _slot = self.slots.acquire().await;
        let place = cache::place(self.bins, &archive.name);
        let mut download = Download::new(archive, self.source, place.clone(), self.on_pause);
        let mut anew = None;
        let mut failure = unsteady(archive);
        for _ in 0..BEGINNINGS {
            if let Some(unpacking) = unpacking {
                staging::remove(&unpacking.into)
                    .map_err(|source| InstallError::write(&unpacking.into, source))?;
            }
            let had = partial.length()?;
            let given = place.as_deref();
            let intake = self
                .intake(archive, &mut download, partial, given, anew.take())
                .await?;
            let (from, stream) = match intake {
                Intake::File(path) => (From::File(path), None),
                Intake::Partial => (From::Partial(partial.handle()?), None),
                Intake::Stream(stream) => (From::Partial(partial.handle()?), Some(stream)),
            };
            let file = match &from {
                From::File(path) => Some(path.clone()),
                From::Partial(_) => None,
            };
            let resumed = had > 0 && file.is_none() && partial.length()? == had;
            let (pieces, arriving) = mpsc::channel(WAITING);
            let kept = file.is_none().then(|| partial.path());
            let pipeline = Pipeline::start(archive, from, arriving, unpacking, kept);
            let count = Arc::clone(&pipeline.count);
            let done = async {
                let brought = if let Some(stream) = stream {
                    download.bring(stream, pieces).await
                } else {
                    drop(pieces);
                    Ok(Brought::All)
                };
                (brought, pipeline.finish().await)
            };
            let (brought, (digest, content)) = telling(&count, self.on_bytes, done).await;
            if let Err(error @ ArchiveError::Write { .. }) = content {
                // The disk is full, say: that is why no more was read.
                return Err(unusable(archive, error));
            }
            match brought {
                Ok(Brought::All) => {
                    let digest = match (digest, &file) {
                        (Err(error @ InstallError::OtherSize { .. }), Some(path)) => {
                            return Err(error.of_file(path));
                        }
                        (digest, _) => digest?,
                    };
                    return Ok(Arrived {
                        digest,
                        content,
                        resumed,
                        file,
                    });
                }
                Ok(Brought::Anew { opened, why }) => {
                    partial.clear()?;
                    anew = Some(opened);
                    failure = why;
                }
                Err(error) => {
                    // Bytes beyond the end of an archive are no beginning of it, and those of which
                    // nothing says what they belong to cannot be gone on from.
                    let is_long = matches!(error, InstallError::OtherSize { .. });
                    if is_long || partial.resume(None)?.is_none() {
                        partial.clear()?;
                    }
                    return Err(error);
                }
            }
        }
        Err(failure)
    }

    /// Where the bytes come from this time. Afterwards the partial holds exactly what the rest is
    /// to be added to.
    async fn intake(
        &self,
        archive: &WantedArchive,
        download: &mut Download<'_, S>,
        partial: &mut Partial,
        place: Option<&Utf8Path>,
        anew: Option<Opened>,
    ) -> Result<Intake, InstallError> {
        let opened = match anew {
            Some(opened) => opened,
            None if let Some(given) = self.source.at_hand(archive) => {
                return Ok(Intake::File(given));
            }
            None if partial.is_complete(archive.size)? => return Ok(Intake::Partial),
            None => {
                if let Some(given) = place.filter(|path| path.is_file()) {
                    return Ok(Intake::File(given.to_owned()));
                }
                let resume = partial.resume(archive.size)?;
                download.open(resume.as_ref()).await?
            }
        };
        let (from, total, validator, pieces) = match opened {
            Opened::File(path) => return Ok(Intake::File(path)),
            Opened::Stream {
                from,
                total,
                validator,
                pieces,
            } => (from, total, validator, pieces),
        };
        if let (Some(expected), Some(found)) = (archive.size, total)
            && expected != found
        {
            return Err(InstallError::OtherSize {
                name: archive.name.clone(),
                expected,
                found,
            });
        }
        if let (None, Some(total)) = (archive.size, total) {
            check_room(self.bins, room_of(total).saturating_sub(from))?;
        }
        if from == 0 || from != partial.length()? {
            partial.clear()?;
        }
        if from != partial.length()? {
            return Err(unsteady(archive));
        }
        partial.note(&archive.name, validator.clone(), total)?;
        Ok(Intake::Stream(Stream {
            from,
            total,
            validator,
            pieces,
        }))
    }
}

/// Where the bytes of one attempt come from.
enum Intake {
    /// A file that lies here.
    File(Utf8PathBuf),
    /// Everything had come before.
    Partial,
    /// What had come before, and then this.
    Stream(Stream),
}

impl Received {
    /// Goes on only with the archive that was wanted. What is wrong *inside* a wrong archive is
    /// of no interest, so this comes before anything is said about its content.
    fn verify(self) -> Result<Verified, InstallError> {
        let Self { archive, arrived } = self;
        if arrived.digest != archive.digest {
            let error = InstallError::OtherBytes {
                name: archive.name,
                expected: archive.digest,
                received: arrived.digest,
            };
            return Err(match &arrived.file {
                Some(path) => error.of_file(path),
                None => error,
            });
        }
        match arrived.content.and_then(Content::unpacked) {
            Ok(unpacked) => Ok(Verified { archive, unpacked }),
            Err(error) => Err(match (unusable(&archive, error), &arrived.file) {
                (error @ InstallError::Archive { .. }, Some(path)) => error.of_file(path),
                (error, _) => error,
            }),
        }
    }
}

fn unusable(archive: &WantedArchive, error: ArchiveError) -> InstallError {
    match error {
        ArchiveError::Write { path, source } => InstallError::write(&path, source),
        source => InstallError::Archive {
            name: archive.name.clone(),
            source,
        },
    }
}

fn unsteady(archive: &WantedArchive) -> InstallError {
    InstallError::Unsteady {
        name: archive.name.clone(),
    }
}

/// Waits for something that counts bytes, and tells how far it is.
async fn telling<T>(
    count: &AtomicU64,
    tell: &(dyn Fn(u64) + Send + Sync),
    done: impl Future<Output = T>,
) -> T {
    let mut done = std::pin::pin!(done);
    loop {
        tokio::select! {
            result = &mut done => {
                tell(count.load(Ordering::Relaxed));
                return result;
            }
            () = tokio::time::sleep(TOLD) => tell(count.load(Ordering::Relaxed)),
        }
    }
}
