//! What the tests stand on: a root of their own, archives, a release server, text that compares.

pub(crate) mod archives;
pub(crate) mod filters;
pub(crate) mod release_server;
pub(crate) mod repositories;
pub(crate) mod sandbox;
pub(crate) mod simulation;
pub(crate) mod tree;
pub(crate) mod watching;
