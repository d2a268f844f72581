//! A text, YAML or JSON, as a tree in which every key and scalar knows its place and keeps the
//! words it was written with.
//!
//! Nothing is inferred here: `no`, `1e3` and `0x10` are text until a reader asks for a number.
//! Keys that appear twice are mistakes; anchors, aliases and `<<` are resolved, within a budget.
//! What the values mean is left to [`super::decode`], reading a text to [`read()`].

mod json;
mod open;
mod read;
mod syntax;

use serde_json::Value;

use super::Origin;
use super::text::Span;

pub(crate) use read::read;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it is written; for an alias, where the alias is.
    pub(crate) span: Span,
    /// Which layer of an instance it comes from.
    pub(crate) origin: Origin,
    /// What it is.
    pub(crate) kind: Kind,
}

/// The three forms of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A single text.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order in which it was written.
    Map(Vec<Entry>),
}

/// A single text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// As it was written, with escapes resolved.
    pub(crate) text: String,
    /// Whether it was written without quotes, and may be a number, a truth value or nothing.
    pub(crate) plain: bool,
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key's text.
    pub(crate) key: String,
    /// Where the key is written.
    pub(crate) span: Span,
    /// The value.
    pub(crate) value: Node,
}

impl Node {
    /// The text of a scalar.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The entries of a mapping.
    pub(crate) fn map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    /// Whether nothing is written: an empty value, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| {
            scalar.plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
        })
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.map()?
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The value as JSON, numbers and truth values inferred as YAML 1.2 does.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => {
                let entries = entries.iter();
                entries
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect()
            }
            Kind::Scalar(_) if self.is_null() => Value::Null,
            Kind::Scalar(scalar) if scalar.plain => match scalar.text.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                text => text.parse().map_or_else(|_| text.into(), Value::Number),
            },
            Kind::Scalar(scalar) => scalar.text.as_str().into(),
        }
    }

    /// The same tree as part of another layer.
    pub(crate) fn in_layer(mut self, origin: Origin) -> Self {
        self.set_layer(origin);
        self
    }

    fn set_layer(&mut self, origin: Origin) {
        self.origin = origin;
        match &mut self.kind {
            Kind::Scalar(_) => {}
            Kind::List(items) => {
                for item in items {
                    item.set_layer(origin);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    entry.value.set_layer(origin);
                }
            }
        }
    }
}
