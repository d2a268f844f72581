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

mod follow;
mod tail;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::LogPolicy;
use crate::durable::{self, FileLock};

pub use follow::{Follow, follow};
pub use tail::tail;

/// How much of the end of a log is read for its last lines, per line asked for.
const BYTES_PER_LINE: u64 = 4096;

/// How long a line that is just being written may take to end before it is cut in two.
const LINE_PATIENCE: Duration = Duration::from_millis(20);

/// How long whoever reads may keep a log from being turned over.
const READER_PATIENCE: Duration = Duration::from_millis(500);

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
/// truncates it at the end of a line. Nothing is moved before the copy is whole, so that a full disk
/// costs no log.
pub(crate) fn turn_over(path: &Utf8Path, keep: u32) -> io::Result<()> {
    // A reader that is suspended must not make the log grow without end.
    let _lock = FileLock::take_within(&reading_lock(path), READER_PATIENCE);
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
        copy_to_line_end(&mut log, &mut last)?;
    }
    log.set_len(0)?;
    // Those of a policy that kept more.
    for number in keep + 1.. {
        match std::fs::remove_file(rotated(path, number)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn copy_to(log: &mut File, path: &Utf8Path) -> io::Result<()> {
    let mut copy = durable::closed_to_others(&mut OpenOptions::new())
        .create(true)
        .write(true)
        .truncate(true)
        .open(path)?;
    io::copy(log, &mut copy).map(drop)
}

/// Copies what was written since, and waits an instant for a line that has only begun.
fn copy_to_line_end(log: &mut File, copy: &mut File) -> io::Result<()> {
    let began = Instant::now();
    loop {
        io::copy(log, copy)?;
        if log.stream_position()? == 0 || began.elapsed() >= LINE_PATIENCE {
            return Ok(());
        }
        log.seek(SeekFrom::Current(-1))?;
        let mut last = [0];
        log.read_exact(&mut last)?;
        if last == *b"\n" {
            // More may have come while the end was looked at.
            return io::copy(log, copy).map(drop);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Held while a log is turned over, and while a reader looks at several of its files, so that what it
/// sees belongs together.
fn reading_lock(path: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{path}.lock"))
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
