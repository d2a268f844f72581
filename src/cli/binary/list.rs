//! `binary list`: one row for each installed build.

use clap::Args;
use jiff::Timestamp;
use llama_orch::binaries::{Binary, BinaryList, How, Trust, Use};
use llama_orch::install::cache::{self, Unfinished};
use llama_orch::plan::action::Bytes;
use llama_orch::release::Variant;

use super::{Stock, count};
use crate::cli::clock::when;
use crate::cli::diagnostic::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Global, text};

/// Show what is installed and who uses it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListArgs {
    /// Print it as JSON (`config schema binary-list` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch binary list
  llama-orch binary list --json | jq -r '.binaries[].id'";

/// Columns the names of instances have at least, however narrow the terminal is.
const NARROWEST_NAMES: usize = 16;

pub(crate) fn run(global: &Global, args: &ListArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let stock = Stock::of(&root)?;
    let unfinished = cache::unfinished(&root.bins())?;
    let list = BinaryList::of(&stock.registry, &unfinished, &stock.observed, &stock.uses);
    if args.json {
        ui.data(serde_json::to_string_pretty(&list).unwrap_or_default());
    } else if list.binaries.is_empty() {
        ui.data("No builds are installed.");
        ui.remark("`llama-orch apply` installs what orchestrator.yaml is pinned to.");
    } else {
        ui.data(table(&list, stock.observed.at, ui.width()));
        for binary in &list.binaries {
            for note in notes(binary) {
                ui.data(text::note(&binary.short_id, &note, ui.width()));
            }
        }
    }
    if !args.json && !unfinished.is_empty() {
        ui.data(unfinished_text(&unfinished));
    }
    if !args.json && !list.binaries.is_empty() {
        for unknown in &list.unknown_uses {
            // All that is wrong with a manifest is told below.
            if let Some(instance) = &unknown.instance {
                ui.remark(format_args!(
                    "`{instance}` may use any of them: {}",
                    unknown.why
                ));
            }
        }
    }
    stock.broken.map_or(Ok(0), Err)
}

fn table(list: &BinaryList, now: Timestamp, width: Option<usize>) -> String {
    let header = ["ID", "BUILD", "VARIANT", "SIZE", "INSTALLED", "USED BY"];
    let mut rows: Vec<Vec<String>> = list
        .binaries
        .iter()
        .map(|binary| {
            let installed = binary.installed_at.as_ref();
            let installed = installed.and_then(|at| at.parse().ok());
            vec![
                binary.short_id.clone(),
                binary.build.clone(),
                Variant::new(binary.variant.as_str()).short(),
                or_dash(binary.size_bytes.map(|size| Bytes(size).to_string())),
                or_dash(installed.map(|at| when(at, now))),
            ]
        })
        .collect();
    let taken: usize = (0..header.len() - 1)
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default().max(header[column].len()) + 2
        })
        .sum();
    let room = width.map(|width| width.saturating_sub(taken).max(NARROWEST_NAMES));
    for (row, binary) in rows.iter_mut().zip(&list.binaries) {
        row.push(names(&binary.used_by, room));
    }
    text::table(&header, rows, width)
}

/// Who uses a build, cut to the room there is: `chat, embed (rollback), 3 more`.
fn names(used_by: &[Use], room: Option<usize>) -> String {
    let names: Vec<String> = used_by.iter().map(name).collect();
    let all = names.join(", ");
    let Some(room) = room.filter(|room| all.chars().count() > *room) else {
        return or_dash((!all.is_empty()).then_some(all));
    };
    let cut = (1..names.len()).rev().find_map(|shown| {
        let text = format!(
            "{}, {} more",
            names[..shown].join(", "),
            names.len() - shown
        );
        (text.chars().count() <= room).then_some(text)
    });
    cut.unwrap_or_else(|| count(names.len(), "instance"))
}

/// The instance, with how it uses the build where it is not simply pinned to it.
fn name(one: &Use) -> String {
    let how = if one.how.contains(&How::Pinned) {
        return one.instance.clone();
    } else if one.how.contains(&How::Runs) {
        "running"
    } else if one.how.contains(&How::MayStart) {
        "fallback"
    } else {
        "rollback"
    };
    format!("{} ({how})", one.instance)
}

fn notes(binary: &Binary) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(damage) = &binary.damage {
        notes.push(format!("damaged: {damage}"));
    }
    if binary.trust == Trust::Unverified {
        notes.push("unverified: nothing said what its archive must hash to".to_owned());
    }
    notes
}

/// `2 unfinished downloads, 310.0 MiB, in bins/.cache`
fn unfinished_text(unfinished: &[Unfinished]) -> String {
    let bytes = unfinished.iter().map(|one| one.bytes).sum();
    let number = count(unfinished.len(), "unfinished download");
    format!("{number}, {}, in bins/.cache", Bytes(bytes))
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
