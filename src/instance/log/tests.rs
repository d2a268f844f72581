//! Logs that grow, are turned over, and are read meanwhile.

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
fn the_last_lines_reach_back_over_several_files_and_join_what_was_cut() {
    let mut scratch = scratch();
    for text in ["one\ntwo", " halves\nthree\n", "four\n"] {
        scratch.write(text);
        turn_over(&scratch.log, 5).expect("turned over");
    }
    scratch.write("five\n");
    assert_eq!(
        tail(&scratch.log, 4).expect("readable"),
        ["two halves", "three", "four", "five"]
    );
    assert_eq!(tail(&scratch.log, 99).expect("readable").len(), 5);
    // Lines larger than what is read at a time.
    let long = "x".repeat(200_000);
    scratch.write(&format!("{long}\nlast\n"));
    assert_eq!(
        tail(&scratch.log, 2).expect("readable"),
        [long.as_str(), "last"]
    );
}

#[test]
fn a_log_is_turned_over_at_the_end_of_a_line() {
    let mut scratch = scratch();
    scratch.write("one\nbeg");
    let mut server = scratch.file.try_clone().expect("cloned");
    let log = scratch.log.clone();
    let turning = std::thread::spawn(move || {
        turn_over(&log, 1).expect("turned over");
    });
    // Whenever the rest comes, no line is lost: it is whole, or in two files that belong together.
    server.write_all(b"un\n").expect("written");
    turning.join().expect("it ends");
    assert_eq!(tail(&scratch.log, 9).expect("readable"), ["one", "begun"]);
}

#[test]
fn what_a_shorter_policy_does_not_keep_is_taken_away() {
    let mut scratch = scratch();
    for text in ["one\n", "two\n", "three\n", "four\n"] {
        scratch.write(text);
        turn_over(&scratch.log, 4).expect("turned over");
    }
    turn_over(&scratch.log, 2).expect("turned over");
    assert_eq!(scratch.content(2).as_deref(), Some("four\n"));
    assert_eq!((scratch.content(3), scratch.content(4)), (None, None));
}

/// Every line that is there.
fn all(follow: &mut Follow) -> Vec<String> {
    let next = || follow.next_line().expect("readable");
    std::iter::from_fn(next).collect()
}

#[test]
fn a_follower_sees_every_line_once_across_rotations() {
    let mut scratch = scratch();
    scratch.write("before\nbeg");
    let (tail, mut follower) = follow(&scratch.log, 9).expect("followed");
    assert_eq!(tail, ["before"]);
    scratch.write("un\none\n");
    assert_eq!(all(&mut follower), ["begun", "one"]);
    // Nobody looks meanwhile, and only the last two are kept.
    for number in 2..5 {
        scratch.write(&format!("{number}a\n{number}b\n"));
        turn_over(&scratch.log, 3).expect("turned over");
    }
    scratch.write("five\n");
    assert_eq!(
        all(&mut follower),
        ["2a", "2b", "3a", "3b", "4a", "4b", "five"]
    );
    // A new file may get the inode of the one that was dropped for it.
    for number in 6..9 {
        scratch.write(&format!("{number}\n"));
        turn_over(&scratch.log, 1).expect("turned over");
        assert_eq!(all(&mut follower), [number.to_string()]);
    }
    std::fs::remove_file(rotated(&scratch.log, 1)).expect("it was there");
    assert!(all(&mut follower).is_empty());
    scratch.write("nine\n");
    assert_eq!(all(&mut follower), ["nine"]);
    // Kept nowhere: what was not read is gone, and what comes is seen.
    turn_over(&scratch.log, 0).expect("turned over");
    scratch.write("10\n");
    assert_eq!(all(&mut follower), ["10"]);
}

#[test]
fn a_follower_keeps_up_with_a_server_that_writes_while_its_log_is_turned_over() {
    const LINES: usize = 20_000;
    let mut scratch = scratch();
    // As if it had been turned over before.
    scratch.write("before\n");
    turn_over(&scratch.log, 3).expect("turned over");
    let (_, mut follower) = follow(&scratch.log, 0).expect("followed");
    let mut server = scratch.file.try_clone().expect("cloned");
    let log = scratch.log.clone();
    let writing = std::thread::spawn(move || {
        for number in 0..LINES {
            let line = format!("line {number}\n");
            server.write_all(line.as_bytes()).expect("written");
            // Between two lines, where nothing can fall between the last read and the truncation.
            if number % 500 == 499 {
                turn_over(&log, 3).expect("turned over");
            }
        }
    });
    let mut seen = Vec::new();
    while !writing.is_finished() {
        seen.extend(all(&mut follower));
    }
    writing.join().expect("it ends");
    seen.extend(all(&mut follower));
    let numbers: Vec<usize> = seen
        .iter()
        .map(|line| {
            line.strip_prefix("line ")
                .and_then(|it| it.parse().ok())
                .expect(line)
        })
        .collect();
    // One that is overtaken by three turns loses lines; none comes twice or out of order.
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&(LINES - 1)));
}
