//! Who is answered, with what headers, and for how long: asked byte by byte, as no browser would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};
use llama_orch::watch::page::{Access, Interest, Page};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{Shown, access, body, samples};

const TOKEN: &str = "3f2c1e9d0a4b5c6d7e8f";

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

/// Opens a connection and says something.
fn say(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("someone listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

/// Says something and reads the whole answer.
fn exchange(address: SocketAddr, first: &str, headers: &[&str]) -> String {
    let mut request = format!("{first} HTTP/1.1\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let mut answer = String::new();
    let mut stream = say(address, &request);
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).expect("a status")
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(at, _)| at.eq_ignore_ascii_case(name))?
        .1
        .into()
}

/// An event stream, up to its first line.
fn stream(address: SocketAddr) -> (String, BufReader<TcpStream>) {
    let request = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut reader = BufReader::new(say(address, request));
    let mut first = String::new();
    reader.read_line(&mut first).expect("a line");
    (first, reader)
}

/// The next snapshot of a stream.
fn next_snapshot(reader: &mut BufReader<TcpStream>) -> serde_json::Value {
    let mut line = String::new();
    loop {
        line.clear();
        let read = reader.read_line(&mut line).expect("a line");
        assert!(read > 0, "the stream has ended");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data).expect("JSON");
        }
    }
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_answer_carries_the_same_headers() {
    let shown = Shown::with(samples::everything());
    let address = shown.served.address();
    let local = "Host: localhost";
    let mut answers: Vec<String> = ["/", "/status.json", "/metrics", "/healthz", "/nothing"]
        .into_iter()
        .flat_map(|path| ["GET", "HEAD", "POST"].map(|method| format!("{method} {path}")))
        .map(|first| exchange(address, &first, &[local]))
        .collect();
    answers.push(exchange(address, "HEAD /events", &[local]));
    answers.push(exchange(address, "GET /", &["Host: evil.example"]));
    for answer in &answers {
        let policy = header(answer, "content-security-policy").expect("a policy");
        for part in [
            "default-src 'none';",
            "connect-src 'self';",
            "frame-ancestors 'none';",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{part}: {policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(header(answer, name), Some(value), "{answer:.400}");
        }
    }
}

#[test]
fn the_policy_lets_run_what_is_in_the_page_and_the_page_needs_nothing_else() {
    let shown = Shown::with(samples::well(3));
    let answer = exchange(shown.served.address(), "GET /", &["Host: localhost"]);
    let policy = header(&answer, "content-security-policy").expect("a policy");
    let page = body(&answer);
    for (kind, open, close) in [
        ("style-src", "<style>", "</style>"),
        ("script-src", "<script>", "</script>"),
    ] {
        let parts: Vec<&str> = page.split(open).collect();
        assert_eq!(parts.len(), 2, "one {open}");
        let part = parts[1].split(close).next().expect("it ends");
        let hash = STANDARD.encode(Sha256::digest(part));
        let allowed = format!("{kind} 'sha256-{hash}'");
        assert!(policy.contains(&allowed), "{allowed}: {policy}");
    }
    for outside in [
        " src=",
        "@import",
        "url(",
        " style=\"",
        " onclick=",
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
    ] {
        assert!(!page.contains(outside), "`{outside}` in the page");
    }
}

#[test]
fn it_is_read_and_nothing_else() {
    let shown = Shown::with(samples::well(3));
    let address = shown.served.address();
    for path in ["/", "/status.json", "/metrics", "/healthz"] {
        let whole = exchange(address, &format!("GET {path}"), &["Host: localhost"]);
        let head = exchange(address, &format!("HEAD {path}"), &["Host: localhost"]);
        assert_eq!((status(&whole), status(&head)), ("200", "200"), "{path}");
        assert!(!body(&whole).is_empty() && body(&head).is_empty(), "{path}");
        let kind = |answer| header(answer, "content-type").map(str::to_owned);
        assert_eq!(kind(&whole), kind(&head), "{path}");
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = exchange(address, &format!("{method} {path}"), &["Host: localhost"]);
            assert_eq!(status(&answer), "405", "{method} {path}");
        }
    }
    let nothing = exchange(address, "GET /../etc/passwd", &["Host: localhost"]);
    assert_eq!(status(&nothing), "404");
}

#[test]
fn a_name_that_was_rebound_to_this_machine_is_not_answered() {
    let shown = Shown::with(samples::well(3));
    let address = shown.served.address();
    let own = format!("Host: {address}");
    for host in [
        "Host: localhost:9930",
        "Host: LOCALHOST",
        "Host: [::1]:80",
        &own,
    ] {
        assert_eq!(
            status(&exchange(address, "GET /", &[host])),
            "200",
            "{host}"
        );
    }
    for host in [
        "Host: evil.example",
        "Host: 127.0.0.1.evil.example",
        "Host: localhost.evil.example",
        "Host: localhost@evil.example",
        "Host: 192.0.2.7",
        "Host: ",
        "X-Nothing: 1",
    ] {
        for path in ["/", "/status.json", "/healthz"] {
            let answer = exchange(address, &format!("GET {path}"), &[host]);
            assert!(
                ["421", "400"].contains(&status(&answer)),
                "{host}: {answer:.90}"
            );
        }
    }
    let two = exchange(address, "GET /", &["Host: localhost", "Host: evil.example"]);
    assert!(["421", "400"].contains(&status(&two)), "{two:.90}");
    let absolute = exchange(address, "GET http://evil.example/", &["Host: localhost"]);
    assert_eq!(status(&absolute), "421");
}

