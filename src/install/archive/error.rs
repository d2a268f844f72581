//! What can be wrong with an archive.

use std::io;

use camino::Utf8PathBuf;

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It tries to write outside its own folder.
    #[error("the archive contains the path `{member}`, which leaves the archive")]
    Escapes {
        /// The path as it stands in the archive.
        member: String,
    },
    /// A name that is no name, or means something else on another system.
    #[error("the archive contains the path `{member}`, which {why}")]
    Name {
        /// The path, unprintable characters escaped.
        member: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two entries of one name, or of names that differ in case alone.
    #[error("the archive contains `{member}` twice")]
    Duplicate {
        /// The path as it stands in the archive.
        member: String,
    },
    /// Neither a file, a folder nor a symbolic link.
    #[error("the archive contains `{member}`, which is {kind}")]
    Kind {
        /// The path as it stands in the archive.
        member: String,
        /// What it is, with an article.
        kind: &'static str,
    },
    /// A symbolic link out of the archive.
    #[error("the archive contains the link `{member}` to `{target}`, which leaves the archive")]
    LinkEscapes {
        /// The path of the link.
        member: String,
        /// What it points to.
        target: String,
    },
    /// A symbolic link to something that is not there.
    #[error("the archive contains the link `{member}` to `{target}`, which is not in it")]
    Dangling {
        /// The path of the link.
        member: String,
        /// What it points to.
        target: String,
    },
    /// The links of a release were damaged when it was published, as those of b9165 to b9169.
    #[error(
        "the links of this release were damaged when it was published: `{member}` points to `{target}`"
    )]
    MangledLinks {
        /// The path of a link.
        member: String,
        /// What it points to.
        target: String,
    },
    /// More entries than any release has.
    #[error("the archive has more than {most} entries")]
    TooManyEntries {
        /// The limit.
        most: usize,
    },
    /// More bytes than any release has.
    #[error("the archive unpacks to more than {most} bytes")]
    TooLarge {
        /// The limit in bytes.
        most: u64,
    },
    /// Far more bytes than were received.
    #[error("the archive unpacks to more than {most} times its size")]
    TooDense {
        /// The limit, as a factor.
        most: u64,
    },
    /// It is not what its name says, or it is damaged.
    #[error("the archive cannot be read")]
    Unreadable {
        /// What the reader said.
        source: io::Error,
    },
    /// A file ends before its declared length.
    #[error("the archive ends in the middle of `{member}`")]
    Cut {
        /// The path as it stands in the archive.
        member: String,
    },
    /// This machine's disk would not take it.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
