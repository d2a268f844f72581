//! One pass: load what was written, resolve it (asking what has to be asked), look, plan, and,
//! where that was asked for, remember the choices so that the plan can be carried out.
//!
//! Decides nothing about instances: that is [`mod@crate::plan`]. Talks to nobody: that is the
//! terminal's business.

#![expect(
    clippy::disallowed_methods,
    reason = "reads what was written, and gives the core its clock"
)]

mod asking;
pub mod editing;
mod single;
pub mod update;

use std::collections::BTreeMap;

use camino::Utf8Path;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::backend::Backend;
use crate::desired::WantedInstance;
use crate::desired::argv::Salt;
use crate::desired::resolve::{Answers, Known, Resolution, Resolved, Terms, resolve};
use crate::durable::{self, FileError, FileLock};
use crate::install;
use crate::instance::InstanceName;
use crate::kill_point;
use crate::lock::{Lock, LockError};
use crate::manifest::{Manifest, Mistakes, SourceText, Texts};
use crate::observed::Observed;
use crate::plan::{self, Plan};
use crate::registry::{Registry, RegistryError};
use crate::release::Variant;
use crate::release::host::Host;
use crate::release::source::{AnySource, Network, Patience};
use crate::root::{self, Root};

use asking::installed;
pub use single::Latest;

/// Everything that was read from the root.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Where.
    pub root: Root,
    /// What was written.
    pub manifest: Manifest,
    /// What was resolved before.
    pub lock: Lock,
    /// The very text that said so; `None` where there was none.
    lock_text: Option<String>,
    /// What is installed.
    pub registry: Registry,
    /// What is true of this machine alone.
    pub machine: Machine,
    /// What this machine can run.
    pub host: Host,
}

/// Why the root could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The manifest is not there. Never taken for one that wants nothing.
    #[error("there is no `orchestrator.yaml` in `{0}`")]
    NoManifest(camino::Utf8PathBuf),
    /// The manifest or a config file has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// The lock cannot be read.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// One of our files cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// llama.cpp publishes nothing for this machine.
    #[error("llama.cpp publishes no builds for this system and processor")]
    UnknownHost,
}

impl LoadError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoManifest(_) => Some(
                "a manifest that is missing never means that nothing is wanted; bring it back, or end servers with `llama-orch down --all`"
                    .to_owned(),
            ),
            Self::Mistakes(_) => None,
            Self::Lock(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::UnknownHost => {
                Some("pin a build of your own, taken in with `llama-orch binary register`".to_owned())
            }
        }
    }
}

/// `.llama-orch/machine.json`: what is true of this machine alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Version of this file's form.
    pub schema: u32,
    /// Mixed into hashes of secrets; never leaves this machine.
    pub salt: String,
    /// The variants `auto` stands for.
    #[serde(default)]
    pub chosen: BTreeMap<InstanceName, Variant>,
    /// Keys of a later version, kept as they were.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The number in `schema` of `machine.json` that this version writes.
const MACHINE_SCHEMA: u32 = 1;

impl Machine {
    fn load(root: &Root) -> Result<Self, FileError> {
        Ok(
            durable::read_json(&root.machine(), MACHINE_SCHEMA)?.unwrap_or_else(|| Self {
                schema: MACHINE_SCHEMA,
                salt: Uuid::new_v4().to_string(),
                chosen: BTreeMap::new(),
                other: Map::new(),
            }),
        )
    }

    /// The salt for hashes of secrets.
    pub fn salt(&self) -> Salt {
        Salt::new(self.salt.clone())
    }
}

impl Loaded {
    /// Reads everything; writes nothing.
    pub fn read(root: &Root) -> Result<Self, LoadError> {
        Parts::read(root).whole(root)
    }

    /// The source builds come from.
    pub fn source(&self, terms: Terms) -> AnySource {
        // In the root of somebody else nothing is left behind.
        let is_ours = self.root.check_writable(false).is_ok();
        let network = Network {
            offline: terms.offline,
            patience: Patience::default(),
            cache: is_ours.then(|| self.root.state().join("cache")),
        };
        AnySource::new(&self.manifest.source, self.root.path(), network)
    }

