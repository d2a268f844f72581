//! The small process that owns one server: this program executed again, detached, one per running
//! instance.
//!
//! One life of a supervisor is one assignment. It reads `record.json`, makes sure that nothing of
//! an earlier supervisor is in the way (or adopts the server that runs already), starts the launch,
//! gates it, falls back to the launch the plan named when the gate fails, starts the server again
//! when it crashes, and writes what happened into `state.json`. It decides nothing else: what to
//! run, and whether, is left to the planner.
//!
//! It is one thread without a runtime or an HTTP client, and sleeps until its server ends,
//! an order arrives (a signal, or an event on Windows) or something is due:
//!
//! | order | signal | meaning |
//! | --- | --- | --- |
//! | end | SIGTERM | end the server and yourself |
//! | refresh | SIGHUP | read the settings of the assignment again, nothing else |
//!
//! `supervisor.lock` is held for the whole life, `server.lock` by the server alone; the locks tell
//! who lives, `state.json` only explains. The commands' side ([`start`], [`refresh`], [`end`])
//! blocks and needs no running supervisor to end a server.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "lives by the clock, its environment and the processes it starts"
)]

mod aftermath;
mod ask;
mod claim;
mod confinement;
mod end;
mod ending;
mod gating;
mod life;
mod notes;
mod program;
mod standing;
mod start;
mod succession;
mod vacated;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use camino::Utf8PathBuf;

use super::folder::InstanceFolder;
use super::{InstanceName, process};

pub use claim::ClaimError;
pub use confinement::{Confinement, ConfinementError, Manager, lingers};
pub use end::{Ended, StopError, end};
pub use program::{InstallError, Program};
pub use standing::StandingError;
pub use start::{RefreshError, StartError, refresh, start};

/// The first argument by which this program knows that it is to be a supervisor.
const WORD: &str = "__supervisor";

/// The exit code of a supervisor that found another one at work on the same assignment.
const ALREADY: u8 = 75;

/// Becomes a supervisor if the arguments (the program's name first) say so; `None` otherwise. To
/// be called before anything else in `main`: it closes every descriptor it was given.
pub fn entry(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    let word = arguments.next()?;
    if word != WORD {
        return process::other_entry(&word, &arguments.collect::<Vec<_>>());
    }
    let root = arguments
        .next()
        .and_then(|root| Utf8PathBuf::from_os_string(root).ok());
    let name = arguments
        .next()
        .and_then(|name| name.into_string().ok()?.parse().ok());
    let (Some(root), Some(name)): (_, Option<InstanceName>) = (root, name) else {
        return Some(ExitCode::from(64));
    };
    Some(life::live(&InstanceFolder::new(&root, &name)))
}
