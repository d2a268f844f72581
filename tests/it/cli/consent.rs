//! A person at a terminal: asked before something that runs would stop, and free to break it off.
//!
//! The terminal is one that script(1) makes; without that program the tests say that they were
//! skipped.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use crate::support::sandbox::{Output, Sandbox};

/// The program at a terminal of its own, with what is typed there.
struct Terminal {
    script: Child,
    shown: String,
}

impl Terminal {
    /// `None` where there is nothing that makes a terminal.
    fn run(sandbox: &Sandbox, arguments: &[&str]) -> Option<Self> {
        let plain = sandbox.command(arguments);
        let words = std::iter::once(plain.get_program()).chain(plain.get_args());
        let words: Vec<&str> = words.map(|word| word.to_str().expect("UTF-8")).collect();
        let mut script = Command::new("script");
        script
            .args(["-qefc", &words.join(" "), "/dev/null"])
            .current_dir(&sandbox.root)
            .env_clear()
            .envs(
                plain
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("NO_COLOR", "1")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Ok(script) = script.spawn() else {
            #[expect(clippy::print_stderr, reason = "a test says why it did nothing")]
            {
                eprintln!("skipped: there is no script(1) here");
            }
            return None;
        };
        let shown = String::new();
        Some(Self { script, shown })
    }

    /// Reads until a text is shown.
    fn wait_for(&mut self, text: &str) {
        let screen = self.script.stdout.as_mut().expect("it is read");
        let mut piece = [0; 1024];
        while !self.shown.contains(text) {
            let read = screen.read(&mut piece).expect("readable");
            assert!(read > 0, "`{text}` was never shown:\n{}", self.shown);
            self.shown += &String::from_utf8_lossy(&piece[..read]);
        }
    }

    fn type_in(&mut self, text: &str) {
        let keys = self.script.stdin.as_mut().expect("somebody types");
        keys.write_all(text.as_bytes()).expect("typed");
        keys.flush().expect("typed");
    }

    /// What was shown to the end, and the exit code.
    fn end(mut self) -> Output {
        let mut rest = Vec::new();
        let screen = self.script.stdout.as_mut().expect("it is read");
        screen.read_to_end(&mut rest).expect("readable");
        self.shown += &String::from_utf8_lossy(&rest);
        let status = self.script.wait().expect("it ends");
        Output {
            code: status.code(),
            stdout: self.shown,
            stderr: String::new(),
        }
    }
}

const QUESTION: &str = "Something that runs would stop. Go on? [y/N]";

#[test]
fn a_person_is_asked_before_something_stops_and_no_changes_nothing() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001)]);
    let pid = sandbox.pid("chat");
    sandbox.write_instances(&[("chat", 1002)]);
    let lock = sandbox.read("orchestrator.lock");
    for (keys, code, word) in [
        ("n\n", 1, "nothing was changed"),
        ("\n", 1, "nothing was changed"),
        ("\u{3}", 130, "error: interrupted"),
    ] {
        let Some(mut terminal) = Terminal::run(&sandbox, &["apply"]) else {
            return;
        };
        terminal.wait_for(QUESTION);
        terminal.type_in(keys);
        let output = terminal.end();
        output.assert_code(code).assert_says(word);
        assert_eq!(sandbox.pid("chat"), pid, "after {keys:?}");
        assert_eq!(sandbox.read("orchestrator.lock"), lock, "after {keys:?}");
        assert_eq!(sandbox.run(&["history"]).stdout.matches("apply").count(), 1);
    }
    let Some(mut terminal) = Terminal::run(&sandbox, &["apply"]) else {
        return;
    };
    terminal.wait_for(QUESTION);
    terminal.type_in("y\n");
    terminal.end().assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
}

#[test]
fn nobody_is_asked_where_nothing_stops_or_where_yes_was_said() {
    let mut sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001)]);
    let Some(terminal) = Terminal::run(&sandbox, &["apply"]) else {
        return;
    };
    let output = terminal.end();
    output.assert_code(0);
    assert!(!output.says(QUESTION), "{output}");
    sandbox.write_instances(&[("chat", 1002)]);
    let terminal = Terminal::run(&sandbox, &["apply", "--yes"]).expect("as before");
    let output = terminal.end();
    output.assert_code(0);
    assert!(!output.says(QUESTION), "{output}");
}

