//! `service install` and `service uninstall`: a unit of ours in systemd's folder, enabled and started. Whatever
//! is done to watch, servers are left as they are.

use clap::Args;
use llama_orch::durable;
use llama_orch::instance::supervisor::lingers;
use llama_orch::service;

use super::systemctl::Systemctl;
use super::{Failure, Global, Kind, OptionArgs, Ui, WhichArgs, described, difference, unit};

/// Install a systemd unit that keeps this root, and start it
#[derive(Debug, Args)]
#[command(after_help = INSTALL_EXAMPLES)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Write and enable it, and leave starting it to the next boot or login
    #[arg(long)]
    no_start: bool,
    #[command(flatten)]
    watch: OptionArgs,
}

const INSTALL_EXAMPLES: &str = "\
Examples:
  llama-orch service install --user
  sudo llama-orch -C /srv/llama service install -- --git --verify-commits";

/// Stop and remove the unit; servers go on
#[derive(Debug, Args)]
#[command(after_help = UNINSTALL_EXAMPLES)]
pub(crate) struct UninstallArgs {
    #[command(flatten)]
    which: WhichArgs,
}

const UNINSTALL_EXAMPLES: &str = "\
Examples:
  llama-orch service uninstall --user
  llama-orch service uninstall --user && llama-orch down --all";

pub(super) fn run(global: &Global, args: &InstallArgs, ui: &Ui) -> Result<u8, Failure> {
    let which = &args.which;
    // A unit of this user keeps only what is this user's.
    let root = if which.user {
        global.writable_root()?
    } else {
        global.find_root()?
    };
    args.watch.can_begin(global, &root, which)?;
    let systemctl = Systemctl::find(which.user)?;
    may_write(which)?;
    let service = described(&root, which, &args.watch, ui)?;
    let text = service::systemd(&service, &unit(&root, which)?);
    let file = format!("{}.service", which.name);
    let path = systemctl.folder()?.join(&file);
    let before = durable::read_text(&path)?;
    if let Some(before) = &before {
        check_ours(before, root.path().as_str(), path.as_str())?;
    }
    let changed = before.as_deref() != Some(text.as_str());
    if changed {
        if let Some(before) = &before {
            ui.data(difference(before, &text, &file));
        }
        if let Some(folder) = path.parent() {
            durable::create_folder(folder)?;
        }
        durable::write(&path, text.as_bytes())?;
        ui.remark(format_args!("wrote {path}"));
        systemctl.tell(&["daemon-reload"])?;
    }
    let enabled = systemctl.ask(&["is-enabled", &file]).is_ok();
    if !enabled {
        systemctl.tell(&["enable", "--quiet", &file])?;
    }
    let active = systemctl.ask(&["is-active", &file]).is_ok();
    if !args.no_start && (changed || !active) {
        // Servers are not watch's children to take along: a restart touches none of them.
        systemctl.tell(&["restart", &file])?;
        ui.remark(format_args!(
            "started {file}; servers that ran go on as they were"
        ));
    } else if changed && active {
        ui.remark(format_args!(
            "{file} goes on as it was until it is restarted"
        ));
    } else if !changed && enabled && active {
        ui.remark(format_args!(
            "{file} is as it should be, enabled and running"
        ));
    }
    if which.user && lingers() == Some(false) {
        ui.warning("your systemd begins with your first login and ends with your last logout, and servers with it");
        ui.hint("`loginctl enable-linger` has it begin with the machine and stay");
    }
    let journal = if which.user {
        "journalctl --user"
    } else {
        "journalctl"
    };
    ui.remark(format_args!(
        "what it does: `{journal} -u {}` and `llama-orch events -f`",
        which.name
    ));
    Ok(0)
}

pub(super) fn run_uninstall(global: &Global, args: &UninstallArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let which = &args.which;
    let systemctl = Systemctl::find(which.user)?;
    may_write(which)?;
    let file = format!("{}.service", which.name);
    let path = systemctl.folder()?.join(&file);
    let Some(text) = durable::read_text(&path)? else {
        ui.remark(format_args!("there is no {path}"));
        return Ok(0);
    };
    check_ours(&text, root.path().as_str(), path.as_str())?;
    systemctl.tell(&["disable", "--now", "--quiet", &file])?;
    durable::remove(&path)?;
    systemctl.tell(&["daemon-reload"])?;
    ui.remark(format_args!(
        "removed {path}; servers go on until `llama-orch down --all`, and nothing starts them after a reboot"
    ));
    Ok(0)
}

/// Whether this user may write where units of the machine lie.
fn may_write(which: &WhichArgs) -> Result<(), Failure> {
    if which.user || llama_orch::root::is_administrator() {
        return Ok(());
    }
    let text = "a unit of the machine is written by root".to_owned();
    Err(Failure::new(Kind::CannotWrite, text)
        .hint("`sudo llama-orch service install`, or `--user` for one of your own"))
}

/// Refuses a unit that somebody else wrote, or that keeps another root.
fn check_ours(text: &str, root: &str, path: &str) -> Result<(), Failure> {
    let hint = "say `--name` to have one beside it";
    match service::root_of(text) {
        Some(of) if of == root => Ok(()),
        Some(of) => {
            let text = format!("`{path}` keeps another root, `{of}`");
            Err(Failure::new(Kind::CannotWrite, text).hint(hint))
        }
        None => {
            let text = format!("`{path}` was not written by llama-orch");
            Err(Failure::new(Kind::CannotWrite, text).hint(hint))
        }
    }
}
