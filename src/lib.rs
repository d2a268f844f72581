//! Keeps a machine's llama.cpp servers in the state that a file in git says.

pub mod desired;
pub mod durable;
pub mod install;
pub mod instance;
pub mod kill_point;
pub mod lock;
pub mod manifest;
pub mod registry;
pub mod release;
