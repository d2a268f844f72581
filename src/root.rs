//! The root: the folder of `orchestrator.yaml`, how it is found, and where everything in it lies.

#[cfg_attr(unix, path = "root/unix.rs")]
#[cfg_attr(windows, path = "root/windows.rs")]
mod os;

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::durable::{self, FileError};

/// The manifest's file name.
pub const MANIFEST: &str = "orchestrator.yaml";
/// The lock's file name.
pub const LOCK: &str = "orchestrator.lock";
/// The folder that builds are installed in.
pub const BINS: &str = "bins";
/// The folder of what is ours alone.
pub const STATE: &str = ".llama-orch";
/// The variable that names a root.
pub const VARIABLE: &str = "LLAMA_ORCH_ROOT";

/// The folder that a manifest and everything that belongs to it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(Utf8PathBuf);

/// Why there is no root to work in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// The folder that was named has no manifest, or is not there.
    #[error("there is no `{MANIFEST}` in `{0}`")]
    NoManifest(Utf8PathBuf),
    /// Neither this folder nor one above it has a manifest.
    #[error("there is no `{MANIFEST}` in `{0}` or any folder above it")]
    NotFound(Utf8PathBuf),
    /// The folder could not be looked at.
    #[error("cannot look into `{path}`")]
    Unreadable {
        /// The folder.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is not UTF-8.
    #[error("the path of the current folder is not UTF-8 text")]
    NotUtf8,
    /// Locks and renames cannot be trusted there.
    #[error("`{path}` lies on a network file system ({kind})")]
    Network {
        /// The folder.
        path: Utf8PathBuf,
        /// Which file system.
        kind: &'static str,
    },
    /// Someone else owns it.
    #[error("`{path}` belongs to user {owner}, and this is user {user}")]
    OtherUser {
        /// The folder.
        path: Utf8PathBuf,
        /// The owner's user id.
        owner: u32,
        /// The caller's user id.
        user: u32,
    },
}

impl RootError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoManifest(_) | Self::NotFound(_) => Some(format!(
                "`llama-orch init NAME` writes an `{MANIFEST}`; one that lies elsewhere is named by its folder: `llama-orch -C DIR plan`"
            )),
            Self::Network { .. } => Some(
                "file locks are not reliable there; move the root to a local disk, or say `--allow-network-root`"
                    .to_owned(),
            ),
            Self::OtherUser { owner, .. } => {
                Some(format!("run it as the owner: `sudo -u '#{owner}' llama-orch ...`"))
            }
            Self::Unreadable { .. } | Self::NotUtf8 => None,
        }
    }

    /// Whether it is about who may write, rather than about what was written.
    pub const fn is_permission(&self) -> bool {
        matches!(
            self,
            Self::Network { .. } | Self::OtherUser { .. } | Self::Unreadable { .. }
        )
    }
}

/// Whether this user may write where the machine's own settings lie.
pub fn is_administrator() -> bool {
    os::is_administrator()
}

/// The number of this user, where the system has such numbers.
pub fn user_id() -> Option<u32> {
    os::user_id()
}

impl Root {
    /// The folder that was named, else the nearest one from the current folder upwards that has a
    /// manifest. Never the current folder by accident.
    pub fn find(named: Option<&Utf8Path>) -> Result<Self, RootError> {
        let current = || {
            let current = std::env::current_dir().map_err(|source| RootError::Unreadable {
                path: ".".into(),
                source,
            })?;
            Utf8PathBuf::from_path_buf(current).map_err(|_| RootError::NotUtf8)
        };
        if let Some(named) = named {
            // The current folder may be gone, and does not matter here.
            let path = if named.is_absolute() {
                named.to_owned()
            } else {
                current()?.join(named)
            };
            let path =
                durable::canonical(&path).map_err(|_| RootError::NoManifest(path.clone()))?;
            // A manifest that vanished under a running set-up is for the caller to judge.
            return if path.join(MANIFEST).exists() || path.join(STATE).is_dir() {
                Ok(Self(path))
            } else {
                Err(RootError::NoManifest(path))
            };
        }
        let current = current()?;
        current
            .ancestors()
            .find(|folder| folder.join(MANIFEST).is_file())
            .map(|folder| Self(folder.to_owned()))
            .ok_or(RootError::NotFound(current.clone()))
    }

    /// The same, or else the folder that was named, or the current one, for a manifest that is to be
    /// written there: whether there is one already is the second value.
    pub fn find_or_begin(named: Option<&Utf8Path>) -> Result<(Self, bool), RootError> {
        match Self::find(named) {
            Ok(root) => {
                let is_there = root.manifest().exists();
                Ok((root, is_there))
            }
            Err(RootError::NotFound(folder)) => Ok((Self(folder), false)),
            Err(RootError::NoManifest(folder)) if folder.is_dir() => Ok((Self(folder), false)),
            Err(RootError::NoManifest(path)) => Err(RootError::Unreadable {
                path,
                source: io::ErrorKind::NotFound.into(),
            }),
            Err(error) => Err(error),
        }
    }

