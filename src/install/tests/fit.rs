//! Builds that were received as published, and do not fit.

use super::*;
use crate::linkage::fixture::Elf;
use crate::release::host::{Glibc, Libc};

/// A machine with this version of glibc.
fn debian(minor: u32) -> Host {
    Host {
        libc: Libc::Glibc(Glibc::new(2, minor)),
        ..Host::bare(Os::Linux, Arch::X64)
    }
}

/// Publishes a build and tries to install it on a machine; what came of it, in a line.
fn tried(host: &Host, pack: &Pack) -> (Sandbox, Result<Installed, InstallError>) {
    let sandbox = Sandbox::new();
    let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &pack.tar_gz());
    let source = Directory::new(sandbox.releases.clone(), Network::default());
    let installed = sandbox.install_on(host, &binary, &source, &|_| ());
    (sandbox, installed)
}

#[test]
fn a_build_that_lacks_a_library_of_its_own_is_not_installed() {
    let cuda = Elf::default().with_library("libcudart.so.12").bytes();
    let pack = Pack::release().with_file("llama-b9001/libggml-cuda.so", &cuda, 0o755);
    let (sandbox, refused) = tried(&debian(39), &pack);
    let error = refused.expect_err("its CUDA runtime is not there");
    assert_eq!(
        chain(&error),
        "`libggml-cuda.so` needs `libcudart.so.12`, which is not beside it"
    );
    assert!(error.hint().expect("a hint").contains("`cudart-`"));
    assert!(!error.is_transient());
    assert_eq!(sandbox.litter(), [""; 0]);
}

#[test]
fn a_server_for_a_newer_system_is_never_run() {
    // It says that it is the right build, to whoever runs it.
    let server = Elf::default().with_glibc("2.38").bytes();
    let pack = Pack::empty().with_file("llama-b9001/llama-server", &server, 0o755);
    let (sandbox, refused) = tried(&debian(36), &pack);
    let error = refused.expect_err("this machine is too old");
    assert_eq!(
        chain(&error),
        "`llama-server` needs glibc 2.38, and this machine has 2.36"
    );
    assert_eq!(sandbox.litter(), [""; 0]);

    // On a new machine it is run, which shows that it was not before.
    let (_sandbox, refused) = tried(&debian(39), &pack);
    let error = refused.expect_err("there is nothing in it to run");
    assert!(
        !matches!(error, InstallError::Check(CheckError::OldGlibc { .. })),
        "{error}"
    );
}

#[test]
fn a_backend_this_machine_cannot_use_is_remarked_upon() {
    let backend = Elf::default().with_glibc("2.38").bytes();
    let pack = Pack::release().with_file("llama-b9001/libggml-vulkan.so", &backend, 0o755);
    let (_sandbox, installed) = tried(&debian(36), &pack);
    assert_eq!(
        installed.expect("installed").remarks,
        [
            "`libggml-vulkan.so` cannot be used here: glibc 2.38 is needed, and this machine has 2.36"
        ]
    );
}

#[test]
fn a_build_for_another_system_is_held_to_its_own_libraries_alone() {
    let sandbox = Sandbox::new();
    let backend = Elf::default()
        .with_glibc("2.38")
        .with_library("libggml-base.so.0");
    let server = Elf::default().with_glibc("2.38").bytes();
    let arm = |backend: &Elf| {
        Pack::empty()
            .with_file("llama-b9001/llama-server", &server, 0o755)
            .with_file("llama-b9001/libggml-cpu.so", &backend.bytes(), 0o755)
    };
    let source = Directory::new(sandbox.releases.clone(), Network::default());
    let install = |pack: &Pack| {
        let name = "llama-b9001-bin-ubuntu-arm64.tar.gz";
        let binary = WantedBinary {
            variant: Variant::new("ubuntu-arm64"),
            ..sandbox.publish(name, &pack.clone().tar_gz())
        };
        sandbox.install_on(&debian(36), &binary, &source, &|_| ())
    };
    let error = install(&arm(&backend)).expect_err("it is short of a library");
    assert!(chain(&error).contains("`libggml-base.so.0`"), "{error}");
    let whole = arm(&backend).with_file("llama-b9001/libggml-base.so.0", &server, 0o755);
    let installed = install(&whole).expect("whole, and not for this machine");
    assert_eq!(
        installed.remarks,
        ["it was not run: it is for Linux on arm64"]
    );
}
