//! A web server on loopback that does what real ones do badly: each request to a path takes the
//! next fault that was set for it. It remembers what it was asked, and how many bytes it sent.
//!
//! Included by each test binary that needs it, which uses its own part of it.

#![allow(dead_code, reason = "no test binary needs all of it")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// What goes wrong with one request. Counts of bytes are of the body that is being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The connection is closed after so many bytes.
    Cut(usize),
    /// It is reset after so many bytes.
    Reset(usize),
    /// Nothing more comes after so many bytes.
    Stall(usize),
    /// Pieces of so many bytes, with a pause after each.
    Slow(usize, Duration),
    /// The length that is announced is so much larger than the body, or smaller.
    Length(i64),
    /// A range is answered with another one.
    OtherRange,
    /// A range is answered with a `Content-Range` that is none.
    BadRange,
    /// A range is answered with the whole file.
    IgnoredRange,
    /// A range is refused with 416.
    RefusedRange,
    /// The byte at this place is another one.
    Corrupt(usize),
    /// A redirect to this URL.
    Redirect(String),
    /// This status with these headers and an empty JSON object.
    Status(u16, Vec<(&'static str, String)>),
    /// A page of a login or a proxy.
    Page,
}

impl Fault {
    /// A rate limit that is lifted in the year 2100.
    pub(crate) fn lasting_limit() -> Self {
        Self::Status(
            403,
            vec![
                ("x-ratelimit-remaining", "0".into()),
                ("x-ratelimit-reset", "4102444800".into()),
            ],
        )
    }
}

/// One request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) authorization: Option<String>,
}

#[derive(Clone)]
struct Served {
    body: Arc<Vec<u8>>,
    etag: Option<String>,
    modified: Option<String>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Served>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    asked: Vec<Asked>,
    sent: u64,
    ending: bool,
}

/// The server; it ends with the value.
pub(crate) struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes what stalls when the server ends.
    ended: Condvar,
}

impl FaultServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            ended: Condvar::new(),
        });
        let seen = Arc::clone(&shared);
        let running = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for stream in listener.incoming().flatten() {
                    if lock(&seen).ending {
                        break;
                    }
                    let seen = &seen;
                    // A client that hangs up has had enough.
                    scope.spawn(move || drop(serve(&stream, seen)));
                }
            });
        });
        Self {
            address,
            shared,
            running: Some(running),
        }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves a body under a path from now on, with its own strong `ETag`.
    pub(crate) fn put(&self, path: &str, body: Vec<u8>) {
        let etag = format!("\"{}\"", llama_orch::release::Digest::of(&body));
        self.put_as(path, body, Some(etag));
    }

    /// Serves a body with this `ETag`, or none.
    pub(crate) fn put_as(&self, path: &str, body: Vec<u8>, etag: Option<String>) {
        self.serve(path, body, etag, None);
    }

    /// Serves a body with the time of its last change and no `ETag`.
    pub(crate) fn put_dated(&self, path: &str, body: Vec<u8>, modified: &str) {
        self.serve(path, body, None, Some(modified.to_owned()));
    }

    fn serve(&self, path: &str, body: Vec<u8>, etag: Option<String>, modified: Option<String>) {
        let served = Served {
            body: Arc::new(body),
            etag,
            modified,
        };
        lock(&self.shared).files.insert(path.to_owned(), served);
    }

    /// The faults of the next requests to a path, one each.
    pub(crate) fn fail(&self, path: &str, faults: &[Fault]) {
        let mut state = lock(&self.shared);
        let queue = state.faults.entry(path.to_owned()).or_default();
        queue.extend(faults.iter().cloned());
    }

    /// Takes back the faults that were not used up.
    pub(crate) fn mend(&self, path: &str) {
        lock(&self.shared).faults.remove(path);
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.shared).asked)
    }

    /// Bytes of bodies that were sent since the last call.
    pub(crate) fn sent(&self) -> u64 {
        std::mem::take(&mut lock(&self.shared).sent)
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        lock(&self.shared).ending = true;
        self.shared.ended.notify_all();
        drop(TcpStream::connect(self.address));
        if let Some(running) = self.running.take() {
            // A server that panicked has failed its test already.
            let _ = running.join();
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().expect("no panic")
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut headers = BTreeMap::new();
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let (served, fault) = {
        let mut state = lock(shared);
        state.asked.push(Asked {
            path: target.to_owned(),
            range: headers.get("range").cloned(),
            if_range: headers.get("if-range").cloned(),
            if_none_match: headers.get("if-none-match").cloned(),
            authorization: headers.get("authorization").cloned(),
        });
        let fault = state.faults.get_mut(&path).and_then(VecDeque::pop_front);
        (
            state.files.get(&path).cloned(),
            fault.unwrap_or(Fault::None),
        )
    };
    let plain = |status: u16, kind: &str, more: &str, body: &str| {
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{body}",
            body.len()
        )
    };
    match (&fault, served) {
        (Fault::Redirect(url), _) => plain(302, "text/plain", &format!("Location: {url}\r\n"), ""),
        (Fault::Status(status, headers), _) => {
            let lines = headers
                .iter()
                .flat_map(|(name, value)| [*name, ": ", value, "\r\n"]);
            let headers: String = lines.collect();
            plain(*status, "application/json", &headers, "{}")
        }
        (Fault::Page, _) => plain(200, "text/html", "", "<html>log in</html>"),
        (_, None) => plain(404, "application/json", "", "{}"),
        (_, Some(served)) => send(stream, shared, &path, &headers, &served, &fault),
    }
}

