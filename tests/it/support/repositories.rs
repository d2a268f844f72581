//! A bare repository, the clone of somebody who writes, and the clone on a server, on this disk.

use std::process::{Command, Output, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use llama_orch::root::Root;
use llama_orch::watch::brake::Brake;
use llama_orch::watch::git::{Checkout, Options};

/// The manifest of the first commit.
pub(crate) const MANIFEST: &str = "version: 1\ninstances: {}\n";

/// When every commit is made, so that the same ones have the same ids.
const DATE: &str = "2026-11-28T12:00:00Z";

/// All of them, in a temporary folder.
pub(crate) struct Repositories {
    pub(crate) remote: Utf8PathBuf,
    pub(crate) author: Utf8PathBuf,
    pub(crate) server: Utf8PathBuf,
    /// Where the root is in each clone.
    subfolder: &'static str,
    /// When it is; goes on with each look.
    clock: Timestamp,
    home: Utf8PathBuf,
    _scratch: tempfile::TempDir,
}

impl Repositories {
    /// One commit, the same everywhere.
    pub(crate) fn new() -> Self {
        Self::within("")
    }

    /// The same with the root in a subfolder.
    pub(crate) fn within(subfolder: &'static str) -> Self {
        let scratch = tempfile::Builder::new()
            .prefix("llama-orch-git-")
            .tempdir()
            .expect("a temporary folder");
        let path = scratch.path().canonicalize().expect("it exists");
        let home = Utf8PathBuf::from_path_buf(path).expect("UTF-8");
        let world = Self {
            remote: home.join("remote.git"),
            author: home.join("author"),
            server: home.join("server"),
            subfolder,
            clock: "2026-11-28T12:00:00Z".parse().expect("a time"),
            home,
            _scratch: scratch,
        };
        let (remote, author) = (&world.remote, &world.author);
        world.git(
            &world.home,
            &["init", "-q", "--bare", "-b", "main", remote.as_str()],
        );
        world.git(&world.home, &["init", "-q", "-b", "main", author.as_str()]);
        world.git(author, &["remote", "add", "origin", remote.as_str()]);
        world.write("orchestrator.yaml", MANIFEST);
        world.commit("first");
        world.push(&["-u", "origin", "main"]);
        world.git(
            &world.home,
            &["clone", "-q", remote.as_str(), world.server.as_str()],
        );
        world
    }

    /// Runs git, which has to succeed, and returns what it says.
    #[track_caller]
    pub(crate) fn git(&self, folder: &Utf8Path, arguments: &[&str]) -> String {
        let output = self.try_git(folder, arguments);
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn try_git(&self, folder: &Utf8Path, arguments: &[&str]) -> Output {
        Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            .env("GIT_AUTHOR_DATE", DATE)
            .env("GIT_COMMITTER_DATE", DATE)
            .stdin(Stdio::null())
            .output()
            .expect("git runs")
    }

    /// Writes a file of the root, where somebody writes.
    pub(crate) fn write(&self, name: &str, text: &str) {
        put(&self.author.join(self.subfolder).join(name), text);
    }

    /// The same on the server.
    pub(crate) fn write_here(&self, name: &str, text: &str) {
        put(&self.server.join(self.subfolder).join(name), text);
    }

    /// Reads a file of the root on the server.
    pub(crate) fn read_here(&self, name: &str) -> String {
        std::fs::read_to_string(self.server.join(self.subfolder).join(name)).expect("readable")
    }

    /// Commits everything that was written, and returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.commit_with(message, &[])
    }

    pub(crate) fn commit_with(&self, message: &str, options: &[&str]) -> String {
        self.git(&self.author, &["add", "-A"]);
        let mut commit = vec!["commit", "-q", "--allow-empty", "-m", message];
        commit.extend(options);
        self.git(&self.author, &commit);
        self.git(&self.author, &["rev-parse", "HEAD"])
    }

    pub(crate) fn push(&self, options: &[&str]) {
        let mut push = vec!["push", "-q"];
        push.extend(options);
        self.git(&self.author, &push);
    }

    /// Changes the manifest, commits and pushes.
    pub(crate) fn publish(&self, message: &str) -> String {
        self.write("orchestrator.yaml", &format!("{MANIFEST}# {message}\n"));
        let commit = self.commit(message);
        self.push(&[]);
        commit
    }

    /// The commit that lies on the server.
    pub(crate) fn here(&self) -> String {
        self.git(&self.server, &["rev-parse", "HEAD"])
    }

    pub(crate) fn root(&self) -> Root {
        Root::new(self.server.join(self.subfolder))
    }

    pub(crate) async fn open(&self, options: Options) -> Checkout {
        Checkout::open(&self.root(), options)
            .await
            .expect("a clone")
    }

    pub(crate) fn now(&mut self) -> Timestamp {
        self.clock += jiff::SignedDuration::from_secs(1);
        self.clock
    }

    /// Fetches and advances, as a watch does. Whether another commit lies there.
    pub(crate) async fn turn(&mut self, checkout: &mut Checkout) -> bool {
        let result = checkout.fetching().await;
        checkout.fetched(result, self.now());
        self.advance(checkout).await
    }

    /// A pass over what lies there.
    pub(crate) async fn carry_out(&mut self, checkout: &mut Checkout) {
        checkout.look(self.now()).await;
        checkout.applied().await.expect("kept");
    }

    /// Advances without fetching.
    pub(crate) async fn advance(&mut self, checkout: &mut Checkout) -> bool {
        let brake = Brake::read(&self.root()).expect("readable");
        let now = self.now();
        checkout.advance(&brake, now).await
    }
}

fn put(path: &Utf8Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("created");
    std::fs::write(path, text).expect("written");
}
