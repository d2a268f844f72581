//! Windows: there are no groups that signals reach. The command itself is ended, by the runtime.

use tokio::process::{Child, Command};

/// There is none to lead.
pub(in crate::watch) const fn lead(_command: &mut Command) {}

/// A command and all it has started, of which nothing is known here.
#[derive(Debug)]
pub(in crate::watch) struct Group;

impl Group {
    pub(in crate::watch) const fn of(_child: &Child) -> Self {
        Self
    }

    /// Nothing is to be forgotten.
    #[expect(clippy::unused_self, reason = "the same as on other systems")]
    pub(in crate::watch) const fn is_over(&mut self) {}

    /// Nobody can be asked.
    #[expect(clippy::unused_self, reason = "the same as on other systems")]
    pub(in crate::watch) const fn terminate(&self) {}

    /// The command is ended by its handle.
    #[expect(clippy::unused_self, reason = "the same as on other systems")]
    pub(in crate::watch) const fn kill(&self) {}
}
