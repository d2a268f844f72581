//! Installing a build: receive, verify, check, commit. Each stage consumes the one before.
//!
//! One pass over the bytes of a `.tar.gz`: read, hash, inflate and write at once, into a staging
//! folder beside the final place. Nothing is run or linked to before the archive's digest is known
//! to be right, and nothing is visible before one rename. Which archive it has to be was decided
//! before; whether to try again after a failure is decided by whoever called.

mod archive;
mod build;
mod check;
mod receive;
mod recover;
mod staging;
mod system;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

pub use archive::ArchiveError;
pub use check::CheckError;
pub use recover::{Recovered, recover, uninstall};

use build::Build;
use receive::Received;
use staging::Staging;

use crate::desired::{ArchiveOrigin, WantedBinary};
use crate::durable::{self, FileError};
use crate::instance::BinaryId;
use crate::kill_point;
use crate::registry::{Entry, OutsideBins, Registry, RegistryError};
use crate::release::Digest;
use crate::release::host::Host;
use crate::release::source::{ReleaseSource, SourceError};

/// The names of the server's program, here and on Windows.
const PROGRAMS: [&str; 2] = ["llama-server", "llama-server.exe"];

/// Our own note in a build's folder: its entry of the registry.
const METADATA: &str = ".llama-orch.json";

/// How many times its packed size an archive is taken to need on disk: itself and its content.
const UNPACKED_FACTOR: u64 = 5;

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
}

/// What an install is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another process installs the same archive; it is waited for.
    Waiting,
    /// Bytes come in.
    Receiving {
        /// The archive's file name.
        archive: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
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

/// Why a build is not installed. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The source does not have it, or cannot be reached.
    #[error(transparent)]
    Source(#[from] SourceError),
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
    #[error("`{folder}` has {free} bytes free, and about {needed} are needed")]
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
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::Cut { .. } => Some("run `llama-orch apply` again".to_owned()),
            Self::OtherSize { .. } | Self::OtherBytes { .. } => Some(
                "a proxy or mirror may have changed it, or the release was replaced after it was locked; pin another build, or compare with the release's own page"
                    .to_owned(),
            ),
            Self::Archive { source: ArchiveError::MangledLinks { .. }, .. } => {
                Some("pin another build; b9163 and those after b9169 are whole".to_owned())
            }
            Self::Check(CheckError::Failed { .. } | CheckError::CannotRun { .. }) => Some(
                "the build may need a newer system or a driver that is not here; pin another variant, such as `cpu`"
                    .to_owned(),
            ),
            Self::NoSpace { .. } => {
                Some("`llama-orch apply --prune` removes builds nothing uses".to_owned())
            }
            Self::Occupied { path } => {
                Some(format!("move `{path}` away, or pin another `binary_id`"))
            }
            Self::OtherBuild { .. } => {
                Some("leave `binary_id` out, or write the version that belongs to it".to_owned())
            }
            Self::NothingToFetch
            | Self::UnknownKind { .. }
            | Self::Archive { .. }
            | Self::NoServer { .. }
            | Self::SeveralServers { .. }
            | Self::Check(_)
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::OutsideBins(_)
            | Self::Abandoned { .. }
            | Self::Stopped { .. } => None,
        }
    }

    /// Whether trying again later could help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(error) => error.is_transient(),
            Self::Cut { .. }
            | Self::Registry(RegistryError::Busy { .. })
            | Self::Stopped { .. } => true,
            Self::NothingToFetch
            | Self::UnknownKind { .. }
            | Self::OtherSize { .. }
            | Self::OtherBytes { .. }
            | Self::Archive { .. }
            | Self::NoServer { .. }
            | Self::SeveralServers { .. }
            | Self::Check(_)
            | Self::Read { .. }
            | Self::Write { .. }
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
    ignore_in_git(request.bins)?;
    let staging =
        Arc::new(Staging::enter(request.bins, digest, || progress(Progress::Waiting)).await?);
    if let Some(installed) = present(request)? {
        return Ok(installed);
    }
    check_space(request)?;
    let mut verified = Vec::new();
    for (number, archive) in request.binary.archives.iter().enumerate() {
        let received = Received::receive(archive, number, &staging, source, progress).await?;
        verified.push(blocking(move || received.verify()).await?);
    }
    kill_point::reached("install.verified");
    progress(Progress::Checking);
    let location = request
        .binary
        .archives
        .first()
        .map(|archive| source.location(archive));
    let location = location.unwrap_or_default();
    let (binary, bins) = (request.binary.clone(), request.bins.to_owned());
    let host = request.host.cloned();
    let is_release = |archive: &crate::desired::WantedArchive| {
        matches!(archive.origin, ArchiveOrigin::Release(_))
    };
    let strict = request.official && binary.archives.first().is_some_and(is_release);
    blocking(move || {
        let build = Build::assemble(verified)?;
        kill_point::reached("install.unpacked");
        let mut checked = build.check(&binary, host.as_ref(), strict)?;
        let remarks = std::mem::take(&mut checked.remarks);
        let entry = checked.commit(&binary, &bins, &location, &staging)?;
        Ok(Installed {
            outcome: Outcome::Installed,
            entry,
            remarks,
        })
    })
    .await
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

