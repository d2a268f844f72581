//! The bytes of one archive: read, hashed, inflated and written at once; then verified.
//!
//! Reading and hashing run beside inflating and writing, joined by a bounded channel. Nothing of a
//! [`Received`] can be reached, so nothing of it can be run or linked to; [`Received::verify`]
//! alone hands its files out. Where the bytes come from is the release source's business.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures_util::StreamExt as _;
use sha2::Digest as _;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::archive::{ArchiveError, Limits, Unpacked, tar, zip};
use super::staging::Staging;
use super::{InstallError, OnProgress, Progress};
use crate::desired::WantedArchive;
use crate::kill_point;
use crate::release::source::{Opened, Pieces, ReleaseSource};
use crate::release::{Archive, Digest};

/// Bytes read from a file at once, and pieces that may wait: 1 MiB together.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 16;

/// How often progress is told.
const TOLD: Duration = Duration::from_millis(100);

/// An archive that was read to its end; whether it is the right one is not known yet.
pub(super) struct Received {
    archive: WantedArchive,
    digest: Digest,
    content: Result<Content, ArchiveError>,
}

enum Content {
    /// A tar, unpacked but for its links.
    Unpacked(Unpacked),
    /// A zip, as it came, and where it is to be unpacked.
    Stored {
        file: Utf8PathBuf,
        into: Utf8PathBuf,
    },
}

/// An archive that is the one that was wanted, unpacked.
pub(super) struct Verified {
    pub(super) archive: WantedArchive,
    pub(super) unpacked: Unpacked,
}

impl Received {
    /// Reads an archive from a source into the staging folder.
    pub(super) async fn receive<S: ReleaseSource>(
        archive: &WantedArchive,
        number: usize,
        staging: &Arc<Staging>,
        source: &S,
        progress: OnProgress<'_>,
    ) -> Result<Self, InstallError> {
        let name = || archive.name.clone();
        let Some((_, kind)) = Archive::of(&archive.name) else {
            return Err(InstallError::UnknownKind { name: name() });
        };
        let opened = source.open(archive, None).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let feed = Feed::new(archive, sender);
        let (count, halt) = (Arc::clone(&feed.count), Arc::clone(&feed.halt));
        let into = staging.part(number);
        let held = Arc::clone(staging);
        let consuming = tokio::task::spawn_blocking(move || {
            // The folder stays as long as somebody writes into it, also when the caller gave up.
            let _held = held;
            let content = consume(kind, receiver, into);
            if matches!(content, Err(ArchiveError::Write { .. })) {
                halt.store(true, Ordering::Relaxed);
            }
            content
        });
        let told = |bytes| {
            progress(Progress::Receiving {
                archive: name(),
                bytes,
                total: archive.size,
            });
        };
        let hashed = telling(&count, told, feed.all_of(opened)).await;
        let content = consuming
            .await
            .map_err(|stopped| InstallError::Stopped { source: stopped })?;
        if let Err(ArchiveError::Write { .. }) = content {
            // The disk is full, say: that is why no more was read.
            return Err(unusable(archive, content.err()));
        }
        Ok(Self {
            archive: archive.clone(),
            digest: hashed?,
            content,
        })
    }

    /// Goes on only with the archive that was wanted. What is wrong *inside* a wrong archive is
    /// of no interest, so this comes before anything is said about its content.
    pub(super) fn verify(self) -> Result<Verified, InstallError> {
        let Self {
            archive,
            digest,
            content,
        } = self;
        if digest != archive.digest {
            let (expected, received) = (archive.digest, digest);
            return Err(InstallError::OtherBytes {
                name: archive.name,
                expected,
                received,
            });
        }
        let unpacked = content.and_then(|content| {
            let unpacked = match content {
                Content::Unpacked(unpacked) => unpacked,
                Content::Stored { file, into } => zip::unpack(&file, &into, Limits::DEFAULT)?,
            };
            unpacked.link()?;
            Ok(unpacked)
        });
        match unpacked {
            Ok(unpacked) => Ok(Verified { archive, unpacked }),
            Err(error) => Err(unusable(&archive, Some(error))),
        }
    }
}

fn unusable(archive: &WantedArchive, error: Option<ArchiveError>) -> InstallError {
    match error {
        Some(source) => InstallError::Archive {
            name: archive.name.clone(),
            source,
        },
        None => InstallError::UnknownKind {
            name: archive.name.clone(),
        },
    }
}

