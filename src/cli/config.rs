//! `config`: what the files say once they are merged, whether they are right, and their schemas.

mod set_binary;

use clap::{Subcommand, ValueEnum};
use llama_orch::instance::InstanceName;
use llama_orch::manifest::show::document::{self, ShownInstances};
use llama_orch::manifest::show::show;
use llama_orch::manifest::{self, Manifest};
use llama_orch::reconcile::{LoadError, read_texts};
use llama_orch::{
    binaries, describe, doctor, health, history, migrate, plan, reconcile, status, watch,
};

use super::diagnostic::Failure;
use super::ui::Ui;
use super::{Global, among};

/// Show, check or edit what the files say
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print instances as they are after merging, and where each value was written
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Only this instance
        name: Option<InstanceName>,
        /// Print it as JSON (`config schema config-show` prints its schema)
        #[arg(long)]
        json: bool,
    },
    SetBinary(set_binary::SetBinaryArgs),
    /// Check orchestrator.yaml and every config.json
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate,
    /// Print a JSON Schema: of orchestrator.yaml, or of what a verb prints with --json
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema {
        /// Of what
        #[arg(value_enum, default_value_t = SchemaOf::Manifest)]
        of: SchemaOf,
    },
}

const SHOW_EXAMPLES: &str = "\
Examples:
  llama-orch config show
  llama-orch config show chat
  llama-orch config show --json | jq '.instances[].values.server.port'";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  llama-orch config validate && git commit --all";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  llama-orch config schema > orchestrator.schema.json
  llama-orch config schema status

In an editor:
  The first command, and this as the first line of orchestrator.yaml, make an
  editor that knows the YAML language server complete and check it:

  # yaml-language-server: $schema=orchestrator.schema.json";

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// orchestrator.yaml
    Manifest,
    /// plan --json
    Plan,
    /// status --json
    Status,
    /// /status.json of watch --listen
    Snapshot,
    /// describe --json
    Describe,
    /// health --json
    Health,
    /// A line of history --json
    History,
    /// A line of events --json
    Events,
    /// What notify.command gets on its standard input
    Notice,
    /// config show --json
    ConfigShow,
    /// update --json
    Update,
    /// doctor --json
    Doctor,
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
        ConfigCommand::SetBinary(args) => return set_binary::run(global, args, ui),
        ConfigCommand::Show { name, json } => {
            let manifest = parse(global)?;
            let known = manifest.instances.keys().cloned().collect();
            let names = match name {
                Some(name) => among(std::slice::from_ref(name), &known)?,
                None => known,
            };
            if *json {
                let instances = manifest.instances.iter();
                let shown = instances.filter(|(name, _)| names.contains(*name));
                let shown = ShownInstances::of(shown);
                ui.data(serde_json::to_string_pretty(&shown).unwrap_or_default());
                return Ok(0);
            }
            for name in &names {
                let Some(instance) = manifest.instances.get(name) else {
                    continue;
                };
                let shown = show(name, instance);
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
                SchemaOf::Snapshot => watch::snapshot::schema(),
                SchemaOf::Describe => describe::schema(),
                SchemaOf::Health => health::schema(),
                SchemaOf::History => history::schema(),
                SchemaOf::Events => history::event_schema(),
                SchemaOf::Notice => watch::notice::schema(),
                SchemaOf::ConfigShow => document::schema(),
                SchemaOf::Update => reconcile::update::schema(),
                SchemaOf::Doctor => doctor::schema(),
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
