//! The main job, seen once, in a few seconds and without a network: `cargo run --example quickstart`.
//!
//! Drives the real `llama-orch` in a temporary folder and prints each command with its output: a
//! first start, an upgrade, and an upgrade that goes wrong. The servers are stand-ins, which answer
//! like `llama-server` and load no model, packed as release archives the way llama.cpp publishes
//! them. Ends every process and takes every file away, also when it fails or is interrupted.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an example that sets a folder up and runs a program in it"
)]

use std::error::Error;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use flate2::Compression;
use flate2::write::GzEncoder;

const BOLD: Style = Style::new().bold();
const PROMPT: Style = AnsiColor::Green.on_default();

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What a build that cannot load its model writes, and that it ends with code 1.
const CANNOT_LOAD: &str = "\
--standin-say E llama_model_load: error loading model: unknown model architecture: 'tiny'
--standin-exit 1
";

const WHERE_NEXT: &str = "
That was all of the main job. No process and no file is left of it.

Where to go next, in README.md:
  \"Use it with llama.cpp\"  the same for real, with a small public model
  \"The manifest\"           what orchestrator.yaml can say, by example
  \"Verbs\"                  every command, and what its exit code means
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(io::stderr(), "\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    say("The quick start of llama-orch: two servers, three builds, no network.")?;
    say("The servers are stand-ins that answer like llama-server and load no model.")?;
    let orchestrator = build("llama-orch", &[])?;
    let standin = build("llama-server-standin", &["--features", "testing"])?;

    let mut stage = Stage::new(orchestrator, interrupted)?;
    stage.publish(&standin, 1001, "")?;
    stage.publish(&standin, 1002, "")?;
    stage.publish(&standin, 1003, CANNOT_LOAD)?;

    stage.title("What is wanted stands in one file")?;
    stage.write_manifest()?;

    stage.title("plan: what would change, and why")?;
    stage.llama_orch(&["plan"], Expect::Success)?;
    stage.title("apply: make it so")?;
    stage.llama_orch(&["apply"], Expect::Success)?;
    stage.llama_orch(&["status"], Expect::Success)?;

    stage.title("An upgrade: move the pin of one instance")?;
    stage.move_pin("b1001", "b1002")?;
    stage.llama_orch(&["plan", "-v"], Expect::Success)?;
    stage.llama_orch(&["apply"], Expect::Success)?;

    stage.title("A bad upgrade: b1003 cannot load this model")?;
    stage.move_pin("b1002", "b1003")?;
    stage.llama_orch(&["apply"], Expect::Failure)?;
    say("\nIt was rolled back by itself, and is not tried again until you say so:")?;
    stage.llama_orch(&["plan"], Expect::Failure)?;
    stage.llama_orch(&["status"], Expect::Failure)?;

    stage.title("down: stop the servers and keep them down")?;
    stage.llama_orch(&["down", "--all"], Expect::Success)?;
    drop(stage);
    say(WHERE_NEXT.trim_end())
}

/// What a command has to come to, for the story to be true.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Success,
    /// Exit code 1: a failure, or something that waits for a person.
    Failure,
}

/// A root of its own and the program that works in it. Ends what it started when it is dropped.
struct Stage {
    program: PathBuf,
    root: tempfile::TempDir,
    interrupted: Arc<AtomicBool>,
    titles: usize,
}

impl Stage {
    fn new(program: PathBuf, interrupted: Arc<AtomicBool>) -> Result<Self> {
        let root = tempfile::Builder::new()
            .prefix("llama-orch-quickstart-")
            .tempdir()?;
        std::fs::create_dir(root.path().join("releases"))?;
        std::fs::create_dir(root.path().join("models"))?;
        std::fs::write(root.path().join("models/tiny.gguf"), "GGUF")?;
        Ok(Self {
            program,
            root,
            interrupted,
            titles: 0,
        })
    }

