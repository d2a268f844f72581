//! Where the files of one instance lie: `.llama-orch/instances/<name>/` below the root.
//!
//! Paths only, and the creation of the folder; what stands in the files is left to [`super::record`]
//! and [`super::state`], and who may write them to the locks that are named here.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::InstanceName;
use crate::durable::{self, Place};

/// The folder of everything that is this machine's own, below the root.
pub const PRIVATE: &str = ".llama-orch";

/// The folder of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFolder {
    root: Utf8PathBuf,
    name: InstanceName,
    path: Utf8PathBuf,
}

impl InstanceFolder {
    /// Names the folder; nothing is created. `root` has to be absolute, for it is handed to a
    /// process that runs in `/`.
    pub fn new(root: &Utf8Path, name: &InstanceName) -> Self {
        let path = root.join(PRIVATE).join("instances").join(name.as_str());
        Self {
            root: root.to_owned(),
            name: name.clone(),
            path,
        }
    }

    /// Creates it, readable for its owner alone, along with the folders above it.
    pub fn create(&self) -> io::Result<()> {
        durable::create_closed_folder(&self.path)
    }

    /// Which folder lies at its path now; `None` when there is none. One that was moved away and
    /// replaced by another is told apart by this.
    pub(crate) fn place(&self) -> io::Result<Option<Place>> {
        durable::place(&self.path)
    }

    /// The root it belongs to.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The instance it belongs to.
    pub fn name(&self) -> &InstanceName {
        &self.name
    }

    /// The folder itself.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// What is wanted and remembered: written by passes and commands.
    pub fn record(&self) -> Utf8PathBuf {
        self.path.join("record.json")
    }

    /// What the supervisor has to say: written by it alone.
    pub fn state(&self) -> Utf8PathBuf {
        self.path.join("state.json")
    }

    /// How the server last ended: written by the supervisor alone.
    pub fn exit(&self) -> Utf8PathBuf {
        self.path.join("exit.json")
    }

    /// Held by whoever changes `record.json` or starts and ends supervisors.
    pub fn instance_lock(&self) -> Utf8PathBuf {
        self.path.join("instance.lock")
    }

    /// Held by the supervisor as long as it lives.
    pub fn supervisor_lock(&self) -> Utf8PathBuf {
        self.path.join("supervisor.lock")
    }

    /// Held by the server and its children as long as one of them lives.
    pub fn server_lock(&self) -> Utf8PathBuf {
        self.path.join("server.lock")
    }

    /// What the server writes to its output.
    pub fn server_log(&self) -> Utf8PathBuf {
        self.path.join("server.log")
    }

    /// What the supervisor notes.
    pub fn supervisor_log(&self) -> Utf8PathBuf {
        self.path.join("supervisor.log")
    }
}

/// The instances that have a folder below `root`, in the order of their names, whether or not the
/// manifest knows them. Folders whose name is not an instance's are passed over.
pub fn list(root: &Utf8Path) -> io::Result<Vec<InstanceName>> {
    let folders = match root.join(PRIVATE).join("instances").read_dir_utf8() {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for folder in folders {
        let folder = folder?;
        if folder.file_type()?.is_dir()
            && let Ok(name) = folder.file_name().parse()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "looks at folders from outside")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lists_what_has_a_folder_and_nothing_else() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let root = Utf8Path::from_path(scratch.path()).expect("a UTF-8 path");
        assert_eq!(list(root).expect("an absent folder is an empty list"), []);
        for name in ["embed", "chat"] {
            InstanceFolder::new(root, &name.parse().expect("a name"))
                .create()
                .expect("created");
        }
        let instances = root.join(".llama-orch/instances");
        std::fs::write(instances.join("a-file"), "").expect("written");
        std::fs::create_dir(instances.join("Not A Name")).expect("created");
        let names: Vec<String> = list(root)
            .expect("readable")
            .into_iter()
            .map(String::from)
            .collect();
        assert_eq!(names, ["chat", "embed"]);
    }

    #[test]
    fn is_closed_to_others() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let root = Utf8Path::from_path(scratch.path()).expect("a UTF-8 path");
        let folder = InstanceFolder::new(root, &"chat".parse().expect("a name"));
        folder.create().expect("created");
        for path in [root.join(PRIVATE), folder.path().to_owned()] {
            let mode = std::fs::metadata(&path)
                .expect("it is there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o700, "{path}");
        }
    }
}
