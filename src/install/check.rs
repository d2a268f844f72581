//! What must be true of an unpacked build before anybody may use it: its links lead somewhere
//! inside, what it needs is there, and its server runs and is the build it is said to be.

mod ask;
mod needs;
#[cfg(test)]
mod tests;

use std::io;
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::archive::ArchiveError;
use super::tree::{self, Kind};
use crate::release::host::Glibc;
use crate::release::{BuildName, Tag};

pub(crate) use ask::{AskError, Asking};
pub(super) use needs::needs;
pub(crate) use needs::{Shortfall, is_of_cuda};

/// How long `llama-server --version` may take. It loads a gigabyte of libraries from a cold disk.
const PATIENCE: Duration = Duration::from_mins(1);

/// How much of what it says is read.
const MAX_OUTPUT: u64 = 64 * 1024;

/// Why a build that was unpacked is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A library that comes with every whole build is not in this one.
    #[error("`{file}` needs `{library}`, which is not beside it")]
    MissingLibrary {
        /// The program or library that needs it, relative to the build's folder.
        file: String,
        /// What it needs.
        library: String,
    },
    /// It was built on a newer system than this one.
    #[error("`{file}` needs glibc {needs}, and this machine has {}", needs::glibc_text(*.has))]
    OldGlibc {
        /// The program or library that needs it, relative to the build's folder.
        file: String,
        /// The oldest version that has all it uses.
        needs: Glibc,
        /// This machine's; `None` where its C library is another one.
        has: Option<Glibc>,
    },
    /// The server's file is no program.
    #[error("cannot read `{file}` as a program")]
    Damaged {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program cannot be started at all.
    #[error("cannot run `{program} --version`")]
    CannotRun {
        /// The file's name.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It did not end.
    #[error("`{program} --version` did not end within {} s", PATIENCE.as_secs())]
    Endless {
        /// The file's name.
        program: String,
    },
    /// Nobody waits for it any more.
    #[error("`{program} --version` was given up")]
    GivenUp {
        /// The file's name.
        program: String,
    },
    /// It ended badly, which mostly means that a library is missing or the system is too old.
    #[error("`{program} --version` failed ({status}): {said}")]
    Failed {
        /// The file's name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// It runs, and is another build.
    #[error("`{program} --version` says build {reported}, not {wanted}")]
    OtherBuild {
        /// The file's name.
        program: String,
        /// The build that was wanted.
        wanted: Tag,
        /// The number it reported.
        reported: u32,
    },
    /// It runs, and names no build.
    #[error("`{program} --version` names no build: {said}")]
    NoNumber {
        /// The file's name.
        program: String,
        /// The end of what it said.
        said: String,
    },
}

impl CheckError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::MissingLibrary { library, .. } if needs::is_of_cuda(library) => {
                "the CUDA runtime comes in the `cudart-` archive of the same build; pin a build that was published with it"
                    .to_owned()
            }
            Self::MissingLibrary { .. } | Self::Damaged { .. } => {
                "the build was published incomplete; pin another one".to_owned()
            }
            Self::OldGlibc { .. } => {
                "pin a variant or a build that was made on an older system".to_owned()
            }
            Self::Failed { said, .. } => match missing_library(said) {
                Some(library) => {
                    format!("install the package of this system that has `{library}`, and try again")
                }
                None => Self::OF_THE_SYSTEM.to_owned(),
            },
            Self::CannotRun { .. } => Self::OF_THE_SYSTEM.to_owned(),
            Self::Endless { .. }
            | Self::GivenUp { .. }
            | Self::OtherBuild { .. }
            | Self::NoNumber { .. } => return None,
        })
    }

    const OF_THE_SYSTEM: &str = "the build may need a newer system or a driver that is not here; pin another variant, such as `cpu`";
}

/// The library that the loader of Linux did not find: `libgomp.so.1` in `llama-server: error while
/// loading shared libraries: libgomp.so.1: cannot open shared object file`.
fn missing_library(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("error while loading shared libraries: ")?;
    let (library, why) = rest.split_once(": ")?;
    why.starts_with("cannot open shared object file")
        .then_some(library)
}

/// Goes through a build's folder. Every link must lead to something inside it.
pub(super) fn links(root: &Utf8Path) -> Result<(), ArchiveError> {
    let unreadable = |source| ArchiveError::Unreadable { source };
    let inside = root.canonicalize_utf8().map_err(unreadable)?;
    for found in tree::walk(root).map_err(|(_, source)| unreadable(source))? {
        if let Kind::Link { .. } = found.kind {
            check_link(&root.join(&found.name), &found.name, &inside)?;
        }
    }
    Ok(())
}

