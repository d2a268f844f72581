//! Who may do what with the files of a root: those that are run, those that decide what is run, and
//! secrets.

use camino::{Utf8Path, Utf8PathBuf};

use super::os;
use crate::doctor::facts::Access;
use crate::instance::EnvironmentValue;
use crate::manifest::Manifest;
use crate::root::{Root, RootError};

/// So many files are looked at, whatever somebody has put there.
const MOST: usize = 50_000;

/// Who else may do what with a file or folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    /// Everybody may change it.
    pub(super) written_by_all: bool,
    /// Members of its group may.
    pub(super) written_by_group: bool,
    /// Others than its owner may read it.
    pub(super) read_by_others: bool,
}

/// Looks at the modes of everything that matters.
pub(super) fn look(root: &Root, manifest: Option<&Manifest>) -> Access {
    let mut looker = Looker {
        root: root.path(),
        access: Access::default(),
    };
    for path in [root.path().to_owned(), root.manifest(), root.lock()] {
        looker.one(&path);
    }
    for folder in [root.bins(), root.configs(), root.state()] {
        looker.all(folder);
    }
    for path in manifest.into_iter().flat_map(secrets) {
        looker.secret(&path);
    }
    let mut access = looker.access;
    if !os::HAS_MODES {
        access.untold = Some("modes are not what decides on this system".to_owned());
    }
    let state = std::fs::symlink_metadata(root.state());
    access.state_open = state.is_ok_and(|metadata| os::modes(&metadata).read_by_others);
    match root.check_writable(true) {
        Err(RootError::OtherUser { owner, user, .. }) => access.other_owner = Some((owner, user)),
        Err(error) => access.unseen.push(error.to_string()),
        Ok(()) => {}
    }
    if let Err(RootError::Network { kind, .. }) = root.check_writable(false) {
        access.network = Some(kind.to_owned());
    }
    let closed = [root.path().to_owned(), root.state(), root.bins()]
        .into_iter()
        .find(|folder| folder.is_dir() && !os::may_write(folder));
    // Whose it is says that already.
    access.closed = closed.filter(|_| access.other_owner.is_none());
    access
}

/// The files that instances take secrets from.
fn secrets(manifest: &Manifest) -> Vec<Utf8PathBuf> {
    let values = manifest.instances.values().flat_map(|instance| {
        let env = instance.env.values();
        env.chain(&instance.server.api_key)
    });
    let mut paths: Vec<Utf8PathBuf> = values
        .filter_map(|value| match value {
            EnvironmentValue::File(path) => Some(path.clone()),
            EnvironmentValue::Literal(_) | EnvironmentValue::FromEnv(_) => None,
        })
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

struct Looker<'a> {
    root: &'a Utf8Path,
    access: Access,
}

impl Looker<'_> {
    /// A path as it is shown: relative to the root where it lies below.
    fn shown(&self, path: &Utf8Path) -> Utf8PathBuf {
        match path.strip_prefix(self.root) {
            Ok(below) if below.as_str().is_empty() => path.to_owned(),
            Ok(below) => below.to_owned(),
            Err(_) => path.to_owned(),
        }
    }

    /// Looks at one file or folder; a link has no mode of its own. Says whether it is a folder.
    fn one(&mut self, path: &Utf8Path) -> bool {
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
            Err(error) => {
                let shown = self.shown(path);
                self.access.unseen.push(format!("{shown}: {error}"));
                return false;
            }
        };
        if metadata.is_symlink() {
            return false;
        }
        self.access.looked_at += 1;
        let modes = os::modes(&metadata);
        if modes.written_by_all {
            self.access.by_all.push(self.shown(path));
        } else if modes.written_by_group {
            self.access.by_group.push(self.shown(path));
        }
        metadata.is_dir()
    }

    /// Looks at a folder and everything below it.
    fn all(&mut self, folder: Utf8PathBuf) {
        let mut left = vec![folder];
        while let Some(path) = left.pop() {
            if self.access.looked_at >= MOST {
                let why = format!("more than {MOST} files and folders");
                self.access.unseen.push(why);
                return;
            }
            if !self.one(&path) {
                continue;
            }
            match path.read_dir_utf8() {
                Ok(entries) => {
                    let mut below: Vec<Utf8PathBuf> = entries
                        .flatten()
                        .map(camino::Utf8DirEntry::into_path)
                        .collect();
                    below.sort();
                    left.extend(below.into_iter().rev());
                }
                Err(error) => {
                    let shown = self.shown(&path);
                    self.access.unseen.push(format!("{shown}: {error}"));
                }
            }
        }
    }

    fn secret(&mut self, path: &Utf8Path) {
        let full = self.root.join(path);
        if std::fs::metadata(full).is_ok_and(|metadata| os::modes(&metadata).read_by_others) {
            self.access.secrets.push(path.to_owned());
        }
    }
}
