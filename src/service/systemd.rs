//! The unit of systemd (`systemd.service(5)`, `systemd.kill(5)`, `systemd.exec(5)`).

use super::Service;

/// Whose systemd is to start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// The machine's, as this user.
    System {
        /// Who owns the root.
        user: String,
    },
    /// The one of a user.
    User,
}

/// How a unit of ours begins.
const WRITTEN: &str = "# Written by llama-orch for ";

/// The unit as a file.
pub fn systemd(service: &Service, unit: &Unit) -> String {
    // In the path of the program systemd replaces specifiers and no variables.
    let program = quoted(&escaped(&service.program));
    let command: Vec<String> = std::iter::once(program)
        .chain(service.arguments().into_iter().map(word))
        .collect();
    let (command, root) = (command.join(" "), &service.root);
    let path = escaped(root);
    let (network, user, target) = match unit {
        Unit::System { user } => (
            "Wants=network-online.target\nAfter=network-online.target\n",
            format!("User={user}\n"),
            "multi-user.target",
        ),
        Unit::User => ("", String::new(), "default.target"),
    };
    let again = match unit {
        Unit::System { .. } => "llama-orch service install",
        Unit::User => "llama-orch service install --user",
    };
    format!(
        "{WRITTEN}{root}
# `{again}` writes it anew; changes of your own belong into a drop-in
# (`systemctl edit`).

[Unit]
Description=llama.cpp servers of {path}
Documentation=man:llama-orch(1)
{network}RequiresMountsFor={mounts}

[Service]
Type=notify
NotifyAccess=main
{user}ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory={path}
WatchdogSec=2min
TimeoutStartSec=5min
TimeoutStopSec=1min
Restart=always
RestartSec=5
# Wrong usage, a root of somebody else, and a watch that keeps it already do not
# get better by trying again.
RestartPreventExitStatus=64 73 75

# Servers outlive watch: it ends alone, and its cgroup is its own to divide.
KillMode=process
Delegate=yes
OOMPolicy=continue

# Servers inherit what is imposed here. So nothing is: they need devices, homes,
# memory that can be executed (drivers compile), locked memory (--mlock) and
# many threads.
LimitMEMLOCK=infinity
TasksMax=infinity

[Install]
WantedBy={target}
",
        // Variables are replaced in commands alone.
        mounts = quoted(&path),
    )
}

/// The root a unit was written for; `None` where it is not ours.
pub fn root_of(unit: &str) -> Option<&str> {
    unit.lines().next()?.strip_prefix(WRITTEN)
}

/// Whether a unit, of whoever's, names this root: that folder, none whose path only begins like it.
pub fn names(unit: &str, root: &str) -> bool {
    let parts = |letter: char| letter.is_whitespace() || "\"'=;".contains(letter);
    let begins = |before: &str| before.chars().next_back().is_none_or(parts);
    let ends = |rest: &str| {
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        rest.chars().next().is_none_or(parts)
    };
    let written = escaped(root);
    root_of(unit) == Some(root)
        || unit
            .match_indices(written.as_str())
            .any(|(at, found)| begins(&unit[..at]) && ends(&unit[at + found.len()..]))
}

/// A word of a command.
fn word(text: &str) -> String {
    quoted(&escaped(text).replace('$', "$$"))
}

/// A word, in quotes where it has to be.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-:=,@+%$".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let inner = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{inner}\"")
}

/// Text without specifiers.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}
