//! Pages of sections, each a title and lines of a name and what it is: the form of whatever tells
//! everything about one thing.

use std::fmt::{Display, Write as _};

use super::text;

/// The columns of a section's names.
const NAMES: usize = 16;

/// Columns a value needs to be wrapped rather than cut by the terminal.
const NARROWEST: usize = 24;

/// A page that is being written.
pub(crate) struct Page {
    text: String,
    width: Option<usize>,
}

impl Page {
    /// An empty page for a terminal of that many columns; without them nothing is wrapped.
    pub(crate) const fn new(width: Option<usize>) -> Self {
        Self {
            text: String::new(),
            width,
        }
    }

    /// Begins a section.
    pub(crate) fn section(&mut self, title: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}{title}");
    }

    /// A name and what it is, which goes on below where it begins.
    pub(crate) fn line(&mut self, key: &str, value: impl Display) {
        let value = value.to_string();
        let room = self
            .width
            .map(|width| width.saturating_sub(NAMES + 2).max(NARROWEST));
        let lines = match room {
            Some(room) => text::lines(&value, room),
            None => vec![value],
        };
        for (index, line) in lines.iter().enumerate() {
            let key = if index == 0 { key } else { "" };
            let _ = writeln!(self.text, "  {key:<NAMES$}{line}");
        }
    }

    /// The same where there is something to say.
    pub(crate) fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.line(key, value);
        }
    }

    /// Several values in one line.
    pub(crate) fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.line(key, values.join(", "));
        }
    }

    /// A value that stays in one piece, such as a path.
    pub(crate) fn whole(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.text, "  {key:<NAMES$}{value}");
    }

    /// Lines that stay as they are.
    pub(crate) fn verbatim(&mut self, lines: &[String]) {
        for line in lines {
            let _ = writeln!(self.text, "    {line}");
        }
    }

    /// What was written.
    pub(crate) fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}
