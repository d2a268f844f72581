//! `upgrade`: pins instances to another build, in the file in which their pin is written.

use std::fmt::Display;

use clap::Args;
use llama_orch::instance::InstanceName;
use llama_orch::manifest::edit::{Edit, WrittenPin};
use llama_orch::manifest::{Pin, ReleaseRequest};
use llama_orch::release::{Tag, VariantRequest, Version};

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
    let manifest = &editing.loaded.manifest;
    let names = args.instances.among(&editing.known(), Some(manifest))?;
    let pins = names
        .iter()
        .map(|name| (name, manifest.instances[name].binary.as_ref()));
    let pins: Vec<(&InstanceName, Option<&Pin>)> = pins.collect();
    let asks = args.binary_version.is_none() && pins.iter().any(|(_, pin)| is_fixed(*pin));
    let newest = asks.then(|| newest_stable(&editing)).transpose()?;
    let variant = args.variant.as_ref().map(ToString::to_string);
    let mut wish = Wish::default();
    for (name, pin) in pins {
        let written = pin.and_then(|pin| pin.version.as_ref());
        let to = match &args.binary_version {
            Some(version) => To::Version(version.to_string()),
            None => choose(pin, newest.as_ref()),
        };
        let version = match to {
            To::Moved => {
                wish.moved.insert(name.clone());
                None
            }
            To::Version(version) => Some(version),
            To::Nothing(why) => {
                if variant.is_none() {
                    ui.remark(format_args!("`{name}` is pinned to {why}"));
                }
                None
            }
            To::Unknown(build) => {
                let message =
                    format!("`{name}` is pinned to `{build}`, which is no release of the source");
                let hint = "name the build it is to run with `--binary-version`";
                if args.instances.spells_out(name) {
                    return Err(Failure::new(Kind::Failed, message).hint(hint));
                }
                ui.remark(message);
                continue;
            }
        };
        if version.is_none() && variant.is_none() {
            continue;
        }
        wish.edits.push(Edit::Pin {
            instance: name.clone(),
            pin: WrittenPin {
                version: version.or_else(|| written.map(ToString::to_string)),
                variant: variant.clone(),
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
    /// What it is pinned to already, and why that stays.
    Nothing(String),
    /// Nobody knows: it runs a build from elsewhere.
    Unknown(String),
}

/// Whether a pin names one build of the source, or none at all.
fn is_fixed(pin: Option<&Pin>) -> bool {
    matches!(choose(pin, None), To::Version(_))
}

/// The newest stable build in the words of the pin that it replaces; without one, whether a pin is to be
/// replaced at all.
fn choose(pin: Option<&Pin>, newest: Option<&NewestStable>) -> To {
    let version = pin.and_then(|pin| pin.version.as_ref());
    if pin.is_some_and(|pin| pin.source_url.is_some()) {
        let build = version.map_or_else(|| "its URL".to_owned(), ToString::to_string);
        return To::Unknown(build);
    }
    let Some(newest) = newest else {
        return match version {
            Some(ReleaseRequest::Stable | ReleaseRequest::Nightly) => To::Moved,
            Some(ReleaseRequest::Named(build)) => To::Unknown(build.to_string()),
            Some(ReleaseRequest::Tag(_) | ReleaseRequest::Version(_)) | None => {
                To::Version(String::new())
            }
        };
    };
    let NewestStable { release, tag } = newest;
    match (version, release) {
        (Some(ReleaseRequest::Stable | ReleaseRequest::Nightly), _) => To::Moved,
        (Some(ReleaseRequest::Named(build)), _) => To::Unknown(build.to_string()),
        (Some(ReleaseRequest::Tag(current)), _) if current >= tag => {
            To::Nothing(stays(current, tag, current == tag))
        }
        (Some(ReleaseRequest::Version(current)), Some(release)) if current >= release => {
            To::Nothing(stays(current, release, current == release))
        }
        (Some(ReleaseRequest::Version(_)), Some(release)) => To::Version(release.to_string()),
        _ => To::Version(tag.to_string()),
    }
}

fn stays(current: impl Display, newest: impl Display, is_it: bool) -> String {
    if is_it {
        format!("{newest}, the newest stable build, already")
    } else {
        format!(
            "{current}, which is newer than {newest}, the newest stable build; `--binary-version` goes anywhere"
        )
    }
}

/// The newest stable build.
pub(super) struct NewestStable {
    /// The release that leads to it, where it has a name of its own.
    pub(super) release: Option<Version>,
    /// The build.
    pub(super) tag: Tag,
}

/// Asks the source for it.
pub(super) fn newest_stable(editing: &Editing<'_>) -> Result<NewestStable, Failure> {
    let source = editing.source();
    let latest = editing
        .loaded
        .latest(&source, VariantRequest::Auto, editing.terms());
    let latest = editing.runtime.block_on(latest);
    let unreachable = latest.unreachable();
    match latest.stable {
        Ok(newest) => Ok(NewestStable {
            release: newest.release.and_then(|release| release.parse().ok()),
            tag: newest.tag,
        }),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(version: &str, url: Option<&str>) -> Pin {
        Pin {
            version: Some(version.parse().expect("a version")),
            variant: VariantRequest::Auto,
            binary_id: None,
            sha256: None,
            source_url: url.map(|url| url.parse().expect("a URL")),
        }
    }

    #[test]
    fn a_pin_goes_forth_in_its_own_words_and_never_back() {
        let newest = NewestStable {
            release: Some("v0.9.0".parse().expect("a version")),
            tag: Tag::new(9553),
        };
        let url = Some("https://example.org/fork.tar.gz");
        for (written, url, becomes) in [
            ("b9414", None, "to b9553"),
            ("v0.8.0", None, "to v0.9.0"),
            ("stable", None, "moved"),
            ("nightly", None, "moved"),
            ("b9553", None, "stays"),
            ("b9600", None, "stays"),
            ("v0.9.0", None, "stays"),
            ("v0.10.0", None, "stays"),
            ("own-7", None, "unknown"),
            // A fork calls its builds as it likes.
            ("b9414", url, "unknown"),
        ] {
            let to = match choose(Some(&pin(written, url)), Some(&newest)) {
                To::Version(version) => format!("to {version}"),
                To::Moved => "moved".to_owned(),
                To::Nothing(_) => "stays".to_owned(),
                To::Unknown(_) => "unknown".to_owned(),
            };
            assert_eq!(to, becomes, "{written} {url:?}");
        }
        assert!(matches!(choose(None, Some(&newest)), To::Version(tag) if tag == "b9553"));
    }
}
