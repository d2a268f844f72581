//! What `--version` prints in builds of all ages, and links as releases have had them.

use std::process::Command;

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

fn linked(links: &[(&str, &str)]) -> (tempfile::TempDir, Result<(), ArchiveError>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Utf8Path::from_path(folder.path())
        .expect("UTF-8")
        .join("build");
    std::fs::create_dir(&root).expect("a folder");
    std::fs::write(root.join("libllama.so.0.0.1"), "x").expect("a file");
    for (at, target) in links {
        super::super::system::symlink(target, &root.join(at)).expect("a link");
    }
    let checked = super::links(&root);
    (folder, checked)
}

#[test]
fn chains_of_links_end_in_a_file() {
    let (_folder, checked) = linked(&[
        ("libllama.so", "libllama.so.0"),
        ("libllama.so.0", "libllama.so.0.0.1"),
    ]);
    checked.expect("whole");
}

#[test]
fn links_that_end_nowhere_outside_or_in_themselves_are_refused() {
    let told = |links: &[(&str, &str)]| linked(links).1.expect_err("broken").to_string();
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

#[test]
fn the_library_a_loader_did_not_find_is_named() {
    let said = "./llama-server: error while loading shared libraries: libgomp.so.1: cannot open shared object file: No such file or directory";
    assert_eq!(missing_library(said), Some("libgomp.so.1"));
    for other in [
        "./llama-server: error while loading shared libraries: libx.so: file too short",
        "./llama-server: /lib/libc.so.6: version `GLIBC_2.38' not found",
        "",
    ] {
        assert_eq!(missing_library(other), None, "{other}");
    }
}

/// Builds a program and the library it is linked with, which it looks for in a folder that is not
/// there. `None` where there is no compiler of C.
#[cfg(target_os = "linux")]
fn with_a_wrong_run_path(root: &Utf8Path) -> Option<Utf8PathBuf> {
    let sources = [
        ("llama.c", "int number(void) { return 7572; }\n"),
        (
            "server.c",
            "#include <stdio.h>\nint number(void);\nint main(void) { fprintf(stderr, \"version: %d (c1366056)\\n\", number()); return 0; }\n",
        ),
    ];
    for (name, text) in sources {
        std::fs::write(root.join(name), text).expect("a source");
    }
    let compile = |arguments: &[&str]| {
        let status = Command::new("cc")
            .args(arguments)
            .current_dir(root)
            .status()
            .ok()?;
        status.success().then_some(())
    };
    compile(&[
        "-shared",
        "-fPIC",
        "-Wl,-soname,libllama.so.0",
        "-o",
        "libllama.so.0",
        "llama.c",
    ])?;
    compile(&[
        "-o",
        "llama-server",
        "server.c",
        "libllama.so.0",
        "-Wl,-rpath,/nowhere/build/bin",
    ])?;
    Some(root.join("llama-server"))
}

#[cfg(target_os = "linux")]
#[test]
fn a_build_that_looks_for_its_libraries_where_it_was_built_still_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Utf8Path::from_path(folder.path()).expect("UTF-8");
    let Some(program) = with_a_wrong_run_path(root) else {
        #[expect(clippy::print_stderr, reason = "says why nothing was tested")]
        {
            eprintln!("skipped: there is no `cc`");
        }
        return;
    };
    let alone = Command::new(&program)
        .env_clear()
        .output()
        .expect("it can be run");
    assert!(!alone.status.success(), "its run path is right after all");

    let executables = ["libllama.so.0", "llama-server"].map(str::to_owned);
    let remarks = needs(
        root,
        &executables,
        crate::release::host::Libc::Unknown,
        true,
    );
    assert_eq!(remarks.expect("everything is beside it"), [""; 0]);
    let build = "b7572".parse().expect("a build");
    let wanted = AtomicBool::new(false);
    let said = version(&program, &build, true, &wanted);
    assert_eq!(said.expect("it runs"), None);
}
