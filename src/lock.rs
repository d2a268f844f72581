//! `orchestrator.lock`: which build a floating pin stands for, and what every archive of it must
//! hash to, on every platform.
//!
//! Pure; written by this program and kept in git. It holds no fact of a machine and no minted id.
//! Which archives belong into it is decided by whoever resolves a pin.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::instance::InstanceName;
use crate::manifest::node::{self, Entry, Kind, Node};
use crate::manifest::{Collector, Mistakes, ReleaseRequest, SourceText, yaml_text};
use crate::release::{Digest, Tag};

/// The number in `schema` that this version writes.
pub const SCHEMA: u32 = 1;

const HEADER: &str = "\
# Written by llama-orch, read by every machine: commit it together with orchestrator.yaml.
# `llama-orch update` moves floating pins; nothing else does.
";

/// Everything in `orchestrator.lock`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The build each floating pin stands for.
    pub pins: BTreeMap<InstanceName, LockedPin>,
    /// The archives of each build by their file names: those with a server, and `cudart` ones.
    pub assets: BTreeMap<Tag, BTreeMap<String, LockedAsset>>,
    /// The builds whose release was still being uploaded when `assets` was filled from it, so that
    /// more files may belong there.
    pub uploading: BTreeSet<Tag>,
    /// Archives that come from a `source_url`, by that URL.
    pub archives: BTreeMap<String, LockedAsset>,
    /// Keys of a later version, kept as they were.
    pub(crate) other: Map<String, Value>,
    /// The same within pins.
    pub(crate) other_of_pins: BTreeMap<InstanceName, Map<String, Value>>,
}

/// What a floating pin stands for. The version is kept beside the tag, so that a pin which is
/// rewritten from `stable` to `nightly` is resolved anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPin {
    /// The version as it was written: `stable`, `nightly` or `vX.Y.Z`.
    pub version: String,
    /// The build it stood for.
    pub tag: Tag,
}

/// One archive that has been seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedAsset {
    /// What it must hash to.
    pub sha256: Digest,
    /// Size in bytes; may be unknown for an archive that comes from a URL.
    pub size: Option<u64>,
    /// Keys of a later version, kept as they were.
    other: Map<String, Value>,
}

impl LockedAsset {
    /// An archive with this digest and, where known, this size in bytes.
    pub fn new(sha256: Digest, size: Option<u64>) -> Self {
        Self {
            sha256,
            size,
            other: Map::new(),
        }
    }
}

/// Why a lock cannot be used. Never a reason to go on as if there were none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// It is not what this program writes.
    #[error("{0}")]
    Damaged(Mistakes),
    /// It was written by a later version.
    #[error("`{name}` has schema {found}, and this llama-orch knows {SCHEMA}")]
    Newer {
        /// The file.
        name: String,
        /// The schema it has.
        found: u64,
    },
}

impl LockError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Damaged(_) => "put it right by hand, or bring the last good one back with \
                                 `git checkout HEAD -- orchestrator.lock`"
                .to_owned(),
            Self::Newer { .. } => "upgrade llama-orch on this machine".to_owned(),
        })
    }
}

impl Lock {
    /// Whether another one has pins or archives that are not in this.
    pub fn lacks(&self, other: &Self) -> bool {
        let has_asset = |(tag, assets): (&Tag, &BTreeMap<String, LockedAsset>)| {
            let mine = self.assets.get(tag);
            assets
                .keys()
                .all(|name| mine.is_some_and(|mine| mine.contains_key(name)))
        };
        !(other.pins.keys().all(|name| self.pins.contains_key(name))
            && other
                .archives
                .keys()
                .all(|url| self.archives.contains_key(url))
            && other.assets.iter().all(has_asset))
    }

