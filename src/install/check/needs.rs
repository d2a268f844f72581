//! What a build's programs and libraries need, read from the files before any of them is run: the
//! libraries llama.cpp brings itself lie beside them, and this machine's glibc is new enough.
//!
//! Of the system's libraries nothing is said; the loader knows better, and running the server asks
//! it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use camino::{Utf8Path, Utf8PathBuf};

use super::CheckError;
use crate::install::PROGRAMS;
use crate::linkage::{self, Format, Linkage};
use crate::release::host::{Glibc, Libc};

/// The libraries that come with a build or its companion, by how their names begin: llama.cpp's
/// own and those of the CUDA runtime. What follows is a `.`, a `-` or the like, so that `libggml`
/// is also `libggml-base.so.0` and not `libggmlx.so`.
const BROUGHT: &[&str] = &[
    "libllama",
    "libggml",
    "libmtmd",
    "libcudart",
    "libcublas",
    "libcublasLt",
];

/// The same on Windows, where names have no case and the CUDA runtime's name its width.
const BROUGHT_ON_WINDOWS: &[&str] = &[
    "llama",
    "ggml",
    "mtmd",
    "cudart64",
    "cublas64",
    "cublaslt64",
];

/// How the names of macOS begin that are looked for beside the file.
const BESIDE_ON_MACOS: &[&str] = &["@rpath/", "@loader_path/", "@executable_path/"];

/// Checks every program and library of a build, named relative to its folder; `libc` is that of
/// the machine it is for, if that is this one. With `strict` a library that is not where it should
/// be is an error, and otherwise a remark: a build made elsewhere may find it elsewhere.
///
/// Returns the remarks.
pub(in crate::install) fn needs(
    root: &Utf8Path,
    executables: &[String],
    libc: Libc,
    strict: bool,
) -> Result<Vec<String>, CheckError> {
    let mut remarks = Vec::new();
    let mut files = BTreeMap::new();
    for name in executables {
        match linkage::read(root.join(name).as_std_path()) {
            Ok(Some(linkage)) => drop(files.insert(name.as_str(), linkage)),
            Ok(None) => {}
            Err(source) if PROGRAMS.contains(&name.as_str()) => {
                return Err(CheckError::Damaged {
                    file: name.clone(),
                    source: Box::new(source),
                });
            }
            Err(error) => remarks.push(format!("`{name}` was not looked into: {error}")),
        }
    }
    let build = Build { root, files };
    for (file, library) in build.missing() {
        let (file, library) = (file.to_owned(), library.to_owned());
        let missing = CheckError::MissingLibrary { file, library };
        if strict {
            return Err(missing);
        }
        remarks.push(missing.to_string());
    }
    remarks.extend(build.newer_than(libc)?);
    Ok(remarks)
}

/// What a build lacks on a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// Libraries that should lie beside what needs them: the file and the library.
    pub(crate) missing: Vec<(String, String)>,
    /// What of the server needs a newer glibc than there is, or glibc at all.
    pub(crate) too_new: Option<(String, Glibc)>,
    /// A backend that cannot be loaded for that reason, in words.
    pub(crate) backend_too_new: Option<String>,
    /// What could not be looked into, in words.
    pub(crate) unread: Vec<String>,
}

impl Shortfall {
    /// Looks at the programs and libraries of a build, named relative to its folder.
    pub(crate) fn of(root: &Utf8Path, executables: &[String], libc: Libc) -> Self {
        let mut shortfall = Self::default();
        let mut files = BTreeMap::new();
        for name in executables {
            match linkage::read(root.join(name).as_std_path()) {
                Ok(Some(linkage)) => drop(files.insert(name.as_str(), linkage)),
                Ok(None) => {}
                Err(error) => shortfall.unread.push(format!("`{name}`: {error}")),
            }
        }
        let build = Build { root, files };
        let missing = build.missing();
        shortfall.missing = missing
            .map(|(file, library)| (file.to_owned(), library.to_owned()))
            .collect();
        match build.newer_than(libc) {
            Ok(backend) => shortfall.backend_too_new = backend,
            Err(CheckError::OldGlibc { file, needs, .. }) => {
                shortfall.too_new = Some((file, needs));
            }
            Err(_) => {}
        }
        shortfall
    }
}

/// A build's folder, and what was read of it.
struct Build<'a> {
    root: &'a Utf8Path,
    files: BTreeMap<&'a str, Linkage>,
}

