//! The program as people use it: the real binary against stand-in servers, real archives and a
//! release server on loopback. One test binary, so that it is linked once.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "looks at the world from outside, and sets it up"
)]
#![expect(clippy::print_stdout, reason = "says which tests were skipped")]

mod cli;
#[path = "../support/fault_server.rs"]
mod fault_server;
mod faults;
mod page;
mod purity;
mod scenarios;
mod support;