/// Sends a file, or the part of it that was asked for, as well as the fault lets it.
fn send(
    mut stream: &TcpStream,
    shared: &Shared,
    path: &str,
    headers: &BTreeMap<String, String>,
    served: &Served,
    fault: &Fault,
) -> io::Result<()> {
    let size = served.body.len();
    let asked: Option<usize> = headers
        .get("range")
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse()
                .ok()
        })
        .filter(|_| {
            headers
                .get("if-range")
                .is_none_or(|tag| Some(tag) == served.etag.as_ref().or(served.modified.as_ref()))
        })
        .filter(|_| *fault != Fault::IgnoredRange);
    let (status, from, range) = match asked {
        None => (200, 0, None),
        Some(from) if *fault == Fault::RefusedRange || from >= size => {
            return write!(
                stream,
                "HTTP/1.1 416 x\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Some(from) => {
            let from = from - usize::from(*fault == Fault::OtherRange);
            let range = match fault {
                Fault::BadRange => "bytes of some kind".to_owned(),
                _ => format!("bytes {from}-{}/{size}", size - 1),
            };
            (206, from, Some(range))
        }
    };
    let mut body = served.body[from..].to_vec();
    if let Fault::Corrupt(at) = fault
        && let Some(byte) = body.get_mut(*at)
    {
        *byte ^= 1;
    }
    let more = match fault {
        Fault::Length(more) => *more,
        _ => 0,
    };
    let length = i64::try_from(body.len()).expect("small") + more;
    let is_json = path.starts_with("/api");
    let kind = if is_json {
        "application/json"
    } else {
        "application/octet-stream"
    };
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\n"
    )?;
    for (name, value) in [
        ("ETag", &served.etag),
        ("Last-Modified", &served.modified),
        ("Content-Range", &range),
    ] {
        if let Some(value) = value {
            write!(stream, "{name}: {value}\r\n")?;
        }
    }
    write!(stream, "Connection: close\r\n\r\n")?;
    let count = |bytes: usize| lock(shared).sent += bytes as u64;
    match *fault {
        Fault::Cut(after) | Fault::Reset(after) | Fault::Stall(after) => {
            let part = &body[..after.min(body.len())];
            count(part.len());
            stream.write_all(part)?;
            match fault {
                Fault::Reset(_) => {
                    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
                }
                Fault::Stall(_) => {
                    let mut state = lock(shared);
                    while !state.ending {
                        state = shared.ended.wait(state).expect("no panic");
                    }
                }
                _ => {}
            }
            Ok(())
        }
        Fault::Slow(piece, pause) => {
            for part in body.chunks(piece) {
                count(part.len());
                stream.write_all(part)?;
                std::thread::sleep(pause);
            }
            Ok(())
        }
        _ => {
            count(body.len());
            stream.write_all(&body)
        }
    }
}
