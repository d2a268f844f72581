//! Asking and telling systemd, by its own tools.

#![expect(clippy::disallowed_types, reason = "runs systemctl")]

use std::process::{Command, Stdio};

use camino::Utf8PathBuf;

use crate::cli::diagnostic::{Failure, Kind};

/// One manager's `systemctl`.
pub(super) struct Systemctl {
    user: bool,
}

impl Systemctl {
    /// # Errors
    /// There is no systemd here, or this user may not tell it anything.
    pub(super) fn find(user: bool) -> Result<Self, Failure> {
        let systemctl = Self { user };
        systemctl.ask(&["--version"]).map_err(|why| {
            Failure::new(Kind::Failed, format!("there is no systemd to tell: {why}")).hint(
                "`llama-orch service print` shows the text for launchd, Windows or systemd; `--help` says which command takes it",
            )
        })?;
        Ok(systemctl)
    }

    /// Where units of one's own lie.
    pub(super) fn folder(&self) -> Result<Utf8PathBuf, Failure> {
        if !self.user {
            return Ok("/etc/systemd/system".into());
        }
        let config = std::env::var("XDG_CONFIG_HOME").ok();
        let config = config.filter(|folder| folder.starts_with('/'));
        let home = || Some(format!("{}/.config", std::env::var("HOME").ok()?));
        let config = config.or_else(home).ok_or_else(|| {
            Failure::new(
                Kind::Failed,
                "neither `HOME` nor `XDG_CONFIG_HOME` is set".to_owned(),
            )
        })?;
        Ok(Utf8PathBuf::from(config).join("systemd/user"))
    }

    /// Asks; what it prints.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("systemctl");
        if self.user {
            command.arg("--user");
        }
        let output = command
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot execute `systemctl`: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            let said = [text(&output.stderr), text(&output.stdout)];
            let said = said.into_iter().find(|said| !said.is_empty());
            Err(said.unwrap_or_else(|| output.status.to_string()))
        }
    }

    /// Tells it to do something.
    pub(super) fn tell(&self, arguments: &[&str]) -> Result<(), Failure> {
        let command = self.command(arguments);
        self.ask(arguments)
            .map(drop)
            .map_err(|why| Failure::new(Kind::Failed, format!("`{command}` failed: {why}")))
    }

    /// How a person types it.
    pub(super) fn command(&self, arguments: &[&str]) -> String {
        let user = if self.user { "--user " } else { "" };
        format!("systemctl {user}{}", arguments.join(" "))
    }
}

/// Whether everything of this user ends with the last logout; `None` where nobody tells.
pub(super) fn lingers() -> Option<bool> {
    let output = Command::new("loginctl")
        .args(["show-user", "--property=Linger", "--value"])
        .arg(std::env::var("USER").ok()?)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}
