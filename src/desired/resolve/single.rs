//! One pin by itself, and the newest builds there are: what verbs ask about that no instance does.
//!
//! The same rules as for an instance's pin. Neither what floating pins were locked to nor what
//! `auto` chose for instances counts here; that is up to whoever fills in what is known.

use super::{Known, Open, Resolver};
use crate::desired::{Answer, Question, Unanswered, WantedBinary};
use crate::instance::InstanceName;
use crate::manifest::{Pin, ReleaseRequest};
use crate::release::{Release, Tag, Variant, VariantRequest};

/// The newest build of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The stable release that names it, such as `v0.9.0`; `None` for a nightly, and where the
    /// source knows the build alone.
    pub release: Option<String>,
    /// The build.
    pub tag: Tag,
    /// The variant of it that was asked for, or why it has none.
    pub variant: Result<Variant, Unanswered>,
}

/// Resolves one pin as if an instance had it. With the build comes why `auto` chose its variant,
/// where that was left to it.
///
/// # Errors
/// What has to be asked first, or why it cannot be had.
pub fn resolve_pin(known: &Known<'_>, pin: &Pin) -> Result<(WantedBinary, Option<String>), Open> {
    let name = nobody();
    let mut resolver = Resolver::new(known);
    let binary = resolver.binary(&name, Some(pin))?;
    Ok((binary, resolver.why.remove(&name)))
}

/// The newest build that `request` leads to, and whether it has this variant. For `nightly`, the
/// newest one that has it, else the newest of all.
///
/// # Errors
/// What has to be asked first, or why there is no such build.
pub fn newest(
    known: &Known<'_>,
    request: &ReleaseRequest,
    variant: &VariantRequest,
) -> Result<Newest, Open> {
    let name = nobody();
    let pin = Pin {
        version: Some(request.clone()),
        variant: variant.clone(),
        binary_id: None,
        sha256: None,
        source_url: None,
    };
    let resolver = Resolver::new(known);
    let (release, tag) = match request {
        ReleaseRequest::Stable => match resolver.ask(Question::NewestStable, "`stable`")? {
            Answer::Stable { release, tag } => (release, tag),
            Answer::Tag(_) | Answer::Assets(_) | Answer::Releases(_) => {
                return Err(super::pin::mismatched(Question::NewestStable));
            }
        },
        ReleaseRequest::Nightly => match resolver.ask(Question::Recent, "`nightly`")? {
            Answer::Releases(releases) => {
                let with_it = resolver.newest_with(&name, &pin, &releases);
                (None, with_it.or_else(|why| first(&releases).ok_or(why))?)
            }
            Answer::Stable { .. } | Answer::Tag(_) | Answer::Assets(_) => {
                return Err(super::pin::mismatched(Question::Recent));
            }
        },
        other
        @ (ReleaseRequest::Tag(_) | ReleaseRequest::Version(_) | ReleaseRequest::Named(_)) => {
            return Err(Open::impossible(format!("`{other}` does not float"), None));
        }
    };
    let picked = resolver
        .release_of(&name, tag)
        .and_then(|release| resolver.pick(&name, &pin, &release));
    let variant = match picked {
        Ok(chosen) => Ok(chosen.variant),
        Err(Open::Never(why)) => Err(why),
        Err(ask @ Open::Ask(_)) => return Err(ask),
    };
    Ok(Newest {
        release,
        tag,
        variant,
    })
}

fn first(releases: &[Release]) -> Option<Tag> {
    releases.first().map(|release| release.tag)
}

/// A name that stands for no instance.
fn nobody() -> InstanceName {
    "pin".parse().expect("a name of our own is well formed")
}
