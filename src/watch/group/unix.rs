//! Unix: a command leads a group of processes, which signals reach as one.

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

/// Lets a command lead a group of its own.
pub(in crate::watch) fn lead(command: &mut Command) {
    command.process_group(0);
}

/// A command that was not waited for yet, and all it has started. Dropping it ends them.
#[derive(Debug)]
pub(in crate::watch) struct Group(Option<Pid>);

impl Group {
    pub(in crate::watch) fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Takes in that its head was waited for, or will be: from then on its number may name another one.
    pub(in crate::watch) const fn is_over(&mut self) {
        self.0 = None;
    }

    /// Asks all of it to end.
    pub(in crate::watch) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends all of it.
    pub(in crate::watch) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Where nobody is left, nobody has to be ended.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
