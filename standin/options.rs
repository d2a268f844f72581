//! The command line: the options of `llama-server` that people use, in its own wording, and the
//! faults.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the folder it was started in is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the command line wants.
pub(crate) enum Wish {
    Serve(Box<Options>),
    Version,
    Devices(Option<PathBuf>),
    /// Without this option.
    Help(Option<String>),
}

/// How to serve.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Options {
    pub(crate) model: Option<PathBuf>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) alias: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) context_size: u32,
    pub(crate) load_seconds: f64,
    pub(crate) never_ready: bool,
    pub(crate) crash_after: Option<f64>,
    pub(crate) wedge_after: Option<f64>,
    /// Wedges once this file is there.
    pub(crate) wedge_file: Option<PathBuf>,
    pub(crate) exit: Option<u8>,
    pub(crate) ignore_sigterm: bool,
    pub(crate) share_port: bool,
    /// Lines of its log before it listens.
    pub(crate) say: Vec<String>,
    pub(crate) metrics: bool,
    pub(crate) no_slots: bool,
    /// Holds the number of requests that are open.
    pub(crate) open_requests: Option<PathBuf>,
    pub(crate) asleep: bool,
    /// Holds what `--list-devices` prints below its header.
    pub(crate) devices: Option<PathBuf>,
    pub(crate) repository: Option<String>,
    pub(crate) offline: bool,
    /// Where what is fetched by name is kept.
    pub(crate) cache: Option<PathBuf>,
    /// Says how a download ends: `ok` or why not. It goes on until the file is there.
    pub(crate) download: Option<PathBuf>,
    /// An option that this build does not know.
    pub(crate) without: Option<String>,
}

/// An option that is accepted: its names as `--help` shows them, and whether it takes a value.
struct Known {
    names: &'static [&'static str],
    value: Option<&'static str>,
    does: &'static str,
}

const fn known(
    names: &'static [&'static str],
    value: Option<&'static str>,
    does: &'static str,
) -> Known {
    Known { names, value, does }
}

const KNOWN: &[Known] = &[
    known(&["-h", "--help", "--usage"], None, "print usage and exit"),
    known(&["--version"], None, "show version and build info"),
    known(
        &["--list-devices"],
        None,
        "print list of available devices and exit",
    ),
    known(
        &["-lv", "--verbosity", "--log-verbosity"],
        Some("N"),
        "set the verbosity threshold: 3 info, 4 trace, 5 debug",
    ),
    known(
        &["-t", "--threads"],
        Some("N"),
        "number of CPU threads to use during generation",
    ),
    known(
        &["-c", "--ctx-size"],
        Some("N"),
        "size of the prompt context",
    ),
    known(
        &["-n", "--predict", "--n-predict"],
        Some("N"),
        "number of tokens to predict",
    ),
    known(
        &["-b", "--batch-size"],
        Some("N"),
        "logical maximum batch size",
    ),
    known(
        &["-ub", "--ubatch-size"],
        Some("N"),
        "physical maximum batch size",
    ),
    known(
        &["-fa", "--flash-attn"],
        Some("[on|off|auto]"),
        "set Flash Attention use",
    ),
    known(&["-np", "--parallel"], Some("N"), "number of server slots"),
    known(
        &["-ngl", "--gpu-layers", "--n-gpu-layers"],
        Some("N"),
        "layers to store in VRAM",
    ),
    known(
        &["-dev", "--device"],
        Some("<dev1,dev2,..>"),
        "devices to use for offloading",
    ),
    known(
        &["-ctk", "--cache-type-k"],
        Some("TYPE"),
        "KV cache data type for K",
    ),
    known(
        &["-ctv", "--cache-type-v"],
        Some("TYPE"),
        "KV cache data type for V",
    ),
    known(&["-m", "--model"], Some("FNAME"), "model path to load"),
    known(
        &["-mm", "--mmproj"],
        Some("FILE"),
        "path to a multimodal projector file",
    ),
    known(&["--lora"], Some("FNAME"), "path to LoRA adapter"),
    known(
        &["-hf", "-hfr", "--hf-repo"],
        Some("<user>/<model>[:quant]"),
        "Hugging Face repository",
    ),
    known(
        &["--models-dir"],
        Some("PATH"),
        "directory containing models for the router server",
    ),
    known(
        &["--models-preset"],
        Some("PATH"),
        "path to an INI file with model presets",
    ),
    known(&["--offline"], None, "offline mode: forces use of cache"),
    known(
        &["-a", "--alias"],
        Some("STRING"),
        "set alias for model name",
    ),
    known(&["--host"], Some("HOST"), "ip address to listen"),
    known(&["--port"], Some("PORT"), "port to listen"),
    known(
        &["--api-key"],
        Some("KEY"),
        "API key to use for authentication",
    ),
    known(
        &["--api-key-file"],
        Some("FNAME"),
        "path to file containing API keys",
    ),
    known(
        &["-to", "--timeout"],
        Some("N"),
        "server read/write timeout in seconds",
    ),
    known(
        &["--metrics"],
        None,
        "enable prometheus compatible metrics endpoint",
    ),
    known(&["--no-slots"], None, "disable slots monitoring endpoint"),
    known(
        &["--props"],
        None,
        "enable changing global properties via POST /props",
    ),
    known(&["--jinja"], None, "use jinja template engine for chat"),
    known(
        &["--chat-template-file"],
        Some("JINJA_TEMPLATE_FILE"),
        "set custom jinja chat template",
    ),
    known(&["--no-mmap"], None, "do not memory-map model"),
    known(
        &["--embedding", "--embeddings"],
        None,
        "restrict to only support embedding use case",
    ),
    known(
        &["--rerank", "--reranking"],
        None,
        "enable reranking endpoint on server",
    ),
    known(&["--no-ui", "--no-webui"], None, "disable the Web UI"),
    known(
        &["--reuse-port"],
        None,
        "allow multiple sockets to bind to the same port",
    ),
];

