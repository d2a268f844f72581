//! A root that is a clone, kept at its branch: fetches, judges, moves forward, and remembers outside the
//! work tree which commit was last carried out.
//!
//! What becomes of the clone is decided by [`judge::judge`], in values. Nothing here fails loudly: what is
//! wrong stands in the state, and the servers run on. When to fetch is the loop's to say.

mod clone;
mod error;
pub mod hold;
pub mod judge;
mod kept;
mod pinnable;
mod program;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::brake::Brake;
use super::snapshot::{GitHoldState, GitState};
use crate::root::Root;
use clone::{Clone as Repository, Head, Tracking};
pub use error::GitError;
use hold::{Hold, Place};
use judge::{Ancestry, Decision, Facts, Judgement, PinnedAt, Range, Upstream, Verdict};
use kept::Kept;
pub use pinnable::pinnable;

/// The most intervals between two fetches, however often they failed.
const MOST_INTERVALS: u32 = 10;
/// How far an interval is stretched or shortened by chance.
const JITTER: f64 = 0.1;

/// What a clone is kept by. Never what stands in the clone itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether every commit has to be signed by somebody git trusts.
    pub verify: bool,
}

/// A clone that is kept at its branch.
#[derive(Debug)]
pub struct Checkout {
    clone: Repository,
    options: Options,
    tracking: Option<Tracking>,
    state: GitState,
    brake: Brake,
    /// Fetches that failed in a row.
    failed_fetches: u32,
    /// Whether the files that lie there may be gone by.
    usable: bool,
    /// The commit a pass last went by.
    looked_at: Option<String>,
    /// Ranges whose signatures were good.
    verified: Vec<Range>,
}

/// What came of a fetch.
#[derive(Debug)]
#[must_use = "it is told to the clone by `fetched`"]
pub struct FetchResult(Result<(), GitError>);

impl FetchResult {
    /// Whether it came to its end.
    pub const fn is_ok(&self) -> bool {
        self.0.is_ok()
    }
}

impl Checkout {
    /// The clone a root is in. Whatever else is wrong with it is a hold.
    ///
    /// # Errors
    /// There is no git, the root is in no clone, or that has no commit.
    pub async fn open(root: &Root, options: Options) -> Result<Self, GitError> {
        let clone = Repository::find(root).await?;
        let head = clone.head().await?;
        let head = head.ok_or_else(|| GitError::NoCommit(root.path().to_owned()))?;
        let mut checkout = Self {
            state: GitState {
                remote: String::new(),
                branch: String::new(),
                commit: head.commit.clone(),
                subject: head.subject.clone(),
                applied: clone.kept(Kept::Applied).await?,
                upstream: None,
                fetched_at: None,
                fetch_error: None,
                hold: None,
                pinned: None,
                verifies: options.verify,
            },
            clone,
            options,
            tracking: None,
            brake: Brake::default(),
            failed_fetches: 0,
            usable: false,
            looked_at: None,
            verified: Vec::new(),
        };
        checkout.follow(&head).await?;
        Ok(checkout)
    }

    /// What there is to see of it.
    pub const fn state(&self) -> &GitState {
        &self.state
    }

    /// A fetch: reaches the network and changes no file, and is told to [`Self::fetched`].
    pub fn fetching(&self) -> impl Future<Output = FetchResult> + Send + use<> {
        let clone = self.clone.clone();
        let tracking = self.tracking.clone();
        async move {
            FetchResult(match tracking {
                Some(tracking) => clone.fetch(tracking).await,
                None => Ok(()),
            })
        }
    }

    /// Takes note of a fetch.
    pub fn fetched(&mut self, result: FetchResult, now: Timestamp) {
        match result.0 {
            Ok(()) => {
                self.failed_fetches = 0;
                self.state.fetch_error = None;
                self.state.fetched_at = Some(now.to_string());
            }
            Err(error) => {
                self.failed_fetches = self.failed_fetches.saturating_add(1);
                self.state.fetch_error = Some(crate::history::chain(&error));
            }
        }
    }

