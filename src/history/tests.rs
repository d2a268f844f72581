//! A history of several files, read while others append to it and turn it over.

#![expect(clippy::disallowed_methods, reason = "sets files up and looks at them")]

use std::fs::OpenOptions;
use std::io::Write as _;

use camino::Utf8PathBuf;

use super::rotation::append_within;
use super::*;
use crate::durable;

/// Longer than a slow disk takes for all of what others append meanwhile.
const PATIENCE: Duration = Duration::from_mins(10);

/// A folder with a history in it.
struct Folder {
    root: Root,
    _folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("UTF-8");
        let root = Root::new(path);
        root.create_state().expect("created");
        Self {
            root,
            _folder: folder,
        }
    }

    /// Appends passes by number, turning over at two lines or so.
    fn append(&self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            append_within(&self.root, &entry(number), 200, PATIENCE).expect("appended");
        }
    }

    fn write(&self, text: &str) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.root.history())
            .expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    }

    fn read(&self) -> (Vec<usize>, usize) {
        let (entries, unreadable) = read(&self.root).expect("readable");
        (numbers(&entries), unreadable)
    }
}

fn entry(number: usize) -> Entry {
    let at = "2026-11-28T02:15:00Z".parse().expect("a moment");
    let report = Report::default();
    let reason = format!("number {number}");
    let asked = Asked {
        verb: "apply",
        reason: Some(&reason),
    };
    Entry::of(asked, at, Duration::ZERO, &report)
}

fn line(number: usize) -> String {
    serde_json::to_string(&entry(number)).expect("JSON")
}

fn number(entry: &Entry) -> usize {
    let reason = entry.reason.as_deref().expect("it has one");
    reason
        .trim_start_matches("number ")
        .parse()
        .expect("a number")
}

fn numbers(entries: &[Entry]) -> Vec<usize> {
    entries.iter().map(number).collect()
}

fn heard(follow: &mut Follow) -> Vec<Option<usize>> {
    let mut heard = Vec::new();
    while let Some(line) = follow.next_line().expect("readable") {
        heard.push(match line {
            Line::Entry(entry) => Some(number(&entry)),
            Line::Unreadable => None,
        });
    }
    heard
}

#[test]
fn it_is_read_across_its_files_and_the_oldest_goes() {
    let folder = Folder::new();
    assert_eq!(folder.read(), (vec![], 0));
    folder.append(0..6);
    assert!(folder.root.history_before(1).exists());
    assert_eq!(folder.read(), ((0..6).collect(), 0));
    for count in [0, 1, 3, 6, 100] {
        let found = numbers(&last(&folder.root, count).expect("readable"));
        assert_eq!(found, (6 - count.min(6)..6).collect::<Vec<_>>());
    }
    folder.append(6..40);
    let (found, unreadable) = folder.read();
    let first = found[0];
    assert!(first > 20 && first < 36, "{found:?}");
    assert_eq!((found, unreadable), ((first..40).collect(), 0));
    assert!(!folder.root.history_before(4).exists());
}

#[test]
fn a_torn_line_costs_no_other_wherever_it_is() {
    let folder = Folder::new();
    folder.write(&format!("{}\n", line(0)));
    // In the midst of a character.
    let torn = line(1).replace("number", "größe");
    let cut = torn.find('ö').expect("it has one") + 1;
    let mut file = OpenOptions::new()
        .append(true)
        .open(folder.root.history())
        .expect("opened");
    file.write_all(&torn.as_bytes()[..cut]).expect("written");
    assert_eq!(folder.read(), (vec![0], 1));
    folder.append([2, 3, 4]);
    assert!(folder.root.history_before(1).exists());
    assert_eq!(folder.read(), (vec![0, 2, 3, 4], 1));
    assert_eq!(
        numbers(&last(&folder.root, 4).expect("readable")),
        [0, 2, 3, 4]
    );
    // One that was torn right before the turn.
    let folder = Folder::new();
    folder.write(&format!("{}\n{}\n{{\"schema\"", line(0), line(1)));
    folder.append([2]);
    assert!(folder.root.history_before(1).exists());
    assert_eq!(folder.read(), (vec![0, 1, 2], 1));
}

