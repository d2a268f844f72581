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

/// A cause that is told in our words, or by the line itself from the words on.
const fn cause(
    words: &'static [&'static str],
    says: Option<&'static str>,
    transient: bool,
) -> Cause {
    Cause {
        words,
        says,
        transient,
    }
}

/// In the order of how much they explain: running out of memory also ends in `failed to load model`.
const CAUSES: [Cause; 19] = [
    cause(
        &["couldn't bind HTTP server socket", "Address already in use"],
        Some("its address is in use"),
        true,
    ),
    cause(
        &[
            "failed to allocate CPU",
            "std::bad_alloc",
            "Cannot allocate memory",
            "ErrorOutOfHostMemory",
        ],
        Some("out of memory"),
        true,
    ),
    cause(
        &[
            "out of memory",
            "ErrorOutOfDeviceMemory",
            "OUT_OF_DEVICE_MEMORY",
            "cudaMalloc failed",
            "hipErrorOutOfMemory",
            "kIOGPUCommandBufferCallbackErrorOutOfMemory",
            "Insufficient Memory",
            "unable to allocate",
            "failed to allocate",
        ],
        Some("out of device memory"),
        true,
    ),
    cause(&["invalid device:"], Some("no such device found"), true),
    cause(&["error while handling argument"], None, false),
    cause(&["invalid argument:"], None, false),
    cause(&["error while loading shared libraries"], None, false),
    cause(
        &["not found (required by"],
        Some("the system's own libraries are older than the build needs"),
        false,
    ),
    cause(&["server is built without SSL support"], None, false),
    cause(
        &[
            "failed to resolve commit for",
            "download failed",
            "failed to download",
        ],
        Some("cannot fetch its model"),
        true,
    ),
    cause(&["unknown model architecture"], None, false),
    cause(
        &["failed to open GGUF file", "failed to open '"],
        None,
        false,
    ),
    cause(&["invalid magic characters"], None, false),
    cause(
        &["model is corrupted or incomplete"],
        Some("a model file is corrupted or incomplete"),
        false,
    ),
    cause(
        &[
            "failed to load multimodal model",
            "failed to load draft model",
            "failed to load lora adapter",
            "unknown projector type",
        ],
        None,
        false,
    ),
    cause(&["CUDA error", "GGML_ASSERT("], None, false),
    cause(
        &[
            "no CUDA-capable device",
            "no CUDA devices found",
            "No devices found",
            "no usable GPU found",
        ],
        Some("no GPU found"),
        true,
    ),
    cause(
        &["failed to create_context", "failed to create context"],
        Some("failed to create its context"),
        false,
    ),
    cause(
        &["failed to load model", "exiting due to model loading error"],
        Some("failed to load the model"),
        false,
    ),
];

/// Reads why a server ended from how it ended and its last lines.
pub fn of_exit(exit: Exit, log_tail: &[String]) -> Reason {
    let found = CAUSES.iter().find_map(|cause| {
        let told = log_tail.iter().find_map(|line| cause.told_by(line))?;
        Some((told, cause.transient))
    });
    match found {
        Some((told, transient)) => Reason {
            text: format!("{exit}: {told}"),
            transient,
        },
        None => Reason {
            text: format!("{exit}{}", os::cause_of(exit)),
            transient: false,
        },
    }
}

impl Cause {
    /// What a line tells of this cause, if it does: without what upstream puts before the message
    /// (`0.00.006.659 E srv  `, `error: `).
    fn told_by<'a>(&self, line: &'a str) -> Option<&'a str> {
        let at = self.words.iter().find_map(|words| line.find(words))?;
        Some(self.says.unwrap_or_else(|| line[at..].trim_end()))
    }
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
    fn what_upstream_says_is_told_in_one_line() {
        let told = |line: &str, reason: &str, transient: bool| {
            let expected = (format!("exited with code 1: {reason}"), transient);
            assert_eq!(read(Exit::Code(1), line), expected);
        };
        told(
            "error while handling argument \"--draft\": the argument has been removed. use --spec-draft-n-max\n\nusage:\n--draft N  the argument has been removed",
            "error while handling argument \"--draft\": the argument has been removed. use --spec-draft-n-max",
            false,
        );
        told(
            "0.00.008.070 E llama_init_from_model: failed to initialize the context: std::bad_alloc\n0.1 E srv    load_model: failed to create_context with model 'm.gguf'",
            "out of memory",
            true,
        );
        told(
            "ggml_vulkan: Device memory allocation of size 1 failed.\nggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
            "out of device memory",
            true,
        );
        told(
            "ggml_metal_graph_compute: command buffer 0 failed with status 5\nerror: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
            "out of device memory",
            true,
        );
        told(
            "alloc_tensor_range: failed to allocate ROCm0 buffer of size 1",
            "out of device memory",
            true,
        );
        told(
            "alloc_tensor_range: failed to allocate CPU buffer of size 1",
            "out of memory",
            true,
        );
        told(
            "0.1 E gguf_init_from_file: failed to open GGUF file 'mmproj.gguf' (No such file or directory)\n0.2 E srv    load_model: failed to load multimodal model, 'mmproj.gguf'",
            "failed to open GGUF file 'mmproj.gguf' (No such file or directory)",
            false,
        );
        told(
            "0.1 E llama_model_load: error loading model: tensor 'a' data is not within the file bounds, model is corrupted or incomplete",
            "a model file is corrupted or incomplete",
            false,
        );
        told(
            "0.1 E gguf_init_from_reader: invalid magic characters: 'junk', expected 'GGUF'",
            "invalid magic characters: 'junk', expected 'GGUF'",
            false,
        );
        told(
            "./llama-server: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by ./libllama.so)",
            "the system's own libraries are older than the build needs",
            false,
        );
    }

    #[test]
    fn a_silent_end_is_told_by_its_signal() {
        assert_eq!(
            read(Exit::Signal(libc::SIGILL), "").0,
            "was ended by SIGILL: this processor lacks an instruction the build needs",
        );
        assert_eq!(read(Exit::Code(3), "all is well").0, "exited with code 3");
    }
}