    /// Resolves what was written, asking the source what has to be asked.
    pub async fn resolve(&self, source: &AnySource, terms: Terms) -> (Resolved, Answers) {
        let answers = Answers::new(Uuid::new_v4());
        self.resolve_knowing(source, terms, answers).await
    }

    /// The same, and nothing is asked that was answered before, be it by a failure.
    pub async fn resolve_knowing(
        &self,
        source: &AnySource,
        terms: Terms,
        mut answers: Answers,
    ) -> (Resolved, Answers) {
        let installed = installed(&self.root, &self.registry);
        let salt = self.machine.salt();
        let resolved = self.asking(source, &mut answers, terms, |answers, terms| {
            let known = Known {
                manifest: &self.manifest,
                lock: &self.lock,
                installed: &installed,
                legacy: self.root.legacy_server().exists(),
                host: &self.host,
                chosen: &self.machine.chosen,
                answers,
                salt: &salt,
                terms,
            };
            match resolve(&known) {
                Resolution::Complete(resolved) => Ok(*resolved),
                Resolution::Needs(questions) => Err(questions),
            }
        });
        (resolved.await, answers)
    }

    /// Whether the lock is still the one that was read: whoever pulled another one meanwhile keeps it.
    ///
    /// # Errors
    /// [`FileError::Changed`] where it is not.
    pub fn check_lock(&self) -> Result<(), FileError> {
        let path = self.root.lock();
        if durable::read_text(&path)? == self.lock_text {
            Ok(())
        } else {
            Err(FileError::Changed { path })
        }
    }

    /// Whether nothing was chosen that is not written down.
    pub fn is_remembered(&self, resolved: &Resolved) -> bool {
        self.choices(resolved) == self.machine && resolved.lock == self.lock
    }

    /// What is true of this machine, with what was chosen.
    fn choices(&self, resolved: &Resolved) -> Machine {
        let mut machine = self.machine.clone();
        // An instance that could not be resolved this time keeps what was chosen for it before.
        machine.chosen.retain(|name, _| {
            matches!(
                resolved.desired.instances.get(name),
                Some(WantedInstance::Unresolved(_))
            )
        });
        machine.chosen.extend(resolved.chosen.clone());
        machine
    }

    /// Writes down what was chosen: the lock in git, the choices of `auto` beside our state.
    pub fn remember(&self, resolved: &Resolved) -> Result<(), FileError> {
        let machine = self.choices(resolved);
        if machine != self.machine || !self.root.machine().exists() {
            durable::write_json(&self.root.machine(), &machine)?;
        }
        kill_point::reached("apply.chosen");
        if resolved.lock != self.lock {
            self.check_lock()?;
            durable::write(&self.root.lock(), resolved.lock.print().as_bytes())?;
        }
        Ok(())
    }
}

/// The parts of a root, each read whatever became of the others.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What was written.
    pub(crate) manifest: Result<Manifest, LoadError>,
    /// What was resolved before.
    pub(crate) lock: Result<Lock, LoadError>,
    /// Its text, where there is one that can be read.
    lock_text: Option<String>,
    /// What is installed.
    pub(crate) registry: Result<Registry, FileError>,
    /// What is true of this machine alone.
    pub(crate) machine: Result<Machine, FileError>,
    /// What this machine can run.
    pub(crate) host: Option<Host>,
}

impl Parts {
    /// Reads each of them; writes nothing.
    pub(crate) fn read(root: &Root) -> Self {
        let manifest = || Ok(Manifest::parse(&read_texts(root)?)?);
        Self::beside(root, manifest(), durable::read_text(&root.lock()))
    }

    /// Reads all but the manifest and the lock, whose text is given.
    fn beside(
        root: &Root,
        manifest: Result<Manifest, LoadError>,
        lock: Result<Option<String>, FileError>,
    ) -> Self {
        let (lock, lock_text) = match lock {
            Ok(Some(text)) => {
                let lock = Lock::parse(root::LOCK, &text).map_err(LoadError::from);
                (lock, Some(text))
            }
            Ok(None) => (Ok(Lock::default()), None),
            Err(error) => (Err(error.into()), None),
        };
        Self {
            manifest,
            lock,
            lock_text,
            registry: install::listed(&root.bins()),
            machine: Machine::load(root),
            host: Host::detect(),
        }
    }

