//! Archives as hostile input: what an entry may be called, what it may be, how much it may hold.
//!
//! The entries come from [`tar`] and [`zip`], one loop each; every one of them passes through
//! [`Unpacker`], which rejects what is not plainly harmless and never skips it. Links are only
//! collected here: they are made once the archive's digest is known to be right.

mod error;
pub(super) mod tar;
pub(super) mod zip;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{self, Read, Write as _};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};

pub use error::ArchiveError;

use super::writeback::Writeback;
use super::{LIST, METADATA, system};
use crate::release::Digest;

/// What an archive may amount to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Entries of any kind. A release has about 50.
    pub(super) entries: usize,
    /// Bytes once unpacked. The largest release (CUDA on Windows) takes 1.2 GB.
    pub(super) bytes: u64,
    /// How many times its packed size it may be, once it is larger than [`Limits::RATIO_FROM`].
    pub(super) ratio: u64,
}

impl Limits {
    /// Below this many bytes the ratio says nothing: a short text of one letter packs very well.
    const RATIO_FROM: u64 = 256 * 1024 * 1024;

    pub(super) const DEFAULT: Self = Self {
        entries: 10_000,
        bytes: 8 * 1024 * 1024 * 1024,
        ratio: 100,
    };
}

/// A symbolic link that is still to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Where, relative to the unpacked archive.
    pub(super) at: Utf8PathBuf,
    /// What it will point to, as it stands in the archive.
    pub(super) target: String,
}

/// A file that was written, hashed as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Where, relative to the unpacked archive.
    pub(super) path: Utf8PathBuf,
    /// What its content hashes to.
    pub(super) sha256: Digest,
    /// Its bytes.
    pub(super) size: u64,
    /// Whether it may be executed.
    pub(super) executable: bool,
}

/// What came out of an archive.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The folder it was unpacked into.
    pub(super) root: Utf8PathBuf,
    /// Its files, relative to `root`, in the order of the archive.
    pub(super) files: Vec<Member>,
    /// Its links.
    pub(super) links: Vec<Link>,
}

impl Unpacked {
    /// Makes the links. Only right once the digest of the archive is.
    pub(super) fn link(&self) -> Result<(), ArchiveError> {
        for link in &self.links {
            let path = self.root.join(&link.at);
            system::symlink(&link.target, &path)
                .map_err(|source| ArchiveError::Write { path, source })?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Folder,
    File,
    Link,
}

/// Writes the entries of one archive into a folder, one after the other.
pub(super) struct Unpacker {
    root: Utf8PathBuf,
    limits: Limits,
    /// Names in lower case, with the spelling they were first seen in.
    taken: HashMap<String, (Utf8PathBuf, Taken)>,
    unpacked: Unpacked,
    entries: usize,
    bytes: u64,
    buffer: Vec<u8>,
    writeback: Writeback,
}

impl Unpacker {
    /// `root` must not be there yet.
    pub(super) fn new(root: &Utf8Path, limits: Limits) -> Result<Self, ArchiveError> {
        std::fs::create_dir_all(root).map_err(|source| ArchiveError::Write {
            path: root.to_owned(),
            source,
        })?;
        Ok(Self {
            root: root.to_owned(),
            limits,
            taken: HashMap::new(),
            unpacked: Unpacked {
                root: root.to_owned(),
                files: Vec::new(),
                links: Vec::new(),
            },
            entries: 0,
            bytes: 0,
            buffer: vec![0; 256 * 1024],
            writeback: Writeback::new(),
        })
    }

    pub(super) fn finish(self) -> Unpacked {
        self.unpacked
    }

    /// Counts an entry, before anything else is made of it.
    pub(super) fn count(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ArchiveError::TooManyEntries {
                most: self.limits.entries,
            });
        }
        Ok(())
    }

    pub(super) fn folder(&mut self, name: &[u8]) -> Result<(), ArchiveError> {
        match checked(name)? {
            Some(path) => self.take_folder(&path, name),
            None => Ok(()),
        }
    }

