//! `logs`: what the servers of instances have written, and what they go on to write.

use std::collections::BTreeSet;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use llama_orch::instance::InstanceName;
use llama_orch::instance::folder::{self, InstanceFolder};
use llama_orch::instance::log::{self, Follow};
use llama_orch::reconcile::Loaded;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, Selection};

/// Show what the servers of instances have written
///
/// Lines are printed as they were written; with several instances, each begins with the name of its own. At a terminal they keep their colours and lose everything
/// else that would drive it. Rotated files are read as well, as far back as the lines asked for reach.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    instances: Selection,
    /// Go on as more is written
    #[arg(short, long)]
    follow: bool,
    /// Show so many lines of what is there
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    tail: usize,
    /// Show what the supervisors noted instead
    #[arg(long)]
    supervisor: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch logs chat -n 20
  llama-orch logs --follow chat embed
  llama-orch logs chat --supervisor";

/// How often followed logs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many lines of one log are printed before the next one has its turn.
const AT_A_TIME: usize = 1000;

/// One instance's log.
struct Log {
    path: camino::Utf8PathBuf,
    /// What stands before each of its lines.
    head: String,
    follow: Option<Follow>,
}

pub(crate) fn run(global: &Global, args: &LogsArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let failed = |what: &str, error: &std::io::Error| {
        Failure::new(Kind::Failed, format!("cannot {what}")).because(error)
    };
    let begun: BTreeSet<InstanceName> = folder::list(root.path())
        .map_err(|error| failed("list the instances", &error))?
        .into_iter()
        .collect();
    let manifest = Loaded::read(&root).ok().map(|loaded| loaded.manifest);
    let written = manifest.iter().flat_map(|it| it.instances.keys());
    let known = begun.iter().chain(written).cloned().collect();
    let mut names = args.instances.among(&known, manifest.as_ref())?;
    let mut silent = names.difference(&begun);
    let asked = silent.clone().find(|name| args.instances.spells_out(name));
    // One that was not asked for by name is missed only where there is nothing else to show.
    let silent = asked.or_else(|| silent.next().filter(|_| names.is_disjoint(&begun)));
    if let Some(name) = silent {
        let message = format!("`{name}` has not been started yet");
        let hint = format!("`llama-orch plan {name}` shows what that takes");
        return Err(Failure::new(Kind::Failed, message).hint(hint));
    }
    names.retain(|name| begun.contains(name));
    let unread =
        |path: &camino::Utf8Path, error: std::io::Error| failed(&format!("read `{path}`"), &error);
    let width = names.iter().map(|name| name.as_str().len()).max();
    let mut logs = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let folder = InstanceFolder::new(root.path(), name);
        let path = if args.supervisor {
            folder.supervisor_log()
        } else {
            folder.server_log()
        };
        let head = if names.len() > 1 {
            let style = COLOURS[index % COLOURS.len()];
            let width = width.unwrap_or_default();
            format!("{style}{name:<width$} |{style:#} ")
        } else {
            String::new()
        };
        let (lines, follow) = if args.follow {
            let (lines, follow) =
                log::follow(&path, args.tail).map_err(|error| unread(&path, error))?;
            (lines, Some(follow))
        } else {
            let lines = log::tail(&path, args.tail).map_err(|error| unread(&path, error))?;
            (lines, None)
        };
        for line in lines {
            if !ui.pass_on(&head, &line) {
                return Ok(0);
            }
        }
        logs.push(Log { path, head, follow });
    }
    if !args.follow {
        return Ok(0);
    }
    loop {
        let mut quiet = true;
        for log in &mut logs {
            let Some(follow) = &mut log.follow else {
                continue;
            };
            for _ in 0..AT_A_TIME {
                let line = follow.next_line();
                let Some(line) = line.map_err(|error| unread(&log.path, error))? else {
                    break;
                };
                quiet = false;
                if !ui.pass_on(&log.head, &line) {
                    return Ok(0);
                }
            }
        }
        if quiet {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// The colours of names, in turn.
const COLOURS: [Style; 6] = [
    AnsiColor::Cyan.on_default(),
    AnsiColor::Yellow.on_default(),
    AnsiColor::Green.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Blue.on_default(),
    AnsiColor::BrightRed.on_default(),
];
