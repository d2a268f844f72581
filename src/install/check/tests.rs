//! What `--version` prints in builds of all ages, and links as releases have had them.

use super::*;

#[test]
fn both_forms_of_the_version_are_read() {
    let said = [
        (
            "version: 7572 (c1366056)\nbuilt with cc for x86_64-linux-gnu\n",
            Some(7572),
        ),
        (
            "version: 0.1.0-dev (build 10453, commit 3cb7ffb1a)\nbuilt with GNU 12\n",
            Some(10453),
        ),
        (
            "ggml_vulkan: Found 1 devices:\nversion: 0.9.0 (build 12110, commit abc)\n",
            Some(12110),
        ),
        ("version: 1 (unknown)", Some(1)),
        ("version: 99999999999 (x)", None),
        ("version: 0.9.0 (commit abc)", None),
        ("version: x (y)", None),
        ("build 7", None),
        ("", None),
    ];
    for (text, wanted) in said {
        assert_eq!(reported(text), wanted, "{text}");
    }
}

fn tree(links: &[(&str, &str)]) -> (tempfile::TempDir, Result<Inventory, ArchiveError>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Utf8Path::from_path(folder.path())
        .expect("UTF-8")
        .join("build");
    std::fs::create_dir(&root).expect("a folder");
    std::fs::write(root.join("libllama.so.0.0.1"), "x").expect("a file");
    for (at, target) in links {
        super::super::system::symlink(target, &root.join(at)).expect("a link");
    }
    let inventory = inventory(&root);
    (folder, inventory)
}

#[test]
fn chains_of_links_end_in_a_file() {
    let (_folder, inventory) = tree(&[
        ("libllama.so", "libllama.so.0"),
        ("libllama.so.0", "libllama.so.0.0.1"),
    ]);
    let inventory = inventory.expect("whole");
    assert_eq!(inventory.executables, ["libllama.so.0.0.1"]);
    assert_eq!(inventory.bytes, 1);
}

#[test]
fn links_that_end_nowhere_outside_or_in_themselves_are_refused() {
    let told = |links: &[(&str, &str)]| tree(links).1.expect_err("broken").to_string();
    let lines = [
        told(&[("libllama.so", "libllama.so.0")]),
        told(&[("libllama.so", "llama-b9165ibllama.so.0")]),
        told(&[("libllama.so", "../..")]),
        told(&[("a", "b"), ("b", "a")]).replace("`b` to `a`", "`a` to `b`"),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    the archive contains the link `libllama.so` to `libllama.so.0`, which is not in it
    the links of this release were damaged when it was published: `libllama.so` points to `llama-b9165ibllama.so.0`
    the archive contains the link `libllama.so` to `../..`, which leaves the archive
    the archive contains the link `a` to `b`, which is not in it
    "#);
}

#[test]
fn programs_and_libraries_are_told_from_the_rest() {
    let names = [
        ("llama-server", true),
        ("llama", true),
        ("ggml-rpc-server", true),
        ("llama-server.exe", true),
        ("ggml-base.dll", true),
        ("libllama.so.0.0.9001", true),
        ("libllama.0.dylib", true),
        ("rocblas/library/x.dat", false),
        ("LICENSE", false),
        ("llama.md", false),
    ];
    for (name, wanted) in names {
        assert_eq!(is_executable(name), wanted, "{name}");
    }
}
