//! `status`: every instance in one row. Asks nobody: what the lock does not cover is said to be
//! unresolved, and health is what supervisors said last.

use std::collections::BTreeSet;

use clap::Args;
use llama_orch::backend::local::{Local, Survey};
use llama_orch::desired::resolve::Terms;
use llama_orch::instance::InstanceName;
use llama_orch::plan::action::{Ago, Bytes};
use llama_orch::plan::{self, Plan};
use llama_orch::reconcile::Loaded;
use llama_orch::root::Root;
use llama_orch::status::{Row, Status};

use super::diagnostic::Failure;
use super::page::Page;
use super::ui::Ui;
use super::{Global, Narrowing, kept, runtime, text};

/// Show every instance: state, build, address
///
/// Health is what the supervisors said last; `llama-orch health` asks the servers themselves. Memory
/// is what a server and its children have in place (RSS), so that a model that is mapped by several
/// counts in each.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    only: Narrowing,
    /// Show more columns: health, load time, last exit, process and the like (as does `-v`)
    #[arg(long)]
    wide: bool,
    /// Print it as JSON (`config schema status` prints its schema)
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  llama-orch status
  llama-orch status --tag gpu0 --wide
  llama-orch ps --json | jq -r '.instances[] | select(.matches | not) | .name'

Exit codes:
  0    every instance runs, starts, or is down because somebody wants it so
  1    one is in another state, is blocked, or has a failure on hold
  65   orchestrator.yaml or a config file is invalid (but see what runs)";

/// A root as far as it can be read, and what is there.
pub(super) struct Sight {
    /// The manifest and what goes with it, or what is wrong with it.
    pub(super) loaded: Result<Loaded, Failure>,
    /// What was seen.
    pub(super) survey: Survey,
    /// What is wanted, and what would be done about it.
    pub(super) view: Option<(llama_orch::desired::Desired, Plan)>,
}

impl Sight {
    /// Looks, and asks no release source.
    pub(super) fn of(root: &Root) -> Result<Self, Failure> {
        let terms = Terms {
            locked: true,
            offline: true,
            attended: true,
            ..Terms::default()
        };
        Ok(match Loaded::read(root) {
            Ok(loaded) => {
                let source = loaded.source(terms);
                let (resolved, _) = runtime()?.block_on(loaded.resolve(&source, terms));
                let survey = Local::new(&loaded, terms).survey(&resolved.desired);
                let plan = plan::plan(&resolved.desired, &survey.observed);
                Self {
                    loaded: Ok(loaded),
                    survey,
                    view: Some((resolved.desired, plan)),
                }
            }
            // What runs is worth seeing all the more when the manifest is broken.
            Err(error) => Self {
                loaded: Err(Failure::from(error)),
                survey: Local::bare(root).survey(&llama_orch::desired::Desired::nothing()),
                view: None,
            },
        })
    }

    /// Every instance that is wanted or has left a trace.
    pub(super) fn known(&self) -> BTreeSet<InstanceName> {
        let wanted = self
            .view
            .iter()
            .flat_map(|(desired, _)| desired.instances.keys());
        wanted
            .chain(self.survey.observed.instances.keys())
            .cloned()
            .collect()
    }

    /// One row for each of them.
    pub(super) fn status(&self) -> Status {
        let Survey { observed, vitals } = &self.survey;
        match &self.view {
            Some((desired, plan)) => Status::of(desired, observed, plan, vitals),
            None => Status::without_manifest(observed, vitals),
        }
    }
}