    /// A root that is known to be one.
    pub fn new(path: impl Into<Utf8PathBuf>) -> Self {
        Self(path.into())
    }

    /// Refuses a root that this process should not write to.
    pub fn check_writable(&self, allow_network: bool) -> Result<(), RootError> {
        let unreadable = |source| RootError::Unreadable {
            path: self.0.clone(),
            source,
        };
        if let Some((owner, user)) = os::other_owner(&self.0).map_err(unreadable)? {
            let path = self.0.clone();
            return Err(RootError::OtherUser { path, owner, user });
        }
        match os::network_file_system(&self.0).map_err(unreadable)? {
            Some(kind) if !allow_network => Err(RootError::Network {
                path: self.0.clone(),
                kind,
            }),
            _ => Ok(()),
        }
    }

    /// Whose it is, as systemd names users: by number, which is a user's name as well.
    ///
    /// # Errors
    /// It cannot be looked at, or the system has no such numbers.
    pub fn owner(&self) -> io::Result<String> {
        os::owner(&self.0)
    }

    /// The folder itself.
    pub fn path(&self) -> &Utf8Path {
        &self.0
    }

    /// `orchestrator.yaml`
    pub fn manifest(&self) -> Utf8PathBuf {
        self.0.join(MANIFEST)
    }

    /// `orchestrator.lock`
    pub fn lock(&self) -> Utf8PathBuf {
        self.0.join(LOCK)
    }

    /// `instances/`, where the config files are.
    pub fn configs(&self) -> Utf8PathBuf {
        self.0.join("instances")
    }

    /// `bins/`, where builds are installed.
    pub fn bins(&self) -> Utf8PathBuf {
        self.0.join(BINS)
    }

    /// `bin/llama-server`, the legacy single build.
    pub fn legacy_server(&self) -> Utf8PathBuf {
        self.0.join("bin").join(if cfg!(windows) {
            "llama-server.exe"
        } else {
            "llama-server"
        })
    }

    /// `.llama-orch/`
    pub fn state(&self) -> Utf8PathBuf {
        self.0.join(STATE)
    }

    /// `.llama-orch/pass.lock`
    pub fn pass_lock(&self) -> Utf8PathBuf {
        self.state().join("pass.lock")
    }

    /// `.llama-orch/history.jsonl`
    pub fn history(&self) -> Utf8PathBuf {
        self.state().join("history.jsonl")
    }

    /// `.llama-orch/history.1.jsonl` and so on: what it was turned over to, the newest first.
    pub fn history_before(&self, number: u32) -> Utf8PathBuf {
        self.state().join(format!("history.{number}.jsonl"))
    }

    /// `.llama-orch/history.lock`: held while a line is appended.
    pub fn history_lock(&self) -> Utf8PathBuf {
        self.state().join("history.lock")
    }

    /// `.llama-orch/machine.json`: what is true of this machine alone.
    pub fn machine(&self) -> Utf8PathBuf {
        self.state().join("machine.json")
    }

    /// `.llama-orch/watch.lock`: held by the watch that keeps this root.
    pub fn watch_lock(&self) -> Utf8PathBuf {
        self.state().join("watch.lock")
    }

    /// `.llama-orch/watch.json`: what that watch is at.
    pub fn watch_state(&self) -> Utf8PathBuf {
        self.state().join("watch.json")
    }

    /// `.llama-orch/brake.json`: what a person has told watch to hold still.
    pub fn brake(&self) -> Utf8PathBuf {
        self.state().join("brake.json")
    }

    /// `.llama-orch/last-good/`: the files that watch last went by.
    pub fn last_good(&self) -> Utf8PathBuf {
        self.state().join("last-good")
    }

    /// `.llama-orch/told.json`: what people were told of this root.
    pub fn told(&self) -> Utf8PathBuf {
        self.state().join("told.json")
    }

    /// Creates `.llama-orch/`, closed to others and ignored by git.
    pub fn create_state(&self) -> Result<(), FileError> {
        let state = self.state();
        let failed = |source| FileError::Write {
            path: state.clone(),
            source,
        };
        if !state.is_dir() {
            durable::create_closed_folder(&state).map_err(failed)?;
        }
        let ignore = state.join(".gitignore");
        if !ignore.exists() {
            durable::write(&ignore, b"*\n")?;
        }
        Ok(())
    }
}