    /// Reads a lock; `name` is what it is called in messages.
    ///
    /// # Errors
    ///
    /// [`LockError::Damaged`] for anything this program would not have written, an empty text
    /// included; [`LockError::Newer`] for one of a later version.
    pub fn parse(name: &str, text: &str) -> Result<Self, LockError> {
        let source = SourceText::new(name, text);
        let mut mistakes = Collector::default();
        let file = mistakes.add_file(&source);
        let root = node::read(&source, file, &mut mistakes);
        let mut reader = Reader { mistakes };
        let lock = root.as_ref().map(|root| {
            let schema = reader.schema(root);
            if let Some(found) = schema.filter(|found| *found > u64::from(SCHEMA)) {
                return Err(LockError::Newer {
                    name: name.to_owned(),
                    found,
                });
            }
            Ok(reader.lock(root))
        });
        match lock.transpose()? {
            Some(lock) if reader.mistakes.is_empty() => Ok(lock),
            _ => Err(LockError::Damaged(reader.mistakes.into_mistakes())),
        }
    }

    /// The text of the lock: sorted, one entry a line, the same for the same content.
    pub fn print(&self) -> String {
        let mut text = format!("{HEADER}schema: {SCHEMA}\n");
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        if !self.pins.is_empty() {
            line("pins:".to_owned());
            for (instance, pin) in &self.pins {
                let mut fields = vec![
                    format!("version: {}", yaml_text(&pin.version)),
                    format!("tag: {}", pin.tag),
                ];
                fields.extend(
                    self.other_of_pins
                        .get(instance)
                        .into_iter()
                        .flat_map(other_fields),
                );
                line(format!(
                    "  {}: {{ {} }}",
                    yaml_text(instance.as_str()),
                    fields.join(", ")
                ));
            }
        }
        if !self.assets.is_empty() {
            line("assets:".to_owned());
            for (tag, assets) in &self.assets {
                if assets.is_empty() {
                    line(format!("  {tag}: {{}}"));
                    continue;
                }
                line(format!("  {tag}:"));
                for (name, asset) in assets {
                    line(format!("    {}: {}", yaml_text(name), asset.print()));
                }
            }
        }
        if !self.uploading.is_empty() {
            let tags: Vec<String> = self.uploading.iter().map(ToString::to_string).collect();
            line(format!("uploading: [{}]", tags.join(", ")));
        }
        if !self.archives.is_empty() {
            line("archives:".to_owned());
            for (url, asset) in &self.archives {
                line(format!("  {}: {}", yaml_text(url), asset.print()));
            }
        }
        for (key, value) in &self.other {
            line(format!("{}: {value}", yaml_text(key)));
        }
        text
    }
}

impl LockedAsset {
    fn print(&self) -> String {
        let mut fields = vec![format!("sha256: {}", self.sha256)];
        fields.extend(self.size.map(|size| format!("size: {size}")));
        fields.extend(other_fields(&self.other));
        format!("{{ {} }}", fields.join(", "))
    }
}

/// Fields of a later version as they are printed: JSON is YAML, whatever their form.
fn other_fields(other: &Map<String, Value>) -> impl Iterator<Item = String> {
    other
        .iter()
        .map(|(key, value)| format!("{}: {value}", Value::from(key.as_str())))
}

struct Reader<'a> {
    mistakes: Collector<'a>,
}

