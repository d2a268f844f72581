//! The whole job on a real `llama-server`, where `LLAMA_ORCH_REAL_DIR` has the archives of b9001
//! and b9002 and a model `tiny.gguf`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::sandbox::{Sandbox, is_alive, kill};

/// A root on the real archives with `chat` on this build, or nothing where there are none.
pub(super) fn real(build: u32) -> Option<Sandbox> {
    let Some(folder) = std::env::var_os("LLAMA_ORCH_REAL_DIR") else {
        println!("skipped: LLAMA_ORCH_REAL_DIR is not set");
        return None;
    };
    let folder = std::fs::canonicalize(folder).expect("LLAMA_ORCH_REAL_DIR is there");
    let sandbox = Sandbox::with(&[], &[("chat", build)]);
    let folder = folder.to_str().expect("UTF-8");
    sandbox.edit(
        "{ directory: releases }",
        &format!("{{ directory: \"{folder}\" }}"),
    );
    sandbox.edit(
        "path: models/tiny.gguf",
        "path: models/tiny.gguf, context_size: 256",
    );
    std::fs::copy(
        format!("{folder}/tiny.gguf"),
        sandbox.path("models/tiny.gguf"),
    )
    .expect("a model");
    Some(sandbox)
}

fn build_of(sandbox: &mut Sandbox, name: &str) -> String {
    let props = sandbox.ask(name, "GET", "/props", "");
    let (_, rest) = props
        .split_once("\"build_info\":\"b")
        .expect("it says which");
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn it_is_installed_started_upgraded_healed_taken_over_and_put_down() {
    let Some(mut sandbox) = real(9001) else {
        return;
    };
    sandbox.edit(
        "    server:",
        "    healthcheck: { probe: completion }\n    server:",
    );
    sandbox.run(&["apply"]).assert_code(0);
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("\"ok\""));
    let body = r#"{"prompt": "Once", "n_predict": 4}"#;
    let answer = sandbox.ask("chat", "POST", "/completion", body);
    assert!(
        answer.contains("200 OK") && answer.contains("\"content\""),
        "{answer}"
    );
    assert_eq!(build_of(&mut sandbox, "chat"), "9001");

    let first = sandbox.pid("chat");
    sandbox
        .run(&["apply"])
        .assert_code(0)
        .assert_says("Nothing to do");
    assert_eq!(sandbox.pid("chat"), first);
    assert!(
        !sandbox.run(&["logs", "chat"]).stdout.contains("Received"),
        "no signal came"
    );

    sandbox.edit("b9001", "b9002");
    sandbox.run(&["apply"]).assert_code(0);
    assert!(!is_alive(first));
    assert_eq!(build_of(&mut sandbox, "chat"), "9002");

    let second = sandbox.pid("chat");
    kill(second);
    sandbox.wait("another server runs", || {
        sandbox.servers().iter().any(|pid| *pid != second)
    });
    let third = sandbox.wait_running("chat");

    kill(sandbox.supervisor("chat"));
    sandbox.wait("its supervisor is gone", || {
        sandbox.supervisors().is_empty()
    });
    assert!(is_alive(third));
    sandbox
        .run(&["apply"])
        .assert_code(0)
        .assert_says("its supervisor is gone");
    assert_eq!(sandbox.pid("chat"), third);

    sandbox.run(&["down", "--all"]).assert_code(0);
    assert!(sandbox.servers().is_empty());
    sandbox.wait("no supervisor is left", || sandbox.supervisors().is_empty());
}

#[test]
fn a_value_it_does_not_take_is_rolled_back() {
    let Some(mut sandbox) = real(9001) else {
        return;
    };
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    sandbox.edit(
        &line,
        &format!("{line}    args: [--cache-type-k, no-such-type]\n"),
    );
    let output = sandbox.run(&["apply"]);
    output.assert_code(1).assert_says("--cache-type-k");
    sandbox.wait_running("chat");
    assert_eq!(build_of(&mut sandbox, "chat"), "9001");
    sandbox
        .run(&["plan"])
        .assert_code(1)
        .assert_says("llama-orch retry chat");
}

