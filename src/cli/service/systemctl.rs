//! Asking and telling systemd, by its own tools.

#![expect(clippy::disallowed_types, reason = "runs systemctl")]

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::diagnostic::{Failure, Kind};

/// One manager's `systemctl`.
pub(super) struct Systemctl {
    user: bool,
}

impl Systemctl {
    /// # Errors
    /// There is no systemd here, or this user may not tell it anything.
    pub(super) fn find(user: bool) -> Result<Self, Failure> {
        // The tools are installed in many a place where systemd is not in charge (`sd_booted(3)`).
        if !Utf8Path::new("/run/systemd/system").is_dir() {
            let text = "systemd is not in charge of this machine".to_owned();
            return Err(Failure::new(Kind::Failed, text).hint(
                "`llama-orch service print` shows what to start watch by; its `--help` says which command takes it",
            ));
        }
        let systemctl = Self { user };
        systemctl
            .ask(&["show", "--property=Version"])
            .map_err(|why| {
                let failure = Failure::new(Kind::Failed, format!("systemd does not answer: {why}"));
                if user {
                    failure.hint("`sudo loginctl enable-linger USER` has one run for a user who is not logged in")
                } else {
                    failure
                }
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
            // `sudo -iu` and cron leave out by what the manager of a user is found.
            if let Some(place) = runtime_folder() {
                command.env("XDG_RUNTIME_DIR", place);
            }
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

/// Where the manager of this user listens, where the environment does not say it.
fn runtime_folder() -> Option<Utf8PathBuf> {
    if std::env::var_os("XDG_RUNTIME_DIR").is_some() {
        return None;
    }
    let folder = Utf8PathBuf::from(format!("/run/user/{}", llama_orch::root::user_id()?));
    folder.is_dir().then_some(folder)
}
