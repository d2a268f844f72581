//! Changes of single values in one text, and the proof that nothing else became different.
//!
//! What the text is to say is worked out on its tree first. Then the text is edited ([`super::yaml`],
//! [`super::json`]) and read again: only where both trees are the same is the edit good. A value that
//! an anchor shares with others changes for all of them at first; those who are not to change get
//! their old value back, written where they are.

use std::collections::BTreeSet;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{EditError, json, yaml};
use crate::manifest::mistake::Collector;
use crate::manifest::node::{self, Entry, Kind, Node, Scalar};
use crate::manifest::text::{FileId, Span};
use crate::manifest::{Origin, SourceText};

/// How often those who share what was edited are put right.
const MOST_ROUNDS: usize = 8;
/// Levels down to an instance: `instances`, its name.
const INSTANCE: usize = 2;

/// One value that is to be another one, or not to be there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    /// The keys that lead to it.
    pub(super) path: Vec<String>,
    /// What it is to be; `None` takes its key out.
    pub(super) to: Option<Value>,
}

impl Change {
    pub(super) fn set(path: &[&str], to: impl Into<Value>) -> Self {
        Self {
            path: path.iter().map(|&key| key.to_owned()).collect(),
            to: Some(to.into()),
        }
    }

    pub(super) fn remove(path: &[&str]) -> Self {
        Self {
            path: path.iter().map(|&key| key.to_owned()).collect(),
            to: None,
        }
    }

    fn is_made_in(&self, tree: &Node) -> bool {
        let now = self.path.iter().try_fold(tree, |node, key| node.get(key));
        match (now, &self.to) {
            (Some(now), Some(to)) => is_same(now, &node_of(to)),
            (None, None) => true,
            _ => false,
        }
    }
}

/// The text with these changes and no other.
///
/// # Errors
///
/// The text has mistakes, or cannot be edited so that nothing else changes.
pub(super) fn change(source: &SourceText, changes: &[Change]) -> Result<SourceText, EditError> {
    let mut intended = tree(source)?;
    for change in changes {
        put(&mut intended, &change.path, change.to.as_ref());
    }
    let mut edited = source.clone();
    // A manifest may be written as JSON, and stays so.
    let is_json = source.is_json() || serde_json::from_str::<IgnoredAny>(&source.text).is_ok();
    let mut open = changes.to_vec();
    for _ in 0..MOST_ROUNDS {
        for change in &open {
            let before = tree(&edited)?;
            // What is shared may have changed along with another.
            if change.is_made_in(&before) {
                continue;
            }
            let text = if is_json {
                json::change(&edited.text, change)
            } else {
                yaml::change(&edited.text, &before, change)
            };
            edited.text = text.ok_or_else(|| refused(source))?;
        }
        // What cannot be read any more is no edit of what could.
        let now = tree(&edited).map_err(|_| refused(source))?;
        open.clear();
        differences(&mut Vec::new(), &now, &intended, &mut open);
        if open.is_empty() {
            return Ok(edited);
        }
    }
    Err(refused(source))
}

fn refused(source: &SourceText) -> EditError {
    EditError::Refused(source.name.clone())
}

/// A text as its tree. One without content is an empty mapping.
pub(super) fn tree(source: &SourceText) -> Result<Node, EditError> {
    let mut mistakes = Collector::default();
    let file = mistakes.add_file(source);
    let root = node::read(source, file, &mut mistakes);
    match root {
        Some(root) if mistakes.is_empty() => Ok(root),
        _ => Err(mistakes.into_mistakes().into()),
    }
}

/// Puts a value into a tree, with the mappings above it; `None` takes it out.
pub(super) fn put(node: &mut Node, path: &[String], to: Option<&Value>) {
    let Some((key, rest)) = path.split_first() else {
        if let Some(value) = to {
            node.kind = node_of(value).kind;
        }
        return;
    };
    if node.map().is_none() {
        if to.is_none() {
            return;
        }
        node.kind = Kind::Map(Vec::new());
    }
    let Kind::Map(entries) = &mut node.kind else {
        return;
    };
    let at = entries.iter().position(|entry| entry.key == *key);
    match (at, to, rest) {
        (None, None, _) => {}
        (Some(at), None, []) => {
            entries.remove(at);
        }
        (Some(at), _, rest) => put(&mut entries[at].value, rest, to),
        (None, Some(_), rest) => {
            let mut value = nothing();
            put(&mut value, rest, to);
            entries.push(Entry {
                key: key.clone(),
                span: nowhere(),
                value,
            });
        }
    }
}

/// What has to change in a tree for it to be another one.
fn differences(path: &mut Vec<String>, now: &Node, wanted: &Node, open: &mut Vec<Change>) {
    let (Some(have), Some(want)) = (now.map(), wanted.map()) else {
        if !is_same(now, wanted) {
            open.push(Change {
                path: path.clone(),
                to: Some(wanted.to_json()),
            });
        }
        return;
    };
    // Below an instance, what is null is not there.
    let is_there = |node: Option<&Node>, depth: usize| {
        node.is_some_and(|node| depth <= INSTANCE || !node.is_null())
    };
    let keys: BTreeSet<&String> = have.iter().chain(want).map(|entry| &entry.key).collect();
    for key in keys {
        let (has, wants) = (now.get(key), wanted.get(key));
        path.push(key.clone());
        let depth = path.len();
        match (has, wants) {
            (Some(has), Some(wants)) if is_there(Some(has), depth) => {
                differences(path, has, wants, open);
            }
            (_, Some(wants)) if is_there(Some(wants), depth) => open.push(Change {
                path: path.clone(),
                to: Some(wants.to_json()),
            }),
            (Some(has), None) if is_there(Some(has), depth) => open.push(Change {
                path: path.clone(),
                to: None,
            }),
            _ => {}
        }
        path.pop();
    }
}

/// Whether two values say the same, wherever and however they are written.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::Scalar(a), Kind::Scalar(b)) => {
            one.to_json() == other.to_json() && (a.text == b.text || one.is_null())
        }
        (Kind::List(a), Kind::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Kind::Map(a), Kind::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|entry| {
                    let twin = other.get(&entry.key);
                    twin.is_some_and(|twin| is_same(&entry.value, twin))
                })
        }
        _ => false,
    }
}

/// A value as a tree that is written nowhere.
fn node_of(value: &Value) -> Node {
    let plain = |text: String| Kind::Scalar(Scalar { text, plain: true });
    let kind = match value {
        Value::Null => plain(String::new()),
        Value::Bool(truth) => plain(truth.to_string()),
        Value::Number(number) => plain(number.to_string()),
        Value::String(text) => Kind::Scalar(Scalar {
            text: text.clone(),
            plain: false,
        }),
        Value::Array(items) => Kind::List(items.iter().map(node_of).collect()),
        Value::Object(fields) => Kind::Map(entries_of(fields)),
    };
    Node {
        span: nowhere(),
        origin: Origin::Inline,
        kind,
    }
}

/// A value that is not there.
pub(super) fn nothing() -> Node {
    node_of(&Value::Null)
}

fn entries_of(fields: &Map<String, Value>) -> Vec<Entry> {
    let fields = fields.iter();
    fields
        .map(|(key, value)| Entry {
            key: key.clone(),
            span: nowhere(),
            value: node_of(value),
        })
        .collect()
}

fn nowhere() -> Span {
    Span {
        file: FileId::default(),
        start: 0,
        end: 0,
    }
}
