//! A root with builds of the stand-in, and one instance that can be told what to run.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use llama_orch::durable;
use llama_orch::instance::folder::{self, InstanceFolder};
use llama_orch::instance::record::{Assignment, Record, RecordedLaunch};
use llama_orch::instance::state::{self, Exit, ExitRecord, Phase, State};
use llama_orch::instance::supervisor::{self, Confinement, Ended, Program, StartError};
use llama_orch::instance::{
    BinaryId, EnvironmentValue, GateSpec, Launch, LaunchInputs, RestartPolicy, Supervision,
};
use llama_orch::release::{Digest, Tag};
use rustix::process::Signal;
use uuid::Uuid;

/// No process at all.
pub(crate) const NOBODY: [u32; 0] = [];

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Sandbox {
    pub(crate) root: Utf8PathBuf,
    pub(crate) folder: InstanceFolder,
    pub(crate) port: u16,
    program: Program,
    environment: BTreeMap<String, String>,
    _scratch: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let root = scratch.path().canonicalize().expect("it exists");
        let root = Utf8PathBuf::from_path_buf(root).expect("a UTF-8 path");
        let digest = Digest::of("the program under test");
        let path = root.join(format!(".llama-orch/supervisors/{digest}/llama-orch"));
        place(env!("CARGO_BIN_EXE_llama-orch"), &path);
        let folder = InstanceFolder::new(&root, &"chat".parse().expect("a name"));
        folder.create().expect("created");
        let sandbox = Self {
            folder,
            port: free_port(),
            program: Program { path, digest },
            environment: BTreeMap::new(),
            root,
            _scratch: scratch,
        };
        std::fs::write(sandbox.root.join("model.gguf"), "GGUF").expect("written");
        sandbox
    }

    /// Sets a variable in the environment supervisors are started from.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Sets whether the supervisor is killed at one of its named places.
    pub(crate) fn kill_at(&mut self, place: Option<&str>) {
        self.environment.remove(llama_orch::kill_point::VARIABLE);
        if let Some(place) = place {
            self.set(llama_orch::kill_point::VARIABLE, place);
        }
    }

    /// A build of the stand-in with these faults, one `--standin-*` option a line, and the launch
    /// that runs it.
    pub(crate) fn build(&self, number: u32, faults: &str) -> RecordedLaunch {
        let program = Utf8PathBuf::from(format!("bins/b{number}/llama-server"));
        let home = self.root.join(format!("bins/b{number}"));
        place(
            env!("CARGO_BIN_EXE_llama-server-standin"),
            &home.join("llama-server"),
        );
        std::fs::write(home.join("build-number"), number.to_string()).expect("written");
        std::fs::write(home.join("standin-faults"), faults).expect("written");
        self.launch(number, program)
    }

    pub(crate) fn launch(&self, number: u32, program: Utf8PathBuf) -> RecordedLaunch {
        let mut inputs = LaunchInputs::default();
        inputs.set("binary.version", format!("b{number}"));
        let port = self.port.to_string();
        let arguments = [
            "--model",
            "model.gguf",
            "--alias",
            "chat",
            "--host",
            "127.0.0.1",
            "--port",
        ];
        let launch = Launch {
            binary: BinaryId::new(Uuid::from_u128(number.into())),
            build: Tag::new(number).into(),
            arguments: arguments
                .iter()
                .map(|text| (*text).to_owned())
                .chain([port])
                .collect(),
            environment: BTreeMap::<String, EnvironmentValue>::new(),
            host: "127.0.0.1".to_owned(),
            port: self.port,
            api_key: None,
            files: BTreeMap::new(),
            fetches: false,
            router: false,
            foreign: false,
            gpu: None,
            inputs,
        };
        RecordedLaunch {
            launch,
            program,
            facts: BTreeMap::new(),
        }
    }

    /// Writes down what is wanted and starts a supervisor for it.
    pub(crate) fn start(&self, launch: &RecordedLaunch, fallback: Option<&RecordedLaunch>) -> Uuid {
        self.start_with(launch, fallback, quick())
    }

    pub(crate) fn start_with(
        &self,
        launch: &RecordedLaunch,
        fallback: Option<&RecordedLaunch>,
        supervision: Supervision,
    ) -> Uuid {
        let id = self.want(launch, fallback, supervision);
        self.supervise().expect("a supervisor starts");
        id
    }

    pub(crate) fn want(
        &self,
        launch: &RecordedLaunch,
        fallback: Option<&RecordedLaunch>,
        supervision: Supervision,
    ) -> Uuid {
        let id = Uuid::new_v4();
        let fallback = fallback.cloned();
        let wanted = Some(Assignment {
            id,
            launch: launch.clone(),
            fallback,
            supervision,
            anew: false,
        });
        let record = Record {
            wanted,
            ..self.record()
        };
        self.write_record(&record);
        id
    }

    pub(crate) fn record(&self) -> Record {
        durable::read_json(&self.folder.record(), 1)
            .expect("readable")
            .unwrap_or_default()
    }

    pub(crate) fn write_record(&self, record: &Record) {
        durable::write_json(&self.folder.record(), record).expect("written");
    }

    pub(crate) fn supervise(&self) -> Result<(), StartError> {
        let free = Confinement::default();
        supervisor::start(&self.folder, &self.program, &self.environment, &free)
    }

    /// Starts a supervisor as somebody would who ignores these signals.
    pub(crate) fn supervise_ignoring(&self, signals: &str) {
        let program = &self.program.path;
        let script = program.with_file_name("ignoring");
        let text = format!("#!/bin/sh\ntrap '' {signals}\nexec '{program}' \"$@\"\n");
        std::fs::write(&script, text).expect("written");
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("set");
        let program = Program {
            path: script,
            digest: self.program.digest,
        };
        let free = Confinement::default();
        supervisor::start(&self.folder, &program, &self.environment, &free).expect("it starts");
    }

    /// Keeps `state.json` from being written until what is returned is removed.
    pub(crate) fn block_state(&self) -> Utf8PathBuf {
        let block = self.folder.path().join(".new-state.json");
        eventually(|| std::fs::create_dir(&block).is_ok()).expect("nobody writes for long");
        block
    }

    pub(crate) fn state(&self) -> Option<State> {
        durable::read_json(&self.folder.state(), state::SCHEMA).expect("readable")
    }

    pub(crate) fn exit(&self) -> Option<ExitRecord> {
        durable::read_json(&self.folder.exit(), state::SCHEMA).expect("readable")
    }

    /// Waits until the state is as described.
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&State) -> bool) -> State {
        let mut last = None;
        eventually(|| {
            last = self.state();
            last.as_ref().is_some_and(&fits)
        })
        .unwrap_or_else(|()| panic!("not {what}: {last:#?}\n{}", self.notes()));
        last.expect("it fitted")
    }

    pub(crate) fn wait_running(&self) -> State {
        self.wait_for("running", |state| state.phase == Phase::Running)
    }

    pub(crate) fn notes(&self) -> String {
        std::fs::read_to_string(self.folder.supervisor_log()).unwrap_or_default()
    }

    pub(crate) fn end(&self) -> supervisor::Ended {
        supervisor::end(&self.folder, Duration::from_secs(5)).expect("it ends")
    }

    /// What the server says at `path`.
    pub(crate) fn get(&self, path: &str) -> io::Result<String> {
        use std::io::{Read as _, Write as _};

        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// The processes that run from below this root and are not supervisors.
    pub(crate) fn servers(&self) -> Vec<u32> {
        self.processes("bins/")
    }

    pub(crate) fn supervisors(&self) -> Vec<u32> {
        self.processes(".llama-orch/")
    }

    fn processes(&self, below: &str) -> Vec<u32> {
        let home = self.root.join(below);
        let mut pids = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("readable").flatten() {
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let program = std::fs::read_link(entry.path().join("exe"));
            if let (Some(pid), Ok(program)) = (pid, program)
                && program.starts_with(&home)
            {
                pids.push(pid);
            }
        }
        pids
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for name in folder::list(&self.root).unwrap_or_default() {
            let folder = InstanceFolder::new(&self.root, &name);
            // What cannot be ended here ends by itself once its root is gone.
            let _ = supervisor::end(&folder, Duration::from_millis(200));
        }
    }
}

