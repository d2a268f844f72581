//! `logs`: what an instance's server has written, and what it goes on to write.

use std::collections::BTreeSet;

use clap::Args;
use llama_orch::instance::InstanceName;
use llama_orch::instance::folder::{self, InstanceFolder};
use llama_orch::instance::log;

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
        ui.data(line);
    }
    for line in follow.into_iter().flatten() {
        ui.data(line.map_err(unread)?);
    }
    Ok(0)
}