#[test]
fn a_page_of_somebody_else_gets_no_answer_and_a_link_there_does() {
    let shown = Shown::with(samples::well(3));
    let address = shown.served.address();
    let fetched = [
        "Host: localhost",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: no-cors",
    ];
    assert_eq!(status(&exchange(address, "GET /events", &fetched)), "403");
    let followed = [
        "Host: localhost",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
    ];
    assert_eq!(status(&exchange(address, "GET /", &followed)), "200");
}

/// Serves a page that asks for a token.
fn with_token(file: &Utf8Path) -> Access {
    Access {
        token_file: Some(file.to_owned()),
        ..access("127.0.0.1:0")
    }
}

fn token_file(folder: &tempfile::TempDir, text: &str, mode: u32) -> Utf8PathBuf {
    let path = Utf8Path::from_path(folder.path())
        .expect("UTF-8")
        .join("token");
    std::fs::write(&path, text).expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode).expect("set");
    }
    let _ = mode;
    path
}

#[test]
fn with_a_token_whoever_shows_it_reads_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = token_file(&folder, &format!("{TOKEN}\n"), 0o600);
    let shown = Shown::at(&with_token(&file), samples::well(3));
    let address = shown.served.address();
    let basic = |pair: String| format!("Authorization: Basic {}", STANDARD.encode(pair));
    let ask = |path: &str, shown: &str| {
        let first = format!("GET {path}");
        exchange(address, &first, &["Host: localhost", shown])
    };
    for path in ["/", "/status.json", "/metrics", "/nothing"] {
        for wrong in [
            "X-Nothing: 1".to_owned(),
            "Authorization: Bearer ".to_owned(),
            format!("Authorization: Bearer {TOKEN}x"),
            format!("Authorization: Bearer {}", &TOKEN[1..]),
            format!("Authorization: {TOKEN}"),
            "Authorization: Basic !!!".to_owned(),
            basic(TOKEN.to_owned()),
            basic(format!("{TOKEN}:")),
        ] {
            let answer = ask(path, &wrong);
            assert_eq!(status(&answer), "401", "{path} {wrong}");
            let challenge = header(&answer, "www-authenticate");
            assert_eq!(challenge, Some("Basic realm=\"llama-orch\""));
            assert!(!answer.contains("rerank"), "{answer}");
        }
    }
    for right in [
        format!("Authorization: Bearer {TOKEN}"),
        format!("authorization: bearer  {TOKEN}"),
        basic(format!("anybody:{TOKEN}")),
        basic(format!(":{TOKEN}")),
    ] {
        assert_eq!(status(&ask("/status.json", &right)), "200", "{right}");
    }
    assert_eq!(status(&ask("/healthz", "X-Nothing: 1")), "200");
}

#[test]
fn a_token_that_keeps_nobody_out_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |text: &str, mode: u32| {
        let file = token_file(&folder, text, mode);
        let error = Page::open(&with_token(&file)).expect_err("it is refused");
        let hint = error.hint().expect("a hint");
        assert!(!format!("{error:?} {error} {hint}").contains(TOKEN));
        (error.to_string(), hint)
    };
    for (text, why) in [
        ("", "is empty"),
        ("\n", "is empty"),
        ("short\n", "is too short"),
        ("3f2c1e9d0a4b5c6d\n7e8f3f2c1e9d0a4b\n", "more than one line"),
        ("3f2c1e9d 0a4b5c6d7e8f\n", "no header can carry"),
        ("3f2c1e9d0a4b5c6dé7e8f\n", "no header can carry"),
    ] {
        let (error, hint) = refused(text, 0o600);
        assert!(error.contains(why), "{text:?}: {error}");
        assert!(hint.contains("openssl rand"), "{hint}");
    }
    if cfg!(unix) {
        for mode in [0o640, 0o604, 0o666] {
            let (error, hint) = refused(TOKEN, mode);
            assert!(error.contains("can be read by others"), "{error}");
            assert!(hint.contains("chmod 600"), "{hint}");
        }
    }
    let absent = Utf8Path::from_path(folder.path())
        .expect("UTF-8")
        .join("none");
    let error = Page::open(&with_token(&absent)).expect_err("it is refused");
    assert!(error.to_string().contains("no token file"), "{error}");
}

