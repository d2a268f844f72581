//! The status page, asked as browsers, scrapers and strangers ask.

mod samples;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use llama_orch::watch::page::{Access, Interest, Page, Served};
use llama_orch::watch::snapshot::{self, Snapshot};
use tokio::sync::watch;

use crate::support::sandbox::ask;

/// A page that shows what it is told to.
struct Shown {
    served: Served,
    publish: watch::Sender<Arc<Snapshot>>,
}

impl Shown {
    fn with(snapshot: Snapshot) -> Self {
        let page = Page::open(&access("127.0.0.1:0")).expect("it is bound");
        let (publish, latest) = watch::channel(Arc::new(snapshot));
        let interest = Arc::new(Interest::new(Duration::from_mins(5)));
        let served = page.serve(latest, interest).expect("it is served");
        Self { served, publish }
    }

    fn ask(&self, method: &str, path: &str) -> String {
        ask(self.served.address().port(), method, path, "")
    }

    fn show(&self, name: &str) {
        let snapshot = match name {
            "everything" => samples::everything(),
            "hostile" => samples::hostile(),
            "well" => samples::well(3),
            "hundred" => samples::well(100),
            other => panic!("there is no sample {other}"),
        };
        self.publish.send_replace(Arc::new(snapshot));
    }
}

fn access(listen: &str) -> Access {
    Access {
        listen: listen.parse::<SocketAddr>().expect("an address"),
        allow_public: false,
        token_file: None,
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("head and body").1
}

#[test]
fn it_is_served_to_be_read_and_to_run_nothing_but_itself() {
    let shown = Shown::with(samples::everything());
    let page = shown.ask("GET", "/");
    assert!(page.starts_with("HTTP/1.1 200"), "{page:.300}");
    let head = page
        .split("\r\n\r\n")
        .next()
        .expect("a head")
        .to_lowercase();
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(head.contains(header), "{header}:\n{head}");
    }
    assert!(!head.contains("unsafe-inline"), "{head}");
    assert!(
        !body(&page).contains("innerHTML"),
        "markup is never made of text"
    );
    assert!(shown.ask("POST", "/").starts_with("HTTP/1.1 405"));
    assert!(shown.ask("GET", "/nothing").starts_with("HTTP/1.1 404"));
    assert!(shown.ask("GET", "/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn the_snapshot_fits_its_schema() {
    let shown = Shown::with(samples::hostile());
    let validator = jsonschema::validator_for(&snapshot::schema()).expect("a schema");
    for name in ["everything", "hostile", "well"] {
        shown.show(name);
        let answer = shown.ask("GET", "/status.json");
        let value: serde_json::Value = serde_json::from_str(body(&answer)).expect("JSON");
        let wrong: Vec<String> = validator
            .iter_errors(&value)
            .map(|it| it.to_string())
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}

#[test]
fn metrics_are_what_a_scraper_takes_and_documented_one_by_one() {
    let shown = Shown::with(samples::everything());
    let mut seen = BTreeMap::new();
    for name in ["everything", "hostile", "well"] {
        shown.show(name);
        let answer = shown.ask("GET", "/metrics");
        let text = body(&answer);
        let parsed = openmetrics_parser::prometheus::parse_prometheus(text);
        let parsed = parsed.unwrap_or_else(|error| panic!("{name}: {error:?}\n{text}"));
        let families = parsed.families.values();
        seen.extend(families.map(|family| (family.family_name.clone(), family.help.clone())));
    }
    let rows = seen
        .iter()
        .map(|(name, help)| format!("| `{name}` | {help} |\n"));
    let table = format!(
        "| family | what it says |\n| --- | --- |\n{}",
        rows.collect::<String>()
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md");
    let document = std::fs::read_to_string(path).expect("readable");
    let (prose, documented) = document.split_once("| family |").unwrap_or((&document, ""));
    if std::env::var_os("DOCS").is_some_and(|what| what == "overwrite") {
        std::fs::write(path, format!("{prose}{table}")).expect("written");
    } else {
        assert_eq!(
            format!("| family |{documented}"),
            table,
            "`DOCS=overwrite cargo test --test it metrics_are` writes docs/METRICS.md"
        );
    }
}

#[test]
fn an_address_others_can_reach_takes_more_than_a_flag() {
    let refused = Page::open(&access("0.0.0.0:0")).expect_err("it is refused");
    assert!(
        refused
            .hint()
            .is_some_and(|hint| hint.contains("--allow-public")),
        "{refused}"
    );
    let open = Access {
        allow_public: true,
        ..access("0.0.0.0:0")
    };
    let refused = Page::open(&open).expect_err("it is refused");
    assert!(
        refused
            .hint()
            .is_some_and(|hint| hint.contains("--token-file")),
        "{refused}"
    );
}

#[test]
fn a_browser_shows_every_state_live_and_nothing_comes_alive() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(_), Some(_)) = (
        variable("LLAMA_ORCH_CHROMIUM"),
        variable("LLAMA_ORCH_PLAYWRIGHT"),
    ) else {
        println!("skipped: LLAMA_ORCH_CHROMIUM and LLAMA_ORCH_PLAYWRIGHT are not set");
        return;
    };
    let shown = Shown::with(samples::everything());
    let shots = variable("LLAMA_ORCH_ARTIFACTS").unwrap_or_default();
    let mut browser = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/page.mjs"))
        .arg(format!("http://{}/", shown.served.address()))
        .arg(shots)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is there");
    let mut answers = browser.stdin.take().expect("piped");
    let mut said = Vec::new();
    for line in BufReader::new(browser.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        if let Some(name) = line.strip_prefix("show ") {
            shown.show(name);
            writeln!(answers, "shown").expect("it reads");
        } else {
            println!("{line}");
            said.push(line);
        }
    }
    browser.wait().expect("it ends");
    assert!(said.iter().any(|line| line == "OK"), "{}", said.join("\n"));
}
