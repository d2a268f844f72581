//! What a manifest names, whether or not it is right: its instances and their tags, for offering them
//! while somebody types.
//!
//! Goes by the tree of the text alone. No mistake is told and nothing is checked, so nothing may
//! be decided by it: that takes [`super::Manifest::parse`].

use std::collections::{BTreeMap, BTreeSet};

use super::mistake::Collector;
use super::node::{self, Node};
use super::text::SourceText;
use crate::instance::InstanceName;

/// The instances of a manifest with their tags. A text that is no YAML names none.
pub fn outline(text: &SourceText) -> BTreeMap<InstanceName, BTreeSet<String>> {
    let mut mistakes = Collector::default();
    let file = mistakes.add_file(text);
    let root = node::read(text, file, &mut mistakes);
    let root = root.as_ref();
    let instances = root.and_then(|root| root.get("instances")?.map());
    let defaults = root.and_then(|root| root.get("defaults"));
    let default_tags = defaults.and_then(tags).unwrap_or_default();
    instances
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| {
            let name = entry.key.parse().ok()?;
            Some((
                name,
                tags(&entry.value).unwrap_or_else(|| default_tags.clone()),
            ))
        })
        .collect()
}

/// The tags that are written in a section.
fn tags(section: &Node) -> Option<BTreeSet<String>> {
    let node::Kind::List(items) = &section.get("tags")?.kind else {
        return None;
    };
    let texts = items.iter().filter_map(Node::scalar);
    Some(texts.map(|scalar| scalar.text.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let outline = outline(&SourceText::new("orchestrator.yaml", text));
        let lines = outline.into_iter().map(|(name, tags)| {
            let tags: Vec<String> = tags.into_iter().collect();
            format!("{name}: {}\n", tags.join(" "))
        });
        lines.collect()
    }

    #[test]
    fn names_are_found_in_a_manifest_that_is_wrong() {
        let text = "\
version: 7
defaults: { tags: [all] }
instances:
  chat: { vresion: b1, tags: [gpu0, big] }
  embed:
  Not A Name: {}
  chat: { twice: true }
";
        assert_eq!(told(text), "chat: big gpu0\nembed: all\n");
    }

    #[test]
    fn what_is_no_manifest_names_nothing() {
        for text in [
            "",
            "[]",
            "instances: [chat]",
            "instances: {",
            "instances: { chat: [ }",
        ] {
            assert_eq!(told(text), "", "{text}");
        }
    }
}
