//! Options and devices are checked against the very build before anything stops.

use insta::assert_snapshot;
use llama_orch::install::uninstall;

use crate::support::sandbox::{Sandbox, is_alive};

const KEPT: &str = ".llama-orch/cache/builds";

#[test]
fn an_option_the_new_build_does_not_know_stops_nothing() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.edit("    server:", "    args: [--jinja, --no-mmap]\n    server:");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = sandbox.pid("chat");
    sandbox.publish(1002, "--standin-without --jinja\n");
    sandbox.edit("b1001", "b1002");
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 1
    --- stdout
      + install  b1002 [CPU]           [SIZE] download, not installed
    -/+ restart  chat                    binary b1001 -> b1002; about [TIME] down (last load [TIME])

    Plan: 1 to install, 1 to restart.
    --- stderr
         ... install  b1002 [CPU]
          ok install  b1002 [CPU]           [TIME]
         ... restart  chat
      failed restart  chat                    cannot start `chat`: b1002 does not know the option `--jinja` of `args`
    hint: what runs goes on; change the option, or pin another build

    Applied in [TIME]: 1 done, 1 failed.
    ");
    assert!(is_alive(before));
    assert_eq!(sandbox.servers(), [before]);
    // What the build said is known from now on.
    assert_snapshot!(sandbox.run(&["plan"]), @r"
    exit code 1
    --- stdout
      x blocked  chat                    b1002 does not know the option `--jinja` of `args`

    Plan: nothing to do; 1 blocked.
    ");
    let json = sandbox.run(&["plan", "--json"]);
    json.assert_says(r#""reason": "unknown_option""#);
    sandbox.edit("[--jinja, --no-mmap]", "[--no-mmap]");
    sandbox.run(&["apply"]).assert_code(0);
    assert_eq!(sandbox.runs("chat"), "b1002");
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("200 OK"));
}

#[test]
fn a_build_that_was_installed_before_is_asked_before_it_is_started() {
    let sandbox = Sandbox::applied(&[1001], &[("chat", 1001)]);
    let before = sandbox.pid("chat");
    std::fs::remove_dir_all(sandbox.path(KEPT)).expect("it was asked");
    sandbox.edit("    server:", "    args: [--ctx-szie, \"64\"]\n    server:");
    sandbox.run(&["plan"]).assert_code(0);
    assert!(!sandbox.path(KEPT).exists(), "looking asks nobody");
    let output = sandbox.run(&["apply", "--yes"]);
    output.assert_code(1).assert_says(
        "b1001 does not know the option `--ctx-szie` of `args` (did you mean `--ctx-size`?)",
    );
    assert_eq!(sandbox.servers(), [before]);
}

#[test]
fn a_device_that_is_not_there_stops_nothing() {
    let mut sandbox = Sandbox::new();
    let devices = sandbox.path("devices");
    sandbox.publish(1001, &format!("--standin-devices {devices}\n"));
    sandbox.write_instances(&[("chat", 1001)]);
    let two = "  Vulkan0: AMD Radeon (8192 MiB, 8000 MiB free)\n  Vulkan1: llvmpipe\n";
    sandbox.write("devices", two);
    sandbox.edit(
        "    server:",
        "    gpu: { backend: vulkan, device_id: 1 }\n    server:",
    );
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = sandbox.pid("chat");
    sandbox.edit("device_id: 1", "device_id: 2");
    assert_snapshot!(sandbox.run(&["apply"]), @r"
    exit code 1
    --- stdout
      x blocked  chat                    b1001 sees no device `Vulkan2` here; it sees Vulkan0, Vulkan1

    Plan: nothing to do; 1 blocked.
    ");
    assert_eq!(sandbox.servers(), [before]);
    // The card is plugged in, and the list is no longer young enough to be taken at its word.
    sandbox.write("devices", &format!("{two}  Vulkan2: AMD Radeon\n"));
    let kept = sandbox.path(KEPT).read_dir_utf8().expect("it was asked");
    let kept = kept.flatten().next().expect("one build").path().to_owned();
    let text = std::fs::read_to_string(&kept).expect("readable");
    let mut said: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    said["devices"]["at"] = "2026-01-01T00:00:00Z".into();
    std::fs::write(&kept, said.to_string()).expect("written");
    sandbox.run(&["apply"]).assert_code(0);
    assert_ne!(sandbox.pid("chat"), before);
}

#[test]
fn what_a_build_said_goes_with_it() {
    let mut sandbox = Sandbox::applied(&[1001, 1002], &[("chat", 1001)]);
    let kept = |sandbox: &Sandbox| {
        let folder = sandbox.path(KEPT).read_dir_utf8();
        folder.expect("it was asked").count()
    };
    sandbox.write_instances(&[("chat", 1002)]);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(kept(&sandbox), 2);
    std::fs::write(sandbox.path(KEPT).join("stray.json"), "{}").expect("written");
    let gone = sandbox.build_folder(1001);
    let gone = gone.file_name().expect("it has one").parse();
    let gone = gone.expect("a UUID");
    uninstall(&sandbox.path("bins"), gone).expect("uninstalled");
    sandbox.run(&["apply", "--quiet"]);
    assert_eq!(kept(&sandbox), 1);
}

#[test]
fn a_real_build_knows_every_option_of_ours_and_no_other() {
    let Some(mut sandbox) = super::real::real(9001) else {
        return;
    };
    let known = "[--jinja, -fa, off, --cache-type-k, f16, --metrics, --sleep-idle-seconds, \"-1\", --reverse-prompt, -x]";
    let args = format!("    args: {known}\n    server:");
    sandbox.edit("    server:", &args);
    sandbox.edit(
        "context_size: 256",
        "context_size: 256, batch_size: 64, threads: 2",
    );
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let before = sandbox.pid("chat");
    sandbox.edit("[--jinja,", "[--jinja, --draft-max, \"8\", --flash,");
    let output = sandbox.run(&["apply", "--yes"]);
    output.assert_code(1).assert_says(
        "b9001 does not know the options `--draft-max` of `args` (did you mean `--spec-draft-n-max`?), `--flash` of `args` (did you mean `--flash-attn`?)",
    );
    assert_eq!(sandbox.servers(), [before]);
    assert!(sandbox.ask("chat", "GET", "/health", "").contains("200 OK"));
}
