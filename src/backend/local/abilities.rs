//! Asks the servers of builds what they can do, and keeps what they said in
//! `.llama-orch/cache/builds/`.
//!
//! They are asked when a build was installed, and where that is not known, before something is started
//! from it and before anything stops for that. Looking runs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::observe::rests;
use super::perform::failed;
use super::{Local, facts};
use crate::abilities::{Abilities, Device, DeviceList, Misfit, Options, SCHEMA, Stamp};
use crate::backend::ActionError;
use crate::desired::argv::origin::listed_device;
use crate::desired::{Desired, WantedInstance};
use crate::durable;
use crate::install::{AskError, Asking};
use crate::instance::{BinaryId, InstanceName, Launch, identity};
use crate::observed::ObservedInstance;
use crate::registry::Registry;

/// How long each answer may take. Listing devices loads a gigabyte of libraries from a cold disk.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much of an answer is read; a help is some 60 KiB.
const MAX_ANSWER: u64 = 1 << 20;

/// What drivers look for and a server is given as well.
const PASSED: [&str; 4] = ["HOME", "PATH", "XDG_CACHE_HOME", "LANG"];

/// A program that can be asked, and what tells whether it was asked before.
struct Asked {
    program: Utf8PathBuf,
    stamp: Stamp,
    kept_in: Utf8PathBuf,
}

