//! What is compared is what was recorded: neither a newer program nor another shell plans anything.
//!
//! What the first version left of eight instances was recorded in
//! `tests/fixtures/instances/first-version`, with its paths made neutral.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use llama_orch::durable::FileLock;

use crate::support::sandbox::Sandbox;

const FIXTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/instances/first-version"
);

/// The instances whose server and supervisor lived.
const ALIVE: [&str; 6] = [
    "adopted",
    "fell-back",
    "fetched",
    "router",
    "running",
    "secret",
];

/// The root as it was left, with whoever lived alive as far as the locks tell.
fn recorded() -> (Sandbox, Vec<FileLock>) {
    let sandbox = Sandbox::new();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("readable");
    for instance in Path::new(FIXTURE).read_dir().expect("readable").flatten() {
        let name = instance.file_name().into_string().expect("UTF-8");
        if !instance.path().is_dir() {
            let text = std::fs::read_to_string(instance.path()).expect("readable");
            let is_ours = instance.path().extension().is_some_and(|it| it == "json");
            let place = if is_ours { ".llama-orch/" } else { "" };
            sandbox.write(&format!("{place}{name}"), &text);
            continue;
        }
        for file in instance.path().read_dir().expect("readable").flatten() {
            let mut text = std::fs::read_to_string(file.path()).expect("readable");
            // Giving up counts on its own boot alone.
            if name == "gave-up" {
                text = text.replace("019f3e97-8715-46f6-a341-b8a16608e85e", boot.trim());
            }
            let file = file.file_name().into_string().expect("UTF-8");
            sandbox.write(&format!(".llama-orch/instances/{name}/{file}"), &text);
        }
    }
    sandbox.write("bin/llama-server", "");
    sandbox.write("key", "sesame\n");
    sandbox.write("model.gguf", "GGUF\n");
    // 2026-11-20T10:00:00.123456789Z, as the records have it.
    let written = SystemTime::UNIX_EPOCH + Duration::new(1_795_168_800, 123_456_789);
    let model = File::options().write(true).open(sandbox.path("model.gguf"));
    model
        .and_then(|model| model.set_modified(written))
        .expect("set");
    let locks = ALIVE.into_iter().flat_map(|name| {
        let folder = sandbox.folder(name);
        [folder.supervisor_lock(), folder.server_lock()].map(|path| {
            let lock = FileLock::try_take(&path).expect("it can be locked");
            lock.expect("it is free")
        })
    });
    let locks = locks.collect();
    (sandbox, locks)
}

#[test]
fn nothing_is_planned_for_what_the_first_version_left() {
    let (sandbox, _locks) = recorded();
    let plan = sandbox.run(&["plan"]);
    plan.assert_code(1)
        .assert_says("Plan: nothing to do; 3 held.");
    plan.assert_says(
        "exited with code 1: invalid argument: --no-such-option; the launch before it runs",
    );
    plan.assert_says("gave up: was ended by signal 9");
    plan.assert_says("put down: the card is needed");
    // What it wrote is read, and kept, whatever is done since.
    sandbox.run(&["apply"]).assert_code(1);
    let record = sandbox.read(".llama-orch/instances/fell-back/record.json");
    assert!(record.contains("--no-such-option"), "{record}");
    sandbox
        .run(&["plan"])
        .assert_says("Plan: nothing to do; 3 held.");
}

#[test]
fn giving_up_is_forgotten_with_the_boot_it_happened_on() {
    // The locks are given back before the sandbox ends what it finds.
    let (sandbox, _locks) = recorded();
    let name = ".llama-orch/instances/gave-up/state.json";
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("readable");
    let text = sandbox.read(name);
    sandbox.write(
        name,
        &text.replace(boot.trim(), "11111111-2222-4333-8444-555555555555"),
    );
    let plan = sandbox.run(&["plan", "gave-up"]);
    plan.assert_code(0).assert_says("+ start    gave-up");
}

#[test]
fn another_login_or_service_or_program_plans_nothing() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let line = format!("server: {{ port: {} }}\n", sandbox.port("chat"));
    let env = "    env: { MY_TOKEN: hush-hush, OTHER: { from_env: FROM_SHELL } }\n";
    sandbox.edit(&line, &format!("{line}{env}"));
    sandbox.set("FROM_SHELL", "of-the-first-shell");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let (server, supervisor) = (sandbox.pid("chat"), sandbox.supervisor("chat"));

    let elsewhere = sandbox.root.parent().expect("it has one").to_owned();
    let copy = elsewhere.join("another-llama-orch");
    std::fs::copy(env!("CARGO_BIN_EXE_llama-orch"), &copy).expect("copied");
    let other: [(&str, &str); 9] = [
        ("HOME", "/nonexistent"),
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "tlh_KL.UTF-8"),
        ("TMPDIR", "/var/tmp"),
        ("HF_HOME", "/srv/hf"),
        ("LLAMA_ARG_CTX_SIZE", "7"),
        ("LLAMA_ARG_PORT", "1"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("FROM_SHELL", "of-another-shell"),
    ];
    for program in [env!("CARGO_BIN_EXE_llama-orch"), copy.as_str()] {
        sandbox.use_program(program.into());
        for verb in ["plan", "apply"] {
            let mut command = sandbox.command(&["-C", sandbox.root.as_str(), verb]);
            command.current_dir(&elsewhere).env_clear().envs(other);
            let output = crate::support::sandbox::Output::of(&mut command);
            output.assert_code(0).assert_says("Nothing to do");
        }
    }
    assert_eq!(sandbox.pid("chat"), server);
    assert_eq!(sandbox.supervisor("chat"), supervisor);
}
