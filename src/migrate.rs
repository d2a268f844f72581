//! From the files of the Python tool that came before this program, and from a bare
//! `bin/llama-server`, to a manifest and a registry.
//!
//! [`migration`] is pure: the old texts and what was seen around them go in; what is to be written,
//! and what is left to a person, comes out. It guesses nothing, and it changes and removes nothing
//! that is there: what an instance needs beyond its `config.json` is written into the manifest, and
//! is so much that its server runs as the old tool ran it. Looking is left to [`look`], the list of
//! what a migration has touched to [`journal`], doing and undoing to [`carry`].

mod builds;
pub mod carry;
mod config;
mod document;
pub mod journal;
pub mod look;
mod manifest;
mod pin;
mod running;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

pub use document::{FORMAT_VERSION, MigrateDocument, schema};

use crate::instance::{BinaryId, InstanceName};
use crate::manifest::{Mistakes, SourceText};
use crate::release::{BuildName, Digest, Os, Variant};

/// What the old tool has left, as far as it was seen.
#[derive(Debug)]
pub struct Old {
    /// The system this machine runs.
    pub os: Os,
    /// Every `instances/*/config.json`, in the order of their folders.
    pub configs: Vec<OldConfig>,
    /// What `bins/registry.json` lists, or why it cannot be read.
    pub builds: Result<Vec<OldBuild>, String>,
    /// The build that instances ran which named none.
    pub default: Option<BinaryId>,
    /// `bin/llama-server`, where there is one for this system.
    pub bin: Option<OldBin>,
    /// The instances of an `orchestrator.yaml` that is there already.
    pub manifest: Option<Result<BTreeSet<InstanceName>, Mistakes>>,
    /// Who listens at the ports of the configs, or why that could not be seen.
    pub listeners: Result<BTreeMap<u16, Vec<Listener>>, String>,
    /// Files that are there and are not read, and what to know of each.
    pub unread: Vec<Finding>,
}

/// One `config.json`.
#[derive(Debug)]
pub struct OldConfig {
    /// The name of its folder.
    pub folder: String,
    /// Its text, or why it is none.
    pub source: Result<SourceText, Mistakes>,
}

impl OldConfig {
    /// Its path below the root.
    pub fn path(&self) -> Utf8PathBuf {
        config_path(&self.folder)
    }
}

/// Where the config of a folder lies below the root.
fn config_path(folder: &str) -> Utf8PathBuf {
    Utf8PathBuf::from("instances")
        .join(folder)
        .join("config.json")
}

/// One entry of the old registry.
#[derive(Debug, Clone)]
pub struct OldBuild {
    /// Its id.
    pub id: BinaryId,
    /// What it is called.
    pub version: String,
    /// Its flavour.
    pub variant: Variant,
    /// What its archive hashed to.
    pub digest: Option<Digest>,
    /// When it was installed, where that can be read.
    pub installed: Option<Timestamp>,
    /// Why it cannot be run, whatever the system: its folder is missing and the like.
    pub damage: Option<String>,
}

impl OldBuild {
    /// Whether it is here, for this system.
    fn runs_on(&self, os: Os) -> bool {
        self.damage.is_none() && self.variant.os().is_none_or(|its| its == os)
    }

    /// The name a person knows it by.
    fn label(&self) -> String {
        format!("{} {}", self.version, self.variant)
    }
}

/// The single build of the oldest layout.
#[derive(Debug)]
pub struct OldBin {
    /// The number it reports, if any, or why it was not heard.
    pub build: Result<Option<u32>, String>,
    /// The bytes a copy of its folder takes, or why there can be none.
    pub copy: Result<u64, String>,
    /// Whether the registry has it from an earlier time.
    pub is_registered: bool,
}

/// Somebody who listens at a port of a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its program and pid, for messages.
    pub who: String,
    /// Whether it is a server that runs from the old tool's builds.
    pub is_old_server: bool,
    /// The name it was started under, where that can be read.
    pub alias: Option<String>,
}

/// What is to be done, and what is left to a person.
#[derive(Debug, Default)]
pub struct Migration {
    /// In this order.
    pub steps: Vec<Step>,
    /// The instances that are taken over.
    pub instances: Vec<TakenOver>,
    /// What a person should know, the gravest first.
    pub findings: Vec<Finding>,
}

impl Migration {
    /// Whether something does not run, or is not taken over, until a person decides.
    pub fn needs_attention(&self) -> bool {
        let grave = |finding: &Finding| finding.severity == Severity::Open;
        self.findings.iter().any(grave)
    }

    /// The text of `orchestrator.yaml`, where one is to be written.
    pub fn manifest(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Manifest { text } => Some(text.as_str()),
            Step::Register { .. } | Step::Copy { .. } => None,
        })
    }
}

/// One thing to do. Everything it writes is new; paths are relative to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Copy `bin/` into `bins/<uuid>/`, and list it in the registry under this name.
    Register {
        /// The name.
        version: BuildName,
        /// The bytes the copy takes.
        bytes: u64,
    },
    /// Copy a config to where the folder has the name of its instance.
    Copy {
        /// The config.
        from: Utf8PathBuf,
        /// The copy.
        to: Utf8PathBuf,
        /// What stands in both.
        text: String,
    },
    /// Write `orchestrator.yaml`.
    Manifest {
        /// What stands in it.
        text: String,
    },
}

/// An instance that is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TakenOver {
    /// Its name.
    pub name: String,
    /// The config it had.
    pub from: String,
    /// The config it has from now on.
    pub config: String,
    /// Whether it runs now, and so goes on to.
    pub enabled: bool,
    /// How that is known.
    pub why: String,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is not taken over, or does not run, until a person decides.
    Open,
    /// It runs, in some way otherwise than before.
    Differs,
    /// Good to know; it runs as before.
    Note,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The instance, build or file it is about; several between commas.
    pub subject: String,
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    fn new(severity: Severity, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            severity,
            subject: subject.into(),
            what: what.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Decides what becomes of the old files.
pub fn migration(old: &Old) -> Migration {
    let mut migration = Migration::default();
    let mut findings = builds::findings(old);
    findings.extend(old.unread.iter().cloned());
    migration.steps.extend(builds::register(old, &mut findings));
    match &old.manifest {
        None => manifest::take_over(old, &mut migration, &mut findings),
        Some(known) => findings.extend(manifest::left_out(old, known.as_ref())),
    }
    migration.findings = joined(findings);
    migration
}

/// The findings in order, of those that say the same one for all subjects.
fn joined(findings: Vec<Finding>) -> Vec<Finding> {
    let mut same: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for finding in findings {
        let key = (finding.severity, finding.what, finding.hint);
        same.entry(key).or_default().insert(finding.subject);
    }
    let joined = same.into_iter().map(|((severity, what, hint), subjects)| {
        let subjects: Vec<String> = subjects.into_iter().collect();
        let subject = subjects.join(", ");
        Finding {
            severity,
            subject,
            what,
            hint,
        }
    });
    let mut findings: Vec<Finding> = joined.collect();
    findings.sort();
    findings
}
