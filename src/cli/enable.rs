//! `enable` and `disable`: whether the manifest wants instances to run, written where it is said.

use clap::Args;
use llama_orch::instance::InstanceName;
use llama_orch::manifest::edit::Edit;

use super::diagnostic::Failure;
use super::editing::{EditArgs, Editing, Wish};
use super::ui::Ui;
use super::{Global, Selection};

/// Write that instances are to run, and start them
///
/// Sets `enabled: true` where it is written. What `down` has put down stays down until `up`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llama-orch enable chat
  llama-orch enable --tag gpu0 --dry-run")]
pub(crate) struct EnableArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    edit: EditArgs,
}

/// Write that instances are not to run, and stop them
///
/// Sets `enabled: false` where it is written: on every machine with this manifest, for as long as it
/// stands there. `down` stops an instance on this machine alone and edits nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llama-orch disable chat
  llama-orch disable 'test-*' --yes --reason 'the card is needed'")]
pub(crate) struct DisableArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    edit: EditArgs,
}

pub(crate) fn run(global: &Global, args: &EnableArgs, ui: &Ui) -> Result<u8, Failure> {
    set(global, "enable", &args.instances, &args.edit, true, ui)
}

pub(crate) fn run_disable(global: &Global, args: &DisableArgs, ui: &Ui) -> Result<u8, Failure> {
    set(global, "disable", &args.instances, &args.edit, false, ui)
}

fn set(
    global: &Global,
    verb: &'static str,
    instances: &Selection,
    args: &EditArgs,
    enabled: bool,
    ui: &Ui,
) -> Result<u8, Failure> {
    let editing = Editing::begin(global, args, verb, ui)?;
    let names = instances.among(&editing.known(), Some(&editing.loaded.manifest))?;
    let names = names.iter();
    let edits: Vec<Edit> = names
        .filter_map(|name| toggle(&editing, name, enabled, ui))
        .collect();
    if edits.is_empty() {
        return Ok(0);
    }
    editing.run(&Wish::to(edits))
}

/// The edit that an instance needs to be enabled or not; none where it is so already.
pub(super) fn toggle(
    editing: &Editing<'_>,
    name: &InstanceName,
    enabled: bool,
    ui: &Ui,
) -> Option<Edit> {
    let instance = editing.loaded.manifest.instances.get(name)?;
    if instance.enabled == enabled {
        let state = if enabled { "enabled" } else { "disabled" };
        ui.remark(format_args!("`{name}` is {state} already"));
        return None;
    }
    Some(Edit::Enable {
        instance: name.clone(),
        enabled,
    })
}