    /// Writes a file. `packed` says how many packed bytes were read so far; `length` is declared.
    pub(super) fn file(
        &mut self,
        name: &[u8],
        executable: bool,
        length: u64,
        content: &mut impl Read,
        packed: impl Fn() -> u64,
    ) -> Result<(), ArchiveError> {
        let path = checked(name)?.ok_or_else(|| bad_name(name, "names no file"))?;
        self.take(&path, name, Taken::File)?;
        if self.bytes.saturating_add(length) > self.limits.bytes {
            return Err(ArchiveError::TooLarge {
                most: self.limits.bytes,
            });
        }
        let target = self.root.join(&path);
        let failed = |source| ArchiveError::Write {
            path: target.clone(),
            source,
        };
        let mut file = None;
        let mut executable = executable;
        let mut hasher = Sha256::new();
        let mut written = 0;
        loop {
            let read = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(ArchiveError::Unreadable { source }),
            };
            let piece = &self.buffer[..read];
            hasher.update(piece);
            written += read as u64;
            self.bytes += read as u64;
            self.check_size(packed())?;
            if file.is_none() {
                // Linux zips before 2025-12 carry no modes that could be relied on.
                executable |= is_program(piece);
                file = Some(system::create(&target, executable).map_err(failed)?);
            }
            if let Some(file) = &mut file {
                file.write_all(piece).map_err(failed)?;
                self.writeback.wrote(file, read);
            }
        }
        if file.is_none() {
            system::create(&target, executable).map_err(failed)?;
        }
        if written != length {
            return Err(ArchiveError::Cut {
                member: printable(name),
            });
        }
        self.unpacked.files.push(Member {
            path,
            sha256: Digest::from_bytes(hasher.finalize().into()),
            size: written,
            executable,
        });
        Ok(())
    }

    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), ArchiveError> {
        let at = checked(name)?.ok_or_else(|| bad_name(name, "names no file"))?;
        let escapes = || ArchiveError::LinkEscapes {
            member: printable(name),
            target: printable(target),
        };
        let text = str::from_utf8(target).map_err(|_| escapes())?;
        if text.is_empty() || text.contains(['\\', ':', '\0']) {
            return Err(escapes());
        }
        let mut depth = at.components().count() - 1;
        for component in Utf8Path::new(text).components() {
            match component {
                Utf8Component::CurDir => {}
                Utf8Component::Normal(_) => depth += 1,
                Utf8Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(escapes)?,
                Utf8Component::RootDir | Utf8Component::Prefix(_) => return Err(escapes()),
            }
        }
        self.take(&at, name, Taken::Link)?;
        self.unpacked.links.push(Link {
            at,
            target: text.to_owned(),
        });
        Ok(())
    }

    fn check_size(&self, packed: u64) -> Result<(), ArchiveError> {
        if self.bytes > self.limits.bytes {
            return Err(ArchiveError::TooLarge {
                most: self.limits.bytes,
            });
        }
        if self.bytes > Limits::RATIO_FROM && self.bytes / self.limits.ratio > packed {
            return Err(ArchiveError::TooDense {
                most: self.limits.ratio,
            });
        }
        Ok(())
    }

    /// Claims the name of a file or link, and those of the folders above it.
    fn take(&mut self, path: &Utf8Path, name: &[u8], kind: Taken) -> Result<(), ArchiveError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_str().is_empty()) {
            self.take_folder(parent, name)?;
        }
        let key = path.as_str().to_lowercase();
        match self.taken.insert(key, (path.to_owned(), kind)) {
            None => Ok(()),
            Some(_) => Err(ArchiveError::Duplicate {
                member: printable(name),
            }),
        }
    }

    fn take_folder(&mut self, path: &Utf8Path, name: &[u8]) -> Result<(), ArchiveError> {
        let mut above = Utf8PathBuf::new();
        for component in path.components() {
            above.push(component.as_str());
            let key = above.as_str().to_lowercase();
            match self.taken.get(&key) {
                Some((spelling, Taken::Folder)) if *spelling == above => {}
                Some(_) => {
                    return Err(ArchiveError::Duplicate {
                        member: printable(name),
                    });
                }
                None => {
                    let target = self.root.join(&above);
                    std::fs::create_dir(&target).map_err(|source| ArchiveError::Write {
                        path: target,
                        source,
                    })?;
                    self.taken.insert(key, (above.clone(), Taken::Folder));
                }
            }
        }
        Ok(())
    }
}

/// The path an entry's name stands for; `None` for the archive's own root (`.`, `./`).
fn checked(name: &[u8]) -> Result<Option<Utf8PathBuf>, ArchiveError> {
    let text = str::from_utf8(name).map_err(|_| bad_name(name, "is not UTF-8"))?;
    if text.is_empty() {
        return Err(bad_name(name, "is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(bad_name(name, "contains control characters"));
    }
    if text.contains(['\\', ':']) {
        return Err(bad_name(
            name,
            "contains `\\` or `:`, which mean something on Windows",
        ));
    }
    let mut path = Utf8PathBuf::new();
    for component in Utf8Path::new(text).components() {
        match component {
            Utf8Component::CurDir => {}
            Utf8Component::Normal(part) if part.ends_with(['.', ' ']) => {
                return Err(bad_name(
                    name,
                    "ends with a dot or a space, which Windows drops",
                ));
            }
            Utf8Component::Normal(part) if is_ours(part) => {
                return Err(bad_name(
                    name,
                    "is the name of a file this program writes itself",
                ));
            }
            Utf8Component::Normal(part) => path.push(part),
            Utf8Component::ParentDir | Utf8Component::RootDir | Utf8Component::Prefix(_) => {
                return Err(ArchiveError::Escapes {
                    member: printable(name),
                });
            }
        }
    }
    Ok(Some(path).filter(|path| !path.as_str().is_empty()))
}

/// Whether a name is one of those this program gives to its own files in a build's folder.
fn is_ours(name: &str) -> bool {
    [METADATA, LIST]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
}

fn bad_name(name: &[u8], why: &'static str) -> ArchiveError {
    ArchiveError::Name {
        member: printable(name),
        why,
    }
}

/// A name from an archive that may be shown on a terminal.
fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .escape_debug()
        .take(300)
        .collect()
}

/// Whether a file begins as a program does: ELF, Mach-O, or a script.
fn is_program(start: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 4] = [b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!"];
    BEGINNINGS
        .iter()
        .any(|beginning| start.starts_with(beginning))
}
