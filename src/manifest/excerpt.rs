//! One line of a text with carets under what is meant, cut to the width of a screen and with
//! everything that may be a secret taken out.
//!
//! What is wrong with the line, and where, is left to [`super::mistake`].

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthChar;

use super::text::Place;

/// Columns a line may take before it is cut around the carets.
const WIDTH: usize = 100;
/// Columns kept before the carets where a line is cut.
const BEFORE: usize = 40;
/// Columns of a tab.
const TAB: usize = 4;
/// What stands for a secret, and for the end of a line that is cut.
pub(super) const MASK: &str = "***";
const CUT: &str = "...";

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    line: String,
    from: usize,
    width: usize,
}

/// What one character of the line is shown as.
struct Cell {
    at: usize,
    text: String,
    width: usize,
}

impl Excerpt {
    /// The line of a place, with carets under `length` bytes or as many as the line has. `None`
    /// for a line on which there is nothing to see.
    pub(crate) fn of(place: Place<'_>, length: usize) -> Option<Self> {
        let line = place.line.trim_end();
        if line.is_empty() {
            return None;
        }
        let cells = cells(line);
        let end = place.at.saturating_add(length);
        let width_of = |cells: &[Cell]| cells.iter().map(|cell| cell.width).sum::<usize>();
        let first = cells.partition_point(|cell| cell.at < place.at);
        let last = cells.partition_point(|cell| cell.at < end).max(first);
        let from = width_of(&cells[..first]);
        let width = width_of(&cells[first..last]).max(1);

        if width_of(&cells) <= WIDTH {
            let line = cells.into_iter().map(|cell| cell.text).collect();
            return Some(Self { line, from, width });
        }
        let mut column = 0;
        let left = from.saturating_sub(BEFORE);
        let mut shown = if left > 0 {
            CUT.to_owned()
        } else {
            String::new()
        };
        let start = shown.len();
        let mut skipped = 0;
        let mut cut = false;
        for cell in cells {
            let at = column;
            column += cell.width;
            if at < left {
                skipped = column;
            } else if column <= left + WIDTH {
                shown.push_str(&cell.text);
            } else {
                cut = true;
            }
        }
        if cut {
            shown.push_str(CUT);
        }
        let from = from.saturating_sub(skipped) + start;
        Some(Self {
            line: shown,
            from,
            width: width.min((WIDTH + start).saturating_sub(from).max(1)),
        })
    }

    /// Writes the line and, under it, the carets and the hint.
    pub(crate) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        number: usize,
        hint: Option<&str>,
    ) -> fmt::Result {
        write!(f, "\n{number:>7} | {}", self.line)?;
        let indent = " ".repeat(self.from);
        write!(f, "\n        | {indent}{}", "^".repeat(self.width))?;
        match hint {
            None => Ok(()),
            Some(hint) if self.from + self.width + hint.chars().count() < WIDTH => {
                write!(f, " {hint}")
            }
            Some(hint) => write!(f, "\n        = {hint}"),
        }
    }
}

fn cells(line: &str) -> Vec<Cell> {
    let secrets = secrets(line);
    line.char_indices()
        .map(|(at, char)| {
            let text = match secrets.iter().find(|range| range.contains(&at)) {
                Some(range) if range.start == at => MASK.to_owned(),
                Some(_) => String::new(),
                None if char == '\t' => " ".repeat(TAB),
                None if char.is_control() || turns_text(char) => char::REPLACEMENT_CHARACTER.into(),
                None => char.into(),
            };
            let width = text.chars().map(|char| char.width().unwrap_or(0)).sum();
            Cell { at, text, width }
        })
        .collect()
}

/// Characters that change the direction of the text after them, and so what a line seems to say.
fn turns_text(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a value under this name is taken for a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.ends_with(word))
}

