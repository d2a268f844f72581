//! A root whose files a watch takes from git: whatever else would write them leaves them alone.

use llama_orch::observed::Seen;
use llama_orch::root::Root;
use llama_orch::watch::alive;

use super::diagnostic::{Failure, Kind};

/// Whether a watch keeps the files of this root as git has them.
pub(super) fn is_followed(root: &Root) -> bool {
    !matches!(alive::following(root), Seen::Known(None))
}

/// Refuses a verb that writes files which a watch takes from git.
pub(super) fn refuse(root: &Root, verb: &str) -> Result<(), Failure> {
    let git = match alive::following(root) {
        Seen::Known(None) => return Ok(()),
        Seen::Known(Some(git)) => git,
        Seen::Unknown(why) => {
            let message =
                format!("cannot tell whether `llama-orch watch` takes these files from git: {why}");
            return Err(Failure::new(Kind::Failed, message)
                .hint("`llama-orch watch suspend` lets you edit them"));
        }
    };
    let (branch, remote) = (git.branch, git.remote);
    let message = format!(
        "`llama-orch {verb}` would edit files that `llama-orch watch` keeps as `{branch}` of {remote} has them"
    );
    Err(Failure::new(Kind::Failed, message)
        .hint("edit them in a clone of your own, commit and push: watch takes it from there")
        .hint("to edit here all the same, `llama-orch watch suspend` first"))
}
