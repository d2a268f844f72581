//! Whether a build is there already: under its own id, under another one, or not yet registered.

use camino::Utf8Path;

use super::{InstallError, InstallRequest, Installed, Outcome, build, damage, recover};
use crate::desired::WantedBinary;
use crate::registry::{Entry, Registry};

/// Looks whether the build is there and whole. Where the same bits lie under another id, that one
/// answers to this one as well from now on.
pub(super) fn present(request: &InstallRequest<'_>) -> Result<Option<Installed>, InstallError> {
    let InstallRequest { binary, bins, .. } = *request;
    let registry = Registry::load(bins)?;
    let found = |outcome, entry: &Entry| {
        Some(Installed {
            outcome,
            entry: entry.clone(),
            remarks: Vec::new(),
        })
    };
    if let Some(entry) = registry.get(binary.id) {
        let same = match (entry.digest(), binary.digest()) {
            (Some(there), Some(wanted)) => there == wanted,
            // One of them knows none; the names have to do.
            (None, _) | (_, None) => {
                entry.version == binary.build.as_str() && entry.variant == binary.variant
            }
        };
        if !same {
            let found = format!("{} {}", entry.version, entry.variant);
            return Err(InstallError::OtherBuild {
                id: binary.id,
                found,
            });
        }
        return Ok(if is_whole(bins, entry, binary) {
            found(Outcome::Present, entry)
        } else {
            None
        });
    }
    let same_bits = binary
        .digest()
        .into_iter()
        .flat_map(|digest| registry.of_digest(digest));
    for entry in same_bits {
        if !is_whole(bins, entry, binary) {
            continue;
        }
        if request.minted {
            return Ok(found(Outcome::Present, entry));
        }
        let id = entry.id;
        let aliased = Registry::update(bins, |registry| {
            registry.add_alias(id, binary.id);
            registry.get(binary.id).cloned()
        })?;
        return Ok(aliased.and_then(|entry| found(Outcome::Aliased, &entry)));
    }
    let place = bins.join(binary.id.to_string());
    if place.symlink_metadata().is_ok() {
        // A crash between the rename and the registry: the note inside says what it is.
        return match recover::adopt(bins, binary.id)? {
            Some(entry) if entry.digest() == binary.digest() => Ok(found(Outcome::Present, &entry)),
            Some(_) | None => Err(InstallError::Occupied { path: place }),
        };
    }
    Ok(None)
}

/// The build as it is to be installed: where its id is an alias, under the id of the entry that it
/// stands for, which is replaced and keeps its aliases.
pub(super) fn under_own_id(request: &InstallRequest<'_>) -> Result<WantedBinary, InstallError> {
    let mut binary = request.binary.clone();
    if let Some(entry) = Registry::load(request.bins)?.get(binary.id) {
        binary.id = entry.id;
    }
    Ok(binary)
}

/// Whether an entry can be used, and has everything beside its server that is wanted there.
fn is_whole(bins: &Utf8Path, entry: &Entry, binary: &WantedBinary) -> bool {
    let has = |digest| entry.companions.iter().any(|one| one.sha256 == digest);
    damage::damage(bins, entry).is_none()
        && build::companions(binary).iter().all(|one| has(one.sha256))
}
