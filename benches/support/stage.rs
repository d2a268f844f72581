//! A root with stand-ins as servers, what a process takes, and how figures are spread.
//!
//! Included by each benchmark that needs it, which uses its own part of it.

#![allow(dead_code, reason = "no benchmark needs all of it")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use llama_orch::durable;
use llama_orch::instance::folder::InstanceFolder;
use llama_orch::instance::state::{self, State};
use llama_orch::instance::supervisor;
use rustix::process::Pid;

/// A root whose instances run the stand-in as the one build there is.
pub(crate) struct Root {
    pub(crate) path: Utf8PathBuf,
    ports: BTreeMap<String, u16>,
    _scratch: tempfile::TempDir,
}

impl Root {
    pub(crate) fn new(instances: &[(&str, &str)], faults: &str) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let path = scratch.path().canonicalize().expect("it exists");
        let path = Utf8PathBuf::from_path_buf(path).expect("UTF-8");
        let bin = path.join("bin");
        std::fs::create_dir(&bin).expect("created");
        let standin = env!("CARGO_BIN_EXE_llama-server-standin");
        std::fs::copy(standin, bin.join("llama-server")).expect("copied");
        std::fs::write(bin.join("standin-faults"), faults).expect("written");
        std::fs::write(path.join("model.gguf"), "GGUF").expect("written");
        let passing: Vec<TcpListener> = instances
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let mut text =
            "version: 1\ndefaults:\n  model: { path: model.gguf, context_size: 511 }\n  \
             rollout: { min_healthy: 0, prove_after: 0 }\n  \
             restart_policy: { initial_delay: 0, backoff_multiplier: 1 }\ninstances:\n"
                .to_owned();
        let mut ports = BTreeMap::new();
        for ((name, more), listener) in instances.iter().zip(&passing) {
            let port = listener.local_addr().expect("bound").port();
            text.extend([format!("  {name}:\n    server: {{ port: {port} }}\n")]);
            if !more.is_empty() {
                text.extend(["    ", more, "\n"]);
            }
            ports.insert((*name).to_owned(), port);
        }
        std::fs::write(path.join("orchestrator.yaml"), text).expect("written");
        Self {
            path,
            ports,
            _scratch: scratch,
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llama-orch"));
        command
            .args(arguments)
            .current_dir(&self.path)
            .env_remove("LLAMA_ORCH_ROOT")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }

    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.path.join("orchestrator.yaml");
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        std::fs::write(path, text.replace(from, to)).expect("written");
    }

    pub(crate) fn port(&self, name: &str) -> u16 {
        self.ports[name]
    }

    pub(crate) fn folder(&self, name: &str) -> InstanceFolder {
        InstanceFolder::new(&self.path, &name.parse().expect("a name"))
    }

    pub(crate) fn state(&self, name: &str) -> State {
        let state = durable::read_json(&self.folder(name).state(), state::SCHEMA);
        state.expect("readable").expect("there is one")
    }

    pub(crate) fn server(&self, name: &str) -> Pid {
        let server = self.state(name).server.and_then(|server| server.process);
        let pid = server.expect("a server is recorded").pid;
        Pid::from_raw(pid.cast_signed()).expect("a pid")
    }

    pub(crate) fn wait(&self, name: &str, fits: impl Fn(&State) -> bool) -> State {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let state = durable::read_json(&self.folder(name).state(), state::SCHEMA);
            let state: Option<State> = state.expect("readable");
            if let Some(state) = state.as_ref().filter(|state| fits(state)) {
                return state.clone();
            }
            assert!(
                Instant::now() < deadline,
                "it never came to this: {state:#?}"
            );
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for name in self.ports.keys() {
            // What cannot be ended here ends by itself once its root is gone.
            let _ = supervisor::end(&self.folder(name), Duration::from_secs(2));
        }
    }
}

/// What a process has used: KiB, nanoseconds, and how often it woke up by itself.
pub(crate) struct Usage {
    pub(crate) pss: u64,
    pub(crate) private: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) wakes: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        let rollup = read("smaps_rollup").expect("readable");
        let field = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number
                .and_then(|number| number.parse().ok())
                .expect("it is listed")
        };
        let schedule = read("schedstat").expect("readable");
        let cpu = schedule
            .split(' ')
            .next()
            .and_then(|first| first.parse().ok());
        Self {
            pss: field(&rollup, "Pss:"),
            private: field(&rollup, "Private_Dirty:"),
            cpu_ns: cpu.expect("a number"),
            wakes: field(
                &read("status").expect("readable"),
                "voluntary_ctxt_switches:",
            ),
        }
    }
}

/// Median, and the least and the most.
pub(crate) fn spread(milliseconds: &mut [f64]) -> String {
    milliseconds.sort_by(f64::total_cmp);
    let median = milliseconds[milliseconds.len() / 2];
    let (least, most) = (milliseconds[0], milliseconds[milliseconds.len() - 1]);
    format!("{median:8.2} ms ({least:.2} to {most:.2})")
}
