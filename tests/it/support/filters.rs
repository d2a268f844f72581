//! Takes what differs from run to run out of the texts that are compared.

/// Binds the filters for snapshots of this thread, for as long as the guard lives.
pub(crate) fn bind(root: &str) -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    for (pattern, replacement) in [
        (root, "[ROOT]"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "[UUID]"),
        (r"\b[0-9a-f]{64}\b", "[SHA256]"),
        // The first characters of an id.
        (r"\b[0-9a-f]{8}\b", "[ID]"),
        (r"\bpid \d+", "pid [PID]"),
        // The last columns of `status`, whose width follows the time.
        (r"(127\.0\.0\.1:)\d+ +\d+ (s|min) +", "$1[PORT]  [TIME]  "),
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:[PORT]"),
        (r"\bport: \d{4,5}", "port: [PORT]"),
        (r#""port": \d{4,5}"#, r#""port": [PORT]"#),
        (r"\bport \d{4,5}", "port [PORT]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [A-Z]+)?", "[DATE]"),
        (r"\b(at|before) \d\d:\d\d:\d\d\b", "$1 [CLOCK]"),
        (r"\b\d+\.\d [KMG]iB", "[SIZE]"),
        (r"size: \d+", "size: [BYTES]"),
        (r"after \d+ of \d+ bytes", "after [BYTES] of [BYTES]"),
        (r"\b\d+\.\d s\b", "[TIME]"),
        (r"\b\d+ s\b", "[TIME]"),
        (
            r"(?m)^( +(system|C library|NVIDIA driver|Vulkan|ROCm|Metal) {2,}).*$",
            "${1}[FOUND]",
        ),
        // A machine with a GPU has another reason to take the only build there is.
        (
            r"no GPU with its driver was found on this machine|the release has no build for the GPU of this machine",
            "[WHY]",
        ),
        (&format!("ubuntu-{}", arch()), "[VARIANT]"),
        (&format!(r"\bcpu-{}", arch()), "[CPU]"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings.bind_to_scope()
}

fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x64"
    }
}