    /// How long until the next fetch: the interval, a tenth more or less as `jitter` between 0 and 1 has it,
    /// twice as long after each failure, ten intervals at most.
    pub fn next_fetch_in(&self, interval: Duration, jitter: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failed_fetches);
        let stretch = 1.0 + JITTER * (2.0 * jitter.clamp(0.0, 1.0) - 1.0);
        interval
            .saturating_mul(doubled.min(MOST_INTERVALS))
            .mul_f64(stretch)
    }

    /// Judges what is known and moves the work tree to where it is to be. Whether another commit lies there
    /// now than was known of before.
    pub async fn advance(&mut self, brake: &Brake, now: Timestamp) -> bool {
        self.brake = brake.clone();
        let was = self.state.commit.clone();
        match self.move_on().await {
            Ok(decision) => self.tell(decision, now),
            Err(error) => self.lose(&error, now),
        }
        self.state.commit != was
    }

    /// Looks at the work tree anew, without moving it, when a pass begins. Whether that may go by the files that
    /// lie there.
    pub async fn look(&mut self, now: Timestamp) -> bool {
        match self.consider().await {
            Ok((decision, _)) => self.tell(decision, now),
            Err(error) => self.lose(&error, now),
        }
        self.looked_at = self.usable.then(|| self.state.commit.clone());
        self.usable
    }

    /// Keeps the commit that was last looked at as the one a pass was carried out on; another one may lie there
    /// by now. It goes forward only, unless a person pinned it.
    pub async fn applied(&mut self) -> Result<(), GitError> {
        let old = self.clone.kept(Kept::Applied).await?;
        self.state.applied.clone_from(&old);
        let Some(head) = self.looked_at.clone() else {
            return Ok(());
        };
        if self.options.verify {
            self.keep_verified(old.as_deref().unwrap_or(&head)).await?;
            self.keep_verified(&head).await?;
        }
        if old.as_ref() == Some(&head) {
            return Ok(());
        }
        let pin = self.brake.pinned.as_ref();
        let is_pinned = pin.is_some_and(|pin| pin.commit == head);
        if let Some(old) = &old
            && !is_pinned
            && self.clone.descends(&head, old).await? != Ancestry::Yes
        {
            return Ok(());
        }
        self.clone
            .keep(Kept::Applied, &head, old.as_deref())
            .await?;
        self.state.applied = Some(head);
        Ok(())
    }

    /// Keeps a commit as verified, unless a later one is.
    async fn keep_verified(&self, commit: &str) -> Result<(), GitError> {
        let old = self.clone.kept(Kept::Verified).await?;
        if let Some(old) = &old
            && self.clone.descends(old, commit).await? == Ancestry::Yes
        {
            return Ok(());
        }
        self.clone
            .keep(Kept::Verified, commit, old.as_deref())
            .await
    }

    /// Judges, moves, and judges what has come of that.
    async fn move_on(&mut self) -> Result<Decision, GitError> {
        let (decision, _) = self.consider().await?;
        let (to, moved) = match decision {
            Decision::Forward(to) => (to.clone(), self.clone.forward(&to).await),
            Decision::Pin(to) => (to.clone(), self.clone.reset(&to).await),
            other => return Ok(other),
        };
        let (decision, _) = self.consider().await?;
        Ok(match moved {
            Err(error) if self.state.commit != to => Decision::Hold(Hold::NotMoved {
                to,
                words: words_of(&error),
            }),
            _ => decision,
        })
    }

    /// Finds out what there is to know, and decides.
    async fn consider(&mut self) -> Result<(Decision, Facts), GitError> {
        let head = self.clone.head().await?;
        let head = head.ok_or_else(|| GitError::NoCommit(self.clone.folder().to_owned()))?;
        self.follow(&head).await?;
        let mut facts = self.facts(head).await?;
        loop {
            let Judgement { decision, usable } = judge::judge(&facts);
            let Decision::Verify(range) = decision else {
                self.usable = usable;
                return Ok((decision, facts));
            };
            let verdict = if self.verified.contains(&range) {
                Verdict::Good
            } else {
                self.clone.signatures(&range).await?
            };
            // Who is trusted may change, so a bad one is asked about again.
            if verdict == Verdict::Good {
                self.verified.retain(|known| known.to != range.to);
                self.verified.push(range.clone());
                let surplus = self.verified.len().saturating_sub(8);
                self.verified.drain(..surplus);
            }
            facts.verdicts.insert(range, verdict);
        }
    }

    async fn facts(&self, head: Head) -> Result<Facts, GitError> {
        let clone = &self.clone;
        let upstream = clone.upstream(self.tracking.as_ref()).await?;
        let there = match &upstream {
            Upstream::At(commit) => Some(commit.as_str()),
            Upstream::None | Upstream::Unseen => None,
        };
        let is_there = async |commit: &str| match there {
            Some(there) => clone.descends(there, commit).await,
            None => Ok(Ancestry::Unknown),
        };
        let head_there = is_there(&head.commit).await?;
        let head_was_there = match &self.tracking {
            Some(tracking) if head_there == Ancestry::No => {
                clone.was_there(tracking, &head.commit).await?
            }
            _ => head_there == Ancestry::Yes,
        };
        let applied = clone.kept(Kept::Applied).await?;
        let (mut applied_there, mut applied_below) = (Ancestry::Unknown, Ancestry::Unknown);
        if let Some(applied) = &applied {
            applied_there = is_there(applied).await?;
            applied_below = clone.descends(&head.commit, applied).await?;
        }
        let pinned = match &self.brake.pinned {
            Some(pin) => Some(PinnedAt {
                there: is_there(&pin.commit).await?,
                commit: pin.commit.clone(),
            }),
            None => None,
        };
        Ok(Facts {
            head: head.commit,
            branch: head.branch,
            upstream,
            head_there,
            head_was_there,
            applied,
            applied_there,
            applied_below,
            edits: clone.edits().await?,
            pinned,
            suspended: self.brake.suspended.is_some(),
            verifies: self.options.verify,
            verdicts: BTreeMap::new(),
        })
    }

    /// Reads anew what lies here, and which branch that follows.
    async fn follow(&mut self, head: &Head) -> Result<(), GitError> {
        self.state.commit.clone_from(&head.commit);
        self.state.subject.clone_from(&head.subject);
        let tracking = match &head.branch {
            Some(branch) => self.clone.tracking(branch).await?,
            // A commit by itself follows what its branch followed.
            None => self.tracking.clone(),
        };
        if let Some(tracking) = &tracking {
            let address = self.clone.address(&tracking.remote).await?;
            self.clone.hide(&address);
            self.state.remote = words::without_credentials(&address);
            tracking.branch().clone_into(&mut self.state.branch);
        } else if let Some(branch) = &head.branch {
            let short = branch.strip_prefix("refs/heads/").unwrap_or(branch);
            short.clone_into(&mut self.state.branch);
        }
        self.tracking = tracking;
        self.state.upstream = match self.clone.upstream(self.tracking.as_ref()).await? {
            Upstream::At(commit) => Some(commit),
            Upstream::None | Upstream::Unseen => None,
        };
        self.state.applied = self.clone.kept(Kept::Applied).await?;
        self.state.pinned.clone_from(&self.brake.pinned);
        Ok(())
    }

    /// Sets or clears the hold.
    fn tell(&mut self, decision: Decision, now: Timestamp) {
        self.state.hold = match decision {
            Decision::Hold(hold) => Some(self.held(&hold, now)),
            Decision::UpToDate | Decision::Forward(_) | Decision::Pin(_) | Decision::Verify(_) => {
                None
            }
        };
    }

    /// Git could not be asked, so nothing is known of the files.
    fn lose(&mut self, error: &GitError, now: Timestamp) {
        self.usable = false;
        let hold = Hold::Unreadable(crate::history::chain(error));
        self.state.hold = Some(self.held(&hold, now));
    }

    /// A hold as it is shown: the same one stands since it began.
    fn held(&self, hold: &Hold, now: Timestamp) -> GitHoldState {
        let before = self.state.hold.as_ref();
        let same = before.filter(|before| before.reason == hold.code());
        GitHoldState {
            reason: hold.code().to_owned(),
            text: hold.text(Place {
                folder: self.clone.folder().as_str(),
                branch: &self.state.branch,
            }),
            since: same.map_or_else(|| now.to_string(), |same| same.since.clone()),
        }
    }
}

fn words_of(error: &GitError) -> String {
    match error {
        GitError::Refused { words, .. } => words.clone(),
        other => crate::history::chain(other),
    }
}
