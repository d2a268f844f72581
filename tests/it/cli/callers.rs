//! `apply`, called in all the ways in which programs are called: the server comes up, lives on once
//! the caller is gone, and ends when it is asked to.

use std::process::{Child, Command, Stdio};

use llama_orch::durable;
use llama_orch::instance::state::{self, Exit, ExitRecord, Phase};

use crate::support::sandbox::{Output, Sandbox, is_alive, kill};

/// What stands in a line of `/proc/<pid>/status` behind this name.
fn status(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("readable");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.expect("it is listed").trim().to_owned()
}

/// The session of a process and its terminal: fields 6 and 7 of `/proc/<pid>/stat`.
fn session_and_terminal(pid: u32) -> (u32, u32) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("readable");
    let after = text.rsplit(')').next().expect("a name in parentheses");
    let field = |at: usize| {
        let field = after.split_whitespace().nth(at).expect("long enough");
        field.parse().expect("a number")
    };
    (field(3), field(4))
}

/// `sh` in the root with this script, which finds the program's call in `$APPLY`.
fn shell(sandbox: &Sandbox, script: &str) -> Command {
    let apply = format!(
        "{} --root {} apply",
        env!("CARGO_BIN_EXE_llama-orch"),
        sandbox.root
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .current_dir(&sandbox.root)
        .env("APPLY", apply)
        .env_remove("LLAMA_ORCH_ROOT")
        .stdin(Stdio::null());
    command
}

/// What holds of a supervisor and its server however they were started.
#[track_caller]
fn assert_detached(sandbox: &Sandbox, server: u32) {
    let supervisor = sandbox.supervisor("chat");
    for pid in [supervisor, server] {
        assert_eq!(
            session_and_terminal(pid),
            (supervisor, 0),
            "its own session"
        );
        assert_eq!(status(pid, "SigBlk:"), "0000000000000000");
        // All that the callers here ignore; this program ignores SIGPIPE by itself.
        let ignored = u64::from_str_radix(&status(pid, "SigIgn:"), 16).expect("a mask");
        let asked = [
            libc::SIGHUP,
            libc::SIGINT,
            libc::SIGTERM,
            libc::SIGCHLD,
            libc::SIGUSR1,
        ];
        for signal in asked {
            assert_eq!(ignored & (1 << (signal - 1)), 0, "signal {signal} of {pid}");
        }
        assert_eq!(status(pid, "Umask:"), "0022");
    }
    assert_eq!(status(server, "PPid:"), supervisor.to_string());
}

/// Calls `apply` so, and looks at what has come of it.
#[track_caller]
fn comes_up_and_lives_on(script: &str) {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let output = Output::of(&mut shell(&sandbox, script));
    output.assert_code(0);
    let server = sandbox.wait_running("chat");
    assert_detached(&sandbox, server);

    sandbox.run(&["down", "chat", "--quiet"]).assert_code(0);
    assert!(!is_alive(server));
    let exit: Option<ExitRecord> =
        durable::read_json(&sandbox.folder("chat").exit(), state::SCHEMA).expect("readable");
    let exit = exit.expect("written").exit;
    assert_eq!(exit, Exit::Code(0), "it has heard SIGTERM");
}

#[test]
fn from_a_shell() {
    comes_up_and_lives_on("$APPLY");
}

#[test]
fn from_cron_without_a_home_and_with_everything_closed() {
    comes_up_and_lives_on("exec env -i PATH=/usr/bin:/bin $APPLY <&- >&- 2>&-");
}

#[test]
fn under_nohup() {
    comes_up_and_lives_on("nohup $APPLY >/dev/null 2>&1");
}

#[test]
fn with_signals_ignored() {
    comes_up_and_lives_on("trap '' HUP INT TERM CHLD USR1; exec $APPLY");
}

#[test]
fn with_signals_blocked() {
    comes_up_and_lives_on("exec env --block-signal=HUP,INT,TERM,CHLD,USR1 $APPLY");
}

#[test]
fn with_few_descriptors() {
    comes_up_and_lives_on("ulimit -n 32; exec $APPLY");
}

#[test]
fn with_a_strict_file_mode_mask() {
    comes_up_and_lives_on("umask 077; exec $APPLY");
}

#[test]
fn from_a_folder_that_is_gone() {
    comes_up_and_lives_on("mkdir gone && cd gone && rmdir ../gone && exec $APPLY");
}

/// `script` runs a shell at a terminal of its own, as `sshd` does; when it is killed the terminal
/// is gone, and the kernel sends SIGHUP to whoever sat at it. That is heard even where the tests run under `nohup`.
struct Terminal(Child);

impl Terminal {
    fn open(sandbox: &Sandbox, script: &str) -> Self {
        let mut command = shell(
            sandbox,
            r#"exec env --default-signal=HUP script -qefc "$0" /dev/null"#,
        );
        command.arg(script).stdout(Stdio::null());
        Self(command.spawn().expect("it starts"))
    }

    fn hang_up(&mut self) {
        kill(self.0.id());
        self.0.wait().expect("waited for");
    }
}

#[test]
fn at_a_terminal_that_hangs_up_afterwards() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let mut terminal = Terminal::open(&sandbox, "$APPLY; echo $$ > shell; exec sleep 600");
    let shell = sandbox.path("shell");
    sandbox.wait("apply is done", || {
        std::fs::read_to_string(&shell).is_ok_and(|text| text.ends_with('\n'))
    });
    let at_terminal = sandbox.read("shell").trim().parse().expect("a pid");
    let server = sandbox.wait_running("chat");
    assert_detached(&sandbox, server);
    assert_ne!(session_and_terminal(at_terminal).1, 0);

    terminal.hang_up();

    sandbox.wait("who sat at it has ended", || !is_alive(at_terminal));
    assert_eq!(sandbox.wait_running("chat"), server);
    assert!(is_alive(server) && is_alive(sandbox.supervisor("chat")));
}

#[test]
fn at_a_terminal_that_hangs_up_while_the_model_loads() {
    let mut sandbox = Sandbox::new();
    sandbox.publish(1001, "--standin-load-seconds 1.5");
    sandbox.write_instances(&[("chat", 1001)]);
    let mut terminal = Terminal::open(&sandbox, "echo $$ > shell; exec $APPLY");
    sandbox.wait("it loads", || {
        sandbox
            .state("chat")
            .is_some_and(|state| matches!(state.phase, Phase::Starting { bound: Some(_) }))
    });
    let apply = sandbox.read("shell").trim().parse().expect("a pid");
    let server = sandbox.pid("chat");

    terminal.hang_up();

    sandbox.wait("apply has ended", || !is_alive(apply));
    assert_eq!(sandbox.wait_running("chat"), server, "its gate went on");
    assert_detached(&sandbox, server);
}
