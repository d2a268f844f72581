//! `apply` as a systemd service, under a real manager of a user. `LLAMA_ORCH_SYSTEMD_USER` names a
//! program that runs a script with such a manager: `PROGRAM FOLDER SCRIPT`, units in
//! `FOLDER/home/.config/systemd/user`. Where it is unset these tests say that they were skipped.

use std::process::Command;

use camino::Utf8PathBuf;
use llama_orch::durable;
use llama_orch::instance::record::{self, Record};

use crate::support::sandbox::Sandbox;

/// What a service of this root came to.
struct Story {
    /// What `systemctl start` came to.
    code: i32,
    /// What `apply` said in it.
    said: String,
    /// The servers and their control groups, while it ran.
    before: Vec<(String, String)>,
    /// The same, once it was stopped.
    after: Vec<(String, String)>,
}

/// Runs `apply` as `orch.service` with these settings, stops that, and puts everything down.
fn applied_as_a_service(sandbox: &Sandbox, settings: &str) -> Option<Story> {
    let Some(tool) = std::env::var_os("LLAMA_ORCH_SYSTEMD_USER") else {
        println!("skipped: LLAMA_ORCH_SYSTEMD_USER is not set");
        return None;
    };
    let home: Utf8PathBuf = sandbox.root.parent().expect("it has one").join("systemd");
    let units = home.join("home/.config/systemd/user");
    std::fs::create_dir_all(&units).expect("created");
    let (root, program) = (&sandbox.root, env!("CARGO_BIN_EXE_llama-orch"));
    let unit = format!(
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nWorkingDirectory={root}\n\
         ExecStart={program} apply\nStandardError=file:{home}/said\n{settings}\n"
    );
    std::fs::write(units.join("orch.service"), unit).expect("written");
    let script = format!(
        r#"
servers() {{
  for process in /proc/[0-9]*; do
    case "$(readlink "$process/exe")" in
      {root}/bins/*) echo "${{process#/proc/}} $(grep -a name=systemd: "$process/cgroup")" ;;
    esac
  done
}}
systemctl --user start orch.service; echo $? > {home}/code
servers > {home}/before
systemctl --user stop orch.service
servers > {home}/after
cd {root} && {program} down --all --quiet
"#
    );
    let status = Command::new(tool)
        .args([home.as_str(), &script])
        .status()
        .expect("the manager's program is there");
    let read = |name: &str| std::fs::read_to_string(home.join(name)).expect("written");
    assert!(status.success(), "{}", read("said"));
    let servers = |name: &str| {
        let split = |line: &str| {
            let (pid, groups) = line.split_once(' ').expect("two words");
            (pid.to_owned(), groups.to_owned())
        };
        read(name).lines().map(split).collect()
    };
    Some(Story {
        code: read("code").trim().parse().expect("a code"),
        said: read("said"),
        before: servers("before"),
        after: servers("after"),
    })
}

#[test]
fn servers_that_a_service_has_started_outlive_it_in_scopes_of_their_own() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let Some(story) = applied_as_a_service(&sandbox, "") else {
        return;
    };
    assert_eq!(story.code, 0, "{}", story.said);
    let remark = "`orch.service` ends every process in it when it stops";
    assert_eq!(story.said.matches(remark).count(), 1, "{}", story.said);
    assert_eq!(story.before.len(), 2, "{}", story.said);
    for name in ["chat", "embed"] {
        let is_its = |(_, groups): &&(String, String)| {
            let (_, unit) = groups.rsplit_once('/').expect("a path");
            unit.starts_with("llama-orch-") && unit.contains(&format!("-{name}-"))
        };
        assert_eq!(
            story.before.iter().filter(is_its).count(),
            1,
            "{:?}",
            story.before
        );
    }
    assert_eq!(
        story.after, story.before,
        "nobody was ended, nobody restarted"
    );
}

#[test]
fn servers_of_a_service_that_spares_its_processes_stay_in_it() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let Some(story) = applied_as_a_service(&sandbox, "KillMode=process") else {
        return;
    };
    assert_eq!(story.code, 0, "{}", story.said);
    assert!(!story.said.contains("scope"), "{}", story.said);
    let [(_, groups)] = story.before.as_slice() else {
        panic!("{:?}", story.before)
    };
    assert!(groups.ends_with("/orch.service"), "{groups}");
    assert_eq!(
        story.after, story.before,
        "nobody was ended, nobody restarted"
    );
}

#[test]
fn a_service_that_cannot_be_left_starts_nothing_and_says_what_to_write_into_it() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let tools = sandbox.root.join("tools");
    std::fs::create_dir(&tools).expect("created");
    std::os::unix::fs::symlink("/usr/bin/systemctl", tools.join("systemctl")).expect("linked");
    let Some(story) = applied_as_a_service(&sandbox, &format!("Environment=PATH={tools}")) else {
        return;
    };
    assert_eq!(story.code, 1, "{}", story.said);
    let why = "`orch.service` ends every process in it when it stops, and no scope can be had outside of it";
    assert!(story.said.contains(why), "{}", story.said);
    let hint = "write `KillMode=process` into the section `[Service]` of `orch.service`, with `systemctl --user edit orch.service`";
    assert!(story.said.contains(hint), "{}", story.said);
    assert_eq!(story.before, []);
    let record: Option<Record> =
        durable::read_json(&sandbox.folder("chat").record(), record::SCHEMA).expect("readable");
    let wanted = record.and_then(|record| record.wanted);
    assert_eq!(wanted, None, "nothing is written down as started");
}
