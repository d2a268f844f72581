//! `watch`: keeps a machine in the state its files say, pass after pass.
//!
//! Level-triggered: whatever wakes it leads to one ordinary pass, by the same resolving, planning and
//! executing as `apply`. It owns nothing: killing it, or replacing it by a newer one, touches no server. What
//! is to be done is decided by [`mod@crate::plan`]; when a pass is due, what it may do by itself and whom to
//! tell of it is decided here, in values. The terminal's, git's and the service manager's part lie below.

pub mod alive;
pub mod attempts;
pub mod brake;
pub mod git;
mod group;
pub mod inputs;
pub mod keeper;
pub mod notice;
pub mod notify;
pub mod page;
mod progress;
pub mod schedule;
mod senses;
pub mod service_manager;
pub mod snapshot;
pub mod told;
