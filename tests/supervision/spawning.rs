//! What a server is given: its environment, its descriptors, its folder, its log.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use llama_orch::durable::FileLock;
use llama_orch::instance::EnvironmentValue;
use llama_orch::instance::state::Phase;

use crate::sandbox::{Sandbox, server_pid};

fn environment(pid: u32) -> BTreeSet<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/environ")).expect("readable");
    text.split('\0')
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_server_gets_what_is_written_and_a_few_names_and_nothing_else() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LLAMA_ARG_CTX_SIZE", "99");
    sandbox.set("HF_HOME", "/srv/hf");
    sandbox.set("HTTPS_PROXY", "http://proxy");
    sandbox.set("SECRET_OF_SHELL", "shell");
    sandbox.set("GIVEN", "given");
    std::fs::write(sandbox.root.join("key"), "from a file\n").expect("written");
    let mut launch = sandbox.build(9001, "");
    let own = [
        ("LITERAL", EnvironmentValue::Literal("literal".to_owned())),
        ("FROM_FILE", EnvironmentValue::File("key".into())),
        ("FROM_ENV", EnvironmentValue::FromEnv("GIVEN".to_owned())),
    ];
    launch.launch.environment = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    sandbox.start(&launch, None);
    let state = sandbox.wait_running();

    let environment = environment(server_pid(&state));
    let nonce = state.server.expect("recorded").nonce;
    let libraries = format!("LD_LIBRARY_PATH={}/bins/b9001", sandbox.root);
    for wanted in [
        "LITERAL=literal",
        "FROM_FILE=from a file",
        "FROM_ENV=given",
        "HF_HOME=/srv/hf",
        "HTTPS_PROXY=http://proxy",
        &format!("LLAMA_ORCH_NONCE={nonce}"),
        &libraries,
    ] {
        assert!(
            environment.contains(wanted),
            "{wanted} is missing in {environment:?}"
        );
    }
    for stray in ["LLAMA_ARG_", "SECRET_OF_SHELL", "GIVEN=", "CARGO"] {
        assert!(
            !environment.iter().any(|entry| entry.starts_with(stray)),
            "{stray}"
        );
    }
}

#[test]
fn a_variable_that_cannot_be_had_fails_the_launch_by_its_name() {
    let sandbox = Sandbox::new();
    let mut launch = sandbox.build(9001, "");
    let value = EnvironmentValue::FromEnv("NOBODY_SETS_THIS".to_owned());
    launch.launch.environment.insert("TOKEN".to_owned(), value);
    sandbox.start(&launch, None);
    let state = sandbox.wait_for("failed", |state| state.phase == Phase::Failed);
    assert_eq!(
        state.failed.expect("recorded").failure.reason,
        "`NOBODY_SETS_THIS`, which gives `TOKEN` its value, is not set where the supervisor was started",
    );
}

#[test]
fn no_descriptor_of_the_caller_reaches_supervisor_or_server() {
    let sandbox = Sandbox::new();
    let path = sandbox.root.join("callers.lock");
    let lock = FileLock::try_take(&path)
        .expect("taken")
        .expect("it is free");
    // As a shell would with `exec 9>callers.lock`: open in whatever is executed.
    rustix::io::fcntl_setfd(lock.file(), rustix::io::FdFlags::empty()).expect("set");
    sandbox.start(&sandbox.build(9001, ""), None);
    let state = sandbox.wait_running();

    for pid in [server_pid(&state), state.supervisor.pid] {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("readable")
            .flatten()
        {
            let target = std::fs::read_link(entry.path()).expect("readable");
            assert_ne!(
                target,
                path.as_std_path(),
                "descriptor {:?}",
                entry.file_name()
            );
        }
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("readable");
        let wanted = if pid == state.supervisor.pid {
            "/"
        } else {
            sandbox.root.as_str()
        };
        assert_eq!(folder.to_str(), Some(wanted));
    }
    drop(lock);
    let again = FileLock::try_take(&path).expect("readable");
    assert!(
        again.is_some(),
        "the lock is free as soon as the caller lets go of it"
    );
}

#[test]
fn the_output_goes_to_a_log_of_the_owners_that_a_restart_appends_to() {
    let sandbox = Sandbox::new();
    sandbox.start(&sandbox.build(9001, "--standin-say first"), None);
    sandbox.wait_running();
    sandbox.start(&sandbox.build(9002, "--standin-say second"), None);
    sandbox.wait_running();
    let log = sandbox.folder.server_log();
    let text = std::fs::read_to_string(&log).expect("readable");
    assert!(
        text.contains("first\n") && text.contains("second\n"),
        "{text}"
    );
    let mode = std::fs::metadata(&log)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
