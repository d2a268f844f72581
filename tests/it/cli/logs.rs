//! `logs`: the end of what a server wrote, and what it goes on to write.

use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Duration;

use insta::assert_snapshot;
use llama_orch::instance::{LogPolicy, log};

use crate::support::sandbox::{Output, Sandbox};

#[test]
fn it_shows_the_last_lines() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    assert_snapshot!(sandbox.run(&["logs", "chat", "-n", "2"]), @r"
    exit code 0
    --- stdout
    0.00.037.993 I srv  llama_server: model loaded
    0.00.037.999 I srv  llama_server: listening on http://127.0.0.1:[PORT]
    ");
    sandbox
        .run(&["logs", "chat", "--supervisor"])
        .assert_code(0);
    assert_snapshot!(sandbox.run(&["logs", "chas"]), @r"
    exit code 64
    --- stderr
    error: there is no instance `chas`
    hint: did you mean `chat`?
    ");
}

#[test]
fn it_follows_a_server_over_its_restart() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001)]);
    let mut logs = sandbox.spawn(&["logs", "chat", "-f", "-n", "1"]);
    let mut lines = BufReader::new(logs.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("readable");
    assert!(first.contains("listening"), "{first}");
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let second = lines.next().expect("a line").expect("readable");
    assert!(second.contains("initializing"), "{second}");
    logs.kill().expect("it runs");
    logs.wait().expect("it ends");
}

#[test]
fn several_logs_are_told_apart_by_name() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001), ("embed", 1001)]);
    assert_snapshot!(sandbox.run(&["logs", "embed", "chat", "-n", "1"]), @r"
    exit code 0
    --- stdout
    chat  | 0.00.037.999 I srv  llama_server: listening on http://127.0.0.1:[PORT]
    embed | 0.00.037.999 I srv  llama_server: listening on http://127.0.0.1:[PORT]
    ");
    let mut logs = sandbox.spawn(&["logs", "chat", "embed", "-f", "-n", "0"]);
    let lines = BufReader::new(logs.stdout.take().expect("piped")).lines();
    let (heard, told) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // Nobody asks for what comes after the test.
            let _ = heard.send(line);
        }
    });
    for (name, text) in [("embed", "one"), ("chat", "two")] {
        let log = sandbox.folder(name).server_log();
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&log)
            .expect("opened");
        let expected = format!("{name:<5} | {text}");
        // What is written before it has looked for the first time is not followed.
        sandbox.wait("it follows", || {
            writeln!(file, "{text}").expect("written");
            told.recv_timeout(Duration::from_millis(300))
                .is_ok_and(|line| line == expected)
        });
    }
    logs.kill().expect("it runs");
    logs.wait().expect("it ends");
    reading.join().expect("it ends");
}

#[test]
fn it_reads_back_into_rotated_files_and_follows_across_several_rotations() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let log = sandbox.folder("chat").server_log();
    std::fs::write(format!("{log}.1"), "older two\n").expect("written");
    std::fs::write(format!("{log}.2"), "older one\n").expect("written");
    let output = sandbox.run(&["logs", "chat", "-n", "1000"]);
    assert!(
        output.stdout.starts_with("older one\nolder two\n"),
        "{output}"
    );

    let mut logs = sandbox.spawn(&["logs", "chat", "-f", "-n", "1"]);
    let mut lines = BufReader::new(logs.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("readable");
    assert!(first.contains("listening"), "{first}");
    let append = |text: &str| {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&log)
            .expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    };
    // As its supervisor does, with a limit that is reached again before anybody looks.
    let policy = LogPolicy {
        max_size_mb: 1,
        rotation: 3,
    };
    let fill = format!("{}\n", "x".repeat(1 << 20));
    for name in ["a", "b", "c"] {
        append(&format!("first {name}\n{fill}last {name}\n"));
        assert!(log::rotate(&log, &policy).expect("rotated"));
    }
    append("end\n");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|line| line != "end") {
        let line = lines.next().expect("a line").expect("readable");
        if !line.starts_with('x') {
            seen.push(line);
        }
    }
    assert_eq!(
        seen,
        [
            "first a", "last a", "first b", "last b", "first c", "last c", "end"
        ]
    );
    logs.kill().expect("it runs");
    logs.wait().expect("it ends");
}

#[test]
fn a_pipe_gets_what_was_written_and_a_reader_that_leaves_ends_it() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let log = sandbox.folder("chat").server_log();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&log)
        .expect("opened");
    writeln!(file, "\x1b[31mred\x1b[0m \x1b]0;title\x07end").expect("written");
    let output = sandbox.run(&["logs", "chat", "-n", "1"]);
    assert_eq!(output.stdout, "\x1b[31mred\x1b[0m \x1b]0;title\x07end\n");

    let mut logs = sandbox.spawn(&["logs", "chat", "-f"]);
    drop(logs.stdout.take());
    sandbox.wait("it ends", || {
        writeln!(file, "more").expect("written");
        logs.try_wait().expect("it is ours").is_some()
    });
    let ended = Output::from(logs.wait_with_output().expect("it ended"));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}