#[test]
fn a_line_that_is_being_written_is_no_torn_one() {
    let folder = Folder::new();
    folder.write(&format!("{}\n", line(0)));
    let whole = line(1);
    let (begin, end) = whole.split_at(20);
    folder.write(begin);
    let files = Files::open(&folder.root).expect("readable");
    let unreadable = || {
        let lines = files.newest_first().map(|line| line.expect("readable"));
        lines.filter(|line| *line == Line::Unreadable).count()
    };
    assert_eq!(unreadable(), 1, "nobody writes it");
    let lock = durable::FileLock::try_take(&folder.root.history_lock()).expect("taken");
    assert_eq!(unreadable(), 0, "somebody is at it");
    folder.write(&format!("{end}\n"));
    drop(lock);
    assert_eq!(unreadable(), 0, "and was, when the files were opened");
    assert_eq!(folder.read(), (vec![0, 1], 0));
}

#[test]
fn lines_longer_than_what_is_read_at_a_time_are_read_whole() {
    let folder = Folder::new();
    for number in 0..3 {
        let mut entry = entry(number);
        entry.steps.push(StepEntry {
            action: "start".to_owned(),
            subject: "chat".to_owned(),
            reason: "x".repeat(200_000),
            outcome: "done".to_owned(),
            seconds: None,
            error: None,
        });
        append(&folder.root, &entry).expect("appended");
    }
    assert_eq!(folder.read(), (vec![0, 1, 2], 0));
    assert_eq!(numbers(&last(&folder.root, 2).expect("readable")), [1, 2]);
}

#[test]
fn old_lines_load_and_notices_are_kept() {
    let folder = Folder::new();
    folder.write(
        "{\"schema\":1,\"at\":\"2026-11-27T00:00:00Z\",\"seconds\":1.0,\"verb\":\"apply\",\
         \"reason\":\"number 7\",\"succeeded\":true,\"steps\":[]}\n",
    );
    let at = "2026-11-28T02:15:00Z".parse().expect("a moment");
    append(&folder.root, &Entry::noticed(at, Vec::new())).expect("appended");
    let (entries, _) = read(&folder.root).expect("readable");
    assert_eq!(entries[0].notices, []);
    assert_eq!(number(&entries[0]), 7);
    assert_eq!(entries[1].verb, "watch");
    assert!(
        !line(1).contains("notices"),
        "what has none says nothing of it"
    );
}

#[test]
fn a_gap_that_a_crash_has_left_is_closed_and_nothing_lost() {
    // Wherever moving the files up was cut off, one name is free.
    for gap in 1..=3 {
        let folder = Folder::new();
        for (number, path) in [(0, 3), (1, 2), (2, 1)] {
            if path != gap {
                let text = format!("{}\n", line(number));
                std::fs::write(folder.root.history_before(path), text).expect("written");
            }
        }
        folder.write(&format!("{}\n{}\n", line(3), line(4)));
        let before = folder.read().0;
        folder.append([5]);
        let after: Vec<usize> = before.into_iter().chain([5]).collect();
        assert_eq!(folder.read(), (after, 0), "{gap}");
        assert!((1..=3).all(|number| folder.root.history_before(number).exists()));
    }
}