    /// All of them, or what is wrong with the first that cannot be had.
    pub(crate) fn whole(self, root: &Root) -> Result<Loaded, LoadError> {
        Ok(Loaded {
            root: root.clone(),
            manifest: self.manifest?,
            lock: self.lock?,
            lock_text: self.lock_text,
            registry: self.registry?,
            machine: self.machine?,
            host: self.host.ok_or(LoadError::UnknownHost)?,
        })
    }
}

/// The texts of the manifest and of every config file.
pub fn read_texts(root: &Root) -> Result<Texts, LoadError> {
    let path = root.manifest();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LoadError::NoManifest(root.path().to_owned()));
        }
        Err(source) => return Err(FileError::Read { path, source }.into()),
    };
    let manifest = SourceText::from_bytes(root::MANIFEST, bytes)?;
    let mut configs = BTreeMap::new();
    for name in config_folders(&root.configs())? {
        let path = root.configs().join(name.as_str()).join("config.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(FileError::Read { path, source }.into()),
        };
        let shown = format!("instances/{name}/config.json");
        configs.insert(name, SourceText::from_bytes(shown, bytes)?);
    }
    Ok(Texts { manifest, configs })
}

fn config_folders(path: &Utf8Path) -> Result<Vec<InstanceName>, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let entries = match path.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A folder that is not named like an instance is not ours to read.
        if let Ok(name) = entry.map_err(failed)?.file_name().parse() {
            names.push(name);
        }
    }
    Ok(names)
}

/// A pass up to the plan.
#[derive(Debug)]
pub struct Pass {
    /// What is wanted, and what was chosen for it.
    pub resolved: Resolved,
    /// What was seen.
    pub observed: Observed,
    /// What follows.
    pub plan: Plan,
    /// Whether the release source was asked and out of reach.
    pub unreachable: bool,
}

/// Resolves, looks and plans. Writes nothing but answers of the source that are worth keeping.
pub async fn pass<B: Backend>(
    loaded: &Loaded,
    source: &AnySource,
    backend: &B,
    terms: Terms,
) -> Pass {
    pass_restarting(loaded, source, backend, terms, BTreeMap::new()).await
}

/// The same for a person who wants instances restarted, changed or not, and may say why.
pub async fn pass_restarting<B: Backend>(
    loaded: &Loaded,
    source: &AnySource,
    backend: &B,
    terms: Terms,
    restart: BTreeMap<InstanceName, Option<String>>,
) -> Pass {
    let (mut resolved, answers) = loaded.resolve(source, terms).await;
    resolved.desired.restart = restart;
    let observed = backend.observe(&resolved.desired).await;
    let plan = plan::plan(&resolved.desired, &observed);
    Pass {
        resolved,
        observed,
        plan,
        unreachable: answers.unreachable(),
    }
}

/// The lock that lets one pass decide at a time.
#[derive(Debug)]
pub struct PassLock {
    _lock: FileLock,
}

/// Why the pass lock was not had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassLockError {
    /// Another process holds it.
    #[error("another llama-orch is at work here: {holder}")]
    Held {
        /// Who, since when.
        holder: String,
    },
    /// It cannot be taken at all.
    #[error(transparent)]
    File(#[from] FileError),
}

impl PassLock {
    /// Takes the lock, waiting for it up to `patience`, and writes down who has it.
    pub fn take(
        root: &Root,
        verb: &str,
        patience: std::time::Duration,
    ) -> Result<Self, PassLockError> {
        root.create_state()?;
        let path = root.pass_lock();
        let holder = root.state().join("pass.holder");
        let Some(lock) = FileLock::take_within(&path, patience)? else {
            let holder = durable::read_text(&holder)?.unwrap_or_default();
            let holder = holder.trim();
            let holder = if holder.is_empty() { "unnamed" } else { holder };
            return Err(PassLockError::Held {
                holder: holder.to_owned(),
            });
        };
        let now = jiff::ZonedDateTime::now().strftime("%Y-%m-%d %H:%M:%S %Z");
        let line = format!(
            "`llama-orch {verb}` (pid {}) since {now}\n",
            std::process::id()
        );
        durable::write(&holder, line.as_bytes())?;
        Ok(Self { _lock: lock })
    }
}

/// The moment it is now, for whoever may not ask the clock.
pub fn now() -> Timestamp {
    Timestamp::now()
}
