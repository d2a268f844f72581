//! `upgrade`: pins instances to another build, in the file in which their pin is written.

use clap::Args;
use llama_orch::instance::InstanceName;
use llama_orch::manifest::edit::{Edit, WrittenPin};
use llama_orch::manifest::{Pin, ReleaseRequest};
use llama_orch::release::{Tag, VariantRequest};

use super::diagnostic::{Failure, Kind};
use super::editing::{EditArgs, Editing, Wish};
use super::ui::Ui;
use super::{Global, Selection};

/// Pin instances to another build, the newest stable one where none is named
///
/// Changes the pin where it is written, in orchestrator.yaml or the instance's config.json, and applies
/// that: the build is installed while the old servers still answer, and a server that fails its gate is
/// rolled back. A pin that floats (`stable`, `nightly`) stays as it is written and moves in
/// orchestrator.lock.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpgradeArgs {
    #[command(flatten)]
    instances: Selection,
    /// To this one: `b9553`, `v0.9.0`, `stable`, `nightly`, or the name of a build of your own
    #[arg(long, value_name = "VERSION")]
    binary_version: Option<ReleaseRequest>,
    /// To this variant: `auto`, a family such as `cuda`, or a name such as `vulkan-x64`
    #[arg(long, value_name = "VARIANT")]
    variant: Option<VariantRequest>,
    #[command(flatten)]
    edit: EditArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch upgrade chat
  llama-orch upgrade chat --binary-version b9553 --dry-run
  llama-orch upgrade --tag gpu0 --reason 'the fix of #28186'";

pub(crate) fn run(global: &Global, args: &UpgradeArgs, ui: &Ui) -> Result<u8, Failure> {
    let editing = Editing::begin(global, &args.edit, "upgrade", ui)?;
    let known = editing.known();
    let names = args
        .instances
        .among(&known, Some(&editing.loaded.manifest))?;
    let mut wish = Wish::default();
    let mut newest = None;
    for name in &names {
        let instance = &editing.loaded.manifest.instances[name];
        let pin = instance.binary.as_ref();
        let to = match &args.binary_version {
            Some(version) => To::Version(version.to_string()),
            None => match choose(&editing, name, pin, &mut newest)? {
                To::Nothing(why) if args.variant.is_none() => {
                    ui.remark(why);
                    continue;
                }
                to => to,
            },
        };
        let variant = args.variant.as_ref().map(ToString::to_string);
        let version = match to {
            To::Moved => {
                wish.moved.insert(name.clone());
                None
            }
            To::Version(version) => Some(version),
            To::Nothing(_) => None,
        };
        if version.is_none() && variant.is_none() {
            continue;
        }
        let pinned = pin.and_then(|pin| pin.version.as_ref());
        let version = version.or_else(|| pinned.map(ToString::to_string));
        wish.edits.push(Edit::Pin {
            instance: name.clone(),
            pin: WrittenPin {
                version,
                variant,
                ..WrittenPin::default()
            },
        });
    }
    if wish.is_empty() {
        return Ok(0);
    }
    editing.run(&wish)
}

/// What an instance is to be pinned to.
enum To {
    /// Another version in the file.
    Version(String),
    /// The same, which is resolved anew.
    Moved,
    /// What it is pinned to already.
    Nothing(String),
}

/// The newest stable build, in the words of the pin that it replaces.
fn choose(
    editing: &Editing<'_>,
    name: &InstanceName,
    pin: Option<&Pin>,
    newest: &mut Option<(Option<String>, Tag)>,
) -> Result<To, Failure> {
    let version = pin.and_then(|pin| pin.version.as_ref());
    match version {
        Some(ReleaseRequest::Stable | ReleaseRequest::Nightly) => return Ok(To::Moved),
        Some(ReleaseRequest::Named(build)) => {
            let message = format!("`{name}` is pinned to `{build}`, which is no llama.cpp release");
            let hint = "name the build it is to run with `--binary-version`";
            return Err(Failure::new(Kind::Failed, message).hint(hint));
        }
        Some(ReleaseRequest::Tag(_) | ReleaseRequest::Version(_)) | None => {}
    }
    if newest.is_none() {
        *newest = Some(newest_stable(editing)?);
    }
    let Some((release, tag)) = newest.as_ref() else {
        return Ok(To::Moved);
    };
    Ok(match (version, release) {
        (Some(ReleaseRequest::Tag(current)), _) if current == tag => To::Nothing(format!(
            "`{name}` is pinned to {tag}, the newest stable build, already"
        )),
        (Some(ReleaseRequest::Tag(current)), _) if current > tag => To::Nothing(format!(
            "`{name}` is pinned to {current}, which is newer than {tag}, the newest stable build; `--binary-version` goes anywhere"
        )),
        (Some(ReleaseRequest::Version(current)), Some(release)) => {
            if current.to_string() == *release {
                To::Nothing(format!(
                    "`{name}` is pinned to {release}, the newest stable release, already"
                ))
            } else {
                To::Version(release.clone())
            }
        }
        _ => To::Version(tag.to_string()),
    })
}

/// The newest stable release, where it has a name, and the build it leads to.
pub(super) fn newest_stable(editing: &Editing<'_>) -> Result<(Option<String>, Tag), Failure> {
    let source = editing.source();
    let latest = editing
        .loaded
        .latest(&source, VariantRequest::Auto, editing.terms());
    let latest = editing.runtime.block_on(latest);
    let unreachable = latest.unreachable();
    match latest.stable {
        Ok(newest) => Ok((newest.release, newest.tag)),
        Err(why) => {
            let kind = if unreachable {
                Kind::Unreachable
            } else {
                Kind::Failed
            };
            let message = "cannot tell which build is the newest stable one".to_owned();
            let failure = Failure::new(kind, message).because(&why);
            let hint = "name a build with `--binary-version`";
            Err(failure.hint(match why.hint() {
                Some(other) => format!("{hint}, or {other}"),
                None => hint.to_owned(),
            }))
        }
    }
}
