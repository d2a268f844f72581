//! The notifier with commands that are slow, loud, failing or deaf.

#![expect(
    clippy::disallowed_methods,
    reason = "looks at what commands have written, and waits for it"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};

use super::*;
use crate::watch::notice::NoticeKind;

const QUICK: Limits = Limits {
    run: Duration::from_secs(20),
    ending: Duration::from_millis(100),
    pauses: [Duration::from_millis(10), Duration::from_millis(10)],
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A root with a command in it.
struct Bench {
    root: Utf8PathBuf,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("UTF-8");
        let bench = Self {
            root,
            _folder: folder,
        };
        bench.script(script);
        bench
    }

    /// Puts another script in place of the command, in one instant.
    fn script(&self, script: &str) {
        let new = self.root.join("new.sh");
        std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&new, mode).expect("set");
        std::fs::rename(&new, self.root.join("notify.sh")).expect("renamed");
    }

    fn start(&self, limits: Limits) -> Notifier {
        Notifier::within(&Root::new(&self.root), limits)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.join(name)).unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        self.root.join(name).exists()
    }
}

/// The interpreter reads the script: executing a file that was just written may fail while another test is
/// between its fork and its exec.
fn command() -> Vec<String> {
    ["sh", "notify.sh", "argument"].map(str::to_owned).into()
}

fn notice(kind: NoticeKind, text: &str) -> Notice {
    Notice {
        schema: 1,
        at: "2026-11-28T02:15:00Z".to_owned(),
        kind,
        subject: "chat".to_owned(),
        code: "unresponsive".to_owned(),
        text: text.to_owned(),
        root: "/srv/llama".to_owned(),
        version: "0.1.0".to_owned(),
        commit: None,
        details: None,
    }
}

fn held(text: &str) -> Vec<Notice> {
    vec![notice(NoticeKind::Held, text)]
}

fn on_a_runtime<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(story)
}

async fn wait(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is there and not merely waited for.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn is_linux() -> bool {
    Utf8Path::new("/proc/self/stat").exists()
}

#[test]
fn a_command_gets_one_notice_as_one_line_in_the_root() {
    let bench = Bench::new("cat >> got; pwd > where; echo \"$1\" > argument; env > environment");
    on_a_runtime(async {
        let notifier = bench.start(QUICK);
        let mut notices = held("one");
        notices.extend(held("two"));
        notifier.tell(&command(), notices.clone());
        notifier.finish(PATIENCE).await;
        let got: Vec<Notice> = bench
            .read("got")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a notice"))
            .collect();
        assert_eq!(got, notices);
        let here = bench.root.canonicalize_utf8().expect("it is there");
        assert_eq!(bench.read("where").trim(), here);
        assert_eq!(bench.read("argument"), "argument\n");
        let environment = bench.read("environment");
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            assert!(!environment.contains(name), "{environment}");
        }
    });
}

#[test]
fn a_program_is_found_below_the_root_or_in_the_path() {
    let root = Utf8Path::new("/srv/llama");
    for (program, place) in [
        ("sh", "sh"),
        ("./notify.sh", "/srv/llama/./notify.sh"),
        ("scripts/notify.sh", "/srv/llama/scripts/notify.sh"),
        ("/usr/bin/notify", "/usr/bin/notify"),
    ] {
        assert_eq!(run::located(root, program), Utf8Path::new(place));
    }
}

#[test]
fn one_that_hangs_is_ended_with_all_it_has_started() {
    if !is_linux() {
        return;
    }
    // Neither of the two heeds SIGTERM.
    let bench = Bench::new(
        "trap '' TERM; sleep 1000 & echo $! > child.new; echo $$ > me; mv child.new child; wait",
    );
    let limits = Limits {
        run: Duration::from_millis(500),
        ..QUICK
    };
    on_a_runtime(async {
        let notifier = bench.start(limits);
        notifier.tell(&command(), held("one"));
        wait("it is said", || {
            !notifier.shared.with(|queue| queue.failures.is_empty())
        })
        .await;
        let failures = notifier.failures();
        assert_eq!(
            failures,
            [
                "`notify.command` did not take a notice in 3 tries: `sh` did not end within 0.5 s and was ended"
            ]
        );
        for name in ["me", "child"] {
            let pid = bench.read(name);
            wait(&format!("`{name}` ends"), || !lives(&pid)).await;
        }
        notifier.finish(PATIENCE).await;
    });
}

#[test]
fn what_it_says_is_kept_to_its_end_and_what_it_leaves_behind_is_not_waited_for() {
    let bench = Bench::new(
        "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo the reason; sleep 1000 & echo $! > child; exit 3",
    );
    on_a_runtime(async {
        let notifier = bench.start(QUICK);
        notifier.tell(&command(), held("one"));
        wait("it is said", || {
            !notifier.shared.with(|queue| queue.failures.is_empty())
        })
        .await;
        let failure = notifier.failures().remove(0);
        assert!(
            failure.contains("ended with exit status: 3; it said: xxx"),
            "{failure:.200}"
        );
        assert!(failure.ends_with("the reason"), "{}", failure.len());
        assert!(failure.len() < 4400, "{}", failure.len());
        notifier.finish(PATIENCE).await;
    });
    let child = bench.read("child").trim().parse::<i32>().expect("a pid");
    let child = rustix::process::Pid::from_raw(child).expect("a pid");
    let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
}