/// What `--help` prints: one option a line as upstream lays it out, without the hidden ones.
pub(crate) fn help(without: Option<&str>) -> String {
    let mut text = "----- common params -----\n\n".to_owned();
    let is_left_out = |known: &&Known| without.is_some_and(|it| known.names.contains(&it));
    for option in KNOWN.iter().filter(|known| !is_left_out(known)) {
        let mut names = option.names.join(", ");
        if let Some(value) = option.value {
            names = format!("{names} {value}");
        }
        let _ = writeln!(text, "{names:<39} {}", option.does);
    }
    text
}

/// Reads the command line. An error is what upstream would complain.
pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut arguments = arguments;
    let mut options = Options {
        host: "127.0.0.1".to_owned(),
        port: 9931,
        context_size: 512,
        ..Options::default()
    };
    options.api_key = std::env::var("LLAMA_API_KEY").ok();
    while let Some(name) = arguments.next() {
        if let Some(fault) = name.strip_prefix("--standin-") {
            read_fault(&mut options, fault, &mut arguments)
                .ok_or_else(|| format!("error: invalid argument: {name}"))?;
            continue;
        }
        let known = KNOWN
            .iter()
            .find(|known| known.names.contains(&name.as_str()))
            .filter(|_| options.without.as_ref() != Some(&name));
        let Some(known) = known else {
            return Err(format!("error: invalid argument: {name}"));
        };
        let value = match known.value {
            None => String::new(),
            Some(_) => arguments.next().ok_or_else(|| {
                format!("error while handling argument \"{name}\": expected value for argument")
            })?,
        };
        let bad = || format!("error while handling argument \"{name}\": stoi");
        match known.names.last().copied().unwrap_or_default() {
            "--usage" => return Ok(Wish::Help(options.without)),
            "--version" => return Ok(Wish::Version),
            "--list-devices" => return Ok(Wish::Devices(options.devices)),
            "--model" => options.model = Some(value.into()),
            "--host" => options.host = value,
            "--port" => options.port = value.parse().map_err(|_| bad())?,
            "--alias" => options.alias = Some(value),
            "--ctx-size" => options.context_size = value.parse().map_err(|_| bad())?,
            "--batch-size" | "--ubatch-size" | "--parallel" | "--threads" | "--timeout" => {
                value.parse::<i64>().map_err(|_| bad())?;
            }
            "--hf-repo" => options.repository = Some(value),
            "--offline" => options.offline = true,
            "--metrics" => options.metrics = true,
            "--no-slots" => options.no_slots = true,
            "--api-key" => options.api_key = Some(value),
            "--api-key-file" => {
                let text = std::fs::read_to_string(&value).map_err(|_| {
                    format!("error while handling argument \"{name}\": error: failed to open file '{value}'")
                })?;
                options.api_key = text.lines().next().map(str::to_owned);
            }
            _ => {}
        }
    }
    Ok(Wish::Serve(Box::new(options)))
}

fn read_fault(
    options: &mut Options,
    fault: &str,
    arguments: &mut impl Iterator<Item = String>,
) -> Option<()> {
    let mut number = || arguments.next()?.parse::<f64>().ok();
    match fault {
        "load-seconds" => options.load_seconds = number()?.clamp(0.0, 1e6),
        "never-ready" => options.never_ready = true,
        "crash-after" => options.crash_after = Some(number()?),
        "wedge-after" => options.wedge_after = Some(number()?),
        "wedge-file" => options.wedge_file = Some(arguments.next()?.into()),
        "exit" => options.exit = Some(arguments.next()?.parse().ok()?),
        "ignore-sigterm" => options.ignore_sigterm = true,
        "share-port" => options.share_port = true,
        "say" => options.say.push(arguments.next()?),
        "open-requests" => options.open_requests = Some(arguments.next()?.into()),
        "asleep" => options.asleep = true,
        "devices" => options.devices = Some(arguments.next()?.into()),
        "cache" => options.cache = Some(arguments.next()?.into()),
        "download" => options.download = Some(arguments.next()?.into()),
        "without" => options.without = Some(arguments.next()?),
        _ => return None,
    }
    Some(())
}

impl Options {
    /// Where to listen.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        let first = (self.host.as_str(), self.port).to_socket_addrs()?.next();
        first.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// How long nothing about it will change.
    pub(crate) fn next_change(&self, began: Instant, ready_since: Option<Instant>) -> Duration {
        let now = Instant::now();
        let seconds = |since: Instant, seconds: f64| {
            (since + Duration::from_secs_f64(seconds.clamp(0.0, 1e6)))
                .saturating_duration_since(now)
        };
        let load =
            (ready_since.is_none() && !self.never_ready).then(|| seconds(began, self.load_seconds));
        let faults = [self.crash_after, self.wedge_after].into_iter().flatten();
        let faults = faults.filter_map(|after| Some(seconds(ready_since?, after)));
        let next = load
            .into_iter()
            .chain(faults)
            .filter(|wait| !wait.is_zero())
            .min();
        next.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)
    }
}
