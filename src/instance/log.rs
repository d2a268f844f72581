//! Reading and turning over `server.log` and `supervisor.log`.
//!
//! A server appends to its log by itself, so the file is never renamed: it is copied and truncated,
//! and what the server writes between the last read and the truncation (some microseconds) is lost.
//! When to look is left to the supervisor.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "logs are appended to by servers, which `durable` knows nothing of"
)]

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::LogPolicy;
use crate::durable::{self, Place};

/// How often a followed log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How much of the end of a log is read for its last lines, per line asked for.
const BYTES_PER_LINE: u64 = 4096;

/// The rotated file number `number`; 1 is the newest.
fn rotated(path: &Utf8Path, number: u32) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{path}.{number}"))
}

/// Turns the log over when it has reached the size the policy sets. Tells whether it did.
pub fn rotate(path: &Utf8Path, policy: &LogPolicy) -> io::Result<bool> {
    let limit = policy.max_size_mb.saturating_mul(1 << 20);
    if policy.max_size_mb == 0 || size(path)? < limit {
        return Ok(false);
    }
    turn_over(path, policy.rotation)?;
    Ok(true)
}

/// Copies the log to `<path>.1`, moving the older ones up and dropping what is beyond `keep`, and
/// truncates it. Nothing is moved before the copy is whole, so that a full disk costs no log.
pub(crate) fn turn_over(path: &Utf8Path, keep: u32) -> io::Result<()> {
    let mut log = OpenOptions::new().read(true).write(true).open(path)?;
    if keep > 0 {
        let unfinished = Utf8PathBuf::from(format!("{path}.copying"));
        if let Err(error) = copy_to(&mut log, &unfinished) {
            // Half a copy only takes up room.
            let _ = std::fs::remove_file(&unfinished);
            return Err(error);
        }
        for number in (1..keep).rev() {
            ignore_absent(std::fs::rename(
                rotated(path, number),
                rotated(path, number + 1),
            ))?;
        }
        std::fs::rename(&unfinished, rotated(path, 1))?;
        let mut last = OpenOptions::new().append(true).open(rotated(path, 1))?;
        io::copy(&mut log, &mut last)?;
    }
    log.set_len(0)
}

fn copy_to(log: &mut File, path: &Utf8Path) -> io::Result<()> {
    let mut copy = durable::closed_to_others(&mut OpenOptions::new())
        .create(true)
        .write(true)
        .truncate(true)
        .open(path)?;
    io::copy(log, &mut copy).map(drop)
}

/// The last `count` lines, oldest first; those of the newest rotated file come before where the
/// log itself has fewer. No log is no lines.
pub fn tail(path: &Utf8Path, count: usize) -> io::Result<Vec<String>> {
    let mut lines = tail_since(path, 0, count)?;
    if lines.len() < count {
        let mut older = tail_since(&rotated(path, 1), 0, count - lines.len())?;
        older.append(&mut lines);
        lines = older;
    }
    Ok(lines)
}

