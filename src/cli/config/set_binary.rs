//! `config set-binary`: pins an instance to one build, by its version or by the id it is installed under.

use clap::Args;
use llama_orch::binaries;
use llama_orch::instance::{BinaryId, InstanceName};
use llama_orch::manifest::ReleaseRequest;
use llama_orch::manifest::edit::{Edit, WrittenPin};
use llama_orch::reconcile::Loaded;
use llama_orch::release::VariantRequest;

use crate::cli::diagnostic::{Failure, Kind};
use crate::cli::editing::{EditArgs, Editing, Wish};
use crate::cli::ui::Ui;
use crate::cli::{Global, among};

/// Pin an instance to a build: a version, or the id of an installed one
///
/// What named its build before goes; with an id, its version and variant are written as well, so that
/// machines that do not have it can install it under the same id.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SetBinaryArgs {
    /// The instance
    #[arg(value_name = "NAME")]
    name: InstanceName,
    /// `b9553`, `v0.9.0`, `stable`, `nightly`, the name of a build of your own, or an id from
    /// `binary list`, or its beginning
    #[arg(value_name = "UUID|VERSION")]
    binary: String,
    /// Which variant: `auto`, a family such as `cuda`, or a name such as `vulkan-x64`
    #[arg(long, value_name = "VARIANT")]
    variant: Option<VariantRequest>,
    #[command(flatten)]
    edit: EditArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch config set-binary chat b9553 --variant vulkan
  llama-orch config set-binary chat 3aecf5b8 --dry-run";

pub(crate) fn run(global: &Global, args: &SetBinaryArgs, ui: &Ui) -> Result<u8, Failure> {
    let editing = Editing::begin(global, &args.edit, "config set-binary", ui)?;
    among(std::slice::from_ref(&args.name), &editing.known())?;
    let mut pin = named(&args.binary, &editing.loaded)?;
    if let Some(variant) = &args.variant {
        pin.variant = Some(variant.to_string());
    }
    editing.run(&Wish::to(vec![Edit::Pin {
        instance: args.name.clone(),
        pin,
    }]))
}

/// The pin that a text stands for. What reads as a release is one, whatever ids begin with.
fn named(text: &str, loaded: &Loaded) -> Result<WrittenPin, Failure> {
    let by_version = || WrittenPin {
        version: Some(text.to_owned()),
        ..WrittenPin::default()
    };
    match text.parse::<ReleaseRequest>() {
        Ok(ReleaseRequest::Named(_)) => {}
        Ok(_) => return Ok(by_version()),
        Err(error) => return Err(Failure::of(Kind::Usage, &error)),
    }
    let entry = binaries::choose(&loaded.registry, text).map_err(|error| {
        let failure = Failure::of(Kind::Usage, &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    if entry.version == text && text.parse::<BinaryId>().is_err() {
        return Ok(by_version());
    }
    Ok(binaries::written_pin(entry, &loaded.manifest.source))
}
