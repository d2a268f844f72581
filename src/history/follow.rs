//! What is appended to the history, each line once, however often it is turned over meanwhile.

use std::collections::VecDeque;

use super::files::{self, Line, Opened};
use crate::durable::FileError;
use crate::root::Root;

/// How much is read at a time.
const PIECE: u64 = 256 << 10;

/// See [`super::Files::follow()`].
#[derive(Debug)]
pub struct Follow {
    root: Root,
    /// The file that is read.
    current: Option<Opened>,
    /// Up to where it was read.
    position: u64,
    /// Newer ones that come after it, oldest first.
    behind: VecDeque<Opened>,
    /// A line without its end.
    begun: Vec<u8>,
    /// Lines that were read and not yet asked for.
    ready: VecDeque<Line>,
}

impl Follow {
    pub(super) fn new(root: Root, current: Option<Opened>, position: u64) -> Self {
        Self {
            root,
            current,
            position,
            behind: VecDeque::new(),
            begun: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next line, where a whole one is there. Never waits.
    ///
    /// # Errors
    /// What the system says of the files. Nothing is lost by asking again.
    pub fn next_line(&mut self) -> Result<Option<Line>, FileError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            if self.read_on()? {
                continue;
            }
            if self.behind.is_empty() {
                let place = self.current.as_ref().map(|current| current.place);
                self.behind = files::newer(&self.root, place)?.into_iter().rev().collect();
                if self.behind.is_empty() {
                    return Ok(None);
                }
                // It may have been appended to between the last look and its turn.
                continue;
            }
            self.current = self.behind.pop_front();
            self.position = 0;
            // Whoever began this line did not live to end it.
            let begun = std::mem::take(&mut self.begun);
            self.ready.extend(Line::parse(&begun));
        }
    }

    /// Reads more of the file that is read, and says whether there was any.
    fn read_on(&mut self) -> Result<bool, FileError> {
        let Some(current) = &self.current else {
            return Ok(false);
        };
        let read = |source| FileError::Read {
            path: current.path.clone(),
            source,
        };
        if current.file.metadata().map_err(read)?.len() < self.position {
            // Somebody has emptied it.
            self.position = 0;
            self.begun.clear();
        }
        let end = self.position.saturating_add(PIECE);
        let piece = files::piece(&current.file, self.position, end).map_err(read)?;
        self.position += piece.len() as u64;
        let mut lines = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            self.begun.extend_from_slice(line);
            if lines.peek().is_some() {
                self.ready.extend(Line::parse(&self.begun));
                self.begun.clear();
            }
        }
        Ok(!piece.is_empty())
    }
}
