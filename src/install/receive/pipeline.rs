//! The two threads behind the runtime: one hashes, counts and keeps what comes, the other one
//! inflates and writes. Joined by bounded channels, so that memory is too.

use std::fs::File;
use std::io::{self, BufRead, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::Digest as _;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

use super::Unpacking;
use crate::desired::WantedArchive;
use crate::install::archive::{ArchiveError, Limits, Unpacked, tar, zip};
use crate::install::staging;
use crate::install::writeback::Writeback;
use crate::install::{InstallError, system};
use crate::kill_point;
use crate::release::{Archive, Digest};

/// Bytes read from a file at once, and pieces that may wait: 1 MiB together.
const PIECE: usize = 64 * 1024;
pub(super) const WAITING: usize = 16;

/// What came out of an archive, whichever archive it was.
pub(super) enum Content {
    /// A tar, unpacked but for its links.
    Unpacked(Unpacked),
    /// Nothing: nobody wanted to have it unpacked.
    Unread,
    /// A zip, as it came, and where it is to be unpacked.
    Stored {
        file: Utf8PathBuf,
        into: Utf8PathBuf,
    },
}

impl Content {
    /// The files themselves. Only right once the digest of the archive is.
    pub(super) fn unpacked(self) -> Result<Unpacked, ArchiveError> {
        let unpacked = match self {
            Self::Unpacked(unpacked) => unpacked,
            Self::Unread => {
                let source = io::Error::other("it was not unpacked");
                return Err(ArchiveError::Unreadable { source });
            }
            Self::Stored { file, into } => zip::unpack(&file, &into, Limits::DEFAULT)?,
        };
        unpacked.link()?;
        Ok(unpacked)
    }
}

/// The two threads behind the runtime.
pub(super) struct Pipeline {
    pub(super) count: Arc<AtomicU64>,
    hashing: JoinHandle<Result<Digest, InstallError>>,
    writing: JoinHandle<Result<Content, ArchiveError>>,
}

/// What the first thread reads before anything arrives.
pub(super) enum From {
    /// A whole archive.
    File(Utf8PathBuf),
    /// A partial from its first byte; what arrives is added to it.
    Partial(File),
}

impl Pipeline {
    /// `kept`: where the archive lies once it has come, if it is kept.
    pub(super) fn start(
        archive: &WantedArchive,
        from: From,
        arriving: Receiver<Vec<u8>>,
        unpacking: Option<&Unpacking>,
        kept: Option<&Utf8Path>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let feed = Feed::new(archive, sender);
        let (count, halt) = (Arc::clone(&feed.count), Arc::clone(&feed.halt));
        let hashing = tokio::task::spawn_blocking(move || feed.all_of(from, arriving));
        let (kind, into, staging) = match unpacking {
            Some(one) => (
                one.kind,
                Some(one.into.clone()),
                Some(Arc::clone(&one.staging)),
            ),
            None => (Archive::Zip, None, None),
        };
        let kept = kept.map(Utf8Path::to_owned);
        let writing = tokio::task::spawn_blocking(move || {
            // The folder stays as long as somebody writes into it, also when the caller gave up.
            let _held = staging;
            let content = consume(kind, receiver, into, kept);
            if matches!(content, Err(ArchiveError::Write { .. })) {
                halt.store(true, Ordering::Relaxed);
            }
            content
        });
        Self {
            count,
            hashing,
            writing,
        }
    }

    pub(super) async fn finish(
        self,
    ) -> (Result<Digest, InstallError>, Result<Content, ArchiveError>) {
        let stopped = |source| InstallError::Stopped { source };
        let digest = match self.hashing.await {
            Ok(digest) => digest,
            Err(error) => Err(stopped(error)),
        };
        match self.writing.await {
            Ok(content) => (digest, content),
            Err(error) => {
                let source = io::Error::other("the program is being ended");
                (
                    Err(stopped(error)),
                    Err(ArchiveError::Unreadable { source }),
                )
            }
        }
    }
}

/// The first thread: hashes, counts, keeps and hands on.
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

    fn all_of(
        mut self,
        from: From,
        mut arriving: Receiver<Vec<u8>>,
    ) -> Result<Digest, InstallError> {
        match from {
            From::File(path) => {
                let failed = |source| InstallError::Read {
                    path: path.clone(),
                    source,
                };
                let mut file = File::open(&path).map_err(failed)?;
                self.check_length(file.metadata().ok().map(|metadata| metadata.len()))?;
                self.read(&mut file).map_err(failed)??;
                let received = self.count.load(Ordering::Relaxed);
                if self.expected.is_some_and(|expected| received < expected) {
                    return Err(InstallError::Cut {
                        name: self.name,
                        received,
                        expected: self.expected,
                        kept: false,
                        source: None,
                    });
                }
            }
            From::Partial(mut file) => {
                let failed = |name: &str, source| InstallError::Keep {
                    name: name.to_owned(),
                    source,
                };
                self.read(&mut file)
                    .map_err(|source| failed(&self.name, source))??;
                let mut writeback = Writeback::new();
                while let Some(piece) = arriving.blocking_recv() {
                    file.write_all(&piece)
                        .map_err(|source| failed(&self.name, source))?;
                    writeback.wrote(&file, piece.len());
                    self.take(piece)?;
                }
            }
        }
        Ok(Digest::from_bytes(self.hasher.finalize().into()))
    }

    fn read(&mut self, file: &mut File) -> io::Result<Result<(), InstallError>> {
        loop {
            let mut piece = vec![0; PIECE];
            let read = match file.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Ok(Ok(()));
            }
            piece.truncate(read);
            if let Err(error) = self.take(piece) {
                return Ok(Err(error));
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

    fn take(&mut self, piece: Vec<u8>) -> Result<(), InstallError> {
        self.hasher.update(&piece);
        let more = piece.len() as u64;
        let found = self.count.fetch_add(more, Ordering::Relaxed) + more;
        if self.halt.load(Ordering::Relaxed) {
            return Err(InstallError::Abandoned {
                name: self.name.clone(),
            });
        }
        let most = self.expected.unwrap_or(Limits::DEFAULT.bytes);
        if found > most {
            return Err(InstallError::OtherSize {
                name: self.name.clone(),
                expected: most,
                found,
            });
        }
        // The other side has stopped: what the digest is, is still worth knowing.
        let _ = self.sender.blocking_send(piece);
        kill_point::reached("install.receiving");
        Ok(())
    }
}

/// The second thread: inflates and writes. A zip can be read only once it is whole: where it is
/// kept anyway, its pieces are let go.
fn consume(
    kind: Archive,
    receiver: Receiver<Vec<u8>>,
    into: Option<Utf8PathBuf>,
    kept: Option<Utf8PathBuf>,
) -> Result<Content, ArchiveError> {
    let packed = Arc::new(AtomicU64::new(0));
    let mut pieces = PieceReader {
        receiver,
        piece: Vec::new(),
        at: 0,
        taken: Arc::clone(&packed),
    };
    let unread = |source| ArchiveError::Unreadable { source };
    let Some(into) = into else {
        io::copy(&mut pieces, &mut io::sink()).map_err(unread)?;
        return Ok(Content::Unread);
    };
    match (kind, kept) {
        (Archive::TarGz, _) => {
            let packed = move || packed.load(Ordering::Relaxed);
            tar::unpack(pieces, packed, &into, Limits::DEFAULT).map(Content::Unpacked)
        }
        (Archive::Zip, Some(file)) => {
            io::copy(&mut pieces, &mut io::sink()).map_err(unread)?;
            Ok(Content::Stored { file, into })
        }
        (Archive::Zip, None) => {
            let file = into.with_extension("zip");
            let failed = |source| ArchiveError::Write {
                path: file.clone(),
                source,
            };
            staging::remove(&file).map_err(failed)?;
            let mut stored = system::create(&file, false).map_err(failed)?;
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
