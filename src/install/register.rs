//! Taking in a build that was made elsewhere: copied into `bins/`, or referenced where it lies.
//!
//! A copy is put together, checked and committed as an install is. Of a referenced build there is a
//! folder with our notes and a link; nothing is ever written where it lies.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::atomic::AtomicBool;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

pub use error::RegisterError;

use super::archive::Limits;
use super::damage::{damage, reference};
use super::files::{FileNote, Files, LIST, LinkNote};
use super::staging::Staging;
use super::tree::{self, Found, Kind};
use super::verify::OnBytes;
use super::{
    InstallError, Installed, METADATA, Outcome, PROGRAMS, check, ignore_in_git, place, system,
};
use crate::instance::BinaryId;
use crate::registry::{Checksum, Entry, REFERENCE, Registry};
use crate::release::host::Host;
use crate::release::{Archive, BuildName, Digest, Variant};

/// What stands in the registry for the digest of an archive there never was.
const REMARK: &str = "registered";

/// What is to be registered, and how.
#[derive(Debug, Clone, Copy)]
pub struct RegisterRequest<'a> {
    /// The folder of all builds.
    pub bins: &'a Utf8Path,
    /// The folder with `llama-server`, or that file itself, which stands for its folder.
    pub path: &'a Utf8Path,
    /// What it is to be called.
    pub version: &'a BuildName,
    /// Its flavour, where that is worth telling.
    pub variant: Option<&'a Variant>,
    /// The id it is to have; a new one otherwise.
    pub id: Option<BinaryId>,
    /// Whether it stays where it is, and only a link to it is made.
    pub link: bool,
    /// This machine: a build for another one is not run.
    pub host: Option<&'a Host>,
}

/// Registers a build, or finds that the very same files are registered under that name. A build
/// that lies where a referenced one of that name lay, or that has its damaged files, takes over its
/// id.
///
/// # Errors
/// Whatever goes wrong, `bins/` is as it was before.
pub fn register(
    request: &RegisterRequest<'_>,
    progress: OnBytes<'_>,
) -> Result<Installed, InstallError> {
    let folder = folder_of(request)?;
    let found = look(&folder, request.link)?;
    let variant = request.variant.cloned();
    let variant = variant.unwrap_or_else(|| Variant::new("unknown"));
    ignore_in_git(request.bins)?;
    let name = format!("{REMARK} {} {variant}", request.version);
    let staging = Staging::enter_now(request.bins, Digest::of(name))?;
    let home = staging.part(0);
    let written = |path: &Utf8Path| {
        let path = path.to_owned();
        move |source| InstallError::Write { path, source }
    };
    fs::create_dir(&home).map_err(written(&home))?;
    let files = if request.link {
        let link = home.join(REFERENCE);
        system::symlink(folder.as_str(), &link).map_err(written(&link))?;
        take(&folder, None, &found, progress)?
    } else {
        check_space(request.bins, bytes_of(&found))?;
        take(&folder, Some(&home), &found, progress)?
    };
    let registry = Registry::load(request.bins)?;
    let known = known(request, &registry, &variant, &folder, &files)?;
    if let Known::Present(entry) = known {
        return present(request, *entry);
    }
    let id = match (known, request.id) {
        (Known::Replaced(id), _) => id,
        (_, Some(id)) => match registry.get(id) {
            Some(entry) => {
                let found = format!("{} {}", entry.version, entry.variant);
                return Err(InstallError::OtherBuild { id, found });
            }
            None => id,
        },
        (_, None) => BinaryId::new(uuid::Uuid::new_v4()),
    };
    let occupied = request.bins.join(id.to_string());
    if registry.get(id).is_none() && occupied.symlink_metadata().is_ok() {
        return Err(InstallError::Occupied { path: occupied });
    }
    let root = if request.link { &folder } else { &home };
    let remarks = run(request, &variant, root)?;
    let entry = Entry {
        id,
        version: request.version.to_string(),
        variant,
        download_url: Some(format!("{REMARK} from {folder}")),
        sha256: Some(Checksum::Remark(REMARK.to_owned())),
        installed_at: Some(Timestamp::now().to_string()),
        path: if request.link {
            Entry::referenced(id)
        } else {
            id.to_string()
        },
        size_bytes: Some(files.bytes()),
        executables: files.executables(),
        github_release_info: None,
        aliases: Vec::new(),
        companions: Vec::new(),
        unverified: false,
        files_sha256: None,
        damage: None,
        other: serde_json::Map::new(),
    };
    let entry = place::put(&home, &files, entry, request.bins)?;
    Ok(Installed {
        outcome: Outcome::Installed,
        entry,
        remarks,
    })
}

