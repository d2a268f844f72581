//! What is wrong with a text: where, what and how to put it right.
//!
//! Mistakes are collected and reported together. How a line is cut to size and kept free of
//! secrets is left to [`super::excerpt`].

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fmt;

use super::excerpt::{self, Excerpt};
use super::text::{FileId, Place, SourceText, Span};

/// Everything that is wrong with the texts of a manifest, in the order of the files and lines.
///
/// Prints as the body of an error message: a heading, then each mistake with its line. No value
/// that may be a secret is part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    /// The mistakes; never empty.
    pub list: Vec<Mistake>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The name of the text it is in.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, on one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    excerpt: Option<Excerpt>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  {}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        match &self.excerpt {
            Some(excerpt) => excerpt.write(f, self.line, self.hint.as_deref()),
            None => self
                .hint
                .iter()
                .try_for_each(|hint| write!(f, "\n        = {hint}")),
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: BTreeSet<&str> = self
            .list
            .iter()
            .map(|mistake| mistake.file.as_str())
            .collect();
        let noun = if self.list.len() == 1 {
            "mistake"
        } else {
            "mistakes"
        };
        let count = self.list.len();
        match files.iter().collect::<Vec<_>>()[..] {
            [file] => write!(f, "`{file}` has {count} {noun}")?,
            [one, other] => write!(f, "{count} {noun} in `{one}` and `{other}`")?,
            _ => write!(f, "{count} {noun} in {} files", files.len())?,
        }
        self.list
            .iter()
            .try_for_each(|mistake| write!(f, "\n{mistake}"))
    }
}

/// Mistakes while they are being found.
#[derive(Debug, Default)]
pub(crate) struct Collector<'a> {
    files: Vec<File<'a>>,
    found: Vec<Found>,
    places: BTreeSet<Span>,
}

/// A text, and where its lines begin once somebody asked.
#[derive(Debug)]
struct File<'a> {
    source: &'a SourceText,
    line_starts: OnceCell<Vec<usize>>,
}

impl<'a> File<'a> {
    fn place(&self, offset: usize) -> Place<'a> {
        let line_starts = self.line_starts.get_or_init(|| self.source.line_starts());
        self.source.place_among(line_starts, offset)
    }
}

#[derive(Debug)]
struct Found {
    span: Span,
    message: String,
    hint: Option<String>,
}

impl<'a> Collector<'a> {
    /// Makes a text known, so that spans can point into it.
    pub(crate) fn add_file(&mut self, file: &'a SourceText) -> FileId {
        self.files.push(File {
            source: file,
            line_starts: OnceCell::new(),
        });
        FileId(self.files.len() - 1)
    }

    /// Notes a mistake, unless one was noted for exactly that place: a wrong value that several
    /// instances share through `defaults` or an anchor is one mistake.
    pub(crate) fn push(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        if self.places.insert(span) {
            let message = excerpt::without_tokens(&message.into());
            self.found.push(Found {
                span,
                message,
                hint,
            });
        }
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// A place as `file:line:column`.
    pub(crate) fn describe(&self, span: Span) -> String {
        self.files
            .get(span.file.0)
            .map_or_else(String::new, |file| {
                let place = file.place(span.start);
                format!("{}:{}:{}", file.source.name, place.number, place.column)
            })
    }

    /// The mistakes in order, each with its line.
    pub(crate) fn into_mistakes(mut self) -> Mistakes {
        self.found.sort_by_key(|found| found.span);
        let files = self.files;
        let list = self.found.into_iter().filter_map(|found| {
            let file = files.get(found.span.file.0)?;
            let place = file.place(found.span.start);
            Some(Mistake {
                file: file.source.name.clone(),
                line: place.number,
                column: place.column,
                message: found.message,
                hint: found.hint,
                excerpt: Excerpt::of(place, found.span.end.saturating_sub(found.span.start)),
            })
        });
        Mistakes {
            list: list.collect(),
        }
    }
}
