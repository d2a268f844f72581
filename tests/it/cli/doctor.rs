//! `doctor`: what is wrong is found whatever else is broken, and each finding says what to do.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use insta::assert_snapshot;
use llama_orch::durable::FileLock;
use serde_json::Value;

use crate::support::release_server::ReleaseServer;
use crate::support::sandbox::{Output, Sandbox, kill};

/// A build of which nothing bad is known.
const GOOD: u32 = 12_201;

/// What differs from machine to machine.
const OF_THE_MACHINE: &[&str] = &["gpu", "vulkan", "glibc", "limits", "clock", "disk"];

/// What `doctor` says, less what is true of the machine and what that adds up to.
fn said(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mut output = sandbox.run(&[&["doctor"], arguments].concat());
    let mut is_told = true;
    let lines: Vec<&str> = output
        .stdout
        .lines()
        .filter(|line| {
            if !line.starts_with("      ") {
                let check = line.get(4..).and_then(|rest| rest.split(' ').next());
                is_told = !check.is_some_and(|check| OF_THE_MACHINE.contains(&check))
                    && !line.starts_with("Doctor:");
            }
            is_told && !line.is_empty()
        })
        .collect();
    output.stdout = lines.join("\n") + "\n";
    // How many there are is nobody's concern.
    let told = output.stdout.split_once(" files and folders");
    if let Some((before, after)) = told {
        let before = before.trim_end_matches(|c: char| c.is_ascii_digit());
        output.stdout = format!("{before}[SOME] files and folders{after}");
    }
    output
}

/// The lines of one check alone.
fn of(sandbox: &Sandbox, check: &str) -> Output {
    let mut output = said(sandbox, &[]);
    let mut is_told = false;
    let lines: Vec<&str> = output
        .stdout
        .lines()
        .filter(|line| {
            if !line.starts_with("      ") {
                is_told = line.get(4..).is_some_and(|rest| rest.starts_with(check));
            }
            is_told
        })
        .collect();
    output.stdout = lines.join("\n") + "\n";
    output
}

fn json(sandbox: &Sandbox) -> Value {
    let output = sandbox.run(&["doctor", "--json"]);
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {output}"))
}

/// The codes of everything that was found, the machine's left out.
fn codes(diagnosis: &Value) -> Vec<String> {
    let checks = diagnosis["checks"].as_array().expect("a list");
    let ours = checks.iter().filter(|examined| {
        let check = examined["check"].as_str().expect("a word");
        !OF_THE_MACHINE.contains(&check)
    });
    let findings = ours.flat_map(|examined| examined["findings"].as_array().expect("a list"));
    findings
        .map(|finding| finding["code"].as_str().expect("a word").to_owned())
        .collect()
}

