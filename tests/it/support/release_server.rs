//! A release server on loopback: the few paths of GitHub's API that are asked, and downloads. It
//! remembers what it was asked, and can do what real ones do badly.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use llama_orch::release::Digest;
use serde_json::{Value, json};

const API: &str = "/api/repos/ggml-org/llama.cpp/releases";
const QUOTA: &str = "/api/rate_limit";
const DOWNLOADS: &str = "/mirror/releases/download";

/// The server; it ends with the value.
pub(crate) struct ReleaseServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    running: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Answers by path.
    files: BTreeMap<String, Vec<u8>>,
    releases: Vec<Value>,
    /// Bytes after which the next download of a file breaks off.
    cuts: BTreeMap<String, usize>,
    /// What is answered in place of everything below a path, and how often.
    refusals: BTreeMap<String, Refusal>,
    /// How many requests it says are left, of how many.
    quota: Option<(u32, u32)>,
    /// What time it says it is with that; nothing where this is empty.
    date: String,
    asked: Vec<String>,
    ending: bool,
}

/// An answer that is none.
#[derive(Clone)]
struct Refusal {
    status: u16,
    headers: String,
    /// How often; `None` for ever.
    left: Option<usize>,
}

impl ReleaseServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let seen = Arc::clone(&shared);
        let running = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if lock(&seen).ending {
                    break;
                }
                // A client that hangs up has had enough.
                let _ = serve(&stream, &seen);
            }
        });
        Self {
            address,
            shared,
            running: Some(running),
        }
    }

    /// What stands under `source:` in a manifest that takes its builds from here.
    pub(crate) fn source(&self) -> String {
        format!(
            "{{ api: \"http://{0}/api\", mirror: \"http://{0}/mirror\" }}",
            self.address
        )
    }

    /// Publishes an archive as a prerelease of its own, as llama.cpp does. `digest` is what the API
    /// says of it.
    pub(crate) fn publish(&self, build: u32, archive: &Path, digest: Option<Digest>) {
        let content = std::fs::read(archive).expect("readable");
        let name = archive.file_name().expect("a name").to_string_lossy();
        let tag = format!("b{build}");
        let digest = digest.unwrap_or_else(|| Digest::of(&content));
        let release = json!({
            "tag_name": tag, "prerelease": true, "draft": false,
            "published_at": "2026-03-01T12:00:00Z",
            "assets": [{
                "name": name, "size": content.len(), "state": "uploaded",
                "digest": format!("sha256:{digest}"),
            }],
        });
        let mut shared = lock(&self.shared);
        shared
            .files
            .insert(format!("{DOWNLOADS}/{tag}/{name}"), content);
        shared
            .files
            .insert(format!("{API}/tags/{tag}"), bytes(&release));
        shared.releases.insert(0, release);
    }

    /// Where a build's archive is downloaded from.
    pub(crate) fn download(&self, build: u32) -> String {
        let name = super::archives::name(build);
        format!("http://{}{DOWNLOADS}/b{build}/{name}", self.address)
    }

    /// Publishes a stable release, which carries nothing but the name of its build.
    pub(crate) fn call_stable(&self, version: &str, build: u32) {
        let release = json!({
            "tag_name": version, "prerelease": false, "draft": false,
            "assets": [{ "name": "nightly-tag.txt", "size": 6, "state": "uploaded" }],
        });
        let mut shared = lock(&self.shared);
        shared
            .files
            .insert(format!("{API}/latest"), bytes(&release));
        let path = format!("{DOWNLOADS}/{version}/nightly-tag.txt");
        shared
            .files
            .insert(path, format!("b{build}\n").into_bytes());
    }

    /// Lets the next download of a build's archive break off.
    pub(crate) fn cut(&self, build: u32, after: usize) {
        let name = super::archives::name(build);
        let path = format!("{DOWNLOADS}/b{build}/{name}");
        lock(&self.shared).cuts.insert(path, after);
    }

    /// Refuses every question to the API, with this status and these header lines: so many times, or
    /// for ever.
    pub(crate) fn refuse(&self, status: u16, headers: &[&str], times: Option<usize>) {
        let headers = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        let refusal = Refusal {
            status,
            headers,
            left: times,
        };
        lock(&self.shared).refusals.insert(API.to_owned(), refusal);
    }

    /// Says from now on that so many requests are left.
    pub(crate) fn answer_quota(&self, left: u32, of: u32) {
        lock(&self.shared).quota = Some((left, of));
    }

    /// Says from now on that it is this time, as HTTP writes it.
    pub(crate) fn tell_time(&self, date: &str) {
        lock(&self.shared).date = format!("Date: {date}\r\n");
    }

    /// Says of a build that it was published just now, without this file so far.
    pub(crate) fn begin_upload(&self, build: u32, missing: &str) {
        let tag = format!("b{build}");
        let release = json!({
            "tag_name": tag, "prerelease": true, "draft": false,
            "assets": [{ "name": missing, "size": 0, "state": "starter" }],
        });
        let mut shared = lock(&self.shared);
        let path = format!("{API}/tags/{tag}");
        shared.files.insert(path, bytes(&release));
        shared.releases.insert(0, release);
    }

    /// The paths that were asked since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared).asked)
    }
}

impl Shared {
    /// What this path is refused with, if it is.
    fn refusal(&mut self, path: &str) -> Option<Refusal> {
        let mut all = self.refusals.iter_mut();
        let (_, refusal) = all.find(|(below, _)| path.starts_with(below.as_str()))?;
        let is_over = refusal.left == Some(0);
        refusal.left = refusal.left.map(|left| left.saturating_sub(1));
        (!is_over).then(|| refusal.clone())
    }
}

impl Drop for ReleaseServer {
    fn drop(&mut self) {
        lock(&self.shared).ending = true;
        drop(TcpStream::connect(self.address));
        if let Some(running) = self.running.take() {
            // A server that panicked has failed its test already.
            let _ = running.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("no panic")
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn serve(mut stream: &TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let (body, cut) = {
        let mut shared = lock(shared);
        shared.asked.push(target.clone());
        if let Some(Refusal {
            status, headers, ..
        }) = shared.refusal(path)
        {
            drop(shared);
            return write!(
                stream,
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
                 {headers}Connection: close\r\n\r\n{{}}",
            );
        }
        if let Some((left, of)) = shared.quota.filter(|_| path == QUOTA) {
            let date = shared.date.clone();
            drop(shared);
            return write!(
                stream,
                "HTTP/1.1 200 x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
                 X-RateLimit-Limit: {of}\r\nX-RateLimit-Remaining: {left}\r\n\
                 {date}Connection: close\r\n\r\n{{}}",
            );
        }
        let body = if path == API {
            Some(bytes(&Value::Array(shared.releases.clone())))
        } else {
            shared.files.get(path).cloned()
        };
        (body, shared.cuts.remove(path))
    };
    let (status, body) = body.map_or((404, b"{}".to_vec()), |body| (200, body));
    let kind = if path.starts_with(API) {
        "application/json"
    } else {
        "application/octet-stream"
    };
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body[..cut.unwrap_or(body.len()).min(body.len())])
}