impl Reader<'_> {
    fn schema(&mut self, root: &Node) -> Option<u64> {
        let schema = root.get("schema");
        let number = schema
            .and_then(plain_text)
            .and_then(|text| text.parse().ok());
        if number.is_none() {
            let span = schema.unwrap_or(root).span;
            self.mistakes
                .push(span, "a lock begins with `schema: 1`", None);
        }
        number
    }

    fn lock(&mut self, root: &Node) -> Lock {
        let mut lock = Lock::default();
        for Entry { key, value, .. } in root.map().unwrap_or_default() {
            match key.as_str() {
                "schema" => {}
                "pins" => self.pins(value, &mut lock),
                "assets" => {
                    for entry in self.entries("assets", value) {
                        if let Some(tag) = self.parsed::<Tag>(&entry.key, entry) {
                            let assets = self.assets(&entry.key, &entry.value, true);
                            lock.assets.insert(tag, assets);
                        }
                    }
                }
                "uploading" => lock.uploading = self.tags(value),
                "archives" => lock.archives = self.assets("archives", value, false),
                _ => {
                    lock.other.insert(key.clone(), value.to_json());
                }
            }
        }
        lock
    }

    fn pins(&mut self, node: &Node, lock: &mut Lock) {
        for entry in self.entries("pins", node) {
            let name = self.parsed::<InstanceName>(&entry.key, entry);
            let mut version = None;
            let mut tag = None;
            let mut other = Map::new();
            for field in self.entries(&entry.key, &entry.value) {
                let text = field.value.scalar().map(|scalar| scalar.text.as_str());
                let text = text.unwrap_or_default();
                match field.key.as_str() {
                    "version" => version = self.parsed::<ReleaseRequest>(text, field),
                    "tag" => tag = self.parsed(text, field),
                    _ => {
                        other.insert(field.key.clone(), field.value.to_json());
                    }
                }
            }
            let Some(name) = name else { continue };
            let (Some(version), Some(tag)) = (version, tag) else {
                let message = "a pin is written as `{ version: stable, tag: b9553 }`";
                self.mistakes.push(entry.value.span, message, None);
                continue;
            };
            lock.pins.insert(
                name.clone(),
                LockedPin {
                    version: version.to_string(),
                    tag,
                },
            );
            if !other.is_empty() {
                lock.other_of_pins.insert(name, other);
            }
        }
    }

    fn assets(&mut self, what: &str, node: &Node, sized: bool) -> BTreeMap<String, LockedAsset> {
        let mut assets = BTreeMap::new();
        for entry in self.entries(what, node) {
            if let Some(asset) = self.asset(entry, sized) {
                assets.insert(entry.key.clone(), asset);
            }
        }
        assets
    }

    fn asset(&mut self, entry: &Entry, sized: bool) -> Option<LockedAsset> {
        let mut sha256 = None;
        let mut size = None;
        let mut other = Map::new();
        for field in self.entries(&entry.key, &entry.value) {
            let text = field
                .value
                .scalar()
                .map(|scalar| scalar.text.as_str())
                .unwrap_or_default();
            match field.key.as_str() {
                "sha256" => sha256 = Some(self.parsed(text, field)?),
                "size" => {
                    let Ok(number) = text.parse() else {
                        self.mistakes.push(
                            field.value.span,
                            "`size` wants a number of bytes",
                            None,
                        );
                        return None;
                    };
                    size = Some(number);
                }
                _ => {
                    other.insert(field.key.clone(), field.value.to_json());
                }
            }
        }
        if size.is_none() && sized {
            self.mistakes
                .push(entry.span, format!("`{}` has no `size`", entry.key), None);
        }
        let Some(sha256) = sha256 else {
            self.mistakes
                .push(entry.span, format!("`{}` has no `sha256`", entry.key), None);
            return None;
        };
        Some(LockedAsset {
            sha256,
            size,
            other,
        })
    }

    fn tags(&mut self, node: &Node) -> BTreeSet<Tag> {
        let mut tags = BTreeSet::new();
        if node.is_null() {
            return tags;
        }
        let Kind::List(nodes) = &node.kind else {
            self.mistakes
                .push(node.span, "`uploading` wants a list of builds", None);
            return tags;
        };
        for node in nodes {
            let text = node.scalar().map(|scalar| scalar.text.as_str());
            match text.unwrap_or_default().parse() {
                Ok(tag) => {
                    tags.insert(tag);
                }
                Err(error) => self.mistakes.push(node.span, error.to_string(), None),
            }
        }
        tags
    }

    /// The entries of a mapping; an empty value has none.
    fn entries<'n>(&mut self, what: &str, node: &'n Node) -> &'n [Entry] {
        if node.is_null() {
            return &[];
        }
        node.map().unwrap_or_else(|| {
            self.mistakes
                .push(node.span, format!("`{what}` wants a mapping"), None);
            &[]
        })
    }

    fn parsed<T>(&mut self, text: &str, entry: &Entry) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let span = if text == entry.key {
                    entry.span
                } else {
                    entry.value.span
                };
                self.mistakes.push(span, error.to_string(), None);
                None
            }
        }
    }
}

fn plain_text(node: &Node) -> Option<&str> {
    node.scalar()
        .filter(|scalar| scalar.plain)
        .map(|scalar| scalar.text.as_str())
}

#[cfg(test)]
mod tests;
