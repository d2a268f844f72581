//! A root of its own with the real program in it, and what a test asks of both.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use llama_orch::durable;
use llama_orch::instance::folder::{self, InstanceFolder};
use llama_orch::instance::state::{self, Phase, State};
use llama_orch::instance::supervisor;

use super::{archives, filters};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A temporary root. What runs in it ends with it.
pub(crate) struct Sandbox {
    pub(crate) root: Utf8PathBuf,
    program: PathBuf,
    environment: BTreeMap<String, String>,
    ports: BTreeMap<String, u16>,
    _filters: insta::internals::SettingsBindDropGuard,
    _scratch: tempfile::TempDir,
}

impl Sandbox {
    /// A root without a manifest, with a model and an empty folder of releases.
    pub(crate) fn new() -> Self {
        let scratch = tempfile::Builder::new()
            .prefix("llama-orch-it-")
            .tempdir()
            .expect("a temporary folder");
        let path = scratch.path().canonicalize().expect("it exists");
        let root = Utf8PathBuf::from_path_buf(path)
            .expect("UTF-8")
            .join("root");
        for folder in ["releases", "models"] {
            std::fs::create_dir_all(root.join(folder)).expect("created");
        }
        let sandbox = Self {
            _filters: filters::bind(root.as_str()),
            root,
            program: env!("CARGO_BIN_EXE_llama-orch").into(),
            environment: BTreeMap::new(),
            ports: BTreeMap::new(),
            _scratch: scratch,
        };
        sandbox.write("models/tiny.gguf", "GGUF");
        sandbox
    }

    /// A root with builds of the stand-in and instances that are pinned to them.
    pub(crate) fn with(builds: &[u32], instances: &[(&str, u32)]) -> Self {
        let mut sandbox = Self::new();
        for build in builds {
            sandbox.publish(*build, "");
        }
        sandbox.write_instances(instances);
        sandbox
    }

    /// The same, applied.
    pub(crate) fn applied(builds: &[u32], instances: &[(&str, u32)]) -> Self {
        let sandbox = Self::with(builds, instances);
        sandbox.run(&["apply", "--quiet"]).assert_code(0);
        sandbox
    }

    /// Packs a build into the folder of releases.
    pub(crate) fn publish(&self, build: u32, faults: &str) -> PathBuf {
        archives::pack(self.root.join("releases").as_std_path(), build, faults)
    }

    /// Writes a manifest of instances, each with a port that stays its own.
    pub(crate) fn write_instances(&mut self, instances: &[(&str, u32)]) {
        let mut text = String::from(
            "\
version: 1
source: { directory: releases }
rollout: { start_parallel: 1 }
defaults:
  model: { path: models/tiny.gguf }
  healthcheck: { interval: 100ms }
  rollout: { min_healthy: 0 }
instances:
",
        );
        for (name, build) in instances {
            let port = self.port(name);
            writeln!(
                text,
                "  {name}:\n    binary: {{ version: b{build} }}\n    server: {{ port: {port} }}"
            )
            .expect("written to memory");
        }
        self.write("orchestrator.yaml", &text);
    }

