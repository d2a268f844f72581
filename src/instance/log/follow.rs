//! The lines of a log as they are written, each once, however often it is turned over meanwhile.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use super::tail::tail_before;
use super::{open, reading_lock, rotated};
use crate::durable::{self, FileLock, Place};

/// How much is read at a time. A line that is longer comes in pieces.
const PIECE: u64 = 256 << 10;

/// How many bytes tell where reading has stopped.
const MARK: usize = 256;

/// How long a log may be in the making of its turn before it is read all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last `count` whole lines of a log, and what follows upon them.
pub fn follow(path: &Utf8Path, count: usize) -> io::Result<(Vec<String>, Follow)> {
    let _lock = quiet(path);
    let mut follow = Follow {
        path: path.to_owned(),
        position: 0,
        last: Vec::new(),
        newest: Turn::newest(path)?,
        behind: VecDeque::new(),
        begun: Vec::new(),
        ready: VecDeque::new(),
    };
    if let Some(mut log) = open(path)? {
        let size = log.metadata()?.len();
        let start = size.saturating_sub(PIECE);
        log.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        log.take(size - start).read_to_end(&mut end)?;
        // What is not a whole line yet comes once it is.
        let last = end.iter().rposition(|byte| *byte == b'\n');
        let whole = last.map_or(0, |last| last + 1);
        follow.position = start + whole as u64;
        follow.remember(&end[..whole]);
    }
    Ok((tail_before(path, follow.position, count)?, follow))
}

/// See [`follow()`].
#[derive(Debug)]
pub struct Follow {
    path: Utf8PathBuf,
    /// Up to where the log was read.
    position: u64,
    /// The last bytes before that.
    last: Vec<u8>,
    /// The newest rotated file when it was last looked.
    newest: Option<Turn>,
    /// Rotated files that were not read to their end, oldest first. Open, so that they can be read
    /// even when they are dropped meanwhile.
    behind: VecDeque<BufReader<File>>,
    /// A line without its end.
    begun: Vec<u8>,
    /// Lines that were read and not yet asked for.
    ready: VecDeque<String>,
}

/// Tells one rotated file from every other. The time is part of it since a new file may be given the
/// place of one that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Turn {
    place: Place,
    modified: SystemTime,
}

impl Turn {
    fn newest(path: &Utf8Path) -> io::Result<Option<Self>> {
        Self::of(&rotated(path, 1))
    }

    fn of(path: &Utf8Path) -> io::Result<Option<Self>> {
        let Some(file) = open(path)? else {
            return Ok(None);
        };
        let modified = file.metadata()?.modified()?;
        let place = durable::place(path)?;
        Ok(place.map(|place| Self { place, modified }))
    }
}

impl Follow {
    /// The next line, where a whole one is there.
    ///
    /// # Errors
    /// What the system says of the files. Nothing is lost by asking again.
    pub fn next_line(&mut self) -> io::Result<Option<String>> {
        while self.ready.is_empty() {
            let found = match self.behind.front_mut() {
                Some(older) => {
                    if older.read_until(b'\n', &mut self.begun)? == 0 {
                        self.behind.pop_front();
                    }
                    true
                }
                None => self.look()?,
            };
            if self.begun.last() == Some(&b'\n') {
                let begun = std::mem::take(&mut self.begun);
                self.ready.extend(lines(&begun));
            }
            if !found {
                break;
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Looks for more, in the log or in files that it was turned over to since.
    fn look(&mut self) -> io::Result<bool> {
        let _lock = quiet(&self.path);
        let newest = Turn::newest(&self.path)?;
        match &newest {
            Some(_) if newest != self.newest => {
                self.turn(newest)?;
                return Ok(true);
            }
            // One that was taken away says nothing of the log.
            _ => self.newest = newest,
        }
        let Some(mut log) = open(&self.path)? else {
            return Ok(false);
        };
        if log.metadata()?.len() < self.position {
            // Somebody has emptied it, or it is kept nowhere once it is turned over.
            self.position = 0;
            self.last.clear();
            self.begun.clear();
        }
        log.seek(SeekFrom::Start(self.position))?;
        let mut piece = Vec::new();
        log.take(PIECE).read_to_end(&mut piece)?;
        let whole = match piece.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            None if piece.len() as u64 == PIECE => piece.len(),
            None => 0,
        };
        self.position += whole as u64;
        self.remember(&piece[..whole]);
        self.begun.extend_from_slice(&piece[..whole]);
        Ok(whole > 0)
    }

    /// Keeps the end of what was read, by which it is known again where the log lies elsewhere.
    fn remember(&mut self, read: &[u8]) {
        self.last
            .extend_from_slice(&read[read.len().saturating_sub(MARK)..]);
        let excess = self.last.len().saturating_sub(MARK);
        self.last.drain(..excess);
    }

    /// Goes on with the rest of the log where it lies now, and with what was written and turned over
    /// after it. Files that were dropped before anybody looked are gone.
    fn turn(&mut self, newest: Option<Turn>) -> io::Result<()> {
        // Whether nothing in between was dropped.
        let mut is_continued = false;
        for number in 1.. {
            let path = rotated(&self.path, number);
            let turn = Turn::of(&path)?;
            if turn.is_none() || turn == self.newest {
                is_continued |= turn.is_some();
                break;
            }
            if let Some(file) = open(&path)? {
                self.behind.push_front(BufReader::new(file));
            }
        }
        if let Some(oldest) = self.behind.front_mut() {
            if is_continued || ends_with(oldest.get_mut(), self.position, &self.last)? {
                oldest.seek(SeekFrom::Start(self.position))?;
            } else {
                // What was read last was dropped: it goes on with the oldest there is.
                oldest.rewind()?;
                self.begun.clear();
            }
        }
        (self.newest, self.position) = (newest, 0);
        self.last.clear();
        Ok(())
    }
}

/// Keeps the log from being turned over while several of its files are looked at. Where that cannot
/// be had, as in the root of somebody else, they are looked at all the same.
fn quiet(path: &Utf8Path) -> Option<FileLock> {
    FileLock::take_within(&reading_lock(path), PATIENCE)
        .ok()
        .flatten()
}

/// Whether a file has these bytes right before a place.
fn ends_with(file: &mut File, place: u64, bytes: &[u8]) -> io::Result<bool> {
    let Some(start) = place.checked_sub(bytes.len() as u64) else {
        return Ok(false);
    };
    file.seek(SeekFrom::Start(start))?;
    let mut there = Vec::new();
    file.take(bytes.len() as u64).read_to_end(&mut there)?;
    Ok(there == bytes)
}

fn lines(text: &[u8]) -> impl Iterator<Item = String> {
    text.strip_suffix(b"\n")
        .unwrap_or(text)
        .split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
}
