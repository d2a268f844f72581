//! Many at once: starting, ending and killing. There is never more than one server of an instance,
//! and in the end there is what was wanted last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use llama_orch::durable;
use llama_orch::instance::supervisor;
use rustix::process::{Pid, Signal};

use crate::sandbox::{NOBODY, Sandbox, eventually, quick, server_pid};

/// How long a race goes on that has no end of its own.
const RACE: Duration = Duration::from_secs(3);

/// Does something while another thread looks, as often as it can, how many servers there are.
fn watched<T>(sandbox: &Sandbox, race: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut looks, mut seen) = (0_u32, 0_u32);
            while !over.load(Ordering::SeqCst) {
                let servers = sandbox.servers();
                assert!(
                    servers.len() <= 1,
                    "two servers of one instance: {servers:?}"
                );
                looks += 1;
                seen += u32::from(!servers.is_empty());
            }
            (looks, seen)
        });
        let result = race();
        over.store(true, Ordering::SeqCst);
        let (looks, seen) = watch.join().expect("never two");
        assert!(seen > 0, "none of {looks} looks saw a server");
        result
    })
}

/// What has to be so once a race is over: one server, its supervisor, and who holds the lock.
fn assert_one(sandbox: &Sandbox) {
    let state = sandbox.wait_running();
    eventually(|| sandbox.supervisors() == [state.supervisor.pid]).expect("one supervisor is left");
    let server = server_pid(&sandbox.wait_running());
    assert_eq!(sandbox.servers(), [server]);
    let lock = sandbox.folder.server_lock();
    assert!(durable::is_locked(&lock).expect("readable"));
    let holds_it = |entry: std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|open| open == lock.as_std_path())
    };
    let mut descriptors = std::fs::read_dir(format!("/proc/{server}/fd")).expect("readable");
    let inherited = descriptors.any(|entry| entry.is_ok_and(holds_it));
    assert!(inherited, "the server has the lock open itself");
}

#[test]
fn eight_that_start_the_same_start_one_server() {
    let sandbox = Sandbox::new();
    sandbox.want(&sandbox.build(9001, ""), None, quick());
    watched(&sandbox, || {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    sandbox
                        .supervise()
                        .expect("one is at work, whichever it is");
                });
            }
        });
        sandbox.wait_running();
    });
    assert_one(&sandbox);
}

#[test]
fn eight_that_start_something_else_each_end_up_with_the_last_one_written() {
    let sandbox = Sandbox::new();
    let launches: Vec<_> = (9001..9009)
        .map(|number| sandbox.build(number, ""))
        .collect();
    watched(&sandbox, || {
        std::thread::scope(|scope| {
            for launch in &launches {
                let sandbox = &sandbox;
                scope.spawn(move || {
                    sandbox.want(launch, None, quick());
                    // Another one may have had it make room before it has said anything.
                    let _ = sandbox.supervise();
                });
            }
        });
        // Whoever came last may have read what was written before the last one wrote.
        let _ = sandbox.supervise();
        sandbox.wait_running();
    });
    assert_one(&sandbox);
    let wanted = sandbox.record().wanted.expect("written");
    assert_eq!(sandbox.wait_running().assignment, wanted.id);
}

#[test]
fn starting_and_ending_at_once_leaves_what_came_last() {
    let sandbox = Sandbox::new();
    sandbox.want(&sandbox.build(9001, ""), None, quick());
    watched(&sandbox, || {
        let deadline = Instant::now() + RACE;
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while Instant::now() < deadline {
                        let _ = sandbox.supervise();
                    }
                });
                scope.spawn(|| {
                    while Instant::now() < deadline {
                        let _ = supervisor::end(&sandbox.folder, Duration::from_secs(5));
                    }
                });
            }
        });
    });
    sandbox.end();
    eventually(|| sandbox.supervisors().is_empty()).expect("no supervisor is left");
    assert_eq!(sandbox.servers(), NOBODY);
    sandbox.supervise().expect("it starts");
    assert_one(&sandbox);
}

#[test]
fn supervisors_that_are_killed_at_every_moment_leave_one_server_at_most() {
    let sandbox = Sandbox::new();
    let launches = [sandbox.build(9001, ""), sandbox.build(9002, "")];
    watched(&sandbox, || {
        let deadline = Instant::now() + RACE;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for launch in launches.iter().cycle() {
                    if Instant::now() >= deadline {
                        break;
                    }
                    sandbox.want(launch, None, quick());
                    let _ = sandbox.supervise();
                }
            });
            scope.spawn(|| {
                let mut pause = Duration::from_millis(1);
                while Instant::now() < deadline {
                    for pid in sandbox.supervisors() {
                        // It may have ended by itself.
                        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                            let _ = rustix::process::kill_process(pid, Signal::KILL);
                        }
                    }
                    // Every moment is met by one pause or another.
                    std::thread::sleep(pause);
                    pause =
                        (pause * 5 / 4 + Duration::from_millis(1)).min(Duration::from_millis(400));
                }
            });
        });
    });
    sandbox.start(&launches[0], None);
    assert_one(&sandbox);
}
