//! The files watch goes by, read as one: the manifest, the config files and the lock. Their content decides
//! whether anything has changed; the last that were good are kept, for a boot that finds bad ones.
//!
//! What is wrong with a text is the manifest's to say, when to read is the loop's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::durable::{self, FileError};
use crate::instance::InstanceName;
use crate::manifest::{SourceText, Texts};
use crate::reconcile::{LoadError, Loaded, editing, read_texts};
use crate::release::Digest;
use crate::root::Root;

/// The number in `schema` of the kept files that this version writes.
const SCHEMA: u32 = 1;

/// The files of a root at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    texts: Texts,
    lock: Option<String>,
}

impl Inputs {
    /// Reads them; their mistakes are found later.
    ///
    /// # Errors
    /// There is no manifest, or one of them cannot be read or is no text.
    pub fn read(root: &Root) -> Result<Self, LoadError> {
        Ok(Self {
            texts: read_texts(root)?,
            lock: durable::read_text(&root.lock())?,
        })
    }

    /// The same with another lock.
    pub fn set_lock(&mut self, text: String) {
        self.lock = Some(text);
    }

    /// What tells them from others.
    pub fn digest(&self) -> Digest {
        let texts = std::iter::once(&self.texts.manifest).chain(self.texts.configs.values());
        let mut all = String::new();
        for text in texts {
            let (name, text) = (&text.name, &text.text);
            // Writing to memory does not fail.
            let _ = write!(all, "{name} {}\n{text}\n", text.len());
        }
        if let Some(lock) = &self.lock {
            all.push_str(lock);
        }
        Digest::of(all)
    }

    /// The root with these files, whatever lies in it by now.
    ///
    /// # Errors
    /// They have mistakes, or something else of the root cannot be read.
    pub fn load(&self, root: &Root) -> Result<Loaded, LoadError> {
        Loaded::of_inputs(root, &self.texts, Ok(self.lock.clone()))
    }

    /// The first of these files that differs from an earlier reading, by its path in the root.
    pub fn difference(&self, before: &Self) -> Option<String> {
        let changed = editing::difference(&before.texts, &self.texts);
        let lock = || (self.lock != before.lock).then(|| crate::root::LOCK.to_owned());
        changed.or_else(lock)
    }
}

/// The last files that were good.
#[derive(Debug, Clone, PartialEq)]
pub struct LastGood {
    /// The files.
    pub inputs: Inputs,
    /// When they were read.
    pub at: Timestamp,
}

/// `.llama-orch/last-good/files.json`
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    schema: u32,
    at: Timestamp,
    manifest: String,
    #[serde(default)]
    configs: BTreeMap<InstanceName, String>,
    #[serde(default)]
    lock: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl LastGood {
    /// Reads what was kept by an earlier watch; `None` where none was.
    ///
    /// # Errors
    /// The file is damaged, or of a newer version.
    pub fn read(root: &Root) -> Result<Option<Self>, FileError> {
        let kept: Option<Kept> = durable::read_json(&path(root), SCHEMA)?;
        Ok(kept.map(|kept| {
            let config = |(name, text): (InstanceName, String)| {
                let shown = format!("instances/{name}/config.json");
                (name, SourceText::new(shown, text))
            };
            Self {
                at: kept.at,
                inputs: Inputs {
                    texts: Texts {
                        manifest: SourceText::new(crate::root::MANIFEST, kept.manifest),
                        configs: kept.configs.into_iter().map(config).collect(),
                    },
                    lock: kept.lock,
                },
            }
        }))
    }

    /// Keeps them for the next watch, which may find bad ones when it begins.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn keep(&self, root: &Root) -> Result<(), FileError> {
        let folder = root.last_good();
        if !folder.is_dir() {
            durable::create_closed_folder(&folder).map_err(|source| FileError::Write {
                path: folder.clone(),
                source,
            })?;
        }
        let configs = self.inputs.texts.configs.iter();
        let kept = Kept {
            schema: SCHEMA,
            at: self.at,
            manifest: self.inputs.texts.manifest.text.clone(),
            configs: configs
                .map(|(name, text)| (name.clone(), text.text.clone()))
                .collect(),
            lock: self.inputs.lock.clone(),
            other: Map::new(),
        };
        durable::write_json(&path(root), &kept)
    }
}

fn path(root: &Root) -> camino::Utf8PathBuf {
    root.last_good().join("files.json")
}
