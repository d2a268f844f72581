//! Which builds are to be installed, and why one cannot be.

use std::collections::BTreeSet;

use super::action::{Action, BlockReason, Reason};
use super::draft::Draft;
use super::{Planner, Sides};
use crate::desired::WantedInstance;
use crate::instance::BinaryId;
use crate::observed::{Seen, Unseen};

/// What became of a wanted build.
pub(super) enum Build {
    /// It is there.
    Present,
    /// This draft installs it.
    Step(usize),
    /// It cannot be had.
    Blocked(BlockReason),
    /// Whether it is there could not be seen.
    Unseen(Unseen),
}

impl Planner<'_> {
    /// Installs what enabled instances are pinned to and what is not there.
    pub(super) fn install(&mut self, sides: &Sides<'_>) {
        let mut pinned: BTreeSet<BinaryId> = BTreeSet::new();
        for (_, wanted, seen) in &sides.wanted {
            let memory = seen.and_then(|seen| seen.memory.known());
            let is_not_to_run = |launch| {
                memory.is_some_and(|memory| {
                    memory.put_down.is_some()
                        || memory.suspended.is_some()
                        || memory.rollback_against(launch).is_some()
                })
            };
            if let WantedInstance::Resolved(wanted) = wanted
                && wanted.enabled
                && !is_not_to_run(&wanted.launch)
            {
                pinned.insert(wanted.launch.binary);
            }
        }
        let mut free = match self.observed.host.free_disk {
            Seen::Known(free) => free,
            // An installer that runs out of space leaves nothing behind; not knowing is no reason
            // to hold it.
            Seen::Unknown(_) => u64::MAX,
        };
        for id in pinned {
            let build = self.install_one(id, &mut free);
            self.builds.insert(id, build);
        }
    }

    fn install_one(&mut self, id: BinaryId, free: &mut u64) -> Build {
        let present = match &self.observed.binaries {
            Seen::Unknown(why) => return Build::Unseen(why.clone()),
            Seen::Known(binaries) => binaries.get(&id).or_else(|| {
                binaries
                    .values()
                    .find(|binary| binary.aliases.contains(&id))
            }),
        };
        let damage = present.and_then(|binary| binary.damage.as_ref());
        if present.is_some() && damage.is_none() {
            return Build::Present;
        }
        let wanted = self.desired.binaries.get(&id);
        let Some(wanted) = wanted.filter(|wanted| !wanted.archives.is_empty()) else {
            let which = wanted.map_or_else(
                || id.to_string(),
                |wanted| format!("{} {} ({id})", wanted.build, wanted.variant.short()),
            );
            let why = match damage {
                Some(damage) => format!(
                    "its build {which} is damaged ({damage}) and cannot be fetched; \
                     `llama-orch binary register` takes it in again"
                ),
                None => format!("its build {which} is not installed and cannot be fetched"),
            };
            return Build::Blocked(BlockReason::NotInstallable(why));
        };
        let download: Option<u64> = wanted
            .archives
            .iter()
            .try_fold(0_u64, |sum, archive| sum.checked_add(archive.size?));
        let needs = wanted.room().unwrap_or_default();
        if needs > *free {
            return Build::Blocked(BlockReason::NoSpace { needs, free: *free });
        }
        *free -= needs;
        let reason = damage.map_or(Reason::NotInstalled { download }, |damage| {
            Reason::Damaged {
                why: damage.clone(),
                download,
            }
        });
        let install = Draft::new(Action::Install(wanted.clone()), reason);
        Build::Step(self.drafts.add(install))
    }

    /// Whether a build is there and can be used.
    pub(super) fn is_installed(&self, id: BinaryId) -> bool {
        let usable = |binary: &crate::observed::ObservedBinary| binary.damage.is_none();
        self.observed.binaries.known().is_some_and(|binaries| {
            binaries.get(&id).is_some_and(usable)
                || binaries
                    .values()
                    .any(|binary| binary.aliases.contains(&id) && usable(binary))
        })
    }
}
