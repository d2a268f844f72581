//! `migrate`: what becomes of the Python tool's files and of a bare `bin/`, and the way back.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use insta::assert_snapshot;
use jiff::Timestamp;
use llama_orch::durable::FileLock;
use llama_orch::instance::folder::InstanceFolder;
use llama_orch::migrate::carry;
use llama_orch::migrate::look::look;
use llama_orch::migrate::{Step, migration};
use llama_orch::root::Root;
use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox, ask, is_alive};

/// The build of the corpus that runs here: a fork somebody has compiled.
const FORK: &str = "9d1c7c52-0d1b-4d53-8e0b-7a0e64a3f7b1";

/// Everything below a folder but what is this program's own: modes, contents, targets of links.
fn tree(root: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("readable") {
            let path = entry.expect("readable").path();
            let name = path
                .strip_prefix(root)
                .expect("below")
                .to_str()
                .expect("UTF-8");
            if name == ".llama-orch" {
                continue;
            }
            let metadata = path.symlink_metadata().expect("there");
            let content = if metadata.is_symlink() {
                let target = path.read_link().expect("a link");
                target.to_str().expect("UTF-8").as_bytes().to_vec()
            } else if metadata.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else {
                std::fs::read(&path).expect("readable")
            };
            found.insert(name.to_owned(), (metadata.permissions().mode(), content));
        }
    }
    found
}

#[track_caller]
fn assert_same(before: &BTreeMap<String, (u32, Vec<u8>)>, sandbox: &Sandbox) {
    let after = tree(sandbox.root.as_std_path());
    let differ: Vec<&String> = before
        .keys()
        .chain(after.keys())
        .filter(|name| before.get(*name) != after.get(*name))
        .collect();
    assert!(differ.is_empty(), "not as before: {differ:?}");
}

/// Puts a stand-in where the old tool has a server.
fn place_server(sandbox: &Sandbox, folder: &str, build: u32) {
    sandbox.write(&format!("{folder}/build-number"), &build.to_string());
    sandbox.write(&format!("{folder}/standin-faults"), "");
    let server = sandbox.path(folder).join("llama-server");
    std::fs::copy(env!("CARGO_BIN_EXE_llama-server-standin"), &server).expect("copied");
    std::os::unix::fs::symlink("build-number", sandbox.path(folder).join("number"))
        .expect("linked");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("created");
    for entry in from.read_dir().expect("readable") {
        let path = entry.expect("readable").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}

/// The folder with every trap.
fn corpus() -> Sandbox {
    let sandbox = Sandbox::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/migrate");
    copy(&fixture, sandbox.root.as_std_path());
    place_server(&sandbox, &format!("bins/{FORK}"), 1002);
    place_server(&sandbox, "bin", 1001);
    sandbox
}

/// One instance that names no build, and a `bin/`.
fn bare() -> (Sandbox, u16) {
    let mut sandbox = Sandbox::new();
    let port = sandbox.port("chat");
    sandbox.write("instances/chat/config.json", &config("chat", port));
    place_server(&sandbox, "bin", 1001);
    (sandbox, port)
}

/// One more, whose folder has a number, and the path of its config.
fn numbered() -> (Sandbox, String) {
    let (mut sandbox, _) = bare();
    let port = sandbox.port("embed");
    let path = "instances/00000001_d75a653b-1d7a-4bb4-b475-def8dc01378b/config.json";
    sandbox.write(path, &config("embed", port));
    (sandbox, path.to_owned())
}

fn config(name: &str, port: u16) -> String {
    format!(
        r#"{{ "name": "{name}", "model": {{ "path": "models/tiny.gguf", "threads": 4 }},
  "server": {{ "port": {port}, "parallel": 1 }}, "args": ["--metrics"] }}
"#
    )
}

/// A server as the old tool starts one, which ends with the value.
struct OldServer(Child);

