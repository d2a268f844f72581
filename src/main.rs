//! The `llama-orch` program: the hidden entry of supervisors first, before anything that a
//! supervisor has no use for; then the verbs.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = llama_orch::instance::supervisor::entry(std::env::args_os()) {
        return code;
    }
    cli::run()
}
