//! From verified archives to an installed build: put together, checked, committed.
//!
//! Each stage consumes the one before. Only [`Build::check`] runs anything; only
//! [`Checked::commit`] makes anything visible.

use std::fs;
use std::io;
use std::sync::atomic::AtomicBool;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde_json::json;

use super::archive::ArchiveError;
use super::files::Files;
use super::receive::Verified;
use super::{InstallError, PROGRAMS, check, place};
use crate::desired::{ArchiveOrigin, WantedBinary};
use crate::registry::{Checksum, Companion, Entry};
use crate::release::Accelerator;
use crate::release::host::{Host, Libc};

/// A build's folder, complete and unchecked.
pub(super) struct Build {
    root: Utf8PathBuf,
    files: Files,
    remarks: Vec<String>,
}

/// Where a build came from.
pub(super) struct Origin {
    /// Where its archive lay.
    pub(super) location: String,
    /// Whether nothing but the archive itself said what it must hash to.
    pub(super) unverified: bool,
}

/// A build that may be used.
pub(super) struct Checked {
    root: Utf8PathBuf,
    files: Files,
    pub(super) remarks: Vec<String>,
}

impl Build {
    /// Finds the server in the first archive, and lays the other ones beside it. Archives have had
    /// their files in `llama-<tag>/`, in `./`, in `build/bin/` and in no folder at all; wherever
    /// the server lies is the root of the build.
    pub(super) fn assemble(archives: Vec<Verified>) -> Result<Self, InstallError> {
        let mut archives = archives.into_iter();
        let Some(server) = archives.next() else {
            return Err(InstallError::NothingToFetch);
        };
        let name = server.archive.name;
        let is_server = |path: &&Utf8PathBuf| {
            path.file_name()
                .is_some_and(|name| PROGRAMS.contains(&name))
        };
        let paths = server.unpacked.files.iter().map(|file| &file.path);
        let mut found: Vec<&Utf8PathBuf> = paths.filter(is_server).collect();
        found.sort_by_key(|path| path.components().count());
        let folder = match found.as_slice() {
            [] => return Err(InstallError::NoServer { name }),
            [one, other, ..] if one.components().count() == other.components().count() => {
                let (one, other) = ((*one).clone(), (*other).clone());
                return Err(InstallError::SeveralServers { name, one, other });
            }
            [one, ..] => one.parent().unwrap_or(Utf8Path::new("")),
        };
        // Each archive's links stay within it before anything is moved along them.
        check::links(&server.unpacked.root).map_err(|source| InstallError::Archive {
            name: name.clone(),
            source,
        })?;
        let mut files = Files::default();
        let digest = server.archive.digest;
        for file in &server.unpacked.files {
            if let Ok(path) = file.path.strip_prefix(folder) {
                files.add_file(path, file, digest);
            }
        }
        for link in &server.unpacked.links {
            if let Ok(path) = link.at.strip_prefix(folder) {
                files.add_link(path, link, digest);
            }
        }
        let mut build = Self {
            root: server.unpacked.root.join(folder),
            files,
            remarks: Vec::new(),
        };
        for companion in archives {
            let name = &companion.archive.name;
            check::links(&companion.unpacked.root).map_err(|source| InstallError::Archive {
                name: name.clone(),
                source,
            })?;
            build
                .add(&companion)
                .map_err(|(path, source)| InstallError::Write { path, source })?;
        }
        Ok(build)
    }

    /// Moves the files of a companion beside the server, without the one folder they may lie in.
    fn add(&mut self, companion: &Verified) -> Result<(), (Utf8PathBuf, io::Error)> {
        let (from, digest) = (&companion.unpacked, companion.archive.digest);
        let files = from.files.iter().map(|file| &file.path);
        let members = || files.clone().chain(from.links.iter().map(|link| &link.at));
        let base = single_folder(members()).unwrap_or_default();
        for file in &from.files {
            let path = file.path.strip_prefix(&base).unwrap_or(&file.path);
            let is_free = self.files.is_free(path);
            let is_noted = is_free && self.files.add_file(path, file, digest);
            self.lay(companion, &file.path, path, is_noted)?;
        }
        for link in &from.links {
            let path = link.at.strip_prefix(&base).unwrap_or(&link.at);
            let is_free = self.files.is_free(path);
            let is_noted = is_free && self.files.add_link(path, link, digest);
            self.lay(companion, &link.at, path, is_noted)?;
        }
        Ok(())
    }

