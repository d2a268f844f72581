//! A stand-in for `llama-server`: the same command line, the same answers, no model.
//!
//! It exists for tests and the quick start, which need faults no real server can be talked into,
//! and machines without llama.cpp. What it says follows llama.cpp b9001 to b11434. Faults are
//! chosen by hidden `--standin-*` options on the command line, or one a line in a file
//! `standin-faults` beside the program, so that a *build* can be bad; the build's number comes from
//! `STANDIN_BUILD` or a file `build-number` beside the program.
//!
//! It ends by itself when the folder it was started in is gone, so that no test leaves it behind.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it is a server, and knows nothing of the core"
)]

mod answers;
mod options;

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use answers::Server;
use options::{Options, Wish};

fn main() -> ExitCode {
    let home = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.to_owned()));
    let home = home.unwrap_or_default();
    let build = std::env::var("STANDIN_BUILD")
        .or_else(|_| std::fs::read_to_string(home.join("build-number")))
        .ok()
        .and_then(|text| text.trim().trim_start_matches('b').parse().ok())
        .unwrap_or(9001);
    let faults = std::fs::read_to_string(home.join("standin-faults")).unwrap_or_default();
    let faults = faults.lines().flat_map(|line| {
        let (name, value) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        [name.to_owned(), value.trim().to_owned()]
    });
    let arguments = faults
        .filter(|word| !word.is_empty())
        .chain(std::env::args().skip(1));
    match options::read(arguments) {
        Ok(Wish::Serve(options)) => serve(&options, build),
        Ok(Wish::Version) => {
            say(&format!(
                "version: 0.6.0-dev (build {build}, commit 57a2d1400)"
            ));
            say("built with a stand-in for Linux x86_64");
            ExitCode::SUCCESS
        }
        Ok(Wish::Devices(listed)) => {
            print("Available devices:\n");
            let listed = listed.and_then(|file| std::fs::read_to_string(file).ok());
            print(&listed.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(Wish::Help(without)) => {
            print(&options::help(without.as_deref()));
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            say(&complaint);
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options, build: u32) -> ExitCode {
    let began = Instant::now();
    if options.ignore_sigterm {
        // Raised and never looked at.
        let _ = signal_hook::flag::register(libc::SIGTERM, Arc::new(AtomicBool::new(false)));
    }
    say("0.00.001.228 I srv  llama_server: initializing ...");
    for text in &options.say {
        say(text);
    }
    if let Some(code) = options.exit {
        return ExitCode::from(code);
    }
    let mut options = options.clone();
    if let Some(repository) = &options.repository
        && let Some(cache) = &options.cache
    {
        match fetch(&options, repository, cache) {
            Ok(model) => options.model = Some(model),
            Err(why) => {
                say(&format!("error: {why}"));
                return ExitCode::FAILURE;
            }
        }
    }
    let options = &options;
    let Ok(listener) = listen(options) else {
        say(&format!(
            "0.00.006.285 E srv         start: couldn't bind HTTP server socket, hostname: {}, port: {}",
            options.host, options.port
        ));
        say("0.00.006.413 E srv  llama_server: exiting due to HTTP server error");
        return ExitCode::FAILURE;
    };
    let server = Arc::new(Server::new(options, build));
    let ready = Arc::new(AtomicBool::new(false));
    let wedged = Arc::new(AtomicBool::new(false));
    let answering = (Arc::clone(&server), Arc::clone(&ready), Arc::clone(&wedged));
    std::thread::spawn(move || {
        let (server, ready, wedged) = answering;
        for connection in listener.incoming().flatten() {
            let (server, ready, wedged) =
                (Arc::clone(&server), Arc::clone(&ready), Arc::clone(&wedged));
            std::thread::spawn(move || {
                if wedged.load(Ordering::SeqCst) {
                    loop {
                        std::thread::park();
                    }
                }
                // A client that has gone away is its own business.
                let _ = server.answer(connection, ready.load(Ordering::SeqCst));
            });
        }
    });
    if let Some(model) = &options.model {
        say(&format!(
            "0.00.006.950 I srv    load_model: loading model '{}'",
            model.display()
        ));
        if !model.is_file() {
            let shown = model.display();
            say(&format!(
                "0.00.006.659 E gguf_init_from_file: failed to open GGUF file '{shown}' (No such file or directory)"
            ));
            say(&format!(
                "0.00.006.834 E srv    load_model: failed to load model, '{shown}'"
            ));
            say("0.00.007.268 E srv  llama_server: exiting due to model loading error");
            return ExitCode::FAILURE;
        }
    }
    live(options, began, &ready, &wedged)
}

/// Fetches a model by name into its cache, as upstream does before it binds its port.
fn fetch(options: &Options, repository: &str, cache: &Path) -> Result<PathBuf, String> {
    let model = cache.join(format!("{}.gguf", repository.replace(['/', ':'], "_")));
    if options.offline {
        return if model.is_file() {
            Ok(model)
        } else {
            Err(format!("{repository} is not in the cache (offline mode)"))
        };
    }
    say(&format!("downloading {repository}"));
    if let Some(download) = &options.download {
        loop {
            match std::fs::read_to_string(download) {
                Ok(text) if text.trim() == "ok" => break,
                Ok(text) if !text.is_empty() => return Err(text.trim().to_owned()),
                _ if !std::env::current_dir().is_ok_and(|folder| folder.is_dir()) => {
                    return Err("its folder is gone".to_owned());
                }
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
    std::fs::create_dir_all(cache).map_err(|error| error.to_string())?;
    std::fs::write(&model, "GGUF").map_err(|error| error.to_string())?;
    Ok(model)
}

/// Loads, and then goes through its faults until the end.
fn live(options: &Options, began: Instant, ready: &AtomicBool, wedged: &AtomicBool) -> ExitCode {
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let load_until = began + Duration::from_secs_f64(options.load_seconds);
    let mut ready_since: Option<Instant> = None;
    loop {
        let now = Instant::now();
        if ready_since.is_none() && !options.never_ready && now >= load_until {
            // Like upstream, SIGTERM is handled from here on and kills before.
            if !options.ignore_sigterm {
                let at_once = Arc::new(AtomicBool::new(true));
                let _ = signal_hook::flag::register_conditional_shutdown(libc::SIGTERM, 0, at_once);
            }
            ready.store(true, Ordering::SeqCst);
            ready_since = Some(now);
            say("0.00.037.993 I srv  llama_server: model loaded");
            say(&format!(
                "0.00.037.999 I srv  llama_server: listening on http://{}:{}",
                options.host, options.port
            ));
        }
        let up = ready_since.map(|since| now.duration_since(since).as_secs_f64());
        if options
            .crash_after
            .zip(up)
            .is_some_and(|(after, up)| up >= after)
        {
            say("GGML_ASSERT(false) failed: told to crash");
            std::process::abort();
        }
        if options
            .wedge_after
            .zip(up)
            .is_some_and(|(after, up)| up >= after)
        {
            wedged.store(true, Ordering::SeqCst);
        }
        if options
            .wedge_file
            .as_ref()
            .is_some_and(|file| file.exists())
        {
            wedged.store(true, Ordering::SeqCst);
        }
        if !folder.is_dir() {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(options.next_change(began, ready_since));
    }
}

fn listen(options: &Options) -> std::io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

    let address = options.address()?;
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if options.share_port {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, 128)?;
    Ok(socket.into())
}

/// Writes a line of its log.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn print(text: &str) {
    let _ = write!(std::io::stdout(), "{text}");
}
