//! The answers over HTTP, in the shape `llama-server` gives them.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use crate::options::Options;

/// What the answers depend on.
pub(crate) struct Server {
    build: u32,
    alias: String,
    api_key: Option<String>,
    context_size: u32,
    metrics: bool,
    slots: bool,
    open_requests: Option<PathBuf>,
    asleep: bool,
}

/// The parts of a request that matter.
struct Request {
    method: String,
    path: String,
    token: Option<String>,
    body: String,
}

impl Server {
    pub(crate) fn new(options: &Options, build: u32) -> Self {
        let model = options.model.as_ref().and_then(|model| model.file_name());
        let model = model.map_or("stand-in".into(), |name| name.to_string_lossy());
        Self {
            build,
            alias: options.alias.clone().unwrap_or_else(|| model.into_owned()),
            api_key: options.api_key.clone(),
            context_size: options.context_size,
            metrics: options.metrics,
            slots: !options.no_slots,
            open_requests: options.open_requests.clone(),
            asleep: options.asleep,
        }
    }

    /// Reads one request, answers it and closes.
    pub(crate) fn answer(&self, stream: TcpStream, ready: bool) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let request = read(&mut reader)?;
        let (status, body) = self.respond(&request, ready);
        let kind = if body.starts_with(['{', '[']) {
            "application/json"
        } else {
            "text/plain"
        };
        let answer = format!(
            "HTTP/1.1 {status} {}\r\nServer: llama.cpp\r\nContent-Type: {kind}; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            if status == 200 { "OK" } else { "Error" },
            body.len(),
        );
        reader.get_mut().write_all(answer.as_bytes())
    }

    fn respond(&self, request: &Request, ready: bool) -> (u16, String) {
        let public = matches!(
            request.path.as_str(),
            "/health" | "/v1/health" | "/models" | "/v1/models" | "/"
        );
        if !public && self.api_key.is_some() && self.api_key != request.token {
            return error(401, "Invalid API Key", "authentication_error");
        }
        if !ready {
            return error(503, "Loading model", "unavailable_error");
        }
        let alias = quoted(&self.alias);
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/health" | "/v1/health") => (200, r#"{"status":"ok"}"#.to_owned()),
            ("GET", "/props") => (
                200,
                format!(
                    r#"{{"default_generation_settings":{{"n_ctx":{}}},"total_slots":4,"model_alias":{alias},"build_info":"b{}-57a2d1400","is_sleeping":{}}}"#,
                    self.context_size, self.build, self.asleep,
                ),
            ),
            ("GET", "/models" | "/v1/models") => (
                200,
                format!(
                    r#"{{"object":"list","data":[{{"id":{alias},"aliases":[{alias}],"object":"model","owned_by":"llamacpp"}}]}}"#
                ),
            ),
            ("POST", "/completion" | "/completions" | "/v1/completions") => (
                200,
                format!(
                    r#"{{"index":0,"content":" said the stand-in","stop":true,"model":{alias},"tokens_predicted":1,"prompt_bytes":{}}}"#,
                    request.body.len(),
                ),
            ),
            ("POST", "/v1/chat/completions") => (
                200,
                format!(
                    r#"{{"object":"chat.completion","model":{alias},"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"said the stand-in"}}}}]}}"#
                ),
            ),
            ("POST", "/embedding" | "/embeddings" | "/v1/embeddings") => (
                200,
                r#"[{"index":0,"embedding":[[0.1,0.2,0.3]]}]"#.to_owned(),
            ),
            ("POST", "/rerank" | "/reranking" | "/v1/rerank") => (
                200,
                format!(
                    r#"{{"model":{alias},"object":"list","results":[{{"index":0,"relevance_score":0.5}}]}}"#
                ),
            ),
            ("GET", "/slots") if !self.slots => error(
                501,
                "This server does not support slots endpoint.",
                UNSUPPORTED,
            ),
            ("GET", "/slots") => (200, self.slots()),
            ("GET", "/metrics") if !self.metrics => error(
                501,
                "This server does not support metrics endpoint.",
                UNSUPPORTED,
            ),
            ("GET", "/metrics") => (
                200,
                format!(
                    "llamacpp:requests_processing {}\nllamacpp:requests_deferred {}\n",
                    self.open().min(SLOTS),
                    self.open().saturating_sub(SLOTS),
                ),
            ),
            _ => error(404, "File Not Found", "not_found_error"),
        }
    }
}

/// How many requests it works on at a time.
const SLOTS: u32 = 4;

const UNSUPPORTED: &str = "not_supported_error";

impl Server {
    /// How many requests are open, as its file says.
    fn open(&self) -> u32 {
        let text = self.open_requests.as_ref();
        let text = text.and_then(|file| std::fs::read_to_string(file).ok());
        text.and_then(|text| text.trim().parse().ok())
            .unwrap_or_default()
    }

    /// Its slots, told in its log as well, so that a test can wait for somebody to ask.
    fn slots(&self) -> String {
        let open = self.open();
        crate::say(&format!("slots: {open} at work"));
        let slot = |id| format!(r#"{{"id":{id},"is_processing":{}}}"#, id < open);
        let slots: Vec<String> = (0..SLOTS).map(slot).collect();
        format!("[{}]", slots.join(","))
    }
}

fn error(code: u16, message: &str, kind: &str) -> (u16, String) {
    (
        code,
        format!(r#"{{"error":{{"code":{code},"message":"{message}","type":"{kind}"}}}}"#),
    )
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(letter));
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
    json
}

fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let (mut length, mut token) = (0_u64, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => token = value.trim().strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    let mut body = String::new();
    reader.take(length.min(1 << 20)).read_to_string(&mut body)?;
    Ok(Request {
        method,
        path,
        token,
        body,
    })
}
