//! Fetches models by name before anything stops: a run of the very build, on a private port and without
//! a device, that is ended as soon as it goes on to load. The server itself is started offline then.
//!
//! Where the files lie is upstream's business; what is noted in `.llama-orch/cache/fetched` is that they
//! came, and the one it loads, which has to be there still. An interrupted download stays upstream's
//! to go on with. A run that outlives this process is ended by the next pass.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "runs a program in this environment, on a port of its own"
)]

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::facts::{self, Located};
use super::perform::{Cause, failed, objection};
use super::{Local, read_record, read_state};
use crate::abilities::Abilities;
use crate::backend::{ActionError, Progress};
use crate::desired::argv::origin::{OFFLINE, fetched};
use crate::durable::{self, FileLock};
use crate::instance::folder::InstanceFolder;
use crate::instance::gate::reason;
use crate::instance::probe::{self, Address};
use crate::instance::process::{self, Process};
use crate::instance::record::RecordedLaunch;
use crate::instance::state::Exit;
use crate::instance::{EnvironmentValue, Launch, log};
use crate::plan::action::Fetch;
use crate::registry::Registry;
use crate::release::Digest;

/// The number in `schema` that this version writes.
const SCHEMA: u32 = 1;

/// How often the run is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long a run that has bound its port may take to say what it loads.
const WORD: Duration = Duration::from_secs(3);

/// Wait between SIGTERM and SIGKILL. There is nothing to finish.
const GRACE: Duration = Duration::from_secs(2);

/// Lines of its log that are told when it fails.
const TAIL: usize = 20;

/// What upstream writes before the path of the model it loads (tools/server, b4000 to b11434).
const LOADING: &str = "loading model '";

/// Variables that say where fetched files are kept, or where they come from.
const CACHE_VARIABLES: [&str; 8] = [
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HOME",
    "HUGGINGFACE_HUB_CACHE",
    "LLAMA_CACHE",
    "MODEL_ENDPOINT",
    "XDG_CACHE_HOME",
];

/// `<key>.json`: that something was fetched.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Version of this file's form.
    schema: u32,
    /// When.
    at: Timestamp,
    /// What was asked for.
    names: Vec<(String, String)>,
    /// The model that was about to be loaded, where the server said so.
    #[serde(default)]
    model: Option<Utf8PathBuf>,
    /// Keys of a later version, kept as they were.
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// A run that fetches. It ends with this value.
struct Run {
    process: Option<Process>,
}

impl Run {
    fn ended(&mut self) -> Result<Option<Exit>, std::io::Error> {
        match &mut self.process {
            Some(process) => process.ended(),
            None => Ok(None),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // One that cannot be ended is found by the next pass.
            let _ = process.stop(GRACE);
        }
    }
}

impl Local {
    /// Whether what a launch fetches by name came before, and is there still.
    pub(super) fn is_fetched(&self, launch: &Launch) -> bool {
        let note: Option<Note> = durable::read_json(&self.note_of(launch), SCHEMA)
            .ok()
            .flatten();
        note.is_some_and(|note| note.model.is_none_or(|model| model.is_file()))
    }

    /// Lets a launch use what was fetched before, where its build can be told to.
    pub(super) fn go_offline(&self, launch: &mut Launch, abilities: Option<&Abilities>) {
        let options = abilities.and_then(|abilities| abilities.options.as_ref());
        let can = options.is_some_and(|options| options.knows(OFFLINE));
        if launch.fetches && can && self.is_fetched(launch) {
            launch.arguments.push(OFFLINE.to_owned());
            launch.fetches = false;
        }
    }

