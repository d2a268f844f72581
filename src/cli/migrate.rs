//! `migrate`: shows what becomes of the Python tool's files and of a bare `bin/`, does it, and takes
//! it back.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use camino::Utf8PathBuf;
use clap::Args;
use llama_orch::history::chain;
use llama_orch::migrate::carry::{self, MigrateError, Undone};
use llama_orch::migrate::journal::{self, Stage};
use llama_orch::migrate::look::look;
use llama_orch::migrate::{Finding, MigrateDocument, Migration, Severity, Step, migration};
use llama_orch::plan::action::Bytes;
use llama_orch::reconcile;
use llama_orch::root::Root;

use super::diagnostic::{Failure, Kind};
use super::progress::Screen;
use super::ui::Ui;
use super::{Global, LockArgs, text};

/// Take over the files of the Python tool, or a bare bin/
///
/// Works in the current folder, or the one that is named, which becomes the root; no orchestrator.yaml is
/// needed there. Without a switch it shows what it would do. Nothing that is there is changed or removed
/// but the registry, by an entry more.
#[derive(Debug, Args)]
#[command(after_help = MIGRATE_HELP)]
pub(crate) struct MigrateArgs {
    /// Work in this folder of the old tool, whatever `-C` says
    #[arg(long, value_name = "DIR")]
    from: Option<Utf8PathBuf>,
    /// Do it, after a dated backup
    #[arg(long, conflicts_with = "undo")]
    apply: bool,
    /// Take back the newest migration, or the one of this date
    #[arg(long, value_name = "DATE", num_args = 0..=1, default_missing_value = "")]
    undo: Option<String>,
    /// Print it as JSON (`config schema migrate` prints its schema)
    #[arg(long, conflicts_with = "undo")]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

const MIGRATE_HELP: &str = "\
Examples:
  llama-orch migrate --from ~/llama-orchestrator
  llama-orch migrate --from ~/llama-orchestrator --apply
  llama-orch migrate --from ~/llama-orchestrator --undo

Exit codes:
  0    done, or nothing to do; of a preview: all of it can be taken over
  1    something is not taken over, or does not run, until a person decides;
       of --undo: something was changed since, and was left; of a manifest,
       with all it may rely on: move it away, and run it again";

pub(crate) fn run(global: &Global, args: &MigrateArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = folder(global, args)?;
    if let Some(which) = &args.undo {
        root.check_writable(global.allow_network_root)?;
        let _lock = args.lock.take(&root, "migrate --undo")?;
        let which = Some(which.as_str()).filter(|which| !which.is_empty());
        return Ok(told(carry::undo(&root, which)?, &root, ui));
    }
    if args.apply {
        root.check_writable(global.allow_network_root)?;
        return apply(&root, args, ui);
    }
    let cut_off = journal::list(&root)?
        .into_iter()
        .find(|(_, journal)| journal.state == Stage::Begun);
    if let Some((name, _)) = cut_off {
        ui.warning(format_args!(
            "the migration of {name} was cut off; `--apply` and `--undo` take it back first"
        ));
    }
    let migration = migration(&look(&root)?);
    if args.json {
        print(&migration, &root, None, ui);
    } else {
        ui.data(shown(&migration, &root, ui.width()));
        if !migration.steps.is_empty() {
            ui.remark("nothing was changed; `llama-orch migrate --apply` does it");
        }
    }
    Ok(u8::from(migration.needs_attention()))
}

/// The folder that was named, else the current one; whatever lies in it.
fn folder(global: &Global, args: &MigrateArgs) -> Result<Root, Failure> {
    let named = args.from.clone().or_else(|| global.root.clone());
    let named = named.unwrap_or_else(|| ".".into());
    let path = named.canonicalize_utf8().map_err(|error| {
        Failure::new(Kind::Usage, format!("cannot look into `{named}`")).because(&error)
    })?;
    if path.is_dir() {
        Ok(Root::new(path))
    } else {
        Err(Failure::new(
            Kind::Usage,
            format!("`{path}` is not a folder"),
        ))
    }
}

fn apply(root: &Root, args: &MigrateArgs, ui: &Ui) -> Result<u8, Failure> {
    let first = migration(&look(root)?);
    let is_cut_off = journal::list(root)?
        .iter()
        .any(|(_, journal)| journal.state == Stage::Begun);
    if first.steps.is_empty() && !is_cut_off {
        return Ok(finish(&first, root, None, args, ui));
    }
    let _lock = args.lock.take(root, "migrate --apply")?;
    if let Some(undone) = carry::settle(root)? {
        ui.remark(format_args!(
            "the migration of {} was cut off, and was taken back",
            undone.migration
        ));
    }
    let old = look(root)?;
    let migration = migration(&old);
    if migration.steps.is_empty() {
        return Ok(finish(&migration, root, None, args, ui));
    }
    let screen = Screen::new(ui);
    let bar = screen.watch("register", "bin/");
    let done = carry::apply(root, &old, &migration, reconcile::now(), &|bytes, total| {
        bar.bytes(bytes, Some(total));
    });
    screen.clear(bar);
    screen.finish();
    let backup = match done {
        Ok(backup) => backup,
        Err(error) => {
            // What was begun is not left half done.
            return Err(match carry::settle(root) {
                Ok(_) => error.into(),
                Err(unsettled) => both(error, &unsettled, ui),
            });
        }
    };
    Ok(finish(&migration, root, Some(&backup), args, ui))
}

/// A migration that failed, and could not be taken back either.
fn both(error: MigrateError, unsettled: &MigrateError, ui: &Ui) -> Failure {
    ui.warning(format_args!(
        "what was begun was not taken back: {}",
        chain(unsettled)
    ));
    if let Some(hint) = unsettled.hint() {
        ui.hint(hint);
    }
    Failure::from(error).hint("`llama-orch migrate --undo` takes back what was begun")
}

fn finish(
    migration: &Migration,
    root: &Root,
    backup: Option<&Utf8PathBuf>,
    args: &MigrateArgs,
    ui: &Ui,
) -> u8 {
    if args.json {
        print(migration, root, backup, ui);
    } else {
        ui.data(shown(migration, root, ui.width()));
        if let Some(backup) = backup {
            ui.remark(format_args!(
                "done; the backup is in `{backup}`, and `llama-orch migrate --undo` takes it back"
            ));
            if migration.manifest().is_some() {
                ui.remark("`llama-orch plan` shows what comes next");
            }
        }
    }
    u8::from(migration.needs_attention())
}

fn print(migration: &Migration, root: &Root, backup: Option<&Utf8PathBuf>, ui: &Ui) {
    let backup = backup.map(|backup| backup.as_str());
    let document = MigrateDocument::of(migration, root.path().as_str(), backup);
    ui.data(serde_json::to_string_pretty(&document).unwrap_or_default());
}

fn told(undone: Option<Undone>, root: &Root, ui: &Ui) -> u8 {
    let Some(undone) = undone else {
        ui.data(format_args!(
            "There is no migration to undo in `{}`.",
            root.path()
        ));
        return 0;
    };
    for left in &undone.left {
        ui.warning(format_args!("left `{}` as it is: {}", left.path, left.why));
    }
    if undone.keeps_all {
        ui.data(format_args!(
            "The migration of {} is not undone: what it wrote stays,\nsince `orchestrator.yaml` may rely on it.",
            undone.migration
        ));
        ui.hint("move `orchestrator.yaml` away, then `llama-orch migrate --undo` again");
        return 1;
    }
    let rest = if undone.left.is_empty() {
        "everything is as it was before"
    } else {
        "everything else is as it was before"
    };
    ui.data(format_args!(
        "The migration of {} is undone: {rest}.",
        undone.migration
    ));
    u8::from(!undone.left.is_empty())
}

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

fn shown(migration: &Migration, root: &Root, width: Option<usize>) -> String {
    let mut parts = Vec::new();
    if !migration.instances.is_empty() {
        let rows = migration.instances.iter().map(|one| {
            let enabled = if one.enabled { "yes" } else { "no" };
            vec![one.name.clone(), enabled.to_owned(), one.why.clone()]
        });
        parts.push(text::table(
            &["NAME", "ENABLED", "WHY"],
            rows.collect(),
            width,
        ));
    }
    if !migration.steps.is_empty() {
        let steps: Vec<String> = migration.steps.iter().map(step).collect();
        parts.push(steps.join("\n"));
    }
    if let Some(manifest) = migration.manifest() {
        let manifest = textwrap::indent(manifest.trim_end(), "    ");
        parts.push(format!("orchestrator.yaml:\n{manifest}"));
    }
    let findings: Vec<String> = migration
        .findings
        .iter()
        .map(|one| finding(one, width))
        .collect();
    if !findings.is_empty() {
        parts.push(findings.join("\n"));
    }
    if migration.steps.is_empty() {
        parts.push(format!("Nothing to take over in `{}`.", root.path()));
    }
    parts.join("\n\n")
}

fn step(step: &Step) -> String {
    let folder = |config: &Utf8PathBuf| config.parent().unwrap_or(config).to_owned();
    let (verb, subject, rest) = match step {
        Step::Register { version, bytes } => {
            let rest = format!("as {version}, a copy of {}", Bytes(*bytes));
            ("register", "bin/".into(), rest)
        }
        Step::Copy { from, to, .. } => ("copy", folder(to), format!("from {}", folder(from))),
        Step::Manifest { .. } => ("write", "orchestrator.yaml".into(), String::new()),
    };
    let line = format!("  {GREEN}+ {verb:<8}{GREEN:#}  {subject}");
    let gap = if rest.is_empty() {
        ""
    } else {
        "\n              "
    };
    format!("{line}{gap}{rest}")
}

fn finding(finding: &Finding, width: Option<usize>) -> String {
    let (rune, style, word) = match finding.severity {
        Severity::Open => ("x", RED, "open"),
        Severity::Differs => ("!", YELLOW, "differs"),
        Severity::Note => (".", DIM, "note"),
    };
    let indent = "      ";
    let wrapped = |text: &str| match width {
        Some(width) if !text.contains('\n') => {
            // Paths and ids stay whole.
            let options = textwrap::Options::new(width)
                .initial_indent(indent)
                .subsequent_indent(indent)
                .word_separator(textwrap::WordSeparator::AsciiSpace)
                .word_splitter(textwrap::WordSplitter::NoHyphenation);
            textwrap::fill(text, options)
        }
        _ => textwrap::indent(text, indent),
    };
    let mut text = format!("  {style}{rune} {word:<8}{style:#}{}", finding.subject);
    let _ = write!(text, "\n{}", wrapped(&finding.what));
    if let Some(hint) = &finding.hint {
        let _ = write!(text, "\n{}", wrapped(&format!("-> {hint}")));
    }
    text
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        let hint = error.hint();
        match error {
            MigrateError::File(error) => error.into(),
            error => {
                let kind = match &error {
                    MigrateError::Installing => Kind::Busy,
                    MigrateError::Unknown(_) => Kind::Usage,
                    _ => Kind::Failed,
                };
                let failure = Self::of(kind, &error);
                hint.into_iter().fold(failure, Self::hint)
            }
        }
    }
}
