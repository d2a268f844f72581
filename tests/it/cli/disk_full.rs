//! A disk that is full, before the first byte and in the middle of an archive: a small file system
//! of the test's own, where the system lets an ordinary user have one.

use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use insta::assert_snapshot;

use crate::support::archives;
use crate::support::sandbox::{Output, Sandbox};

/// Bytes of the file system `bins/` lies on.
const ROOM: usize = 24 * 1024 * 1024;

/// Packs a build with one large file.
fn publish(sandbox: &Sandbox, build: u32, content: &[u8]) {
    let path = sandbox.path("releases").join(archives::name(build));
    let file = std::fs::File::create(path).expect("created");
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    archive.sparse(false);
    let script = format!("#!/bin/sh\necho 'version: {build} (abcdef12)' >&2\n");
    for (name, content, mode) in [
        ("data.bin", content, 0o644),
        ("llama-server", script.as_bytes(), 0o755),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        let path = format!("llama-b{build}/{name}");
        archive
            .append_data(&mut header, path, content)
            .expect("packed");
    }
    let file = archive.into_inner().and_then(GzEncoder::finish);
    file.expect("finished");
}

/// Installs a build where `bins/` has little room, and lists what is left there. `None` where no
/// such file system can be had.
fn install(sandbox: &Sandbox, build: u32) -> Option<Output> {
    let bins = sandbox.path("bins");
    std::fs::create_dir_all(&bins).expect("a folder");
    let mount = format!("mount -t tmpfs -o size={ROOM} tmpfs {bins}");
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    let can = isolated(&mount).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("skipped: no file system of its own can be mounted here");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_llama-orch");
    let root = sandbox.path("");
    let script = format!(
        "{mount} && cd {root} && {program} binary install b{build}; code=$?; find bins -type f | sort; exit $code"
    );
    Some(Output::of(&mut isolated(&script)))
}

#[test]
fn too_little_room_is_known_before_the_first_byte() {
    let sandbox = Sandbox::with(&[], &[("chat", 1003)]);
    publish(&sandbox, 1003, &noise(6 * 1024 * 1024));
    if let Some(output) = install(&sandbox, 1003) {
        assert_snapshot!(output, @r"
        exit code 1
        --- stdout
        bins/.gitignore
        bins/.staging/lock
        --- stderr
             ... install  b1003 [CPU]
        error: cannot install b1003
          caused by: `[ROOT]/bins` has [SIZE] free, and about [SIZE] are needed
        hint: make room there; `llama-orch binary prune` removes builds nothing uses
        ");
    }
}

#[test]
fn a_disk_that_fills_up_in_the_middle_says_so_and_keeps_nothing_half_done() {
    let sandbox = Sandbox::with(&[], &[("chat", 1003)]);
    // It packs to next to nothing, so that nobody could have known.
    publish(&sandbox, 1003, &vec![0; 2 * ROOM]);
    if let Some(output) = install(&sandbox, 1003) {
        assert_snapshot!(output, @r"
        exit code 1
        --- stdout
        bins/.gitignore
        bins/.staging/lock
        --- stderr
             ... install  b1003 [CPU]
        error: cannot install b1003
          caused by: the disk is full: cannot write `[ROOT]/bins/.staging/[SHA256]/0/llama-b1003/data.bin`
          caused by: No space left on device (os error 28)
        hint: make room there; `llama-orch binary prune` removes builds nothing uses
        ");
    }
}

/// Bytes that no compression makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next)
        .flatten()
        .take(length)
        .collect()
}
