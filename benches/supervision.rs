//! What supervision costs and how fast it is: a crash until its supervisor has noticed it, a restart
//! beside the same by hand, a supervisor that has nothing to do, one that has had much to do, and
//! what a thousand applies with nothing to do touch.
//!
//! Prints figures and judges none. The servers are stand-ins, so that what is measured is ours: they
//! load nothing, or for exactly as long as they are told.
//!
//! `cargo bench --bench supervision [-- SECONDS]`: how long an idle supervisor is looked at (60).

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark reads the clock, starts programs and prints what it measured"
)]

#[path = "support/stage.rs"]
mod stage;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use jiff::Timestamp;
use llama_orch::durable;
use llama_orch::instance::state::{self, ExitRecord, Phase};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use stage::{Root, Usage, spread};

const CRASHES: usize = 30;
const MORE_CRASHES: usize = 1000;
const RESTARTS: usize = 7;
const APPLIES: usize = 1000;
const MANY: usize = 10;

fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok());
    let watched = Duration::from_secs(seconds.unwrap_or(60));
    crashes();
    for load in [0.0, 1.0] {
        restarts(load);
    }
    idle(watched);
    applies();
}

/// How long after a server's death its supervisor has noticed it, and what many deaths leave behind.
fn crashes() {
    let root = Root::new(&[("chat", "healthcheck: { interval: 60s }")], "");
    root.run(&["apply", "--quiet"]);
    let before = memory(root.state("chat").supervisor.pid);
    let mut noticed = Vec::new();
    let mut healed = Vec::new();
    for _ in 0..CRASHES {
        let (after, again) = crash(&root);
        noticed.push(after);
        healed.push(again);
    }
    println!("a crash, {CRASHES} times (SIGKILL, seen through a pidfd by this process):");
    println!(
        "  death seen here -> noted by the supervisor  {}",
        spread(&mut noticed)
    );
    println!(
        "  killed -> the next server is healthy        {}",
        spread(&mut healed)
    );
    let early = memory(root.state("chat").supervisor.pid);
    for _ in 0..MORE_CRASHES {
        crash(&root);
    }
    let late = memory(root.state("chat").supervisor.pid);
    println!(
        "  private memory of the supervisor: {before} KiB at first, {early} KiB after {CRASHES} crashes, {late} KiB after {}\n",
        CRASHES + MORE_CRASHES
    );
}

/// Kills the server. Milliseconds from its death, as seen from here, to the supervisor's note of it,
/// and from the signal to the next healthy server.
fn crash(root: &Root) -> (f64, f64) {
    let state = root.wait("chat", |state| state.phase == Phase::Running);
    let total = state.restarts.total;
    let pid = root.server("chat");
    let handle = pidfd_open(pid, PidfdFlags::empty()).expect("it lives");
    let killed = Instant::now();
    rustix::process::kill_process(pid, Signal::KILL).expect("it is ours");
    let mut watched = [PollFd::new(&handle, PollFlags::IN)];
    poll(&mut watched, None).expect("it ends");
    let seen = Timestamp::now();
    root.wait("chat", |state| {
        state.phase == Phase::Running && state.restarts.total > total
    });
    let healed = killed.elapsed();
    let exit: Option<ExitRecord> =
        durable::read_json(&root.folder("chat").exit(), state::SCHEMA).expect("readable");
    let noted = exit.expect("it was noted").at.duration_since(seen);
    (noted.as_secs_f64() * 1e3, healed.as_secs_f64() * 1e3)
}

/// How long nobody answers while one launch is replaced by another, beside a bare loop that ends
/// the same server, waits, and starts it again.
fn restarts(load: f64) {
    let root = Root::new(
        &[("chat", "healthcheck: { interval: 60s }")],
        &format!("--standin-load-seconds {load}"),
    );
    root.run(&["apply", "--quiet"]);
    let port = root.port("chat");
    let mut ours = Vec::new();
    for round in 0..RESTARTS {
        let context = 512 + round;
        root.edit(
            &format!("context_size: {}", context - 1),
            &format!("context_size: {context}"),
        );
        let gap = gap(port, || root.run(&["apply", "--quiet"]));
        ours.push(gap.as_secs_f64() * 1e3 - load * 1e3);
    }
    root.run(&["down", "--all", "--quiet"]);
    let mut server = Bare::start(&root.path, port);
    let mut bare = Vec::new();
    for _ in 0..RESTARTS {
        let gap = gap(port, || {
            server.stop();
            server = Bare::start(&root.path, port);
        });
        bare.push(gap.as_secs_f64() * 1e3 - load * 1e3);
    }
    server.stop();
    println!("a restart, {RESTARTS} times, load {load} s: nobody answers, beyond the load,");
    println!("  kill -TERM; wait; start again   {}", spread(&mut bare));
    println!("  apply of a changed launch       {}\n", spread(&mut ours));
}