    /// The port of an instance, or of anything else that has a name.
    pub(crate) fn port(&mut self, name: &str) -> u16 {
        if let Some(port) = self.ports.get(name) {
            return *port;
        }
        let passing = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = passing.local_addr().expect("bound").port();
        self.ports.insert(name.to_owned(), port);
        port
    }

    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        let folder = path.parent().expect("below the root");
        std::fs::create_dir_all(folder).expect("created");
        std::fs::write(path, text).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.join(name)).expect("readable")
    }

    /// Replaces a text in the manifest, which has to be there.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = self.read("orchestrator.yaml");
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        self.write("orchestrator.yaml", &text.replacen(from, to, 1));
    }

    /// Sets a variable for the runs to come.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Takes such a variable away again.
    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// Runs another executable from here on.
    pub(crate) fn use_program(&mut self, program: PathBuf) {
        self.program = program;
    }

    /// The program in the root, with nothing of this process's environment but what it needs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.parent().expect("it has one"))
            .env("TZ", "UTC")
            .envs(&self.environment)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Output::of(&mut self.command(arguments))
    }

    /// Starts the program and lets it run.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    }

    pub(crate) fn folder(&self, name: &str) -> InstanceFolder {
        InstanceFolder::new(&self.root, &name.parse().expect("a name"))
    }

    pub(crate) fn state(&self, name: &str) -> Option<State> {
        durable::read_json(&self.folder(name).state(), state::SCHEMA).expect("readable")
    }

    /// The pid of an instance's server, as its supervisor wrote it down.
    pub(crate) fn pid(&self, name: &str) -> u32 {
        let state = self.state(name).expect("there is a state");
        let server = state.server.and_then(|server| server.process);
        server.expect("a server is recorded").pid
    }

    /// Waits until an instance runs and returns the pid of its server.
    #[track_caller]
    pub(crate) fn wait_running(&self, name: &str) -> u32 {
        self.wait(&format!("`{name}` runs"), || {
            self.state(name)
                .is_some_and(|state| state.phase == Phase::Running)
        });
        self.pid(name)
    }

    /// Waits until it is so, and fails saying what was waited for.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(
                Instant::now() < deadline,
                "it never came to this: {what}\n{}",
                self.notes()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What every supervisor noted.
    fn notes(&self) -> String {
        let names = folder::list(&self.root).unwrap_or_default();
        let notes = names.iter().map(|name| {
            let path = InstanceFolder::new(&self.root, name).supervisor_log();
            format!(
                "{name}:\n{}",
                std::fs::read_to_string(path).unwrap_or_default()
            )
        });
        notes.collect()
    }

    /// The build an instance runs, or is at.
    pub(crate) fn runs(&self, name: &str) -> String {
        let state = self.state(name).expect("there is a state");
        state.launch.launch.build.to_string()
    }

    /// Where a build is installed.
    pub(crate) fn build_folder(&self, build: u32) -> Utf8PathBuf {
        let number = build.to_string();
        let bins = self.path("bins").read_dir_utf8().expect("readable");
        bins.flatten()
            .map(|entry| entry.path().to_owned())
            .find(|path| {
                std::fs::read_to_string(path.join("build-number")).is_ok_and(|n| n == number)
            })
            .expect("it is installed")
    }

    /// Asks the server of an instance over HTTP.
    pub(crate) fn ask(&mut self, name: &str, method: &str, path: &str, body: &str) -> String {
        ask(self.port(name), method, path, body)
    }

    /// The pids of the servers that run from builds of this root.
    pub(crate) fn servers(&self) -> Vec<u32> {
        running_below(&self.path("bins"))
    }

    /// The pids of the supervisors of this root.
    pub(crate) fn supervisors(&self) -> Vec<u32> {
        running_below(&self.path(".llama-orch/supervisors"))
    }

    /// The pid of the supervisor of an instance.
    pub(crate) fn supervisor(&self, name: &str) -> u32 {
        self.state(name).expect("there is a state").supervisor.pid
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.path(".llama-orch/instances").exists() {
            return;
        }
        self.environment.clear();
        let _ = self.command(&["down", "--all", "--quiet"]).output();
        for name in folder::list(&self.root).unwrap_or_default() {
            let folder = InstanceFolder::new(&self.root, &name);
            // What cannot be ended here ends by itself once its root is gone.
            let _ = supervisor::end(&folder, Duration::from_millis(200));
        }
    }
}

/// What a run came to, as a person sees it.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("it runs"))
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Whether a text stands on either stream.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    #[track_caller]
    pub(crate) fn assert_says(&self, text: &str) -> &Self {
        assert!(self.says(text), "`{text}` is not in:\n{self}");
        self
    }
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "--- {name}")?;
                f.write_str(text)?;
            }
        }
        Ok(())
    }
}

/// Asks whoever listens on a port, and returns head and body of the answer.
pub(crate) fn ask(port: u16, method: &str, path: &str, body: &str) -> String {
    use std::io::{Read as _, Write as _};

    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("someone listens");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

/// Sends SIGKILL to a process this test has started.
pub(crate) fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

/// Sends a signal to a process this test has started.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("it is there");
}

/// Whether a process is there and not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn running_below(folder: &Utf8Path) -> Vec<u32> {
    let mut pids = Vec::new();
    for entry in Path::new("/proc").read_dir().expect("readable").flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        if let (Some(pid), Ok(program)) = (pid, std::fs::read_link(entry.path().join("exe")))
            && program.starts_with(folder)
        {
            pids.push(pid);
        }
    }
    pids
}
