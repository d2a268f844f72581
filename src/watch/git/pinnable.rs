//! Which commits a clone can be pinned to: those of the branch it follows.

use super::clone::Tracking;
use super::judge::{Ancestry, Upstream};
use super::{Checkout, GitError, Options, hold};
use crate::root::Root;

/// The commit that `name` stands for, where a clone can be held at it: one of the branch's history there.
///
/// # Errors
/// It is unknown, or not in that history.
pub async fn pinnable(root: &Root, name: &str) -> Result<(String, String), GitError> {
    let checkout = Checkout::open(root, Options::default()).await?;
    let Some(tracking) = checkout.tracking.clone() else {
        return Err(GitError::NoUpstream);
    };
    let mut found = checkout.find_there(&tracking, name).await;
    // What was pushed a moment ago is not known here yet.
    if matches!(
        found,
        Err(GitError::UnknownCommit(_) | GitError::NotThere { .. })
    ) && checkout.fetching().await.is_ok()
    {
        found = checkout.find_there(&tracking, name).await;
    }
    found
}

impl Checkout {
    /// A commit of the branch there, and the first line of its message.
    async fn find_there(
        &self,
        tracking: &Tracking,
        name: &str,
    ) -> Result<(String, String), GitError> {
        let clone = &self.clone;
        let commit = clone.reference(name).await?;
        let commit = commit.ok_or_else(|| GitError::UnknownCommit(name.to_owned()))?;
        let there = match clone.upstream(Some(tracking)).await? {
            Upstream::At(there) => clone.descends(&there, &commit).await?,
            Upstream::None | Upstream::Unseen => Ancestry::Unknown,
        };
        match there {
            Ancestry::Yes => Ok((commit.clone(), clone.subject(&commit).await?)),
            Ancestry::No => Err(GitError::NotThere {
                commit: hold::short(&commit).to_owned(),
                branch: tracking.branch().to_owned(),
            }),
            Ancestry::Unknown => Err(GitError::Untold(name.to_owned())),
        }
    }
}
