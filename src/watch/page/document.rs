//! The page's one file, and the policy that lets its own two parts run and nothing else.

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The page: markup, style and script in one file.
pub(super) const PAGE: &str = include_str!("index.html");

/// `Content-Security-Policy`: the page's own style and script by their hashes, its own address to fetch from,
/// and no way to make markup of a text.
pub(super) fn policy() -> HeaderValue {
    let style = hash(part("<style>", "</style>"));
    let script = hash(part("<script>", "</script>"));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// What stands between two tags.
fn part(open: &str, close: &str) -> &'static str {
    let after = PAGE.split_once(open).map_or("", |(_, after)| after);
    after.split_once(close).map_or("", |(part, _)| part)
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}
