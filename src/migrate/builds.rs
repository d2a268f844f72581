//! What there is to say about the old builds, and `bin/` as one of them.
//!
//! The registry keeps its form and its entries: this program reads them as they are, mixed time
//! offsets, ids of any version and remarks in place of digests included. So nothing in it is
//! rewritten; what cannot be used is told.

use std::collections::BTreeMap;

use super::{Finding, Old, OldBin, OldBuild, Severity, Step};
use crate::release::Tag;

/// What a person should know of the builds in the registry.
pub(super) fn findings(old: &Old) -> Vec<Finding> {
    let builds = match &old.builds {
        Ok(builds) => builds,
        Err(why) => {
            let finding = Finding::new(Severity::Open, "bins/registry.json", why.clone());
            return vec![finding.hint("put it right first; until then no build is listed")];
        }
    };
    let mut findings: Vec<Finding> = builds
        .iter()
        .filter_map(|build| judge(old, build))
        .collect();
    let mut named: BTreeMap<String, Vec<&OldBuild>> = BTreeMap::new();
    for build in builds {
        named.entry(build.label()).or_default().push(build);
    }
    for (label, same) in named.iter().filter(|(_, same)| same.len() > 1) {
        let ids: Vec<String> = same.iter().map(|build| build.id.to_string()).collect();
        let what = format!("is in the registry {} times: {}", ids.len(), ids.join(", "));
        let finding = Finding::new(Severity::Note, label, what);
        findings.push(finding.hint(
            "instances stay on the id they have; `llama-orch binary prune` takes away what nothing uses",
        ));
    }
    findings
}

/// The one thing that matters most about a build.
fn judge(old: &Old, build: &OldBuild) -> Option<Finding> {
    let subject = build.id.to_string();
    let label = build.label();
    let is_own = build.version.parse::<Tag>().is_err();
    if let Some(os) = build.variant.os().filter(|os| *os != old.os) {
        let what = format!("{label} is for {os}, and does not run here");
        return Some(Finding::new(Severity::Note, subject, what));
    }
    if let Some(damage) = &build.damage {
        let finding = Finding::new(Severity::Note, subject, format!("{label}: {damage}"));
        return Some(if is_own {
            finding.hint(
                "it cannot be fetched again; bring its folder back where an instance needs it",
            )
        } else {
            finding.hint("an instance that is pinned to it has it installed again")
        });
    }
    if is_own {
        let what = format!("{label} is no release: nobody can fetch it again");
        let finding = Finding::new(Severity::Note, subject, what);
        return Some(finding.hint("keep a copy of its folder"));
    }
    if build.installed.is_none() {
        let what = format!("{label}: when it was installed cannot be read");
        return Some(Finding::new(Severity::Note, subject, what));
    }
    None
}

/// `bin/` as a build of the registry. The folder itself stays, and what names no build runs from it.
pub(super) fn register(old: &Old, findings: &mut Vec<Finding>) -> Option<Step> {
    let bin: &OldBin = old.bin.as_ref().filter(|bin| !bin.is_registered)?;
    // A registry that cannot be read cannot be added to.
    let builds = old.builds.as_ref().ok()?;
    let bytes = match &bin.copy {
        Ok(bytes) => *bytes,
        Err(why) => {
            let what = format!("is not copied: {why}");
            let finding = Finding::new(Severity::Note, "bin/", what);
            findings.push(finding.hint("it goes on as it is: what names no build runs from it"));
            return None;
        }
    };
    let name = match &bin.build {
        Ok(Some(number)) => format!("legacy-b{number}"),
        Ok(None) => "legacy-bin".to_owned(),
        Err(why) => {
            let what = format!("is not copied: {why}");
            findings.push(Finding::new(Severity::Note, "bin/", what));
            return None;
        }
    };
    if builds.iter().any(|build| build.version == name) {
        let what = format!("other files are registered as `{name}` already");
        let finding = Finding::new(Severity::Note, "bin/", what);
        findings.push(finding.hint("`llama-orch binary register bin --version NAME` takes it in"));
        return None;
    }
    let version = name.parse().ok()?;
    Some(Step::Register { version, bytes })
}
