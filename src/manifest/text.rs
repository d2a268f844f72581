//! The texts a manifest is made of, and places in them.
//!
//! Where a text came from is only known by the name people see; reading it is left to the shell.

use std::collections::BTreeMap;

use super::mistake::{Collector, Mistakes};
use crate::instance::InstanceName;

/// Everything [`super::Manifest::parse`] reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// `orchestrator.yaml`.
    pub manifest: SourceText,
    /// Each `instances/<name>/config.json`; those of instances that are not in the manifest are
    /// not read.
    pub configs: BTreeMap<InstanceName, SourceText>,
}

/// One text with the name it is shown under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceText {
    /// The path as people know it, such as `orchestrator.yaml`. A name that ends in `.json` holds
    /// its text to the rules of JSON.
    pub name: String,
    /// The text itself.
    pub text: String,
}

impl SourceText {
    /// Names a text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Names a text that was read as bytes.
    ///
    /// # Errors
    ///
    /// The mistake says where the first byte lies that is not UTF-8.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Mistakes> {
        let name = name.into();
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(Self { name, text }),
            Err(error) => error,
        };
        let bytes = error.as_bytes();
        let hint = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            "it was saved as UTF-16; save it as UTF-8"
        } else {
            "save it as UTF-8"
        };
        let good = error.utf8_error().valid_up_to();
        let source = Self {
            name,
            text: String::from_utf8_lossy(bytes).into_owned(),
        };
        let mut mistakes = Collector::default();
        let file = mistakes.add_file(&source);
        let span = Span {
            file,
            start: good,
            end: good,
        };
        mistakes.push(
            span,
            "the text is not UTF-8 from here on",
            Some(hint.to_owned()),
        );
        Err(mistakes.into_mistakes())
    }

    /// Whether the text is held to the rules of JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.name.to_ascii_lowercase().ends_with(".json")
    }

    /// Where each line begins. YAML ends lines like every system does, old Macs included.
    pub(crate) fn line_starts(&self) -> Vec<usize> {
        let mark = '\u{feff}';
        let first = if self.text.starts_with(mark) {
            mark.len_utf8()
        } else {
            0
        };
        let bytes = self.text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        std::iter::once(first)
            .chain(ends.map(|(at, _)| at + 1))
            .collect()
    }

    /// The line around a byte offset. Offsets inside a character or past the end are moved back.
    pub(crate) fn place(&self, offset: usize) -> Place<'_> {
        self.place_among(&self.line_starts(), offset)
    }

    /// The same for a text whose lines are known.
    pub(crate) fn place_among(&self, line_starts: &[usize], offset: usize) -> Place<'_> {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let number = line_starts.partition_point(|start| *start <= offset).max(1);
        let start = line_starts.get(number - 1).copied().unwrap_or_default();
        let offset = offset.max(start);
        let rest = &self.text[start..];
        let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        let column = self.text[start..offset].chars().count() + 1;
        Place {
            number,
            column,
            line,
            at: (offset - start).min(line.len()),
        }
    }
}

/// One of the texts, by the order in which they were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(pub(super) usize);

/// A range of bytes in one of the texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Which text.
    pub(crate) file: FileId,
    /// The first byte.
    pub(crate) start: usize,
    /// The byte after the last one.
    pub(crate) end: usize,
}

/// A place in a text, as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// Line, counted from 1.
    pub(crate) number: usize,
    /// Column in characters, counted from 1.
    pub(crate) column: usize,
    /// The whole line without its end.
    pub(crate) line: &'a str,
    /// The place as a byte offset in `line`.
    pub(crate) at: usize,
}

/// A text as YAML that every reader takes for exactly that text.
pub(crate) fn yaml_text(text: &str) -> String {
    let word =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-' | '+' | '@');
    let inner = |c: char| word(c) || matches!(c, ':' | '=' | '%' | '~');
    // `-x` is an option, `-1` a number, and `---` a new document.
    let bare = text
        .strip_prefix("--")
        .or_else(|| text.strip_prefix('-'))
        .unwrap_or(text);
    let starts_well = bare.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'));
    let inferred = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let inferred = inferred.contains(&text.to_ascii_lowercase().as_str());
    if starts_well && !inferred && !text.ends_with(':') && text.chars().all(inner) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
