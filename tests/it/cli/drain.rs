//! `rollout.drain`: a server that is to end is given time for its open requests.

use std::io::Write as _;
use std::net::TcpStream;

use crate::support::sandbox::{Output, Sandbox, is_alive};

/// `chat` runs, and its open requests are what the file `open` says.
fn busy(drain: &str, more_faults: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let faults = format!(
        "--standin-open-requests {}\n{more_faults}",
        sandbox.path("open")
    );
    sandbox.publish(1001, &faults);
    sandbox.publish(1002, &faults);
    sandbox.write_instances(&[("chat", 1001)]);
    let drain = format!("{{ min_healthy: 0, drain: {drain} }}");
    sandbox.edit("{ min_healthy: 0 }", &drain);
    sandbox.write("open", "2");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    sandbox
}

fn log(sandbox: &Sandbox) -> String {
    let path = sandbox.folder("chat").server_log();
    std::fs::read_to_string(path).unwrap_or_default()
}

fn is_drained(sandbox: &Sandbox) {
    sandbox.wait("it is asked", || log(sandbox).contains("slots: 2 at work"));
}

#[test]
fn a_restart_waits_until_the_last_request_is_done() {
    let sandbox = busy("1h", "");
    let before = sandbox.pid("chat");
    sandbox.edit("b1001", "b1002");
    let plan = sandbox.run(&["plan"]);
    plan.assert_says("; up to 3600 s to drain");
    let apply = sandbox.spawn(&["apply"]);
    is_drained(&sandbox);
    assert!(is_alive(before), "it still has requests");
    assert_eq!(sandbox.pid("chat"), before);
    sandbox.write("open", "0");
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    output.assert_code(0);
    assert!(!is_alive(before));
    assert_eq!(sandbox.runs("chat"), "b1002");
}

#[test]
fn force_waits_for_nothing() {
    let sandbox = busy("1h", "");
    sandbox.edit("b1001", "b1002");
    sandbox.run(&["apply", "--force"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
    sandbox.run(&["down", "chat", "--force"]).assert_code(0);
    assert!(sandbox.servers().is_empty());
    assert!(!log(&sandbox).contains("slots:"), "nobody asked");
}

#[test]
fn what_is_open_after_the_time_is_over_is_told() {
    let sandbox = busy("300ms", "");
    sandbox.edit("b1001", "b1002");
    let output = sandbox.run(&["apply"]);
    output
        .assert_code(0)
        .assert_says("chat: 2 requests were still open after 0.3 s of draining");
    assert_eq!(sandbox.runs("chat"), "b1002");
}

#[test]
fn a_server_that_cannot_be_asked_is_given_all_of_its_time() {
    let sandbox = busy("300ms", "--no-slots\n");
    sandbox.write("open", "0");
    let output = sandbox.run(&["down", "chat"]);
    output.assert_code(0).assert_says(
        "could not tell whether it was idle (`/slots` said 501 This server does not support slots endpoint.); it was given all of 0.3 s",
    );
}

#[test]
fn a_server_that_sleeps_is_not_woken_to_be_stopped() {
    let sandbox = busy("1h", "--standin-asleep\n");
    sandbox.run(&["down", "chat"]).assert_code(0);
    assert!(!log(&sandbox).contains("slots:"), "`/slots` wakes it");
}

#[test]
fn an_instance_that_left_the_manifest_is_drained_as_it_was_recorded() {
    let sandbox = busy("1h", "");
    let before = sandbox.pid("chat");
    let text = sandbox.read("orchestrator.yaml");
    let (head, _) = text.split_once("instances:").expect("it has some");
    sandbox.write("orchestrator.yaml", &format!("{head}instances: {{}}\n"));
    let apply = sandbox.spawn(&["apply", "--yes", "--allow-empty"]);
    is_drained(&sandbox);
    assert!(is_alive(before), "it still has requests");
    sandbox.write("open", "0");
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    output.assert_code(0);
    assert!(!is_alive(before));
}

#[test]
fn whoever_puts_it_down_meanwhile_ends_the_wait() {
    let sandbox = busy("1h", "");
    sandbox.edit("b1001", "b1002");
    let apply = sandbox.spawn(&["apply"]);
    is_drained(&sandbox);
    sandbox.run(&["down", "chat", "--force"]).assert_code(0);
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    output.assert_says("put down meanwhile");
    assert!(sandbox.servers().is_empty());
}

#[test]
fn an_interruption_leaves_the_server_as_it_was() {
    let sandbox = busy("1h", "");
    let before = sandbox.pid("chat");
    sandbox.edit("b1001", "b1002");
    let apply = sandbox.spawn(&["apply"]);
    is_drained(&sandbox);
    let pid = rustix::process::Pid::from_raw(apply.id().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is ours");
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    output.assert_code(130);
    assert!(is_alive(before));
    assert_eq!(sandbox.pid("chat"), before);
    sandbox.write("open", "0");
    sandbox.run(&["apply"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
}

#[test]
fn a_change_of_the_time_alone_restarts_nothing() {
    let sandbox = busy("1h", "");
    let before = sandbox.pid("chat");
    sandbox.edit("drain: 1h", "drain: 2h");
    let output = sandbox.run(&["apply"]);
    output
        .assert_code(0)
        .assert_says("  ~ update   chat                    rollout.drain (no restart)");
    assert_eq!(sandbox.pid("chat"), before);
    sandbox.run(&["apply"]).assert_says("Nothing to do");
    sandbox.write("open", "0");
}

/// A client that has asked a real server for many tokens gets all of them, though it is upgraded
/// meanwhile.
#[test]
fn a_long_completion_survives_an_upgrade_of_a_real_server() {
    use std::io::Read as _;

    let Some(mut sandbox) = super::real::real(9001) else {
        return;
    };
    sandbox.edit("{ min_healthy: 0 }", "{ min_healthy: 0, drain: 60s }");
    sandbox.edit("    server:", "    args: [--context-shift]\n    server:");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = sandbox.pid("chat");
    let port = sandbox.port("chat");
    let body = r#"{"prompt":"a","n_predict":3000,"ignore_eos":true,"stream":true}"#;
    let mut client = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(
        client,
        "POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = vec![0; 1];
    client.read_exact(&mut answer).expect("it has begun");
    sandbox.edit("b9001", "b9002");
    let apply = sandbox.spawn(&["apply", "--yes"]);
    client.read_to_end(&mut answer).expect("all of it");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains(r#""stop":true"#), "{answer}");
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    output.assert_code(0);
    assert_ne!(sandbox.pid("chat"), before);
    assert_eq!(sandbox.runs("chat"), "b9002");
}
