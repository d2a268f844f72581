//! The program supervisors run from: a copy of this one under its own digest, so that upgrading or
//! removing llama-orch touches no supervisor that runs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::Digest as _;

use crate::durable;
use crate::instance::folder::PRIVATE;
use crate::kill_point;
use crate::release::Digest;

/// The name of the program in its folder.
const NAME: &str = if cfg!(windows) {
    "llama-orch.exe"
} else {
    "llama-orch"
};

/// How old a copy has to be before nobody can be about to run from it.
const YOUNG: Duration = Duration::from_hours(1);

/// The copy of this program that supervisors run from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it lies: `.llama-orch/supervisors/<sha256>/llama-orch` below the root.
    pub path: Utf8PathBuf,
    /// What it hashes to, which names its folder.
    pub digest: Digest,
}

/// The program could not be copied.
#[derive(Debug, thiserror::Error)]
#[error("cannot copy this program to `{to}`")]
pub struct InstallError {
    /// The folder it was to lie in.
    pub to: Utf8PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Program {
    /// Copies the program that is running below `root`, unless that was done before.
    pub fn install(root: &Utf8Path) -> Result<Self, InstallError> {
        let folder = root.join(PRIVATE).join("supervisors");
        copy(&folder).map_err(|source| InstallError { to: folder, source })
    }

    /// Takes away the copies that are not among `used`, less those that are so young that a
    /// supervisor may have been started from them and not said so yet. What cannot be removed is
    /// left for the next time.
    pub fn sweep(root: &Utf8Path, used: &BTreeSet<Digest>) {
        let Ok(copies) = root.join(PRIVATE).join("supervisors").read_dir_utf8() else {
            return;
        };
        for copy in copies.flatten() {
            let age = copy
                .metadata()
                .ok()
                .and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
            let unused = match copy.file_name().parse() {
                Ok(digest) => !used.contains(&digest),
                // A copy that was never finished.
                Err(_) => true,
            };
            if unused && age.is_some_and(|age| age > YOUNG) {
                let _ = fs::remove_dir_all(copy.path());
            }
        }
    }

    /// Whether the copy of this digest is the program that is running; `None` where that cannot be
    /// told. Hashed only where their sizes do not tell them apart.
    pub(crate) fn is_own(root: &Utf8Path, digest: Digest) -> Option<bool> {
        let folder = root.join(PRIVATE).join("supervisors");
        let copy = folder.join(digest.to_string()).join(NAME);
        let mut own = own_program().ok()?;
        if fs::metadata(&copy).ok()?.len() != own.metadata().ok()?.len() {
            return Some(false);
        }
        Some(digest_of(&mut own).ok()? == digest)
    }

    /// The digest in the path of a program that was installed so.
    pub(super) fn digest_in(path: &Utf8Path) -> Option<Digest> {
        path.parent()?.file_name()?.parse().ok()
    }
}

fn copy(folder: &Utf8Path) -> io::Result<Program> {
    let mut source = own_program()?;
    let digest = digest_of(&mut source)?;
    let home = folder.join(digest.to_string());
    let path = home.join(NAME);
    if path.is_file() {
        return Ok(Program { path, digest });
    }
    fs::create_dir_all(folder)?;
    let staging = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(folder)?;
    let copied = staging.path().join(NAME);
    let mut target = File::create(&copied)?;
    io::Seek::rewind(&mut source)?;
    io::copy(&mut source, &mut target)?;
    durable::open_to_all(&copied)?;
    target.sync_all()?;
    drop(target);
    durable::open_to_all(staging.path())?;
    kill_point::reached("program.copied");
    match fs::rename(staging.path(), &home) {
        Ok(()) => durable::sync_folder(folder)?,
        // Somebody else was faster; what they copied has the same digest.
        Err(_) if path.is_file() => {}
        Err(error) => return Err(error),
    }
    Ok(Program { path, digest })
}

/// The program that is running, opened through the kernel's own name for it where there is one: the
/// file may have been replaced since it was started.
fn own_program() -> io::Result<File> {
    if cfg!(target_os = "linux")
        && let Ok(program) = File::open("/proc/self/exe")
    {
        return Ok(program);
    }
    File::open(std::env::current_exe()?)
}

/// What the program that is running hashes to. By the kernel's own name it is one file for as long as this process
/// lives, and nobody can write to it meanwhile (`ETXTBSY`), so it is read once.
fn digest_of(own: &mut File) -> io::Result<Digest> {
    static KNOWN: OnceLock<Digest> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let mut hash = sha2::Sha256::new();
    io::copy(own, &mut HashWriter(&mut hash))?;
    let digest = Digest::from_bytes(hash.finalize().into());
    if cfg!(target_os = "linux") {
        let _ = KNOWN.set(digest);
    }
    Ok(digest)
}

/// Hashes what is written to it.
struct HashWriter<'a>(&'a mut sha2::Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
