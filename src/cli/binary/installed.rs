//! What `binary install` and `binary register` print: the id and nothing else, or all as JSON.

use llama_orch::binaries::{BinaryInfo, InstalledBinary};
use llama_orch::install::Installed;
use llama_orch::instance::BinaryId;
use llama_orch::root::Root;

use super::{Stock, info};
use crate::cli::diagnostic::Failure;
use crate::cli::ui::Ui;

pub(super) fn show(
    root: &Root,
    id: BinaryId,
    installed: &Installed,
    json: bool,
    ui: &Ui,
) -> Result<(), Failure> {
    if !json {
        ui.data(id);
        return Ok(());
    }
    let stock = Stock::of(root)?;
    // Somebody may have removed it already.
    let entry = stock.registry.get(id).unwrap_or(&installed.entry);
    let document = InstalledBinary {
        outcome: installed.outcome.into(),
        remarks: installed.remarks.clone(),
        info: BinaryInfo::of(
            &stock.registry,
            entry,
            info::files_of(root, entry),
            &stock.observed,
            &stock.uses,
        ),
    };
    ui.data(serde_json::to_string_pretty(&document).unwrap_or_default());
    Ok(())
}
