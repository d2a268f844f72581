//! How long an install takes beside what one would type by hand, on the same archive in the same
//! run: from a file beside `sha256sum` and `tar`, over loopback beside `curl`, and over a link that
//! is held to 500 Mbit/s.
//!
//! Prints medians and ratios and judges none. The archive is packed once of this machine's own
//! libraries (at least 100 MB) and kept below the target folder. Every install runs in a process of
//! its own, which says how much memory it took at most; CPU times are those of all its processes.
//!
//! `cargo bench --bench install [-- RUNS]`

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark reads the clock, starts programs and prints what it measured"
)]

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::write::GzEncoder;
use llama_orch::desired::{ArchiveOrigin, WantedArchive, WantedBinary};
use llama_orch::install::{InstallRequest, install};
use llama_orch::instance::BinaryId;
use llama_orch::manifest::Source;
use llama_orch::release::directory::Directory;
use llama_orch::release::github::GitHub;
use llama_orch::release::host::Host;
use llama_orch::release::source::Network;
use llama_orch::release::{Digest, Tag, Variant};
use tokio::sync::Semaphore;

const BUILD: u32 = 9001;

/// Bytes an archive is packed to, at least.
const PACKED: u64 = 105 * 1000 * 1000;

/// Bytes a second of the slower link: 500 Mbit/s.
const LINK: u64 = 500_000_000 / 8;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("install") => alone(&arguments.collect::<Vec<_>>()),
        first => compare(first.and_then(|runs| runs.parse().ok()).unwrap_or(10)),
    }
}

fn compare(runs: usize) {
    let scratch = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("install");
    std::fs::create_dir_all(&scratch).expect("a folder");
    let archive = packed(&scratch);
    let (size, digest) = measure(&archive);
    let unpacked = scratch.join("unpacked");
    println!("archive: {size} bytes; medians of {runs} runs, taken in turns, page cache warm\n");
    let server = Server::start(&archive);
    let url = server.url(&archive);
    let slow = format!("{url}?slow");
    let fresh = |folder: &Utf8Path| {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).expect("a folder");
    };
    let shell = |script: String| {
        move || {
            let mut command = Command::new("bash");
            command.args(["-c", &format!("set -euo pipefail; {script}")]);
            command
        }
    };
    let ours = |source: String| {
        let (scratch, digest) = (scratch.clone(), digest.to_string());
        move || {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            let size = size.to_string();
            command.args(["install", scratch.as_str(), &source, &size, &digest]);
            command
        }
    };
    let contests: Vec<(&str, Vec<Contestant<'_>>)> = vec![
        (
            "from a file, made to last",
            vec![
                Contestant::new(
                    "sha256sum; tar xzf; sync -f",
                    shell(format!(
                        "sha256sum {archive} >/dev/null; tar xzf {archive} -C {unpacked}; sync -f {unpacked}"
                    )),
                ),
                Contestant::new("llama-orch", ours(format!("file:{}", parent(&archive)))),
            ],
        ),
        (
            "over loopback",
            vec![
                Contestant::new("curl -o", shell(format!("curl -s -o {unpacked}/a {url}"))),
                Contestant::new(
                    "curl | tee >(sha256sum) | tar xz",
                    shell(format!(
                        "curl -s {url} | tee >(sha256sum >/dev/null) | tar xz -C {unpacked}; sync -f {unpacked}"
                    )),
                ),
                Contestant::new("llama-orch", ours(server.base())),
            ],
        ),
        (
            "over a link of 500 Mbit/s",
            vec![
                Contestant::new(
                    "curl -o /dev/null",
                    shell(format!("curl -s -o /dev/null {slow}")),
                ),
                Contestant::new("llama-orch", ours(format!("{}?slow", server.base()))),
            ],
        ),
    ];
    for (title, mut contestants) in contests {
        for _ in 0..runs {
            for contestant in &mut contestants {
                fresh(&unpacked);
                fresh(&scratch.join("bins"));
                contestant.run();
            }
        }
        report(title, &contestants);
    }
    let idle = Command::new(std::env::current_exe().expect("this program"))
        .args(["install", "idle"])
        .output()
        .expect("it runs");
    let idle: u64 = String::from_utf8_lossy(&idle.stdout)
        .trim()
        .parse()
        .expect("a number");
    println!("the same process, idle: {:.1} MiB", idle as f64 / 1024.0);
    let _ = std::fs::remove_dir_all(&unpacked);
    let _ = std::fs::remove_dir_all(scratch.join("bins"));
}