    /// Moves one member of a companion beside the server, unless the server has it or, where it is
    /// not `noted`, has something else in its place.
    fn lay(
        &mut self,
        companion: &Verified,
        member: &Utf8Path,
        path: &Utf8Path,
        noted: bool,
    ) -> Result<(), (Utf8PathBuf, io::Error)> {
        let archive = &companion.archive;
        if !noted {
            self.files.incomplete.insert(archive.digest);
            self.remarks.push(format!(
                "`{path}` of `{}` was left out: the server brings one of its own",
                archive.name
            ));
            return Ok(());
        }
        let (source, target) = (companion.unpacked.root.join(member), self.root.join(path));
        let failed = |error| (target.clone(), error);
        if target.symlink_metadata().is_ok() {
            return Ok(());
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::rename(&source, &target).map_err(failed)
    }

    /// Checks links, and runs the server where this machine can. `strict`: it must say that it is
    /// the build it is called.
    pub(super) fn check(
        mut self,
        binary: &WantedBinary,
        host: Option<&Host>,
        strict: bool,
        given_up: &AtomicBool,
    ) -> Result<Checked, InstallError> {
        let name = || {
            binary
                .archives
                .first()
                .map(|archive| archive.name.clone())
                .unwrap_or_default()
        };
        let failed = |source: ArchiveError| InstallError::Archive {
            name: name(),
            source,
        };
        check::links(&self.root).map_err(failed)?;
        let parts = binary.variant.parts();
        let is_foreign = match (&parts, host) {
            (Some(parts), Some(host)) => parts.os != host.os || parts.arch != host.arch,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let libc = host
            .filter(|_| !is_foreign)
            .map_or(Libc::Unknown, |host| host.libc);
        let needs = check::needs(&self.root, &self.files.executables(), libc, strict)?;
        self.remarks.extend(needs);
        if let Some(parts) = parts.filter(|_| is_foreign) {
            let (os, arch) = (parts.os, parts.arch);
            self.remarks
                .push(format!("it was not run: it is for {os} on {arch}"));
        } else {
            let program = check::program(&self.root);
            let program = program.ok_or_else(|| InstallError::NoServer { name: name() })?;
            self.remarks
                .extend(check::version(&program, &binary.build, strict, given_up)?);
        }
        self.remarks.extend(self.runtime(binary));
        Ok(Checked {
            root: self.root,
            files: self.files,
            remarks: self.remarks,
        })
    }

    /// A remark where a CUDA build that nobody published with a companion has no runtime of its
    /// own. Without one it does not fail, it computes on the processor.
    fn runtime(&self, binary: &WantedBinary) -> Option<String> {
        let is_alone = is_cuda(binary) && binary.archives.len() == 1;
        let is_there = self.files.files.keys().any(|name| is_cuda_runtime(name));
        (is_alone && !is_there).then(|| {
            "it brings no CUDA runtime (`libcudart`); without one on this machine it computes on the processor"
                .to_owned()
        })
    }
}

/// Refuses a CUDA build of a release without the companion that release has for it.
pub(super) fn check_companion(binary: &WantedBinary) -> Result<(), InstallError> {
    match binary.archives.as_slice() {
        [server] if is_cuda(binary) && matches!(server.origin, ArchiveOrigin::Release(_)) => {
            Err(InstallError::NoCompanion {
                name: server.name.clone(),
            })
        }
        _ => Ok(()),
    }
}

fn is_cuda(binary: &WantedBinary) -> bool {
    matches!(binary.variant.accelerator(), Some(Accelerator::Cuda(_)))
}

/// Whether a file is the CUDA runtime: `libcudart.so.12`, `cudart64_12.dll`.
fn is_cuda_runtime(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    file.starts_with("libcudart") || file.starts_with("cudart64_")
}

/// The folder all members lie in, if there is one.
fn single_folder<'a>(mut members: impl Iterator<Item = &'a Utf8PathBuf>) -> Option<Utf8PathBuf> {
    let first = members.next()?;
    let mut components = first.components();
    let folder = Utf8PathBuf::from(components.next()?.as_str());
    let is_folder = components.next().is_some();
    (is_folder && members.all(|member| member.starts_with(&folder) && *member != folder))
        .then_some(folder)
}

impl Checked {
    /// Moves the build to its place and registers it.
    pub(super) fn commit(
        self,
        binary: &WantedBinary,
        bins: &Utf8Path,
        origin: Origin,
    ) -> Result<Entry, InstallError> {
        let entry = self.entry(binary, origin);
        place::put(&self.root, &self.files, entry, bins)
    }

    fn entry(&self, binary: &WantedBinary, origin: Origin) -> Entry {
        let server = binary.archives.first();
        let tag = server.and_then(|archive| match &archive.origin {
            ArchiveOrigin::Release(tag) => Some(tag.to_string()),
            ArchiveOrigin::Url(_) => None,
        });
        Entry {
            id: binary.id,
            version: binary.build.to_string(),
            variant: binary.variant.clone(),
            download_url: Some(origin.location),
            sha256: binary.digest().map(Checksum::Sha256),
            installed_at: Some(Timestamp::now().to_string()),
            path: binary.id.to_string(),
            size_bytes: Some(self.files.bytes()),
            executables: self.files.executables(),
            github_release_info: tag.map(|tag| json!({ "tag_name": tag })),
            aliases: Vec::new(),
            companions: companions(binary),
            unverified: origin.unverified,
            files_sha256: None,
            damage: None,
            other: serde_json::Map::new(),
        }
    }
}

/// The companions of a build, as the registry lists them.
pub(super) fn companions(binary: &WantedBinary) -> Vec<Companion> {
    let companion = |archive: &crate::desired::WantedArchive| Companion {
        name: archive.name.clone(),
        sha256: archive.digest,
    };
    binary.archives.iter().skip(1).map(companion).collect()
}