#[test]
fn a_port_that_is_taken_is_told_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("bound").to_string();
    let error = Page::open(&access(&address)).expect_err("it is taken");
    assert!(error.to_string().contains(&address), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--listen")));
}

#[test]
fn health_is_whether_the_loop_shows_anything() {
    let page = Page::open(&access("127.0.0.1:0")).expect("it is bound");
    let (publish, latest) = watch::channel(Arc::new(samples::well(1)));
    let interest = Arc::new(Interest::new(Duration::from_mins(5)));
    let served = page.serve(latest, interest.clone()).expect("it is served");
    let ask = || exchange(served.address(), "GET /healthz", &["Host: localhost"]);
    assert_eq!(body(&ask()), "ok\n");
    // Silent for longer than it may be.
    interest.set_stale_after(Duration::ZERO);
    let silent = ask();
    assert_eq!(status(&silent), "503");
    assert!(body(&silent).starts_with("the loop has shown nothing for"));
    interest.set_stale_after(Duration::from_mins(5));
    assert_eq!(status(&ask()), "200");
    drop(publish);
    let ended = ask();
    assert_eq!(
        (status(&ended), body(&ended)),
        ("503", "the loop has ended\n")
    );
}

#[test]
fn whoever_asks_once_sees_how_it_is_now_or_what_there_is() {
    let page = Page::open(&access("127.0.0.1:0")).expect("it is bound");
    let (publish, latest) = watch::channel(Arc::new(samples::well(1)));
    let interest = Arc::new(Interest::new(Duration::from_mins(5)));
    let served = page.serve(latest, interest.clone()).expect("it is served");
    let count = || {
        let answer = exchange(served.address(), "GET /status.json", &["Host: localhost"]);
        let value: serde_json::Value = serde_json::from_str(body(&answer)).expect("JSON");
        value["instances"].as_array().expect("a list").len()
    };
    // Nobody looks: the old one is better than none.
    assert_eq!(count(), 1);
    let looks = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        // What was asked before is still to be answered.
        for instances in [2, 3] {
            runtime.block_on(interest.asked());
            publish.send_replace(Arc::new(samples::well(instances)));
        }
        publish
    });
    wait("the first look is over", || count() == 3);
    drop(looks.join().expect("it looked"));
}

#[test]
fn a_stream_tells_every_change_and_the_loop_knows_who_looks() {
    let page = Page::open(&access("127.0.0.1:0")).expect("it is bound");
    let (publish, latest) = watch::channel(Arc::new(samples::well(1)));
    let interest = Arc::new(Interest::new(Duration::from_mins(5)));
    let served = page.serve(latest, interest.clone()).expect("it is served");
    assert_eq!(interest.viewers(), 0);
    let (first, mut reader) = stream(served.address());
    assert!(first.contains("200"), "{first}");
    assert_eq!(next_snapshot(&mut reader)["instances"][0]["name"], "chat");
    assert_eq!(interest.viewers(), 1);
    publish.send_replace(Arc::new(samples::hostile()));
    let hostile = next_snapshot(&mut reader);
    assert_eq!(hostile["instances"][0]["name"], samples::MARKUP);
    drop(reader);
    wait("nobody looks any more", || interest.viewers() == 0);
}

#[test]
fn there_are_places_for_so_many_and_one_who_leaves_makes_room() {
    let shown = Shown::with(samples::well(1));
    let address = shown.served.address();
    let mut open: Vec<_> = (0..64).map(|_| stream(address)).collect();
    assert!(open.iter().all(|(first, _)| first.contains("200")));
    let refused = exchange(address, "GET /events", &["Host: localhost"]);
    assert_eq!(status(&refused), "503");
    assert_eq!(header(&refused, "retry-after"), Some("30"));
    // Others are answered all the same.
    assert_eq!(
        status(&exchange(address, "GET /", &["Host: localhost"])),
        "200"
    );
    open.pop();
    wait("a place is free", || stream(address).0.contains("200"));
}

#[test]
fn what_is_no_longer_served_leaves_nothing() {
    let shown = Shown::with(samples::well(1));
    let address = shown.served.address();
    let (_, mut reader) = stream(address);
    next_snapshot(&mut reader);
    drop(shown);
    let mut rest = Vec::new();
    // Its end, or that it was cut off.
    let _ = reader.read_to_end(&mut rest);
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
}

#[test]
fn a_client_that_says_nothing_is_let_go() {
    let shown = Shown::with(samples::well(1));
    let address = shown.served.address();
    let silent = say(address, "");
    let slow = say(address, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    let idle = say(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for mut stream in [silent, slow, idle] {
        let mut rest = Vec::new();
        // Ends before the deadline, which would be an error of another kind.
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_request_that_goes_on_and_on_is_refused() {
    let shown = Shown::with(samples::well(1));
    let long = format!("X-Long: {}", "x".repeat(64 * 1024));
    let answer = exchange(shown.served.address(), "GET /", &["Host: localhost", &long]);
    assert_eq!(status(&answer), "431");
}
