//! Builds that are whole, short of something, or made for a newer system.

use super::*;
use crate::install::check::is_executable;
use crate::install::system;
use crate::install::tree::Kind;
use crate::linkage::fixture::{Elf, macho, pe};

/// A build's folder with these files, each but the server in the role its name says.
struct Tree {
    _folder: tempfile::TempDir,
    root: Utf8PathBuf,
    executables: Vec<String>,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("a UTF-8 path");
        Self {
            _folder: folder,
            root,
            executables: Vec::new(),
        }
    }

    fn with(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.root.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
        self.executables.push(name.to_owned());
        self
    }

    fn with_link(self, at: &str, target: &str) -> Self {
        system::symlink(target, &self.root.join(at)).expect("a link");
        self
    }

    fn check(&self, libc: Libc, strict: bool) -> Result<Vec<String>, CheckError> {
        needs(&self.root, &self.executables, libc, strict)
    }

    /// What is said of a release of llama.cpp on a machine with this glibc.
    fn told(&self, glibc: &str) -> String {
        let libc = Libc::Glibc(glibc.parse().expect("a version"));
        match self.check(libc, true) {
            Ok(remarks) if remarks.is_empty() => "fine".to_owned(),
            Ok(remarks) => remarks.join("; "),
            Err(error) => format!("error: {error}; hint: {}", error.hint().expect("a hint")),
        }
    }
}

/// A server of today: a launcher, what it is linked with by the middle name, and two backends.
fn release() -> Tree {
    let brought = |libraries: &[&str]| {
        let elf = Elf::default().with_run_path("$ORIGIN").with_glibc("2.34");
        libraries
            .iter()
            .fold(elf, |elf, name| elf.with_library(name))
            .bytes()
    };
    Tree::new()
        .with(
            "llama-server",
            brought(&["libllama.so.0", "libstdc++.so.6"]),
        )
        .with("libllama.so.0.6.0", brought(&["libggml-base.so.0"]))
        .with_link("libllama.so.0", "libllama.so.0.6.0")
        .with("libggml-base.so.0.26.0", brought(&[]))
        .with_link("libggml-base.so.0", "libggml-base.so")
        .with_link("libggml-base.so", "libggml-base.so.0.26.0")
        .with(
            "libggml-cpu-haswell.so",
            brought(&["libggml-base.so.0", "libgomp.so.1"]),
        )
}

fn cuda() -> Vec<u8> {
    Elf::default()
        .with_library("libcudart.so.12")
        .with_library("libcuda.so.1")
        .with_glibc("2.38")
        .bytes()
}

#[test]
fn a_whole_build_finds_everything_through_its_links() {
    assert_eq!(release().told("2.36"), "fine");
}

