//! Supervisors end to end: the real program, detached, with the stand-in as its server.
//!
//! A test binary of its own because it deals in processes that outlive their parents. Each test
//! has its own root and its own ports, and its [`Sandbox`](sandbox::Sandbox) ends what it started.

mod crashes;
mod gates;
mod sandbox;
