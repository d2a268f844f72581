//! `status`: every instance in one row. Asks nobody: what the lock does not cover is said to be
//! unresolved.

use clap::Args;
use llama_orch::backend::Backend as _;
use llama_orch::backend::local::Local;
use llama_orch::desired::resolve::Terms;
use llama_orch::plan::action::Ago;
use llama_orch::reconcile::{self, Pass};
use llama_orch::status::{Row, Status};

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, runtime, text};

/// Show every instance: state, build, address
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print it as JSON (`config schema status` prints its schema)
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &StatusArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let terms = Terms {
        locked: true,
        offline: true,
        ..Terms::default()
    };
    let runtime = runtime()?;
    let (status, attention) = match reconcile::Loaded::read(&root) {
        Ok(loaded) => {
            let backend = Local::new(&loaded, terms);
            let source = loaded.source(terms);
            let pass = reconcile::pass(&loaded, &source, &backend, terms);
            let Pass {
                resolved,
                observed,
                plan,
                ..
            } = runtime.block_on(pass);
            let status = Status::of(&resolved.desired, &observed, &plan);
            (status, Ok(plan.needs_attention()))
        }
        // What runs is worth seeing all the more when the manifest is broken.
        Err(error) => {
            let desired = llama_orch::desired::Desired::nothing();
            let observed = runtime.block_on(Local::bare(&root).observe(&desired));
            let plan = llama_orch::plan::plan(&desired, &observed);
            let mut status = Status::of(&desired, &observed, &plan);
            for row in &mut status.instances {
                row.note = None;
            }
            (status, Err(Failure::from(error)))
        }
    };
    if args.json {
        ui.data(serde_json::to_string_pretty(&status).unwrap_or_default());
    } else if status.instances.is_empty() {
        ui.data("There are no instances.");
    } else {
        ui.data(table(&status, global.verbose));
        for row in &status.instances {
            if let Some(note) = &row.note {
                ui.data(text::note(&row.name, note, ui.width()));
            }
        }
    }
    Ok(u8::from(attention? || status.is_unhealthy()))
}

fn table(status: &Status, verbose: bool) -> String {
    let mut header = vec!["NAME", "STATE", "BUILD", "ADDRESS", "FOR", "RESTARTS"];
    if verbose {
        header.extend(["PROCESS", "PROVEN"]);
    }
    let cell = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let rows = status.instances.iter().map(|row: &Row| {
        let mut cells = vec![
            row.name.clone(),
            row.state.word().to_owned(),
            cell(row.build.clone()),
            cell(row.address.clone()),
            cell(row.seconds.map(|seconds| Ago(seconds).to_string())),
            row.restarts.to_string(),
        ];
        if verbose {
            cells.push(cell(row.process.clone()));
            cells.push(if row.proven { "yes" } else { "no" }.to_owned());
        }
        cells
    });
    text::table(&header, rows.collect())
}
