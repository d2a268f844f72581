//! The last lines of a log, back into its rotated files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use camino::Utf8Path;

use super::{open, rotated};

/// How much is read at a time.
const BLOCK: u64 = 64 << 10;

/// The last `count` lines, oldest first; those of the rotated files come before where the log itself
/// has fewer. No log is no lines. Lines that are empty do not count and are left out.
pub fn tail(path: &Utf8Path, count: usize) -> io::Result<Vec<String>> {
    tail_before(path, u64::MAX, count)
}

/// The same of what a log has in its first `end` bytes.
pub(super) fn tail_before(path: &Utf8Path, end: u64, count: usize) -> io::Result<Vec<String>> {
    let mut blocks = Blocks::default();
    if let Some(log) = open(path)? {
        blocks.gather(log, end, count)?;
    }
    for number in 1.. {
        if blocks.is_enough(count) {
            break;
        }
        let Some(older) = open(&rotated(path, number))? else {
            break;
        };
        blocks.gather(older, u64::MAX, count)?;
    }
    Ok(blocks.lines(count))
}

/// The end of a log, read backwards: a line that was cut in two by a rotation is one again.
#[derive(Default)]
struct Blocks {
    bytes: VecDeque<Vec<u8>>,
    /// Line breaks behind something.
    ends: usize,
}

impl Blocks {
    /// Whether there is one line more than is asked for, of which the first may lack its beginning.
    const fn is_enough(&self, count: usize) -> bool {
        self.ends > count
    }

    fn gather(&mut self, mut file: File, end: u64, count: usize) -> io::Result<()> {
        let mut left = file.metadata()?.len().min(end);
        while left > 0 && !self.is_enough(count) {
            let size = left.min(BLOCK);
            left -= size;
            file.seek(SeekFrom::Start(left))?;
            let mut block = Vec::new();
            (&mut file).take(size).read_to_end(&mut block)?;
            let breaks = block.windows(2);
            self.ends += breaks
                .filter(|pair| pair[1] == b'\n' && pair[0] != b'\n')
                .count();
            self.bytes.push_front(block);
        }
        Ok(())
    }

    fn lines(self, count: usize) -> Vec<String> {
        let bytes: Vec<u8> = self.bytes.into_iter().flatten().collect();
        let lines: Vec<&[u8]> = bytes
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii_end)
            .filter(|line| !line.is_empty())
            .collect();
        let first = lines.len().saturating_sub(count);
        let lines = lines[first..].iter();
        lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }
}
