//! The real `llama-server`, where it is at hand: its folder is named by `LLAMA_ORCH_REAL_DIR`.

use std::io::Write as _;
use std::process::Command;

use camino::Utf8PathBuf;
use llama_orch::instance::ProbeKind;
use llama_orch::instance::state::{Exit, Phase};
use llama_orch::instance::supervisor::Ended;

use crate::sandbox::{Sandbox, quick};

/// Unpacks the real build below the root, as an install would, and names its program.
fn real_build(sandbox: &Sandbox) -> Option<Utf8PathBuf> {
    let Ok(folder) = std::env::var("LLAMA_ORCH_REAL_DIR") else {
        let _ = writeln!(std::io::stderr(), "skipped: LLAMA_ORCH_REAL_DIR is not set");
        return None;
    };
    let folder = Utf8PathBuf::from(folder);
    let bins = sandbox.root.join("bins");
    std::fs::create_dir_all(&bins).expect("created");
    let unpacked = Command::new("tar")
        .args([
            "xzf",
            folder.join("llama-b9001-bin-ubuntu-x64.tar.gz").as_str(),
            "-C",
        ])
        .arg(bins.as_str())
        .status()
        .expect("`tar` is there");
    assert!(unpacked.success());
    std::fs::copy(folder.join("tiny.gguf"), sandbox.root.join("model.gguf")).expect("copied");
    Some("bins/llama-b9001/llama-server".into())
}

#[test]
fn a_real_server_passes_its_gate_with_a_completion() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut settings = quick();
    settings.gate.probe = ProbeKind::Completion;
    sandbox.start_with(&sandbox.launch(9001, program), None, settings);
    sandbox.wait_running();
    assert!(
        sandbox
            .get("/props")
            .expect("it answers")
            .contains("b9001-")
    );
    assert_eq!(sandbox.end(), Ended::Exit(Exit::Code(0)));
}

#[test]
fn a_real_server_is_told_from_the_build_that_was_pinned() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    sandbox.start(&sandbox.launch(9002, program), None);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "says it is b9001, not b9002"
    );
}

#[test]
fn a_real_server_says_itself_why_it_would_not_start() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut launch = sandbox.launch(9001, program);
    launch.launch.arguments.push("--bogus".to_owned());
    sandbox.start(&launch, None);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "exited with code 1: invalid argument: --bogus",
    );
}

#[test]
fn a_real_server_tells_what_it_computes_on_where_it_is_told_to() {
    let sandbox = Sandbox::new();
    let Some(program) = real_build(&sandbox) else {
        return;
    };
    let mut launch = sandbox.launch(9001, program);
    launch
        .launch
        .arguments
        .extend(["--verbosity".to_owned(), "4".to_owned()]);
    sandbox.start(&launch, None);
    let loaded = sandbox.wait_running().loaded.expect("it says so");
    assert_eq!(loaded.devices, ["CPU"]);
    assert_eq!((loaded.layers, loaded.context), (None, Some(512)));

    launch.launch.gpu = Some("CUDA".to_owned());
    launch.launch.inputs.set("gpu.require", true);
    sandbox.start(&launch, None);
    sandbox.wait_for("tried again", |state| state.restarts.total >= 1);
    assert!(
        sandbox
            .notes()
            .contains("the gate failed: the server computes on CPU, and not on CUDA"),
        "{}",
        sandbox.notes()
    );
}
