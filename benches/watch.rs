//! What `watch` costs and how fast it is: a saved edit until a server is there for it, beside the same edit
//! with an `apply` by hand; a crash until the status page tells of it; a watch of one instance and of many
//! at which nothing happens; the page.
//!
//! Prints figures and judges none. The servers are stand-ins that load nothing.
//!
//! `cargo bench --bench watch [-- SECONDS]`: how long an idle watch is looked at (60).

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark reads the clock, starts programs and prints what it measured"
)]

#[path = "support/stage.rs"]
mod stage;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use llama_orch::instance::state::{Phase, State};
use rustix::process::Signal;
use serde_json::Value;
use stage::{Root, Usage, spread};

const EDITS: usize = 50;
const CRASHES: usize = 20;
const LOADS: usize = 20;
const MANY: usize = 100;

fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok());
    let watched = Duration::from_secs(seconds.unwrap_or(60));
    edits();
    crashes();
    for count in [1, MANY] {
        idle(count, watched);
    }
}

const OFF: &str = "enabled: false";
const ON: &str = "enabled: true";

/// How long after an edit is saved the server it asks for is spawned and on record.
fn edits() {
    let root = Root::new(&[("chat", OFF)], "");
    let mut by_hand = Vec::new();
    for _ in 0..EDITS {
        let began = Instant::now();
        root.edit(OFF, ON);
        let apply = root
            .command(&["apply", "--quiet"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        by_hand.push(until_spawned(&root, began));
        succeeds(apply);
        root.edit(ON, OFF);
        root.run(&["apply", "--quiet"]);
    }
    let watch = Watch::start(&root);
    watch.is_calm();
    let mut by_watch = Vec::new();
    for _ in 0..EDITS {
        let began = Instant::now();
        root.edit(OFF, ON);
        by_watch.push(until_spawned(&root, began));
        root.wait("chat", |state| state.phase == Phase::Running);
        watch.is_calm();
        root.edit(ON, OFF);
        root.wait("chat", |state| !has_server(state));
        watch.is_calm();
    }
    println!("an edit is saved -> its server is spawned and on record, {EDITS} times:");
    println!("  apply, called at once        {}", spread(&mut by_hand));
    println!("  watch (100 ms of debounce)   {}", spread(&mut by_watch));
    let late = by_watch.len() * 99 / 100;
    println!("  99 of 100 by watch           {:8.2} ms\n", by_watch[late]);
}

fn until_spawned(root: &Root, began: Instant) -> f64 {
    root.wait("chat", has_server);
    began.elapsed().as_secs_f64() * 1e3
}

fn has_server(state: &State) -> bool {
    state
        .server
        .as_ref()
        .is_some_and(|server| server.process.is_some())
}

/// How long after a server was killed somebody who looks at the page is told.
fn crashes() {
    let root = Root::new(&[("chat", "healthcheck: { interval: 60s }")], "");
    let watch = Watch::start(&root);
    root.wait("chat", |state| state.phase == Phase::Running);
    watch.is_calm();
    let mut snapshots = watch.follow();
    let mut told = Vec::new();
    for _ in 0..CRASHES {
        let total = root
            .wait("chat", |state| state.phase == Phase::Running)
            .restarts
            .total;
        while restarts(&snapshots.next()) != Some(total.into()) {}
        let killed = Instant::now();
        rustix::process::kill_process(root.server("chat"), Signal::KILL).expect("it is ours");
        while restarts(&snapshots.next()) == Some(total.into()) {}
        told.push(killed.elapsed().as_secs_f64() * 1e3);
    }
    println!("SIGKILL of a server -> the page tells of its restart, {CRASHES} times:");
    println!("  {}\n", spread(&mut told));
}

fn restarts(snapshot: &Value) -> Option<u64> {
    snapshot["instances"][0]["restarts"].as_u64()
}

/// What a watch takes at which nothing happens, and how its page loads.
fn idle(count: usize, watched: Duration) {
    let names: Vec<String> = (0..count).map(|number| format!("i{number}")).collect();
    let instances: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let root = Root::new(&instances, "");
    root.run(&["apply", "--quiet"]);
    let watch = Watch::start(&root);
    watch.is_calm();
    std::thread::sleep(Duration::from_secs(5));
    let before = Usage::of(watch.child.id());
    std::thread::sleep(watched);
    let after = Usage::of(watch.child.id());
    let seconds = watched.as_secs_f64();
    let spent = (after.cpu_ns - before.cpu_ns) as f64;
    println!("a watch of {count}, nothing happens for {seconds} s, nobody looks at the page:");
    println!(
        "  CPU            {:.1} ms ({:.3} % of a core)",
        spent / 1e6,
        spent / 1e7 / seconds
    );
    println!("  wake-ups       {}", after.wakes - before.wakes);
    println!(
        "  memory (PSS)   {} KiB; {} KiB of it private",
        after.pss, after.private
    );
    for path in ["/", "/status.json", "/metrics"] {
        let mut times = Vec::new();
        let mut size = 0;
        for _ in 0..LOADS {
            let began = Instant::now();
            size = watch.get(path).len();
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        println!("  {path:<14} {size:7} bytes  {}", spread(&mut times));
    }
    println!();
}

fn succeeds(mut child: Child) {
    assert!(child.wait().expect("it ends").success(), "apply failed");
}

/// A watch with a page that runs beside.
struct Watch {
    child: Child,
    page: SocketAddr,
    root: Utf8PathBuf,
}

impl Watch {
    fn start(root: &Root) -> Self {
        let mut child = root
            .command(&["watch", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut said = BufReader::new(child.stderr.take().expect("piped"));
        let page = loop {
            let mut line = String::new();
            assert!(
                said.read_line(&mut line).expect("readable") > 0,
                "it says no address"
            );
            let address = line.trim().strip_prefix("status page: http://");
            if let Some(address) = address.and_then(|it| it.trim_end_matches('/').parse().ok()) {
                break address;
            }
        };
        // What it goes on to say must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self {
            child,
            page,
            root: root.path.clone(),
        }
    }

    /// The whole answer, its head included.
    fn get(&self, path: &str) -> String {
        let mut stream = self.ask(path);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        answer
    }

    fn ask(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.page).expect("it listens");
        let page = self.page;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {page}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("asked");
        stream
    }

    /// Waits until nothing has been done for a while, by what it writes down: whoever asks the page has it look.
    fn is_calm(&self) {
        let deadline = Instant::now() + Duration::from_mins(2);
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(500) {
            let text = std::fs::read_to_string(self.root.join(".llama-orch/watch.json"));
            let state: Option<Value> = text.ok().and_then(|text| serde_json::from_str(&text).ok());
            let result = state.map(|state| state["last_pass"]["result"].clone());
            if result != Some(Value::from("converged")) {
                since = Instant::now();
            }
            assert!(
                Instant::now() < deadline,
                "it does not come to rest: {result:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn follow(&self) -> Snapshots {
        let stream = self.ask("/events");
        stream
            .set_read_timeout(Some(Duration::from_mins(1)))
            .expect("set");
        Snapshots(BufReader::new(stream))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What somebody who looks at the page is told.
struct Snapshots(BufReader<TcpStream>);

impl Snapshots {
    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(
                self.0.read_line(&mut line).expect("told") > 0,
                "the stream ended"
            );
            let data = line.trim_end().strip_prefix("data:");
            if let Some(snapshot) = data.and_then(|data| serde_json::from_str(data.trim()).ok()) {
                return snapshot;
            }
        }
    }
}
