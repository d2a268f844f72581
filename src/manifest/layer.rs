//! How the layers of an instance lie on each other: defaults < config.json < inline.
//!
//! Mappings merge, lists and scalars replace, and what is empty above lets through what is below.
//! Some fields only make sense together and move as one.

use super::node::{Entry, Kind, Node};

/// Fields of a mapping of which one replaces all: they name one thing together, or exclude each
/// other.
const TOGETHER: [(&str, &[&str]); 2] = [
    ("binary", &["version", "binary_id", "sha256", "source_url"]),
    ("model", &["path", "hf", "directory"]),
];

/// Lays one tree over another.
pub(super) fn merge(below: Node, above: Node) -> Node {
    merge_at(&mut Vec::new(), below, above)
}

fn merge_at(path: &mut Vec<String>, below: Node, above: Node) -> Node {
    if above.is_null() {
        return below;
    }
    let Node { span, origin, kind } = above;
    match (below.kind, kind) {
        (Kind::Map(lower), Kind::Map(upper)) if !is_value(path) => Node {
            span,
            origin,
            kind: Kind::Map(merge_entries(path, lower, upper)),
        },
        (_, kind) => Node { span, origin, kind },
    }
}

/// Whether a mapping there is a value of its own: a secret is `{ file: .. }` or `{ from_env: .. }`.
fn is_value(path: &[String]) -> bool {
    match path {
        [section, _] if section == "env" => true,
        [section, field] => section == "server" && field == "api_key",
        _ => false,
    }
}

fn merge_entries(path: &mut Vec<String>, mut lower: Vec<Entry>, upper: Vec<Entry>) -> Vec<Entry> {
    let together = match &path[..] {
        [section] => TOGETHER
            .iter()
            .find(|(name, _)| name == section)
            .map(|(_, keys)| *keys),
        _ => None,
    };
    if let Some(keys) = together {
        let one_of_them = |entry: &Entry| keys.contains(&entry.key.as_str());
        if upper
            .iter()
            .any(|entry| one_of_them(entry) && !entry.value.is_null())
        {
            lower.retain(|entry| !one_of_them(entry));
        }
    }
    for entry in upper {
        match lower.iter().position(|below| below.key == entry.key) {
            None => lower.push(entry),
            Some(at) => {
                let below = lower.swap_remove(at);
                path.push(entry.key.clone());
                let span = if entry.value.is_null() {
                    below.span
                } else {
                    entry.span
                };
                let value = merge_at(path, below.value, entry.value);
                path.pop();
                lower.push(Entry {
                    key: entry.key,
                    span,
                    value,
                });
            }
        }
    }
    lower
}
