//! From verified archives to an installed build: put together, checked, committed.
//!
//! Each stage consumes the one before. Only [`Build::check`] runs anything; only
//! [`Checked::commit`] makes anything visible, by one rename.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde_json::json;

use super::archive::{ArchiveError, Unpacked};
use super::check::{self, Inventory};
use super::receive::Verified;
use super::staging::Staging;
use super::{InstallError, METADATA, PROGRAMS, system};
use crate::desired::{ArchiveOrigin, WantedBinary};
use crate::durable;
use crate::kill_point;
use crate::registry::{Checksum, Companion, Entry, Registry};
use crate::release::host::{Host, Libc};

/// A build's folder, complete and unchecked.
pub(super) struct Build {
    root: Utf8PathBuf,
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
    inventory: Inventory,
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
        let mut found: Vec<&Utf8PathBuf> = server.unpacked.files.iter().filter(is_server).collect();
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
        check::inventory(&server.unpacked.root).map_err(|source| InstallError::Archive {
            name: name.clone(),
            source,
        })?;
        let mut build = Self {
            root: server.unpacked.root.join(folder),
            remarks: Vec::new(),
        };
        for companion in archives {
            let name = companion.archive.name.clone();
            check::inventory(&companion.unpacked.root).map_err(|source| InstallError::Archive {
                name: name.clone(),
                source,
            })?;
            build
                .add(&companion.unpacked, &name)
                .map_err(|(path, source)| InstallError::Write { path, source })?;
        }
        Ok(build)
    }

    /// Moves the files of a companion beside the server, without the one folder they may lie in.
    fn add(&mut self, from: &Unpacked, name: &str) -> Result<(), (Utf8PathBuf, io::Error)> {
        let members = || {
            from.files
                .iter()
                .chain(from.links.iter().map(|link| &link.at))
        };
        let base = single_folder(members());
        for member in members() {
            let relative = base
                .as_ref()
                .and_then(|base| member.strip_prefix(base).ok());
            let relative = relative.unwrap_or(member);
            let (source, target) = (from.root.join(member), self.root.join(relative));
            let failed = |error| (target.clone(), error);
            if target.symlink_metadata().is_ok() {
                if !same(&source, &target).map_err(failed)? {
                    self.remarks.push(format!(
                        "`{relative}` of `{name}` was left out: the server brings one of its own"
                    ));
                }
                continue;
            }
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).map_err(failed)?;
            }
            fs::rename(&source, &target).map_err(failed)?;
        }
        Ok(())
    }

    /// Checks links, and runs the server where this machine can. `strict`: it must say that it is
    /// the build it is called.
    pub(super) fn check(
        mut self,
        binary: &WantedBinary,
        host: Option<&Host>,
        strict: bool,
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
        let inventory = check::inventory(&self.root).map_err(failed)?;
        let parts = binary.variant.parts();
        let is_foreign = match (&parts, host) {
            (Some(parts), Some(host)) => parts.os != host.os || parts.arch != host.arch,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let libc = host
            .filter(|_| !is_foreign)
            .map_or(Libc::Unknown, |host| host.libc);
        let needs = check::needs(&self.root, &inventory.executables, libc, strict)?;
        self.remarks.extend(needs);
        if let Some(parts) = parts.filter(|_| is_foreign) {
            let (os, arch) = (parts.os, parts.arch);
            self.remarks
                .push(format!("it was not run: it is for {os} on {arch}"));
        } else {
            let program = check::program(&self.root);
            let program = program.ok_or_else(|| InstallError::NoServer { name: name() })?;
            self.remarks
                .extend(check::version(&program, &binary.build, strict)?);
        }
        Ok(Checked {
            root: self.root,
            inventory,
            remarks: self.remarks,
        })
    }
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

/// Whether two files have the same content; licences come with every archive.
fn same(one: &Utf8Path, other: &Utf8Path) -> io::Result<bool> {
    let (a, b) = (fs::symlink_metadata(one)?, fs::symlink_metadata(other)?);
    if a.is_symlink() && b.is_symlink() {
        return Ok(fs::read_link(one)? == fs::read_link(other)?);
    }
    Ok(a.is_file() && b.is_file() && a.len() == b.len() && fs::read(one)? == fs::read(other)?)
}

impl Checked {
    /// Makes the build last, moves it to its place and registers it, in this order: a crash in
    /// between leaves a complete folder that `recover` registers by the note inside it.
    pub(super) fn commit(
        self,
        binary: &WantedBinary,
        bins: &Utf8Path,
        origin: Origin,
        staging: &Staging,
    ) -> Result<Entry, InstallError> {
        let entry = self.entry(binary, origin);
        durable::write_json(&self.root.join(METADATA), &entry)?;
        let place = bins.join(&entry.path);
        let failed = |source| InstallError::Write {
            path: place.clone(),
            source,
        };
        system::flush(&self.root).map_err(failed)?;
        if place.symlink_metadata().is_ok() {
            // Whoever called has seen that the registry has it and that it is no longer whole.
            fs::rename(&place, staging.discard()).map_err(failed)?;
        }
        fs::rename(&self.root, &place).map_err(failed)?;
        durable::sync_folder(bins).map_err(failed)?;
        kill_point::reached("install.renamed");
        Registry::update(bins, |registry| registry.insert(entry.clone()))?;
        kill_point::reached("install.registered");
        Ok(entry)
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
            size_bytes: Some(self.inventory.bytes),
            executables: self.inventory.executables.clone(),
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
