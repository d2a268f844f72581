//! The pin that leads to an installed build, here and on machines that do not have it.

use url::Url;

use crate::manifest::Source;
use crate::manifest::edit::WrittenPin;
use crate::registry::Entry;
use crate::release::github;

/// The pin of one installed build by its id. What did not come from a release of the source is named by
/// where it came from and what it hashes to as well.
pub fn written_pin(entry: &Entry, source: &Source) -> WrittenPin {
    let url = entry.download_url.as_deref().and_then(|url| {
        let parsed: Url = url.parse().ok()?;
        let is_elsewhere =
            matches!(parsed.scheme(), "https" | "http") && !github::is_release_of(source, &parsed);
        (is_elsewhere && entry.digest().is_some()).then(|| url.to_owned())
    });
    let variant = Some(entry.variant.short()).filter(|variant| variant != "unknown");
    WrittenPin {
        version: Some(entry.version.clone()),
        variant,
        binary_id: Some(entry.id.to_string()),
        sha256: url
            .as_ref()
            .and(entry.digest())
            .map(|digest| digest.to_string()),
        source_url: url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_from_elsewhere_is_named_by_its_address_and_digest_as_well() {
        let entry = |url: &str| -> Entry {
            let entry = serde_json::json!({
                "id": "5cf01664-31fb-a1f7-c8d4-631b430848e3", "version": "b9001", "variant": "ubuntu-x64",
                "download_url": url, "sha256": "a".repeat(64), "path": "x",
            });
            serde_json::from_value(entry).expect("an entry")
        };
        let source = Source::default();
        let fork = "https://github.com/me/llama.cpp/releases/download/b9001/llama.tar.gz";
        let pin = written_pin(&entry(fork), &source);
        assert_eq!(pin.source_url.as_deref(), Some(fork));
        assert_eq!(pin.sha256, Some("a".repeat(64)));
        let own = "https://github.com/ggml-org/llama.cpp/releases/download/b9001/llama.tar.gz";
        for known in [own, "self-compiled", "C:\\builds"] {
            let pin = written_pin(&entry(known), &source);
            assert_eq!((pin.source_url, pin.sha256), (None, None), "{known}");
            assert_eq!(pin.version.as_deref(), Some("b9001"));
        }
    }
}
