//! A whole text of ours as it may be shown to whoever looks over a shoulder: with everything that may
//! be a secret masked.
//!
//! What is a secret is said by [`super::excerpt`], line by line. Here the tree helps: a value that goes
//! over several lines belongs to its key as well.

use std::ops::Range;

use super::SourceText;
use super::excerpt::{MASK, is_secret_name, secrets};
use super::mistake::Collector;
use super::node::{self, Kind, Node};

/// The text with everything that may be a secret masked.
pub fn redacted(source: &SourceText) -> String {
    let text = &source.text;
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut mistakes = Collector::default();
    let file = mistakes.add_file(source);
    if let Some(root) = node::read(source, file, &mut mistakes) {
        collect(&root, &mut found);
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let of_line = secrets(line.trim_end_matches(['\r', '\n'])).into_iter();
        found.extend(of_line.map(|range| at + range.start..at + range.end));
        at += line.len();
    }
    found.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        if range.start >= at {
            shown.push_str(&text[at..range.start]);
            shown.push_str(MASK);
        }
        at = at.max(range.end);
    }
    shown.push_str(&text[at..]);
    shown
}

/// The values under the names of secrets.
fn collect(node: &Node, found: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => {
            for item in items {
                collect(item, found);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                let span = entry.value.span;
                let is_text = entry.value.scalar().is_some() && span.start < span.end;
                if is_text && is_secret_name(&entry.key) {
                    found.push(span.start..span.end);
                } else {
                    collect(&entry.value, found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_however_they_are_written() {
        let text = "\
env:
  API_KEY: hush # why
  HF_TOKEN:
    hush
  MY_SECRET: |
    hush
    hush
  PLAIN: shown
server: { port: 8001, api_key: { file: secrets/chat.key } }
args: [--api-key, hush, --metrics]
";
        let shown = redacted(&SourceText::new("orchestrator.yaml", text));
        assert!(!shown.contains("hush"), "{shown}");
        for kept in ["# why", "PLAIN: shown", "secrets/chat.key", "--metrics"] {
            assert!(shown.contains(kept), "{shown}");
        }
        // A text that cannot be read gives nothing away either.
        let broken = redacted(&SourceText::new(
            "orchestrator.yaml",
            "a: [\nAPI_KEY: hush\n",
        ));
        assert!(!broken.contains("hush"), "{broken}");
    }
}
