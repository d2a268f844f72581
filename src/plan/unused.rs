//! Builds that nothing uses and no rollback could need, beyond what is kept.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Planner;
use super::action::{Action, Prune, Reason, Subject, Unused};
use super::draft::Draft;
use crate::desired::{WantedBinary, WantedInstance};
use crate::instance::BinaryId;
use crate::observed::Seen;

impl Planner<'_> {
    /// Prunes what may be pruned, or says what could be. Where anything that may use a build could
    /// not be seen, or a pin is not resolved, every build may still be needed.
    pub(super) fn unused(&mut self) -> Vec<Unused> {
        let (Seen::Known(binaries), Some(used)) = (&self.observed.binaries, self.used()) else {
            return Vec::new();
        };
        // A build that is to be installed under another id may turn out to be here already.
        let wanted: BTreeSet<_> = self
            .desired
            .binaries
            .values()
            .filter_map(WantedBinary::digest)
            .collect();
        let mut idle: Vec<_> = binaries
            .iter()
            .filter(|(id, binary)| {
                binary.prunable
                    && !used.contains(id)
                    && !binary.aliases.iter().any(|alias| used.contains(alias))
                    && !binary.digest.is_some_and(|digest| wanted.contains(&digest))
            })
            .collect();
        idle.sort_by_key(|(id, binary)| (Reverse(binary.installed), **id));
        let mut unused = Vec::new();
        for (id, binary) in idle.into_iter().skip(self.desired.retention.keep) {
            if self.desired.retention.prune {
                let prune = Prune {
                    binary: *id,
                    build: binary.build.clone(),
                    variant: binary.variant.clone(),
                    size: binary.size,
                };
                self.drafts
                    .add_last(Draft::new(Action::Prune(prune), Reason::Unused));
            } else {
                let subject = Subject::Binary {
                    build: binary.build.clone(),
                    variant: binary.variant.clone(),
                };
                unused.push(Unused {
                    binary: *id,
                    subject,
                    size: binary.size,
                });
            }
        }
        unused
    }

    /// Every build that is wanted, runs, may be started or may be rolled back to; `None` where that
    /// cannot be told.
    fn used(&self) -> Option<BTreeSet<BinaryId>> {
        let mut used: BTreeSet<BinaryId> = self.desired.binaries.keys().copied().collect();
        for wanted in self.desired.instances.values() {
            match wanted {
                WantedInstance::Resolved(wanted) => used.extend([wanted.launch.binary]),
                // It may turn out to be pinned to anything that is here.
                WantedInstance::Unresolved(_) => return None,
            }
        }
        for seen in self.observed.instances.values() {
            let memory = seen.memory.known()?;
            let supervisor = seen.supervisor.known()?;
            let server = seen.server.known()?;
            let rolled_back = memory.rolled_back.iter().map(|it| &it.launch);
            let kept = memory.proven.iter().chain(rolled_back);
            used.extend(kept.map(|launch| launch.launch.binary));
            used.extend(supervisor.iter().flat_map(|supervisor| &supervisor.builds));
            used.extend(server.iter().map(|server| server.launch.launch.binary));
        }
        Some(used)
    }
}
