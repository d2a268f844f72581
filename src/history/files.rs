//! The files of the history as one, while others append to it and turn it over.
//!
//! They are opened from the newest to the oldest. A file that moves up meanwhile is met again under its next
//! name, and known by its place on the disk: none is missed, and none is read twice. So nobody who reads keeps
//! anybody from writing.

#![expect(
    clippy::disallowed_types,
    reason = "reads files that others rename, by their places"
)]

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use camino::Utf8PathBuf;

use super::Entry;
use super::follow::Follow;
use super::rotation::KEPT;
use crate::durable::{self, FileError, Place};
use crate::root::Root;

/// How much is read at a time.
const PIECE: u64 = 64 << 10;

/// What there is of the history at one moment.
#[derive(Debug)]
pub struct Files {
    root: Root,
    /// From the newest to the oldest.
    files: Vec<Opened>,
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// One that can be read.
    Entry(Box<Entry>),
    /// One that cannot, as where a crash has torn it.
    Unreadable,
}

impl Line {
    /// What a line says; nothing where it is blank.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        if line.trim_ascii().is_empty() {
            return None;
        }
        let entry = serde_json::from_slice(line).map(Box::new);
        Some(entry.map_or(Self::Unreadable, Self::Entry))
    }
}

/// A file of the history that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: Utf8PathBuf,
    pub(super) file: File,
    pub(super) place: Place,
    /// Up to where it is read.
    end: u64,
}

/// What is read of a file.
#[derive(Debug)]
struct Reading<'a> {
    of: &'a Opened,
    /// Where what was read of it begins.
    start: u64,
    /// Whether nothing was told of it yet, so that the next line is its last.
    is_new: bool,
}

impl Opened {
    fn open(path: Utf8PathBuf) -> Result<Option<Self>, FileError> {
        let open = || {
            let file = File::open(&path)?;
            Ok((durable::place_of(&file)?, file.metadata()?.len(), file))
        };
        match open() {
            Ok((place, end, file)) => Ok(Some(Self {
                path,
                file,
                place,
                end,
            })),
            Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FileError::Read { path, source }),
        }
    }
}

/// The files that are newer than the one at a place, or all of them, from the newest to the oldest.
pub(super) fn newer(root: &Root, than: Option<Place>) -> Result<Vec<Opened>, FileError> {
    let mut files: Vec<Opened> = Vec::new();
    let before = (1..=KEPT).map(|number| root.history_before(number));
    for path in std::iter::once(root.history()).chain(before) {
        let Some(opened) = Opened::open(path)? else {
            continue;
        };
        if Some(opened.place) == than {
            break;
        }
        if files.iter().all(|file| file.place != opened.place) {
            files.push(opened);
        }
    }
    Ok(files)
}

impl Files {
    /// Opens what there is.
    pub fn open(root: &Root) -> Result<Self, FileError> {
        Ok(Self {
            root: root.clone(),
            files: newer(root, None)?,
        })
    }

    /// The lines, from the last one to the first.
    pub fn newest_first(&self) -> Backwards<'_> {
        Backwards {
            root: &self.root,
            files: &self.files,
            current: None,
            rest: Vec::new(),
        }
    }

    /// Opens what there is, to go on with what follows: a line that is not at its end is left to that.
    pub fn open_to_follow(root: &Root) -> Result<Self, FileError> {
        let mut files = Self::open(root)?;
        if let Some(newest) = files.files.first_mut() {
            newest.end = last_end(&newest.file, newest.end).map_err(|source| FileError::Read {
                path: newest.path.clone(),
                source,
            })?;
        }
        Ok(files)
    }

    /// What is appended after the lines that were there.
    pub fn follow(self) -> Follow {
        let newest = self.files.into_iter().next();
        let end = newest.as_ref().map_or(0, |newest| newest.end);
        Follow::new(self.root, newest, end)
    }
}

/// Where the last whole line before `end` ends.
fn last_end(file: &File, mut end: u64) -> io::Result<u64> {
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        let piece = piece(file, start, end)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The bytes of a file from one place to another, or to its end where that comes first.
pub(super) fn piece(mut file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end.saturating_sub(start))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// See [`Files::newest_first()`].
#[derive(Debug)]
pub struct Backwards<'a> {
    root: &'a Root,
    files: &'a [Opened],
    current: Option<Reading<'a>>,
    /// What was read and not told yet.
    rest: Vec<u8>,
}

impl Backwards<'_> {
    fn read(&mut self) -> Result<Option<Line>, FileError> {
        loop {
            let Some(reading) = &mut self.current else {
                let Some((next, older)) = self.files.split_first() else {
                    return Ok(None);
                };
                self.files = older;
                self.current = Some(Reading {
                    of: next,
                    start: next.end,
                    is_new: true,
                });
                continue;
            };
            let of = reading.of;
            let read_error = |source| FileError::Read {
                path: of.path.clone(),
                source,
            };
            let (line, is_last) = match self.rest.iter().rposition(|byte| *byte == b'\n') {
                Some(before) => {
                    let line = self.rest.split_off(before + 1);
                    self.rest.pop();
                    (line, std::mem::take(&mut reading.is_new))
                }
                None if reading.start == 0 => {
                    let is_last = reading.is_new;
                    self.current = None;
                    (std::mem::take(&mut self.rest), is_last)
                }
                None => {
                    let from = reading.start.saturating_sub(PIECE);
                    let mut read = piece(&of.file, from, reading.start).map_err(read_error)?;
                    reading.start = from;
                    read.append(&mut self.rest);
                    self.rest = read;
                    continue;
                }
            };
            match Line::parse(&line) {
                Some(Line::Unreadable)
                    if is_last && is_written_to(self.root, of).map_err(read_error)? => {}
                Some(line) => return Ok(Some(line)),
                None => {}
            }
        }
    }
}

/// Whether the end of a file, as it was when it was opened, is none of its own, but the midst of what somebody was
/// appending.
fn is_written_to(root: &Root, opened: &Opened) -> io::Result<bool> {
    // In this order: who appends lets go of the lock only when all of it is there.
    let is_locked = durable::is_locked(&root.history_lock()).unwrap_or(false);
    Ok(is_locked || opened.file.metadata()?.len() > opened.end)
}

impl Iterator for Backwards<'_> {
    type Item = Result<Line, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.read().transpose();
        if matches!(line, Some(Err(_))) {
            // What cannot be read will not be readable a moment later.
            (self.files, self.current) = (&[], None);
            self.rest.clear();
        }
        line
    }
}