#[test]
fn a_rollback_asks_and_a_no_leaves_nothing_on_record() {
    let mut sandbox = Sandbox::with(&[1001, 1002], &[]);
    for build in [1001, 1002] {
        sandbox.write_instances(&[("chat", build)]);
        sandbox.edit("min_healthy: 0", "min_healthy: 0, prove_after: 0");
        sandbox.run(&["apply", "--quiet"]).assert_code(0);
        sandbox.wait("it is proven", || {
            sandbox.state("chat").is_some_and(|state| state.proven)
        });
    }
    let manifest = sandbox.read("orchestrator.yaml");
    let Some(mut terminal) = Terminal::run(&sandbox, &["rollback", "chat"]) else {
        return;
    };
    terminal.wait_for("[y/N]");
    terminal.type_in("n\n");
    let output = terminal.end();
    output.assert_code(1).assert_says("nothing was changed");
    assert!(!output.stdout.contains("by itself"), "{output}");
    assert_eq!(sandbox.read("orchestrator.yaml"), manifest);
    for (keys, code) in [("n\n", 1), ("\u{3}", 130)] {
        let Some(mut terminal) = Terminal::run(&sandbox, &["rollback", "chat", "--local"]) else {
            return;
        };
        terminal.wait_for(QUESTION);
        terminal.type_in(keys);
        terminal.end().assert_code(code);
        assert_eq!(sandbox.runs("chat"), "b1002");
        let record = sandbox.read(".llama-orch/instances/chat/record.json");
        assert!(!record.contains("rolled_back"), "{record}");
    }
}

#[test]
fn what_was_broken_off_stands_in_the_history() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-never-ready\n");
    let Some(mut terminal) = Terminal::run(&sandbox, &["apply", "--yes"]) else {
        return;
    };
    sandbox.wait("it starts", || {
        sandbox
            .state("chat")
            .is_some_and(|state| state.server.is_some())
    });
    terminal.type_in("\u{3}");
    let output = terminal.end();
    output.assert_code(130).assert_says("interrupted");
    let history = sandbox.run(&["history"]);
    history.assert_says("interrupted  start    chat");
    history.assert_says(", interrupted\n");
    let json = sandbox.run(&["history", "--json"]).stdout;
    let entry: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(entry["interrupted"], true);
    assert_eq!(entry["succeeded"], false);
}

#[test]
fn what_somebody_else_changes_while_it_is_asked_is_not_overwritten() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001)]);
    let pid = sandbox.pid("chat");
    let upgrade = ["upgrade", "chat", "--binary-version", "b1002"];
    let Some(mut terminal) = Terminal::run(&sandbox, &upgrade) else {
        return;
    };
    terminal.wait_for("[y/N]");
    let port = sandbox.port("chat");
    sandbox.edit(
        &format!("port: {port} }}"),
        &format!("port: {port} }} # mine"),
    );
    let edited = sandbox.read("orchestrator.yaml");
    terminal.type_in("y\n");
    let output = terminal.end();
    output.assert_code(1);
    output.assert_says("orchestrator.yaml` was changed by someone else meanwhile");
    assert_eq!(sandbox.read("orchestrator.yaml"), edited);

    // The lock is another file that was planned on.
    let Some(mut terminal) = Terminal::run(&sandbox, &upgrade) else {
        return;
    };
    terminal.wait_for("[y/N]");
    let lock = sandbox.read("orchestrator.lock") + "# pulled\n";
    sandbox.write("orchestrator.lock", &lock);
    terminal.type_in("y\n");
    let output = terminal.end();
    output.assert_code(1);
    output.assert_says("orchestrator.lock` was changed by someone else meanwhile");
    assert_eq!(sandbox.read("orchestrator.lock"), lock);
    assert_eq!(sandbox.read("orchestrator.yaml"), edited);
    assert_eq!(sandbox.pid("chat"), pid);
    assert_eq!(sandbox.runs("chat"), "b1001");
}