/// The last `count` lines among those written after the log had `offset` bytes.
pub(crate) fn tail_since(path: &Utf8Path, offset: u64, count: usize) -> io::Result<Vec<String>> {
    let Some(mut file) = open(path)? else {
        return Ok(Vec::new());
    };
    let size = file.metadata()?.len();
    let reach = BYTES_PER_LINE.saturating_mul(count as u64);
    // A log that is shorter than it was has been turned over since.
    let offset = if offset > size { 0 } else { offset };
    let start = offset.max(size.saturating_sub(reach));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(reach).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: VecDeque<&str> = VecDeque::with_capacity(count);
    for line in text.lines().filter(|line| !line.is_empty()) {
        if lines.len() == count {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    Ok(lines.into_iter().map(str::to_owned).collect())
}

/// Reads the lines written after the log had `offset` bytes, at most [`LOAD_BYTES`] of them, each cut
/// to [`LOAD_LINE`] bytes. None where the log is shorter than that: it has been turned over since.
pub(crate) fn lines_since(
    path: &Utf8Path,
    offset: u64,
    mut each: impl FnMut(&str),
) -> io::Result<()> {
    let Some(mut file) = open(path)? else {
        return Ok(());
    };
    if file.metadata()?.len() < offset {
        return Ok(());
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::new(file.take(LOAD_BYTES));
    let mut line = Vec::new();
    loop {
        let read = reader.fill_buf()?;
        if read.is_empty() {
            break;
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        let part = &read[..end.unwrap_or(read.len())];
        let room = LOAD_LINE.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let taken = part.len() + usize::from(end.is_some());
        reader.consume(taken);
        if end.is_some() {
            each(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    if !line.is_empty() {
        each(&String::from_utf8_lossy(&line));
    }
    Ok(())
}

/// How much of a log is read for what it says of a load: at `--verbosity 4` a load is some hundred
/// KiB.
const LOAD_BYTES: u64 = 64 << 20;

/// How much of one line is read.
const LOAD_LINE: usize = 1024;

/// The size in bytes; 0 where there is none.
pub(crate) fn size(path: &Utf8Path) -> io::Result<u64> {
    Ok(open(path)?
        .map(|file| file.metadata())
        .transpose()?
        .map_or(0, |metadata| metadata.len()))
}

/// Lines as they are written, across rotations, until `stop` says so (asked ten times a second).
/// Begins at the end of the log.
pub fn follow<S: Fn() -> bool>(path: &Utf8Path, stop: S) -> io::Result<Follow<S>> {
    let position = size(path)?;
    let generation = generation(path)?;
    Ok(Follow {
        path: path.to_owned(),
        stop,
        position,
        generation,
        reader: None,
        partial: Vec::new(),
    })
}

/// See [`follow`].
#[derive(Debug)]
pub struct Follow<S> {
    path: Utf8PathBuf,
    stop: S,
    /// Up to where the current file was read.
    position: u64,
    /// Which file is the newest rotated one: a new one means that the log was turned over.
    generation: Option<Place>,
    reader: Option<BufReader<File>>,
    partial: Vec<u8>,
}

impl<S: Fn() -> bool> Follow<S> {
    /// One more line if there is a whole one.
    fn read_line(&mut self) -> io::Result<Option<String>> {
        if self.reader.is_none() {
            let Some(mut file) = open(&self.path)? else {
                return Ok(None);
            };
            file.seek(SeekFrom::Start(self.position))?;
            self.reader = Some(BufReader::new(file));
        }
        let Some(reader) = self.reader.as_mut() else {
            return Ok(None);
        };
        let count = reader.read_until(b'\n', &mut self.partial)?;
        self.position += count as u64;
        Ok(self.whole_line())
    }

    fn whole_line(&mut self) -> Option<String> {
        if self.partial.last() != Some(&b'\n') {
            return None;
        }
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        Some(line)
    }

    /// Starts over when the log was turned over or truncated, with the unread rest of the old one
    /// first where it was kept.
    fn notice_rotation(&mut self) -> io::Result<Option<String>> {
        let generation = generation(&self.path)?;
        if generation == self.generation && size(&self.path)? >= self.position {
            return Ok(None);
        }
        let mut rest = Vec::new();
        if generation != self.generation
            && let Some(mut old) = open(&rotated(&self.path, 1))?
            && old.metadata()?.len() >= self.position
        {
            old.seek(SeekFrom::Start(self.position))?;
            old.read_to_end(&mut rest)?;
        }
        (self.generation, self.position, self.reader) = (generation, 0, None);
        self.partial.append(&mut rest);
        let text = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        Ok((!text.is_empty()).then_some(text))
    }
}

impl<S: Fn() -> bool> Iterator for Follow<S> {
    /// A line; more than one where a log was turned over between two looks.
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.read_line() {
                Ok(None) => self.notice_rotation(),
                other => other,
            };
            match line {
                Ok(Some(line)) => return Some(Ok(line)),
                Err(error) => return Some(Err(error)),
                Ok(None) if (self.stop)() => return None,
                Ok(None) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }
}

fn generation(path: &Utf8Path) -> io::Result<Option<Place>> {
    durable::place(&rotated(path, 1))
}

fn open(path: &Utf8Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
