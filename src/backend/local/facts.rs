//! The files and variables a launch names, as they are on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::models;
use crate::desired::argv::Salt;
use crate::instance::record::{FileFact, Record, RecordedLaunch};
use crate::instance::state::{Phase, State};
use crate::instance::{BinaryId, EnvironmentValue, FileRole, Launch};
use crate::manifest::{Manifest, is_secret_name};
use crate::plan::MODEL_STILL_FOR;
use crate::registry::Registry;
use crate::root::Root;

/// A file whose content is compared may be no larger; a larger one is compared like a model.
const CONTENT_LIMIT: u64 = 1 << 20;

/// What stands before the names of variables that carry a manifest's literal secrets to a
/// supervisor: its record must not hold them.
const CARRIED: &str = "LLAMA_ORCH_SECRET_";

/// A launch as it is, or would be, assigned on this machine, and what it needs and does not find.
pub(super) struct Located {
    /// The launch with the program and the facts of its files.
    pub(super) launch: RecordedLaunch,
    /// What is not there, in words.
    pub(super) missing: Vec<String>,
}

/// The variable that carries a literal secret to a supervisor. Its name tells two values of the
/// same variable apart, so that a rollback gets the one it ran with.
fn carrier(name: &str, secret: &str, salt: &Salt) -> String {
    format!("{CARRIED}{}_{name}", &salt.hash(secret).to_string()[..8])
}

/// The name of the secret that such a variable carries.
fn secret_in(variable: &str) -> Option<&str> {
    Some(variable.strip_prefix(CARRIED)?.split_once('_')?.1)
}

/// The literal secrets of a manifest, by the variables that carry them.
pub(super) fn secrets(manifest: &Manifest, salt: &Salt) -> BTreeMap<String, String> {
    manifest
        .instances
        .values()
        .flat_map(|instance| &instance.env)
        .filter_map(|(name, value)| match value {
            EnvironmentValue::Literal(secret) if is_secret_name(name) => {
                Some((carrier(name, secret, salt), secret.clone()))
            }
            _ => None,
        })
        .collect()
}

/// The variables a supervisor has to be given for its launches beyond what it inherits: from the
/// manifest, else from the server that runs now and has them in its own environment.
pub(super) fn carried<'a>(
    launches: impl Iterator<Item = &'a RecordedLaunch>,
    secrets: &BTreeMap<String, String>,
    state: Option<&State>,
) -> BTreeMap<String, String> {
    let running = state.map(handed_to_server).unwrap_or_default();
    let mut carried = BTreeMap::new();
    for launch in launches.map(|launch| &launch.launch) {
        for value in launch.environment.values().chain(&launch.api_key) {
            let EnvironmentValue::FromEnv(variable) = value else {
                continue;
            };
            if let Some(secret) = secrets.get(variable) {
                carried.insert(variable.clone(), secret.clone());
            } else if std::env::var_os(variable).is_none()
                && let Some(value) = running.get(variable)
            {
                carried.insert(variable.clone(), value.clone());
            }
        }
    }
    carried
}

/// What the living server of a state was given, by the variables its supervisor had it from.
pub(super) fn handed_to_server(state: &State) -> BTreeMap<String, String> {
    let launch = &state.launch.launch;
    let process = state
        .server
        .as_ref()
        .and_then(|server| server.process.as_ref());
    let environ = process
        .filter(|process| matches!(process.find(), Ok(Some(_))))
        .and_then(|process| std::fs::read(format!("/proc/{}/environ", process.pid)).ok())
        .unwrap_or_default();
    let key = launch.api_key.iter().map(|value| ("LLAMA_API_KEY", value));
    let named: BTreeMap<&str, &EnvironmentValue> = launch
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .chain(key)
        .collect();
    environ
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .filter_map(|(name, value)| match named.get(name) {
            Some(EnvironmentValue::FromEnv(variable)) => Some((variable.clone(), value.to_owned())),
            _ => None,
        })
        .collect()
}

/// Looks up everything a launch of the manifest names.
pub(super) fn locate(root: &Root, registry: &Registry, launch: &Launch, salt: &Salt) -> Located {
    let mut launch = launch.clone();
    let mut handed = BTreeSet::new();
    for (name, value) in &mut launch.environment {
        if let EnvironmentValue::Literal(text) = value
            && is_secret_name(name)
        {
            let variable = carrier(name, text, salt);
            handed.insert(variable.clone());
            *value = EnvironmentValue::FromEnv(variable);
        }
    }
    find(root, registry, launch, &handed, salt)
}

/// Looks up everything a launch from the record names, as it is now: its files may have changed, and
/// its build may have come back under another id.
pub(super) fn relocate(
    root: &Root,
    registry: &Registry,
    recorded: &RecordedLaunch,
    handed: &BTreeSet<String>,
    salt: &Salt,
) -> Located {
    let mut launch = recorded.launch.clone();
    let digest = launch.archive();
    let entry = registry
        .get(launch.binary)
        .or_else(|| registry.of_digest(digest?).next());
    if let Some(entry) = entry {
        launch.binary = entry.id;
    }
    find(root, registry, launch, handed, salt)
}

