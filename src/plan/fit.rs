//! Whether what is to be started fits its build and this machine, as far as that is known before.

use super::Planner;
use super::action::BlockReason;
use crate::instance::Launch;

impl Planner<'_> {
    /// What a build that is installed cannot do and a launch asks for. A list of devices that may be out
    /// of date blocks nothing: it is made anew before anything stops.
    pub(super) fn misfit(&self, launch: &Launch) -> Option<BlockReason> {
        let observed = self.observed;
        let abilities = observed.abilities.get(&launch.binary)?;
        let no_device = || {
            let list = abilities.devices.as_ref()?;
            let is_fresh = list.is_fresh(observed.host.boot, observed.at);
            abilities.missing_device(launch).filter(|_| is_fresh)
        };
        let misfit = abilities.unknown_options(launch).or_else(no_device)?;
        Some(BlockReason::Misfit(misfit))
    }
}
