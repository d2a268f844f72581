//! What is remembered of a clone from one pass to the next: as references of the clone, outside the work tree,
//! so that no tidying up loses them and git keeps the commits. Several roots in one clone have their own.

use std::fmt::Write as _;

use super::clone::Clone;
use super::error::GitError;

/// A commit that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The last one a pass was carried out on.
    Applied,
    /// The last one that was carried out while every commit had to be signed.
    Verified,
}

impl Kept {
    const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Verified => "verified",
        }
    }
}

impl Clone {
    pub(super) async fn kept(&self, kept: Kept) -> Result<Option<String>, GitError> {
        self.reference(&self.kept_name(kept)).await
    }

    /// Keeps a commit in place of another one, unless somebody else has done so meanwhile.
    pub(super) async fn keep(
        &self,
        kept: Kept,
        new: &str,
        old: Option<&str>,
    ) -> Result<(), GitError> {
        let name = self.kept_name(kept);
        let message = format!("llama-orch: {}", kept.word());
        let keep = ["update-ref", "-m", &message, "--create-reflog", &name];
        let commits = [new, old.unwrap_or_default()];
        self.git.change(&[&keep[..], &commits].concat()).await
    }

    fn kept_name(&self, kept: Kept) -> String {
        let mut name = String::from("root");
        for part in self.prefix.split('/').filter(|part| !part.is_empty()) {
            name.push('+');
            for byte in part.bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                        name.push(char::from(byte));
                    }
                    // Not everything a folder can be called can a reference be.
                    other => {
                        let _ = write!(name, "%{other:02X}");
                    }
                }
            }
        }
        format!("refs/llama-orch/{name}/{}", kept.word())
    }
}
