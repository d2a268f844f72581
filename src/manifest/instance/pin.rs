//! Reads `binary`: the build an instance is pinned to.

use crate::manifest::decode::{Fault, Section};
use crate::manifest::node::Node;
use crate::manifest::value::{line, parsed, url};
use crate::manifest::{Origin, Pin, ReleaseRequest};
use crate::release::{BuildName, VariantRequest};

/// Takes the fields of a pin. `None` where nothing names a build and nobody asked for one here.
pub(super) fn read_pin(fields: &mut Section<'_, '_, '_>, whole_instance: bool) -> Option<Pin> {
    let version = fields.get("version", parsed);
    let variant = fields.get("variant", variant);
    let binary_id = fields.get("binary_id", parsed);
    let sha256 = fields.get("sha256", parsed);
    let source_url = fields.get("source_url", url);

    let known_elsewhere = fields.node("binary_id").is_some() || fields.node("source_url").is_some();
    if let Some(ReleaseRequest::Named(name)) = &version
        && !known_elsewhere
        && let Some(meant) = meant_release(name)
    {
        let message = format!("`version` wants a build or a release, not `{name}`");
        fields.wrong("version", message, format!("did you mean `{meant}`?"));
    }
    let any = ["version", "binary_id", "sha256", "source_url"];
    let names_build = any.iter().any(|key| fields.origin_of(key).is_some());
    if !names_build && fields.origin_of("variant") != Some(Origin::Inline) {
        return None;
    }
    let named = fields.node("version").is_some() || fields.node("binary_id").is_some();
    if whole_instance && !named {
        fields.wrong(
            "",
            "`binary` names no build",
            "write `version: stable`, a build such as `version: b9553`, or a `binary_id`",
        );
    } else if whole_instance && source_url.is_some() && fields.node("version").is_none() {
        fields.wrong(
            "source_url",
            "`source_url` needs a `version`",
            "it is what the build is called",
        );
    }
    let variant = variant.unwrap_or(VariantRequest::Auto);
    Some(Pin {
        version,
        variant,
        binary_id,
        sha256,
        source_url,
    })
}

/// What a name that looks like half of a tag or version was meant to be.
fn meant_release(name: &BuildName) -> Option<String> {
    let text = name.as_str();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits(text) {
        Some(format!("b{text}"))
    } else if text.split('.').count() == 3 && text.split('.').all(digits) {
        Some(format!("v{text}"))
    } else if text.strip_prefix('B').is_some_and(digits) {
        Some(text.to_ascii_lowercase())
    } else {
        None
    }
}

fn variant(node: &Node) -> Result<VariantRequest, Fault> {
    let name = line(node)?;
    if name == "auto" {
        return Ok(VariantRequest::Auto);
    }
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    if name.len() > 64 || !name.bytes().all(plain) {
        return Err(Fault::wants(
            "`auto` or a variant such as `vulkan` or `cuda-13`",
            node,
        ));
    }
    Ok(VariantRequest::Named(name))
}
