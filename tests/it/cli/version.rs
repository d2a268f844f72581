//! `--version`, and what the build script makes of the folder it is run in.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::sandbox::Sandbox;

#[test]
fn every_verb_says_the_version_of_the_program() {
    let sandbox = Sandbox::new();
    let said = sandbox.run(&["--version"]).stdout;
    let number = env!("CARGO_PKG_VERSION");
    let rest = said.strip_prefix(&format!("llama-orch {number}"));
    let rest = rest.expect("the name and the number").trim();
    assert!(rest.is_empty() || is_commit(rest), "{said}");
    assert_eq!(sandbox.run(&["-V"]).stdout, said);
    let verb = sandbox.run(&["binary", "list", "--version"]).stdout;
    assert!(
        verb.trim_end()
            .ends_with(said.trim_start_matches("llama-orch").trim()),
        "{verb}"
    );
}

/// `(abcdef123456 2026-11-27)`, of which a package has no date.
fn is_commit(text: &str) -> bool {
    let text = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    let mut words = text.unwrap_or_default().split(' ');
    let commit = words.next().unwrap_or_default();
    let date = words
        .next()
        .unwrap_or("2026-11-27")
        .parse::<jiff::civil::Date>();
    commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && date.is_ok()
}

/// The build script, to be run in folders of any kind.
struct Script {
    scratch: tempfile::TempDir,
    program: PathBuf,
}

impl Script {
    fn build() -> Self {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let program = scratch.path().join("build-script");
        let built = Command::new("rustc")
            .args(["--edition=2024", "-o"])
            .arg(&program)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/build.rs"))
            .status();
        assert!(built.expect("there is a compiler").success());
        Self { scratch, program }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.scratch.path().join(name);
        std::fs::create_dir_all(&folder).expect("created");
        folder
    }

    /// The version, and the files that are watched.
    fn run(&self, folder: &Path) -> (String, Vec<String>) {
        let output = Command::new(&self.program)
            .current_dir(folder)
            .env("CARGO_PKG_VERSION", "1.2.3")
            .env("CARGO_MANIFEST_DIR", folder)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        let all = |key: &str| -> Vec<String> {
            let lines = said.lines().filter_map(|line| line.strip_prefix(key));
            lines.map(str::to_owned).collect()
        };
        let version = all("cargo::rustc-env=LLAMA_ORCH_VERSION=").remove(0);
        (version, all("cargo::rerun-if-changed="))
    }
}

/// Runs git in a folder, whoever the machine says its user is; `None` where there is no git.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_COMMITTER_DATE", "2026-11-27T12:00:00Z")
        .output()
        .ok()?;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn the_commit_is_that_of_the_checkout_and_of_nothing_around_it() {
    let script = Script::build();

    // A source archive: no git, and no package's note.
    let archive = script.folder("archive");
    assert_eq!(
        script.run(&archive),
        ("1.2.3".to_owned(), vec!["build.rs".to_owned()])
    );

    // A package, as `cargo install` unpacks it.
    let note =
        r#"{ "git": { "sha1": "0123456789abcdef0123456789abcdef01234567" }, "path_in_vcs": "" }"#;
    std::fs::write(archive.join(".cargo_vcs_info.json"), note).expect("written");
    assert_eq!(script.run(&archive).0, "1.2.3 (0123456789ab)");
    std::fs::write(archive.join(".cargo_vcs_info.json"), "{ \"git\": 7 }").expect("written");
    assert_eq!(script.run(&archive).0, "1.2.3");

    let checkout = script.folder("checkout");
    if git(&checkout, &["init", "--quiet"]).is_none() {
        println!("skipped: there is no git");
        return;
    }
    // Before the first commit.
    assert_eq!(script.run(&checkout).0, "1.2.3");
    let commit = |folder: &Path| {
        git(
            folder,
            &["commit", "--quiet", "--allow-empty", "-m", "more"],
        );
        let head = git(folder, &["rev-parse", "--short=12", "HEAD"]).expect("there is git");
        format!("1.2.3 ({} 2026-11-27)", head.trim())
    };
    let first = commit(&checkout);
    let (version, watched) = script.run(&checkout);
    assert_eq!(version, first);
    assert!(
        watched.iter().any(|path| path.ends_with(".git/HEAD")),
        "{watched:?}"
    );
    assert!(
        watched.iter().any(|path| path.contains(".git/refs/heads/")),
        "{watched:?}"
    );
    assert!(
        watched.iter().skip(1).all(|path| Path::new(path).exists()),
        "{watched:?}"
    );

    // A worktree, whose `.git` is a file.
    let worktree = script.scratch.path().join("worktree");
    let path = worktree.to_str().expect("UTF-8");
    git(
        &checkout,
        &["worktree", "add", "--quiet", "-b", "side", path],
    );
    let second = commit(&worktree);
    let (version, watched) = script.run(&worktree);
    assert_eq!(version, second);
    assert_ne!(version, first);
    assert!(
        watched
            .iter()
            .any(|path| path.ends_with("worktrees/worktree/HEAD")),
        "{watched:?}"
    );
    assert!(
        watched.iter().any(|path| path.ends_with("refs/heads/side")),
        "{watched:?}"
    );

    // No branch, as machines of CI have it.
    git(&checkout, &["checkout", "--quiet", "--detach"]);
    assert_eq!(script.run(&checkout).0, first);

    // A source that was unpacked into somebody else's repository.
    let vendored = checkout.join("vendor/llama-orch");
    std::fs::create_dir_all(&vendored).expect("created");
    assert_eq!(script.run(&vendored).0, "1.2.3");
}