#[test]
fn following_waits_for_torn_lines_and_crosses_turns() {
    let folder = Folder::new();
    // Before there is anything.
    let mut from_nothing = Files::open_to_follow(&folder.root)
        .expect("readable")
        .follow();
    assert_eq!(heard(&mut from_nothing), []);
    folder.append([0]);
    let whole = line(1);
    let (begin, end) = whole.split_at(20);
    folder.write(begin);
    let files = Files::open_to_follow(&folder.root).expect("readable");
    let there = files.newest_first().map(|line| line.expect("readable"));
    assert_eq!(there.count(), 1);
    let mut follow = files.follow();
    assert_eq!(heard(&mut follow), []);
    folder.write(&format!("{end}\n"));
    assert_eq!(heard(&mut follow), [Some(1)]);
    assert_eq!(heard(&mut from_nothing), [Some(0), Some(1)]);
    // Several turns at once, and one at a time.
    folder.append(2..8);
    assert_eq!(heard(&mut follow), (2..8).map(Some).collect::<Vec<_>>());
    for number in 8..40 {
        folder.append([number]);
        assert_eq!(heard(&mut follow), [Some(number)]);
    }
    // One that nobody ends, right before a turn: it is told as what it is, and what comes after it.
    let folder = Folder::new();
    folder.write(&format!("{}\n{}\n", line(0), line(1)));
    let mut follow = Files::open_to_follow(&folder.root)
        .expect("readable")
        .follow();
    folder.write("{\"schema\"");
    assert_eq!(heard(&mut follow), []);
    folder.append([2]);
    assert_eq!(heard(&mut follow), [None, Some(2)]);
    // Somebody takes it away.
    std::fs::remove_file(folder.root.history()).expect("removed");
    std::fs::remove_file(folder.root.history_before(1)).expect("removed");
    assert_eq!(heard(&mut follow), []);
    folder.append([3]);
    assert_eq!(heard(&mut follow), [Some(3)]);
}

#[test]
fn whoever_reads_or_follows_while_it_turns_over_misses_nothing_and_sees_nothing_twice() {
    const EACH: usize = 60;
    let folder = Folder::new();
    folder.append([0]);
    let mut follow = Files::open_to_follow(&folder.root)
        .expect("readable")
        .follow();
    let mut followed = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let root = folder.root.clone();
                scope.spawn(move || {
                    for number in 0..EACH {
                        // So long that nothing is dropped between two looks.
                        let number = 1 + 2 * number + writer;
                        append_within(&root, &entry(number), 6000, PATIENCE).expect("appended");
                    }
                })
            })
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            let (mut found, unreadable) = folder.read();
            assert_eq!(unreadable, 0);
            let count = found.len();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), count, "one is read twice");
            followed.extend(heard(&mut follow).into_iter().flatten());
        }
    });
    followed.extend(heard(&mut follow).into_iter().flatten());
    assert!(folder.root.history_before(1).exists());
    followed.sort_unstable();
    assert_eq!(followed, (1..=2 * EACH).collect::<Vec<_>>());
    let mut all = folder.read().0;
    all.sort_unstable();
    assert_eq!(all, (0..=2 * EACH).collect::<Vec<_>>());
}

#[test]
fn events_are_told_one_by_one() {
    let step = |outcome: &str, error: Option<&str>| StepEntry {
        action: "restart".to_owned(),
        subject: "chat".to_owned(),
        reason: "binary b9001 -> b9002".to_owned(),
        outcome: outcome.to_owned(),
        seconds: (outcome == "done").then_some(2.34),
        error: error.map(str::to_owned),
    };
    let mut pass = entry(1);
    pass.steps = vec![
        step("done", None),
        step("failed", Some("exited with code 1")),
        step("given_up", None),
    ];
    let texts: Vec<String> = Event::all_of(&pass).into_iter().map(|it| it.text).collect();
    assert_eq!(
        texts,
        [
            "done in 2.3 s: binary b9001 -> b9002",
            "failed: exited with code 1",
            "given up: binary b9001 -> b9002",
        ]
    );
    // A pass without steps is one only where something is to be said of it.
    let mut empty = entry(2);
    assert_eq!(Event::all_of(&empty), []);
    empty.succeeded = false;
    let events = Event::all_of(&empty);
    assert_eq!((events.len(), events[0].kind), (1, EventKind::Pass));
    assert_eq!(events[0].text, "failed after 0.0 s: number 2");
}
