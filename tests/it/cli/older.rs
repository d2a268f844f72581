//! Supervisors of other versions of this program. What one of protocol 1 leaves on disk was recorded
//! in `tests/fixtures/instances/protocol-1`, with its ids and paths made neutral.

use std::fs::File;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use camino::Utf8Path;
use llama_orch::durable::{self, FileLock};
use llama_orch::instance::identity::{NONCE, ProcessIdentity};
use llama_orch::instance::record::{self, Record};
use llama_orch::instance::state::{self, ExitRecord, Phase, State};
use serde_json::Value;
use uuid::Uuid;

use crate::support::sandbox::{Sandbox, is_alive, kill};

const FILES: [&str; 3] = ["record.json", "state.json", "exit.json"];

/// A root as the program of that time left it, its server and supervisor alive as far as their locks
/// tell.
struct Recorded {
    // Given back before the sandbox ends what it finds.
    supervisor: Option<FileLock>,
    _server: FileLock,
    sandbox: Sandbox,
}

impl Recorded {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let fixture = |name: &str| {
            let folder = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/fixtures/instances/protocol-1"
            );
            std::fs::read_to_string(format!("{folder}/{name}")).expect("readable")
        };
        for name in FILES {
            sandbox.write(
                &format!(".llama-orch/instances/chat/{name}"),
                &fixture(name),
            );
        }
        sandbox.write(".llama-orch/machine.json", &fixture("machine.json"));
        sandbox.write("orchestrator.yaml", &fixture("orchestrator.yaml"));
        sandbox.write("bin/llama-server", "");
        sandbox.write("key", "sesame\n");
        sandbox.write("model.gguf", "GGUF\n");
        // 2026-11-24T03:13:13.773052759Z, as the record has it.
        let written = SystemTime::UNIX_EPOCH + Duration::new(1_795_489_993, 773_052_759);
        let model = File::options().write(true).open(sandbox.path("model.gguf"));
        model
            .and_then(|model| model.set_modified(written))
            .expect("set");
        let folder = sandbox.folder("chat");
        let held = |path: &Utf8Path| FileLock::try_take(path).expect("it can be locked");
        let supervisor = held(&folder.supervisor_lock());
        assert!(supervisor.is_some());
        Self {
            supervisor,
            _server: held(&folder.server_lock()).expect("it is free"),
            sandbox,
        }
    }

    fn edit_state(&self, from: &str, to: &str) {
        let name = ".llama-orch/instances/chat/state.json";
        let text = self.sandbox.read(name);
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        self.sandbox.write(name, &text.replacen(from, to, 1));
    }

    fn read(&self) -> [String; 3] {
        FILES.map(|name| {
            self.sandbox
                .read(&format!(".llama-orch/instances/chat/{name}"))
        })
    }
}

#[test]
fn the_files_of_the_version_before_read_as_they_were_meant() {
    let recorded = Recorded::new();
    let folder = recorded.sandbox.folder("chat");
    let state: Option<State> = durable::read_json(&folder.state(), state::SCHEMA).expect("read");
    let exit: Option<ExitRecord> = durable::read_json(&folder.exit(), state::SCHEMA).expect("read");
    let record: Option<Record> =
        durable::read_json(&folder.record(), record::SCHEMA).expect("read");
    let (state, exit) = (state.expect("there is one"), exit.expect("there is one"));
    assert_eq!(state.protocol, 1);
    assert_eq!(
        state.runs(),
        exit.fingerprint,
        "the hash of a launch is what it was"
    );
    let wanted = record.and_then(|record| record.wanted).expect("assigned");
    assert_eq!(wanted.launch.fingerprint(), exit.fingerprint);
}

#[test]
fn a_server_under_a_supervisor_of_the_version_before_is_left_alone() {
    let recorded = Recorded::new();
    let before = recorded.read();
    for _ in 0..2 {
        let plan = recorded.sandbox.run(&["plan", "--detailed-exitcode"]);
        plan.assert_code(0).assert_says("Nothing to do");
    }
    assert_eq!(recorded.read(), before);
}

#[test]
fn what_a_supervisor_of_the_version_before_does_not_know_is_no_difference() {
    let recorded = Recorded::new();
    let sandbox = &recorded.sandbox;
    sandbox.edit("interval: 1s", "interval: 1s, liveness: restart");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    sandbox.edit("max_retries: 8", "max_retries: 9");
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]);
    plan.assert_code(2)
        .assert_says("~ update   chat                    restart_policy (no restart)");
}

#[test]
fn a_server_whose_supervisor_of_the_version_before_died_gets_one_of_this_version() {
    let mut recorded = Recorded::new();
    recorded.supervisor = None;
    let plan = recorded.sandbox.run(&["plan", "--detailed-exitcode"]);
    plan.assert_code(2)
        .assert_says("its supervisor is gone; a new one takes over (no restart)");
}