#[test]
fn a_healthy_root_has_a_line_for_each_check_and_nothing_to_say() {
    let mut sandbox = Sandbox::applied(&[GOOD], &[("chat", GOOD)]);
    assert_snapshot!(said(&sandbox, &[]), @r"
    exit code 0
    --- stdout
     ok cudart       no CUDA build is installed
     ok environment  no `LLAMA_ARG_*` is set
     ok token        none is needed for a folder
     ok source       `releases` has 1 archive
     ok files        7 files read, none is damaged
     ok builds       1 is installed, and whole at a glance (`binary verify` looks closer)
     ok pins         no pin is known to be bad (as of 2026-11-23, 18 entries)
     ok permissions  [SOME] files and folders, none that others may change
     ok locks        no pass is at work
     ok servers      1 runs, with its supervisor
     ok ports        that of the instance is its own or free
     ok exposure     every server listens on this machine alone
    ");
    let quiet = sandbox.run(&["doctor", "--quiet"]);
    assert!(!quiet.says(" ok "), "{quiet}");
    quiet.assert_says("Doctor: ");
    // It fits a terminal: whatever is longer is one word.
    sandbox.edit("server: { port", "server: { host: 0.0.0.0, port");
    sandbox.set("COLUMNS", "80");
    let narrow = sandbox.run(&["doctor"]);
    for line in narrow.stdout.lines().filter(|line| line.len() > 80) {
        let text = line.get(17..).unwrap_or_default();
        assert!(!text.contains(' '), "{line}");
    }
}

#[test]
fn damaged_files_are_named_and_everything_else_is_looked_at_all_the_same() {
    let sandbox = Sandbox::applied(&[GOOD], &[("chat", GOOD)]);
    let damaged = "{ \"schema\": 1, \"schema_ver";
    let record = ".llama-orch/instances/chat/record.json";
    let whole = sandbox.read(record);
    sandbox.write(record, damaged);
    let newer = "{ \"schema\": 99 }";
    let machine = sandbox.read(".llama-orch/machine.json");
    sandbox.write(".llama-orch/machine.json", newer);
    assert_snapshot!(of(&sandbox, "files"), @r"
    exit code 1
    --- stdout
      x files        .llama-orch/machine.json: has schema 99, and this version knows 1 at most
                     fix: use the newer llama-orch that wrote it; nothing was changed
      x files        .llama-orch/instances/chat/record.json: is damaged: EOF while parsing a string at line 1 column 26
                     fix: restore `[ROOT]/.llama-orch/instances/chat/record.json` from a backup, or move it aside and run `llama-orch plan` to see what that means
    ");
    sandbox.write(record, &whole);
    sandbox.write(".llama-orch/machine.json", &machine);
    assert_eq!(codes(&json(&sandbox)), Vec::<String>::new());

    sandbox.write("bins/registry.json", damaged);
    sandbox.edit("version: b", "vresion: b");
    sandbox.edit("server: { port", "server: { prot");
    assert_snapshot!(said(&sandbox, &[]), @r"
    exit code 1
    --- stdout
      ? cudart       not checked: `[ROOT]/bins/registry.json` is damaged: EOF while parsing a string at line 1 column 26
     ok environment  no `LLAMA_ARG_*` is set
      ? token        not checked: `orchestrator.yaml` has 3 mistakes
      ? source       not checked: `orchestrator.yaml` has 3 mistakes
      x files        orchestrator.yaml:10:15: unknown key `vresion` in `binary` of instance `chat`
                     fix: did you mean `version`? (`llama-orch config validate` shows the line)
      x files        orchestrator.yaml:11:5: instance `chat` needs `server.port`
                     fix: write `server: { port: [PORT] }` with a port of its own (`llama-orch config validate` shows the line)
      x files        orchestrator.yaml:11:15: unknown key `prot` in `server` of instance `chat`
                     fix: did you mean `port`? (`llama-orch config validate` shows the line)
      x files        bins/registry.json: is damaged: EOF while parsing a string at line 1 column 26
                     fix: restore `[ROOT]/bins/registry.json` from a backup, or move it aside and run `llama-orch plan` to see what that means
      ? builds       not checked: `[ROOT]/bins/registry.json` is damaged: EOF while parsing a string at line 1 column 26
      ? pins         not checked: `orchestrator.yaml` has 3 mistakes
     ok permissions  [SOME] files and folders, none that others may change
     ok locks        no pass is at work
     ok servers      1 runs, with its supervisor
      ? ports        not checked: `orchestrator.yaml` has 3 mistakes
      ? exposure     not checked: `orchestrator.yaml` has 3 mistakes
    ");
    std::fs::remove_file(sandbox.path("orchestrator.yaml")).expect("removed");
    let gone = sandbox.run(&["doctor", "-C", sandbox.root.as_str()]);
    gone.assert_code(1)
        .assert_says("files        orchestrator.yaml: is missing");
}

#[test]
fn what_others_may_change_or_read_is_told() {
    let sandbox = Sandbox::applied(&[GOOD], &[("chat", GOOD)]);
    let server = sandbox.build_folder(GOOD).join("llama-server");
    let mode = |path: &camino::Utf8Path, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("changed");
    };
    mode(&server, 0o777);
    mode(&sandbox.path(".llama-orch"), 0o755);
    sandbox.write("secrets/chat.key", "sesame\n");
    mode(&sandbox.path("secrets/chat.key"), 0o644);
    sandbox.edit(
        "server: { port",
        "server: { api_key: { file: secrets/chat.key }, port",
    );
    assert_snapshot!(of(&sandbox, "permissions"), @r"
    exit code 1
    --- stdout
      x permissions  bins/[UUID]/llama-server: everybody on this machine may change it
                     fix: `chmod o-w bins/[UUID]/llama-server`
      ! permissions  secrets/chat.key: is a secret, and others may read it
                     fix: `chmod 600 secrets/chat.key`
      ! permissions  .llama-orch: others may look into it, and logs may hold what was asked
                     fix: `chmod 700 .llama-orch`
    ");
    mode(&server, 0o755);
    mode(&sandbox.path(".llama-orch"), 0o700);
    mode(&sandbox.path("secrets/chat.key"), 0o600);
    of(&sandbox, "permissions").assert_code(0);
}

#[test]
fn a_port_that_somebody_else_holds_is_broken() {
    let mut sandbox = Sandbox::applied(&[GOOD], &[("chat", GOOD)]);
    sandbox.run(&["down", "chat", "--quiet"]).assert_code(0);
    let port = sandbox.port("chat");
    let held = TcpListener::bind(("127.0.0.1", port)).expect("it is free by now");
    let output = of(&sandbox, "ports");
    output.assert_code(1);
    output.assert_says(&format!("chat: port {port} is held by "));
    output.assert_says(&format!("(pid {})", std::process::id()));
    drop(held);
    of(&sandbox, "ports").assert_code(0);
}

#[test]
fn servers_nobody_watches_or_knows_are_told() {
    let sandbox = Sandbox::applied(&[GOOD], &[("chat", GOOD)]);
    kill(sandbox.supervisor("chat"));
    sandbox.wait("it is gone", || sandbox.supervisors().is_empty());
    assert_snapshot!(of(&sandbox, "servers"), @r"
    exit code 0
    --- stdout
      ! servers      chat: its server runs and nobody watches it: it is not started again when it ends
                     fix: `llama-orch apply` gives it a supervisor; the server goes on
    ");
    let server = sandbox.pid("chat");
    let state = sandbox.read(".llama-orch/instances/chat/state.json");
    std::fs::remove_file(sandbox.folder("chat").state()).expect("removed");
    let output = of(&sandbox, "servers");
    output.assert_says(&format!("end it with `kill {server}`"));
    output.assert_code(1);
    assert_eq!(codes(&json(&sandbox)), ["unknown_server"]);
    sandbox.write(".llama-orch/instances/chat/state.json", &state);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(codes(&json(&sandbox)), Vec::<String>::new());
    assert_eq!(sandbox.pid("chat"), server, "it went on");
}

#[test]
fn open_servers_known_bad_pins_and_stray_variables_are_told() {
    let mut sandbox = Sandbox::with(&[], &[("chat", 9165)]);
    sandbox.edit("server: { port", "server: { host: 0.0.0.0, port");
    sandbox.set("LLAMA_ARG_CTX_SIZE", "4242");
    let output = said(&sandbox, &[]);
    assert!(!output.says("4242"), "{output}");
    assert_snapshot!(output, @r"
    exit code 1
    --- stdout
     ok cudart       no CUDA build is installed
      . environment  LLAMA_ARG_CTX_SIZE: is set here; servers are not given it, and one started by hand would obey it
                     fix: `unset LLAMA_ARG_CTX_SIZE`, or write what it says under the instance's `args`
     ok token        none is needed for a folder
      x source       `releases`: has no archives; `chat` cannot be had without
                     fix: put the archive of the build into it, named as upstream names it
     ok files        1 file read, none is damaged
     ok builds       none is installed
      ! pins         b9165: `chat` is pinned to it; every link in its archives is broken, so that the server does not load; b9163 is whole
                     fix: pin another build, such as one of `llama-orch binary latest`
                     see: https://github.com/ggml-org/llama.cpp/issues/23115
     ok permissions  [SOME] files and folders, none that others may change
     ok locks        no pass is at work
     ok servers      none runs
     ok ports        that of the instance is its own or free
      ! exposure     chat: listens on 0.0.0.0 and asks nobody for a key
                     fix: `server: { api_key: { file: secrets/chat.key } }`, or `host: 127.0.0.1` behind a proxy
    ");
}

#[test]
fn a_pass_at_work_is_told_with_its_holder() {
    let sandbox = Sandbox::applied(&[GOOD], &[("chat", GOOD)]);
    let holder = format!(
        "`llama-orch apply` (pid {}) since noon\n",
        std::process::id()
    );
    sandbox.write(".llama-orch/pass.holder", &holder);
    let lock = FileLock::take_within(
        &sandbox.path(".llama-orch/pass.lock"),
        Duration::from_secs(5),
    );
    let lock = lock.expect("it can be").expect("it is free");
    assert_snapshot!(of(&sandbox, "locks"), @r"
    exit code 0
    --- stdout
      . locks        pass.lock: is held by `llama-orch apply` (pid [PID]) since noon
                     fix: wait for it; other verbs wait with `--lock-timeout SECONDS`
    ");
    drop(lock);
    assert_snapshot!(of(&sandbox, "locks"), @r"
    exit code 0
    --- stdout
     ok locks        no pass is at work
    ");
}

#[test]
fn the_source_is_asked_once_and_a_token_is_named_and_never_shown() {
    let server = ReleaseServer::start();
    server.answer_quota(57, 60);
    let mut sandbox = Sandbox::applied(&[GOOD], &[("chat", GOOD)]);
    let source = server.source().replace("{ ", "{ token_env: MIRROR_TOKEN, ");
    sandbox.edit("{ directory: releases }", &source);
    assert_snapshot!(of(&sandbox, "source"), @r"
    exit code 0
    --- stdout
     ok source       `http://127.0.0.1:[PORT]/api` answers; 57 of 60 requests are left; `http://127.0.0.1:[PORT]/mirror` answers
    ");
    assert_eq!(server.asked().len(), 2, "the API once, and the mirror once");
    assert_snapshot!(of(&sandbox, "token"), @r"
    exit code 0
    --- stdout
      . token        there is none in `MIRROR_TOKEN`; GitHub answers 60 requests an hour without
                     fix: put one into `MIRROR_TOKEN` (no scope is needed), if that is too few
    ");

    let secret = "ghp_never_to_be_seen";
    sandbox.set("MIRROR_TOKEN", secret);
    let outputs = [
        of(&sandbox, "token"),
        sandbox.run(&["doctor", "--json"]),
        sandbox.run(&["doctor", "--verbose"]),
    ];
    for output in outputs {
        output.assert_code(0).assert_says("MIRROR_TOKEN");
        assert!(!output.says(secret), "{output}");
    }
    server.answer_quota(0, 60);
    assert_eq!(codes(&json(&sandbox)), ["quota_used_up"]);
    server.tell_time("Sun, 06 Nov 1994 08:49:37 GMT");
    sandbox
        .run(&["doctor"])
        .assert_code(1)
        .assert_says("ahead of that of the release source");
    let _ = server.asked();
    let offline = said(&sandbox, &["--offline"]);
    offline.assert_code(0).assert_says("not checked: ");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn a_source_out_of_reach_is_told_with_the_reason() {
    let server = ReleaseServer::start();
    let mut sandbox = Sandbox::applied(&[GOOD], &[("chat", GOOD)]);
    sandbox.edit("{ directory: releases }", &server.source());
    drop(server);
    // What is installed and locked goes on.
    sandbox.run(&["doctor"]).assert_code(0);
    assert_eq!(
        codes(&json(&sandbox)),
        ["no_token", "source_unreachable", "source_unreachable"]
    );
    sandbox.write_instances(&[("chat", GOOD), ("embed", GOOD + 1)]);
    sandbox.edit("{ directory: releases }", "{ directory: elsewhere }");
    assert_snapshot!(of(&sandbox, "source"), @r"
    exit code 1
    --- stdout
      x source       `elsewhere`: cannot be read: No such file or directory (os error 2); `embed` cannot be had without
                     fix: create it, or correct `source.directory` in orchestrator.yaml
    ");
}

#[test]
fn outside_of_any_root_the_machine_is_looked_at() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["--offline", "doctor", "--json"]);
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let output = Output::of(command.current_dir(scratch.path()));
    output.assert_says("only the machine is looked at");
    let diagnosis: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(diagnosis["root"], Value::Null);
    let checks = diagnosis["checks"].as_array().expect("a list");
    let checks: Vec<&str> = checks
        .iter()
        .filter_map(|examined| examined["check"].as_str())
        .collect();
    assert_eq!(
        checks,
        [
            "gpu",
            "vulkan",
            "glibc",
            "cudart",
            "limits",
            "clock",
            "environment",
            "token",
            "source"
        ]
    );
    sandbox.run(&["doctor", "-C", "nowhere"]).assert_code(64);
}

/// A fix that names a command names one that exists, with arguments it takes.
#[test]
fn every_command_of_a_fix_exists() {
    let sandbox = Sandbox::new();
    let source = camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    let mut commands = std::collections::BTreeSet::new();
    for file in source.read_dir_utf8().expect("readable").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("readable");
        let named = text.split("`llama-orch ").skip(1);
        commands.extend(named.filter_map(|rest| Some(rest.split_once('`')?.0.to_owned())));
    }
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let words = command.split(' ').map(|word| {
            let is_value = word.starts_with('{');
            if is_value { "chat" } else { word }
        });
        let arguments: Vec<&str> = words.chain(["--help"]).collect();
        sandbox.run(&arguments).assert_code(0);
    }
}

#[test]
fn the_json_fits_the_committed_schema() {
    let schema = include_str!("../../../docs/schemas/doctor.schema.json");
    let schema = serde_json::from_str(schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let sandbox = Sandbox::with(&[], &[("chat", 9165)]);
    let diagnosis = json(&sandbox);
    let errors: Vec<String> = validator
        .iter_errors(&diagnosis)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{diagnosis:#}");
    let at = diagnosis["at"].as_str().expect("a time");
    at.parse::<jiff::Timestamp>().expect("RFC 3339");
    assert_eq!(
        diagnosis["healthy"], false,
        "the build is nowhere to be had"
    );
}