/// Looks up what a launch names. The variables in `handed` are brought along.
fn find(
    root: &Root,
    registry: &Registry,
    launch: Launch,
    handed: &BTreeSet<String>,
    salt: &Salt,
) -> Located {
    let mut missing = Vec::new();
    let mut facts = BTreeMap::new();
    for (path, role) in &launch.files {
        let full = root.path().join(path);
        match (std::fs::metadata(&full), role) {
            (Ok(metadata), FileRole::Directory) if metadata.is_dir() => {}
            (Ok(metadata), FileRole::Model | FileRole::Content) if metadata.is_file() => {
                facts.insert(path.clone(), fact(&full, &metadata, *role, salt));
                if *role == FileRole::Model {
                    match models::parts(root.path(), path) {
                        Ok(parts) => facts.extend(parts.into_iter().filter_map(|part| {
                            let full = root.path().join(&part);
                            let metadata = std::fs::metadata(&full).ok()?;
                            Some((part, fact(&full, &metadata, *role, salt)))
                        })),
                        Err(why) => missing.push(why),
                    }
                }
            }
            (Ok(_), FileRole::Directory) => missing.push(format!("`{path}` is not a folder")),
            (Ok(_), FileRole::Model | FileRole::Content) => {
                missing.push(format!("`{path}` is not a file"));
            }
            (Err(error), FileRole::Model) if is_absent(&error) => {
                missing.push(format!("model `{path}` is not there"));
            }
            (Err(error), _) if is_absent(&error) => missing.push(format!("`{path}` is not there")),
            (Err(error), _) => missing.push(format!("`{path}` cannot be looked at: {error}")),
        }
    }
    for value in launch.environment.values().chain(&launch.api_key) {
        if let EnvironmentValue::FromEnv(name) = value
            && !handed.contains(name)
            && std::env::var_os(name).is_none()
        {
            missing.push(match secret_in(name) {
                Some(secret) => {
                    format!("the value of `{secret}` it ran with is not known any more")
                }
                None => format!("the environment variable `{name}` is not set"),
            });
        }
    }
    let program = program(root, registry, launch.binary);
    Located {
        launch: RecordedLaunch {
            launch,
            program,
            facts,
        },
        missing,
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

/// The program of a build, relative to the root where it lies below it.
pub(super) fn program(root: &Root, registry: &Registry, id: BinaryId) -> Utf8PathBuf {
    let below = |path: Utf8PathBuf| {
        path.strip_prefix(root.path())
            .map_or(path.clone(), Utf8Path::to_owned)
    };
    if id == BinaryId::LEGACY {
        return below(root.legacy_server());
    }
    let entry = registry.get(id).and_then(|entry| entry.program().ok());
    let within = entry.unwrap_or_else(|| Utf8PathBuf::from(id.to_string()).join("llama-server"));
    below(root.bins().join(within))
}

fn fact(path: &Utf8Path, metadata: &Metadata, role: FileRole, salt: &Salt) -> FileFact {
    let content = (role == FileRole::Content && metadata.len() <= CONTENT_LIMIT)
        .then(|| std::fs::read(path).ok())
        .flatten()
        .map(|bytes| salt.hash(bytes));
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok());
    FileFact {
        size: metadata.len(),
        modified: modified.filter(|_| content.is_none()),
        content,
    }
}

/// The wanted launch as it is to be compared with what runs: a model file that has changed only
/// just now may still be being copied, and does not count yet.
pub(super) fn settled_facts(
    mut wanted: RecordedLaunch,
    running: &RecordedLaunch,
    now: Timestamp,
) -> RecordedLaunch {
    for (path, fact) in &mut wanted.facts {
        let Some(old) = running.facts.get(path) else {
            continue;
        };
        if let Some(modified) = fact.modified
            && old != fact
            && now.duration_since(modified) < MODEL_STILL_FOR
        {
            *fact = old.clone();
        }
    }
    wanted
}

/// Launches that are worth falling back to beside the proven ones: what ran last and had passed its
/// gate, and what a supervisor was to fall back to and may have died before it did.
pub(super) fn passed(state: &State, record: &Record) -> Vec<RecordedLaunch> {
    let last = (state.phase == Phase::Running).then_some(&state.launch);
    let interrupted = record
        .wanted
        .as_ref()
        .filter(|wanted| wanted.id == state.assignment && !state.proven)
        .filter(|_| state.phase != Phase::Failed)
        .and_then(|wanted| wanted.fallback.as_ref());
    let mut passed: Vec<RecordedLaunch> = Vec::new();
    for launch in last.into_iter().chain(interrupted) {
        let fingerprint = launch.fingerprint();
        let mut known = record.proven.iter().chain(&passed);
        if !known.any(|known| known.fingerprint() == fingerprint) {
            passed.push(launch.clone());
        }
    }
    passed
}
