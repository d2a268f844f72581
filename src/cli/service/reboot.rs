//! Whether anything starts the servers after a reboot, said once where nothing seems to.

#![expect(clippy::disallowed_methods, reason = "looks for units of systemd")]

use camino::Utf8Path;
use llama_orch::durable;
use llama_orch::root::Root;
use llama_orch::service;
use llama_orch::watch::alive;

use super::Ui;

/// Where units that are enabled are linked, of the machine and of this user.
fn folders() -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let config = std::env::var("XDG_CONFIG_HOME").unwrap_or_else(|_| format!("{home}/.config"));
    [
        "/etc/systemd/system".to_owned(),
        format!("{config}/systemd/user"),
    ]
    .into()
}

/// Says once, to a person, that nothing will start the servers of this root after a reboot. Where systemd is not
/// in charge nobody can tell, and nothing is said.
pub(crate) fn remark(root: &Root, ui: &Ui) {
    let told = root.state().join("reboot.told");
    if !ui.can_ask()
        || !Utf8Path::new("/run/systemd/system").is_dir()
        || told.exists()
        || alive::is_living(root)
        || folders().iter().any(|folder| names(folder.as_ref(), root))
    {
        return;
    }
    ui.remark(
        "Nothing starts these servers after a reboot; `llama-orch service install --user` does.",
    );
    // Where it cannot be noted, it is said again.
    let _ = durable::write(&told, b"");
}

/// Whether a unit that is enabled there names this root.
fn names(folder: &Utf8Path, root: &Root) -> bool {
    let wants = folder.read_dir_utf8().into_iter().flatten().flatten();
    let wants = wants.filter(|entry| entry.path().extension() == Some("wants"));
    let units =
        wants.flat_map(|entry| entry.path().read_dir_utf8().into_iter().flatten().flatten());
    units
        .filter_map(|unit| std::fs::read_to_string(unit.path()).ok())
        .any(|text| service::names(&text, root.path().as_str()))
}
