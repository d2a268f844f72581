//! Unix: what a signal that ended a server tells.

use crate::instance::state::Exit;

/// What stands behind the way a server ended, to be put after it; empty where that tells nothing.
pub(super) fn cause_of(exit: Exit) -> &'static str {
    match exit {
        Exit::Signal(libc::SIGILL) => ": this processor lacks an instruction the build needs",
        Exit::Signal(libc::SIGKILL) => ": by somebody, or by the system when it ran out of memory",
        Exit::Signal(libc::SIGABRT) => ": aborted",
        Exit::Signal(libc::SIGSEGV | libc::SIGBUS) => ": invalid memory access",
        Exit::Signal(_) | Exit::Code(_) | Exit::Unobserved => "",
    }
}
