//! Plans, reports and rows as text for a terminal. Pure: every colour is also said by a rune or a
//! word, and [`super::ui`] drops the colours where nobody wants them.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table};
use llama_orch::apply::Outcome;
use llama_orch::binaries::VerifiedState;
use llama_orch::desired::resolve::Resolved;
use llama_orch::history::chain;
use llama_orch::instance::Supervision;
use llama_orch::lock::Lock;
use llama_orch::observed::{Observed, Seen};
use llama_orch::plan::Plan;
use llama_orch::plan::action::{Action, HoldReason, Step};
use llama_orch::plan::text::{Line, change_texts};
use similar::TextDiff;
use unicode_width::UnicodeWidthStr as _;

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const DIM: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

/// The plan as it is shown: its lines, and what they add up to.
///
/// On a terminal of `width` columns, a reason too long for its line goes on below where it begins.
/// `settled` says what there is where there is nothing to do.
pub(crate) fn plan(plan: &Plan, width: Option<usize>, settled: &str) -> String {
    let mut text = String::new();
    for line in plan.lines() {
        let _ = writeln!(text, "{}", self::line(&line, width));
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    let end = plan
        .summary()
        .unwrap_or_else(|| format!("Nothing to do: {settled}."));
    text + gap + &end
}

/// What is so when a plan from the manifest has nothing to do.
pub(crate) const AS_WRITTEN: &str = "everything is as orchestrator.yaml says";

/// One line of a plan in the colour of its rune, as [`plan`] shows it.
pub(crate) fn line(line: &Line, width: Option<usize>) -> String {
    let style = style_of(line.rune);
    let text = match width {
        Some(width) => wrapped(line, width),
        None => line.to_string(),
    };
    let head = line.rune.len().max(3) + 1 + line.verb.len().max(8);
    let (head, rest) = text.split_at(head.min(text.len()));
    format!("{style}{head}{style:#}{rest}")
}

/// The colour that says the same as a rune.
pub(crate) fn style_of(rune: &str) -> Style {
    match rune {
        "+" | "ok" => GREEN,
        "-" | "x" => RED,
        "-/+" | "!" | "?" => YELLOW,
        "~" => CYAN,
        "." => DIM,
        _ => PLAIN,
    }
}

/// Where the reason of a line begins.
const REASON_COLUMN: usize = 37;
/// Columns a reason needs to be wrapped rather than cut by the terminal.
const NARROWEST_REASON: usize = 24;

fn wrapped(line: &Line, width: usize) -> String {
    let room = width.saturating_sub(REASON_COLUMN).max(NARROWEST_REASON);
    let indent = format!("\n{:REASON_COLUMN$}", "");
    let detail = lines(&line.detail, room).join(&indent);
    Line {
        detail,
        ..line.clone()
    }
    .to_string()
}

/// What lies behind a plan: the differences of launches, settings and lock, and what comes after
/// what.
pub(crate) fn details(
    plan: &Plan,
    resolved: &Resolved,
    observed: &Observed,
    lock: &Lock,
) -> String {
    let mut text = String::new();
    for step in plan.steps() {
        let diff = step_diff(step, observed);
        if !diff.is_empty() {
            let _ = writeln!(text, "\n{} {}:", step.action.verb(), step.action.subject());
            text.push_str(&diff);
        }
        if !step.after.is_empty() {
            let before: Vec<String> = step
                .after
                .iter()
                .map(|after| {
                    let before = &plan.steps()[after.step.index()].action;
                    format!("{} {}", before.verb(), before.subject())
                })
                .collect();
            let _ = writeln!(
                text,
                "\n{} {} comes after: {}",
                step.action.verb(),
                step.action.subject(),
                before.join(", ")
            );
        }
    }
    for (name, seen) in &observed.instances {
        let wanted = resolved.desired.instances.get(name);
        if let (Some(wanted), Seen::Known(Some(supervisor))) = (wanted, &seen.supervisor) {
            let settings = &supervisor.settings;
            let later = settings.deferred_fields(wanted.supervision(), supervisor.protocol);
            if !later.is_empty() {
                let _ = writeln!(
                    text,
                    "\n{name}: its supervisor is of an earlier version; {} counts from its next restart on",
                    later.join(", ")
                );
            }
        }
    }
    for hold in plan.holds() {
        if let HoldReason::FailedInputs { failure, .. } = &hold.why
            && !failure.log_tail.is_empty()
        {
            let _ = writeln!(text, "\nthe last lines of {}:", hold.subject);
            for line in &failure.log_tail {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    let diff = unified(
        &lock.print(),
        &resolved.lock.print(),
        "orchestrator.lock",
        "to be written",
    );
    if !diff.is_empty() {
        let _ = writeln!(text, "\norchestrator.lock:");
        text.push_str(&diff);
    }
    text
}

fn step_diff(step: &Step, observed: &Observed) -> String {
    let Action::Update(update) = &step.action else {
        let (old, new) = change_texts(step.reason.changes());
        return unified(&old, &new, "running", "wanted");
    };
    let seen = observed.instances.get(&update.instance);
    let Some(Seen::Known(Some(supervisor))) = seen.map(|seen| &seen.supervisor) else {
        return String::new();
    };
    let text = |value: &Supervision| serde_yaml::to_string(value).unwrap_or_default();
    unified(
        &text(&supervisor.settings),
        &text(&update.supervision),
        "in force",
        "wanted",
    )
}

/// A unified diff in colour; empty where nothing differs.
pub(crate) fn unified(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    if old == new {
        return String::new();
    }
    let diff = TextDiff::from_lines(old, new);
    let mut text = String::new();
    for line in diff
        .unified_diff()
        .context_radius(2)
        .header(old_name, new_name)
        .to_string()
        .lines()
    {
        let style = match line.as_bytes().first() {
            Some(b'+') => GREEN,
            Some(b'-') => RED,
            Some(b'@') => CYAN,
            _ => PLAIN,
        };
        let _ = writeln!(text, "    {style}{line}{style:#}");
    }
    text
}

/// What became of a step, in one line.
pub(crate) fn outcome(step: &Step, outcome: &Outcome) -> String {
    let (mark, style, rest) = match outcome {
        Outcome::Done { took } => ("ok", GREEN, format!("{:.1} s", took.as_secs_f64())),
        Outcome::Failed(error) => ("failed", RED, chain(error)),
        Outcome::Skipped { because_of } => ("skipped", YELLOW, format!("it needs {because_of}")),
        Outcome::GivenUp(wish) => ("given up", YELLOW, format!("{} meanwhile", wish.words())),
    };
    let subject = step.action.subject().to_string();
    ended(mark, style, step.action.verb(), &subject, &rest)
}

/// That something was done, in the form of a step's outcome.
pub(crate) fn done(verb: &str, subject: &str, rest: &str) -> String {
    ended("ok", GREEN, verb, subject, rest)
}

/// What a close look at a build found, in one line.
pub(crate) fn verified(state: VerifiedState, id: &str, subject: &str, rest: &str) -> String {
    let style = match state {
        VerifiedState::Ok => GREEN,
        VerifiedState::Damaged => RED,
        VerifiedState::Unlisted | VerifiedState::Unreadable => YELLOW,
    };
    let word = state.word();
    let line = format!("{style}{word:>10}{style:#}  {id}  {subject:<23} {rest}");
    line.trim_end().to_owned()
}

fn ended(mark: &str, style: Style, verb: &str, subject: &str, rest: &str) -> String {
    format!("{style}{mark:>8}{style:#} {verb:<8} {subject:<23} {rest}")
}

/// A remark about an instance below a table, its further lines indented.
pub(crate) fn note(name: &str, note: &str, width: Option<usize>) -> String {
    let text = format!("{name}: {note}");
    match width {
        Some(width) => fill(&text, width, "  "),
        None => text,
    }
}

/// The lines of a text where there is room for so many columns. No word is torn: a path, a URL or a
/// digest is of use only in one piece.
pub(crate) fn lines(text: &str, room: usize) -> Vec<String> {
    let lines = textwrap::wrap(text, whole_words(room));
    lines.into_iter().map(Cow::into_owned).collect()
}

/// The text at a terminal of `width` columns, its further lines indented.
pub(crate) fn fill(text: &str, width: usize, indent: &str) -> String {
    textwrap::fill(text, whole_words(width).subsequent_indent(indent))
}

fn whole_words(width: usize) -> textwrap::Options<'static> {
    textwrap::Options::new(width)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
}

/// The columns of the terminal that [`table`] takes where nothing is wrapped.
pub(crate) fn table_width(header: &[&str], rows: &[Vec<String>]) -> usize {
    let widths = header.iter().enumerate().map(|(column, name)| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let cells = cells.map(|cell| cell.width());
        cells.chain([name.width()]).max().unwrap_or_default()
    });
    widths.sum::<usize>() + 2 * header.len().saturating_sub(1)
}

/// A table without lines: a header in dim (none where it is empty), columns two blanks apart. At a
/// terminal of `width` columns, cells that have no room go on below.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let width = width.and_then(|width| u16::try_from(width).ok());
    match width {
        // The last column has a gap on its right too, of which nothing is seen.
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width.saturating_add(GAP));
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if !header.is_empty() {
        table.set_header(header.iter().map(|name| (*name).to_owned()));
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let mut lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    if let Some(names) = lines.first_mut().filter(|_| !header.is_empty()) {
        *names = format!("{DIM}{names}{DIM:#}");
    }
    lines.join("\n")
}

/// The blanks between two columns of a table.
const GAP: u16 = 2;
