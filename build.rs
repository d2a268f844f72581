//! Says which commit is being built, for `llama-orch --version`.
//!
//! Asks git where this folder is a checkout of its own, and the note that `cargo package` leaves where
//! it is not. Where neither says anything the version stands by itself: no build ever fails for it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "asks git and cargo, when this program does not run yet"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let number = variable("CARGO_PKG_VERSION");
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let version = match commit(&folder) {
        Some(commit) => format!("{number} ({commit})"),
        None => number,
    };
    println!("cargo::rustc-env=LLAMA_ORCH_VERSION={version}");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// `abcdef123456 2026-11-27`
fn commit(folder: &Path) -> Option<String> {
    // A repository further up is somebody else's, into which this source was unpacked.
    if !folder.join(".git").exists() {
        let packaged = std::fs::read_to_string(folder.join(".cargo_vcs_info.json")).ok()?;
        return sha1(&packaged).map(str::to_owned);
    }
    // `HEAD` names a branch, whose file changes with each commit unless it is packed; the log of `HEAD`
    // grows with each. In a worktree they lie apart, so git says where.
    let branch = git(folder, &["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"]
        .into_iter()
        .chain(branch.as_deref())
    {
        let path = git(folder, &["rev-parse", "--git-path", name]).map(|path| folder.join(path));
        // Cargo takes a file that is not there for one that has changed.
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(
        folder,
        &[
            "log",
            "-1",
            "--no-show-signature",
            "--abbrev=12",
            "--format=%h %cs",
        ],
    )
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        // Set within hooks, where they name the repository that is being worked on.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// The first twelve digits of the commit in `{ "git": { "sha1": "..." } }`.
fn sha1(packaged: &str) -> Option<&str> {
    let value = packaged.split("\"sha1\"").nth(1)?.split('"').nth(1)?;
    let commit = value.get(..12)?;
    commit
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some(commit)
}
