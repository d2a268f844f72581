//! Whether what is to be started fits its build and this machine, as far as that is known before.

use serde_json::Value;

use super::Planner;
use super::action::{Ago, BlockReason, Subject, Warning, WarningReason};
use super::draft::Draft;
use crate::abilities::{Abilities, DeviceList, Misfit};
use crate::instance::Launch;
use crate::observed::ObservedInstance;
use crate::release::Accelerator;

/// As many layers as no model has: whoever writes more wants all of them on the device.
const ALL_LAYERS: u64 = 99;

/// Options that keep part of a model off the device.
const OFF_THE_DEVICE: &[&str] = &[
    "-cmoe",
    "--cpu-moe",
    "-ncmoe",
    "--n-cpu-moe",
    "-ot",
    "--override-tensor",
    "-ncffn",
    "--n-cpu-ffn",
];

impl Planner<'_> {
    /// What a build that is installed cannot do and a launch asks for. A list of devices that may be out
    /// of date blocks nothing: it is made anew before anything stops.
    pub(super) fn misfit(&self, launch: &Launch) -> Option<BlockReason> {
        let abilities = self.observed.abilities.get(&launch.binary)?;
        let no_device = || {
            let (misfit, list) = missing_device(abilities, launch)?;
            let is_fresh = list.is_fresh(self.observed.host.boot, self.observed.at);
            is_fresh.then_some(misfit)
        };
        let misfit = abilities.unknown_options(launch).or_else(no_device)?;
        Some(BlockReason::Misfit(misfit))
    }

    /// Adds a step that starts a server, what has to come before it, and what a person should know.
    pub(super) fn add_start(&mut self, mut draft: Draft, seen: &ObservedInstance) {
        let fetched_while_down = self.fetch_before(&mut draft, seen);
        if let Some((name, launch)) = draft.starts() {
            let subject = Subject::Instance(name.clone());
            let found = [
                self.device_unseen(launch),
                self.memory_short(launch, seen),
                self.lock_short(launch, seen),
                fetched_while_down,
            ];
            let found = found.into_iter().flatten();
            self.warnings.extend(found.map(|why| Warning {
                subject: subject.clone(),
                why,
            }));
        }
        self.drafts.add(draft);
    }

    fn device_unseen(&self, launch: &Launch) -> Option<WarningReason> {
        let abilities = self.observed.abilities.get(&launch.binary)?;
        let (misfit, list) = missing_device(abilities, launch)?;
        Some(WarningReason::Device {
            misfit,
            seconds_ago: Ago::between(list.at, self.observed.at),
        })
    }

    fn memory_short(&self, launch: &Launch, seen: &ObservedInstance) -> Option<WarningReason> {
        let model = Some(seen.model_size).filter(|size| *size > 0)?;
        let variant = &self.desired.binaries.get(&launch.binary)?.variant;
        let device = launch.inputs.get("gpu.device").and_then(Value::as_str);
        let layers = launch.inputs.get("gpu.layers").and_then(Value::as_u64);
        let on_cpu = variant.accelerator()? == Accelerator::Cpu || device == Some("none");
        if on_cpu || layers == Some(0) {
            let free = self.observed.host.memory.available?;
            // What runs gives its own back before.
            let free = free.saturating_add(runs(seen));
            return (model > free).then_some(WarningReason::Memory { model, free });
        }
        let is_split = layers.is_some_and(|layers| layers < ALL_LAYERS)
            || launch
                .arguments
                .iter()
                .any(|argument| OFF_THE_DEVICE.contains(&argument.as_str()));
        let list = self.observed.abilities.get(&launch.binary)?;
        let list = list.devices.as_ref().filter(|_| !is_split)?;
        let device = device.and_then(|device| list.find(device));
        let total_mib = match device {
            Some(device) => device.total_mib?,
            None => list
                .devices
                .iter()
                .try_fold(0_u64, |sum, device| sum.checked_add(device.total_mib?))?,
        };
        let total = total_mib.checked_mul(1 << 20).filter(|total| *total > 0)?;
        (model > total).then(|| WarningReason::DeviceMemory {
            model,
            device: device.map(|device| device.name.clone()),
            total,
        })
    }

    fn lock_short(&self, launch: &Launch, seen: &ObservedInstance) -> Option<WarningReason> {
        let limit = self.observed.host.memory.lockable?;
        let model = seen.model_size;
        let locks = launch
            .arguments
            .iter()
            .any(|argument| argument == "--mlock");
        (locks && model > limit).then_some(WarningReason::Lock { model, limit })
    }
}

fn missing_device<'a>(
    abilities: &'a Abilities,
    launch: &Launch,
) -> Option<(Misfit, &'a DeviceList)> {
    let misfit = abilities.missing_device(launch)?;
    Some((misfit, abilities.devices.as_ref()?))
}

/// Bytes of the model that runs.
fn runs(seen: &ObservedInstance) -> u64 {
    let server = seen.server.known().and_then(Option::as_ref);
    server.map_or(0, |server| server.launch.model_size())
}
