//! `events`: what has happened, line by line, and what goes on to happen.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use insta::assert_snapshot;
use jiff::Timestamp;
use llama_orch::history::{self, Entry};
use llama_orch::root::Root;
use llama_orch::watch::notice::{Notice, NoticeKind};
use serde_json::Value;

use crate::support::sandbox::Sandbox;

/// How long a line may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

fn noticed(at: Timestamp) -> Entry {
    let notice = Notice {
        schema: 1,
        at: at.to_string(),
        kind: NoticeKind::RolledBack,
        subject: "chat".to_owned(),
        code: "failed_inputs".to_owned(),
        text: "chat rolled back: b1002 failed 8 s ago: exited with code 1; b1001 runs".to_owned(),
        root: "/srv/llama".to_owned(),
        version: "0.1.0".to_owned(),
        commit: None,
        details: None,
    };
    Entry::noticed(at, vec![notice])
}

fn append(sandbox: &Sandbox, entry: &Entry) {
    history::append(&Root::new(&sandbox.root), entry).expect("appended");
}

/// A pass that is known by its subject.
fn pass(number: usize) -> Entry {
    let mut entry = noticed("2026-11-28T02:15:04Z".parse().expect("a moment"));
    "apply".clone_into(&mut entry.verb);
    entry.notices.clear();
    entry.steps.push(history::StepEntry {
        action: "start".to_owned(),
        subject: format!("chat-{number}"),
        reason: "not running".to_owned(),
        outcome: "done".to_owned(),
        seconds: Some(2.34),
        error: None,
    });
    entry
}

/// One that follows, and the lines it prints.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn new(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut child = sandbox.spawn(arguments);
        let read = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in read.map_while(Result::ok) {
                // Nobody asks for what comes after the test.
                let _ = tell.send(line);
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line comes")
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A root in which nothing runs.
fn idle() -> Sandbox {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    Root::new(&sandbox.root).create_state().expect("created");
    sandbox
}

#[test]
fn each_step_and_each_notice_is_one_line() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["events"]), @r"
    exit code 0
    --- stdout
    Nothing has been done here yet.
    ");
    sandbox.publish(1002, "--standin-exit 1\n");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.run(&["apply", "--quiet"]).assert_code(1);
    append(&sandbox, &noticed(Timestamp::now()));
    sandbox
        .run(&["down", "chat", "--reason", "noise"])
        .assert_code(0);
    assert_snapshot!(sandbox.run(&["events"]), @r"
    exit code 0
    --- stdout
    [DATE]  install   b1001 [CPU]  done in [TIME]: [SIZE] download, not installed
    [DATE]  start     chat          done in [TIME]: not running
    [DATE]  install   b1002 [CPU]  done in [TIME]: [SIZE] download, not installed
    [DATE]  restart   chat          failed: b1002 exited with code 1; rolled back to b1001
    [DATE]  notice    chat          rolled back: b1002 failed [TIME] ago: exited with code 1; b1001 runs
    [DATE]  stop      chat          done in [TIME]: put down: noise
    ");
    assert_snapshot!(sandbox.run(&["events", "-n", "3", "chat"]), @r"
    exit code 0
    --- stdout
    [DATE]  restart   chat          failed: b1002 exited with code 1; rolled back to b1001
    [DATE]  notice    chat          rolled back: b1002 failed [TIME] ago: exited with code 1; b1001 runs
    [DATE]  stop      chat          done in [TIME]: put down: noise
    ");
    assert_snapshot!(sandbox.run(&["events", "chas"]), @r"
    exit code 64
    --- stderr
    error: there is no instance `chas`
    hint: did you mean `chat`?
    ");
    sandbox.set("COLUMNS", "80");
    let narrow = sandbox.run(&["events"]);
    assert!(
        narrow.stdout.lines().all(|line| line.len() <= 80),
        "{narrow}"
    );
    assert_snapshot!(narrow, @r"
    exit code 0
    --- stdout
    [DATE]  install   b1001 [CPU]  done in [TIME]: [SIZE] download,
                                                  not installed
    [DATE]  start     chat          done in [TIME]: not running
    [DATE]  install   b1002 [CPU]  done in [TIME]: [SIZE] download,
                                                  not installed
    [DATE]  restart   chat          failed: b1002 exited with code 1;
                                                 rolled back to b1001
    [DATE]  notice    chat          rolled back: b1002 failed [TIME] ago:
                                                 exited with code 1; b1001 runs
    [DATE]  stop      chat          done in [TIME]: put down: noise
    ");
    assert_snapshot!(sandbox.run(&["history", "-n", "2"]), @r"
    exit code 0
    --- stdout
    [DATE], [TIME] ago  watch
      told  rolled back  chat  rolled back: b1002 failed [TIME] ago: exited with code
                               1; b1001 runs
    [DATE], [TIME] ago  down  [TIME]: noise
      done  stop  chat  [TIME]; put down: noise
    ");

    let schema = include_str!("../../../docs/schemas/events.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let output = sandbox.run(&["events", "--json"]);
    let events: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(events.len(), 6);
    for event in &events {
        let errors: Vec<String> = validator
            .iter_errors(event)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}\n{event:#}");
    }
    assert_eq!(events[4]["notice"]["kind"], "rolled_back");
}

#[test]
fn following_goes_on_across_turns_and_waits_for_torn_lines() {
    let sandbox = idle();
    append(&sandbox, &pass(0));
    let following = Following::new(&sandbox, &["events", "-f"]);
    assert_eq!(
        following.next(),
        "2026-11-28 02:15:04  start     chat-0        done in 2.3 s: not running"
    );
    // A line that is only begun is none yet.
    let history = sandbox.path(".llama-orch/history.jsonl");
    let mut file = OpenOptions::new()
        .append(true)
        .open(&history)
        .expect("opened");
    let text = serde_json::to_string(&pass(1)).expect("JSON");
    file.write_all(&text.as_bytes()[..30]).expect("written");
    let none = following.lines.recv_timeout(Duration::from_millis(400));
    assert!(none.is_err(), "{none:?}");
    file.write_all(&text.as_bytes()[30..]).expect("written");
    file.write_all(b"\n").expect("written");
    assert!(following.next().contains("chat-1 "));
    // So long that the next one turns it over.
    let mut long = pass(2);
    long.steps[0].reason = "x".repeat(5 << 20);
    append(&sandbox, &long);
    append(&sandbox, &pass(3));
    assert!(sandbox.path(".llama-orch/history.1.jsonl").exists());
    assert!(following.next().contains("chat-2 "));
    assert!(following.next().contains("chat-3 "));
    // Whoever comes now reads across both.
    let output = sandbox.run(&["events", "-n", "4", "--json"]);
    assert_eq!(output.stdout.lines().count(), 4);
    assert!(
        output
            .stdout
            .lines()
            .next()
            .expect("one")
            .contains("chat-0")
    );
}

#[test]
fn a_line_that_a_crash_has_torn_hides_no_other() {
    let sandbox = idle();
    append(&sandbox, &pass(0));
    let history = sandbox.path(".llama-orch/history.jsonl");
    let mut file = OpenOptions::new()
        .append(true)
        .open(&history)
        .expect("opened");
    file.write_all(b"{\"schema\":1,\"reason\":\"gr\xc3")
        .expect("written");
    append(&sandbox, &pass(1));
    sandbox
        .run(&["events"])
        .assert_code(0)
        .assert_says("1 line of")
        .assert_says("chat-0")
        .assert_says("chat-1");
}

#[test]
fn two_who_write_at_once_lose_nothing() {
    const EACH: usize = 40;
    let sandbox = idle();
    let following = Following::new(&sandbox, &["events", "-f", "--json"]);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut entry = pass(2 * number + writer);
                    // It is turned over three times on the way.
                    entry.steps[0].reason = "x".repeat(180 << 10);
                    append(sandbox, &entry);
                }
            });
        }
    });
    let mut heard: Vec<usize> = (0..2 * EACH)
        .map(|_| {
            let event: Value = serde_json::from_str(&following.next()).expect("JSON");
            let subject = event["subject"].as_str().expect("a text").to_owned();
            subject
                .trim_start_matches("chat-")
                .parse()
                .expect("a number")
        })
        .collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..2 * EACH).collect::<Vec<_>>());
    assert!(sandbox.path(".llama-orch/history.3.jsonl").exists());
}

