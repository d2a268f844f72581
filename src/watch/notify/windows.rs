//! Windows: there are no groups that signals reach. The command itself is ended, by the runtime.

use tokio::process::{Child, Command};

/// There is none to lead.
pub(super) const fn lead_a_group(_command: &mut Command) {}

/// A command and all it has started, of which nothing is known here.
#[derive(Debug)]
pub(super) struct Group;

impl Group {
    pub(super) const fn of(_child: &Child) -> Self {
        Self
    }

    /// Nothing is to be forgotten.
    #[expect(clippy::unused_self, reason = "the same as on other systems")]
    pub(super) const fn is_over(&mut self) {}

    /// Nobody can be asked.
    #[expect(clippy::unused_self, reason = "the same as on other systems")]
    pub(super) const fn terminate(&self) {}

    /// The command is ended by its handle.
    #[expect(clippy::unused_self, reason = "the same as on other systems")]
    pub(super) const fn kill(&self) {}
}