/// The folder of the build, without links on the way to it.
fn folder_of(request: &RegisterRequest<'_>) -> Result<Utf8PathBuf, InstallError> {
    let path = request.path;
    let unread = |source| InstallError::Read {
        path: path.to_owned(),
        source,
    };
    let full = path.canonicalize_utf8().map_err(unread)?;
    let folder = if full.is_dir() {
        full
    } else if path.file_name().and_then(Archive::of).is_some() {
        return Err(RegisterError::Archive(path.to_owned()).into());
    } else if full
        .file_name()
        .is_none_or(|name| !PROGRAMS.contains(&name))
    {
        return Err(RegisterError::OtherFile(path.to_owned()).into());
    } else {
        full.parent().map_or(full.clone(), Utf8Path::to_owned)
    };
    if check::program(&folder).is_none() {
        return Err(RegisterError::NoServer(folder).into());
    }
    let bins = request.bins.canonicalize_utf8();
    let bins = bins.unwrap_or_else(|_| request.bins.to_owned());
    if bins.starts_with(&folder) || (request.link && folder.starts_with(&bins)) {
        return Err(RegisterError::Ours(folder).into());
    }
    Ok(folder)
}

/// What belongs to the build. Links of one that is to be copied must lead to something in it.
fn look(folder: &Utf8Path, stays: bool) -> Result<Vec<Found>, InstallError> {
    let mut found =
        tree::walk(folder).map_err(|(path, source)| InstallError::Read { path, source })?;
    // A build this program has installed is registered without our notes.
    found.retain(|found| ![METADATA, LIST].contains(&found.name.as_str()));
    let bytes = bytes_of(&found);
    if found.len() > Limits::DEFAULT.entries || bytes > Limits::DEFAULT.bytes {
        return Err(RegisterError::TooMuch {
            folder: folder.to_owned(),
            files: found.len(),
            bytes,
        }
        .into());
    }
    for found in &found {
        let path = folder.join(&found.name);
        match &found.kind {
            Kind::File { .. } => {}
            Kind::Link { .. } if stays => {}
            Kind::Link { target } => {
                let target = target.clone();
                let end = path.canonicalize_utf8();
                let leaves = |end: &Utf8PathBuf| !end.starts_with(folder);
                if Utf8Path::new(&target).is_absolute() || end.as_ref().is_ok_and(leaves) {
                    return Err(RegisterError::LinkLeaves { path, target }.into());
                }
                if end.is_err() {
                    return Err(RegisterError::Dangling { path, target }.into());
                }
            }
            Kind::Other => return Err(RegisterError::Kind(path).into()),
        }
    }
    Ok(found)
}

/// The files and links that a copy of this folder would consist of.
pub(crate) fn contents(folder: &Utf8Path) -> Result<Files, InstallError> {
    take(folder, None, &look(folder, false)?, &|_, _| ())
}

