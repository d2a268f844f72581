//! What is wrong with a text before it is a tree, in words that say what to do.

use std::ops::Range;

use serde::de::IgnoredAny;

use crate::manifest::text::SourceText;

/// A place, what is wrong there, and what to do about it.
type Finding = (Range<usize>, String, Option<&'static str>);

/// Finds what the YAML parser would forgive or explain badly: a conflict that git left, and a
/// `.json` that other readers of it would refuse.
pub(super) fn finds_mistake(source: &SourceText) -> Option<Finding> {
    conflict(&source.text).or_else(|| source.is_json().then(|| json_error(&source.text)).flatten())
}

/// Says what the YAML parser found at a place.
pub(super) fn explain(
    source: &SourceText,
    start: usize,
    info: &str,
) -> (String, Option<&'static str>) {
    let line = source.place(start).line;
    let indent = &line[..line.len() - line.trim_start().len()];
    let hint = if indent.contains('\t') {
        Some("indent with spaces, YAML allows no tabs there")
    } else if line.matches(": ").count() > 1 && !line.contains(['{', '"', '\'']) {
        Some("put a value that contains `: ` into quotes")
    } else {
        None
    };
    (format!("not valid YAML: {info}"), hint)
}

fn conflict(text: &str) -> Option<Finding> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            let message = "git left a conflict here".to_owned();
            return Some((
                at..at + 7,
                message,
                Some("resolve the conflict and commit the file"),
            ));
        }
        at += line.len();
    }
    None
}

fn json_error(whole: &str) -> Option<Finding> {
    let text = whole.trim_start_matches('\u{feff}');
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    let line_start = match error.line() {
        0 | 1 => 0,
        line => text
            .match_indices('\n')
            .nth(line - 2)
            .map_or(text.len(), |(at, _)| at + 1),
    };
    let start = whole.len() - text.len() + line_start + error.column().saturating_sub(1);
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or(&message);
    Some((start..start, format!("not valid JSON: {what}"), None))
}