    /// Fetches what a launch names.
    ///
    /// # Errors
    /// Says what the run said.
    pub(super) async fn fetch(
        &self,
        fetch: &Fetch,
        progress: &dyn Progress,
    ) -> Result<(), ActionError> {
        let name = &fetch.instance;
        let what = || format!("cannot fetch the model of `{name}`");
        let cannot = |(cause, hint): (Cause, Option<String>)| failed(what(), hint)(cause);
        let abilities = self.abilities_of(&fetch.launch, &what()).await?;
        let options = abilities.and_then(|abilities| abilities.options);
        let Some(options) = options.filter(|options| options.knows(OFFLINE)) else {
            progress.remark(&format!(
                "{} cannot be told to use what was fetched before; the model is fetched when the server starts",
                fetch.launch.build
            ));
            return Ok(());
        };
        let folder = self.folder(name);
        let port = free_port().map_err(failed(what(), None))?;
        let mut located = self.locate_for(fetch, &what())?;
        let launch = &mut located.launch.arguments;
        // The last one wins.
        let ours = [
            ("--host", Ipv4Addr::LOCALHOST.to_string()),
            ("--port", port.to_string()),
            ("--device", "none".to_owned()),
            ("--ctx-size", "256".to_owned()),
        ];
        for (option, value) in ours {
            if options.knows(option) {
                launch.extend([option.to_owned(), value]);
            }
        }
        progress.phase("fetching model");
        let log = folder.path().join("fetch.log");
        let mut run = self.spawn(&folder, &located, &log).await.map_err(cannot)?;
        let address = Address::Tcp((Ipv4Addr::LOCALHOST, port).into());
        let model = watch(&folder, &mut run, &log, &address, &what()).await?;
        tokio::task::spawn_blocking(move || drop(run))
            .await
            .map_err(failed(what(), None))?;
        let note = Note {
            schema: SCHEMA,
            at: Timestamp::now(),
            names: fetched(&fetch.launch.arguments),
            model,
            other: Map::new(),
        };
        let path = self.note_of(&fetch.launch);
        durable::create_folder(path.parent().unwrap_or(&path))
            .and_then(|()| durable::write_json(&path, &note))
            .map_err(|error| {
                let hint = error.hint();
                failed(what(), hint)(error)
            })
    }

    fn locate_for(&self, fetch: &Fetch, what: &str) -> Result<RecordedLaunch, ActionError> {
        let registry = Registry::load(&self.root.bins()).map_err(|error| {
            let hint = error.hint();
            failed(what.to_owned(), hint)(error)
        })?;
        let Located { launch, missing } =
            facts::locate(&self.root, &registry, &fetch.launch, &self.salt);
        if missing.is_empty() {
            Ok(launch)
        } else {
            Err(failed(what.to_owned(), None)(missing.join("; ")))
        }
    }

    async fn spawn(
        &self,
        folder: &InstanceFolder,
        launch: &RecordedLaunch,
        log: &Utf8Path,
    ) -> Result<Run, (Cause, Option<String>)> {
        let state = read_state(folder).ok().flatten();
        let carried = facts::carried(std::iter::once(launch), &self.secrets, state.as_ref());
        let nonce = Uuid::new_v4();
        let ambient = std::env::vars_os().chain(
            carried
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        let environment = process::environment_of(self.root.path(), launch, nonce, ambient)
            .map_err(|error| {
                let hint = error.hint();
                (error.into(), hint)
            })?;
        let (root, folder) = (self.root.path().to_owned(), folder.clone());
        let (launch, log) = (launch.clone(), log.to_owned());
        let spawned = tokio::task::spawn_blocking(move || -> Result<Run, Cause> {
            folder.create()?;
            let lock = FileLock::try_take(&fetch_lock(&folder))?
                .ok_or("another llama-orch fetches it right now")?;
            if let Err(error) = std::fs::remove_file(&log)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error.into());
            }
            durable::write(&nonce_file(&folder), nonce.to_string().as_bytes())?;
            // Ended with this value, also where nobody waits for it any more.
            Ok(Run {
                process: Some(process::spawn(
                    &root,
                    &launch,
                    nonce,
                    environment,
                    &log,
                    lock,
                )?),
            })
        });
        spawned
            .await
            .map_err(|error| (error.into(), None))?
            .map_err(|error| (error, None))
    }

    /// Where it is noted that what a launch names was fetched, by the names and where they are kept.
    fn note_of(&self, launch: &Launch) -> Utf8PathBuf {
        let variables = CACHE_VARIABLES.map(|name| (name, variable(launch, name)));
        let key = Digest::of(format!("{:?} {variables:?}", fetched(&launch.arguments)));
        let folder = self.root.state().join("cache/fetched");
        folder.join(format!("{key}.json"))
    }
}