/// Looks whether the build is there, under its own id or under another one.
fn present(request: &InstallRequest<'_>) -> Result<Option<Installed>, InstallError> {
    let InstallRequest { binary, bins, .. } = *request;
    let registry = Registry::load(bins)?;
    let found = |outcome, entry: &Entry| {
        Some(Installed {
            outcome,
            entry: entry.clone(),
            remarks: Vec::new(),
        })
    };
    if let Some(entry) = registry.get(binary.id) {
        let same = match (entry.digest(), binary.digest()) {
            (Some(there), Some(wanted)) => there == wanted,
            // One of them knows none; the names have to do.
            (None, _) | (_, None) => {
                entry.version == binary.build.as_str() && entry.variant == binary.variant
            }
        };
        if !same {
            let found = format!("{} {}", entry.version, entry.variant);
            return Err(InstallError::OtherBuild {
                id: binary.id,
                found,
            });
        }
        return Ok(if is_whole(bins, entry)? {
            found(Outcome::Present, entry)
        } else {
            None
        });
    }
    let wanted = build::companions(binary);
    let has_all = |entry: &Entry| {
        wanted.iter().all(|one| {
            entry
                .companions
                .iter()
                .any(|other| other.sha256 == one.sha256)
        })
    };
    if let Some(entry) = binary
        .digest()
        .and_then(|digest| registry.of_digest(digest))
        && has_all(entry)
        && is_whole(bins, entry)?
    {
        let id = entry.id;
        let aliased = Registry::update(bins, |registry| {
            registry.add_alias(id, binary.id);
            registry.get(binary.id).cloned()
        })?;
        return Ok(aliased.and_then(|entry| found(Outcome::Aliased, &entry)));
    }
    let place = bins.join(binary.id.to_string());
    if place.symlink_metadata().is_ok() {
        // A crash between the rename and the registry: the note inside says what it is.
        return match recover::adopt(bins, binary.id)? {
            Some(entry) if entry.digest() == binary.digest() => Ok(found(Outcome::Present, &entry)),
            Some(_) | None => Err(InstallError::Occupied { path: place }),
        };
    }
    Ok(None)
}

/// Whether an entry's server is where it should be.
fn is_whole(bins: &Utf8Path, entry: &Entry) -> Result<bool, OutsideBins> {
    Ok(bins.join(entry.program()?).is_file())
}

fn check_space(request: &InstallRequest<'_>) -> Result<(), InstallError> {
    let folder = request.bins.to_owned();
    let packed: u64 = request
        .binary
        .archives
        .iter()
        .filter_map(|archive| archive.size)
        .sum();
    let needed = packed.saturating_mul(UNPACKED_FACTOR);
    match system::free_bytes(&folder) {
        Ok(Some(free)) if free < needed => Err(InstallError::NoSpace {
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
    let path = bins.join(".gitignore");
    if path.exists() {
        Ok(())
    } else {
        durable::write(&path, b"*\n")
    }
}
