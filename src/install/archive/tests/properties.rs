//! Whatever an archive holds, nothing of it lands outside of its folder, and what is listed of it
//! is what is there.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::install::tree::{self, Kind};

/// One entry of an archive, well-formed or not.
#[derive(Debug, Clone)]
struct Member {
    name: Vec<u8>,
    kind: EntryType,
    target: String,
    content: Vec<u8>,
    /// How many bytes it claims to have more than it has.
    lie: u64,
}

/// Names made of what makes names hostile.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "B",
        "..",
        ".",
        "",
        "llama-server",
        "a ",
        "c:",
        "\\",
        ".llama-orch.json",
        "ü",
    ]);
    prop_oneof![
        8 => prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn member() -> impl Strategy<Value = Member> {
    let kinds = [
        EntryType::Regular,
        EntryType::Regular,
        EntryType::Symlink,
        EntryType::Directory,
        EntryType::Link,
        EntryType::Fifo,
    ];
    let kind = prop::sample::select(kinds.to_vec());
    let target = prop::sample::select(vec![
        "a",
        "b",
        "../a",
        "..",
        "../..",
        "/etc",
        "a/../../x",
        "",
        ".",
        "llama-server",
    ]);
    let content = prop::collection::vec(any::<u8>(), 0..40);
    let lie = prop_oneof![9 => Just(0), 1 => any::<u64>()];
    (name(), kind, target, content, lie).prop_map(|(name, kind, target, content, lie)| Member {
        name,
        kind,
        target: target.to_owned(),
        content,
        lie,
    })
}

/// What lies below a folder, with its kind.
fn there(folder: &Utf8Path) -> Vec<(String, Kind)> {
    let found = tree::walk(folder).expect("readable");
    found
        .into_iter()
        .map(|found| (found.name, found.kind))
        .collect()
}

/// Checks that beside the tree nothing came to be, and in it only what is listed.
fn check(folder: &Utf8Path, unpacked: Option<&Unpacked>) -> Result<(), TestCaseError> {
    for (name, kind) in there(folder) {
        prop_assert!(name.starts_with("tree/"), "{name}");
        prop_assert!(
            !matches!(kind, Kind::Link { .. }) || unpacked.is_some(),
            "{name}"
        );
    }
    let Some(unpacked) = unpacked else {
        return Ok(());
    };
    let found: BTreeSet<String> = there(&unpacked.root)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let files = unpacked.files.iter().map(|file| &file.path);
    let links = unpacked.links.iter().map(|link| &link.at);
    let listed = files.chain(links).map(ToString::to_string).collect();
    prop_assert_eq!(found, listed);
    for file in &unpacked.files {
        let bytes = std::fs::read(unpacked.root.join(&file.path)).expect("there");
        prop_assert_eq!(Digest::of(&bytes), file.sha256);
        prop_assert_eq!(bytes.len() as u64, file.size);
    }
    // Where a link leads is looked at last; one that leaves is never followed before.
    let _ = crate::install::check::links(&unpacked.root);
    Ok(())
}

fn unpack_each(members: &[Member], into: &Utf8Path) -> Result<Unpacked, ArchiveError> {
    let limits = Limits {
        entries: 12,
        bytes: 200,
        ratio: 100,
    };
    let mut unpacker = Unpacker::new(into, limits)?;
    for member in members {
        unpacker.count()?;
        match member.kind {
            EntryType::Directory => unpacker.folder(&member.name)?,
            EntryType::Symlink => unpacker.symlink(&member.name, member.target.as_bytes())?,
            _ => {
                let length = (member.content.len() as u64).saturating_add(member.lie);
                let mut content = member.content.as_slice();
                unpacker.file(&member.name, false, length, &mut content, || 1)?;
            }
        }
    }
    let all = unpacker.finish();
    all.link()?;
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_entries_leave_the_folder(members in prop::collection::vec(member(), 0..16)) {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let folder = Utf8Path::from_path(scratch.path()).expect("UTF-8");
        let unpacked = unpack_each(&members, &folder.join("tree"));
        check(folder, unpacked.as_ref().ok())?;
    }

    /// The same through the reader of tars, with some of its bytes turned over.
    #[test]
    fn no_tar_leaves_the_folder(
        members in prop::collection::vec(member(), 0..8),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut pack = Pack::empty();
        for member in &members {
            let name = &member.name[..member.name.len().min(100)];
            pack = pack.with(name, member.kind, &member.target);
        }
        let mut bytes = pack.tar();
        for (index, with) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= with;
        }
        let (scratch, unpacked) = unpack(&gzip(&bytes), Limits::DEFAULT);
        let folder = Utf8Path::from_path(scratch.path()).expect("UTF-8");
        let linked = unpacked.and_then(|unpacked| unpacked.link().map(|()| unpacked));
        check(folder, linked.as_ref().ok())?;
    }

    #[test]
    fn no_zip_leaves_the_folder(
        members in prop::collection::vec(member(), 0..8),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut pack = Pack::below("x/");
        for (number, member) in members.iter().enumerate() {
            // The writer of zips refuses two entries of one name.
            let name = format!("{}{number}", String::from_utf8_lossy(&member.name));
            pack = match member.kind {
                EntryType::Symlink => pack.with_link(&name, &member.target),
                _ => pack.with_file(&name, &member.content, 0o644),
            };
        }
        let mut bytes = pack.zip();
        for (index, with) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= with;
        }
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let folder = Utf8Path::from_path(scratch.path()).expect("UTF-8");
        let archive = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = Utf8Path::from_path(archive.path()).expect("UTF-8");
        std::fs::write(path, &bytes).expect("written");
        let unpacked = zip::unpack(path, &folder.join("tree"), Limits::DEFAULT);
        let linked = unpacked.and_then(|unpacked| unpacked.link().map(|()| unpacked));
        check(folder, linked.as_ref().ok())?;
    }
}
