//! `history`: what past passes did.

use clap::Args;
use jiff::Timestamp;
use llama_orch::history::{self, Entry};
use llama_orch::reconcile;
use llama_orch::root::Root;

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, clock, text};

/// Show what past passes did
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HistoryArgs {
    /// Show so many of the last passes
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    last: usize,
    /// Print one JSON object a line (`config schema history` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch history -n 5
  llama-orch history --json | jq -r 'select(.interrupted) | .at'";

pub(crate) fn run(global: &Global, args: &HistoryArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let (entries, unreadable) = history::read(&root)?;
    warn_of(unreadable, &root, ui);
    let first = entries.len().saturating_sub(args.last);
    for entry in &entries[first..] {
        if args.json {
            ui.data(serde_json::to_string(entry).unwrap_or_default());
        } else {
            ui.data(pass(entry, reconcile::now(), ui.width()));
        }
    }
    if entries.is_empty() && !args.json {
        ui.data("Nothing has been done here yet.");
    }
    Ok(0)
}

/// Says that some lines could not be read.
pub(super) fn warn_of(unreadable: usize, root: &Root, ui: &Ui) {
    if unreadable > 0 {
        let noun = if unreadable == 1 { "line" } else { "lines" };
        ui.warning(format_args!(
            "{unreadable} {noun} of `{}` cannot be read",
            root.history()
        ));
    }
}

/// One pass: a heading, then a row for each step and each notice.
fn pass(entry: &Entry, now: Timestamp, width: Option<usize>) -> String {
    let at = clock::moment_of(&entry.at, now);
    let rows = entry.steps.iter().map(|step| {
        let rest = match (&step.error, step.seconds) {
            (Some(error), _) => error.clone(),
            (None, Some(seconds)) => format!("{seconds:.1} s; {}", step.reason),
            (None, None) => step.reason.clone(),
        };
        let outcome = step.outcome.replace('_', " ");
        vec![
            format!("  {outcome}"),
            step.action.clone(),
            step.subject.clone(),
            rest,
        ]
    });
    let notices = entry.notices.iter().map(|notice| {
        vec![
            "  told".to_owned(),
            notice.kind.word().replace('_', " "),
            notice.subject.clone(),
            notice.without_subject().to_owned(),
        ]
    });
    let rows = rows.chain(notices);
    let interrupted = if entry.interrupted {
        ", interrupted"
    } else {
        ""
    };
    let reason = entry.reason.as_ref();
    let reason = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let (verb, seconds) = (&entry.verb, entry.seconds);
    let heading = if entry.steps.is_empty() && !entry.notices.is_empty() {
        format!("{at}  {verb}")
    } else {
        format!("{at}  {verb}  {seconds:.1} s{interrupted}{reason}")
    };
    let heading = match width {
        Some(width) => textwrap::fill(
            &heading,
            textwrap::Options::new(width).subsequent_indent("  "),
        ),
        None => heading,
    };
    let table = text::table(&[], rows.collect(), width);
    format!("{heading}\n{table}")
}
