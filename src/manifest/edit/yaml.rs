//! One change of a YAML text: comments, order, anchors, line ends and style stay as they are.
//!
//! The text itself is edited by `yaml-edit`, which keeps aliases resolving when what they name is
//! taken out. What is decided here is where a value is written that is not written in the place it is
//! in force at, because an alias or `<<` brings it there.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr as _;

use serde_json::{Map, Value};
use yaml_edit::{Document, Mapping, YamlFile, YamlNode};

use super::change::{Change, nothing, put};
use crate::manifest::node::Node;
use crate::manifest::text::yaml_text;

/// Keys that lead to the fields of an instance: from there on, values get lines of their own.
const INSTANCE: usize = 2;

/// The text with one change; `before` is its tree, with all aliases resolved. `None` where it cannot
/// be edited.
pub(super) fn change(text: &str, before: &Node, change: &Change) -> Option<String> {
    // It promises to panic rather than leave an alias behind that names nothing.
    catch_unwind(AssertUnwindSafe(|| edited(text, before, change)))
        .ok()
        .flatten()
}

fn edited(text: &str, before: &Node, change: &Change) -> Option<String> {
    let file = YamlFile::from_str(text).ok()?;
    let document = file.document()?;
    let mut mapping = document.as_mapping()?;
    let mut depth = 0;
    let mut above = None;
    while depth + 1 < change.path.len() {
        let Some(inner) = mapping.get_mapping(change.path[depth].as_str()) else {
            break;
        };
        above = Some(std::mem::replace(&mut mapping, inner));
        depth += 1;
    }
    let (key, rest) = (change.path[depth].as_str(), &change.path[depth + 1..]);
    if change.to.is_none() && rest.is_empty() && mapping.contains_key(key) {
        return Some(without(&file, &mapping, key));
    }
    let resolved = change.path[..=depth]
        .iter()
        .try_fold(before, |node, key| node.get(key));
    let value = match (&change.to, rest) {
        (Some(value), []) => value.clone(),
        // Only what stands behind an alias can be in force here: nothing takes its place.
        (None, []) => Value::Null,
        (to, rest) => {
            let mut node = resolved.cloned().unwrap_or_else(nothing);
            put(&mut node, rest, to.as_ref());
            node.to_json()
        }
    };
    let alias = mapping.get(key);
    let alias = alias.as_ref().and_then(YamlNode::as_alias);
    let written = match (&value, alias, rest) {
        // An instance that is an alias stays one, but for what is changed.
        (Value::Object(fields), Some(alias), [first, ..]) if depth + 1 == INSTANCE => {
            let own = fields.get(first).map(flow).unwrap_or_default();
            format!("<<: *{}\n{}: {own}\n", alias.name(), yaml_text(first))
        }
        (Value::Object(fields), ..) if depth + 1 == INSTANCE && !fields.is_empty() => block(fields),
        (Value::String(text), ..) => quoted_like(&mapping, key, text),
        _ => flow(&value),
    };
    match above {
        // What `{}` gets first gets a line of its own.
        Some(above) if depth <= INSTANCE && mapping.is_empty() => {
            let own = match written.lines().count() {
                1 => format!(" {}", written.trim_end()),
                _ => format!("\n{}", indented(&written)),
            };
            let line = format!("{}:{own}\n", yaml_text(key));
            above.set(change.path[depth - 1].as_str(), node_of(&line)?);
        }
        _ => mapping.set(key, node_of(&written)?),
    }
    Some(file.to_string())
}

/// The text without one entry of a mapping. `{ a: 1, b: 2 }` keeps its inner spaces.
fn without(file: &YamlFile, mapping: &Mapping, key: &str) -> String {
    let was_padded = mapping.is_flow_style() && mapping.to_string().trim_end().ends_with(" }");
    mapping.remove(key);
    let mut text = file.to_string();
    let left = mapping.to_string();
    let left = left.trim_end();
    if was_padded && left.len() > 2 && !left.ends_with(" }") {
        let start = usize::try_from(mapping.byte_range().start).unwrap_or_default();
        let brace = start + left.len() - 1;
        if text.get(brace..).is_some_and(|rest| rest.starts_with('}')) {
            text.insert(brace, ' ');
        }
    }
    text
}

/// A text, quoted as the one it replaces was.
fn quoted_like(mapping: &Mapping, key: &str, text: &str) -> String {
    let old = mapping.get(key).map(|node| node.to_string());
    match old.as_deref().and_then(|old| old.chars().next()) {
        Some('"') => Value::from(text).to_string(),
        Some('\'') => format!("'{}'", text.replace('\'', "''")),
        _ => bare(text),
    }
}

/// A text without quotes where every reader takes it for that text: an id is one, whatever digits it
/// begins with.
fn bare(text: &str) -> String {
    match text.parse::<uuid::Uuid>() {
        Ok(_) if text.contains('-') => text.to_owned(),
        _ => yaml_text(text),
    }
}

/// A mapping as lines, one a field.
fn block(fields: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (key, value) in fields {
        // Writing into a text does not fail.
        let _ = writeln!(text, "{}: {}", yaml_text(key), flow(value));
    }
    text
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Null => "~".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => bare(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|(key, value)| format!("{}: {}", yaml_text(key), flow(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// A text as a node that can be put into another text.
fn node_of(text: &str) -> Option<YamlNode> {
    let document = Document::from_str(&format!("value:\n{}\n", indented(text))).ok()?;
    document.get("value")
}
