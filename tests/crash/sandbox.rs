//! A root with builds of the stand-in, in which the program can be killed at a named place.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use flate2::Compression;
use flate2::write::GzEncoder;
use llama_orch::durable;
use llama_orch::instance::folder::{self, InstanceFolder};
use llama_orch::instance::record::{self, Record};
use llama_orch::instance::state::{self, Phase, State};
use llama_orch::instance::supervisor;
use llama_orch::kill_point;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Sandbox {
    pub(crate) root: Utf8PathBuf,
    ports: [u16; 2],
    _scratch: tempfile::TempDir,
}

/// How a run ended, and all it said.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) text: String,
}

impl Sandbox {
    /// Two instances, `chat` and `embed`, on b1001.
    pub(crate) fn new() -> Self {
        let scratch = tempfile::Builder::new()
            .prefix("llama-orch-crash-")
            .tempdir()
            .expect("a temporary folder");
        let path = scratch.path().canonicalize().expect("it exists");
        let root = Utf8PathBuf::from_path_buf(path).expect("UTF-8");
        let passing = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let ports = passing
            .each_ref()
            .map(|listener| listener.local_addr().expect("bound").port());
        let sandbox = Self {
            root,
            ports,
            _scratch: scratch,
        };
        std::fs::create_dir(sandbox.root.join("releases")).expect("created");
        sandbox.write("model.gguf", "GGUF");
        sandbox.publish(1001, "");
        sandbox.want(&[("chat", 1001), ("embed", 1001)]);
        sandbox
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.root.join(name), text).expect("written");
    }

    /// Replaces a part of the manifest.
    pub(crate) fn edit(&self, old: &str, new: &str) {
        let path = self.root.join("orchestrator.yaml");
        let text = std::fs::read_to_string(&path).expect("it was written");
        assert!(text.contains(old), "{old} in {text}");
        self.write("orchestrator.yaml", &text.replace(old, new));
    }

    /// The name of a build's archive.
    pub(crate) fn archive(build: u32) -> String {
        let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "aarch64") => "ubuntu-arm64",
            ("macos", "x86_64") => "macos-x64",
            ("macos", _) => "macos-arm64",
            _ => "ubuntu-x64",
        };
        format!("llama-b{build}-bin-{platform}.tar.gz")
    }

    /// Packs a build that loads long enough for a gate to be seen running, with more faults.
    pub(crate) fn publish(&self, build: u32, faults: &str) {
        let name = Self::archive(build);
        let file = std::fs::File::create(self.root.join("releases").join(name)).expect("created");
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::none()));
        // A linker may leave holes, and an archive of a release has none.
        archive.sparse(false);
        let home = format!("llama-b{build}");
        let standin = env!("CARGO_BIN_EXE_llama-server-standin");
        archive
            .append_path_with_name(standin, format!("{home}/llama-server"))
            .expect("packed");
        let faults = format!("--standin-load-seconds 0.3\n{faults}");
        let number = build.to_string();
        for (name, text) in [("build-number", &number), ("standin-faults", &faults)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, format!("{home}/{name}"), text.as_bytes())
                .expect("packed");
        }
        archive
            .into_inner()
            .and_then(GzEncoder::finish)
            .expect("finished");
    }

    /// Writes a manifest of these instances and the builds they are pinned to.
    pub(crate) fn want(&self, instances: &[(&str, u32)]) {
        let mut text = String::from(
            "\
version: 1
source: { directory: releases }
retention: { keep: 0 }
defaults:
  model: { path: model.gguf }
  healthcheck: { interval: 100ms }
  rollout: { min_healthy: 0 }
  stop_timeout: 2s
instances:
",
        );
        for (name, build) in instances {
            let port = self.port(name);
            writeln!(
                text,
                "  {name}: {{ binary: {{ version: b{build} }}, server: {{ port: {port} }} }}"
            )
            .expect("written to memory");
        }
        self.write("orchestrator.yaml", &text);
    }

    /// Lets the launches to come count as proven as soon as they are up, so that what ran before
    /// is not kept for a rollback.
    pub(crate) fn prove_at_once(&self) {
        self.edit("min_healthy: 0 }", "min_healthy: 0, prove_after: 0 }");
    }

    fn port(&self, name: &str) -> u16 {
        self.ports[usize::from(name != "chat")]
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llama-orch"));
        command
            .args(arguments)
            .current_dir(&self.root)
            .env_remove("LLAMA_ORCH_ROOT")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Runs it to be killed at a place, by itself or in the supervisors it starts.
    pub(crate) fn run_until(&self, place: &str, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).env(kill_point::VARIABLE, place))
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts")
    }

    pub(crate) fn folder(&self, name: &str) -> InstanceFolder {
        InstanceFolder::new(&self.root, &name.parse().expect("a name"))
    }

    pub(crate) fn state(&self, name: &str) -> Option<State> {
        durable::read_json(&self.folder(name).state(), state::SCHEMA).expect("readable")
    }

    pub(crate) fn record(&self, name: &str) -> Record {
        durable::read_json(&self.folder(name).record(), record::SCHEMA)
            .expect("readable")
            .expect("written")
    }

    /// Waits until the supervisor of an instance has come to its verdict by itself.
    #[track_caller]
    pub(crate) fn wait_running(&self, name: &str) -> State {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.state(name);
            if let Some(state) = state.clone().filter(|state| state.phase == Phase::Running) {
                return state;
            }
            let notes = || std::fs::read_to_string(self.folder(name).supervisor_log());
            assert!(
                Instant::now() < deadline,
                "`{name}` does not run: {state:#?}\n{}",
                notes().unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The servers that run from builds of this root: each with its pid and its instance.
    pub(crate) fn servers(&self) -> Vec<(u32, String)> {
        let found = self.running_below("bins").into_iter();
        let mut found: Vec<(u32, String)> = found
            .filter_map(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let line = String::from_utf8(line).ok()?;
                let mut words = line.split('\0').skip_while(|word| *word != "--alias");
                Some((pid, words.nth(1)?.to_owned()))
            })
            .collect();
        found.sort_by(|one, other| one.1.cmp(&other.1));
        found
    }

    /// How many supervisors of this root there are.
    pub(crate) fn supervisors(&self) -> usize {
        self.supervisor_pids().len()
    }

    pub(crate) fn supervisor_pids(&self) -> Vec<u32> {
        self.running_below(".llama-orch/supervisors")
    }

    fn running_below(&self, folder: &str) -> Vec<u32> {
        let folder = self.root.join(folder);
        let entries = std::fs::read_dir("/proc").expect("readable");
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                let program = std::fs::read_link(format!("/proc/{pid}/exe"));
                program.is_ok_and(|program| program.starts_with(&folder))
            })
            .collect()
    }

    /// Everything in `bins/` down to the builds, whose names are replaced by what they are.
    pub(crate) fn bins(&self) -> Vec<String> {
        let bins = self.root.join("bins");
        let list = |folder: &str| -> Vec<String> {
            let entries = bins.join(folder).read_dir_utf8().expect("readable");
            entries
                .flatten()
                .map(|entry| format!("{folder}{}", entry.file_name()))
                .collect()
        };
        let mut names = list("");
        names.extend(list(".staging/"));
        let build =
            |name: &String| std::fs::read_to_string(bins.join(name).join("build-number")).ok();
        let mut names: Vec<String> = names
            .iter()
            .map(|name| build(name).map_or_else(|| name.clone(), |build| format!("b{build}")))
            .collect();
        names.sort();
        names
    }

    /// What the build of an instance says it is.
    pub(crate) fn build(&self, name: &str) -> String {
        let answer = self.get(name, "/props");
        let (_, rest) = answer
            .split_once("\"build_info\":\"")
            .expect("it says which");
        rest.split('-').next().unwrap_or_default().to_owned()
    }

    /// Who answers at the port of an instance.
    pub(crate) fn alias(&self, name: &str) -> String {
        let answer = self.get(name, "/v1/models");
        let (_, rest) = answer.split_once("\"id\":\"").expect("it says who");
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    fn get(&self, name: &str, path: &str) -> String {
        use std::io::{Read as _, Write as _};

        let mut stream =
            std::net::TcpStream::connect(("127.0.0.1", self.port(name))).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\n\r\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }

    /// Gives each of the two instances the port of the other one.
    pub(crate) fn swap_ports(&mut self) {
        self.ports.reverse();
        self.want(&[("chat", 1001), ("embed", 1001)]);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.run(&["down", "--all", "--quiet"]);
        for name in folder::list(&self.root).unwrap_or_default() {
            let folder = InstanceFolder::new(&self.root, &name);
            // What cannot be ended here ends by itself once its root is gone.
            let _ = supervisor::end(&folder, Duration::from_millis(200));
        }
    }
}

impl Run {
    fn of(command: &mut Command) -> Self {
        let output = command.output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            text: String::from_utf8(text).expect("UTF-8"),
        }
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32, when: &str) {
        assert_eq!(self.code, Some(code), "{when}: {}", self.text);
    }

    #[track_caller]
    pub(crate) fn assert_killed(&self, when: &str) {
        assert_eq!(self.signal, Some(9), "{when}: {}", self.text);
    }
}

/// Waits for something to be there.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends SIGKILL to a process this test has started.
pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
}

/// The same to one that may have ended by itself.
pub(crate) fn kill_if_there(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