impl Build<'_> {
    /// The libraries that come with a build and are not where they should be, with what needs them.
    fn missing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().flat_map(move |(file, linkage)| {
            let brought = linkage
                .libraries
                .iter()
                .filter(|library| is_brought(linkage.format, library));
            brought
                .filter(|library| self.beside(file, library).is_none())
                .map(|library| (*file, library.as_str()))
        })
    }

    /// Refuses a server this machine's glibc is too old for, and remarks on what is only loaded
    /// where it can be.
    fn newer_than(&self, libc: Libc) -> Result<Option<String>, CheckError> {
        let has = match libc {
            Libc::Unknown => return Ok(None),
            Libc::Musl => None,
            Libc::Glibc(has) => Some(has),
        };
        let too_new = |file: &str| {
            let needs = self.files.get(file)?.needs?;
            has.is_none_or(|has| needs > has).then_some(needs)
        };
        let at_start = self.at_start();
        let most = at_start
            .iter()
            .filter_map(|file| Some((too_new(file)?, *file)))
            .max_by_key(|(needs, _)| *needs);
        if let Some((needs, file)) = most {
            return Err(CheckError::OldGlibc {
                file: file.to_owned(),
                needs,
                has,
            });
        }
        let later: Vec<(&str, Glibc)> = self
            .files
            .keys()
            .filter(|file| !at_start.contains(*file) && is_backend(file))
            .filter_map(|file| Some((*file, too_new(file)?)))
            .collect();
        let [(first, needs), others @ ..] = later.as_slice() else {
            return Ok(None);
        };
        let needs = others
            .iter()
            .fold(*needs, |most, (_, needs)| most.max(*needs));
        let and_others = match others.len() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Ok(Some(format!(
            "`{first}`{and_others} cannot be used here: glibc {needs} is needed, and this machine has {}",
            glibc_text(has)
        )))
    }

    /// The server and what is loaded with it from the build's own folder, relative to that.
    fn at_start(&self) -> BTreeSet<&str> {
        let mut loaded = BTreeSet::new();
        let known = |name: &str| self.files.get_key_value(name).map(|(name, _)| *name);
        let mut left: VecDeque<&str> = PROGRAMS.iter().filter_map(|name| known(name)).collect();
        while let Some(file) = left.pop_front() {
            if !loaded.insert(file) {
                continue;
            }
            let libraries = self.files.get(file).map(|linkage| &linkage.libraries);
            for library in libraries.into_iter().flatten() {
                let path = self.beside(file, library);
                left.extend(path.and_then(|path| known(&self.relative(&path)?)));
            }
        }
        loaded
    }

    /// A path inside the build with its links followed, relative to the build's folder.
    fn relative(&self, path: &Utf8Path) -> Option<String> {
        let root = self.root.canonicalize_utf8().ok()?;
        let path = path.canonicalize_utf8().ok()?;
        let path = path.strip_prefix(root).ok()?;
        Some(path.as_str().replace('\\', "/"))
    }

    /// Where a library lies that a file of the build is loaded with: beside the file, where its run
    /// path says relative to it, or beside the server, which the library path names at every start.
    fn beside(&self, file: &str, library: &str) -> Option<Utf8PathBuf> {
        let linkage = self.files.get(file)?;
        let own = self.root.join(file);
        let own = own.parent().unwrap_or(self.root);
        let name = match linkage.format {
            Format::Elf | Format::Pe => library,
            Format::MachO => library.rsplit('/').next().unwrap_or(library),
        };
        if name.contains(['/', '\\']) {
            return None;
        }
        let mut folders = vec![own.to_owned()];
        folders.extend(linkage.run_path.iter().filter_map(|folder| {
            let rest = ["$ORIGIN", "${ORIGIN}"]
                .iter()
                .find_map(|origin| folder.strip_prefix(origin))?;
            let rest = rest.trim_start_matches('/');
            (!rest.split('/').any(|part| part == "..")).then(|| own.join(rest))
        }));
        folders.push(self.root.to_owned());
        folders.iter().find_map(|folder| match linkage.format {
            Format::Elf | Format::MachO => Some(folder.join(name)).filter(|path| path.is_file()),
            Format::Pe => folder
                .read_dir_utf8()
                .ok()?
                .filter_map(Result::ok)
                .find(|entry| entry.file_name().eq_ignore_ascii_case(name))
                .map(camino::Utf8DirEntry::into_path),
        })
    }
}

/// Whether a library comes with the build, rather than with the system.
fn is_brought(format: Format, library: &str) -> bool {
    let begins = |names: &[&str], library: &str| {
        names.iter().any(|name| {
            library
                .strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        })
    };
    match format {
        Format::Elf => begins(BROUGHT, library),
        Format::Pe => begins(BROUGHT_ON_WINDOWS, &library.to_ascii_lowercase()),
        Format::MachO => BESIDE_ON_MACOS
            .iter()
            .any(|start| library.starts_with(start)),
    }
}

/// Whether a file is one of those the server loads itself, where it can.
fn is_backend(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.starts_with("libggml-")
}

/// This machine's glibc in a sentence.
pub(super) fn glibc_text(has: Option<Glibc>) -> String {
    has.map_or_else(|| "none".to_owned(), |has| has.to_string())
}

/// Whether a library belongs to the CUDA runtime, which comes in an archive of its own.
pub(crate) fn is_of_cuda(library: &str) -> bool {
    let library = library.to_ascii_lowercase();
    let name = library.strip_prefix("lib").unwrap_or(&library);
    name.starts_with("cudart") || name.starts_with("cublas")
}
