//! Whether a file can be a model: what its first bytes and its name say.
//!
//! Pure: reading them is left to the backend. No crate, since a header is a magic number, a version and
//! two counts (ggml's docs/gguf.md), and what people have in its place is told by its first words.

use camino::{Utf8Path, Utf8PathBuf};

/// How much of a file is looked at.
pub const HEAD: usize = 512;

/// More tensors or keys than any model has.
const MANY: u64 = 1 << 24;

/// Endings of downloads that are not done.
const UNFINISHED: [&str; 8] = [
    ".aria2",
    ".crdownload",
    ".download",
    ".downloadInProgress",
    ".incomplete",
    ".part",
    ".partial",
    ".tmp",
];

/// What is wrong with a file that is to be a model, by its name and its first [`HEAD`] bytes, in words
/// that follow its name. `None` where nothing is, as far as can be seen.
pub fn defect(name: &str, head: &[u8]) -> Option<String> {
    if UNFINISHED.iter().any(|ending| name.ends_with(ending)) {
        return Some("is a download that was not finished".to_owned());
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let begins = |words: &str| {
        text.get(..words.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(words))
    };
    if head.is_empty() {
        Some("is empty".to_owned())
    } else if let Some(rest) = head.strip_prefix(b"GGUF") {
        header_defect(rest).map(str::to_owned)
    } else if begins("version https://git-lfs") {
        Some("is a git-lfs pointer; `git lfs pull` fetches the file itself".to_owned())
    } else if begins("<!doctype") || begins("<html") {
        Some("is an HTML page; what was downloaded is not the file itself".to_owned())
    } else if [b"lmgg", b"tjgg", b"algg", b"fmgg"]
        .iter()
        .any(|magic| head.starts_with(*magic))
    {
        Some("is in a format older than GGUF, which llama.cpp no longer reads".to_owned())
    } else {
        let shown: String = text
            .chars()
            .take_while(|c| c.is_ascii_graphic() || *c == ' ')
            .take(24)
            .collect();
        Some(if shown.chars().count() < 4 {
            "is not a GGUF file".to_owned()
        } else {
            format!("is not a GGUF file: it begins with `{}`", shown.trim_end())
        })
    }
}

/// What is wrong with what follows the magic. A file that ends before its header does is left to the
/// server.
fn header_defect(rest: &[u8]) -> Option<&'static str> {
    const DAMAGED: Option<&str> = Some("is damaged: its header makes no sense");
    let version = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    let numbers = rest.get(4..20)?;
    match version {
        // Its counts are half as wide.
        1 => None,
        // Later versions are for the build to know.
        2..=255 => {
            let (tensors, keys) = numbers.split_at(8);
            let sane = |count: &[u8]| {
                let count: Result<[u8; 8], _> = count.try_into();
                count.is_ok_and(|count| u64::from_le_bytes(count) < MANY)
            };
            if sane(tensors) && sane(keys) {
                None
            } else {
                DAMAGED
            }
        }
        _ if (1..=255).contains(&version.swap_bytes()) => {
            Some("is a big-endian GGUF file, which this machine cannot load")
        }
        _ => DAMAGED,
    }
}

/// A file that is one part of a model in several, by its name: `big-00002-of-00003.gguf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Which part it is, from 1.
    pub part: u32,
    /// Every part, the first one first.
    pub parts: Vec<Utf8PathBuf>,
}

impl Split {
    /// Reads a name as llama.cpp forms it (`llama_split_path`, include/llama.h).
    pub fn of(path: &Utf8Path) -> Option<Self> {
        const DIGITS: usize = 5;
        let name = path.file_name()?.strip_suffix(".gguf")?;
        let (rest, count) = name.rsplit_once("-of-")?;
        let (prefix, part) = rest.rsplit_once('-')?;
        let number = |text: &str| -> Option<u32> {
            let is_number = text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|_| is_number)
        };
        let (part, count) = (number(part)?, number(count)?);
        if part == 0 || part > count {
            return None;
        }
        let parts = (1..=count)
            .map(|index| path.with_file_name(format!("{prefix}-{index:05}-of-{count:05}.gguf")))
            .collect();
        Some(Self { part, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: [u8; 4], tensors: u64, keys: u64) -> Vec<u8> {
        let counts = [tensors.to_le_bytes(), keys.to_le_bytes()].concat();
        [&b"GGUF"[..], &version, &counts, b"general.architecture"].concat()
    }

    fn told(head: &[u8]) -> String {
        defect("m.gguf", head).unwrap_or_default()
    }

    #[test]
    fn a_model_has_nothing_wrong_with_it() {
        assert_eq!(told(&header([3, 0, 0, 0], 291, 24)), "");
        assert_eq!(told(&header([2, 0, 0, 0], 0, 0)), "");
        assert_eq!(told(&header([1, 0, 0, 0], u64::MAX, u64::MAX)), "");
    }

    #[test]
    fn what_lies_there_in_its_place_is_said_in_words() {
        let words = [
            (&b""[..], "is empty"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
                "is a git-lfs pointer; `git lfs pull` fetches the file itself",
            ),
            (
                b"\n<!DOCTYPE html><html>",
                "is an HTML page; what was downloaded is not the file itself",
            ),
            (
                b"Entry not found",
                "is not a GGUF file: it begins with `Entry not found`",
            ),
            (b"PK\x03\x04", "is not a GGUF file"),
            (b"\x00\x01\x02\x03\xff\xfe", "is not a GGUF file"),
            (
                b"tjgg\x01\x00",
                "is in a format older than GGUF, which llama.cpp no longer reads",
            ),
        ];
        for (head, wanted) in words {
            assert_eq!(told(head), wanted);
        }
        assert_eq!(
            told(&header([0, 0, 0, 3], 291, 24)),
            "is a big-endian GGUF file, which this machine cannot load"
        );
        let damaged = "is damaged: its header makes no sense";
        assert_eq!(told(&header([3, 0, 0, 0], u64::MAX, 24)), damaged);
        assert_eq!(told(&header([0, 0, 0, 0], 1, 1)), damaged);
        assert_eq!(
            defect("m.gguf.partial", &header([3, 0, 0, 0], 291, 24)).as_deref(),
            Some("is a download that was not finished")
        );
    }

    #[test]
    fn no_bytes_make_it_fall() {
        for length in 0..40 {
            for byte in [0, 1, 0x47, 0xc3, 0xff] {
                let _ = defect("m.gguf", &vec![byte; length]);
                let _ = defect("m.gguf", &header([byte; 4], 1, 1)[..length]);
            }
        }
    }

    #[test]
    fn the_parts_of_a_split_model_are_named_by_any_of_them() {
        let split = Split::of(Utf8Path::new("models/big-00002-of-00003.gguf")).expect("a part");
        assert_eq!(split.part, 2);
        assert_eq!(
            split.parts,
            [
                "models/big-00001-of-00003.gguf",
                "models/big-00002-of-00003.gguf",
                "models/big-00003-of-00003.gguf"
            ]
        );
        for whole in [
            "big.gguf",
            "big-1-of-3.gguf",
            "big-00004-of-00003.gguf",
            "big-00000-of-00003.gguf",
            "big-00001-of-00003.bin",
        ] {
            assert_eq!(Split::of(Utf8Path::new(whole)), None, "{whole}");
        }
    }
}
