//! One HTTP/1.1 request over plain TCP or a Unix socket, with a deadline, and interruptible.
//!
//! The supervisor asks its server with this instead of an HTTP client, which would cost it
//! megabytes. No TLS, no redirects, no keep-alive. What is asked and what the answer means is left
//! to [`super::gate`] and [`super::supervisor`].

#![expect(
    clippy::disallowed_methods,
    reason = "talks to a server until a deadline"
)]

mod answer;
#[cfg_attr(unix, path = "probe/unix.rs")]
#[cfg_attr(windows, path = "probe/windows.rs")]
mod os;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use camino::Utf8Path;

use self::os::Socket;
use super::is_socket;
use super::waiting::Awaited;

pub use answer::Answer;

/// No answer of ours is larger; `/props` with a long chat template is some tens of KiB.
const LARGEST_ANSWER: usize = 4 << 20;

/// Where a server can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a Unix socket, by its path.
    Unix(String),
}

impl Address {
    /// The same for a server that works in `folder`, by which the path of a socket goes, and not by where we are.
    pub fn within(folder: &Utf8Path, host: &str, port: u16) -> io::Result<Self> {
        Ok(match Self::of(host, port)? {
            Self::Unix(path) => Self::Unix(folder.join(path).into_string()),
            tcp @ Self::Tcp(_) => tcp,
        })
    }

    /// Where a server that was told to listen on `host` can be asked: a wildcard by the loopback
    /// address, of several hosts the first, a path ending in `.sock` as the socket it is.
    pub fn of(host: &str, port: u16) -> io::Result<Self> {
        let host = host.split(',').next().unwrap_or(host).trim();
        if is_socket(host) {
            return Ok(Self::Unix(host.to_owned()));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            let reachable = match address {
                IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                other => other,
            };
            return Ok(Self::Tcp(SocketAddr::new(reachable, port)));
        }
        let first = (host, port).to_socket_addrs()?.next();
        first
            .map(Self::Tcp)
            .ok_or_else(|| io::Error::other(format!("`{host}` has no address")))
    }
}

/// What to ask.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The path, such as `/health`.
    pub path: &'a str,
    /// JSON to send by POST; `None` asks by GET.
    pub body: Option<&'a str>,
    /// Sent as a bearer token.
    pub api_key: Option<&'a str>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// One of the other things waited for happened first.
    #[error("interrupted")]
    Interrupted,
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// What came is not HTTP.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// The system said no, most often that nobody listens.
    #[error("{0}")]
    System(io::Error),
}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Makes a request and waits for the whole answer, but not longer than `timeout`, and not after
/// one of `others` happened.
pub fn ask(
    address: &Address,
    request: &Request<'_>,
    timeout: Duration,
    others: &[Awaited<'_>],
) -> Result<Answer, ProbeError> {
    let wait = Wait {
        deadline: Instant::now() + timeout,
        timeout,
        others,
    };
    let socket = connect(address, &wait)?;
    send(&socket, &text_of(address, request), &wait)?;
    receive(&socket, &wait)
}

/// Whether a connection can be made.
pub fn connects(
    address: &Address,
    timeout: Duration,
    others: &[Awaited<'_>],
) -> Result<(), ProbeError> {
    let wait = Wait {
        deadline: Instant::now() + timeout,
        timeout,
        others,
    };
    connect(address, &wait).map(drop)
}

fn text_of(address: &Address, request: &Request<'_>) -> Vec<u8> {
    let host = match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    };
    let method = if request.body.is_some() {
        "POST"
    } else {
        "GET"
    };
    let mut text = format!(
        "{method} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: */*\r\n",
        request.path
    );
    if let Some(key) = request.api_key {
        text.extend(["Authorization: Bearer ", key, "\r\n"]);
    }
    if let Some(body) = request.body {
        let length = body.len().to_string();
        text.extend([
            "Content-Type: application/json\r\nContent-Length: ",
            &length,
            "\r\n",
        ]);
    }
    text += "\r\n";
    text += request.body.unwrap_or_default();
    text.into_bytes()
}

/// What a socket has to be ready for.
#[derive(Debug, Clone, Copy)]
enum Need {
    /// To read from it.
    Read,
    /// To write to it, or to have been connected.
    Write,
}

/// What a wait for a socket came to.
#[derive(Debug, Clone, Copy)]
enum Ready {
    /// It is ready.
    Socket,
    /// Something else happened.
    Other,
    /// The time is over.
    TooLate,
}

/// How long to wait, and what for besides the socket.
struct Wait<'a> {
    deadline: Instant,
    timeout: Duration,
    others: &'a [Awaited<'a>],
}

impl Wait<'_> {
    fn until(&self, socket: &Socket, need: Need) -> Result<(), ProbeError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match socket.ready_within(need, self.others, left)? {
            Ready::Socket => Ok(()),
            Ready::Other => Err(ProbeError::Interrupted),
            Ready::TooLate => Err(ProbeError::TimedOut(self.timeout)),
        }
    }
}

fn connect(address: &Address, wait: &Wait<'_>) -> Result<Socket, ProbeError> {
    let (socket, is_connected) = Socket::connect(address)?;
    if !is_connected {
        wait.until(&socket, Need::Write)?;
        socket.connected()?;
    }
    Ok(socket)
}

fn send(socket: &Socket, mut text: &[u8], wait: &Wait<'_>) -> Result<(), ProbeError> {
    while !text.is_empty() {
        match socket.send(text) {
            Ok(count) => text = &text[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait.until(socket, Need::Write)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn receive(socket: &Socket, wait: &Wait<'_>) -> Result<Answer, ProbeError> {
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match socket.receive(&mut piece) {
            Ok(0) => return Answer::parse(&received, true).ok_or(ProbeError::NotHttp),
            Ok(count) => {
                received.extend_from_slice(&piece[..count]);
                if let Some(answer) = Answer::parse(&received, false) {
                    return Ok(answer);
                }
                if received.len() > LARGEST_ANSWER {
                    return Err(ProbeError::NotHttp);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait.until(socket, Need::Read)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
