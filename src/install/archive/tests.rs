//! Archives that mean harm, or were made carelessly.

mod properties;

use ::tar::EntryType;

use super::*;
use crate::install::tests::pack::{Pack, gzip};

/// Unpacks in memory what was packed in memory; `Err` holds the message.
fn unpack(bytes: &[u8], limits: Limits) -> (tempfile::TempDir, Result<Unpacked, ArchiveError>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let into = Utf8Path::from_path(folder.path())
        .expect("UTF-8")
        .join("tree");
    let size = bytes.len() as u64;
    let unpacked = tar::unpack(bytes, || size, &into, limits);
    (folder, unpacked)
}

fn refused(pack: &Pack) -> String {
    let (_folder, unpacked) = unpack(&pack.tar_gz(), Limits::DEFAULT);
    unpacked.expect_err("hostile").to_string()
}

#[test]
fn whatever_is_not_plainly_harmless_is_refused_by_name() {
    let file = |name: &str| Pack::empty().with_file(name, b"x", 0o644);
    let two = |one: &str, other: &str| file(one).with_file(other, b"y", 0o644);
    let link = |name: &str, target: &str| Pack::empty().with_link(name, target);
    let kind = |kind| Pack::empty().with(b"odd", kind, "llama-server");
    let packs = [
        file("../x"),
        file("a/../../x"),
        file("a/../x"),
        file("/etc/cron.d/x"),
        file("a\\..\\x"),
        file("C:x"),
        file("a\nb"),
        file("con."),
        file("a/.LLAMA-orch.json"),
        file(".llama-orch.files.json"),
        Pack::empty().with(b"\xff\xfe", EntryType::Regular, ""),
        Pack::empty().with(b"", EntryType::Regular, ""),
        Pack::empty().with(b".", EntryType::Regular, ""),
        two("a", "a"),
        two("a/B", "a/b"),
        two("a", "a/b"),
        two("a/b", "a"),
        file("A/b").with_file("a/c", b"z", 0o644),
        file("a").with_link("a", "b"),
        link("a", "/etc/passwd"),
        link("a", "../x"),
        link("a/b", "../../x"),
        link("a/b", "c/../../../x"),
        link("a", ""),
        link("a", "b\\c"),
        link("a", "b").with_file("a/x", b"through the link", 0o644),
        kind(EntryType::Link),
        kind(EntryType::Char),
        kind(EntryType::Block),
        kind(EntryType::Fifo),
        kind(EntryType::GNUSparse),
        kind(EntryType::new(b'V')),
    ];
    let told: Vec<String> = packs.iter().map(refused).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    the archive contains the path `../x`, which leaves the archive
    the archive contains the path `a/../../x`, which leaves the archive
    the archive contains the path `a/../x`, which leaves the archive
    the archive contains the path `/etc/cron.d/x`, which leaves the archive
    the archive contains the path `a\\..\\x`, which contains `\` or `:`, which mean something on Windows
    the archive contains the path `C:x`, which contains `\` or `:`, which mean something on Windows
    the archive contains the path `a\nb`, which contains control characters
    the archive contains the path `con.`, which ends with a dot or a space, which Windows drops
    the archive contains the path `a/.LLAMA-orch.json`, which is the name of a file this program writes itself
    the archive contains the path `.llama-orch.files.json`, which is the name of a file this program writes itself
    the archive contains the path `��`, which is not UTF-8
    the archive contains the path ``, which is empty
    the archive contains the path `.`, which names no file
    the archive contains `a` twice
    the archive contains `a/b` twice
    the archive contains `a/b` twice
    the archive contains `a` twice
    the archive contains `a/c` twice
    the archive contains `a` twice
    the archive contains the link `a` to `/etc/passwd`, which leaves the archive
    the archive contains the link `a` to `../x`, which leaves the archive
    the archive contains the link `a/b` to `../../x`, which leaves the archive
    the archive contains the link `a/b` to `c/../../../x`, which leaves the archive
    the archive contains the link `a` to ``, which leaves the archive
    the archive contains the link `a` to `b\\c`, which leaves the archive
    the archive contains `a/x` twice
    the archive contains `odd`, which is a hard link
    the archive contains `odd`, which is a device
    the archive contains `odd`, which is a device
    the archive contains `odd`, which is a pipe
    the archive cannot be read
    the archive contains `odd`, which is of an unknown kind
    "#);
}

#[test]
fn nothing_is_written_outside_and_no_link_is_made_before_it_is_time() {
    let pack = Pack::release().with_file("../outside", b"x", 0o644);
    let (folder, unpacked) = unpack(&pack.tar_gz(), Limits::DEFAULT);
    unpacked.expect_err("hostile");
    assert!(!folder.path().join("outside").exists());
    assert!(
        !folder
            .path()
            .join("tree/llama-b9001/libllama.so")
            .is_symlink()
    );
}

#[test]
fn a_folder_that_a_link_points_through_cannot_be_left_by_it() {
    // `d` is a link to a folder, so `d/..` is not what its text suggests; the final look at
    // where each link ends catches what reading the text cannot.
    let pack = Pack::empty()
        .with_file("a/b/file", b"x", 0o644)
        .with_link("d", "a/b")
        .with_link("e", "d/../../../outside");
    let told = refused(&pack);
    assert!(told.contains("leaves the archive"), "{told}");
}

#[cfg(unix)]
#[test]
fn modes_are_reduced_to_what_a_build_needs() {
    use std::os::unix::fs::PermissionsExt as _;
    let pack = Pack::empty()
        .with_file("setuid", b"x", 0o4755)
        .with_file("writable", b"x", 0o666)
        .with_file("elf-without-mode", b"\x7fELF...", 0o644)
        .with_file("empty", b"", 0o755);
    let (folder, unpacked) = unpack(&pack.tar_gz(), Limits::DEFAULT);
    unpacked.expect("harmless");
    let mode = |name: &str| {
        let metadata = std::fs::metadata(folder.path().join("tree").join(name)).expect("a file");
        metadata.permissions().mode() & 0o7777
    };
    // The process's own umask may take more away, never add.
    assert_eq!(mode("setuid") & !0o755, 0);
    assert_eq!(mode("writable") & !0o644, 0);
    assert_ne!(mode("elf-without-mode") & 0o100, 0);
    assert_ne!(mode("empty") & 0o100, 0);
}

#[test]
fn an_archive_may_not_hold_more_than_any_release() {
    let limits = |entries, bytes, ratio| Limits {
        entries,
        bytes,
        ratio,
    };
    let pack = Pack::empty()
        .with_file("a", b"12345", 0o644)
        .with_file("b", b"12345", 0o644);
    let told = |limits| {
        unpack(&pack.tar_gz(), limits)
            .1
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(told(limits(2, 10, 100)), Ok(()));
    assert_eq!(
        told(limits(1, 10, 100)),
        Err("the archive has more than 1 entries".to_owned())
    );
    assert_eq!(
        told(limits(2, 9, 100)),
        Err("the archive unpacks to more than 9 bytes".to_owned())
    );
}

#[test]
fn a_bomb_is_told_by_how_densely_it_is_packed() {
    let size = usize::try_from(Limits::RATIO_FROM).expect("64 bits") + 1024 * 1024;
    let bytes = Pack::empty()
        .with_file("zeros", &vec![0; size], 0o644)
        .tar_gz();
    let (_folder, unpacked) = unpack(&bytes, Limits::DEFAULT);
    assert!(
        matches!(unpacked, Err(ArchiveError::TooDense { .. })),
        "{unpacked:?}"
    );
}

#[test]
fn a_name_that_claims_to_be_long_does_not_fill_the_memory() {
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(64 * 1024 * 1024);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(64 * 1024 * 1024, b'a');
    let (_folder, unpacked) = unpack(&gzip(&bytes), Limits::DEFAULT);
    let error = unpacked.expect_err("far too long");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert!(cause.contains("between its entries"), "{cause}");
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let whole = Pack::release().tar_gz();
    for length in (0..whole.len()).step_by(7) {
        let (_folder, unpacked) = unpack(&whole[..length], Limits::DEFAULT);
        assert!(unpacked.is_err(), "{length} of {} bytes", whole.len());
    }
    let tar = Pack::release().tar();
    // Cut before the end marker, but inside the packing all is well: no file may be short.
    for length in (512..3 * 512).step_by(100) {
        let (_folder, unpacked) = unpack(&gzip(&tar[..length]), Limits::DEFAULT);
        let short = |unpacked: &Unpacked| unpacked.files.len() < 3;
        assert!(
            unpacked.as_ref().is_err() || unpacked.as_ref().is_ok_and(short),
            "{length}"
        );
    }
}

#[test]
fn what_is_no_archive_at_all_is_refused() {
    for bytes in [
        b"".as_slice(),
        b"<html>",
        &gzip(
            b"not a tar, but long enough to look like one"[..]
                .repeat(20)
                .as_slice(),
        ),
    ] {
        let (_folder, unpacked) = unpack(bytes, Limits::DEFAULT);
        assert!(unpacked.is_err() || unpacked.is_ok_and(|unpacked| unpacked.files.is_empty()));
    }
}

#[test]
fn a_zip_is_held_to_the_same() {
    let unzip = |bytes: &[u8], limits| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Utf8Path::from_path(folder.path()).expect("UTF-8");
        std::fs::write(root.join("x.zip"), bytes).expect("a file");
        let unpacked = zip::unpack(&root.join("x.zip"), &root.join("tree"), limits);
        unpacked
            .map(|unpacked| unpacked.files.len())
            .map_err(|error| error.to_string())
    };
    let good = Pack::release().zip();
    assert_eq!(unzip(&good, Limits::DEFAULT), Ok(3));
    let one = Limits {
        entries: 1,
        ..Limits::DEFAULT
    };
    assert_eq!(
        unzip(&good, one),
        Err("the archive has more than 1 entries".to_owned())
    );
    let few = Limits {
        bytes: 10,
        ..Limits::DEFAULT
    };
    assert_eq!(
        unzip(&good, few),
        Err("the archive unpacks to more than 10 bytes".to_owned())
    );
    for name in ["../x", "/x", "a/../../x", "a\\b"] {
        let bytes = Pack::empty().with_file(name, b"x", 0o644).zip();
        assert!(unzip(&bytes, Limits::DEFAULT).is_err(), "{name}");
    }
    let escaping = Pack::empty().with_link("a", "../x").zip();
    assert!(unzip(&escaping, Limits::DEFAULT).is_err());
    for length in (0..good.len()).step_by(11) {
        assert!(
            unzip(&good[..length], Limits::DEFAULT).is_err(),
            "{length} bytes"
        );
    }
    // A damaged byte of content is caught by the checksum.
    let mut damaged = good.clone();
    let field = |at: usize| usize::from(u16::from_le_bytes([good[at], good[at + 1]]));
    let at = 30 + field(26) + field(28);
    damaged[at] ^= 1;
    assert!(unzip(&damaged, Limits::DEFAULT).is_err());
}
