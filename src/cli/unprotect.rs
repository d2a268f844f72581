//! `unprotect`: lifts the protection of instances that the manifest no longer protects, so that a pass
//! may remove them.

use std::collections::BTreeSet;

use clap::Args;
use llama_orch::instance::InstanceName;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, ReasonArgs, Selection, noted};

/// Let instances that left the manifest be removed again
///
/// `protect: [NAME]` in orchestrator.yaml is kept in an instance's record, so that taking both out of the
/// file by mistake removes nothing. This lifts it; where orchestrator.yaml still protects one, it is
/// refused.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UnprotectArgs {
    #[command(flatten)]
    instances: Selection,
    #[command(flatten)]
    why: ReasonArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch unprotect chat --reason 'moved to another machine'
  llama-orch apply --yes";

pub(crate) fn run(global: &Global, args: &UnprotectArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let manifest = global.load(&root, ui)?.manifest;
    let written = manifest.instances.keys().cloned();
    let mut known: BTreeSet<InstanceName> = written.collect();
    known.extend(noted::begun(&root)?);
    let names = args.instances.among(&known, Some(&manifest))?;
    let protected = names.intersection(&manifest.protect);
    let protected: Vec<String> = protected.map(|name| format!("`{name}`")).collect();
    if !protected.is_empty() {
        let list = protected.join(", ");
        let message = format!("orchestrator.yaml protects {list}");
        let hint = format!("take {list} out of `protect` there first");
        return Err(Failure::new(Kind::Failed, message).hint(hint));
    }
    noted::note(
        &root,
        &names,
        args.why.asked("unprotect"),
        |name| {
            if manifest.instances.contains_key(name) {
                "removed once it leaves orchestrator.yaml".to_owned()
            } else {
                "no longer in orchestrator.yaml; `llama-orch apply --yes` removes it".to_owned()
            }
        },
        |record| record.protected = false,
        ui,
    )
}
