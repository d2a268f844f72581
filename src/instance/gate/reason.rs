//! Why a server ended, read from the end of its log in upstream's own words. Pure.
//!
//! The texts are those of llama.cpp b9001 to b11434 (`common/arg.cpp`, `tools/server`, ggml) and of
//! the dynamic loader. What is not known here is told by exit code and log alone.

#[cfg_attr(unix, path = "reason/unix.rs")]
#[cfg_attr(windows, path = "reason/windows.rs")]
mod os;

use crate::instance::state::Exit;

/// Why a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// One line: how it ended and, where known, why.
    pub text: String,
    /// Whether the same launch may do better at another time.
    pub transient: bool,
}

/// One cause and the words that give it away.
struct Cause {
    words: &'static [&'static str],
    /// What is said of it; `None` repeats the line itself.
    says: Option<&'static str>,
    transient: bool,
}

/// In the order of how much they explain: running out of memory also ends in `failed to load model`.
const CAUSES: [Cause; 9] = [
    Cause {
        words: &["couldn't bind HTTP server socket", "Address already in use"],
        says: Some("its address is in use"),
        transient: true,
    },
    Cause {
        words: &[
            "out of memory",
            "ErrorOutOfDeviceMemory",
            "cudaMalloc failed",
            "Insufficient Memory",
            "unable to allocate",
        ],
        says: Some("out of device memory"),
        transient: true,
    },
    Cause {
        words: &[
            "invalid device:",
            "no CUDA-capable device",
            "no CUDA devices found",
            "No devices found",
            "no usable GPU found",
        ],
        says: Some("no such device found"),
        transient: true,
    },
    Cause {
        words: &["invalid argument:"],
        says: None,
        transient: false,
    },
    Cause {
        words: &["error while handling argument"],
        says: None,
        transient: false,
    },
    Cause {
        words: &["error while loading shared libraries"],
        says: None,
        transient: false,
    },
    Cause {
        words: &["unknown model architecture"],
        says: None,
        transient: false,
    },
    Cause {
        words: &["failed to open GGUF file"],
        says: None,
        transient: false,
    },
    Cause {
        words: &["failed to load model", "exiting due to model loading error"],
        says: Some("failed to load the model"),
        transient: false,
    },
];

/// Reads why a server ended from how it ended and its last lines.
pub fn of_exit(exit: Exit, log_tail: &[String]) -> Reason {
    let found = CAUSES.iter().find_map(|cause| {
        let holds = |line: &&String| cause.words.iter().any(|words| line.contains(words));
        log_tail.iter().find(holds).map(|line| (cause, line))
    });
    match found {
        Some((cause, line)) => Reason {
            text: format!("{exit}: {}", cause.says.unwrap_or_else(|| message(line))),
            transient: cause.transient,
        },
        None => Reason {
            text: format!("{exit}{}", os::cause_of(exit)),
            transient: false,
        },
    }
}

/// A log line without what upstream puts before the message (`0.00.006.659 E srv  `, `error: `).
fn message(line: &str) -> &str {
    let starts = [
        "invalid argument:",
        "error while",
        "unknown model",
        "failed to open",
    ];
    let start = starts
        .iter()
        .filter_map(|words| line.find(words))
        .min()
        .unwrap_or(0);
    line[start..].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(exit: Exit, log: &str) -> (String, bool) {
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        let reason = of_exit(exit, &lines);
        (reason.text, reason.transient)
    }

    #[test]
    fn an_unknown_argument_is_named() {
        let (text, transient) = read(Exit::Code(1), "error: invalid argument: --bogus\n");
        assert_eq!(text, "exited with code 1: invalid argument: --bogus");
        assert!(!transient);
    }

    #[test]
    fn a_held_address_may_be_free_later() {
        let log = "0.00.006.285 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18233
0.00.006.287 I srv    operator(): operator(): cleaning up before exit...
0.00.006.413 E srv  llama_server: exiting due to HTTP server error";
        let (text, transient) = read(Exit::Code(1), log);
        assert_eq!(text, "exited with code 1: its address is in use");
        assert!(transient);
    }

    #[test]
    fn the_first_cause_of_a_model_that_does_not_load_is_told() {
        let missing = "0.00.006.659 E gguf_init_from_file: failed to open GGUF file '/m.gguf' (No such file or directory)
0.00.007.268 E srv  llama_server: exiting due to model loading error";
        assert_eq!(
            read(Exit::Code(1), missing).0,
            "exited with code 1: failed to open GGUF file '/m.gguf' (No such file or directory)",
        );
        let memory = "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9 MiB on device 0: cudaMalloc failed: out of memory
0.00.006.806 E llama_model_load_from_file_impl: failed to load model";
        let (text, transient) = read(Exit::Code(1), memory);
        assert_eq!(
            (text.as_str(), transient),
            ("exited with code 1: out of device memory", true)
        );
    }

    #[test]
    fn a_silent_end_is_told_by_its_signal() {
        assert_eq!(
            read(Exit::Signal(libc::SIGILL), "").0,
            "was ended by signal 4: this processor lacks an instruction the build needs",
        );
        assert_eq!(read(Exit::Code(3), "all is well").0, "exited with code 3");
    }
}
