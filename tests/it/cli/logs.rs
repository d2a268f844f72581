//! `logs`: the end of what a server wrote, and what it goes on to write.

use std::io::{BufRead as _, BufReader};

use insta::assert_snapshot;

use crate::support::sandbox::Sandbox;

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
