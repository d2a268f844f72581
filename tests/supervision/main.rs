//! Supervisors end to end: the real program, detached, with the stand-in as its server.
//!
//! A test binary of its own because it deals in processes that outlive their parents. Each test
//! has its own root and its own ports, and its [`Sandbox`](sandbox::Sandbox) ends what it started.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "looks at processes and files from outside"
)]

mod claims;
mod crashes;
mod forgeries;
mod gates;
mod kinds;
mod races;
mod real;
mod references;
mod sandbox;
mod spawning;
mod trouble;
