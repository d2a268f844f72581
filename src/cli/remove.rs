//! `remove`: takes instances out of the manifest, which stops them and forgets what is known of them.

use clap::Args;
use llama_orch::manifest::edit::Edit;

use super::diagnostic::Failure;
use super::editing::{EditArgs, Editing, Wish};
use super::ui::Ui;
use super::{Global, Selection};

/// Take instances out of orchestrator.yaml, stop them and forget them
///
/// Their config.json and their models stay where they are, and so do their builds until a prune. One
/// that is protected is not removed until `unprotect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llama-orch remove old
  llama-orch remove old --dry-run
  llama-orch remove 'test-*' --yes")]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    edit: EditArgs,
}

pub(crate) fn run(global: &Global, args: &RemoveArgs, ui: &Ui) -> Result<u8, Failure> {
    let editing = Editing::begin(global, &args.edit, "remove", ui)?;
    let manifest = &editing.loaded.manifest;
    let names = args.instances.among(&editing.known(), Some(manifest))?;
    for name in &names {
        let config = editing
            .root
            .configs()
            .join(name.as_str())
            .join("config.json");
        if config.exists() {
            ui.remark(format_args!(
                "`instances/{name}/config.json` stays where it is"
            ));
        }
    }
    let edits = names.into_iter().map(|instance| Edit::Remove { instance });
    editing.run(&Wish::to(edits.collect()))
}
