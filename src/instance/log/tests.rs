//! Logs that grow, are turned over, and are read meanwhile.

use std::cell::Cell;
use std::io::Write as _;

use super::*;

struct Scratch {
    log: Utf8PathBuf,
    file: File,
    _folder: tempfile::TempDir,
}

/// A log with a writer that appends, as a server does.
fn scratch() -> Scratch {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = Utf8Path::from_path(folder.path())
        .expect("a UTF-8 path")
        .join("server.log");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .expect("opened");
    Scratch {
        log,
        file,
        _folder: folder,
    }
}

impl Scratch {
    fn write(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).expect("written");
    }

    fn content(&self, number: u32) -> Option<String> {
        std::fs::read_to_string(rotated(&self.log, number)).ok()
    }
}

#[test]
fn the_writer_goes_on_at_the_beginning_and_old_logs_move_up() {
    let mut scratch = scratch();
    for text in ["one\n", "two\n", "three\n"] {
        scratch.write(text);
        turn_over(&scratch.log, 2).expect("turned over");
    }
    scratch.write("four\n");
    assert_eq!(
        std::fs::read_to_string(&scratch.log).expect("readable"),
        "four\n"
    );
    assert_eq!(scratch.content(1).as_deref(), Some("three\n"));
    assert_eq!(scratch.content(2).as_deref(), Some("two\n"));
    assert_eq!(scratch.content(3), None);
}

#[test]
fn a_log_that_cannot_be_copied_costs_none_that_was_kept() {
    let mut scratch = scratch();
    for text in ["one\n", "two\n"] {
        scratch.write(text);
        turn_over(&scratch.log, 2).expect("turned over");
    }
    scratch.write("three\n");
    std::fs::create_dir(format!("{}.copying", scratch.log)).expect("created");
    turn_over(&scratch.log, 2).expect_err("there is no room for the copy");
    assert_eq!(scratch.content(1).as_deref(), Some("two\n"));
    assert_eq!(scratch.content(2).as_deref(), Some("one\n"));
    assert_eq!(
        std::fs::read_to_string(&scratch.log).expect("readable"),
        "three\n"
    );
}

#[test]
fn a_log_is_turned_over_by_size_and_never_with_zero() {
    let mut scratch = scratch();
    scratch.write(&"x".repeat(1 << 20));
    let never = LogPolicy {
        max_size_mb: 0,
        rotation: 5,
    };
    assert!(!rotate(&scratch.log, &never).expect("looked at"));
    let large = LogPolicy {
        max_size_mb: 2,
        rotation: 5,
    };
    assert!(!rotate(&scratch.log, &large).expect("looked at"));
    let small = LogPolicy {
        max_size_mb: 1,
        rotation: 0,
    };
    assert!(rotate(&scratch.log, &small).expect("turned over"));
    assert_eq!(
        (size(&scratch.log).expect("readable"), scratch.content(1)),
        (0, None)
    );
}

#[test]
fn the_last_lines_reach_back_into_the_rotated_log() {
    let mut scratch = scratch();
    assert!(tail(&scratch.log, 3).expect("readable").is_empty());
    scratch.write("one\ntwo\n");
    turn_over(&scratch.log, 1).expect("turned over");
    scratch.write("three\nunfinished");
    assert_eq!(
        tail(&scratch.log, 3).expect("readable"),
        ["two", "three", "unfinished"]
    );
    assert_eq!(tail(&scratch.log, 1).expect("readable"), ["unfinished"]);
    assert_eq!(
        tail_since(&scratch.log, 6, 9).expect("readable"),
        ["unfinished"]
    );
}

#[test]
fn bytes_that_are_no_text_are_shown_as_well_as_can_be() {
    let mut scratch = scratch();
    scratch.file.write_all(b"caf\xe9\n").expect("written");
    assert_eq!(tail(&scratch.log, 1).expect("readable"), ["caf\u{fffd}"]);
}

#[test]
fn a_follower_sees_every_line_across_a_rotation() {
    let mut scratch = scratch();
    scratch.write("before\n");
    let over = Cell::new(false);
    let mut lines = follow(&scratch.log, || over.get()).expect("followed");
    scratch.write("one\n");
    assert_eq!(lines.next().expect("a line").expect("readable"), "one");
    scratch.write("two\n");
    turn_over(&scratch.log, 1).expect("turned over");
    scratch.write("three\n");
    assert_eq!(lines.next().expect("a line").expect("readable"), "two");
    assert_eq!(lines.next().expect("a line").expect("readable"), "three");
    over.set(true);
    assert!(lines.next().is_none());
}