/// Ends runs that outlived the pass that had started them. To be called under the pass lock, so that
/// no pass has one.
pub(super) fn end_stray(folder: &InstanceFolder) {
    let lock = fetch_lock(folder);
    let nonce = durable::read_text(&nonce_file(folder)).ok().flatten();
    let nonce = nonce.and_then(|text| text.trim().parse().ok());
    if let (Some(nonce), Ok(true)) = (nonce, durable::is_locked(&lock)) {
        // One that cannot be ended harms nobody: it has a port of its own.
        let _ = process::take_lock_after(&lock, nonce);
    }
}

/// What a variable is for the server of a launch, as far as it changes where files are kept.
fn variable(launch: &Launch, name: &str) -> Option<String> {
    match launch.environment.get(name) {
        Some(EnvironmentValue::Literal(text)) => Some(text.clone()),
        Some(EnvironmentValue::File(path)) => Some(path.to_string()),
        Some(EnvironmentValue::FromEnv(other)) => std::env::var(other).ok(),
        None => std::env::var(name).ok(),
    }
}

/// Waits until a run goes on to load, and returns the model it names. Its end is a failure.
async fn watch(
    folder: &InstanceFolder,
    run: &mut Run,
    log: &Utf8Path,
    address: &Address,
    what: &str,
) -> Result<Option<Utf8PathBuf>, ActionError> {
    let mut bound: Option<tokio::time::Instant> = None;
    loop {
        let record = read_record(folder).ok().flatten();
        if let Some(objection) = record.and_then(|record| objection(folder, &record)) {
            return Err(objection);
        }
        // Asked before its log is read: what it wrote last, it wrote while it lived.
        let ended = run.ended().map_err(failed(what.to_owned(), None))?;
        let lines = log::tail_since(log, 0, TAIL).unwrap_or_default();
        if let Some(model) = lines.iter().find_map(|line| loaded(line, folder)) {
            return Ok(Some(model).filter(|model| model.is_file()));
        }
        if let Some(exit) = ended {
            let reason = reason::of_exit(exit, &lines).text;
            let last = lines.last().map(|line| format!(": {line}"));
            let hint = format!("all it said is in `{log}`; what runs goes on");
            let why = reason + &last.unwrap_or_default();
            return Err(failed(what.to_owned(), Some(hint))(why));
        }
        let now = tokio::time::Instant::now();
        if bound.is_none() {
            let address = address.clone();
            let asked = move || probe::connects(&address, LOOK, &[]).is_ok();
            let connects = tokio::task::spawn_blocking(asked).await;
            bound = connects.unwrap_or(false).then_some(now);
        }
        if bound.is_some_and(|bound| now.duration_since(bound) >= WORD) {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The model in a line that says it is loaded.
fn loaded(line: &str, folder: &InstanceFolder) -> Option<Utf8PathBuf> {
    let (_, rest) = line.split_once(LOADING)?;
    let (path, _) = rest.rsplit_once('\'')?;
    Some(folder.root().join(path))
}

fn fetch_lock(folder: &InstanceFolder) -> Utf8PathBuf {
    folder.path().join("fetch.lock")
}

fn nonce_file(folder: &InstanceFolder) -> Utf8PathBuf {
    folder.path().join("fetch.nonce")
}

/// A port that nobody has at the moment.
fn free_port() -> std::io::Result<u16> {
    let passing = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(passing.local_addr()?.port())
}