    /// Packs the stand-in as llama.cpp packs a release for this machine.
    fn publish(&self, standin: &Path, build: u32, faults: &str) -> Result {
        let name = format!("llama-b{build}-bin-{}.tar.gz", platform()?);
        let file = File::create(self.root.path().join("releases").join(name))?;
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        // A linker may leave holes, and an archive of a release has none.
        archive.sparse(false);
        let home = format!("llama-b{build}");
        archive.append_path_with_name(standin, format!("{home}/llama-server"))?;
        for (name, text) in [
            ("build-number", build.to_string().as_str()),
            ("standin-faults", faults),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len().try_into()?);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("{home}/{name}"), text.as_bytes())?;
        }
        archive.into_inner()?.finish()?.sync_all()?;
        Ok(())
    }

    fn write_manifest(&self) -> Result {
        let [chat, embed] = free_ports()?;
        let text = format!(
            "\
version: 1
source: {{ directory: releases }}      # instead of GitHub, for this tour
defaults:
  model: {{ path: models/tiny.gguf }}
  rollout: {{ min_healthy: 0 }}        # instead of 2 s of health
instances:
  chat:
    binary: {{ version: b1001 }}
    server: {{ port: {chat} }}
  embed:
    binary: {{ version: b1001 }}
    server: {{ port: {embed} }}
"
        );
        std::fs::write(self.manifest(), &text)?;
        typed("cat orchestrator.yaml")?;
        say(text.trim_end())
    }

    /// Edits the first pin of the manifest, as an editor would.
    fn move_pin(&self, from: &str, to: &str) -> Result {
        let text = std::fs::read_to_string(self.manifest())?;
        let changed = text.replacen(from, to, 1);
        std::fs::write(self.manifest(), &changed)?;
        typed("git diff -U1 orchestrator.yaml")?;
        let diff = similar::TextDiff::from_lines(&text, &changed);
        let lines = diff.unified_diff().context_radius(1).to_string();
        say(lines.trim_end())
    }

    fn manifest(&self) -> PathBuf {
        self.root.path().join("orchestrator.yaml")
    }

    /// Runs `llama-orch` with these arguments; it writes where this program writes.
    fn llama_orch(&self, arguments: &[&str], expect: Expect) -> Result {
        if self.interrupted.load(Ordering::SeqCst) {
            return Err("interrupted".into());
        }
        let shown = format!("llama-orch {}", arguments.join(" "));
        typed(&shown)?;
        let status = self.program().args(arguments).status()?;
        let expected = match expect {
            Expect::Success => 0,
            Expect::Failure => 1,
        };
        if self.interrupted.load(Ordering::SeqCst) {
            return Err("interrupted".into());
        }
        if status.code() == Some(expected) {
            Ok(())
        } else {
            Err(format!("`{shown}` ended with {status}, not with exit code {expected}").into())
        }
    }

    /// `llama-orch` in the root, asking nobody: nothing here is worth a question.
    fn program(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.root.path())
            .env_remove("LLAMA_ORCH_ROOT")
            .env("COLUMNS", "80")
            .stdin(Stdio::null());
        command
    }

    fn title(&mut self, text: &str) -> Result {
        self.titles += 1;
        say(&format!("\n\n{BOLD}{}. {text}{BOLD:#}", self.titles))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Away from the terminal's process group, so that a second ^C does not reach it. What could
        // not be ended here ends by itself: a stand-in looks whether its folder is still there.
        let _ = self
            .program()
            .args(["down", "--all"])
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Builds a program of this package in the profile this example was built in, and says where it is.
fn build(name: &str, more: &[&str]) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").ok_or("run it with `cargo run --example quickstart`")?;
    let here = std::env::current_exe()?;
    // target/<profile>/examples/quickstart
    let folder = here.ancestors().nth(2).and_then(Path::file_name);
    let profile = match folder.and_then(OsStr::to_str) {
        None | Some("debug") => Vec::new(),
        Some(profile) => vec!["--profile", profile],
    };
    let arguments = [&["build", "--bin", name], more, &profile].concat();
    typed(&format!("cargo {}", arguments.join(" ")))?;
    let output = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .args(["--quiet", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("`{name}` does not build").into());
    }
    let messages = String::from_utf8(output.stdout)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| Some(message["executable"].as_str()?.into()))
        .ok_or_else(|| format!("cargo does not say where `{name}` is").into())
}

/// This machine as it stands in the names of llama.cpp's archives.
fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("ubuntu-x64"),
        ("linux", "aarch64") => Ok("ubuntu-arm64"),
        ("macos", "x86_64") => Ok("macos-x64"),
        ("macos", "aarch64") => Ok("macos-arm64"),
        (os, arch) => Err(format!("the quick start does not know {os} on {arch}").into()),
    }
}

/// Two ports nobody listens on at the moment.
fn free_ports() -> Result<[u16; 2]> {
    let (one, other) = (
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    );
    Ok([one.local_addr()?.port(), other.local_addr()?.port()])
}

/// Shows a command before it is carried out.
fn typed(command: &str) -> Result {
    say(&format!("\n{PROMPT}$ {command}{PROMPT:#}"))
}

fn say(text: &str) -> Result {
    writeln!(anstream::stdout(), "{text}")?;
    Ok(())
}
