//! Takes fields out of a tree one by one and notes every mistake on the way: wrong types, unknown
//! keys (with the one that was probably meant), values out of range.
//!
//! Which fields there are is said by the callers; how a single value is read, by
//! [`super::value`].

use std::collections::BTreeMap;

use super::Origin;
use super::mistake::Collector;
use super::node::{Entry, Kind, Node};
use super::text::Span;

/// Why a value is not what its field wants, as the second half of a sentence that begins with the
/// field's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    text: String,
    hint: Option<String>,
}

impl Fault {
    /// The value is not what is wanted.
    pub(super) fn wants(what: &str, node: &Node) -> Self {
        Self::says(format!("wants {what}, not {}", shown(node)))
    }

    /// Something else is wrong with the value.
    pub(super) fn says(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: None,
        }
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A value in a sentence, short enough for one.
pub(super) fn shown(node: &Node) -> String {
    const LONGEST: usize = 40;
    match &node.kind {
        Kind::List(_) => "a list".to_owned(),
        Kind::Map(_) => "a mapping".to_owned(),
        Kind::Scalar(_) if node.is_null() => "nothing".to_owned(),
        Kind::Scalar(scalar) => {
            let text = &scalar.text;
            let clean: String = text
                .chars()
                .take(LONGEST)
                .filter(|c| !c.is_control())
                .collect();
            let more = if text.chars().count() > LONGEST {
                "..."
            } else {
                ""
            };
            let quote = if scalar.plain { "" } else { "\"" };
            format!("`{quote}{clean}{more}{quote}`")
        }
    }
}

/// What all sections of a text share while they are read.
#[derive(Debug, Default)]
pub(super) struct Decoder<'a> {
    /// What was found to be wrong.
    pub(super) mistakes: Collector<'a>,
    /// Where the values taken so far were written, by their paths.
    pub(super) origins: BTreeMap<String, Origin>,
}

/// A mapping whose fields are being taken. One that is not written has no fields.
pub(super) struct Section<'d, 'a, 'n> {
    /// What the sections share.
    pub(super) decoder: &'d mut Decoder<'a>,
    /// Where the section is written: its key, or its content where it has none.
    pub(super) span: Span,
    /// What the section belongs to, for messages: ``instance `chat` ``.
    whose: &'n str,
    path: String,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    explained: Vec<(&'static str, &'static str)>,
}

impl<'d, 'a, 'n> Section<'d, 'a, 'n> {
    /// The section of a mapping. Anything else that is written there is a mistake.
    pub(super) fn new(
        decoder: &'d mut Decoder<'a>,
        whose: &'n str,
        node: Option<&'n Node>,
        span: Span,
    ) -> Self {
        Self::at(decoder, whose, String::new(), node, span)
    }

    fn at(
        decoder: &'d mut Decoder<'a>,
        whose: &'n str,
        path: String,
        node: Option<&'n Node>,
        span: Span,
    ) -> Self {
        let mut entries: &[Entry] = &[];
        if let Some(node) = node.filter(|node| !node.is_null()) {
            if let Some(map) = node.map() {
                entries = map;
            } else {
                let name = path.rsplit('.').next().filter(|name| !name.is_empty());
                let name = name.map_or_else(|| whose.to_owned(), |name| format!("`{name}`"));
                let message = format!("{name} wants a mapping, not {}", shown(node));
                decoder.mistakes.push(node.span, message, None);
            }
        }
        let (known, explained) = (Vec::new(), Vec::new());
        Self {
            decoder,
            span,
            whose,
            path,
            entries,
            known,
            explained,
        }
    }

