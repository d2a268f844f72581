//! The instances of a manifest, as far as what they ask of the machine is known.

use super::home::Live;
use crate::desired::{Desired, WantedInstance};
use crate::doctor::facts::Wanted;
use crate::instance::{BinaryId, InstanceName};
use crate::lock::Lock;
use crate::manifest::{GpuBackend, Instance, Manifest, ModelSource, Pin, ReleaseRequest};
use crate::registry::Registry;
use crate::release::{BuildName, Variant, VariantRequest};
use crate::root::Root;

/// What is known of pins.
pub(super) struct Pins<'a> {
    /// What they were resolved to without asking anybody; `None` where that could not be done.
    pub(super) desired: Option<&'a Desired>,
    /// What floating ones stand for, where that can be read.
    pub(super) lock: Option<&'a Lock>,
    /// What is installed, where that can be read.
    pub(super) registry: Option<&'a Registry>,
}

impl Pins<'_> {
    /// The instances of a manifest.
    pub(super) fn instances(&self, root: &Root, manifest: &Manifest, live: &[Live]) -> Vec<Wanted> {
        let instances = manifest.instances.iter();
        let one = |(name, instance): (&InstanceName, &Instance)| {
            let live = live.iter().find(|live| live.name == *name);
            self.one(root, name, instance, live)
        };
        instances.map(one).collect()
    }

    fn one(
        &self,
        root: &Root,
        name: &InstanceName,
        instance: &Instance,
        live: Option<&Live>,
    ) -> Wanted {
        let wanted = self.desired.and_then(|desired| desired.instances.get(name));
        let resolved = match wanted {
            Some(WantedInstance::Resolved(wanted)) => Some(&wanted.launch),
            Some(WantedInstance::Unresolved(_)) | None => None,
        };
        let id = resolved.map(|launch| launch.binary);
        let pin = instance.binary.as_ref();
        let written = || {
            let version = pin?.version.as_ref()?;
            match version {
                ReleaseRequest::Tag(tag) => Some(BuildName::from(*tag)),
                ReleaseRequest::Named(name) => Some(name.clone()),
                ReleaseRequest::Stable | ReleaseRequest::Nightly | ReleaseRequest::Version(_) => {
                    let locked = self.lock?.pins.get(name)?;
                    (locked.version == version.to_string()).then(|| locked.tag.into())
                }
            }
        };
        let server = &instance.server;
        Wanted {
            name: name.clone(),
            enabled: instance.enabled,
            host: server.host.clone(),
            port: server.port,
            has_key: server.api_key.is_some() || instance.env.contains_key("LLAMA_API_KEY"),
            // A family says as much as long as nobody knows which variant of it that is.
            backend: instance.gpu.backend.or_else(|| {
                let variant = pin.filter(|_| id.is_none()).map(|pin| &pin.variant);
                variant.and_then(family)
            }),
            required: instance.gpu.require,
            build: resolved.map(|launch| launch.build.clone()).or_else(written),
            variant: id
                .and_then(|id| self.variant(id))
                .or_else(|| pin.and_then(exact)),
            foreign: pin.is_some_and(|pin| pin.source_url.is_some()),
            // Where it is not known what is wanted, it is not said to be missing.
            installed: id.is_none_or(|id| self.has(root, id)),
            unresolved: self.desired.is_some() && resolved.is_none(),
            args: instance.args.clone(),
            model: model(root, instance),
            devices: live.and_then(|live| live.devices.clone()),
        }
    }

    fn variant(&self, id: BinaryId) -> Option<Variant> {
        let wanted = self.desired.and_then(|desired| desired.binaries.get(&id));
        let installed = || Some(self.registry?.get(id)?.variant.clone());
        wanted
            .map(|binary| binary.variant.clone())
            .or_else(installed)
    }

    fn has(&self, root: &Root, id: BinaryId) -> bool {
        match self.registry {
            _ if id == BinaryId::LEGACY => root.legacy_server().exists(),
            Some(registry) => registry.get(id).is_some(),
            None => true,
        }
    }

    /// Bytes of disk that what is wanted and not installed will take, as far as that is known.
    pub(super) fn needed(&self) -> Option<u64> {
        let (desired, registry) = (self.desired?, self.registry?);
        let missing = desired
            .binaries
            .values()
            .filter(|binary| registry.get(binary.id).is_none());
        Some(
            missing
                .filter_map(crate::desired::WantedBinary::room)
                .fold(0, u64::saturating_add),
        )
    }
}

/// The variant a pin names, where that is one and not a family.
fn exact(pin: &Pin) -> Option<Variant> {
    let VariantRequest::Named(name) = &pin.variant else {
        return None;
    };
    let variant = Variant::new(name.as_str());
    variant.parts().is_some().then_some(variant)
}

/// What the variants of a family, or one that is named without its system, compute on.
fn family(request: &VariantRequest) -> Option<GpuBackend> {
    let VariantRequest::Named(name) = request else {
        return None;
    };
    name.split('-').find_map(|word| match word {
        "cuda" => Some(GpuBackend::Cuda),
        "vulkan" => Some(GpuBackend::Vulkan),
        "rocm" | "hip" => Some(GpuBackend::Rocm),
        "sycl" => Some(GpuBackend::Sycl),
        "metal" => Some(GpuBackend::Metal),
        _ => None,
    })
}

/// Bytes of a model that is a file.
fn model(root: &Root, instance: &Instance) -> u64 {
    let source = instance.model.as_ref().map(|model| &model.source);
    let Some(ModelSource::Path(path)) = source else {
        return 0;
    };
    std::fs::metadata(root.path().join(path)).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_tells_what_its_variants_compute_on() {
        for (name, backend) in [
            ("cuda", Some(GpuBackend::Cuda)),
            ("cuda-13", Some(GpuBackend::Cuda)),
            ("vulkan-x64", Some(GpuBackend::Vulkan)),
            ("ubuntu-rocm-10.0-x64", Some(GpuBackend::Rocm)),
            ("hip-radeon", Some(GpuBackend::Rocm)),
            ("sycl-fp16", Some(GpuBackend::Sycl)),
            ("cpu", None),
            ("auto", None),
            ("x64", None),
        ] {
            let request = name.parse().expect("a variant");
            assert_eq!(family(&request), backend, "{name}");
        }
    }
}
