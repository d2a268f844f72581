//! What can stand in the arguments of a command line that is being typed, by the files of its root,
//! each of which is read when it is asked for. What cannot be read is not offered.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use camino::Utf8PathBuf;
use llama_orch::binaries::{shorten, shortest};
use llama_orch::durable;
use llama_orch::instance::InstanceName;
use llama_orch::instance::folder::{self, InstanceFolder};
use llama_orch::instance::record::{self, Record, RecordedLaunch};
use llama_orch::manifest::{self, Manifest};
use llama_orch::reconcile::read_texts;
use llama_orch::registry::Registry;
use llama_orch::root::{self, Root};

/// Values, each with what it is.
pub(super) type Candidates = Vec<(String, Option<String>)>;

/// What the files of a root say, each read when it is asked for.
pub(super) struct Known {
    root: Option<Root>,
    /// The command line as far as it is typed.
    words: Vec<OsString>,
}

impl Known {
    /// What the root has to say that the words typed so far, all of them, lead to.
    pub(super) fn of(words: Vec<OsString>) -> Self {
        Self {
            root: find_root(&words),
            words,
        }
    }

    /// Every instance that the manifest names or that has left a trace.
    pub(super) fn instances(&self) -> Candidates {
        let Some(root) = &self.root else {
            return Vec::new();
        };
        let mut names = BTreeMap::new();
        for name in folder::list(root.path()).unwrap_or_default() {
            names.insert(name, Some("not in orchestrator.yaml".to_owned()));
        }
        match read_texts(root) {
            Ok(texts) => match Manifest::parse(&texts) {
                Ok(manifest) => names.extend(manifest.instances.into_iter().map(|(name, one)| {
                    let pin = one.binary.and_then(|pin| pin.version);
                    (name, pin.map(|version| version.to_string()))
                })),
                Err(_) => names.extend(
                    manifest::outline(&texts.manifest)
                        .into_keys()
                        .map(|name| (name, None)),
                ),
            },
            Err(_) => names.values_mut().for_each(|help| *help = None),
        }
        let names = names.into_iter();
        names.map(|(name, help)| (name.into(), help)).collect()
    }

    /// Every tag, with the instances that have it.
    pub(super) fn tags(&self) -> Candidates {
        let Some(texts) = self.root.as_ref().and_then(|root| read_texts(root).ok()) else {
            return Vec::new();
        };
        let tagged: BTreeMap<InstanceName, BTreeSet<String>> = match Manifest::parse(&texts) {
            Ok(manifest) => {
                let instances = manifest.instances.into_iter();
                instances.map(|(name, one)| (name, one.tags)).collect()
            }
            Err(_) => manifest::outline(&texts.manifest),
        };
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, tags) in tagged {
            for tag in tags {
                found.entry(tag).or_default().push(name.to_string());
            }
        }
        let found = found.into_iter();
        found
            .map(|(tag, names)| (tag, Some(names.join(", "))))
            .collect()
    }

    fn registry(&self) -> Option<Registry> {
        Registry::load(&self.root.as_ref()?.bins()).ok()
    }

    /// Every installed build, by the beginning of its id and by its name where only one has it.
    pub(super) fn builds(&self) -> Candidates {
        let Some(registry) = self.registry() else {
            return Vec::new();
        };
        let length = shortest(&registry);
        let entries = registry.entries();
        let ids = entries.iter().map(|entry| {
            let what = format!("{} {}", entry.version, entry.variant.short());
            (shorten(entry.id, length), Some(what))
        });
        let is_alone = |version: &String| {
            let same = entries.iter().filter(|other| other.version == *version);
            same.count() == 1
        };
        let names = entries
            .iter()
            .filter(|entry| is_alone(&entry.version))
            .map(|entry| (entry.version.clone(), Some(entry.variant.short())));
        names.chain(ids).collect()
    }

    /// What a pin can be: what floats, and what is installed.
    pub(super) fn versions(&self) -> Candidates {
        let floating = [
            ("stable", "the newest stable release"),
            ("nightly", "the newest build"),
        ];
        let floating = floating.map(|(word, what)| (word.to_owned(), Some(what.to_owned())));
        let registry = self.registry();
        let entries = registry.iter().flat_map(Registry::entries);
        let installed = entries.map(|entry| {
            let what = format!("installed, {}", entry.variant.short());
            (entry.version.clone(), Some(what))
        });
        floating.into_iter().chain(installed).collect()
    }

    /// What a variant can be called: the families, and the variants that are installed.
    pub(super) fn variants(&self) -> Candidates {
        let families = [
            ("auto", "what suits this machine best"),
            ("cpu", "the processor alone"),
            ("vulkan", "Vulkan"),
            ("cuda", "CUDA of any version"),
            ("rocm", "ROCm of any version"),
        ];
        let families = families.map(|(word, what)| (word.to_owned(), Some(what.to_owned())));
        let registry = self.registry();
        let entries = registry.iter().flat_map(Registry::entries);
        let installed = entries.map(|entry| {
            let what = format!("installed with {}", entry.version);
            (entry.variant.short(), Some(what))
        });
        families.into_iter().chain(installed).collect()
    }

    /// The builds of launches that were proven, those of the instances that are typed where some are.
    pub(super) fn proven(&self) -> Candidates {
        let Some(root) = &self.root else {
            return Vec::new();
        };
        let names = folder::list(root.path()).unwrap_or_default();
        let is_typed = |name: &&InstanceName| {
            let mut words = self.words.iter();
            words.any(|word| word == OsStr::new(name.as_str()))
        };
        let typed: Vec<&InstanceName> = names.iter().filter(is_typed).collect();
        let names = if typed.is_empty() {
            names.iter().collect()
        } else {
            typed
        };
        let launches = names.into_iter().flat_map(|name| {
            let path = InstanceFolder::new(root.path(), name).record();
            let record: Option<Record> = durable::read_json(&path, record::SCHEMA).ok().flatten();
            record.map(|record| record.proven).unwrap_or_default()
        });
        let launches: Vec<RecordedLaunch> = launches.collect();
        let length = self.registry().map_or(8, |registry| shortest(&registry));
        let builds = launches
            .iter()
            .map(|one| (one.launch.build.to_string(), None));
        let ids = launches.iter().map(|one| {
            let build = one.launch.build.to_string();
            (shorten(one.launch.binary, length), Some(build))
        });
        builds.chain(ids).collect()
    }
}

/// The root that the words typed so far lead to.
fn find_root(words: &[OsString]) -> Option<Root> {
    let mut named = None;
    let mut words = words.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        let folder = match word {
            "-C" | "--root" => words.next(),
            "--" => break,
            word => word
                .strip_prefix("--root=")
                .or_else(|| word.strip_prefix("-C")),
        };
        named = folder.map(str::to_owned).or(named);
    }
    let named = named.or_else(|| std::env::var(root::VARIABLE).ok());
    // A shell has not expanded yet what is being typed.
    let named = named.map(
        |named| match (named.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest).to_string_lossy().into_owned(),
            _ => named,
        },
    );
    Root::find(named.map(Utf8PathBuf::from).as_deref()).ok()
}
