//! `doctor`: what is wrong with the machine, the root and its servers, and what to do about each.

use std::fmt::Write as _;

use clap::Args;
use llama_orch::backend::local::examine;
use llama_orch::doctor::{Check, Diagnosis, Examined, Severity};
use llama_orch::root::{Root, RootError};

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, runtime, text};

/// Look for what is wrong here, and say what to do about it
///
/// It changes nothing, and makes one request: how many the release source still answers. It works where the
/// manifest or a record is damaged, and outside of any root, where the machine alone is looked at.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_CODES)]
pub(crate) struct DoctorArgs {
    /// Print it as JSON (`config schema doctor` prints its schema)
    #[arg(long)]
    json: bool,
}

const DOCTOR_CODES: &str = "\
Signs:
  ok   as it should be              !   it works, and should not stay so
  x    broken                       .   good to know
  ?    not checked, and why

Exit codes:
  0    nothing is broken; warnings do not count
  1    something is

Examples:
  llama-orch doctor
  llama-orch doctor --quiet      # only what is wrong
  llama-orch --offline doctor    # without the one request";

/// Where the text of a line begins.
const TEXT_COLUMN: usize = 16;
/// Columns a text needs to be wrapped rather than cut by the terminal.
const NARROWEST: usize = 24;

pub(crate) fn run(global: &Global, args: &DoctorArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = find_root(global, ui)?;
    let diagnosis = runtime()?.block_on(examine(root.as_ref(), global.offline));
    if args.json {
        ui.data(serde_json::to_string_pretty(&diagnosis).unwrap_or_default());
    } else {
        ui.data(shown(&diagnosis, ui.is_quiet(), ui.width()));
    }
    Ok(u8::from(!diagnosis.healthy))
}

/// The root, unless there is none and nobody named one.
fn find_root(global: &Global, ui: &Ui) -> Result<Option<Root>, Failure> {
    match Root::find(global.root.as_deref()) {
        Ok(root) => Ok(Some(root)),
        Err(error @ RootError::NotFound(_)) => {
            ui.remark(format_args!("{error}; only the machine is looked at"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Everything that was found out, a line or more for each check.
fn shown(diagnosis: &Diagnosis, quiet: bool, width: Option<usize>) -> String {
    let mut shown = String::new();
    for examined in &diagnosis.checks {
        let check = examined.check;
        if let (Some(told), false) = (&examined.told, quiet) {
            shown += &line("ok", check, told, width);
        }
        findings(&mut shown, examined, quiet, width);
        for why in &examined.not_checked {
            shown += &line("?", check, &format!("not checked: {why}"), width);
        }
    }
    let gap = if shown.is_empty() { "" } else { "\n" };
    shown + gap + &diagnosis.summary()
}

fn findings(shown: &mut String, examined: &Examined, quiet: bool, width: Option<usize>) {
    for finding in &examined.findings {
        let rune = match finding.severity {
            Severity::Broken => "x",
            Severity::Warning => "!",
            Severity::Note if quiet => continue,
            Severity::Note => ".",
        };
        *shown += &line(rune, examined.check, &finding.to_string(), width);
        let below = |text: String| wrapped(&text, width);
        let _ = writeln!(
            shown,
            "{:TEXT_COLUMN$} {}",
            "",
            below(format!("fix: {}", finding.fix))
        );
        for link in &finding.links {
            let _ = writeln!(
                shown,
                "{:TEXT_COLUMN$} {}",
                "",
                below(format!("see: {link}"))
            );
        }
    }
}

fn line(rune: &str, check: Check, text: &str, width: Option<usize>) -> String {
    let style = text::style_of(rune);
    let text = wrapped(text, width);
    format!("{style}{rune:>3} {:<12}{style:#} {text}\n", check.word())
}

/// A text whose further lines begin where its first does.
fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let room = width.saturating_sub(TEXT_COLUMN + 1).max(NARROWEST);
    let options = textwrap::Options::new(room).break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).join(&format!("\n{:TEXT_COLUMN$} ", ""))
}
