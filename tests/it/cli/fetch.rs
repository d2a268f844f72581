//! Models by name are fetched before anything stops, and the server is started offline then.

use insta::assert_snapshot;

use crate::support::sandbox::{Output, Sandbox, is_alive};

/// `chat` wants a model by name; its builds fetch once the file `download` says `ok`.
fn by_name(more_faults: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let faults = format!(
        "--standin-cache {}\n--standin-download {}\n{more_faults}",
        sandbox.path("hub"),
        sandbox.path("download")
    );
    sandbox.publish(1001, &faults);
    sandbox.write_instances(&[("chat", 1001)]);
    sandbox.edit(
        "{ path: models/tiny.gguf }",
        "{ hf: \"ggml-org/tiny:Q8_0\" }",
    );
    sandbox
}

fn is_fetching(sandbox: &Sandbox, model: &str) {
    let log = sandbox.folder("chat").path().join("fetch.log");
    let line = format!("downloading {model}");
    sandbox.wait("it is fetched", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains(&line))
    });
}

fn arguments(sandbox: &Sandbox) -> String {
    let pid = sandbox.pid("chat");
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).expect("it lives");
    String::from_utf8_lossy(&line).replace('\0', " ")
}

#[test]
fn a_model_is_fetched_first_and_once_and_the_server_is_started_offline() {
    let sandbox = by_name("");
    sandbox.write("download", "ok");
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 0
    --- stdout
      + install  b1001 [CPU]           [SIZE] download, not installed
      + fetch    chat                    model ggml-org/tiny:Q8_0
      + start    chat                    not running

    Plan: 1 to install, 1 to fetch, 1 to start.
    --- stderr
         ... install  b1001 [CPU]
          ok install  b1001 [CPU]           [TIME]
         ... fetch    chat
          ok fetch    chat                    [TIME]
         ... start    chat
          ok start    chat                    [TIME]

    Applied in [TIME]: 3 done.
    See `llama-orch status`.
    ");
    assert!(
        arguments(&sandbox).contains(" --offline "),
        "{}",
        arguments(&sandbox)
    );
    assert_eq!(sandbox.servers().len(), 1, "nothing is left of the fetch");
    sandbox.run(&["apply"]).assert_says("Nothing to do");
    // What was fetched is not fetched again.
    sandbox.run(&["down", "chat"]).assert_code(0);
    let up = sandbox.run(&["up", "chat"]);
    up.assert_code(0);
    assert!(!up.says("fetch"), "{up}");
    // Unless it is gone.
    sandbox.run(&["down", "chat"]).assert_code(0);
    std::fs::remove_dir_all(sandbox.path("hub")).expect("it was there");
    sandbox
        .run(&["up", "chat"])
        .assert_code(0)
        .assert_says("+ fetch    chat                    model ggml-org/tiny:Q8_0");
}

#[test]
fn the_old_server_answers_while_the_new_model_comes() {
    let mut sandbox = by_name("");
    sandbox.write("download", "ok");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = sandbox.pid("chat");
    std::fs::remove_file(sandbox.path("download")).expect("it is there");
    sandbox.edit("ggml-org/tiny", "ggml-org/other");
    let apply = sandbox.spawn(&["apply", "--yes"]);
    is_fetching(&sandbox, "ggml-org/other");
    assert_eq!(sandbox.pid("chat"), before);
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("200 OK"));
    sandbox.write("download", "ok");
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    output.assert_code(0);
    assert!(!is_alive(before));
    assert_eq!(sandbox.servers(), [sandbox.pid("chat")]);
}

#[test]
fn a_fetch_that_fails_stops_nothing() {
    let sandbox = by_name("");
    sandbox.write("download", "ok");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = sandbox.pid("chat");
    sandbox.write("download", "HTTP error 404: no such repository");
    sandbox.edit("ggml-org/tiny", "ggml-org/typo");
    assert_snapshot!(sandbox.run(&["apply", "--yes"]), @r"
    exit code 1
    --- stdout
      + fetch    chat                    model ggml-org/typo:Q8_0
    -/+ restart  chat                    model.hf ggml-org/tiny:Q8_0 -> ggml-org/typo:Q8_0; about [TIME] down (last load [TIME])

    Plan: 1 to fetch, 1 to restart.
    --- stderr
         ... fetch    chat
      failed fetch    chat                    cannot fetch the model of `chat`: exited with code 1: error: HTTP error 404: no such repository
     skipped restart  chat                    it needs chat
    hint: all it said is in `[ROOT]/.llama-orch/instances/chat/fetch.log`; what runs goes on

    Applied in [TIME]: 0 done, 1 failed, 1 not tried.
    ");
    assert_eq!(sandbox.servers(), [before]);
}

#[test]
fn a_build_that_knows_no_offline_fetches_while_it_starts() {
    let sandbox = by_name("--standin-without --offline\n");
    sandbox.write("download", "ok");
    let output = sandbox.run(&["apply"]);
    output.assert_code(0).assert_says(
        "chat: b1001 cannot be told to use what was fetched before; the model is fetched when the server starts",
    );
    assert!(!arguments(&sandbox).contains("--offline"));
    sandbox.edit("ggml-org/tiny", "ggml-org/other");
    sandbox.run(&["plan"]).assert_says(
        "  ? warning  chat                    ggml-org/other:Q8_0 is fetched while it is down: b1001 does not know `--offline`",
    );
}

#[test]
fn a_fetch_ends_with_the_pass_that_wanted_it() {
    let sandbox = by_name("");
    let apply = sandbox.spawn(&["apply"]);
    is_fetching(&sandbox, "ggml-org/tiny");
    let pid = rustix::process::Pid::from_raw(apply.id().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is ours");
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    output.assert_code(130);
    sandbox.wait("nothing is left", || sandbox.servers().is_empty());
}

#[test]
fn a_fetch_that_outlives_its_pass_is_ended_by_the_next_one() {
    let sandbox = by_name("");
    let mut apply = sandbox.spawn(&["apply"]);
    is_fetching(&sandbox, "ggml-org/tiny");
    apply.kill().expect("it was started");
    apply.wait().expect("it ends");
    let stray = sandbox.servers();
    sandbox.write("download", "ok");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(sandbox.servers(), [sandbox.pid("chat")]);
    assert_ne!(sandbox.servers(), stray);
}

#[test]
fn whoever_puts_it_down_meanwhile_ends_the_fetch() {
    let sandbox = by_name("");
    let apply = sandbox.spawn(&["apply"]);
    is_fetching(&sandbox, "ggml-org/tiny");
    sandbox.run(&["down", "chat"]).assert_code(0);
    let output = Output::from(apply.wait_with_output().expect("it ends"));
    output.assert_says("put down meanwhile");
    assert!(sandbox.servers().is_empty());
}