/// The longest time between two answers while something is done and until it answers again.
fn gap(port: u16, work: impl FnOnce()) -> Duration {
    let over = std::sync::atomic::AtomicBool::new(false);
    wait_healthy(port);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                if is_healthy(port) {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
                std::thread::sleep(Duration::from_micros(500));
            }
            longest
        });
        work();
        wait_healthy(port);
        std::thread::sleep(Duration::from_millis(20));
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        client.join().expect("no panic")
    })
}

/// What supervisors with nothing to do take, and one that probes all the time.
fn idle(watched: Duration) {
    let single = Root::new(&[("alone", "")], "");
    single.run(&["apply", "--quiet"]);
    let settled = || {
        std::thread::sleep(Duration::from_secs(2));
        Usage::of(single.state("alone").supervisor.pid).pss
    };
    let first = settled();
    single.run(&["down", "--all", "--quiet"]);
    single.run(&["up", "--all", "--quiet"]);
    let again = settled();
    drop(single);
    let names: Vec<String> = (0..MANY).map(|number| format!("i{number}")).collect();
    let mut instances: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    instances.push(("busy", "healthcheck: { interval: 100ms }"));
    let root = Root::new(&instances, "");
    root.run(&["apply", "--quiet"]);
    std::thread::sleep(Duration::from_secs(2));
    let pids: Vec<u32> = names
        .iter()
        .map(|name| root.state(name).supervisor.pid)
        .collect();
    let busy = root.state("busy").supervisor.pid;
    let before: Vec<Usage> = pids.iter().map(|pid| Usage::of(*pid)).collect();
    let busy_before = Usage::of(busy);
    std::thread::sleep(watched);
    let after: Vec<Usage> = pids.iter().map(|pid| Usage::of(*pid)).collect();
    let busy_after = Usage::of(busy);
    let mean = |value: fn(&Usage) -> u64, of: &[Usage]| {
        of.iter().map(value).sum::<u64>() as f64 / of.len() as f64
    };
    let spent = mean(|usage| usage.cpu_ns, &after) - mean(|usage| usage.cpu_ns, &before);
    let woken = mean(|usage| usage.wakes, &after) - mean(|usage| usage.wakes, &before);
    let seconds = watched.as_secs_f64();
    println!("a supervisor, idle for {seconds} s (a probe every 10 s):");
    println!("  memory alone (PSS)      {again} KiB; {first} KiB from a copy just written");
    println!(
        "  memory of each of {MANY}   {:.0} KiB",
        mean(|usage| usage.pss, &after)
    );
    println!(
        "  CPU                     {:.2} ms ({:.4} % of a core)",
        spent / 1e6,
        spent / 1e7 / seconds
    );
    println!("  wake-ups                {woken:.1}");
    let probes = seconds / 0.1;
    println!("one that probes every 100 ms, about {probes:.0} times:");
    println!(
        "  private memory          {} KiB before, {} KiB after",
        busy_before.private, busy_after.private
    );
    let each = (busy_after.cpu_ns - busy_before.cpu_ns) as f64 / probes / 1e3;
    println!("  CPU of a probe          {each:.0} us\n");
}

/// How many servers a thousand applies with nothing to do restart.
fn applies() {
    let root = Root::new(&[("chat", ""), ("embed", "")], "");
    root.run(&["apply", "--quiet"]);
    let seen = || ["chat", "embed"].map(|name| (root.server(name), root.state(name)));
    let before = seen();
    let began = Instant::now();
    let mut other = 0;
    for _ in 0..APPLIES {
        root.run(&["apply", "--quiet"]);
        other += usize::from(seen() != before);
    }
    let each = began.elapsed().as_secs_f64() * 1e3 / APPLIES as f64;
    println!("{APPLIES} applies with nothing to do, {each:.1} ms each:");
    println!("  after which another server or another state was there: {other}");
}

/// The same server started by hand.
struct Bare(std::process::Child);

impl Bare {
    fn start(root: &Utf8Path, port: u16) -> Self {
        let child = Command::new(root.join("bin/llama-server"))
            .args(["--model", "model.gguf", "--host", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .current_dir(root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self(child)
    }

    fn stop(&mut self) {
        let pid = Pid::from_raw(self.0.id().cast_signed()).expect("a pid");
        // It may have ended.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
        self.0.wait().expect("waited for");
    }
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}

fn wait_healthy(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_healthy(port) {
        assert!(Instant::now() < deadline, "nobody answers at {port}");
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn memory(pid: u32) -> u64 {
    Usage::of(pid).private
}