const SECRET_WORDS: [&str; 4] = ["key", "token", "secret", "password"];
const SECRET_FLAGS: [&str; 5] = ["--api-key", "--api_key", "--hf-token", "--hf_token", "-hft"];
const TOKEN_PREFIXES: [&str; 7] = ["hf_", "ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "sk-"];

/// The text with everything that has the form of a well-known access token masked.
pub(crate) fn without_tokens(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in tokens(text) {
        if range.start >= at {
            shown.push_str(&text[at..range.start]);
            shown.push_str(MASK);
            at = range.end;
        }
    }
    shown.push_str(&text[at..]);
    shown
}

/// Whether the text begins like a well-known access token.
pub(crate) fn is_token(text: &str) -> bool {
    tokens(text).first().is_some_and(|range| range.start == 0)
}

fn tokens(text: &str) -> Vec<Range<usize>> {
    let inner = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    let mut found: Vec<_> = TOKEN_PREFIXES
        .iter()
        .flat_map(|prefix| {
            text.match_indices(prefix)
                .map(|(at, _)| (at, at + prefix.len()))
        })
        .filter(|(at, _)| !text[..*at].ends_with(inner))
        .filter_map(|(at, body)| {
            let rest = &text[body..];
            let length = rest.find(|char| !inner(char)).unwrap_or(rest.len());
            (length >= 12).then_some(at..body + length)
        })
        .collect();
    found.sort_by_key(|range| range.start);
    found
}

/// Where a line holds what may be a secret: the value of a key such as `HF_TOKEN`, the argument of
/// an option such as `--api-key`, and anything that looks like a well-known token. It works on the
/// line alone, because a text that cannot be parsed must not give its secrets away either.
pub(super) fn secrets(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = tokens(line);
    for word in SECRET_WORDS {
        for (at, _) in lower.match_indices(word) {
            let rest = line[at + word.len()..].trim_start_matches(['"', '\'', ' ', '\t']);
            if let Some(value) = rest.strip_prefix([':', '=']) {
                found.extend(value_at(line, value.trim_start()));
            }
        }
    }
    for flag in SECRET_FLAGS {
        for (at, _) in lower.match_indices(flag) {
            let rest = &line[at + flag.len()..];
            let value = rest.trim_start_matches(['"', '\'', ' ', '\t', ',', '=']);
            if value.len() < rest.len() {
                let quoted = &line[..line.len() - value.len()];
                let quote = quoted
                    .chars()
                    .next_back()
                    .filter(|char| matches!(char, '"' | '\''));
                let end = match quote {
                    Some(quote) => value.find(quote),
                    None => value.find([',', ']', ' ', '"', '\'']),
                };
                let start = line.len() - value.len();
                found.push(start..start + end.unwrap_or(value.len()));
            }
        }
    }
    // The user name and the password of a URL.
    for (at, mark) in line.match_indices("://") {
        let rest = &line[at + mark.len()..];
        let host = rest.find(['/', ' ', '"', '\'', ',']).unwrap_or(rest.len());
        if let Some(end) = rest[..host].rfind('@') {
            let start = at + mark.len();
            found.push(start..start + end);
        }
    }
    found.retain(|range| !range.is_empty());
    found.sort_by_key(|range| range.start);
    found
}

/// The range of a value that begins at `value`, which is the end of `line`.
fn value_at(line: &str, value: &str) -> Option<Range<usize>> {
    // What stands before the value itself: an anchor or a tag.
    let mut value = value;
    while value.starts_with(['&', '!']) {
        value = value
            .split_once(' ')
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    let start = line.len() - value.len();
    let first = value.chars().next()?;
    if matches!(first, '{' | '[' | '*' | '|' | '>' | '#') {
        return None;
    }
    if matches!(first, '"' | '\'') {
        let end = value[1..].find(first).map_or(value.len(), |end| end + 1);
        return Some(start + 1..start + end);
    }
    let in_flow = line[..start].contains(['{', '[']);
    let end = if in_flow {
        value.find([',', '}', ']'])
    } else {
        value.find(" #")
    };
    let value = value[..end.unwrap_or(value.len())].trim_end();
    Some(start..start + value.len())
}