#[test]
fn a_supervisor_of_a_version_that_is_not_understood_is_held_and_not_touched() {
    let recorded = Recorded::new();
    recorded.edit_state("\"protocol\": 1", "\"protocol\": 9");
    recorded.sandbox.edit("max_retries: 8", "max_retries: 9");
    let before = recorded.read();
    let plan = recorded.sandbox.run(&["plan"]);
    plan.assert_code(1).assert_says(
        "left alone: it runs under a supervisor of another version of llama-orch (protocol 9",
    );
    recorded.sandbox.run(&["apply"]).assert_code(1);
    assert_eq!(recorded.read(), before);
}

/// Stands for a supervisor of protocol 1 that has a server: it holds the lock, works by the settings it
/// knows, takes new ones up at SIGHUP, and ends its server and itself at SIGTERM.
const SUPERVISOR: &str = r#"
exec 9<>supervisor.lock
flock 9
trap 'mv refreshed.json state.json' HUP
trap 'kill "$SERVER"; flock server.lock true 9>&-; mv stopped.json state.json; exit 0' TERM
: >ready
while :; do sleep 0.05 9>&- & wait $!; done
"#;

/// Puts such a supervisor in the place of the one that has the server of `chat`.
fn replaced_by_an_older_one(sandbox: &Sandbox) -> Child {
    let folder = sandbox.folder("chat");
    let server = sandbox.pid("chat");
    kill(sandbox.supervisor("chat"));
    sandbox.wait("the lock is free", || {
        !durable::is_locked(&folder.supervisor_lock()).expect("readable")
    });
    let nonce = Uuid::new_v4();
    // A shell sets no trap for what was ignored when it began, as under `nohup`.
    let older = Command::new("env")
        .args(["--default-signal=HUP", "/bin/sh", "-c", SUPERVISOR])
        .current_dir(folder.path())
        .env(NONCE, nonce.to_string())
        .env("SERVER", server.to_string())
        .spawn()
        .expect("a shell");
    sandbox.wait("it has the lock", || folder.path().join("ready").exists());
    let identity = ProcessIdentity::of(older.id(), nonce).expect("it lives");
    let state = std::fs::read_to_string(folder.state()).expect("readable");
    let mut state: Value = serde_json::from_str(&state).expect("JSON");
    state["protocol"] = 1.into();
    state["supervisor"] = serde_json::to_value(identity).expect("JSON");
    for (section, unknown) in [("", "leave_failed"), ("gate", "liveness")] {
        let settings = &mut state["supervision"];
        let settings = if section.is_empty() {
            settings
        } else {
            &mut settings[section]
        };
        settings.as_object_mut().expect("settings").remove(unknown);
    }
    let write = |name: &str, state: &Value| {
        std::fs::write(folder.path().join(name), state.to_string()).expect("written");
    };
    write("state.json", &state);
    let mut stopped = state.clone();
    stopped["phase"] = serde_json::json!({ "is": "stopped" });
    stopped["server"] = Value::Null;
    write("stopped.json", &stopped);
    state["supervision"]["restart_policy"]["max_retries"] = 9.into();
    write("refreshed.json", &state);
    older
}

#[test]
fn a_supervisor_of_the_version_before_is_told_what_it_knows_and_makes_room() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let server = sandbox.pid("chat");
    let mut older = replaced_by_an_older_one(&sandbox);
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);

    sandbox.edit(
        "interval: 100ms }",
        "interval: 100ms, liveness: restart }\n  restart_policy: { max_retries: 9 }",
    );
    let update = sandbox.run(&["apply"]);
    update
        .assert_code(0)
        .assert_says("restart_policy (no restart)");
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    let state = sandbox.state("chat").expect("there is a state");
    assert_eq!((state.protocol, sandbox.pid("chat")), (1, server));

    sandbox.edit("  rollout: {", "  args: [--metrics]\n  rollout: {");
    // Waited for meanwhile, so that it is gone once it has ended.
    let waited = std::thread::spawn(move || older.wait());
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let ended = waited.join().expect("no panic").expect("waited for");
    assert!(ended.success(), "it was asked and not killed: {ended}");
    let state = sandbox.state("chat").expect("there is a state");
    assert_eq!((state.protocol, &state.phase), (2, &Phase::Running));
    assert_ne!(sandbox.pid("chat"), server);
    assert!(!is_alive(server));
}

#[test]
fn a_supervisor_of_the_version_before_can_be_put_down() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let server = sandbox.pid("chat");
    let mut older = replaced_by_an_older_one(&sandbox);
    let waited = std::thread::spawn(move || older.wait());
    sandbox.run(&["down", "chat"]).assert_code(0);
    let ended = waited.join().expect("no panic").expect("waited for");
    assert!(ended.success(), "it was asked and not killed: {ended}");
    assert!(!is_alive(server));
}
