//! Edited texts from texts: what a person wants changed about instances, written where it lives.
//!
//! Pure. Comments, order and layout survive (`change`). A value is changed in the layer it comes
//! from: inline, or the instance's `config.json`; one that comes from `defaults`, or is written
//! nowhere, is written for this instance alone. Reading and replacing the files is the shell's
//! business.

mod change;
mod json;
#[cfg(test)]
mod tests;
mod yaml;

use serde_json::{Map, Value};

use self::change::Change;
use super::node::Node;
use super::{Manifest, Mistakes, SourceText, Texts};
use crate::instance::InstanceName;

/// What a person wants changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Another build for an instance. What else names one there goes: version, id, digest and URL
    /// move together.
    Pin {
        /// Whose.
        instance: InstanceName,
        /// Which build.
        pin: WrittenPin,
    },
    /// Whether an instance is to run.
    Enable {
        /// Which.
        instance: InstanceName,
        /// Whether.
        enabled: bool,
    },
    /// An instance that is not there yet.
    Add {
        /// What it is called.
        instance: InstanceName,
        /// Its fields.
        settings: Map<String, Value>,
        /// Whether they go into a `config.json` of its own.
        in_config: bool,
    },
    /// An instance less. Its `config.json` is left where it is.
    Remove {
        /// Which.
        instance: InstanceName,
    },
}

impl Edit {
    /// The instance it is about.
    pub const fn instance(&self) -> &InstanceName {
        match self {
            Self::Pin { instance, .. }
            | Self::Enable { instance, .. }
            | Self::Add { instance, .. }
            | Self::Remove { instance } => instance,
        }
    }
}

/// A pin as it is to be written: only what is set is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenPin {
    /// `version`
    pub version: Option<String>,
    /// `variant`; where it is not set, the one that is written stays.
    pub variant: Option<String>,
    /// `binary_id`
    pub binary_id: Option<String>,
    /// `sha256`
    pub sha256: Option<String>,
    /// `source_url`
    pub source_url: Option<String>,
}

/// Why texts cannot be edited. Nothing was written anywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A text has mistakes as it is.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// It would have mistakes afterwards.
    #[error("the edited files would be wrong")]
    WouldBeWrong(#[source] Mistakes),
    /// Settings of an instance that is not there yet lie there already.
    #[error("there is a `{0}` already")]
    Leftover(String),
    /// It is written in a way that cannot be edited without changing something else.
    #[error("cannot edit `{0}` so that nothing else in it changes")]
    Refused(String),
}

impl EditError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Mistakes(_) | Self::WouldBeWrong(_) => None,
            Self::Leftover(_) => Some(
                "move it away; or take it over by writing the name under `instances`, such as `chat: {}`",
            ),
            Self::Refused(_) => Some("edit it by hand, then see `llama-orch plan`"),
        }
    }
}

/// The parts of `binary` that move together.
const NAMES_BUILD: [&str; 4] = ["version", "binary_id", "sha256", "source_url"];

/// Edits the texts of a manifest.
///
/// # Errors
///
/// The texts have mistakes, or would have; or what is written cannot be edited by itself.
pub fn edit(texts: &Texts, edits: &[Edit]) -> Result<Texts, EditError> {
    let before = Manifest::parse(texts)?;
    let mut edited = texts.clone();
    // All at once: what an anchor shares among them is changed where it is written.
    let mut of_manifest = Vec::new();
    for edit in edits {
        let name = edit.instance();
        let Changes {
            manifest,
            config,
            new_config,
        } = Changes::of(texts, edit)?;
        of_manifest.extend(manifest);
        if let (Some(text), false) = (edited.configs.get(name), config.is_empty()) {
            let text = change::change(text, &config)?;
            edited.configs.insert(name.clone(), text);
        }
        if let Some(text) = new_config {
            edited.configs.insert(name.clone(), text);
        }
    }
    if !of_manifest.is_empty() {
        edited.manifest = change::change(&texts.manifest, &of_manifest)?;
    }
    let after = Manifest::parse(&edited).map_err(EditError::WouldBeWrong)?;
    let untouched = |manifest: &Manifest| {
        let mut manifest = manifest.clone();
        for edit in edits {
            manifest.instances.remove(edit.instance());
        }
        manifest
    };
    if untouched(&before) != untouched(&after) {
        return Err(EditError::Refused(edited.manifest.name));
    }
    Ok(edited)
}

