//! Why a build that was made elsewhere is not taken in.

use camino::Utf8PathBuf;

use crate::instance::BinaryId;
use crate::release::{BuildName, Variant};

/// Why a build that was made elsewhere is not registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The path is that of an archive.
    #[error("`{0}` is an archive, not the folder of a build")]
    Archive(Utf8PathBuf),
    /// The path is that of a file which is no server.
    #[error("`{0}` is neither a folder nor a `llama-server`")]
    OtherFile(Utf8PathBuf),
    /// The folder has no server.
    #[error("`{0}` contains no `llama-server`")]
    NoServer(Utf8PathBuf),
    /// The folder is one of ours, or has our builds in it.
    #[error("`{0}` is a folder of this program's own builds")]
    Ours(Utf8PathBuf),
    /// The folder has far more in it than a build.
    #[error("`{folder}` has {files} files of {bytes} bytes, which is more than any build")]
    TooMuch {
        /// The folder.
        folder: Utf8PathBuf,
        /// How many files are in it.
        files: usize,
        /// The bytes they take.
        bytes: u64,
    },
    /// A link would not lead to the same place from a copy.
    #[error("the link `{path}` to `{target}` leaves the build")]
    LinkLeaves {
        /// The link.
        path: Utf8PathBuf,
        /// What it points to.
        target: String,
    },
    /// A link leads nowhere.
    #[error("the link `{path}` to `{target}` leads nowhere")]
    Dangling {
        /// The link.
        path: Utf8PathBuf,
        /// What it points to.
        target: String,
    },
    /// Something that cannot be copied.
    #[error("`{0}` is neither a file, a folder nor a link")]
    Kind(Utf8PathBuf),
    /// Other files have the name.
    #[error("`{version}` ({variant}) is the name of other files, with the id `{id}`")]
    Taken {
        /// The name.
        version: BuildName,
        /// The variant.
        variant: Variant,
        /// What has it.
        id: BinaryId,
    },
}

impl RegisterError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Archive(path) => Some(format!(
                "`llama-orch binary install VERSION --from-file {path}` installs it"
            )),
            Self::OtherFile(_) | Self::NoServer(_) | Self::TooMuch { .. } => Some(
                "name the folder that `llama-server` was built in, with the libraries beside it"
                    .to_owned(),
            ),
            Self::Ours(_) => None,
            Self::LinkLeaves { .. } | Self::Dangling { .. } | Self::Kind(_) => Some(
                "with `--link` the build stays where it is, and nothing of it is copied".to_owned(),
            ),
            Self::Taken { id, .. } => Some(format!(
                "choose another `--version`, or take that build away with `llama-orch binary remove {id}`"
            )),
        }
    }
}