/// Settings under which things happen soon.
pub(crate) fn quick() -> Supervision {
    Supervision {
        gate: GateSpec {
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(2),
            start_period: Duration::from_secs(20),
            min_healthy: Duration::ZERO,
            ..GateSpec::default()
        },
        restart_policy: RestartPolicy {
            initial_delay: Duration::from_millis(50),
            ..RestartPolicy::default()
        },
        stop_timeout: Duration::from_secs(10),
        ..Supervision::default()
    }
}

/// Waits until it is so.
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() >= deadline {
            return Err(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

pub(crate) fn free_port() -> u16 {
    let passing = TcpListener::bind("127.0.0.1:0").expect("a free port");
    passing.local_addr().expect("bound").port()
}

pub(crate) fn server_pid(state: &State) -> u32 {
    let server = state
        .server
        .as_ref()
        .and_then(|server| server.process.as_ref());
    server.expect("a server is recorded").pid
}

pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| {
        !text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim()
            .starts_with('Z')
    })
}

/// Somebody who is not its parent may learn how a server ended, and then learns it right: from a
/// kernel that tells, once its parent has waited for it.
#[track_caller]
pub(crate) fn assert_unseen_or(ended: Ended, how: Exit) {
    let seen = Ended::Exit(Exit::Unobserved);
    assert!(ended == seen || ended == Ended::Exit(how), "{ended:?}");
}

pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Keeps a process from doing anything, as one that hangs.
pub(crate) fn stop(pid: u32) {
    signal(pid, Signal::STOP);
}

pub(crate) fn go_on(pid: u32) {
    signal(pid, Signal::CONT);
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .expect("a pid");
    rustix::process::kill_process(pid, signal).expect("it is ours");
}

/// Puts a program there, without copying its bytes where the file system can.
pub(crate) fn place(program: impl AsRef<Path>, path: &Utf8Path) {
    std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("created");
    if std::fs::hard_link(program.as_ref(), path).is_err() {
        std::fs::copy(program.as_ref(), path).expect("copied");
    }
}
