//! `config`: what the files say once they are merged, whether they are right, and their schemas.

use clap::{Subcommand, ValueEnum};
use llama_orch::instance::InstanceName;
use llama_orch::manifest::{self, Manifest};
use llama_orch::reconcile::{LoadError, read_texts};
use llama_orch::{binaries, describe, health, history, migrate, plan, status};

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, among};

/// Show or check what the files say
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print instances as they are after merging, and where each value was written
    Show {
        /// Only this instance
        name: Option<InstanceName>,
    },
    /// Check orchestrator.yaml and every config.json
    Validate,
    /// Print a JSON Schema
    Schema {
        /// Of what
        #[arg(value_enum, default_value_t = SchemaOf::Manifest)]
        of: SchemaOf,
    },
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// orchestrator.yaml
    Manifest,
    /// plan --json
    Plan,
    /// status --json
    Status,
    /// describe --json
    Describe,
    /// health --json
    Health,
    /// A line of history --json
    History,
    /// binary list --json
    BinaryList,
    /// binary info --json
    BinaryInfo,
    /// binary latest --json
    BinaryLatest,
    /// binary install --json and binary register --json
    BinaryInstall,
    /// binary verify --json
    BinaryVerify,
    /// migrate --json
    Migrate,
}

pub(crate) fn run(global: &Global, command: &ConfigCommand, ui: &Ui) -> Result<u8, Failure> {
    match command {
        ConfigCommand::Show { name } => {
            let manifest = parse(global)?;
            let known = manifest.instances.keys().cloned().collect();
            let names = match name {
                Some(name) => among(std::slice::from_ref(name), &known)?,
                None => known,
            };
            for name in &names {
                let Some(instance) = manifest.instances.get(name) else {
                    continue;
                };
                let shown = manifest::show(name, instance);
                if names.len() == 1 {
                    ui.data(shown.trim_end());
                } else {
                    ui.data(format_args!(
                        "{name}:\n{}",
                        textwrap::indent(shown.trim_end(), "  ")
                    ));
                }
            }
        }
        ConfigCommand::Validate => {
            let manifest = parse(global)?;
            let count = manifest.instances.len();
            let noun = if count == 1 { "instance" } else { "instances" };
            ui.data(format_args!("orchestrator.yaml is right: {count} {noun}"));
        }
        ConfigCommand::Schema { of } => {
            let schema = match of {
                SchemaOf::Manifest => manifest::schema::schema(),
                SchemaOf::Plan => plan::json::schema(),
                SchemaOf::Status => status::schema(),
                SchemaOf::Describe => describe::schema(),
                SchemaOf::Health => health::schema(),
                SchemaOf::History => history::schema(),
                SchemaOf::BinaryList => binaries::list_schema(),
                SchemaOf::BinaryInfo => binaries::info_schema(),
                SchemaOf::BinaryLatest => binaries::latest_schema(),
                SchemaOf::BinaryInstall => binaries::installed_schema(),
                SchemaOf::BinaryVerify => binaries::verified_schema(),
                SchemaOf::Migrate => migrate::schema(),
            };
            ui.data(serde_json::to_string_pretty(&schema).unwrap_or_default());
        }
    }
    Ok(0)
}

fn parse(global: &Global) -> Result<Manifest, Failure> {
    let root = global.find_root()?;
    let texts = read_texts(&root)?;
    Ok(Manifest::parse(&texts).map_err(LoadError::from)?)
}