fn report(title: &str, contestants: &[Contestant<'_>]) {
    println!("{title}");
    println!(
        "  {:<36}{:>9}{:>9}{:>9}{:>10}",
        "", "wall s", "CPU s", "ratio", "peak MiB"
    );
    let base = contestants[0].wall();
    for contestant in contestants {
        let memory = contestant.peak().map_or_else(
            || "-".to_owned(),
            |kib| format!("{:.1}", kib as f64 / 1024.0),
        );
        println!(
            "  {:<36}{:>9.3}{:>9.3}{:>9.2}{:>10}",
            contestant.name,
            contestant.wall(),
            contestant.cpu(),
            contestant.wall() / base,
            memory,
        );
    }
    println!();
}

fn parent(path: &Utf8Path) -> &Utf8Path {
    path.parent().expect("it lies in a folder")
}

/// One way to do it, and what it took.
struct Contestant<'a> {
    name: &'static str,
    command: Box<dyn Fn() -> Command + 'a>,
    walls: Vec<f64>,
    cpus: Vec<f64>,
    peaks: Vec<u64>,
}

impl<'a> Contestant<'a> {
    fn new(name: &'static str, command: impl Fn() -> Command + 'a) -> Self {
        Self {
            name,
            command: Box::new(command),
            walls: Vec::new(),
            cpus: Vec::new(),
            peaks: Vec::new(),
        }
    }

    fn run(&mut self) {
        let before = cpu_of_children();
        let began = Instant::now();
        let output = (self.command)()
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("it starts");
        self.walls.push(began.elapsed().as_secs_f64());
        self.cpus.push(cpu_of_children() - before);
        assert!(output.status.success(), "{}: {}", self.name, output.status);
        let said = String::from_utf8_lossy(&output.stdout);
        self.peaks.extend(said.trim().parse::<u64>());
    }

    fn wall(&self) -> f64 {
        median(&self.walls)
    }

    fn cpu(&self) -> f64 {
        median(&self.cpus)
    }

    fn peak(&self) -> Option<u64> {
        self.peaks.iter().max().copied()
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds that children which have ended spent on a processor, theirs included, to 10 ms.
fn cpu_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = |number: usize| -> f64 {
        let field = fields.split_whitespace().nth(number).expect("a field");
        field.parse().expect("a number")
    };
    // `cutime` and `cstime` are the fields 16 and 17 of all, which are counted from 1.
    (ticks(13) + ticks(14)) / 100.0
}

/// The most memory this process ever had, in KiB.
fn peak_of_this_process() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok()).expect("a number")
}

/// One install, in this process.
fn alone(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if let [scratch, source, size, digest] = arguments {
        let (bins, name) = (Utf8Path::new(scratch).join("bins"), name());
        let binary = WantedBinary {
            id: BinaryId::new(uuid::Uuid::new_v4()),
            build: Tag::new(BUILD).into(),
            variant: Variant::new("ubuntu-x64"),
            archives: vec![WantedArchive {
                name,
                size: size.parse().ok(),
                digest: digest.parse().expect("a digest"),
                origin: ArchiveOrigin::Release(Tag::new(BUILD)),
            }],
        };
        let host = Host::detect();
        let request = InstallRequest {
            binary: &binary,
            bins: &bins,
            host: host.as_ref(),
            official: true,
            slots: &Semaphore::new(3),
            unverified: false,
            minted: false,
        };
        let installed = if let Some(folder) = source.strip_prefix("file:") {
            let source = Directory::new(folder.into(), Network::default());
            runtime.block_on(install(&request, &source, &|_| ()))
        } else {
            let base: url::Url = source.parse().expect("a URL");
            let source = Source {
                api: base.clone(),
                mirror: Some(base),
                ..Source::default()
            };
            let source = GitHub::new(&source, Network::default());
            runtime.block_on(install(&request, &source, &|_| ()))
        };
        installed.expect("installed");
    }
    println!("{}", peak_of_this_process());
}

