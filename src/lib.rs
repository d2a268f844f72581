//! Keeps a machine's llama.cpp servers in the state that a file in git says.

pub mod apply;
pub mod backend;
pub mod desired;
pub mod durable;
pub mod history;
pub mod install;
pub mod instance;
pub mod kill_point;
pub mod lock;
pub mod manifest;
pub mod observed;
pub mod plan;
pub mod reconcile;
pub mod registry;
pub mod release;
pub mod root;
pub mod status;
