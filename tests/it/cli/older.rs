//! Supervisors of other versions of this program. What one of protocol 1 leaves on disk was recorded
//! in `tests/fixtures/instances/protocol-1`, with its ids and paths made neutral.

use std::fs::File;
use std::time::{Duration, SystemTime};

use camino::Utf8Path;
use llama_orch::durable::{self, FileLock};
use llama_orch::instance::record::{self, Record};
use llama_orch::instance::state::{self, ExitRecord, State};

use crate::support::sandbox::Sandbox;

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
