//! A `llama-orch watch` that runs beside a test, and what it has said so far.

use std::process::{Child, Stdio};

use camino::Utf8PathBuf;
use rustix::process::Signal;

use super::sandbox::{Sandbox, signal};

/// It ends with the test.
pub(crate) struct Watching {
    child: Child,
    said: Utf8PathBuf,
}

impl Watching {
    /// Starts it with these options, and without a page unless they ask for one.
    pub(crate) fn start(sandbox: &Sandbox, options: &[&str]) -> Self {
        let said = sandbox
            .root
            .parent()
            .expect("it has one")
            .join("watch.said");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&said)
            .expect("a file");
        let mut arguments = vec!["watch"];
        if !options.contains(&"--listen") {
            arguments.push("--no-page");
        }
        arguments.extend(options);
        let child = sandbox
            .command(&arguments)
            .stdout(file.try_clone().expect("one more"))
            .stderr(file)
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { child, said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that was said by now, by those before it as well.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.said).expect("readable")
    }

    /// How often it has said so.
    pub(crate) fn times(&self, text: &str) -> usize {
        self.said().matches(text).count()
    }

    /// Waits until it has said so that many times.
    #[track_caller]
    pub(crate) fn wait(&self, sandbox: &Sandbox, text: &str, times: usize) {
        sandbox.wait(&format!("`{text}`, {times} times"), || {
            self.times(text) >= times
        });
    }

    /// Sends it a signal and waits for its end; its exit code.
    pub(crate) fn end(self, with: Signal) -> Option<i32> {
        signal(self.pid(), with);
        self.ended()
    }

    /// Waits for its end; its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