    /// The entry of a field, whatever it holds. Declares the field as known.
    fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a field, unless it is absent or null.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key)
            .map(|entry| &entry.value)
            .filter(|node| !node.is_null())
    }

    /// The place of a field's value, or of the section where it has none.
    pub(super) fn span_of(&self, key: &str) -> Span {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map_or(self.span, |entry| entry.value.span)
    }

    /// The layer a field's value comes from.
    pub(super) fn origin_of(&self, key: &str) -> Option<Origin> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then_some(entry.value.origin)
    }

    /// The full name of a field.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Takes a field. `None` where it is absent, null or wrong.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let value = self.judge(key, node, read)?;
        self.decoder.origins.insert(self.path_of(key), node.origin);
        Some(value)
    }

    /// Takes a field that is a list.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Node) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let node = self.node(key)?;
        let Kind::List(items) = &node.kind else {
            let hint = node
                .scalar()
                .map(|scalar| format!("write `{key}: [{}]`", scalar.text));
            let message = format!("`{key}` wants a list, not {}", shown(node));
            self.decoder.mistakes.push(node.span, message, hint);
            return None;
        };
        self.decoder.origins.insert(self.path_of(key), node.origin);
        Some(
            items
                .iter()
                .filter_map(|item| self.judge(key, item, &mut read))
                .collect(),
        )
    }

    /// Takes a field that is a mapping with names of the user's own.
    pub(super) fn entries(&mut self, key: &'static str) -> &'n [Entry] {
        let Some(node) = self.node(key) else {
            return &[];
        };
        node.map().unwrap_or_else(|| {
            let message = format!("`{key}` wants a mapping, not {}", shown(node));
            self.decoder.mistakes.push(node.span, message, None);
            &[]
        })
    }

    /// Reads a value that belongs to a field and notes what is wrong with it.
    pub(super) fn judge<T>(
        &mut self,
        name: &str,
        node: &Node,
        read: impl FnOnce(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        match read(node) {
            Ok(value) => Some(value),
            Err(fault) => {
                let message = format!("`{name}` {}", fault.text);
                self.decoder.mistakes.push(node.span, message, fault.hint);
                None
            }
        }
    }

    /// Takes the fields of a mapping within this one.
    pub(super) fn within<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 'a, 'n>) -> T,
    ) -> T {
        let entry = self.entry(key);
        let span = entry.map_or(self.span, |entry| entry.span);
        let node = entry.map(|entry| &entry.value);
        let path = self.path_of(key);
        let mut section = Section::at(self.decoder, self.whose, path, node, span);
        let value = read(&mut section);
        section.finish();
        value
    }

    /// Notes a mistake in the value of a field, or in the section where it has none.
    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        let span = self.span_of(key);
        self.decoder.mistakes.push(span, message, Some(hint.into()));
    }

    /// Notes that something is missing from what the section belongs to.
    pub(super) fn miss(&mut self, message: &str, hint: &str) {
        let message = format!("{} {message}", self.whose);
        self.decoder
            .mistakes
            .push(self.span, message, Some(hint.to_owned()));
    }

    /// Says what to do about a key that is unknown here and often tried.
    pub(super) fn explain(&mut self, keys: &[&'static str], hint: &'static str) {
        self.explained.extend(keys.iter().map(|key| (*key, hint)));
    }

    /// Notes every key that was not asked for. A `config.json` may have keys of other tools.
    pub(super) fn finish(self) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.known.contains(&key) || entry.value.origin == Origin::Config {
                continue;
            }
            let place = match self.path.as_str() {
                "" => self.whose.to_owned(),
                path if self.whose.is_empty() => format!("`{path}`"),
                path => format!("`{path}` of {}", self.whose),
            };
            let place = if place.is_empty() {
                place
            } else {
                format!(" in {place}")
            };
            let explained = self.explained.iter().find(|(name, _)| *name == key);
            let hint = match explained {
                Some((_, hint)) => (*hint).to_owned(),
                None => suggest(key, self.known.iter().copied()),
            };
            self.decoder.mistakes.push(
                entry.span,
                format!("unknown key `{key}`{place}"),
                Some(hint),
            );
        }
    }
}

/// The names that were possible, led by the one that was probably meant.
pub(super) fn suggest<'k>(found: &str, possible: impl Iterator<Item = &'k str> + Clone) -> String {
    let distance = |name: &str| strsim::damerau_levenshtein(&found.to_lowercase(), name);
    let allowed = (found.chars().count() / 3).max(1);
    let near = possible.clone().map(|name| (distance(name), name)).min();
    match near {
        Some((distance, name)) if distance <= allowed => format!("did you mean `{name}`?"),
        _ => {
            let mut names: Vec<String> = possible.map(|name| format!("`{name}`")).collect();
            names.sort();
            if names.is_empty() {
                "nothing can be written here".to_owned()
            } else {
                format!("possible here: {}", names.join(", "))
            }
        }
    }
}