fn bytes_of(found: &[Found]) -> u64 {
    let sizes = found.iter().map(|found| match found.kind {
        Kind::File { size, .. } => size,
        Kind::Link { .. } | Kind::Other => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

fn check_space(bins: &Utf8Path, needed: u64) -> Result<(), InstallError> {
    match system::free_bytes(bins) {
        Ok(free) if free < needed => Err(InstallError::NoSpace {
            folder: bins.to_owned(),
            free,
            needed,
        }),
        // Where it cannot be known, writing will show.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Hashes every file of a build, and writes it to `copy` as it is read.
fn take(
    folder: &Utf8Path,
    copy: Option<&Utf8Path>,
    found: &[Found],
    progress: OnBytes<'_>,
) -> Result<Files, InstallError> {
    let (total, mut done) = (bytes_of(found), 0);
    let mut files = Files::default();
    for Found { name, kind } in found {
        let (from, to) = (folder.join(name), copy.map(|copy| copy.join(name)));
        let written = |source| InstallError::Write {
            path: to.clone().unwrap_or_default(),
            source,
        };
        if let Some(parent) = to.as_deref().and_then(Utf8Path::parent) {
            fs::create_dir_all(parent).map_err(written)?;
        }
        match kind {
            Kind::File { executable, .. } => {
                let create = |path: &Utf8PathBuf| system::create(path, *executable);
                let mut target = to.as_ref().map(create).transpose().map_err(written)?;
                let mut unwritten = None;
                let read = tree::read(&from, |piece| {
                    done += piece.len() as u64;
                    progress(done, total);
                    let Some(target) = &mut target else {
                        return Ok(());
                    };
                    io::Write::write_all(target, piece).map_err(|error| {
                        let kind = error.kind();
                        unwritten = Some(error);
                        kind.into()
                    })
                });
                let (sha256, size) = match (read, unwritten) {
                    (Ok(read), _) => read,
                    (Err(_), Some(error)) => return Err(written(error)),
                    (Err(source), None) => return Err(InstallError::Read { path: from, source }),
                };
                let note = FileNote {
                    sha256,
                    size,
                    executable: *executable,
                    archives: BTreeSet::new(),
                };
                files.files.insert(name.clone(), note);
            }
            Kind::Link { target } => {
                if let Some(to) = &to {
                    system::symlink(target, to).map_err(written)?;
                }
                let note = LinkNote {
                    target: target.clone(),
                    archives: BTreeSet::new(),
                };
                files.links.insert(name.clone(), note);
            }
            Kind::Other => {}
        }
    }
    Ok(files)
}

/// What the registry has under the name of the build.
enum Known {
    Nothing,
    /// The very same files.
    Present(Box<Entry>),
    /// Something this one takes the place of.
    Replaced(BinaryId),
}

fn known(
    request: &RegisterRequest<'_>,
    registry: &Registry,
    variant: &Variant,
    folder: &Utf8Path,
    files: &Files,
) -> Result<Known, InstallError> {
    let bins = request.bins;
    let is_named =
        |entry: &&Entry| entry.version == request.version.as_str() && entry.variant == *variant;
    let mut taken = None;
    for entry in registry.entries().iter().filter(is_named) {
        let listed = Files::load(bins, entry).ok().flatten();
        let is_same = listed.is_some_and(|(listed, _)| listed.is_same_build(files));
        let refers_here = reference(bins, entry).is_some_and(|there| there == folder);
        let lies_alike = entry.is_referenced() == request.link && (!request.link || refers_here);
        let is_whole = damage(bins, entry).is_none();
        let is_own = entry.digest().is_none();
        if is_same && is_whole && (lies_alike || !is_own) {
            return Ok(Known::Present(Box::new(entry.clone())));
        }
        if is_own && (is_same || !is_whole || (request.link && refers_here)) {
            return Ok(Known::Replaced(entry.id));
        }
        taken = Some(entry.id);
    }
    match taken {
        Some(id) => Err(RegisterError::Taken {
            version: request.version.clone(),
            variant: variant.clone(),
            id,
        }
        .into()),
        None => Ok(Known::Nothing),
    }
}

/// The build is there; it answers to the wanted id from now on.
fn present(request: &RegisterRequest<'_>, entry: Entry) -> Result<Installed, InstallError> {
    let installed = |outcome, entry| Installed {
        outcome,
        entry,
        remarks: Vec::new(),
    };
    let Some(id) = request.id.filter(|id| !entry.answers_to(*id)) else {
        return Ok(installed(Outcome::Present, entry));
    };
    let aliased = Registry::update(request.bins, |registry| {
        registry.add_alias(entry.id, id);
        registry.get(id).cloned()
    })?;
    if let Some(aliased) = aliased.filter(|aliased| aliased.id == entry.id) {
        return Ok(installed(Outcome::Aliased, aliased));
    }
    let found = format!("{} {}", entry.version, entry.variant);
    Err(InstallError::OtherBuild { id, found })
}

/// Runs the server where this machine can, and returns what is worth remarking.
fn run(
    request: &RegisterRequest<'_>,
    variant: &Variant,
    root: &Utf8Path,
) -> Result<Vec<String>, InstallError> {
    if let (Some(parts), Some(host)) = (variant.parts(), request.host)
        && (parts.os != host.os || parts.arch != host.arch)
    {
        let (os, arch) = (parts.os, parts.arch);
        return Ok(vec![format!("it was not run: it is for {os} on {arch}")]);
    }
    let Some(program) = check::program(root) else {
        return Err(RegisterError::NoServer(root.to_owned()).into());
    };
    Ok(
        check::version(&program, request.version, false, &AtomicBool::new(false))?
            .into_iter()
            .collect(),
    )
}