#[test]
fn a_library_that_is_not_beside_is_missed_by_name() {
    let short = Tree::new()
        .with(
            "llama-server",
            Elf::default().with_library("libllama.so.0").bytes(),
        )
        .with("libllama.so.0.6.0", Elf::default().bytes());
    let lines = [
        short.told("2.36"),
        release().with("libggml-cuda.so", cuda()).told("2.39"),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    error: `llama-server` needs `libllama.so.0`, which is not beside it; hint: the build was published incomplete; pin another one
    error: `libggml-cuda.so` needs `libcudart.so.12`, which is not beside it; hint: the CUDA runtime comes in the `cudart-` archive of the same build; pin a build that was published with it
    ");
}

#[test]
fn the_runtime_of_cuda_may_lie_beside_or_where_the_run_path_says() {
    let beside = release()
        .with("libggml-cuda.so", cuda())
        .with("libcudart.so.12", Elf::default().bytes());
    assert_eq!(beside.told("2.38"), "fine");
    let below = Elf::default()
        .with_library("libcublasLt.so.12")
        .with_run_path("/usr/local/cuda/lib64:${ORIGIN}/cuda")
        .bytes();
    let below = release()
        .with("libggml-cuda.so", below)
        .with("cuda/libcublasLt.so.12", Elf::default().bytes());
    assert_eq!(below.told("2.38"), "fine");
    // A backend in a folder of its own is loaded by a server whose folder is in the library path.
    let inner = Elf::default().with_library("libggml-base.so.0").bytes();
    assert_eq!(
        release()
            .with("backends/libggml-rpc.so", inner)
            .told("2.38"),
        "fine"
    );
    let outside = Elf::default()
        .with_library("libcudart.so.12")
        .with_run_path("$ORIGIN/../cuda")
        .bytes();
    assert!(
        release()
            .with("libggml-cuda.so", outside)
            .told("2.38")
            .starts_with("error")
    );
}

#[test]
fn a_build_made_elsewhere_may_find_its_libraries_elsewhere() {
    let remarks = release()
        .with("libggml-cuda.so", cuda())
        .check(Libc::Unknown, false)
        .expect("usable");
    assert_eq!(
        remarks,
        ["`libggml-cuda.so` needs `libcudart.so.12`, which is not beside it"]
    );
}

#[test]
fn a_server_made_for_a_newer_system_is_refused_before_it_is_run() {
    let newer = |file: &str| release().with(file, Elf::default().with_glibc("2.38").bytes());
    let lines = [
        newer("llama-server").told("2.36"),
        newer("libggml-base.so.0.26.0").told("2.37"),
        newer("libggml-base.so.0.26.0").told("2.38"),
        // Neither the server nor loaded by it.
        newer("llama-bench").told("2.36"),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    error: `llama-server` needs glibc 2.38, and this machine has 2.36; hint: pin a variant or a build that was made on an older system
    error: `libggml-base.so.0.26.0` needs glibc 2.38, and this machine has 2.37; hint: pin a variant or a build that was made on an older system
    fine
    fine
    ");
    let error = release()
        .check(Libc::Musl, true)
        .expect_err("no glibc at all");
    assert_eq!(
        error.to_string(),
        "`llama-server` needs glibc 2.34, and this machine has none"
    );
    assert_eq!(
        newer("llama-server")
            .check(Libc::Unknown, true)
            .expect("not known"),
        [""; 0]
    );
}

#[test]
fn a_backend_made_for_a_newer_system_is_remarked_upon() {
    let newer = |version: &str| Elf::default().with_glibc(version).bytes();
    let one = release().with("libggml-vulkan.so", newer("2.38"));
    let two = release()
        .with("libggml-rpc.so", newer("2.37"))
        .with("libggml-vulkan.so", newer("2.38"));
    insta::assert_snapshot!([one.told("2.36"), two.told("2.36")].join("\n"), @r"
    `libggml-vulkan.so` cannot be used here: glibc 2.38 is needed, and this machine has 2.36
    `libggml-rpc.so` (and 1 more) cannot be used here: glibc 2.38 is needed, and this machine has 2.36
    ");
}

#[test]
fn only_a_damaged_server_is_refused() {
    let whole = Elf::default().with_glibc("2.34").bytes();
    let cut = &whole[..whole.len() - 1];
    let lines = [
        release().with("llama-server", cut).told("2.36"),
        release().with("libggml-vulkan.so", cut).told("2.36"),
        release()
            .with("llama-server", "#!/bin/sh\nexec ./real\n")
            .told("2.36"),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    error: cannot read `llama-server` as a program; hint: the build was published incomplete; pin another one
    `libggml-vulkan.so` was not looked into: it is damaged: a table of it lies outside the file or contradicts another
    fine
    ");
}

#[test]
fn builds_for_other_systems_are_held_to_the_same() {
    let windows = Tree::new()
        .with(
            "llama-server.exe",
            pe(&["llama-server-impl.dll", "KERNEL32.dll"]),
        )
        .with(
            "Llama-Server-Impl.dll",
            pe(&["GGML-BASE.dll", "VCRUNTIME140.dll"]),
        )
        .with("ggml-base.dll", pe(&[]))
        .with(
            "ggml-cuda.dll",
            pe(&["ggml-base.dll", "cublas64_12.dll", "nvcuda.dll"]),
        );
    let mac = Tree::new()
        .with(
            "llama-server",
            macho(&["@rpath/libllama.0.dylib", "/usr/lib/libSystem.B.dylib"]),
        )
        .with(
            "libllama.0.0.1.dylib",
            macho(&["@loader_path/libggml.0.dylib"]),
        )
        .with_link("libllama.0.dylib", "libllama.0.0.1.dylib");
    let lines = [
        windows.told("2.36"),
        windows.with("cublas64_12.dll", pe(&[])).told("2.36"),
        mac.told("2.36"),
        mac.with("libggml.0.dylib", macho(&[])).told("2.36"),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    error: `ggml-cuda.dll` needs `cublas64_12.dll`, which is not beside it; hint: the CUDA runtime comes in the `cudart-` archive of the same build; pin a build that was published with it
    fine
    error: `libllama.0.0.1.dylib` needs `@loader_path/libggml.0.dylib`, which is not beside it; hint: the build was published incomplete; pin another one
    fine
    ");
}

#[test]
fn libraries_of_the_system_are_left_to_the_loader() {
    let table = [
        (Format::Elf, "libggml-base.so.0", true),
        (Format::Elf, "libggml.so", true),
        (Format::Elf, "libggmlx.so", false),
        (Format::Elf, "libllama-server-impl.so", true),
        (Format::Elf, "libmtmd.so.0", true),
        (Format::Elf, "libcublasLt.so.13", true),
        (Format::Elf, "libcuda.so.1", false),
        (Format::Elf, "libvulkan.so.1", false),
        (Format::Elf, "libamdhip64.so.7", false),
        (Format::Pe, "CUDART64_12.dll", true),
        (Format::Pe, "cublasLt64_13.dll", true),
        (Format::Pe, "mtmd.dll", true),
        (Format::Pe, "nvcuda.dll", false),
        (Format::Pe, "api-ms-win-crt-heap-l1-1-0.dll", false),
        (Format::MachO, "@rpath/libmtmd.0.dylib", true),
        (Format::MachO, "/usr/lib/libc++.1.dylib", false),
    ];
    for (format, library, wanted) in table {
        assert_eq!(is_brought(format, library), wanted, "{library}");
    }
}

/// Puts the files of an archive that `tar` packed below `root`.
fn unpack(archive: &Utf8Path, root: &Utf8Path) {
    let file = std::fs::File::open(archive).expect("an archive");
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(root)
        .expect("unpacked");
}

#[test]
fn the_needs_of_a_real_llama_server_are_met_by_its_siblings() {
    let Ok(folder) = std::env::var("LLAMA_ORCH_REAL_DIR") else {
        #[expect(clippy::print_stderr, reason = "says why nothing was tested")]
        {
            eprintln!("skipped: LLAMA_ORCH_REAL_DIR is not set");
        }
        return;
    };
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let scratch = Utf8Path::from_path(scratch.path()).expect("a UTF-8 path");
    let archive = Utf8Path::new(&folder).join("llama-b9001-bin-ubuntu-x64.tar.gz");
    unpack(&archive, scratch);
    let root = scratch.join("llama-b9001");
    let found = crate::install::tree::walk(&root).expect("readable");
    let is_file = |kind: &Kind| matches!(kind, Kind::File { .. });
    let found = found.into_iter().filter(|found| is_file(&found.kind));
    let names = found.map(|found| found.name);
    let executables: Vec<String> = names.filter(|name| is_executable(name)).collect();

    let server = linkage::read(root.join("llama-server").as_std_path());
    let server = server.expect("readable").expect("a program");
    assert!(
        server
            .libraries
            .iter()
            .any(|one| one.starts_with("libllama")),
        "{server:?}"
    );
    assert_eq!(server.run_path, ["$ORIGIN"]);
    let files: BTreeMap<&str, Linkage> = executables
        .iter()
        .map(|name| {
            let linkage = linkage::read(root.join(name).as_std_path());
            (
                name.as_str(),
                linkage.expect("readable").expect("a program or library"),
            )
        })
        .collect();
    let needs = files.values().filter_map(|linkage| linkage.needs).max();
    let needs = needs.expect("it was built with glibc");
    assert!(
        (Glibc::new(2, 17)..Glibc::new(2, 60)).contains(&needs),
        "{needs}"
    );

    let build = Build { root: &root, files };
    let at_start = build.at_start();
    for name in [
        "libllama.so.0.6.0",
        "libggml-base.so.0.26.0",
        "libllama-server-impl.so",
    ] {
        assert!(at_start.contains(name), "{at_start:?}");
    }
    assert_eq!(
        super::needs(&root, &executables, Libc::Glibc(needs), true).expect("whole"),
        [""; 0]
    );
    let older = Glibc::new(needs.major, needs.minor - 1);
    let error = super::needs(&root, &executables, Libc::Glibc(older), true).expect_err("too old");
    assert!(error.to_string().ends_with(&format!(
        "needs glibc {needs}, and this machine has {older}"
    )));

    std::fs::remove_file(root.join("libggml-base.so.0")).expect("removed");
    let error = super::needs(&root, &executables, Libc::Unknown, true).expect_err("short");
    assert!(
        error
            .to_string()
            .ends_with("needs `libggml-base.so.0`, which is not beside it"),
        "{error}"
    );
}