impl OldServer {
    fn start(sandbox: &Sandbox, folder: &str, alias: &str, port: u16) -> Self {
        let child = Command::new(sandbox.path(folder).join("llama-server"))
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--alias", alias, "--model", "models/tiny.gguf"])
            .current_dir(&sandbox.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        sandbox.wait("it listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self(child)
    }
}

impl Drop for OldServer {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a preview of the corpus writes, up to its findings, and those.
fn preview(sandbox: &Sandbox) -> (String, String) {
    let mut command = sandbox.command(&["migrate"]);
    let preview = Output::of(command.env("COLUMNS", "80")).to_string();
    let (head, findings) = preview.split_once("\n\n  x ").expect("some are open");
    (head.to_owned(), format!("  x {findings}"))
}

#[test]
fn a_preview_tells_what_would_be_written_and_changes_nothing() {
    let sandbox = corpus();
    let before = tree(sandbox.root.as_std_path());

    let (head, _) = preview(&sandbox);

    assert_snapshot!(head, @r#"
    exit code 1
    --- stdout
    NAME      ENABLED  WHY
    args      no       nobody listens on port [PORT]
    bare      no       nobody listens on port [PORT]
    gemma     no       nobody listens on port [PORT]
    latest    no       nobody listens on port [PORT]
    nameless  no       nobody listens on port [PORT]
    port-one  no       nobody listens on port [PORT]
    port-two  no       nobody listens on port [PORT]
    rerank    no       nobody listens on port [PORT]

      + register  bin/
                  as legacy-b1001, a copy of [SIZE]
      + copy      instances/gemma
                  from instances/00000071_d75a653b-1d7a-4bb4-b475-def8dc01378b
      + copy      instances/rerank
                  from instances/00000002_0e9f3b9c-52c1-4d3c-9c85-6f1f0d0c8a02
      + write     orchestrator.yaml

    orchestrator.yaml:
        # Written by `llama-orch migrate`. What is not here stands in each instance's
        # instances/<name>/config.json.
        version: 1

        # What the old tool passed where a config.json says nothing.
        defaults:
          model: { context_size: [BYTES], batch_size: [BYTES], threads: 8 }
          server: { timeout: 600 }
          env: { LLAMA_ARG_FIT: "off" }
          restart_policy: { max_retries: 5 }

        instances:
          args:
            enabled: false
            model: { path: models/tiny.gguf }
            server: { port: [PORT] }
            args: [--metrics]
          bare:
            enabled: false
          gemma:
            enabled: false
          latest:
            enabled: false
            binary: { binary_id: "[UUID]", version: own-fork-029f4f6, variant: unknown }
          nameless:
            enabled: false
          port-one:
            enabled: false
          port-two:
            enabled: false
          rerank:
            enabled: false
            server: { parallel: -1 }
            env: { GGML_VULKAN_DEVICE: "2" }
    "#);
    assert!(!sandbox.path(".llama-orch").exists());
    assert_same(&before, &sandbox);
}

#[test]
fn a_preview_tells_what_is_left_to_a_person() {
    let (_, findings) = preview(&corpus());
    assert_snapshot!(findings, @r#"
      x open    diffusion
          is not taken over: `LLAMA_ORCH_RUNTIME` has the old tool start something
          else than `llama-server`
          -> this program runs `llama-server` alone; leave the instance to the old
          tool
      x open    gemma
          `args` contain `models\mmproj.gguf`, a path of Windows
          -> write where it is here, under `gemma`: `args: [...]`
      x open    gemma
          `env.HF_HOME` is `D:\hf`, a path of Windows
          -> write where it is here, under `gemma`: `env: { HF_HOME: ... }`
      x open    gemma
          `model.path` is `C:\models\gemma.gguf`, a path of Windows
          -> write where it is here, under `gemma`: `model: { path: ... }`
      x open    gemma
          is pinned to `win-vulkan-x64`, a build for Windows
          -> write the one for this machine under `gemma`: `binary: { version:
          b7572, variant: auto }`
      x open    instances/broken/config.json
          is not taken over: it is no JSON: EOF while parsing an object at line 2
          column 0
          -> put it right, and run it again
      x open    key
          is not taken over: its `args` contain `--api-key`
          -> in its config.json, write `server: { api_key: { file: ... } }`; a
          command line is no place for a secret
      x open    twin
          is not taken over:
          `instances/00000008_6a0f3d59-2a75-4a0e-8f56-0a3f3a3b9d08/config.json` and
          `instances/twin/config.json` have its name
          -> move all but one of the folders out of `instances/`, and run it again
      x open    wrong
          is not taken over: `instances/wrong/config.json` has 1 mistake
            instances/wrong/config.json:1:70: `threads` wants a number from 1 to 4096, not `"many"`
                1 | ... "path": "models/tiny.gguf", "threads": "many" }, "server": { "port": 18020 } }
                  |                                            ^^^^^^
          -> put `instances/wrong/config.json` right, and run it again
      ! differs args
          was also called `gpt`: a server is called like its instance
      . note    0f0b8d1c-7a44-4c7e-9a52-6a3f5f4f2f11
          unknown unknown: `bins/0f0b8d1c-7a44-4c7e-9a52-6a3f5f4f2f11` is missing
          -> it cannot be fetched again; bring its folder back where an instance
          needs it
      . note    3aecf5b8-63bb-4862-9b7a-8dd27714cb73
          b9553 ubuntu-x64: the entry `3aecf5b8-63bb-4862-9b7a-8dd27714cb73` of
          `registry.json` has the path `..\elsewhere`, which is not a folder inside
          `bins`
          -> an instance that is pinned to it has it installed again
      . note    4f047d33-3322-4961-bc6f-2daee8798158, 5cf01664-31fb-a1f7-c8d4-631b430848e3
          b9222 win-vulkan-x64 is for Windows, and does not run here
      . note    7f44ef67-3933-4c9a-8c07-d0f3e164df1a
          dflash-029f4f6 win-vulkan-x64 is for Windows, and does not run here
      . note    9d1c7c52-0d1b-4d53-8e0b-7a0e64a3f7b1
          own-fork-029f4f6 unknown is no release: nobody can fetch it again
          -> keep a copy of its folder
      . note    a9576b8e-4d9a-4f76-a392-8748632b35ed
          b7572 win-vulkan-x64 is for Windows, and does not run here
      . note    args
          `args` contained --port, --alias, --model, which fields say now
      . note    args, bare, nameless, port-one, port-two
          names no build, and goes on running from `bin/`
      . note    b9222 win-vulkan-x64
          is in the registry 2 times: 5cf01664-31fb-a1f7-c8d4-631b430848e3,
          4f047d33-3322-4961-bc6f-2daee8798158
          -> instances stay on the id they have; `llama-orch binary prune` takes
          away what nothing uses
      . note    latest
          `latest` meant the build that was installed last: it is pinned to that,
          own-fork-029f4f6 unknown
          -> `version: stable` follows llama.cpp's newest stable release
      . note    port 18015
          is that of port-one, port-two: only one of them can be enabled
      . note    rerank
          `GGML_VULKAN_DEVICE: 2` is written out, as the old tool set it; llama.cpp
          does not read it any more
          -> take it out, and `--device Vulkan2` is passed
      . note    state/
          what the old tool noted is not read: state/state.sqlite
      . note    state/daemon.pid
          the old tool's daemon may be at work
          -> stop it first: it starts servers again that are ended
    --- stderr
    nothing was changed; `llama-orch migrate --apply` does it
    "#);
}

#[test]
fn what_is_applied_is_a_valid_manifest_and_undo_brings_every_byte_back() {
    let sandbox = corpus();
    let before = tree(sandbox.root.as_std_path());

    let applied = sandbox.run(&["migrate", "--apply"]);
    applied
        .assert_code(1)
        .assert_says("done; the backup is in `.llama-orch/migrations/");

    sandbox.run(&["config", "validate"]).assert_code(0);
    // Nothing runs, and so nothing is to be done but for what is left to a person.
    let plan = sandbox.run(&["plan", "--offline"]);
    assert_snapshot!(plan, @r"
    exit code 0
    --- stdout
      . unused   unknown unknown         0 B; `apply --prune` removes it

    Nothing to do: everything is as orchestrator.yaml says.
    ");
    let listed = sandbox.run(&["binary", "list"]);
    listed
        .assert_code(0)
        .assert_says("legacy-b1001")
        .assert_says("own-fork-029f4f6");
    for (path, content) in &before {
        let is_there = tree(sandbox.root.as_std_path()).get(path) == Some(content);
        assert!(
            is_there || path == "bins/registry.json",
            "{path} was touched"
        );
    }

    sandbox.run(&["migrate", "--undo"]).assert_code(0);
    assert_same(&before, &sandbox);
    let again = sandbox.run(&["migrate", "--undo"]);
    again
        .assert_code(0)
        .assert_says("There is no migration to undo");
}

#[test]
fn a_manifest_that_was_changed_since_is_left_with_all_it_relies_on() {
    let sandbox = corpus();
    let before = tree(sandbox.root.as_std_path());
    sandbox
        .run(&["migrate", "--apply", "--quiet"])
        .assert_code(1);
    let text = sandbox.read("orchestrator.yaml") + "# mine\n";
    sandbox.write("orchestrator.yaml", &text);
    let edited = tree(sandbox.root.as_std_path());

    let undo = sandbox.run(&["migrate", "--undo"]);

    undo.assert_code(1)
        .assert_says("left `orchestrator.yaml` as it is: it was changed since")
        .assert_says(
            "is not undone: what it wrote stays,\nsince `orchestrator.yaml` may rely on it.",
        )
        .assert_says("move `orchestrator.yaml` away, then `llama-orch migrate --undo` again");
    assert_same(&edited, &sandbox);
    sandbox.run(&["config", "validate"]).assert_code(0);
    std::fs::remove_file(sandbox.path("orchestrator.yaml")).expect("removed");
    sandbox.run(&["migrate", "--undo"]).assert_code(0);
    assert_same(&before, &sandbox);
}

#[test]
fn a_copy_that_was_changed_since_is_left_and_the_rest_undone() {
    let (sandbox, _) = numbered();
    let before = tree(sandbox.root.as_std_path());
    sandbox.run(&["migrate", "--apply"]).assert_code(0);
    let text = sandbox.read("instances/embed/config.json") + "\n";
    sandbox.write("instances/embed/config.json", &text);

    let undo = sandbox.run(&["migrate", "--undo"]);

    undo.assert_code(1)
        .assert_says("left `instances/embed/config.json` as it is: it was changed since")
        .assert_says("everything else is as it was before");
    assert_eq!(sandbox.read("instances/embed/config.json"), text);
    std::fs::remove_dir_all(sandbox.path("instances/embed")).expect("removed");
    assert_same(&before, &sandbox);
}

#[test]
fn a_config_that_is_closed_to_others_stays_so_in_its_copies() {
    let (sandbox, config) = numbered();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    let config = sandbox.path(&config);
    set(config.as_std_path(), 0o600);
    set(config.parent().expect("its folder").as_std_path(), 0o700);

    let applied = sandbox.run(&["migrate", "--apply"]);

    applied.assert_code(0);
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    let folder = sandbox.path("instances/embed");
    assert_eq!(mode(folder.as_std_path()), 0o700);
    assert_eq!(mode(folder.join("config.json").as_std_path()), 0o600);
    let (_, backup) = applied.stderr.split_once("backup is in `").expect("told");
    let (backup, _) = backup.split_once('`').expect("closed");
    let config = config.strip_prefix(&sandbox.root).expect("below");
    let copy = sandbox.path(backup).join("originals").join(config);
    assert_eq!(mode(copy.as_std_path()), 0o600);
}

#[test]
fn what_comes_to_lie_there_meanwhile_is_not_written_over_and_never_removed() {
    for path in ["instances/embed/config.json", "orchestrator.yaml"] {
        let (sandbox, _) = numbered();
        let root = Root::new(sandbox.root.clone());
        let old = look(&root).expect("readable");
        let migration = migration(&old);
        let before = tree(sandbox.root.as_std_path());
        // The very same text, which only the journal can tell from ours.
        let text = migration.steps.iter().find_map(|step| match step {
            Step::Copy { to, text, .. } if to == path => Some(text.clone()),
            Step::Manifest { text } if path == "orchestrator.yaml" => Some(text.clone()),
            _ => None,
        });
        let text = text.expect("it is to be written");

        // While `bin/` is copied.
        let applied = carry::apply(&root, &old, &migration, Timestamp::UNIX_EPOCH, &|_, _| {
            sandbox.write(path, &text);
        });

        let error = applied.expect_err("it is there");
        let said = format!("`{path}` is there by now, and is not written over");
        assert_eq!(error.to_string(), said);
        let undone = carry::settle(&root).expect("undone").expect("begun");
        assert_eq!(undone.left, []);
        assert_eq!(sandbox.read(path), text);
        std::fs::remove_file(sandbox.path(path)).expect("removed");
        // Empty, and somebody else's as well.
        let _ = std::fs::remove_dir(sandbox.path("instances/embed"));
        assert_same(&before, &sandbox);
    }
}

#[test]
fn a_failure_is_told_along_with_why_nothing_was_taken_back() {
    let (sandbox, _) = numbered();
    sandbox.write("instances/embed", "a file where a folder has to be");
    let name = "chat".parse().expect("a name");
    let runs = InstanceFolder::new(&sandbox.root, &name).server_lock();
    std::fs::create_dir_all(runs.parent().expect("a folder")).expect("created");
    let lock = FileLock::try_take(&runs).expect("opened").expect("free");

    let failed = sandbox.run(&["migrate", "--apply"]);

    assert_snapshot!(failed, @r"
    exit code 73
    --- stderr
    warning: what was begun was not taken back: `chat` runs under this program by now
    hint: end it first: `llama-orch down --all`
    error: cannot write `[ROOT]/instances/embed`
      caused by: File exists (os error 17)
    hint: `llama-orch migrate --undo` takes back what was begun
    ");
    drop(lock);
    sandbox.run(&["migrate", "--undo"]).assert_code(0);
    assert!(!sandbox.path("bins").exists());
}

#[test]
fn a_registry_that_went_on_keeps_the_build_it_lists() {
    let (sandbox, _) = bare();
    sandbox.run(&["migrate", "--apply"]).assert_code(0);
    let register = ["binary", "register", "bin", "--version", "other", "--link"];
    sandbox.run(&register).assert_code(0);

    let undo = sandbox.run(&["migrate", "--undo"]);

    undo.assert_code(1)
        .assert_says("left `bins/registry.json` as it is");
    assert!(!sandbox.path("orchestrator.yaml").exists());
    sandbox.write("orchestrator.yaml", "version: 1\ninstances: {}\n");
    let listed = sandbox.run(&["binary", "list"]);
    listed
        .assert_code(0)
        .assert_says("legacy-b1001")
        .assert_says("other");
    sandbox.run(&["binary", "verify"]).assert_code(0);
}

#[test]
fn a_server_that_runs_goes_on_to_under_this_program_as_the_old_tool_ran_it() {
    let (mut sandbox, port) = bare();
    let old = OldServer::start(&sandbox, "bin", "chat", port);

    let preview = sandbox.run(&["migrate"]);
    assert_snapshot!(preview, @r#"
    exit code 0
    --- stdout
    NAME  ENABLED  WHY
    chat  yes      `llama-server` (pid [PID]) serves it on port [PORT]

      + register  bin/
                  as legacy-b1001, a copy of [SIZE]
      + write     orchestrator.yaml

    orchestrator.yaml:
        # Written by `llama-orch migrate`. What is not here stands in each instance's
        # instances/<name>/config.json.
        version: 1

        # What the old tool passed where a config.json says nothing.
        defaults:
          model: { context_size: [BYTES], batch_size: [BYTES] }
          server: { timeout: 600 }
          env: { LLAMA_ARG_FIT: "off" }
          restart_policy: { max_retries: 5 }

        instances:
          chat:
            server: { parallel: -1 }

      . note    chat
          `llama-server` (pid [PID]) serves it on port [PORT]: it is enabled
          -> end the old server before `llama-orch apply`; until then `chat` is blocked
      . note    chat
          names no build, and goes on running from `bin/`
    --- stderr
    nothing was changed; `llama-orch migrate --apply` does it
    "#);
    sandbox.run(&["migrate", "--apply"]).assert_code(0);
    let blocked = sandbox.run(&["apply"]);
    blocked.assert_code(1).assert_says("is held by");
    assert!(is_alive(old.0.id()), "nobody ends a stranger's server");
    drop(old);
    sandbox.run(&["apply"]).assert_code(0);

    let pid = sandbox.wait_running("chat");
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
    assert_eq!(program, sandbox.path("bin/llama-server"));
    let told = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("readable");
    let told: Vec<&str> = told.split_terminator('\0').skip(1).collect();
    let port = port.to_string();
    let expected = [
        "--model",
        "models/tiny.gguf",
        "--ctx-size",
        "4096",
        "--batch-size",
        "512",
        "--threads",
        "4",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--alias",
        "chat",
        "--timeout",
        "600",
        "--metrics",
    ];
    assert_eq!(told, expected);
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).expect("readable");
    assert!(
        environment
            .split('\0')
            .any(|one| one == "LLAMA_ARG_FIT=off")
    );
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("200"));

    let refused = sandbox.run(&["migrate", "--undo"]);
    refused
        .assert_code(1)
        .assert_says("`chat` runs under this program by now");
    sandbox.run(&["down", "--all"]).assert_code(0);
    sandbox.run(&["migrate", "--undo"]).assert_code(0);
    assert!(!sandbox.path("orchestrator.yaml").exists());
}

#[test]
fn of_two_instances_at_one_port_the_one_that_is_served_is_enabled() {
    let (sandbox, port) = bare();
    sandbox.write("instances/other/config.json", &config("other", port));
    let _old = OldServer::start(&sandbox, "bin", "other", port);

    sandbox.run(&["migrate", "--apply"]).assert_code(0);

    sandbox.run(&["config", "validate"]).assert_code(0);
    let text = sandbox.read("orchestrator.yaml");
    let (_, chat) = text.split_once("  chat:").expect("it is there");
    let (chat, other) = chat.split_once("  other:").expect("it is there");
    assert!(
        chat.contains("enabled: false") && !other.contains("enabled"),
        "{text}"
    );
}

#[test]
fn a_server_from_elsewhere_at_the_port_is_none_of_the_old_tools() {
    let (sandbox, port) = bare();
    place_server(&sandbox, "elsewhere", 1001);
    let _stranger = OldServer::start(&sandbox, "elsewhere", "chat", port);

    let preview = sandbox.run(&["migrate"]);

    preview
        .assert_code(0)
        .assert_says("and is no server of the old tool");
    preview.assert_says("enabled: false");
}

#[test]
fn a_manifest_that_is_there_is_left_as_it_is_and_bin_is_taken_in() {
    let (sandbox, port) = bare();
    sandbox.write("instances/more/config.json", &config("more", port));
    let manifest = "version: 1\ninstances: { chat: {} }\n";
    sandbox.write("orchestrator.yaml", manifest);

    let applied = sandbox.run(&["migrate", "--apply"]);

    applied.assert_code(1).assert_says("not in it: more");
    assert_eq!(sandbox.read("orchestrator.yaml"), manifest);
    sandbox.run(&["binary", "list"]).assert_says("legacy-b1001");
    std::fs::remove_dir_all(sandbox.path("instances/more")).expect("removed");
    let settled = sandbox.run(&["migrate", "--apply"]);
    settled.assert_code(0).assert_says("Nothing to take over");
}

#[test]
fn a_folder_with_nothing_in_it_is_told() {
    let sandbox = Sandbox::new();
    let preview = sandbox.run(&["migrate"]);
    assert_snapshot!(preview, @r"
    exit code 0
    --- stdout
    Nothing to take over in `[ROOT]`.
    ");
    sandbox.run(&["-C", "missing", "migrate"]).assert_code(64);
    let other = sandbox.run(&["-C", "missing", "migrate", "--from", "models"]);
    other.assert_code(0).assert_says("root/models`");
    sandbox.run(&["migrate", "--undo", "2001"]).assert_code(64);
    sandbox.run(&["migrate", "--apply"]).assert_code(0);
    assert!(!sandbox.path("orchestrator.yaml").exists());
}

#[test]
fn a_config_in_another_encoding_keeps_a_manifest_from_being_written() {
    let (sandbox, _) = bare();
    std::fs::create_dir(sandbox.path("instances/wide")).expect("created");
    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain("{}".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    std::fs::write(sandbox.path("instances/wide/config.json"), wide).expect("written");

    let applied = sandbox.run(&["migrate", "--apply"]);

    applied
        .assert_code(1)
        .assert_says("it was saved as UTF-16; save it as UTF-8");
    assert!(!sandbox.path("orchestrator.yaml").exists());
}

#[test]
fn a_migration_that_fails_halfway_leaves_nothing_behind() {
    let (sandbox, _) = numbered();
    sandbox.write("instances/embed", "a file where a folder has to be");
    let before = tree(sandbox.root.as_std_path());

    let failed = sandbox.run(&["migrate", "--apply"]);

    failed.assert_code(73).assert_says("/instances/embed`");
    assert_same(&before, &sandbox);
    std::fs::remove_file(sandbox.path("instances/embed")).expect("removed");
    sandbox.run(&["migrate", "--apply"]).assert_code(0);
}

#[test]
fn json_is_as_its_schema_says() {
    let sandbox = corpus();
    let schema = sandbox.run(&["config", "schema", "migrate"]);
    let schema: Value = serde_json::from_str(&schema.stdout).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");

    let preview = sandbox.run(&["migrate", "--json"]);
    let applied = sandbox.run(&["migrate", "--apply", "--json"]);

    for (output, is_applied) in [(preview, false), (applied, true)] {
        output.assert_code(1);
        let document: Value = serde_json::from_str(&output.stdout).expect("JSON");
        assert!(schema.is_valid(&document), "{document:#}");
        assert_eq!(document["applied"], is_applied);
        assert_eq!(document["backup"].is_string(), is_applied);
    }
}

#[test]
fn a_real_server_in_bin_runs_from_there_and_is_registered() {
    let Some(folder) = std::env::var_os("LLAMA_ORCH_REAL_DIR") else {
        println!("skipped: LLAMA_ORCH_REAL_DIR is not set");
        return;
    };
    let folder = std::fs::canonicalize(folder).expect("LLAMA_ORCH_REAL_DIR is there");
    let mut sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("bin")).expect("created");
    let unpacked = Command::new("tar")
        .args([
            "xzf",
            folder
                .join("llama-b9001-bin-ubuntu-x64.tar.gz")
                .to_str()
                .expect("UTF-8"),
        ])
        .args(["--strip-components=1", "-C", sandbox.path("bin").as_str()])
        .status();
    assert!(unpacked.expect("tar runs").success());
    std::fs::copy(folder.join("tiny.gguf"), sandbox.path("models/tiny.gguf")).expect("copied");
    let port = sandbox.port("chat");
    let text = format!(
        r#"{{ "name": "chat", "model": {{ "path": "models\\tiny.gguf", "context_size": 512, "batch_size": 64, "threads": 1 }},
  "server": {{ "host": "127.0.0.1", "port": {port}, "timeout": 600, "parallel": 1 }} }}"#
    );
    let config = "instances/00000001_d75a653b-1d7a-4bb4-b475-def8dc01378b/config.json";
    sandbox.write(config, &text);
    let before = tree(sandbox.root.as_std_path());

    sandbox
        .run(&["migrate", "--apply"])
        .assert_code(0)
        .assert_says("legacy-b9001");
    sandbox.edit("enabled: false", "enabled: true");
    sandbox.run(&["apply"]).assert_code(0);

    let pid = sandbox.wait_running("chat");
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
    assert_eq!(program, sandbox.path("bin/llama-server"));
    assert!(ask(port, "GET", "/health", "").contains("\"ok\""));
    assert!(ask(port, "GET", "/v1/models", "").contains("\"chat\""));
    // The copy does as well, for whoever pins it.
    sandbox.edit("enabled: true", "binary: { version: legacy-b9001 }");
    sandbox.run(&["apply"]).assert_code(0);
    let pid = sandbox.wait_running("chat");
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).expect("it runs");
    assert!(program.starts_with(sandbox.path("bins")), "{program:?}");
    sandbox.run(&["down", "--all"]).assert_code(0);
    sandbox.edit("binary: { version: legacy-b9001 }", "enabled: false");
    sandbox.run(&["migrate", "--undo"]).assert_code(0);
    std::fs::remove_file(sandbox.path("orchestrator.lock")).ok();
    assert_same(&before, &sandbox);
}
