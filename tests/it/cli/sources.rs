//! Builds from a release server: what is asked, what is asked again, and what breaks.

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use llama_orch::release::Digest;

use crate::support::archives;
use crate::support::release_server::ReleaseServer;
use crate::support::sandbox::{Output, Sandbox};
use crate::support::tree::Tree;

/// A root that takes its builds from this server, with one instance on `stable`.
fn visiting(server: &ReleaseServer) -> Sandbox {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.edit("{ directory: releases }", &server.source());
    sandbox.edit("version: b1001", "version: stable");
    sandbox
}

fn publish(server: &ReleaseServer, build: u32, digest: Option<Digest>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = archives::pack(folder.path(), build, "");
    server.publish(build, &archive, digest);
}

#[test]
fn stable_leads_through_its_text_file_to_a_build_and_is_asked_once() {
    let server = ReleaseServer::start();
    publish(&server, 1001, None);
    publish(&server, 1002, None);
    server.call_stable("v0.9.0", 1001);
    let mut sandbox = visiting(&server);
    sandbox
        .run(&["plan"])
        .assert_code(0)
        .assert_says("install  b1001");
    assert_snapshot!(server.asked().join("\n"), @r"
    /api/repos/ggml-org/llama.cpp/releases/latest
    /mirror/releases/download/v0.9.0/nightly-tag.txt
    /api/repos/ggml-org/llama.cpp/releases/tags/b1001
    ");
    // What was answered just now is not asked again, by whatever verb.
    sandbox.run(&["plan"]).assert_code(0);
    sandbox.run(&["--offline", "plan"]).assert_code(0);
    assert_eq!(server.asked(), Vec::<String>::new());
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_snapshot!(server.asked().join("\n"), @r"
    /mirror/releases/download/b1001/llama-b1001-bin-[VARIANT].tar.gz
    ");
    assert_snapshot!(sandbox.read("orchestrator.lock"), @"
    # Written by llama-orch, read by every machine: commit it together with orchestrator.yaml.
    # `llama-orch update` moves floating pins; nothing else does.
    schema: 1
    pins:
      chat: { version: stable, tag: b1001 }
    assets:
      b1001:
        llama-b1001-bin-[VARIANT].tar.gz: { sha256: [SHA256], size: [BYTES] }
    ");
    let pid = sandbox.pid("chat");

    // A newer stable release moves nothing by itself.
    server.call_stable("v0.10.0", 1002);
    sandbox.run(&["apply"]).assert_code(0);
    // Nor does another shell, in another folder, with another environment.
    for (name, value) in [
        ("LLAMA_ARG_PORT", "1"),
        ("LLAMA_ARG_CTX_SIZE", "8"),
        ("HF_HOME", "/elsewhere"),
        ("LANG", "de_DE.UTF-8"),
        ("PATH", "/usr/bin:/bin:/elsewhere"),
        ("LLAMA_ORCH_ROOT", sandbox.root.clone().as_str()),
    ] {
        sandbox.set(name, value);
    }
    let mut elsewhere = sandbox.command(&["apply"]);
    let output = Output::of(elsewhere.current_dir("/"));
    output.assert_code(0).assert_says("Nothing to do");
    assert_eq!(server.asked(), Vec::<String>::new());
    assert_eq!(sandbox.servers(), [pid]);
}

/// Upgrading llama-orch, or building it again, is no reason to touch a server.
#[test]
fn another_build_of_llama_orch_plans_nothing() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let pid = sandbox.pid("chat");
    let copy = sandbox
        .root
        .parent()
        .expect("it has one")
        .join("llama-orch-new");
    let mut program = std::fs::read(env!("CARGO_BIN_EXE_llama-orch")).expect("readable");
    program.push(0);
    std::fs::write(&copy, program).expect("written");
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).expect("set");
    sandbox.use_program(copy.into());
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    sandbox
        .run(&["apply"])
        .assert_code(0)
        .assert_says("Nothing to do");
    assert_eq!(sandbox.servers(), [pid]);
}

#[test]
fn a_download_that_breaks_off_is_gone_on_with_and_says_so() {
    let server = ReleaseServer::start();
    publish(&server, 1001, None);
    server.call_stable("v0.9.0", 1001);
    server.cut(1001, 1 << 20);
    let sandbox = visiting(&server);
    let output = sandbox.run(&["apply"]);
    assert_snapshot!(output.stderr, @r"
         ... install  b1001 [CPU]
    warning: b1001 [CPU]: the connection broke: end of file before message length reached; trying again at [CLOCK]
          ok install  b1001 [CPU]           [TIME]
         ... start    chat
          ok start    chat                    [TIME]

    Applied in [TIME]: 2 done.
    See `llama-orch status`.
    ");
    output.assert_code(0);
    assert!(sandbox.wait_running("chat") > 0);
}

#[test]
fn a_download_that_is_another_file_is_refused() {
    let server = ReleaseServer::start();
    publish(&server, 1001, Some(Digest::of("another file")));
    server.call_stable("v0.9.0", 1001);
    let sandbox = visiting(&server);
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 1
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + start    chat                    not running

    Plan: 1 to install, 1 to start.
    --- stderr
         ... install  b1001 [CPU]
      failed install  b1001 [CPU]           cannot install b1001 [CPU]: `llama-b1001-bin-[VARIANT].tar.gz` is not the file that was published
      expected sha256:[SHA256]
      received sha256:[SHA256]
     skipped start    chat                    it needs b1001 [CPU]
    hint: a proxy or mirror may have changed it, or the release was replaced after it was locked; pin another build, or compare with the release's own page

    Applied in [TIME]: 0 done, 1 failed, 1 not tried.
    ");
    let bins = Tree::of(sandbox.path("bins").as_std_path(), |_| false);
    assert_snapshot!(bins.listing(), @r"
    .cache
    .gitignore
    .staging
    .staging/lock
    ");
    assert!(sandbox.servers().is_empty());
}

#[test]
fn a_source_out_of_reach_blocks_what_needs_it_and_nothing_else() {
    let mut sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let nobody = sandbox.port("nobody");
    let source = format!("{{ api: \"http://127.0.0.1:{nobody}/api\" }}");
    sandbox.edit("{ directory: releases }", &source);
    sandbox
        .run(&["apply"])
        .assert_code(0)
        .assert_says("Nothing to do");
    sandbox.edit("b1001", "b1002");
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 69
    --- stdout
      x blocked  chat                    cannot reach `http://127.0.0.1:[PORT]/api/repos/ggml-org/llama.cpp/releases/tags/b1002`: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)

    Plan: nothing to do; 1 blocked.
    --- stderr
    hint: check the network and the proxy variables; `source.directory` in `orchestrator.yaml` needs no network, and a lock that covers the manifest needs no API
    ");
    assert_eq!(sandbox.servers().len(), 1, "what runs goes on");
}

#[test]
fn a_rate_limit_says_until_when_and_stops_nothing_that_is_known() {
    let server = ReleaseServer::start();
    publish(&server, 1001, None);
    publish(&server, 1002, None);
    server.call_stable("v0.9.0", 1001);
    let sandbox = visiting(&server);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let pid = sandbox.pid("chat");
    server.refuse(
        403,
        &["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 4102444800"],
        None,
    );
    let _ = server.asked();
    // What the lock covers needs no answer, installed or not.
    sandbox.run(&["plan", "--detailed-exitcode"]).assert_code(0);
    assert_eq!(server.asked(), Vec::<String>::new());

    sandbox.edit("version: stable", "version: b1002");
    assert_snapshot!(sandbox.run(&["plan"]), @r#"
    exit code 69
    --- stdout
      x blocked  chat                    `127.0.0.1` answers no more requests before [CLOCK] (its rate limit)

    Plan: nothing to do; 1 blocked.
    --- stderr
    hint: wait until then, or name the variable of a token for it in `source.token_env`; what is locked and installed goes on as it is, and a folder in `source.directory` needs no API
    "#);
    assert_eq!(
        server.asked().len(),
        1,
        "a limit is not asked again and again"
    );
    sandbox.run(&["apply"]).assert_code(69);
    assert_eq!(sandbox.servers(), [pid], "what runs goes on");

    // A limit that is over in an instant is waited for.
    server.refuse(429, &["Retry-After: 0"], Some(1));
    sandbox.run(&["plan"]).assert_code(0);
}

#[test]
fn with_a_lock_that_covers_the_manifest_nothing_is_asked_even_on_another_machine() {
    let server = ReleaseServer::start();
    publish(&server, 1001, None);
    server.call_stable("v0.9.0", 1001);
    let first = visiting(&server);
    first.run(&["apply", "--quiet"]).assert_code(0);
    let _ = server.asked();

    let second = visiting(&server);
    second.write("orchestrator.lock", &first.read("orchestrator.lock"));
    second.run(&["plan"]).assert_code(0);
    second
        .run(&["--offline", "plan"])
        .assert_code(0)
        .assert_says("install  b1001");
    assert_eq!(server.asked(), Vec::<String>::new());
    second.run(&["apply", "--quiet"]).assert_code(0);
    assert_snapshot!(server.asked().join("\n"), @r#"
    /mirror/releases/download/b1001/llama-b1001-bin-[VARIANT].tar.gz
    "#);
    assert!(second.wait_running("chat") > 0);
}

#[test]
fn a_build_that_is_still_being_uploaded_is_waited_for() {
    let server = ReleaseServer::start();
    publish(&server, 1001, None);
    server.begin_upload(1002, &archives::name(1002));
    let sandbox = visiting(&server);
    sandbox.edit("version: stable", "version: b1002");
    assert_snapshot!(sandbox.run(&["apply"]), @r#"
    exit code 1
    --- stdout
      x blocked  chat                    b1002 has no build for this machine yet: it is still being uploaded; it has none for this system

    Plan: nothing to do; 1 blocked.
    --- stderr
    hint: run `llama-orch plan` again in some minutes; the nearest builds that have it: b1001
    "#);
    // `nightly` takes the newest one that is there.
    sandbox.edit("version: b1002", "version: nightly");
    sandbox
        .run(&["plan"])
        .assert_code(0)
        .assert_says("install  b1001");
}

#[test]
fn without_the_network_nobody_is_asked_and_the_way_out_is_said() {
    let server = ReleaseServer::start();
    let sandbox = visiting(&server);
    assert_snapshot!(sandbox.run(&["--offline", "plan"]), @r#"
    exit code 69
    --- stdout
      x blocked  chat                    the network may not be used, and no earlier answer is kept about the stable release

    Plan: nothing to do; 1 blocked.
    --- stderr
    hint: run it once without `--offline`, which asks http://127.0.0.1:[PORT]/api/repos/ggml-org/llama.cpp/releases/latest; with an `orchestrator.lock` that covers `orchestrator.yaml` nothing is asked
    "#);
    assert_eq!(server.asked(), Vec::<String>::new());
}
