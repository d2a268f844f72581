//! A system without systemd: there is nobody to ask, and nothing to get out of.

use std::process::Command;

use super::{Manager, Question};

pub(super) fn control_groups() -> Option<String> {
    None
}

pub(super) fn ask(_question: Question<'_>) -> Result<String, String> {
    Err("there is no systemd on this system".to_owned())
}

/// Never called, since no manager was found. What it starts would fail and say so.
pub(super) fn run_in_scope(_manager: Manager, _name: Option<&str>) -> Command {
    Command::new("systemd-run")
}