/// Dropped when nobody waits for the answer any more, which raises its flag.
#[derive(Default)]
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Local {
    /// What is known of the builds that something may be started from.
    pub(super) fn known_abilities(
        &self,
        desired: &Desired,
        registry: &Registry,
        instances: &BTreeMap<InstanceName, ObservedInstance>,
    ) -> BTreeMap<BinaryId, Arc<Abilities>> {
        let mut known = BTreeMap::new();
        for (name, wanted) in &desired.instances {
            let WantedInstance::Resolved(wanted) = wanted else {
                continue;
            };
            let id = wanted.launch.binary;
            let rests = instances.get(name).is_some_and(rests);
            if !wanted.enabled || rests || known.contains_key(&id) {
                continue;
            }
            let abilities = self.asked(registry, id).and_then(|asked| asked.kept());
            known.insert(id, abilities.map(Arc::new));
        }
        known
            .into_iter()
            .filter_map(|(id, abilities)| Some((id, abilities?)))
            .collect()
    }

    /// Asks a build that was just installed. Whatever keeps it from answering is met again when
    /// something is started from it, and is no reason not to have it.
    pub(super) async fn introduce(&self, id: BinaryId) {
        if let Ok(registry) = Registry::load(&self.root.bins())
            && let Some(asked) = self.asked(&registry, id)
        {
            asked.abilities(None).await;
        }
    }

    /// What the build of a launch can do, as far as that can be found out; it is asked where it was not
    /// before.
    pub(super) async fn abilities_of(
        &self,
        launch: &Launch,
        what: &str,
    ) -> Result<Option<Abilities>, ActionError> {
        let registry = Registry::load(&self.root.bins()).map_err(|error| {
            let hint = error.hint();
            failed(what.to_owned(), hint)(error)
        })?;
        Ok(match self.asked(&registry, launch.binary) {
            Some(asked) => asked.abilities(Some(launch)).await,
            None => None,
        })
    }

    /// What the build of a launch can do, where the launch fits that.
    ///
    /// # Errors
    /// Says what its build does not know.
    pub(super) async fn check_fit(
        &self,
        launch: &Launch,
        what: &str,
    ) -> Result<Option<Abilities>, ActionError> {
        let Some(abilities) = self.abilities_of(launch, what).await? else {
            return Ok(None);
        };
        let misfit = abilities
            .unknown_options(launch)
            .or_else(|| abilities.missing_device(launch));
        let hint = match &misfit {
            None => return Ok(Some(abilities)),
            Some(Misfit::Options { .. }) => {
                "what runs goes on; change the option, or pin another build"
            }
            Some(Misfit::Device { .. }) => {
                "what runs goes on; change `gpu.device_id`, or see to the driver of that device"
            }
        };
        let why = misfit.map(|misfit| misfit.to_string()).unwrap_or_default();
        Err(failed(what.to_owned(), Some(hint.to_owned()))(why))
    }

    /// Forgets what builds said that are not there any more.
    pub(super) fn sweep_abilities(&self) {
        let Ok(registry) = Registry::load(&self.root.bins()) else {
            return;
        };
        let entries = self.kept_abilities().read_dir_utf8();
        for entry in entries.into_iter().flatten().flatten() {
            let id: Option<BinaryId> = entry.path().file_stem().and_then(|id| id.parse().ok());
            let is_there = |id| id == BinaryId::LEGACY || registry.get(id).is_some();
            if !id.is_some_and(is_there) {
                // One that stays is read by nobody.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn kept_abilities(&self) -> Utf8PathBuf {
        self.root.state().join("cache/builds")
    }

    fn program_of(&self, registry: &Registry, id: BinaryId) -> Utf8PathBuf {
        self.root
            .path()
            .join(facts::program(&self.root, registry, id))
    }

    /// The program of a build, if it is there to be asked.
    fn asked(&self, registry: &Registry, id: BinaryId) -> Option<Asked> {
        let program = self.program_of(registry, id);
        // The others never change in place.
        let changes = id == BinaryId::LEGACY
            || registry
                .get(id)
                .is_some_and(crate::registry::Entry::is_referenced);
        Some(Asked {
            stamp: stamp(&program, changes)?,
            program,
            kept_in: self.kept_abilities().join(format!("{id}.json")),
        })
    }
}

impl Asked {
    /// What it said before, if it is still the same program.
    fn kept(&self) -> Option<Abilities> {
        let kept: Abilities = durable::read_json(&self.kept_in, SCHEMA).ok().flatten()?;
        (kept.program == self.stamp).then_some(kept)
    }

    /// What it says. A list of devices that may be out of date, or lacks the one that is asked for, is
    /// made anew. `None` where it could not be asked.
    async fn abilities(self, launch: Option<&Launch>) -> Option<Abilities> {
        let boot = identity::boot().ok();
        let kept = self.kept();
        let lacks = |kept: &Abilities| {
            launch.is_some_and(|launch| {
                let list = kept.devices.as_ref();
                let stale = list.is_none_or(|list| Some(list.boot) != boot);
                listed_device(launch).is_some() && (stale || kept.missing_device(launch).is_some())
            })
        };
        if let Some(kept) = kept.as_ref().filter(|kept| !lacks(kept)) {
            return Some(kept.clone());
        }
        let waiting = Waiting::default();
        let given_up = Arc::clone(&waiting.0);
        let answer = tokio::task::spawn_blocking(move || {
            let options = match kept {
                Some(kept) => kept.options,
                None => Options::parse(&ask(&self.program, "--help", &given_up).ok()?),
            };
            let listed = ask(&self.program, "--list-devices", &given_up).ok();
            let devices = listed.as_deref().and_then(Device::list).zip(boot);
            let abilities = Abilities {
                schema: SCHEMA,
                program: self.stamp,
                options,
                devices: devices.map(|(devices, boot)| DeviceList {
                    at: Timestamp::now(),
                    boot,
                    devices,
                }),
                other: serde_json::Map::new(),
            };
            // Where it cannot be kept, it is asked again.
            let folder = self.kept_in.parent().unwrap_or(Utf8Path::new("."));
            let _ = durable::create_folder(folder)
                .and_then(|()| durable::write_json(&self.kept_in, &abilities));
            Some(abilities)
        });
        let answer = answer.await.ok().flatten();
        drop(waiting);
        answer
    }
}

/// What a program says to one argument, if it ends well.
fn ask(
    program: &Utf8Path,
    argument: &'static str,
    given_up: &AtomicBool,
) -> Result<String, AskError> {
    let asking = Asking {
        argument,
        patience: PATIENCE,
        most: MAX_ANSWER,
        passed: &PASSED,
        given_up,
    };
    let (status, said) = asking.ask(program)?;
    if status.success() {
        Ok(said)
    } else {
        Ok(String::new())
    }
}

/// What tells a program from another in its place. Of a build that is made anew where it lies, the
/// newest file beside it counts: the program itself is a launcher that hardly ever changes.
fn stamp(program: &Utf8Path, changes: bool) -> Option<Stamp> {
    let metadata = std::fs::metadata(program)
        .ok()
        .filter(std::fs::Metadata::is_file)?;
    let mut modified = metadata.modified().ok()?;
    if changes {
        let beside = program.parent()?.read_dir_utf8().ok()?;
        let times = beside.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok());
        modified = times.fold(modified, Ord::max);
    }
    Some(Stamp {
        size: metadata.len(),
        modified: modified.try_into().ok()?,
    })
}
