//! Why instances run the variants they do: what was found on this machine, and what the release has
//! for it. Pure text for `-v`; every judgement is [`Host::explain`]'s.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use llama_orch::desired::WantedInstance;
use llama_orch::desired::resolve::Resolved;
use llama_orch::instance::InstanceName;
use llama_orch::lock::Lock;
use llama_orch::reconcile::Loaded;
use llama_orch::release::host::{Considered, Doubt, Finding, Host, Verdict};
use llama_orch::release::{Asset, BuildName, Variant, VariantRequest};

use super::text::{fill, lines};

/// The first columns of a list, left free.
const INDENT: usize = 4;
/// Columns a reason needs to be wrapped rather than cut by the terminal.
const NARROWEST_REASON: usize = 24;

/// What `auto` is for each of these instances (for all where it is `None`), and why; and
/// what speaks against variants that were asked for by name. Empty where there is nothing to say.
pub(crate) fn details(
    loaded: &Loaded,
    resolved: &Resolved,
    only: Option<&BTreeSet<InstanceName>>,
    width: Option<usize>,
) -> String {
    let mut automatic: BTreeMap<Choice, Vec<&str>> = BTreeMap::new();
    let mut doubts = String::new();
    let mut depends = false;
    for (name, instance) in &loaded.manifest.instances {
        let Some(pin) = &instance.binary else {
            continue;
        };
        if only.is_some_and(|only| !only.contains(name)) {
            continue;
        }
        depends |= pin.variant == VariantRequest::Auto;
        let Some(WantedInstance::Resolved(wanted)) = resolved.desired.instances.get(name) else {
            continue;
        };
        let Some(binary) = resolved.desired.binaries.get(&wanted.launch.binary) else {
            continue;
        };
        if pin.variant != VariantRequest::Auto {
            let assets = assets_of(&resolved.lock, &binary.build).unwrap_or_default();
            let is_installed = loaded
                .registry
                .entries()
                .iter()
                .any(|one| one.id == binary.id);
            let considered = loaded.host.explain(&pin.variant, &assets);
            if let Some(doubt) = doubt(&considered, is_installed) {
                let line = format!(
                    "variant `{}` of {name} ({}) is {}, though it {doubt}",
                    pin.variant, binary.build, binary.variant
                );
                let _ = writeln!(doubts, "\n{}", wrapped(&line, width));
            }
        } else if resolved.chosen.get(name) == Some(&binary.variant) {
            let choice = Choice {
                build: &binary.build,
                variant: &binary.variant,
                is_kept: loaded.machine.chosen.get(name) == Some(&binary.variant),
            };
            automatic.entry(choice).or_default().push(name.as_str());
        }
    }
    let mut text = String::new();
    if depends || !doubts.is_empty() {
        text = machine(&loaded.host.findings, width);
    }
    for (choice, names) in automatic {
        let assets = assets_of(&resolved.lock, choice.build);
        text += &choice.explained(&loaded.host, &names, assets.as_deref(), width);
    }
    text + &doubts
}

/// What `auto` stands for, for one or several instances.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Choice<'a> {
    build: &'a BuildName,
    variant: &'a Variant,
    /// Whether it was chosen on an earlier run, and stays.
    is_kept: bool,
}

impl Choice<'_> {
    fn explained(
        &self,
        host: &Host,
        names: &[&str],
        assets: Option<&[Asset]>,
        width: Option<usize>,
    ) -> String {
        let mut heading = format!(
            "variant `auto` of {} ({}) is {}",
            names.join(", "),
            self.build,
            self.variant
        );
        if self.is_kept {
            heading += ", as chosen on an earlier run and kept in .llama-orch/machine.json";
        }
        let considered = assets
            .map(|assets| host.explain(&VariantRequest::Auto, assets))
            .unwrap_or_default();
        if considered.is_empty() {
            heading += "; orchestrator.lock does not list what else the release has";
            return format!("\n{}\n", wrapped(&heading, width));
        }
        let rows: Vec<(&str, String)> = considered
            .iter()
            .map(|one| (one.variant.as_str(), self.verdict(one)))
            .collect();
        format!(
            "\n{}\n{}",
            wrapped(&format!("{heading}:"), width),
            list(&rows, width)
        )
    }

    /// What is said of a variant, given that the choice may have been made before.
    fn verdict(&self, one: &Considered) -> String {
        match &one.verdict {
            verdict if !self.is_kept => verdict.to_string(),
            Verdict::Taken { why, .. } if one.variant == *self.variant => {
                format!("kept, and would be taken today: {why}")
            }
            Verdict::Taken { why, .. } => format!("would be taken today: {why}"),
            _ if one.variant == *self.variant => "kept".to_owned(),
            verdict => verdict.to_string(),
        }
    }
}

/// What speaks against a variant that was asked for by name. Which glibc an installed build needs
/// was read from its files, which know better.
fn doubt(considered: &[Considered], is_installed: bool) -> Option<Doubt> {
    considered.iter().find_map(|one| match one.verdict {
        Verdict::Taken { doubt, .. } => {
            doubt.filter(|doubt| !is_installed || !matches!(doubt, Doubt::OldGlibc { .. }))
        }
        Verdict::PassedOver(_) | Verdict::NotNeeded => None,
    })
}

fn assets_of(lock: &Lock, build: &BuildName) -> Option<Vec<Asset>> {
    let assets = lock.assets.get(&build.tag()?)?;
    let asset = |(name, locked): (&String, &llama_orch::lock::LockedAsset)| Asset {
        name: name.clone(),
        size: locked.size.unwrap_or_default(),
        digest: Some(locked.sha256),
    };
    Some(assets.iter().map(asset).collect())
}

/// The facts about this machine.
fn machine(findings: &[Finding], width: Option<usize>) -> String {
    let rows: Vec<(String, String)> = findings
        .iter()
        .map(|finding| (finding.what.to_string(), finding.told()))
        .collect();
    format!("\nthis machine:\n{}", list(&rows, width))
}

/// Two columns, of which the second goes on below where it begins.
fn list(rows: &[(impl AsRef<str>, String)], width: Option<usize>) -> String {
    let longest = rows.iter().map(|(head, _)| head.as_ref().len()).max();
    let column = longest.unwrap_or_default() + 2;
    let mut text = String::new();
    for (head, rest) in rows {
        let rest = match width {
            Some(width) => {
                let room = width.saturating_sub(INDENT + column).max(NARROWEST_REASON);
                let gap = format!("\n{:1$}", "", INDENT + column);
                lines(rest, room).join(&gap)
            }
            None => rest.clone(),
        };
        let _ = writeln!(text, "{:INDENT$}{:column$}{rest}", "", head.as_ref());
    }
    text
}

fn wrapped(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) => fill(text, width, "  "),
        None => text.to_owned(),
    }
}
