//! Looks at the builds that are installed, and at the legacy one. At a glance: nothing is hashed, so
//! that a plan costs the same however large they are.

use std::collections::BTreeMap;

use super::Local;
use crate::install;
use crate::instance::BinaryId;
use crate::observed::ObservedBinary;
use crate::registry::{Checksum, Registry};
use crate::release::{BuildName, Variant};

impl Local {
    /// Every build of the registry, and what is wrong with it.
    pub(super) fn binaries(&self, registry: &Registry) -> BTreeMap<BinaryId, ObservedBinary> {
        let bins = self.root.bins();
        let mut binaries: BTreeMap<_, _> = registry
            .entries()
            .iter()
            .filter_map(|entry| {
                let binary = ObservedBinary {
                    build: entry.version.parse().ok()?,
                    variant: entry.variant.clone(),
                    size: entry.size_bytes.unwrap_or_default(),
                    installed: entry.installed(),
                    digest: entry.digest(),
                    damage: install::damage(&bins, entry),
                    aliases: entry.aliases.clone(),
                    // What was registered by hand cannot be had again.
                    prunable: entry.folder().is_ok()
                        && !matches!(entry.sha256, Some(Checksum::Remark(_))),
                };
                Some((entry.id, binary))
            })
            .collect();
        if self.root.legacy_server().is_file() {
            let legacy = ObservedBinary {
                build: BuildName::legacy(),
                variant: Variant::new("unknown"),
                size: 0,
                installed: None,
                digest: None,
                damage: None,
                aliases: Vec::new(),
                prunable: false,
            };
            binaries.insert(BinaryId::LEGACY, legacy);
        }
        binaries
    }
}