#[test]
fn two_builds_run_side_by_side() {
    let Some(mut sandbox) = real(9001) else {
        return;
    };
    let port = sandbox.port("embed");
    let text = sandbox.read("orchestrator.yaml");
    let embed =
        format!("  embed:\n    binary: {{ version: b9002 }}\n    server: {{ port: {port} }}\n");
    sandbox.write("orchestrator.yaml", &format!("{text}{embed}"));
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(build_of(&mut sandbox, "chat"), "9001");
    assert_eq!(build_of(&mut sandbox, "embed"), "9002");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
}

/// Asks for completions one after another, all the time.
struct Client {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Sent>>,
}

/// One request: when it was sent, when it was over, and whether it was answered.
struct Sent {
    began: Instant,
    ended: Instant,
    answered: bool,
}

impl Client {
    fn of(port: u16) -> Self {
        let (over, answered) = (Arc::default(), Arc::default());
        let (stop, count) = (
            Arc::<AtomicBool>::clone(&over),
            Arc::<AtomicUsize>::clone(&answered),
        );
        let thread = std::thread::spawn(move || {
            let mut sent = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let began = Instant::now();
                let answered = complete(port).is_ok_and(|answer| {
                    answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"content\"")
                });
                count.fetch_add(usize::from(answered), Ordering::SeqCst);
                sent.push(Sent {
                    began,
                    ended: Instant::now(),
                    answered,
                });
                if !answered {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            sent
        });
        Self {
            over,
            answered,
            thread,
        }
    }

    /// Waits for so many more answers.
    fn wait_for_more(&self, sandbox: &Sandbox, more: usize) {
        let enough = self.answered.load(Ordering::SeqCst) + more;
        sandbox.wait("completions are answered", || {
            self.answered.load(Ordering::SeqCst) >= enough
        });
    }

    fn finish(self) -> Vec<Sent> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("no panic")
    }
}

fn complete(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let body = r#"{"prompt": "Once", "n_predict": 4}"#;
    write!(
        stream,
        "POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Between the stop of the old server and the gate of the new one requests fail, and at no other
/// time: not while the new build is installed and checked, and not once `apply` has said that it is up.
#[test]
fn an_upgrade_under_a_client_fails_requests_only_while_no_server_is_there() {
    let Some(mut sandbox) = real(9001) else {
        return;
    };
    // A request that is open when SIGTERM comes is never answered, and the server waits for its
    // client to hang up (source of b11434): it is killed after this time.
    sandbox.edit("defaults:\n", "defaults:\n  stop_timeout: 2s\n");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let client = Client::of(sandbox.port("chat"));
    client.wait_for_more(&sandbox, 20);

    sandbox.edit("b9001", "b9002");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let up = Instant::now();
    client.wait_for_more(&sandbox, 20);
    let sent = client.finish();

    assert_eq!(build_of(&mut sandbox, "chat"), "9002");
    let first = sent.iter().position(|sent| !sent.answered);
    let last = sent.iter().rposition(|sent| !sent.answered);
    let (Some(first), Some(last)) = (first, last) else {
        println!("{} completions, none failed", sent.len());
        return;
    };
    let failed = &sent[first..=last];
    assert!(
        failed.iter().all(|sent| !sent.answered),
        "once it was down it stayed so until it was up for good"
    );
    assert!(
        sent[last].began < up,
        "whatever was sent after the gate is answered"
    );
    let silence = sent[last + 1].ended - sent[first].began;
    println!(
        "{} completions, {} failed, {} ms without an answer",
        sent.len(),
        failed.len(),
        silence.as_millis()
    );
}

#[test]
fn a_model_that_is_missing_blocks_its_instance_and_nothing_is_started() {
    let Some(sandbox) = real(9001) else {
        return;
    };
    std::fs::remove_file(sandbox.path("models/tiny.gguf")).expect("removed");
    sandbox
        .run(&["plan"])
        .assert_code(1)
        .assert_says("models/tiny.gguf");
    sandbox.run(&["apply", "--quiet"]).assert_code(1);
    assert!(sandbox.servers().is_empty());
}
