//! Options of `llama-server` that have a field of their own and so have no place in `args`.
//!
//! Only options are listed whose field says all they can say, or which must never be on a command
//! line. The others may stand in `args`, which come last and win. Names as in llama.cpp's
//! tools/server/README.md, seen from b7200 to b11429.

/// An option and what to write in its place.
struct Owned {
    names: &'static [&'static str],
    instead: &'static str,
}

const OWNED: [Owned; 8] = [
    Owned {
        names: &["--host"],
        instead: "write `server: { host: ... }`",
    },
    Owned {
        names: &["--port"],
        instead: "write `server: { port: ... }`",
    },
    Owned {
        names: &["--alias", "-a"],
        instead: "the alias is always the instance's name; rename the instance",
    },
    Owned {
        names: &["--model", "-m"],
        instead: "write `model: { path: ... }`",
    },
    Owned {
        names: &["--hf-repo", "-hf", "-hfr"],
        instead: "write `model: { hf: owner/name:quantization }`",
    },
    // With it the server is a router, which the gate and the model's file have to know.
    Owned {
        names: &["--models-dir"],
        instead: "write `model: { directory: ... }`",
    },
    Owned {
        names: &["--api-key", "--api-key-file"],
        instead: "write `server: { api_key: { file: ... } }`; a command line is no place for a secret",
    },
    Owned {
        names: &["--hf-token", "-hft"],
        instead: "write `env: { HF_TOKEN: { file: ... } }`; a command line is no place for a secret",
    },
];

/// The option an argument is, and what to write instead, if a field of its own covers it.
pub(crate) fn owned(argument: &str) -> Option<(&'static str, &'static str)> {
    let name = argument.split('=').next().unwrap_or(argument);
    // llama.cpp itself takes `--hf_repo` for `--hf-repo` (common/arg.cpp).
    let name = if name.starts_with("--") {
        name.replace('_', "-")
    } else {
        name.to_owned()
    };
    OWNED.iter().find_map(|owned| {
        let found = owned.names.iter().find(|known| **known == name)?;
        Some((*found, owned.instead))
    })
}
