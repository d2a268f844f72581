//! A web server for tests: answers what it was told to, on a loopback port, and remembers what it
//! was asked. It can also do what real ones do badly: stop in the middle of a body.

#![expect(clippy::disallowed_types, reason = "listens on a loopback port")]

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use url::Url;

/// An answer to one path.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes after which the connection breaks.
    cut: Option<usize>,
}

impl Reply {
    pub(super) fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        Self {
            status,
            headers,
            body: body.into(),
            cut: None,
        }
    }

    pub(super) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "application/json; charset=utf-8", body)
    }

    pub(super) fn file(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "application/octet-stream", body)
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self::new(302, "text/plain", "").with("location", to)
    }

    pub(super) fn with(mut self, header: &str, value: &str) -> Self {
        self.headers.push((header.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }
}

/// A request, as far as tests look at it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    /// Header lines in lower case.
    pub(super) headers: Vec<String>,
}

pub(super) struct Server {
    pub(super) url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
    running: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to answer. A path that is not listed is not found; one that is listed several times is
    /// answered in that order, and from then on as at last.
    pub(super) fn start(replies: impl IntoIterator<Item = (&'static str, Reply)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let url = format!("http://{address}").parse().expect("a URL");
        let mut left: BTreeMap<&str, VecDeque<Reply>> = BTreeMap::new();
        for (path, reply) in replies {
            left.entry(path).or_default().push_back(reply);
        }
        let asked = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&asked);
        let running = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                let Some(request) = read(&stream) else { break };
                let reply = left.get_mut(request.path.as_str()).and_then(|replies| {
                    if replies.len() > 1 {
                        replies.pop_front()
                    } else {
                        replies.front().cloned()
                    }
                });
                note.lock().expect("no panic").push(request);
                let missing = || Reply::new(404, "application/json", "{}");
                // A client that hangs up has had enough.
                let _ = answer(&stream, &reply.unwrap_or_else(missing));
            }
        });
        Self {
            url,
            asked,
            running: Some(running),
        }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An empty request ends it.
        let address = self.url.socket_addrs(|| None).expect("an address")[0];
        drop(TcpStream::connect(address));
        if let Some(running) = self.running.take() {
            running.join().expect("no panic");
        }
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let headers = lines.take_while(|line| !line.is_empty());
    Some(Asked {
        path,
        headers: headers.map(|line| line.to_lowercase()).collect(),
    })
}

fn answer(mut stream: &TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        write!(head, "{name}: {value}\r\n").expect("written to memory");
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    let sent = reply.cut.unwrap_or(reply.body.len());
    stream.write_all(&reply.body[..sent])
}
