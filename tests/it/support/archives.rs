//! The stand-in server packed as llama.cpp packs its releases for this machine.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// What the name of an archive for this machine has after `bin-`.
pub(crate) fn platform() -> &'static str {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "ubuntu-x64",
        ("linux", "aarch64") => "ubuntu-arm64",
        ("macos", "x86_64") => "macos-x64",
        ("macos", "aarch64") => "macos-arm64",
        (os, arch) => panic!("no archive of llama.cpp is named for {os} on {arch}"),
    }
}

/// The name of a build's archive.
pub(crate) fn name(build: u32) -> String {
    format!("llama-b{build}-bin-{}.tar.gz", platform())
}

/// Packs a build that has these faults, one `--standin-*` option a line.
pub(crate) fn pack(folder: &Path, build: u32, faults: &str) -> PathBuf {
    let path = folder.join(name(build));
    // Not compressed in earnest: it is written and read once.
    let file = GzEncoder::new(File::create(&path).expect("created"), Compression::none());
    let mut archive = tar::Builder::new(file);
    // A linker may leave holes, and an archive of a release has none.
    archive.sparse(false);
    let home = format!("llama-b{build}");
    let standin = env!("CARGO_BIN_EXE_llama-server-standin");
    archive
        .append_path_with_name(standin, format!("{home}/llama-server"))
        .expect("packed");
    let number = build.to_string();
    for (name, text) in [
        ("build-number", number.as_str()),
        ("standin-faults", faults),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let path = format!("{home}/{name}");
        archive
            .append_data(&mut header, path, text.as_bytes())
            .expect("packed");
    }
    let mut file = archive
        .into_inner()
        .and_then(GzEncoder::finish)
        .expect("finished");
    file.flush().expect("flushed");
    path
}