pub(crate) fn run(global: &Global, args: &StatusArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let sight = Sight::of(&root)?;
    let mut status = sight.status();
    let mut attention = sight
        .view
        .as_ref()
        .is_some_and(|(_, plan)| plan.needs_attention());
    let manifest = sight.loaded.as_ref().ok().map(|loaded| &loaded.manifest);
    if let Some(names) = args.only.among(&sight.known(), manifest)? {
        status = status.narrowed(&names);
        attention = sight
            .view
            .is_some_and(|(_, plan)| plan.narrowed(&names).needs_attention());
    }
    if args.json {
        ui.data(serde_json::to_string_pretty(&status).unwrap_or_default());
    } else if status.instances.is_empty() {
        ui.data("There are no instances.");
    } else {
        ui.data(table(&status, args.wide || global.verbose, ui.width()));
        for row in &status.instances {
            if let Some(note) = &row.note {
                ui.data(text::note(&row.name, note, ui.width()));
            }
        }
    }
    if !args.json {
        kept::remark(&root, ui);
    }
    sight.loaded?;
    Ok(u8::from(attention || status.is_unhealthy()))
}

/// A column: its name, and what stands in it.
type Column = (&'static str, fn(&Row) -> String);

const COLUMNS: &[Column] = &[
    ("NAME", |row| row.name.clone()),
    ("STATE", |row| row.state.word().to_owned()),
    ("BUILD", |row| cell(row.build.clone())),
    ("ADDRESS", |row| cell(row.address.clone())),
    ("FOR", |row| cell(row.seconds.map(time))),
    ("RESTARTS", |row| row.restarts.to_string()),
    ("MEMORY", |row| cell(row.memory_bytes.map(bytes))),
];

const MORE: &[Column] = &[
    ("GPU", |row| cell(row.gpu_memory_bytes.map(bytes))),
    ("HEALTH", |row| match (row.health, row.health_seconds) {
        (Some(health), Some(seconds)) => format!("{} for {}", health.word(), time(seconds)),
        (Some(health), None) => health.word().to_owned(),
        (None, _) => cell(None),
    }),
    ("LOAD", |row| {
        cell(row.load_seconds.map(|seconds| format!("{seconds:.1} s")))
    }),
    ("LAST EXIT", |row| {
        let exit = row.last_exit.as_ref();
        cell(exit.map(|exit| format!("{} ago, {}", time(exit.seconds_ago), exit.how)))
    }),
    ("PROVEN", |row| yes(row.proven)),
    ("AS WRITTEN", |row| {
        cell(row.in_manifest.map(|_| yes(row.matches)))
    }),
    ("PROCESS", |row| cell(row.process.clone())),
];

/// What stands in a column where there is nothing to say.
const NOTHING: &str = "-";

fn cell(value: Option<String>) -> String {
    value.unwrap_or_else(|| NOTHING.to_owned())
}

fn time(seconds: i64) -> String {
    Ago(seconds).to_string()
}

fn bytes(bytes: u64) -> String {
    Bytes(bytes).to_string()
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// The rows, less the last columns where a terminal has no room for them; where all were asked for, each
/// instance is a section then.
fn table(status: &Status, wide: bool, width: Option<usize>) -> String {
    let more = if wide { MORE } else { &[] };
    let mut columns: Vec<&Column> = COLUMNS.iter().chain(more).collect();
    let table = |columns: &[&Column]| {
        let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let rows = status.instances.iter();
        let rows = rows.map(|row| columns.iter().map(|(_, cell)| cell(row)).collect());
        (header, rows.collect::<Vec<Vec<String>>>())
    };
    let (mut header, mut rows) = table(&columns);
    let fits = |header: &[&str], rows: &[Vec<String>]| {
        width.is_none_or(|width| text::table_width(header, rows) <= width)
    };
    if wide && !fits(&header, &rows) {
        return sections(status, &columns, width);
    }
    if !wide {
        while columns.len() > 2 && !fits(&header, &rows) {
            columns.pop();
            (header, rows) = table(&columns);
        }
    }
    text::table(&header, rows, width)
}

/// Every instance with what there is to say in these columns.
fn sections(status: &Status, columns: &[&Column], width: Option<usize>) -> String {
    let mut page = Page::new(width);
    for row in &status.instances {
        page.section(&row.name);
        for (name, cell) in &columns[1..] {
            let value = cell(row);
            if value != NOTHING {
                page.line(&name.to_lowercase(), value);
            }
        }
    }
    page.finish()
}
