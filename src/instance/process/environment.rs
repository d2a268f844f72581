//! The environment of a server: what the manifest says, a few names passed through, and nothing
//! else, so that a stray `LLAMA_ARG_*` of some shell never changes a server.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use uuid::Uuid;

use crate::instance::identity::NONCE;
use crate::instance::record::RecordedLaunch;
use crate::instance::{EnvironmentValue, Launch};

/// Names a server gets from where its supervisor was started.
const PASSED: [&str; 9] = [
    "HOME",
    "PATH",
    "TMPDIR",
    "TMP",
    "TEMP",
    "LANG",
    "LLAMA_CACHE",
    "XDG_CACHE_HOME",
    "ALL_PROXY",
];

/// Further such names on Windows; without the first, nothing there can open a socket.
const PASSED_ON_WINDOWS: [&str; 3] = ["SYSTEMROOT", "USERPROFILE", "LOCALAPPDATA"];

/// Beginnings and ends of further such names.
const PASSED_BEGINNINGS: [&str; 3] = ["LC_", "HF_", "SSL_CERT_"];
const PASSED_ENDS: [&str; 2] = ["_PROXY", "_proxy"];

/// The variable `llama-server` reads its API key from.
const API_KEY: &str = "LLAMA_API_KEY";

/// A variable of a server's environment cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// A file that holds a value cannot be read.
    #[error("cannot read `{path}`, which holds the value of `{name}`")]
    File {
        /// The variable.
        name: String,
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A variable to copy is not set.
    #[error(
        "`{from}`, which gives `{name}` its value, is not set where the supervisor was started"
    )]
    Unset {
        /// The variable.
        name: String,
        /// The variable it is copied from.
        from: String,
    },
}

impl EnvironmentError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { .. } => None,
            Self::Unset { from, .. } => Some(format!(
                "set `{from}` and run `llama-orch apply` from there, or use `file:`"
            )),
        }
    }
}

/// The whole environment of the server of `launch`, given the variables of its supervisor.
pub fn of_server(
    root: &Utf8Path,
    launch: &RecordedLaunch,
    nonce: Uuid,
    ambient: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<OsString, OsString>, EnvironmentError> {
    let ambient: BTreeMap<OsString, OsString> = ambient.into_iter().collect();
    let mut server: BTreeMap<OsString, OsString> = ambient
        .iter()
        .filter(|(name, _)| is_passed(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let (Some(name), Some(folder)) = (library_path(), root.join(&launch.program).parent()) {
        server.insert(name.into(), folder.as_str().into());
    }
    let mut own: BTreeMap<&str, &EnvironmentValue> = BTreeMap::new();
    if let Some(key @ EnvironmentValue::FromEnv(_)) = &launch.launch.api_key {
        own.insert(API_KEY, key);
    }
    own.extend(
        launch
            .launch
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value)),
    );
    for (name, value) in own {
        server.insert(
            name.into(),
            value_of(root, name, value, |from| {
                ambient.get(OsStr::new(from)).cloned()
            })?,
        );
    }
    server.insert(NONCE.into(), nonce.to_string().into());
    Ok(server)
}

/// The API key a probe has to send: the first one where several are given. `None` where the
/// server wants none, or where the key cannot be had, which its start complains about.
pub fn api_key(root: &Utf8Path, launch: &Launch) -> Option<String> {
    let value = launch
        .api_key
        .as_ref()
        .or_else(|| launch.environment.get(API_KEY))?;
    let text = value_of(root, API_KEY, value, |name| env::var_os(name))
        .ok()?
        .into_string()
        .ok()?;
    // `--api-key-file` has a key a line and comments, `LLAMA_API_KEY` separates several by commas
    // (llama.cpp's common/arg.cpp, b11434).
    let first = match (&launch.api_key, value) {
        (Some(_), EnvironmentValue::File(_)) => text
            .lines()
            .map(str::trim)
            .find(|key| !key.is_empty() && !key.starts_with('#')),
        _ => text.split(',').map(str::trim).find(|key| !key.is_empty()),
    };
    first.map(str::to_owned)
}

fn value_of(
    root: &Utf8Path,
    name: &str,
    value: &EnvironmentValue,
    ambient: impl Fn(&str) -> Option<OsString>,
) -> Result<OsString, EnvironmentError> {
    match value {
        EnvironmentValue::Literal(text) => Ok(text.into()),
        EnvironmentValue::File(path) => {
            let path = root.join(path);
            let mut text =
                std::fs::read_to_string(&path).map_err(|source| EnvironmentError::File {
                    name: name.to_owned(),
                    path,
                    source,
                })?;
            if text.ends_with('\n') {
                text.pop();
                if text.ends_with('\r') {
                    text.pop();
                }
            }
            Ok(text.into())
        }
        EnvironmentValue::FromEnv(from) => ambient(from).ok_or_else(|| EnvironmentError::Unset {
            name: name.to_owned(),
            from: from.clone(),
        }),
    }
}

/// Where the loader looks for the libraries of builds that do not find their own. That of Windows
/// looks beside the program by itself.
fn library_path() -> Option<&'static str> {
    match env::consts::OS {
        "windows" => None,
        "macos" => Some("DYLD_LIBRARY_PATH"),
        _ => Some("LD_LIBRARY_PATH"),
    }
}

fn is_passed(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    if cfg!(windows) {
        is_passed_on_windows(name)
    } else {
        is_among_passed(name)
    }
}

/// Names are the same on Windows whatever their letters' case, and `PATH` is mostly `Path`.
fn is_passed_on_windows(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    PASSED_ON_WINDOWS.contains(&name.as_str()) || is_among_passed(&name)
}

fn is_among_passed(name: &str) -> bool {
    PASSED.contains(&name)
        || PASSED_BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning))
        || PASSED_ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_what_it_cannot_do_without_and_nothing_that_changes_it() {
        for name in ["HOME", "PATH", "LC_ALL", "HF_HOME", "https_proxy"] {
            assert!(is_among_passed(name), "{name}");
        }
        for name in [
            "Path",
            "SystemRoot",
            "LocalAppData",
            "Hf_Token",
            "Http_Proxy",
        ] {
            assert!(is_passed_on_windows(name), "{name}");
        }
        for name in ["LLAMA_ARG_PORT", "llama_arg_port", "LD_PRELOAD"] {
            assert!(
                !is_among_passed(name) && !is_passed_on_windows(name),
                "{name}"
            );
        }
    }
}