/// Waits for something that counts bytes, and tells how far it is.
async fn telling<T>(count: &AtomicU64, tell: impl Fn(u64), done: impl Future<Output = T>) -> T {
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

/// The reading side: hashes, counts and hands on.
struct Feed {
    name: String,
    expected: Option<u64>,
    hasher: sha2::Sha256,
    count: Arc<AtomicU64>,
    /// Set when the other side cannot go on, whatever comes.
    halt: Arc<AtomicBool>,
    sender: Sender<Vec<u8>>,
}

impl Feed {
    fn new(archive: &WantedArchive, sender: Sender<Vec<u8>>) -> Self {
        Self {
            name: archive.name.clone(),
            expected: archive.size,
            hasher: sha2::Sha256::new(),
            count: Arc::default(),
            halt: Arc::default(),
            sender,
        }
    }

    async fn all_of(mut self, opened: Opened) -> Result<Digest, InstallError> {
        match opened {
            Opened::File(path) => {
                let fed = tokio::task::spawn_blocking(move || self.file(&path)).await;
                fed.map_err(|stopped| InstallError::Stopped { source: stopped })?
            }
            Opened::Stream { total, pieces, .. } => {
                self.check_length(total)?;
                self.expected = self.expected.or(total);
                self.stream(pieces).await
            }
        }
    }

    fn file(mut self, path: &Utf8Path) -> Result<Digest, InstallError> {
        let failed = |source| InstallError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        self.check_length(file.metadata().ok().map(|metadata| metadata.len()))?;
        loop {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece).map_err(failed)?;
            piece.truncate(read);
            if piece.is_empty() {
                return self.finish(None);
            }
            self.take(&piece)?;
            // The other side has stopped: what the digest is, is still worth knowing.
            let _ = self.sender.blocking_send(piece);
            kill_point::reached("install.receiving");
        }
    }

    async fn stream(mut self, mut pieces: Pieces) -> Result<Digest, InstallError> {
        loop {
            match pieces.next().await {
                None => return self.finish(None),
                Some(Err(error)) => return self.finish(Some(error)),
                Some(Ok(piece)) => {
                    self.take(&piece)?;
                    let _ = self.sender.send(piece).await;
                    kill_point::reached("install.receiving");
                }
            }
        }
    }

    fn check_length(&self, length: Option<u64>) -> Result<(), InstallError> {
        match (self.expected, length) {
            (Some(expected), Some(found)) if expected != found => Err(InstallError::OtherSize {
                name: self.name.clone(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), InstallError> {
        self.hasher.update(piece);
        let more = piece.len() as u64;
        let found = self.count.fetch_add(more, Ordering::Relaxed) + more;
        if self.halt.load(Ordering::Relaxed) {
            return Err(InstallError::Abandoned {
                name: self.name.clone(),
            });
        }
        match self.expected.unwrap_or(Limits::DEFAULT.bytes) {
            expected if found > expected => Err(InstallError::OtherSize {
                name: self.name.clone(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn finish(self, error: Option<io::Error>) -> Result<Digest, InstallError> {
        let received = self.count.load(Ordering::Relaxed);
        let is_short = self.expected.is_some_and(|expected| received < expected);
        if is_short || error.is_some() {
            let (name, expected) = (self.name, self.expected);
            return Err(InstallError::Cut {
                name,
                received,
                expected,
                source: error,
            });
        }
        Ok(Digest::from_bytes(self.hasher.finalize().into()))
    }
}

/// The writing side, on a thread of its own.
fn consume(
    kind: Archive,
    receiver: Receiver<Vec<u8>>,
    into: Utf8PathBuf,
) -> Result<Content, ArchiveError> {
    let packed = Arc::new(AtomicU64::new(0));
    let mut pieces = PieceReader {
        receiver,
        piece: Vec::new(),
        at: 0,
        taken: Arc::clone(&packed),
    };
    match kind {
        Archive::TarGz => {
            let packed = move || packed.load(Ordering::Relaxed);
            tar::unpack(pieces, packed, &into, Limits::DEFAULT).map(Content::Unpacked)
        }
        Archive::Zip => {
            let file = into.with_extension("zip");
            let failed = |source| ArchiveError::Write {
                path: file.clone(),
                source,
            };
            let mut stored = super::system::create(&file, false).map_err(failed)?;
            io::copy(&mut pieces, &mut stored).map_err(failed)?;
            Ok(Content::Stored { file, into })
        }
    }
}

/// The pieces of a channel as one stream.
struct PieceReader {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    taken: Arc<AtomicU64>,
}

impl BufRead for PieceReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.piece.len() {
            let Some(piece) = self.receiver.blocking_recv() else {
                return Ok(&[]);
            };
            self.taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
            self.piece = piece;
            self.at = 0;
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let read = piece.len().min(buffer.len());
        buffer[..read].copy_from_slice(&piece[..read]);
        self.consume(read);
        Ok(read)
    }
}
