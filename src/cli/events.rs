//! `events`: what has happened, one line each, and what goes on to happen.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use jiff::Timestamp;
use llama_orch::history::{Event, Files, Line};
use llama_orch::instance::InstanceName;
use llama_orch::instance::folder;
use llama_orch::reconcile::Loaded;
use llama_orch::root::Root;
use llama_orch::watch::notice::NoticeKind;

use super::diagnostic::{Failure, Kind};
use super::selection::Narrowing;
use super::ui::Ui;
use super::{Global, clock, history, text};

/// Show what has happened, step by step
///
/// One line for each step of each pass, whoever asked for it, and for each notice that watch has given. Steps
/// are told once their pass is over, with the time at which that began.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    instances: Narrowing,
    /// Go on as more happens
    #[arg(short, long)]
    follow: bool,
    /// Show so many of the last events
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    last: usize,
    /// Print one JSON object a line (`config schema events` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch events -n 5 chat
  llama-orch events --follow
  llama-orch events -n 1000 --json | jq -r 'select(.kind == \"notice\") | .text'";

/// How often it is looked for more.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(global: &Global, args: &EventsArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let names = names(&root, args)?;
    let files = if args.follow {
        Files::open_to_follow(&root)?
    } else {
        Files::open(&root)?
    };
    let mut events = Vec::new();
    let mut unreadable = 0;
    for line in files.newest_first() {
        if events.len() >= args.last {
            break;
        }
        match line? {
            Line::Entry(entry) => events.extend(
                Event::all_of(&entry)
                    .into_iter()
                    .rev()
                    .filter(|event| is_about(event, names.as_ref())),
            ),
            Line::Unreadable => unreadable += 1,
        }
    }
    events.truncate(args.last);
    history::warn_of(unreadable, &root, ui);
    if events.is_empty() && !args.json && !args.follow {
        ui.data(match names {
            Some(_) => "Nothing has been done about that yet.",
            None => "Nothing has been done here yet.",
        });
    }
    for event in events.iter().rev() {
        if !tell(event, args, ui) {
            return Ok(0);
        }
    }
    if !args.follow {
        return Ok(0);
    }
    let mut follow = files.follow();
    super::plain_runtime()?.block_on(async {
        // Once, so that it is heard as well while something is told.
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                biased;
                _ = &mut interrupted => return Ok(Kind::Interrupted.code()),
                () = std::future::ready(()) => {}
            }
            while let Some(line) = follow.next_line()? {
                let Line::Entry(entry) = line else {
                    history::warn_of(1, &root, ui);
                    continue;
                };
                for event in Event::all_of(&entry) {
                    if is_about(&event, names.as_ref()) && !tell(&event, args, ui) {
                        return Ok(0);
                    }
                }
            }
            if ui.is_deserted() {
                return Ok(0);
            }
            tokio::select! {
                _ = &mut interrupted => return Ok(Kind::Interrupted.code()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    })
}

/// The instances it is narrowed to: of those that are written, have left a trace, or once did.
fn names(root: &Root, args: &EventsArgs) -> Result<Option<BTreeSet<InstanceName>>, Failure> {
    if args.instances.is_everything() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| {
        Failure::new(Kind::Failed, "cannot list the instances".to_owned()).because(&error)
    };
    let manifest = Loaded::read(root).ok().map(|loaded| loaded.manifest);
    let mut known: BTreeSet<InstanceName> = folder::list(root.path())
        .map_err(failed)?
        .into_iter()
        .collect();
    let written = manifest.iter().flat_map(|it| it.instances.keys());
    known.extend(written.cloned());
    for line in Files::open(root)?.newest_first() {
        if let Line::Entry(entry) = line? {
            let steps = entry.steps.iter().map(|step| &step.subject);
            known.extend(steps.filter_map(|subject| subject.parse().ok()));
        }
    }
    args.instances.among(&known, manifest.as_ref())
}

fn is_about(event: &Event, names: Option<&BTreeSet<InstanceName>>) -> bool {
    names.is_none_or(|names| {
        let subject = event.subject.as_deref();
        names.iter().any(|name| Some(name.as_str()) == subject)
    })
}

fn tell(event: &Event, args: &EventsArgs, ui: &Ui) -> bool {
    if args.json {
        ui.stream(serde_json::to_string(event).unwrap_or_default())
    } else {
        ui.stream(line(event, ui.width()))
    }
}

/// Where the text of a line begins, where what stands before it is of the usual length.
const TEXT_COLUMN: usize = 45;
/// Columns a text needs to be wrapped rather than cut by the terminal.
const NARROWEST_TEXT: usize = 24;

/// One event: columns that are as wide as what mostly stands in them, since nobody knows what comes.
fn line(event: &Event, width: Option<usize>) -> String {
    let at = event.at.parse::<Timestamp>();
    let at = at.map_or_else(|_| event.at.clone(), clock::local);
    let style = style(event);
    let (word, subject) = (event.word(), event.subject.as_deref().unwrap_or("-"));
    let head = format!("{at}  {style}{word:<8}{style:#}  {subject:<12}  ");
    let Some(width) = width else {
        return format!("{head}{}", event.text);
    };
    // A long name takes its room from the text beside it alone.
    let begins = TEXT_COLUMN + subject.chars().count().saturating_sub(12);
    let room = width.saturating_sub(begins).max(NARROWEST_TEXT);
    let lines = text::lines(&event.text, room);
    format!("{head}{}", lines.join(&format!("\n{:begins$}", "")))
}

fn style(event: &Event) -> Style {
    let colour = match (&event.step, &event.notice) {
        (Some(step), _) => match step.outcome.as_str() {
            "done" => AnsiColor::Green,
            "failed" => AnsiColor::Red,
            _ => AnsiColor::Yellow,
        },
        (None, Some(notice)) => match notice.kind {
            NoticeKind::Recovered => AnsiColor::Green,
            NoticeKind::GaveUp => AnsiColor::Red,
            NoticeKind::RolledBack | NoticeKind::ManifestBad | NoticeKind::Held => {
                AnsiColor::Yellow
            }
        },
        (None, None) => AnsiColor::Red,
    };
    colour.on_default()
}
