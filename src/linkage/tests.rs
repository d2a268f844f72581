//! What is read of whole files, and that nothing is to be feared of broken ones.

use proptest::prelude::*;

use super::fixture::{Elf, macho, pe};
use super::*;

fn parsed(bytes: &[u8]) -> Linkage {
    parse(bytes).expect("whole").expect("a library")
}

#[test]
fn a_library_of_linux_says_what_it_needs_and_where_it_looks() {
    let bytes = Elf::default()
        .with_library("libllama.so.0")
        .with_versions("libstdc++.so.6", &["GLIBCXX_3.4.32", "CXXABI_1.3.9"])
        .with_versions("libc.so.6", &["GLIBC_2.38", "GLIBC_2.2.5", "GLIBC_2.9"])
        .with_run_path("$ORIGIN:/home/runner/build/bin:")
        .bytes();
    assert_eq!(
        parsed(&bytes),
        Linkage {
            format: Format::Elf,
            libraries: ["libllama.so.0", "libstdc++.so.6", "libc.so.6"]
                .map(str::to_owned)
                .into(),
            run_path: ["$ORIGIN", "/home/runner/build/bin"]
                .map(str::to_owned)
                .into(),
            needs: Some(Glibc::new(2, 38)),
            offers: None,
        }
    );
}

#[test]
fn glibc_says_which_one_it_is() {
    let bytes = Elf::default()
        .offering(&[
            "libc.so.6",
            "GLIBC_2.2.5",
            "GLIBC_2.36",
            "GLIBC_2.4",
            "GLIBC_PRIVATE",
        ])
        .bytes();
    assert_eq!(parsed(&bytes).offers, Some(Glibc::new(2, 36)));
}

#[test]
fn relative_relocations_ask_for_the_loader_that_knows_them() {
    let bytes = Elf::default()
        .with_versions("libc.so.6", &["GLIBC_2.34", "GLIBC_ABI_DT_RELR"])
        .bytes();
    assert_eq!(parsed(&bytes).needs, Some(Glibc::new(2, 36)));
}

#[test]
fn libraries_of_other_systems_name_theirs() {
    let windows = parsed(&pe(&["ggml-base.dll", "cudart64_12.dll", "KERNEL32.dll"]));
    assert_eq!(windows.format, Format::Pe);
    assert_eq!(
        windows.libraries,
        ["ggml-base.dll", "cudart64_12.dll", "KERNEL32.dll"]
    );
    let mac = parsed(&macho(&[
        "@rpath/libggml.0.dylib",
        "/usr/lib/libSystem.B.dylib",
    ]));
    assert_eq!(mac.format, Format::MachO);
    assert_eq!(
        mac.libraries,
        ["@rpath/libggml.0.dylib", "/usr/lib/libSystem.B.dylib"]
    );
    assert_eq!(parsed(&pe(&[])).libraries, [""; 0]);
}

#[test]
fn what_is_no_program_is_nothing() {
    for bytes in [
        "",
        "MIT",
        "\x7fELF",
        "#!/bin/sh\necho 'version: 9001 (abc)'\n",
    ] {
        assert!(matches!(parse(bytes.as_bytes()), Ok(None)), "{bytes}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_damaged() {
    let bytes = Elf::default().with_glibc("2.34").bytes();
    let error = parse(&bytes[..bytes.len() - 1]).expect_err("cut");
    assert!(matches!(error, LinkageError::Damaged(_)), "{error}");
}

#[test]
fn a_list_that_claims_to_go_on_for_ever_is_given_up() {
    let mut elf = Elf::default();
    for _ in 0..3 {
        elf = elf.with_versions("libc.so.6", &["GLIBC_2.34"; 2]);
    }
    let mut bytes = elf.bytes();
    let whole = parsed(&bytes);
    // Every list of versions says it has 65,535 of them, the last of which follows upon itself.
    let table: Vec<usize> = (0..bytes.len() - 16)
        .filter(|at| bytes[*at..].starts_with(&[1, 0, 2, 0]))
        .collect();
    assert_eq!(table.len(), 3, "{whole:?}");
    for at in table {
        bytes[at + 2..at + 4].copy_from_slice(&[0xff, 0xff]);
    }
    let error = parse(bytes.as_slice()).expect_err("endless");
    assert_eq!(error.to_string(), "it is damaged: a table of it has no end");
}

/// Small files of every kind.
fn files() -> impl Strategy<Value = Vec<u8>> {
    let elf = Elf::default()
        .with_library("libllama.so.0")
        .with_run_path("$ORIGIN")
        .with_glibc("2.38")
        .offering(&["GLIBC_2.36"])
        .bytes();
    let pe = pe(&["ggml.dll", "KERNEL32.dll"]);
    let macho = macho(&["@rpath/libggml.0.dylib"]);
    prop::sample::select(vec![elf, pe, macho])
}

proptest! {
    #[test]
    fn no_damage_to_a_file_does_harm(
        mut bytes in files(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        end in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(Some(linkage)) = parse(bytes.as_slice()) {
            prop_assert!(linkage.libraries.len() <= MAX_ENTRIES);
        }
    }

    #[test]
    fn no_bytes_after_a_true_beginning_do_harm(
        kind in 0_usize..6,
        rest in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        let beginnings: [&[u8]; 6] = [
            b"\x7fELF\x02\x01\x01", b"\x7fELF\x01\x02\x01", b"MZ",
            b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xce", b"\xca\xfe\xba\xbe",
        ];
        let bytes = [beginnings[kind], &rest].concat();
        let _ = parse(bytes.as_slice());
    }
}