#[test]
fn a_streak_of_failures_is_said_once_and_so_is_its_end() {
    let bench = Bench::new("echo x >> tries; echo no such host >&2; exit 1");
    on_a_runtime(async {
        let notifier = bench.start(QUICK);
        for text in ["one", "two", "three"] {
            notifier.tell(&command(), held(text));
        }
        wait("each was tried", || {
            bench.read("tries").len() >= 3 * TRIES * 2
        })
        .await;
        bench.script("cat > got");
        notifier.tell(&command(), held("four"));
        wait("it works again", || bench.read("got").contains("four")).await;
        let said = || notifier.shared.with(|queue| queue.failures.len() >= 2);
        wait("that is said", said).await;
        assert_eq!(
            notifier.failures(),
            [
                "`notify.command` did not take a notice in 3 tries: `sh` ended with exit status: 1; it said: no such host",
                "`notify.command` works again; 3 notices were not told",
            ]
        );
        assert_eq!(notifier.failures(), Vec::<String>::new());
        // One that is not there is said the same way.
        notifier.tell(&["./nowhere.sh".to_owned()], held("five"));
        wait("it is said", || {
            !notifier.shared.with(|queue| queue.failures.is_empty())
        })
        .await;
        let failure = notifier.failures().remove(0);
        assert!(
            failure.contains("`./nowhere.sh` cannot be executed: "),
            "{failure}"
        );
        notifier.finish(PATIENCE).await;
    });
}

#[test]
fn one_that_fails_once_is_tried_again() {
    let bench = Bench::new("test -e tried || { touch tried; exit 1; }; cat > got");
    on_a_runtime(async {
        let notifier = bench.start(QUICK);
        notifier.tell(&command(), held("one"));
        wait("it is told", || bench.read("got").contains("one")).await;
        assert_eq!(notifier.failures(), Vec::<String>::new());
        notifier.finish(PATIENCE).await;
    });
}

#[test]
fn telling_never_waits_and_what_has_no_room_is_counted() {
    let bench = Bench::new("cat >> got; touch begun; until test -e go; do sleep 0.01; done");
    on_a_runtime(async {
        let notifier = bench.start(QUICK);
        notifier.tell(&command(), held("first"));
        wait("it has begun", || bench.has("begun")).await;
        notifier.tell(&command(), vec![notice(NoticeKind::Recovered, "well")]);
        let many = (0..queue::MOST).flat_map(|number| held(&format!("number {number} ")));
        notifier.tell(&command(), many.collect());
        notifier.tell(&command(), held("last"));
        let text = |name: &str| name.to_owned();
        assert_eq!(
            notifier.failures(),
            [text(
                "`notify.command` is too slow: 32 notices wait for it, and the oldest are dropped"
            )]
        );
        std::fs::write(bench.root.join("go"), "").expect("written");
        let said = || !notifier.shared.with(|queue| queue.failures.is_empty());
        wait("it has caught up", said).await;
        assert_eq!(
            notifier.failures(),
            ["`notify.command` has caught up; 2 notices were dropped"]
        );
        notifier.finish(PATIENCE).await;
        let got = bench.read("got");
        assert_eq!(got.lines().count(), 1 + queue::MOST);
        // That all is well went first, then the oldest.
        for (lost, next) in [("\"well\"", "first"), ("number 0 ", "number 1 ")] {
            assert!(!got.contains(lost) && got.contains(next), "{lost}");
        }
        assert!(got.ends_with('\n') && got.contains("last"));
    });
}

#[test]
fn finishing_waits_no_longer_than_it_may_and_leaves_nobody_behind() {
    if !is_linux() {
        return;
    }
    let bench =
        Bench::new("sleep 1000 & echo $! > child.new; echo $$ > me; mv child.new child; wait");
    on_a_runtime(async {
        let notifier = bench.start(QUICK);
        notifier.tell(&command(), held("one"));
        wait("it has begun", || bench.has("child")).await;
        notifier.finish(Duration::from_millis(10)).await;
        for name in ["me", "child"] {
            let pid = bench.read(name);
            wait(&format!("`{name}` ends"), || !lives(&pid)).await;
        }
    });
}

#[test]
fn no_command_takes_nothing() {
    let bench = Bench::new("cat > got");
    on_a_runtime(async {
        let notifier = bench.start(QUICK);
        notifier.tell(&[], held("one"));
        notifier.finish(PATIENCE).await;
        assert!(!bench.has("got"));
    });
}
