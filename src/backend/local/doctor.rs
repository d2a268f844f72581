//! Looks at everything that `doctor` judges. Each part is looked at whatever became of the others, for
//! it is called when something is broken. Nothing is written, and one request is made.

mod access;
mod home;
#[cfg_attr(unix, path = "doctor/unix.rs")]
#[cfg_attr(windows, path = "doctor/windows.rs")]
mod os;
mod reading;
mod source;
mod wanted;

use jiff::Timestamp;

use super::memory;
use crate::doctor::Diagnosis;
use crate::doctor::facts::{Clock, Facts, Limits, Machine, Source, SourceKind};
use crate::history::chain;
use crate::manifest;
use crate::reconcile::{LoadError, Parts};
use crate::release::host::Host;
use crate::root::Root;

/// What a server takes for an option, by how the names of such variables begin.
const ARGUMENTS: &str = "LLAMA_ARG_";

/// Looks at this machine and, where there is one, at a root, and says what is wrong with them.
pub async fn examine(root: Option<&Root>, offline: bool) -> Diagnosis {
    let parts = root.map(|root| (root, Parts::read(root)));
    let asked = match &parts {
        None => Ok(manifest::Source::default()),
        Some((_, parts)) => match &parts.manifest {
            Ok(manifest) => Ok(manifest.source.clone()),
            Err(error) => Err(first_line(error)),
        },
    };
    let host = match &parts {
        Some((_, parts)) => parts.host.clone(),
        None => Host::detect(),
    };
    let (source, remote) = match asked {
        Ok(asked) => source::look(&asked, root, offline).await,
        // Nobody is asked whom nobody named.
        Err(why) => {
            let kind = SourceKind::Unknown(why);
            (Source { kind, mirror: None }, None)
        }
    };
    let mut clock = Clock {
        remote,
        youngest: None,
    };
    let home = match parts {
        Some((root, parts)) => {
            let (home, youngest) = home::look(root, parts).await;
            clock.youngest = youngest;
            Some(home)
        }
        None => None,
    };
    Diagnosis::of(&Facts {
        at: Timestamp::now(),
        machine: Machine {
            host,
            limits: Limits {
                group: memory::group_limit(),
                ..os::limits()
            },
            clock,
            stray: stray(),
        },
        source,
        home,
    })
}

/// The names of variables that a server would take for options, sorted.
fn stray() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(ARGUMENTS)).collect();
    names.sort();
    names
}

/// What is wrong with a manifest, on one line; the places are told by themselves.
fn first_line(error: &LoadError) -> String {
    let text = chain(error);
    text.lines().next().unwrap_or_default().to_owned()
}
