//! Answers whole, in pieces, endless and not at all.

#![expect(clippy::disallowed_types, reason = "a probe needs somebody to talk to")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use super::*;

/// A server that answers one request with these pieces, and then closes.
fn server(pieces: &'static [&'static str]) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        for piece in pieces {
            let _ = stream.write_all(piece.as_bytes());
            let _ = stream.flush();
        }
    });
    Address::Tcp(address)
}

const REQUEST: Request<'_> = Request {
    path: "/health",
    body: None,
    api_key: Some("sesame"),
};
const LONG: Duration = Duration::from_secs(20);

fn answer(pieces: &'static [&'static str]) -> Result<Answer, ProbeError> {
    ask(&server(pieces), &REQUEST, LONG, &[])
}

#[test]
fn an_answer_is_read_by_its_length_by_its_chunks_or_to_its_end() {
    let by_length = answer(&[
        "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\nhe",
        "llo, and more",
    ]);
    assert_eq!(
        by_length.expect("an answer"),
        Answer {
            status: 200,
            body: "hello".to_owned()
        }
    );
    let by_chunks = answer(&[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
        "2\r\nlo\r\n0\r\n\r\n",
    ]);
    assert_eq!(by_chunks.expect("an answer").body, "hello");
    let to_its_end = answer(&["HTTP/1.0 503 Busy\r\n\r\n", "hel", "lo"]);
    assert_eq!(
        to_its_end.expect("an answer"),
        Answer {
            status: 503,
            body: "hello".to_owned()
        }
    );
}

#[test]
fn what_is_not_http_is_an_error() {
    for pieces in [
        &["SSH-2.0-OpenSSH\r\n\r\n"][..],
        &[],
        &["HTTP/1.1 abc\r\n\r\n"],
    ] {
        assert!(
            matches!(answer(pieces), Err(ProbeError::NotHttp)),
            "{pieces:?}"
        );
    }
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx";
    let odd = Answer::parse(chunk.as_bytes(), false);
    assert_eq!(odd, None, "a chunk beyond all memory is only incomplete");
}

#[test]
fn a_silent_server_is_not_waited_for_longer_than_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = Address::Tcp(listener.local_addr().expect("bound"));
    let silent = ask(&address, &REQUEST, Duration::from_millis(20), &[]);
    assert!(matches!(silent, Err(ProbeError::TimedOut(_))), "{silent:?}");
    drop(listener);
    assert!(matches!(
        ask(&address, &REQUEST, LONG, &[]),
        Err(ProbeError::System(_))
    ));
}

#[test]
fn what_else_happens_interrupts_the_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = Address::Tcp(listener.local_addr().expect("bound"));
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.write_all(b"x").expect("written");
    let interrupted = ask(&address, &REQUEST, LONG, &[ours.as_fd()]);
    assert!(
        matches!(interrupted, Err(ProbeError::Interrupted)),
        "{interrupted:?}"
    );
}

#[test]
fn a_server_is_asked_where_it_can_be_reached() {
    let at = |host: &str| match Address::of(host, 8071).expect("an address") {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => path,
    };
    assert_eq!(at("0.0.0.0"), "127.0.0.1:8071");
    assert_eq!(at("::"), "[::1]:8071");
    assert_eq!(at("127.0.0.1,192.168.1.2"), "127.0.0.1:8071");
    assert_eq!(at("/run/llama.sock"), "/run/llama.sock");
}

#[test]
fn an_error_is_summed_up_in_its_own_words() {
    let loading = Answer {
        status: 503,
        body: r#"{"error":{"code":503,"message":"Loading model"}}"#.to_owned(),
    };
    assert_eq!(loading.summary(), "503 Loading model");
    assert_eq!(
        Answer {
            status: 404,
            body: "<html>".to_owned()
        }
        .summary(),
        "404"
    );
}
