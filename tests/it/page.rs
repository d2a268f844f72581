//! The status page, asked as browsers, scrapers and strangers ask.

mod http;
mod samples;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
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
        Self::at(&access("127.0.0.1:0"), snapshot)
    }

    fn at(access: &Access, snapshot: Snapshot) -> Self {
        let page = Page::open(access).expect("it is bound");
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
            "later" => samples::later(),
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
        for (family, told) in &parsed.families {
            let labels = told.get_label_names().iter();
            let labels: Vec<String> = labels.map(|label| format!("`{label}`")).collect();
            let row = format!("| `{family}` | {} | {} |\n", labels.join(", "), told.help);
            seen.insert(family.clone(), row);
        }
    }
    let rows: String = seen.into_values().collect();
    let table = format!("| family | labels | what it says |\n| --- | --- | --- |\n{rows}");
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
fn whoever_asks_for_openmetrics_gets_that_and_names_stay_values() {
    let shown = Shown::with(samples::hostile());
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n";
    let mut stream = TcpStream::connect(shown.served.address()).expect("someone listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.contains("application/openmetrics-text; version=1.0.0"));
    let parsed = openmetrics_parser::openmetrics::parse_openmetrics(body(&answer));
    let parsed = parsed.unwrap_or_else(|error| panic!("{error:?}\n{answer}"));
    let ready = &parsed.families["llama_orch_instance_ready"];
    let hostile = samples::hostile();
    assert_eq!(ready.iter_samples().count(), hostile.instances.len());
    for one in &hostile.instances {
        let name = one.row.name.clone();
        let told = ready.get_sample_by_label_values(&[name]);
        assert!(told.is_some(), "{:.100}", one.row.name);
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
    let mut shown = Some(Shown::with(samples::everything()));
    let address = shown.as_ref().map(|shown| shown.served.address());
    let address = address.expect("it is served");
    let shots = variable("LLAMA_ORCH_ARTIFACTS").unwrap_or_default();
    let mut browser = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/page.mjs"))
        .arg(format!("http://{address}/"))
        .arg(shots)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is there");
    let mut answers = browser.stdin.take().expect("piped");
    let mut said = Vec::new();
    for line in BufReader::new(browser.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        let asked = line.strip_prefix("show ");
        if let (Some(name), Some(shown)) = (asked, &shown) {
            shown.show(name);
            writeln!(answers, "shown").expect("it reads");
        } else if line == "end" {
            shown = None;
            writeln!(answers, "ended").expect("it reads");
        } else {
            println!("{line}");
            said.push(line);
        }
    }
    browser.wait().expect("it ends");
    assert!(said.iter().any(|line| line == "OK"), "{}", said.join("\n"));
}
