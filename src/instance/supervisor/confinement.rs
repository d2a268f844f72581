//! What would end a supervisor along with whoever starts it, and the way out.
//!
//! systemd ends everything in the control group of a service that stops (`KillMode=control-group`,
//! the default; `systemd.kill(5)`), own sessions or not. So a supervisor that is started from
//! within such a service goes into a transient scope of its own (`systemd-run(1)`, which becomes
//! the supervisor: same process, same environment). logind and a user's manager can end processes
//! at logout as well. Who starts a supervisor looks; a supervisor never asks where it is.
//!
//! What is read off control groups and answers is decided here, apart from the asking, which is in
//! `os`. Other systems than Linux have nothing of the kind.

#[cfg_attr(target_os = "linux", path = "confinement/systemd.rs")]
#[cfg_attr(not(target_os = "linux"), path = "confinement/none.rs")]
mod os;
mod unit;

use std::process::Command;

use uuid::Uuid;

use super::program::Program;
use crate::instance::folder::InstanceFolder;
use crate::release::Digest;
use unit::Unit;

pub use unit::Manager;

/// What a supervisor that is started here has to get out of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Whom to ask for a scope, where one is needed.
    scope: Option<Manager>,
    remarks: Vec<String>,
}

/// A supervisor that is started here would be ended with the service it is started from.
#[derive(Debug, thiserror::Error)]
#[error("`{unit}` ends every process in it when it stops, and no scope can be had outside of it: {}", .refused.join("; "))]
pub struct ConfinementError {
    /// The service.
    pub unit: String,
    /// The manager it is a unit of.
    pub manager: Manager,
    /// What each manager said.
    pub refused: Vec<String>,
}

impl ConfinementError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        let user = self.manager.option().map_or("", |_| "--user ");
        let unit = &self.unit;
        format!(
            "write `KillMode=process` into the section `[Service]` of `{unit}`, with `systemctl {user}edit {unit}`"
        )
    }
}

/// Answers a command, its program first: what it prints, or why there is nothing.
type Ask<'a> = &'a dyn Fn(Question<'_>) -> Result<String, String>;

/// Something systemd or logind is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question<'a> {
    /// The control group of a service, and what it does to its processes when it stops:
    /// `ControlGroup=` and `KillMode=`, a line each.
    Service(&'a str, Manager),
    /// In which control groups a process is that was started in a scope of its own.
    Scope(Manager),
    /// Whether logind ends what was started in a login session.
    KillUserProcesses,
    /// Whether this user's manager stays after the last logout.
    Linger,
}

impl Confinement {
    /// Looks where this process is. Takes some milliseconds inside of a service or a session, and
    /// is bounded.
    ///
    /// # Errors
    /// Where a supervisor would be ended with the service this runs in, and nothing can be done
    /// about it from here.
    pub fn find() -> Result<Self, ConfinementError> {
        match os::control_groups() {
            Some(groups) => Self::of(&groups, &os::ask),
            None => Ok(Self::default()),
        }
    }

    /// What the control groups of a process (`/proc/<pid>/cgroup`) mean for a supervisor.
    fn of(groups: &str, ask: Ask<'_>) -> Result<Self, ConfinementError> {
        match Unit::of(groups) {
            None => Ok(Self::default()),
            Some(Unit::Service {
                unit,
                group,
                manager,
            }) => Self::of_service(unit, &group, manager, ask),
            Some(Unit::Session) => Ok(Self::of_session(ask)),
            Some(Unit::Scope) => Ok(Self {
                scope: None,
                remarks: manager_ends(ask).into_iter().collect(),
            }),
        }
    }

    fn of_service(
        unit: String,
        group: &str,
        seemingly: Manager,
        ask: Ask<'_>,
    ) -> Result<Self, ConfinementError> {
        // Any manager has an answer for any name, so that only one that knows the group is heard.
        let known = [seemingly, seemingly.other()]
            .into_iter()
            .find_map(|manager| {
                let answer = ask(Question::Service(&unit, manager)).ok()?;
                let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key));
                (value("ControlGroup=") == Some(group))
                    .then(|| (manager, value("KillMode=").map(str::to_owned)))
            });
        // What is not known may be the default.
        let (manager, kill_mode) = known.unwrap_or((seemingly, None));
        let mut remarks = Vec::new();
        if manager == Manager::User {
            remarks.extend(manager_ends(ask));
        }
        if matches!(kill_mode.as_deref(), Some("process" | "none")) {
            return Ok(Self {
                scope: None,
                remarks,
            });
        }
        let mut refused = Vec::new();
        for asked in [manager, manager.other()] {
            match ask(Question::Scope(asked)) {
                Ok(groups) if Unit::of(&groups) == Some(Unit::Scope) => {
                    remarks.push(format!(
                        "`{unit}` ends every process in it when it stops, so supervisors and servers go into scopes of their own (`llama-orch-*.scope`)"
                    ));
                    return Ok(Self {
                        scope: Some(asked),
                        remarks,
                    });
                }
                Ok(_) => refused.push(format!("{asked} has started one elsewhere")),
                Err(why) => refused.push(format!("{asked}: {why}")),
            }
        }
        Err(ConfinementError {
            unit,
            manager,
            refused,
        })
    }

    fn of_session(ask: Ask<'_>) -> Self {
        if ask(Question::KillUserProcesses).is_ok_and(|answer| answer.trim() == "yes") {
            let lingers = ask(Question::Linger).is_ok_and(|answer| answer.trim() == "yes");
            let groups = lingers.then(|| ask(Question::Scope(Manager::User)));
            if groups.is_some_and(|groups| {
                groups.is_ok_and(|groups| Unit::of(&groups) == Some(Unit::Scope))
            }) {
                return Self {
                    scope: Some(Manager::User),
                    remarks: Vec::new(),
                };
            }
            let remark = "logind ends servers that are started here when you log out (`KillUserProcesses=yes`); `loginctl enable-linger` first keeps them";
            return Self {
                scope: None,
                remarks: vec![remark.to_owned()],
            };
        }
        Self::default()
    }

    /// What a person should know of it.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The command that becomes the program, its own arguments still to be added.
    pub(super) fn command(
        &self,
        program: &Program,
        folder: &InstanceFolder,
        nonce: Uuid,
    ) -> Command {
        let Some(manager) = self.scope else {
            return Command::new(program.path.as_std_path());
        };
        let mut command = os::run_in_scope(manager, Some(&scope_name(folder, nonce)));
        command.arg(program.path.as_std_path());
        command
    }
}

/// Whether what this user has started stays after the last logout; `None` where nobody tells.
pub fn lingers() -> Option<bool> {
    match os::ask(Question::Linger).ok()?.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// A remark where everything of this user ends with the last logout.
fn manager_ends(ask: Ask<'_>) -> Option<String> {
    let ends = ask(Question::Linger).is_ok_and(|answer| answer.trim() == "no");
    ends.then(|| {
        "your systemd ends servers that are started here after your last logout; `loginctl enable-linger` keeps them".to_owned()
    })
}

/// A name that tells root, instance and life: `llama-orch-1f2e3d4c-chat-0a1b2c3d.scope`.
fn scope_name(folder: &InstanceFolder, nonce: Uuid) -> String {
    let root = Digest::of(folder.root().as_str()).to_string();
    let life = nonce.simple().to_string();
    let (root, life) = (&root[..8], &life[..8]);
    format!("llama-orch-{root}-{}-{life}.scope", folder.name())
}

#[cfg(test)]
mod tests;
