//! Why a build is not installed, what helps, and whether waiting does.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::archive::ArchiveError;
use super::check::CheckError;
use super::register::RegisterError;
use crate::durable::FileError;
use crate::instance::BinaryId;
use crate::plan::action::Bytes;
use crate::registry::{OutsideBins, RegistryError};
use crate::release::Digest;
use crate::release::source::SourceError;

/// Why a build is not installed. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The source does not have it, or cannot be reached.
    #[error("cannot fetch `{name}`")]
    NotOpened {
        /// The archive.
        name: String,
        /// Where a person can put it.
        place: Option<Utf8PathBuf>,
        /// Why not.
        source: Box<SourceError>,
    },
    /// What the source has under its name was another archive each time it was asked.
    #[error("`{name}` changed at its source while it was received, again and again")]
    Unsteady {
        /// The archive.
        name: String,
    },
    /// What comes cannot be written down.
    #[error("cannot keep what comes of `{name}`")]
    Keep {
        /// The archive.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full.
    #[error("the disk is full: cannot write `{path}`")]
    DiskFull {
        /// The file that was being written.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was registered by hand and is gone.
    #[error("the build was registered by hand, and there is no archive to install it from")]
    NothingToFetch,
    /// Neither `.tar.gz` nor `.zip`.
    #[error("`{name}` is neither a `.tar.gz` nor a `.zip`")]
    UnknownKind {
        /// The archive.
        name: String,
    },
    /// The connection broke, or the file is cut off.
    #[error("`{name}` ended after {received} {}", of_text(*.expected))]
    Cut {
        /// The archive.
        name: String,
        /// Bytes that came.
        received: u64,
        /// Bytes that should have come, where known.
        expected: Option<u64>,
        /// Whether the next attempt goes on from there.
        kept: bool,
        /// What the connection said, if it said anything.
        source: Option<io::Error>,
    },
    /// It is longer or shorter than was published.
    #[error("`{name}` has {found} bytes, and {expected} were published")]
    OtherSize {
        /// The archive.
        name: String,
        /// Bytes that were published.
        expected: u64,
        /// Bytes there are, at least.
        found: u64,
    },
    /// Its digest is another one.
    #[error(
        "`{name}` is not the file that was published\n  expected sha256:{expected}\n  received sha256:{received}"
    )]
    OtherBytes {
        /// The archive.
        name: String,
        /// What was published.
        expected: Digest,
        /// What came.
        received: Digest,
    },
    /// The file that lies here in its place is another one.
    #[error("`{path}` cannot be used")]
    OtherFile {
        /// The file.
        path: Utf8PathBuf,
        /// How that was seen.
        source: Box<InstallError>,
    },
    /// It was given up, because nobody waits for it any more.
    #[error("the install was given up")]
    GivenUp,
    /// It is the right file, and cannot be used.
    #[error("cannot unpack `{name}`")]
    Archive {
        /// The archive.
        name: String,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// There is no server in it.
    #[error("`{name}` contains no `llama-server`")]
    NoServer {
        /// The archive.
        name: String,
    },
    /// There are several, and none is nearer than the other.
    #[error("`{name}` contains two servers, `{one}` and `{other}`")]
    SeveralServers {
        /// The archive.
        name: String,
        /// One of them.
        one: Utf8PathBuf,
        /// Another.
        other: Utf8PathBuf,
    },
    /// A CUDA build of a release, without the runtime that is published beside it.
    #[error(
        "`{name}` computes with CUDA, and the archive of the CUDA runtime that belongs to it is not known"
    )]
    NoCompanion {
        /// The archive.
        name: String,
    },
    /// It was made elsewhere, and is not taken in.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// It was unpacked, and does not work here.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// An archive that lies here cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of builds cannot be written to.
    #[error("cannot write `{path}`")]
    Write {
        /// The file or folder.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is too full to begin.
    #[error("`{folder}` has {} free, and about {} are needed", Bytes(*.free), Bytes(*.needed))]
    NoSpace {
        /// The folder of builds.
        folder: Utf8PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed, estimated from the archives' sizes.
        needed: u64,
    },
    /// There is a folder where the build should go, and the registry knows nothing of it.
    #[error("`{path}` is in the way: it is not a build this program has installed")]
    Occupied {
        /// The folder.
        path: Utf8PathBuf,
    },
    /// The id belongs to another build.
    #[error("the id `{id}` belongs to {found}, whose archive is another one")]
    OtherBuild {
        /// The id.
        id: BinaryId,
        /// What the registry has under it.
        found: String,
    },
    /// The registry cannot be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An entry of the registry cannot be used.
    #[error(transparent)]
    OutsideBins(#[from] OutsideBins),
    /// One of our own files cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Reading was given up because unpacking had failed.
    #[error("`{name}` was not read to its end")]
    Abandoned {
        /// The archive.
        name: String,
    },
    /// The program is being ended.
    #[error("the install was interrupted")]
    Stopped {
        /// What the runtime said.
        source: tokio::task::JoinError,
    },
}

fn of_text(expected: Option<u64>) -> String {
    expected.map_or_else(
        || "bytes".to_owned(),
        |expected| format!("of {expected} bytes"),
    )
}

impl InstallError {
    /// That a file cannot be written, and whether that is for want of space.
    pub(super) fn write(path: &Utf8Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::Write { path, source },
        }
    }

    /// The same, of a file that lies here.
    pub(super) fn of_file(self, path: &Utf8Path) -> Self {
        Self::OtherFile {
            path: path.to_owned(),
            source: Box::new(self),
        }
    }

    /// Whether nothing is wrong but that the folder of builds cannot be written to.
    pub fn cannot_write(&self) -> bool {
        matches!(
            self,
            Self::Write { .. }
                | Self::File(FileError::Write { .. })
                | Self::Registry(RegistryError::File(FileError::Write { .. }))
        )
    }

    /// Whether nothing is wrong but that the release source is out of reach.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::NotOpened { source, .. } if source.is_transient())
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotOpened { source, place, .. } => match (source.hint(), place) {
                (Some(hint), Some(place)) => Some(format!("{hint}; or put the file at `{place}`")),
                (hint, _) => hint,
            },
            Self::Unsteady { .. } => Some("run it again in a few minutes".to_owned()),
            Self::Registry(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::Cut { kept: true, .. } => Some(
                "run it again: what has come is kept in `bins/.cache`, and it goes on from there"
                    .to_owned(),
            ),
            Self::Cut { .. } => Some(
                "run it again; the source does not say what would tell a later rest from another file, so it begins at the first byte"
                    .to_owned(),
            ),
            Self::Keep { source, .. }
                if !matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                None
            }
            Self::OtherSize { .. } | Self::OtherBytes { .. } => Some(
                "a proxy or mirror may have changed it, or the release was replaced after it was locked; pin another build, or compare with the release's own page"
                    .to_owned(),
            ),
            Self::OtherFile { path, .. } => {
                Some(format!("put the right file at `{path}`, or remove it"))
            }
            Self::Archive { source: ArchiveError::MangledLinks { .. }, .. } => {
                Some("pin another build; b9163 and those after b9169 are whole".to_owned())
            }
            Self::Check(error) => error.hint(),
            Self::NoSpace { .. } | Self::DiskFull { .. } | Self::Keep { .. } => Some(
                "make room there; `llama-orch binary prune` removes builds nothing uses".to_owned(),
            ),
            Self::Occupied { path } => {
                Some(format!("move `{path}` away, or pin another `binary_id`"))
            }
            Self::OtherBuild { .. } => {
                Some("leave `binary_id` out, or write the version that belongs to it".to_owned())
            }
            Self::Register(error) => error.hint(),
            Self::NoCompanion { .. } => Some(
                "pin another build that has its `cudart` archive, or another variant".to_owned(),
            ),
            Self::NothingToFetch => Some(
                "`llama-orch binary register` takes it in again from where it was built".to_owned(),
            ),
            Self::UnknownKind { .. }
            | Self::Archive { .. }
            | Self::NoServer { .. }
            | Self::SeveralServers { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::OutsideBins(_)
            | Self::Abandoned { .. }
            | Self::GivenUp
            | Self::Stopped { .. } => None,
        }
    }

    /// Whether trying again later could help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotOpened { source, .. } => source.is_transient(),
            Self::Cut { .. }
            | Self::Unsteady { .. }
            | Self::GivenUp
            | Self::Registry(RegistryError::Busy { .. })
            | Self::Stopped { .. } => true,
            Self::NothingToFetch
            | Self::UnknownKind { .. }
            | Self::OtherSize { .. }
            | Self::OtherBytes { .. }
            | Self::OtherFile { .. }
            | Self::Archive { .. }
            | Self::NoServer { .. }
            | Self::SeveralServers { .. }
            | Self::NoCompanion { .. }
            | Self::Register(_)
            | Self::Check(_)
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Keep { .. }
            | Self::DiskFull { .. }
            | Self::NoSpace { .. }
            | Self::Occupied { .. }
            | Self::OtherBuild { .. }
            | Self::Registry(_)
            | Self::OutsideBins(_)
            | Self::File(_)
            | Self::Abandoned { .. } => false,
        }
    }
}
