//! `logs`: what an instance's server has written, and what it goes on to write.

use std::collections::BTreeSet;

use clap::Args;
use llama_orch::instance::InstanceName;
use llama_orch::instance::folder::{self, InstanceFolder};
use llama_orch::instance::log;
use llama_orch::reconcile::Loaded;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, among};

/// Show what an instance's server has written
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The instance
    name: InstanceName,
    /// Go on as more is written
    #[arg(short, long)]
    follow: bool,
    /// Show so many lines of what is there
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    tail: usize,
    /// Show what the supervisor noted instead
    #[arg(long)]
    supervisor: bool,
}

pub(crate) fn run(global: &Global, args: &LogsArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let failed = |what: &str, error: &std::io::Error| {
        Failure::new(Kind::Failed, format!("cannot {what}")).because(error)
    };
    let known: BTreeSet<InstanceName> = folder::list(root.path())
        .map_err(|error| failed("list the instances", &error))?
        .into_iter()
        .collect();
    if !known.contains(&args.name)
        && let Ok(loaded) = Loaded::read(&root)
        && loaded.manifest.instances.contains_key(&args.name)
    {
        let message = format!("`{}` has not been started yet", args.name);
        let hint = format!("`llama-orch plan {}` shows what that takes", args.name);
        return Err(Failure::new(Kind::Failed, message).hint(hint));
    }
    among(std::slice::from_ref(&args.name), &known)?;
    let folder = InstanceFolder::new(root.path(), &args.name);
    let path = if args.supervisor {
        folder.supervisor_log()
    } else {
        folder.server_log()
    };
    let unread = |error: std::io::Error| failed(&format!("read `{path}`"), &error);
    // The end is marked before the tail is read, so that no line falls between the two.
    let follow = if args.follow {
        Some(log::follow(&path, || false).map_err(unread)?)
    } else {
        None
    };
    for line in log::tail(&path, args.tail).map_err(unread)? {
        if !ui.stream(line) {
            return Ok(0);
        }
    }
    for line in follow.into_iter().flatten() {
        if !ui.stream(line.map_err(unread)?) {
            break;
        }
    }
    Ok(0)
}