fn name() -> String {
    format!("llama-b{BUILD}-bin-ubuntu-x64.tar.gz")
}

/// The archive, packed of this machine's own libraries unless that was done before.
fn packed(scratch: &Utf8Path) -> Utf8PathBuf {
    let archive = scratch.join(name());
    if archive
        .metadata()
        .is_ok_and(|metadata| metadata.len() >= PACKED)
    {
        return archive;
    }
    println!("packing {archive} ...");
    let libraries = libraries();
    let file = File::create(&archive).expect("created");
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    tar.sparse(false);
    let mut add = |name: &str, content: &[u8], mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        let path = format!("llama-b{BUILD}/{name}");
        tar.append_data(&mut header, path, content).expect("packed");
    };
    let script = format!("#!/bin/sh\necho 'version: {BUILD} (abcdef12)' >&2\n");
    add("llama-server", script.as_bytes(), 0o755);
    let mut number = 0;
    while archive.metadata().expect("there").len() < PACKED {
        let library = &libraries[number % libraries.len()];
        let content = std::fs::read(library).expect("readable");
        // Not under the name of a library: what it needs is not there, and is not the question.
        add(&format!("part-{number}.bin"), &content, 0o644);
        number += 1;
    }
    let file = tar.into_inner().and_then(GzEncoder::finish);
    file.and_then(|file| file.sync_all()).expect("finished");
    archive
}

/// Shared libraries of the Rust toolchain and of the system, the large ones first.
fn libraries() -> Vec<std::path::PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let folders = [
        format!("{}/lib", sysroot.unwrap_or_default()),
        "/usr/lib/x86_64-linux-gnu".to_owned(),
        "/usr/lib/aarch64-linux-gnu".to_owned(),
        "/usr/lib64".to_owned(),
    ];
    let mut found: Vec<(u64, std::path::PathBuf)> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| entry.file_name().to_string_lossy().contains(".so"))
        .filter_map(|entry| {
            let metadata = entry.path().symlink_metadata().ok()?;
            (metadata.is_file() && metadata.len() > 1_000_000)
                .then(|| (metadata.len(), entry.path()))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    assert!(!found.is_empty(), "this machine has no libraries to pack");
    found.into_iter().map(|(_, path)| path).collect()
}

fn measure(archive: &Utf8Path) -> (u64, Digest) {
    let content = std::fs::read(archive).expect("readable");
    (content.len() as u64, Digest::of(&content))
}

/// Serves the archive, as fast as it goes or held to the slower link.
struct Server {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    running: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(archive: &Utf8Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let ending = Arc::new(AtomicBool::new(false));
        let (seen, archive) = (Arc::clone(&ending), archive.to_owned());
        let running = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.load(Ordering::Relaxed) {
                    break;
                }
                // A client that hangs up has had enough.
                let _ = serve(&stream, &archive);
            }
        });
        Self {
            address,
            ending,
            running: Some(running),
        }
    }

    fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn url(&self, archive: &Utf8Path) -> String {
        let name = archive.file_name().expect("a name");
        format!("{}releases/download/b{BUILD}/{name}", self.base())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

fn serve(mut stream: &TcpStream, archive: &Utf8Path) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let is_slow = first.contains("slow");
    let mut file = File::open(archive)?;
    let size = file.metadata()?.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: \"1\"\r\nConnection: close\r\n\r\n"
    )?;
    let began = Instant::now();
    let (mut sent, mut piece) = (0_u64, vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        if is_slow {
            let due = Duration::from_secs_f64(sent as f64 / LINK as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        stream.write_all(&piece[..read])?;
        sent += read as u64;
    }
}
