//! Everything that lies below a folder, to be compared with what lies there later.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Each path below a folder with what is known of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Entry>);

/// One file, folder or link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    mode: u32,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    content: Vec<u8>,
}

impl Tree {
    /// Looks at all but what `skip` says, by the path within the folder.
    pub(crate) fn of(folder: &Path, skip: impl Fn(&str) -> bool) -> Self {
        let mut entries = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(&next).expect("readable") {
                let path = entry.expect("readable").path();
                let name = path.strip_prefix(folder).expect("below");
                let name = name.to_str().expect("UTF-8").to_owned();
                if skip(&name) {
                    continue;
                }
                let metadata = path.symlink_metadata().expect("there");
                let content = if metadata.is_file() {
                    std::fs::read(&path).expect("readable")
                } else {
                    Vec::new()
                };
                if metadata.is_dir() {
                    folders.push(path);
                }
                let entry = Entry {
                    mode: metadata.mode(),
                    inode: metadata.ino(),
                    modified: (metadata.mtime(), metadata.mtime_nsec()),
                    content,
                };
                entries.insert(name, entry);
            }
        }
        Self(entries)
    }

    /// The paths alone, one a line.
    pub(crate) fn listing(&self) -> String {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        names.join("\n")
    }

    /// Fails naming the paths in which the two differ.
    #[track_caller]
    pub(crate) fn assert_same(&self, later: &Self) {
        let differ: Vec<&String> = self
            .0
            .keys()
            .chain(later.0.keys())
            .filter(|name| self.0.get(*name) != later.0.get(*name))
            .collect();
        assert!(differ.is_empty(), "changed: {differ:?}");
    }
}
