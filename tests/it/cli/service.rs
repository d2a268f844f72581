//! `service`, and what watch tells the manager it was started by. With a real manager of a user where
//! `LLAMA_ORCH_SYSTEMD_USER` names a program that runs a script with one (see `services`); where it is unset those
//! stories say that they were skipped.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::process::Signal;

use crate::support::sandbox::{Sandbox, is_alive, signal};
use crate::support::watching::Watching;

/// Words of the shell that the scripts below share.
const WORDS: &str = r#"
until_so() { for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "never: $*"; exit 1; }
runs() { grep -q '"is": *"running"' "$ROOT/.llama-orch/instances/$1/state.json"; }
all_run() { runs chat && runs embed; }
below() {
  for process in /proc/[0-9]*; do
    case "$(readlink "$process/exe")" in "$ROOT/$1"/*) echo "${process#/proc/}" ;; esac
  done
}
watch_pid() { systemctl --user show --property=MainPID --value llama-orch; }
"#;

/// What every pass came to.
const HISTORY: &str = ".llama-orch/history.jsonl";

/// A root, and where what a manager did with it is noted.
struct Managed {
    sandbox: Sandbox,
    home: Utf8PathBuf,
    tool: std::ffi::OsString,
}

impl Managed {
    fn new(sandbox: Sandbox) -> Option<Self> {
        let Some(tool) = std::env::var_os("LLAMA_ORCH_SYSTEMD_USER") else {
            println!("skipped: LLAMA_ORCH_SYSTEMD_USER is not set");
            return None;
        };
        let home = sandbox.root.parent().expect("it has one").join("systemd");
        std::fs::create_dir_all(&home).expect("created");
        Some(Self {
            sandbox,
            home,
            tool,
        })
    }

    /// Runs a script in the root with a manager that ends after it. `orch` is the program, and `$NOTES` a folder.
    #[track_caller]
    fn run(&self, script: &str) {
        let (root, home) = (&self.sandbox.root, &self.home);
        let program = env!("CARGO_BIN_EXE_llama-orch");
        let script = format!(
            "ROOT={root}; NOTES={home}; cd $ROOT\norch() {{ {program} \"$@\"; }}\n{WORDS}\n{script}"
        );
        let output = Command::new(&self.tool)
            .args([home.as_str(), &script])
            .output()
            .expect("the manager's program is there");
        let said = String::from_utf8_lossy(&output.stdout);
        let manager = std::fs::read_to_string(home.join("manager.log")).unwrap_or_default();
        assert!(output.status.success(), "{said}\n{manager}");
    }

    /// What a script has noted.
    #[track_caller]
    fn note(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.join(name)).expect("noted")
    }

    fn unit(&self) -> Utf8PathBuf {
        self.home
            .join("home/.config/systemd/user/llama-orch.service")
    }
}

#[test]
fn an_installed_service_is_reloaded_restarted_and_taken_away_and_no_server_is_touched() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    let Some(managed) = Managed::new(sandbox) else {
        return;
    };
    managed.run(
        r#"
orch service install --user -- --no-page >$NOTES/installed 2>&1; echo $? >$NOTES/code
systemd-analyze --user --man=no verify "$XDG_CONFIG_HOME/systemd/user/llama-orch.service" >$NOTES/verified 2>&1
until_so all_run; below bins >$NOTES/first
orch service install --user -- --no-page >$NOTES/again 2>&1
watch_pid >$NOTES/watch.first
systemctl --user reload llama-orch
systemctl --user kill --kill-whom=main --signal=HUP llama-orch
until_so systemctl --user is-active llama-orch
systemctl --user show --property=StatusText --value llama-orch >$NOTES/status
systemctl --user restart llama-orch; watch_pid >$NOTES/watch.second; below bins >$NOTES/restarted
orch service install --user -- --no-page --offline >$NOTES/changed 2>&1; below bins >$NOTES/upgraded
systemctl --user stop llama-orch; below bins >$NOTES/stopped
systemctl --user start llama-orch
orch service uninstall --user >$NOTES/uninstalled 2>&1; below bins >$NOTES/left
systemctl --user is-enabled llama-orch >$NOTES/enabled 2>&1
orch watch --once --quiet
orch down --all --quiet
"#,
    );
    let installed = managed.note("installed");
    assert_eq!(managed.note("code").trim(), "0", "{installed}");
    assert!(
        installed.contains("started llama-orch.service"),
        "{installed}"
    );
    assert_eq!(managed.note("verified"), "", "nothing to complain of");
    assert!(managed.note("again").contains("is as it should be"));
    assert_eq!(managed.note("status").trim(), "2 of 2 instances well");
    assert_ne!(managed.note("watch.first"), managed.note("watch.second"));
    let changed = managed.note("changed");
    assert!(changed.contains("--no-page --offline"), "{changed}");
    let servers = managed.note("first");
    assert_eq!(servers.lines().count(), 2, "{servers}");
    for later in ["restarted", "upgraded", "stopped", "left"] {
        assert_eq!(managed.note(later), servers, "{later}");
    }
    assert!(managed.note("uninstalled").contains("servers go on"));
    assert!(!managed.unit().exists());
    assert_ne!(managed.note("enabled").trim(), "enabled");
}

#[test]
fn after_a_reboot_everything_wanted_comes_up_once_and_in_order() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.edit("  chat:\n", "  chat:\n    depends_on: [embed]\n");
    let Some(managed) = Managed::new(sandbox) else {
        return;
    };
    managed.run(
        r#"
orch service install --user -- --no-page >$NOTES/installed 2>&1
until_so all_run; below bins >$NOTES/before
systemctl --user stop llama-orch
kill -9 $(below .llama-orch/supervisors); kill -9 $(below bins)
gone() { [ -z "$(below bins)" ]; }; until_so gone
"#,
    );
    let before = managed.sandbox.read(HISTORY);
    // What begins with the machine, and nothing that was typed.
    managed.run(
        r#"
systemctl --user start default.target
fresh() { [ $(below bins | wc -l) = 2 ] && all_run; }; until_so fresh
until_so sh -c 'systemctl --user show --property=StatusText llama-orch | grep -q 2.of.2'
below bins >$NOTES/after
for name in embed chat; do
  pid=$(for it in $(below bins); do grep -qaz "^$name$" /proc/$it/cmdline && echo $it; done)
  sed 's/.*) //' /proc/$pid/stat | cut -d' ' -f20
done >$NOTES/began
systemctl --user stop llama-orch
orch down --all --quiet
"#,
    );
    let (earlier, later) = (managed.note("before"), managed.note("after"));
    for pid in later.lines() {
        assert!(!earlier.lines().any(|old| old == pid), "{pid} is new");
    }
    let began: Vec<u64> = managed
        .note("began")
        .lines()
        .map(|line| line.trim().parse().expect("a time"))
        .collect();
    assert!(
        began[0] <= began[1],
        "embed before chat, which needs it: {began:?}"
    );
    let after = managed.sandbox.read(HISTORY);
    let passes = after.strip_prefix(&before).expect("it is only added to");
    for name in ["chat", "embed"] {
        let starts = passes
            .matches(&format!(r#""start","subject":"{name}""#))
            .count();
        assert_eq!(starts, 1, "{name} is started once: {passes}");
    }
}

#[test]
fn a_service_has_begun_before_its_servers_have_loaded() {
    let sandbox = Sandbox::with(&[], &[("chat", 1001)]);
    sandbox.publish(1001, "--standin-never-ready\n");
    sandbox.edit("interval: 100ms", "interval: 100ms, start_period: 30s");
    let Some(managed) = Managed::new(sandbox) else {
        return;
    };
    // systemd gives a start up after `TimeoutStartSec`, and models may load for longer.
    managed.run(
        r#"
orch service install --user -- --no-page >$NOTES/installed 2>&1; echo $? >$NOTES/code
systemctl --user is-active llama-orch >$NOTES/active
begun() { grep -q '"is": *"starting"' .llama-orch/instances/chat/state.json; }; until_so begun
systemctl --user stop llama-orch
orch down --all --quiet
"#,
    );
    assert_eq!(
        managed.note("code").trim(),
        "0",
        "{}",
        managed.note("installed")
    );
    assert_eq!(managed.note("active").trim(), "active");
}

#[test]
fn a_unit_that_somebody_else_wrote_or_that_keeps_another_root_is_left_alone() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let Some(managed) = Managed::new(sandbox) else {
        return;
    };
    managed.run(
        r#"
unit=$XDG_CONFIG_HOME/systemd/user/llama-orch.service
for text in '[Service]' '# Written by llama-orch for /srv/other'; do
  echo "$text" >$unit
  orch service install --user --no-start 2>&1; echo "code $?"
  orch service uninstall --user 2>&1; echo "code $?"
  cat $unit
done >$NOTES/refused
orch service install --user --no-start --name other >$NOTES/beside 2>&1; echo $? >$NOTES/code
systemctl --user is-enabled other.service >$NOTES/enabled
orch service uninstall --user --name other
for options in --once --nonsense '-C /srv'; do
  orch service install --user --name odd -- $options 2>&1; echo "code $?"
done >$NOTES/options
"#,
    );
    let refused = managed.note("refused");
    assert_eq!(refused.matches("code 73").count(), 4, "{refused}");
    assert_eq!(refused.matches("--name").count(), 4, "{refused}");
    assert!(refused.contains("keeps another root, `/srv/other`"));
    assert!(refused.ends_with("# Written by llama-orch for /srv/other\n"));
    assert_eq!(
        managed.note("code").trim(),
        "0",
        "{}",
        managed.note("beside")
    );
    assert_eq!(managed.note("enabled").trim(), "enabled");
    let options = managed.note("options");
    assert_eq!(options.matches("code 64").count(), 3, "{options}");
    assert!(options.contains("has to go on watching"), "{options}");
    assert!(!managed.unit().with_file_name("odd.service").exists());
    assert!(managed.sandbox.servers().is_empty(), "nothing was started");
}

/// A manager of the test's own. It reads at once whatever it is told: a queue that is full would hold watch up.
pub(super) fn listener(sandbox: &Sandbox) -> (Receiver<String>, Utf8PathBuf) {
    let path = sandbox.root.parent().expect("it has one").join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    let (told, heard) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(size) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
            if told.send(text).is_err() {
                break;
            }
        }
    });
    (heard, path)
}

/// Waits until something of this kind is told, and returns it.
#[track_caller]
pub(super) fn told(heard: &Receiver<String>, kind: &str) -> String {
    loop {
        let text = heard.recv_timeout(Duration::from_mins(1)).expect(kind);
        if text.lines().any(|line| line.starts_with(kind)) {
            return text;
        }
    }
}

#[test]
fn watch_tells_its_manager_what_it_is_at_and_nobody_it_starts_can() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let (heard, path) = listener(&sandbox);
    sandbox.set("NOTIFY_SOCKET", path.as_str());
    sandbox.set("WATCHDOG_USEC", "200000");
    let watching = Watching::start(&sandbox, &[]);
    told(&heard, "READY=1");
    told(&heard, "STATUS=1 of 1 instances well");
    told(&heard, "WATCHDOG=1");
    signal(watching.pid(), Signal::HUP);
    let reloading = told(&heard, "RELOADING=1");
    assert!(
        reloading.contains("MONOTONIC_USEC="),
        "in the same message: {reloading}"
    );
    told(&heard, "READY=1");
    let chat = sandbox.wait_running("chat");
    for pid in [chat, sandbox.supervisor("chat")] {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("readable");
        let environment = String::from_utf8_lossy(&environment).into_owned();
        for name in ["NOTIFY_SOCKET", "WATCHDOG_"] {
            assert!(!environment.contains(name), "{pid}: {environment}");
        }
    }
    assert_eq!(watching.end(Signal::TERM), Some(0));
    told(&heard, "STOPPING=1");
    assert!(is_alive(chat), "servers go on");
}

#[test]
fn a_service_that_could_not_begin_is_not_installed() {
    let sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    sandbox.write("token", "s3cret-of-sixteen\n");
    let cases: [(&[&str], &str); 3] = [
        (&["--listen", "0.0.0.0:9930"], "--allow-public"),
        (
            &["--listen", "0.0.0.0:9930", "--allow-public"],
            "--token-file",
        ),
        (&["--token-file", "gone"], "gone"),
    ];
    for (options, word) in cases {
        let arguments = [&["service", "install", "--user", "--"], options].concat();
        let refused = sandbox.run(&arguments);
        refused.assert_says(word);
        assert!(
            refused.code != Some(0) && !refused.says("wrote"),
            "{options:?}"
        );
    }
}
