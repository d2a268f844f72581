//! Looks at what the old tool has left: its texts, its builds, and who listens at its ports. Writes
//! nothing, and asks nobody but `bin/llama-server` for its version.

#![expect(
    clippy::disallowed_methods,
    reason = "reads what the old tool has left"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use camino::Utf8Path;
use uuid::Uuid;

use super::{Finding, Listener, Old, OldBin, OldBuild, OldConfig, Severity, config};
use crate::durable::FileError;
use crate::history::chain;
use crate::install;
use crate::instance::identity::ProcessIdentity;
use crate::instance::listener::{self, Holder};
use crate::manifest::{Manifest, SourceText};
use crate::reconcile::{LoadError, read_texts};
use crate::registry::Registry;
use crate::release::Os;
use crate::root::Root;

/// Files of the old tool that are not read.
const UNREAD: [&str; 3] = [
    "state/state.sqlite",
    "state/instance_catalog.sqlite",
    "state/benchmark_history.sqlite",
];

/// Looks at a folder.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn look(root: &Root) -> Result<Old, FileError> {
    let configs = configs(root)?;
    let (builds, default, is_registered) = match Registry::load(&root.bins()) {
        Ok(registry) => {
            let found = builds(root, &registry);
            (Ok(found), registry.default_id(), has_bin(root, &registry))
        }
        Err(error) => (Err(chain(&error)), None, false),
    };
    let listeners =
        listeners(root, &configs).map_err(|error| format!("cannot list listeners: {error}"));
    Ok(Old {
        os: os(),
        builds,
        default,
        bin: bin(root, is_registered),
        manifest: manifest(root)?,
        listeners,
        unread: unread(root),
        configs,
    })
}

fn os() -> Os {
    if cfg!(windows) {
        Os::Windows
    } else if cfg!(target_os = "macos") {
        Os::Macos
    } else {
        Os::Linux
    }
}

fn configs(root: &Root) -> Result<Vec<OldConfig>, FileError> {
    let folder = root.configs();
    let failed = |path: &Utf8Path| {
        let path = path.to_owned();
        move |source| FileError::Read { path, source }
    };
    let entries = match folder.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(&folder)(source)),
    };
    let mut configs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed(&folder))?;
        let path = entry.path().join("config.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                continue;
            }
            Err(source) => return Err(failed(&path)(source)),
        };
        let shown = format!("instances/{}/config.json", entry.file_name());
        configs.push(OldConfig {
            folder: entry.file_name().to_owned(),
            source: SourceText::from_bytes(shown, bytes),
        });
    }
    configs.sort_by(|one, other| one.folder.cmp(&other.folder));
    Ok(configs)
}

fn builds(root: &Root, registry: &Registry) -> Vec<OldBuild> {
    let bins = root.bins();
    let entries = registry.entries().iter();
    let builds = entries.map(|entry| OldBuild {
        id: entry.id,
        version: entry.version.clone(),
        variant: entry.variant.clone(),
        digest: entry.digest(),
        installed: entry.installed(),
        damage: install::damage(&bins, entry).map(|damage| {
            damage
                .replace(root.path().as_str(), "")
                .replace("`/bins/", "`bins/")
        }),
    });
    builds.collect()
}

/// Whether the registry has the content of `bin/` from an earlier time, ours or the old tool's.
fn has_bin(root: &Root, registry: &Registry) -> bool {
    let ours = format!("registered from {}", root.path().join("bin"));
    registry.entries().iter().any(|entry| {
        let url = entry.download_url.as_deref().unwrap_or_default();
        (url == ours || url == "migrated-from-legacy-bin")
            && install::damage(&root.bins(), entry).is_none()
    })
}

fn bin(root: &Root, is_registered: bool) -> Option<OldBin> {
    let server = root.legacy_server();
    if !server.is_file() {
        return None;
    }
    let copy = install::contents(&root.path().join("bin"));
    Some(OldBin {
        build: install::build_number(&server).map_err(|error| chain(&error)),
        copy: copy
            .map(|files| files.bytes())
            .map_err(|error| chain(&error)),
        is_registered,
    })
}

fn manifest(
    root: &Root,
) -> Result<
    Option<Result<BTreeSet<crate::instance::InstanceName>, crate::manifest::Mistakes>>,
    FileError,
> {
    let texts = match read_texts(root) {
        Ok(texts) => texts,
        Err(LoadError::Mistakes(mistakes)) => {
            return Ok(root.manifest().exists().then_some(Err(mistakes)));
        }
        Err(LoadError::File(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    let manifest = Manifest::parse(&texts);
    Ok(Some(
        manifest.map(|manifest| manifest.instances.into_keys().collect()),
    ))
}

/// Who listens at the ports of the configs.
fn listeners(root: &Root, configs: &[OldConfig]) -> io::Result<BTreeMap<u16, Vec<Listener>>> {
    let ports: BTreeSet<u16> = configs.iter().flat_map(config::ports).collect();
    let mut found: BTreeMap<u16, Vec<Listener>> = BTreeMap::new();
    if ports.is_empty() {
        return Ok(found);
    }
    for (at, holder) in listener::holders(&ports)? {
        let listener = listener(root, &holder);
        let here = found.entry(at.port()).or_default();
        if !here.contains(&listener) {
            here.push(listener);
        }
    }
    Ok(found)
}

/// A server of the old tool runs from its builds. Where the program's path may not be read, its name
/// has to do.
fn listener(root: &Root, holder: &Holder) -> Listener {
    let program = holder.pid.and_then(|pid| {
        let identity = ProcessIdentity::of(pid, Uuid::nil()).ok()?;
        (!identity.program.as_str().is_empty()).then_some(identity.program)
    });
    let named = holder.program.as_deref().unwrap_or_default();
    let is_old_server = match &program {
        Some(program) => {
            let folders = [root.bins(), root.path().join("bin")];
            folders.iter().any(|folder| program.starts_with(folder))
        }
        None => named.starts_with("llama-server"),
    };
    Listener {
        who: holder.to_string(),
        is_old_server,
        alias: holder.pid.filter(|_| is_old_server).and_then(alias),
    }
}

/// The name a server was started under.
#[cfg(target_os = "linux")]
fn alias(pid: u32) -> Option<String> {
    let told = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut arguments = told.split(|byte| *byte == 0);
    arguments.find(|argument| *argument == b"--alias")?;
    String::from_utf8(arguments.next()?.to_vec()).ok()
}

/// Other systems do not tell how somebody else's process was started.
#[cfg(not(target_os = "linux"))]
fn alias(_pid: u32) -> Option<String> {
    None
}

fn unread(root: &Root) -> Vec<Finding> {
    let mut findings = Vec::new();
    let found: Vec<&str> = UNREAD
        .into_iter()
        .filter(|name| root.path().join(name).is_file())
        .collect();
    if !found.is_empty() {
        let what = format!("what the old tool noted is not read: {}", found.join(", "));
        findings.push(Finding::new(Severity::Note, "state/", what));
    }
    if root.path().join("state/daemon.pid").is_file() {
        let what = "the old tool's daemon may be at work";
        let finding = Finding::new(Severity::Note, "state/daemon.pid", what);
        findings.push(finding.hint("stop it first: it starts servers again that are ended"));
    }
    let foreign = root.path().join("bin/llama-server.exe");
    if !cfg!(windows) && foreign.is_file() {
        let what = "is a program of Windows, and does not run here";
        findings.push(Finding::new(Severity::Note, "bin/llama-server.exe", what));
    }
    findings
}