/// Whether a file's name is that of a program or a library.
pub(super) fn is_executable(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.split_once('.') {
        None => file.starts_with("llama") || file.ends_with("-server"),
        Some((_, rest)) => {
            let is = |wanted: &str| {
                rest.split('.')
                    .any(|part| part.eq_ignore_ascii_case(wanted))
            };
            is("so") || is("dylib") || is("dll") || is("exe")
        }
    }
}

fn check_link(path: &Utf8Path, name: &str, inside: &Utf8Path) -> Result<(), ArchiveError> {
    let target = std::fs::read_link(path).map_err(|source| ArchiveError::Unreadable { source })?;
    let target = target.to_string_lossy().into_owned();
    let member = name.to_owned();
    match path.canonicalize_utf8() {
        Ok(end) if end.starts_with(inside) => Ok(()),
        Ok(_) => Err(ArchiveError::LinkEscapes { member, target }),
        Err(_) if is_mangled(&target) => Err(ArchiveError::MangledLinks { member, target }),
        Err(_) => Err(ArchiveError::Dangling { member, target }),
    }
}

/// b9165 to b9169 were packed by a substitution that ate the `l` of every link's target:
/// `llama-b9165ibllama.so.0` (llama.cpp #23115).
fn is_mangled(target: &str) -> bool {
    let Some(rest) = target.strip_prefix("llama-b") else {
        return false;
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.starts_with("ib")
}

/// Runs a build's server and asks it which build it is. With `strict`, it must say the number of
/// the build's tag; otherwise what it says is only remarked upon.
pub(super) fn version(
    program: &Utf8Path,
    build: &BuildName,
    strict: bool,
    given_up: &AtomicBool,
) -> Result<Option<String>, CheckError> {
    let name = program.file_name().unwrap_or_default().to_owned();
    let said = run(program, &name, given_up)?;
    let Some(wanted) = build.tag() else {
        return Ok(None);
    };
    match reported(&said) {
        Some(number) if number == wanted.number() => Ok(None),
        Some(reported) if strict => Err(CheckError::OtherBuild {
            program: name,
            wanted,
            reported,
        }),
        Some(number) => Ok(Some(format!(
            "`{name} --version` says build {number}, not {wanted}"
        ))),
        None if strict => Err(CheckError::NoNumber {
            program: name,
            said: tail(&said),
        }),
        None => Ok(Some(format!("`{name} --version` names no build"))),
    }
}

/// The number of the build that a server says it is; `None` where it names none.
pub(crate) fn build_number(program: &Utf8Path) -> Result<Option<u32>, CheckError> {
    let name = program.file_name().unwrap_or_default();
    run(program, name, &AtomicBool::new(false)).map(|said| reported(&said))
}

/// The build number in what `--version` prints: `version: 7572 (c1366056)`, and since b10453
/// `version: 0.1.0-dev (build 10453, commit 3cb7ffb1a)`.
fn reported(said: &str) -> Option<u32> {
    let digits = |text: &str| -> Option<u32> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let line = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("version: "))?;
    if let Some((_, rest)) = line.split_once("build ") {
        return digits(rest);
    }
    let (number, _) = line.split_once(" (")?;
    number
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits(number))?
}

fn run(path: &Utf8Path, name: &str, given_up: &AtomicBool) -> Result<String, CheckError> {
    let asking = Asking {
        argument: "--version",
        patience: PATIENCE,
        most: MAX_OUTPUT,
        passed: &[],
        given_up,
    };
    let program = || name.to_owned();
    match asking.ask(path) {
        Ok((status, said)) if status.success() => Ok(said),
        Ok((status, said)) => Err(CheckError::Failed {
            program: program(),
            status,
            said: tail(&said),
        }),
        Err(AskError::CannotRun(source)) => Err(CheckError::CannotRun {
            program: program(),
            source,
        }),
        Err(AskError::Endless(_)) => Err(CheckError::Endless { program: program() }),
        Err(AskError::GivenUp) => Err(CheckError::GivenUp { program: program() }),
    }
}

/// The last lines of what a program said, on one line.
fn tail(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines.len().saturating_sub(3);
    let text = lines[last..].join("; ");
    if text.is_empty() {
        "it said nothing".to_owned()
    } else {
        text.chars().take(500).collect()
    }
}

/// The server of a build's folder.
pub(super) fn program(root: &Utf8Path) -> Option<Utf8PathBuf> {
    super::PROGRAMS
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_file())
}
