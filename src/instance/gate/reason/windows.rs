//! Windows: what the code of a server that was ended tells, which is then the status of the exception
//! (NTSTATUS values, Microsoft Learn).

use windows_sys::Win32::Foundation::{
    STATUS_ACCESS_VIOLATION, STATUS_DLL_NOT_FOUND, STATUS_ENTRYPOINT_NOT_FOUND,
    STATUS_ILLEGAL_INSTRUCTION, STATUS_STACK_BUFFER_OVERRUN,
};

use crate::instance::state::Exit;

/// What stands behind the way a server ended, to be put after it; empty where that tells nothing.
pub(super) fn cause_of(exit: Exit) -> &'static str {
    match exit {
        Exit::Code(STATUS_ILLEGAL_INSTRUCTION) => {
            ": this processor lacks an instruction the build needs"
        }
        Exit::Code(STATUS_ACCESS_VIOLATION) => ": invalid memory access",
        // `abort` ends a program so as well.
        Exit::Code(STATUS_STACK_BUFFER_OVERRUN) => ": aborted",
        Exit::Code(STATUS_DLL_NOT_FOUND) => ": a library it needs is not there",
        Exit::Code(STATUS_ENTRYPOINT_NOT_FOUND) => ": a library it needs is another version",
        Exit::Signal(_) | Exit::Code(_) | Exit::Unobserved => "",
    }
}
