//! Which systemd unit a process is in, read off its control groups. Pure.

use std::fmt;

/// Which systemd a unit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The machine's.
    System,
    /// The one of a user.
    User,
}

impl Manager {
    /// The option by which systemd's tools mean it.
    pub(super) const fn option(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::User => Some("--user"),
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::System => Self::User,
            Self::User => Self::System,
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "the machine's systemd",
            Self::User => "the user's systemd",
        })
    }
}

/// The innermost unit a process is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    /// A service, which ends its processes as its `KillMode` says.
    Service {
        /// Its name.
        unit: String,
        /// Its control group, by which its manager knows it.
        group: String,
        /// Whose it seems to be.
        manager: Manager,
    },
    /// The scope of a login session, which logind may end at logout.
    Session,
    /// Any other scope: it ends when it is empty, or with whoever manages it.
    Scope,
}

impl Unit {
    /// Reads `/proc/<pid>/cgroup` (`cgroups(7)`): lines of `hierarchy:controllers:path`. The
    /// hierarchy systemd keeps its units in is `name=systemd` under version 1 and the one without
    /// controllers under version 2; where both are there, both tell the same.
    pub(super) fn of(groups: &str) -> Option<Self> {
        let path = |wanted: &str| {
            groups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                (controllers == wanted).then_some(path)
            })
        };
        ["name=systemd", ""]
            .into_iter()
            .filter_map(path)
            .find_map(Self::of_path)
    }

    fn of_path(path: &str) -> Option<Self> {
        let names: Vec<&str> = path.split('/').collect();
        let at = names
            .iter()
            .rposition(|name| matches!(kind(name), Some("service" | "scope")))?;
        let unit = unescaped(names[at]);
        if kind(unit) == Some("scope") {
            let is_session = unit.starts_with("session-") && !is_users(&names[..at]);
            return Some(if is_session {
                Self::Session
            } else {
                Self::Scope
            });
        }
        let manager = if is_users(&names[..at]) {
            Manager::User
        } else {
            Manager::System
        };
        Some(Self::Service {
            unit: unit.to_owned(),
            group: names[..=at].join("/"),
            manager,
        })
    }
}

/// What kind of unit a name is of.
fn kind(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, kind)| kind)
}

/// Whether what lies below these groups belongs to a user's manager.
fn is_users(above: &[&str]) -> bool {
    above
        .iter()
        .any(|name| name.starts_with("user@") && kind(name) == Some("service"))
}

/// systemd puts `_` before a name that could be taken for one of the kernel's own files.
fn unescaped(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}