/// What an edit changes in which file.
#[derive(Default)]
struct Changes {
    manifest: Vec<Change>,
    config: Vec<Change>,
    new_config: Option<SourceText>,
}

impl Changes {
    fn of(texts: &Texts, edit: &Edit) -> Result<Self, EditError> {
        let name = edit.instance();
        let path = ["instances", name.as_str()];
        let mut changes = Self::default();
        // It would be replaced, or count for what is new.
        if let (Edit::Add { .. }, Some(leftover)) = (edit, texts.configs.get(name)) {
            return Err(EditError::Leftover(leftover.name.clone()));
        }
        match edit {
            Edit::Pin { pin, .. } => changes.pin(&Layers::of(texts, name)?, name, pin),
            Edit::Enable { enabled, .. } => {
                let layer = Layers::of(texts, name)?.layer_of(&[["enabled"]]);
                changes.field(layer, name, &["enabled"], Some(Value::Bool(*enabled)));
            }
            Edit::Remove { .. } => changes.manifest.push(Change::remove(&path)),
            Edit::Add {
                settings,
                in_config: false,
                ..
            } => changes.manifest.push(Change::set(&path, settings.clone())),
            Edit::Add { settings, .. } => {
                let text = serde_json::to_string_pretty(&Value::Object(settings.clone()));
                let text = text.unwrap_or_default() + "\n";
                let shown = format!("instances/{name}/config.json");
                changes.new_config = Some(SourceText::new(shown, text));
                changes.manifest.push(Change::set(&path, Map::new()));
            }
        }
        Ok(changes)
    }

    fn pin(&mut self, layers: &Layers, name: &InstanceName, pin: &WrittenPin) {
        let layer = layers.layer_of(&NAMES_BUILD.map(|key| ["binary", key]));
        for (key, value) in [
            ("version", &pin.version),
            ("binary_id", &pin.binary_id),
            ("sha256", &pin.sha256),
            ("source_url", &pin.source_url),
        ] {
            let path = ["binary", key];
            if value.is_some() || layers.has(layer, &path) {
                self.field(layer, name, &path, value.as_deref().map(Value::from));
            }
        }
        if let Some(variant) = &pin.variant {
            // Of two layers the one above counts, and variants move alone.
            let layer = layers.layer_of(&[["binary", "variant"]]).min(layer);
            let path = ["binary", "variant"];
            self.field(layer, name, &path, Some(Value::from(variant.as_str())));
        }
    }

    fn field(&mut self, layer: Layer, name: &InstanceName, path: &[&str], to: Option<Value>) {
        let (file, prefix): (_, &[&str]) = match layer {
            Layer::Inline => (&mut self.manifest, &["instances", name.as_str()]),
            Layer::Config => (&mut self.config, &[]),
        };
        let path: Vec<&str> = prefix.iter().chain(path).copied().collect();
        file.push(match to {
            Some(value) => Change::set(&path, value),
            None => Change::remove(&path),
        });
    }
}

/// Where the fields of one instance can be written.
struct Layers {
    inline: Option<Node>,
    config: Option<Node>,
}

/// One of them; the one that counts more comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Inline,
    Config,
}

impl Layers {
    fn of(texts: &Texts, name: &InstanceName) -> Result<Self, EditError> {
        let manifest = change::tree(&texts.manifest)?;
        let inline = manifest
            .get("instances")
            .and_then(|instances| instances.get(name.as_str()));
        let config = texts.configs.get(name).map(change::tree).transpose()?;
        Ok(Self {
            inline: inline.cloned(),
            config,
        })
    }

    /// Whether a layer says something of a field.
    fn has(&self, layer: Layer, path: &[&str]) -> bool {
        let node = match layer {
            Layer::Inline => self.inline.as_ref(),
            Layer::Config => self.config.as_ref(),
        };
        let field = node.and_then(|node| path.iter().try_fold(node, |node, key| node.get(key)));
        field.is_some_and(|field| !field.is_null())
    }

    /// The layer that a field, or one of several that move together, comes from; what neither has is
    /// written where the rest of the instance is.
    fn layer_of<const N: usize>(&self, paths: &[[&str; N]]) -> Layer {
        let says = |layer| paths.iter().any(|path| self.has(layer, path));
        let is_empty = self
            .inline
            .as_ref()
            .and_then(Node::map)
            .is_none_or(<[_]>::is_empty);
        if says(Layer::Inline) {
            Layer::Inline
        } else if says(Layer::Config) || (self.config.is_some() && is_empty) {
            Layer::Config
        } else {
            Layer::Inline
        }
    }
}