#[test]
fn only_what_is_about_those_who_are_named_is_told() {
    let sandbox = idle();
    for number in 0..3 {
        append(&sandbox, &pass(number));
    }
    let following = Following::new(&sandbox, &["events", "-f", "-n", "0", "chat-[12]"]);
    // What is appended before it has looked for the first time is not followed.
    sandbox.wait("it follows", || {
        append(&sandbox, &pass(0));
        append(&sandbox, &pass(2));
        let line = following.lines.recv_timeout(Duration::from_millis(300));
        line.is_ok_and(|line| line.contains("chat-2 "))
    });
}

#[cfg(unix)]
#[test]
fn following_ends_by_an_interrupt_and_where_nobody_reads_any_more() {
    let sandbox = idle();
    append(&sandbox, &pass(0));
    let mut following = Following::new(&sandbox, &["events", "-f"]);
    following.next();
    let pid = i32::try_from(following.child.id()).ok();
    let pid = pid.and_then(rustix::process::Pid::from_raw).expect("a pid");
    // Before it follows, it ends by the signal itself.
    sandbox.wait("it follows", || {
        append(&sandbox, &pass(1));
        following
            .lines
            .recv_timeout(Duration::from_millis(300))
            .is_ok()
    });
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is ours");
    let status = following.child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));

    // Nothing has to happen for it to notice.
    let mut child = sandbox.spawn(&["events", "-f"]);
    let mut read = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    read.read_line(&mut line).expect("readable");
    drop(read);
    sandbox.wait("it ends", || child.try_wait().expect("known").is_some());
    assert_eq!(child.wait().expect("it ended").code(), Some(0));
}
