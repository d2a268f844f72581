//! What becomes of a clone: from what is known of its commits, whether it is up to date, goes forward, goes
//! to where a person pinned it, or is held and why.
//!
//! Values only. What is known is found out, and what is decided is done, by [`super::Checkout`].

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::hold::Hold;

/// Whether one commit lies in the history of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It cannot be told: the history is cut off before, or there is no other.
    Unknown,
}

/// The branch elsewhere that the one here follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// There is none.
    None,
    /// It is named, and nothing is known of it.
    Unseen,
    /// Its newest commit, as it was last fetched.
    At(String),
}

/// A commit that a person pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedAt {
    /// Which.
    pub commit: String,
    /// Whether it lies in the history of the branch there.
    pub there: Ancestry,
}

/// Commits whose signatures count together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// Those in its history do not count. `None`: the last one alone counts.
    pub since: Option<String>,
    /// The last one.
    pub to: String,
}

/// What git says of the signatures of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Each is signed by somebody git trusts.
    Good,
    /// One is not.
    Bad(Offender),
}

/// A commit without a signature git trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offender {
    /// Which.
    pub commit: String,
    /// Who wrote it, as it says itself.
    pub author: String,
    /// What git says, in one line.
    pub words: String,
}

/// What is known of a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The commit that lies in the work tree.
    pub head: String,
    /// The branch that is checked out. `None`: a commit is, by itself.
    pub branch: Option<String>,
    /// What that follows.
    pub upstream: Upstream,
    /// Whether `head` lies in the history of the branch there.
    pub head_there: Ancestry,
    /// Whether it did so at an earlier fetch.
    pub head_was_there: bool,
    /// The newest commit a pass was carried out on.
    pub applied: Option<String>,
    /// Whether that lies in the history of the branch there.
    pub applied_there: Ancestry,
    /// Whether it lies in the history of `head`.
    pub applied_below: Ancestry,
    /// What was edited here.
    pub edits: Vec<LocalEdit>,
    /// Where a person holds it.
    pub pinned: Option<PinnedAt>,
    /// Whether a person suspended watch.
    pub suspended: bool,
    /// Whether every commit has to be signed.
    pub verifies: bool,
    /// What git said of signatures so far.
    pub verdicts: BTreeMap<Range, Verdict>,
}

/// A file that is not as the commit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalEdit {
    /// Its path in the clone.
    pub path: String,
    /// Whether the commit has it at all.
    pub is_tracked: bool,
}

/// What becomes of the clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is to be done.
    UpToDate,
    /// It goes forward to a commit of its branch.
    Forward(String),
    /// It goes to where a person pinned it.
    Pin(String),
    /// The signatures of these have to be looked at before more can be said.
    Verify(Range),
    /// It stays.
    Hold(Hold),
}

/// What becomes of the clone, and what the files in it are worth as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What becomes of it.
    pub decision: Decision,
    /// Whether a pass may go by the files that lie there.
    pub usable: bool,
}

/// Decides.
pub fn judge(facts: &Facts) -> Judgement {
    if !facts.edits.is_empty() {
        return Judgement {
            decision: Decision::Hold(Hold::LocalEdits(facts.edits.clone())),
            usable: false,
        };
    }
    match here(facts) {
        Here::Ask(range) => Judgement {
            decision: Decision::Verify(range),
            usable: false,
        },
        Here::Usable => Judgement {
            decision: next(facts, None),
            usable: true,
        },
        Here::NotUsable(offender) => Judgement {
            decision: next(facts, offender),
            usable: false,
        },
    }
}

/// What the commit that lies here is worth.
enum Here {
    Usable,
    NotUsable(Option<Offender>),
    Ask(Range),
}

fn here(facts: &Facts) -> Here {
    let head = &facts.head;
    if facts.applied.as_ref() == Some(head) {
        return Here::Usable;
    }
    let is_pinned = facts.pinned.as_ref().is_some_and(|pin| pin.commit == *head);
    let follows = match &facts.applied {
        None => facts.head_there == Ancestry::Yes,
        Some(_) => facts.head_there == Ancestry::Yes && facts.applied_below == Ancestry::Yes,
    };
    if !is_pinned && !follows {
        return Here::NotUsable(None);
    }
    let range = Range {
        since: facts.applied.clone(),
        to: head.clone(),
    };
    match verdict(facts, &range) {
        Some(Verdict::Good) => Here::Usable,
        Some(Verdict::Bad(offender)) => Here::NotUsable(Some(offender)),
        None => Here::Ask(range),
    }
}

fn verdict(facts: &Facts, range: &Range) -> Option<Verdict> {
    if facts.verifies {
        facts.verdicts.get(range).cloned()
    } else {
        Some(Verdict::Good)
    }
}

fn next(facts: &Facts, offender: Option<Offender>) -> Decision {
    let unsigned = |offender| Decision::Hold(Hold::Unsigned(offender));
    match &facts.pinned {
        Some(pin) if pin.commit == facts.head => {
            return offender.map_or(Decision::UpToDate, unsigned);
        }
        Some(pin) => return to_pin(facts, pin),
        None => {}
    }
    if facts.branch.is_none() {
        return Decision::Hold(Hold::Detached);
    }
    let upstream = match &facts.upstream {
        Upstream::None => return Decision::Hold(Hold::NoUpstream),
        Upstream::Unseen => return Decision::Hold(Hold::Unseen),
        Upstream::At(commit) => commit,
    };
    let applied_there = match facts.applied {
        Some(_) => facts.applied_there,
        None => Ancestry::Yes,
    };
    match (applied_there, facts.head_there) {
        (Ancestry::No, _) => return Decision::Hold(Hold::Rewritten(upstream.clone())),
        (_, Ancestry::No) if facts.head_was_there => {
            return Decision::Hold(Hold::Rewritten(upstream.clone()));
        }
        (_, Ancestry::No) => return Decision::Hold(Hold::LocalCommits),
        (Ancestry::Unknown, _) | (_, Ancestry::Unknown) => {
            return Decision::Hold(Hold::Shallow);
        }
        (Ancestry::Yes, Ancestry::Yes) => {}
    }
    // Whatever comes after it, what lies here would have to be verified first.
    if let Some(offender) = offender {
        return unsigned(offender);
    }
    if *upstream == facts.head {
        return Decision::UpToDate;
    }
    let since = facts.applied.as_ref().unwrap_or(&facts.head);
    verified(facts, since, upstream, Decision::Forward(upstream.clone()))
}

fn to_pin(facts: &Facts, pin: &PinnedAt) -> Decision {
    match pin.there {
        Ancestry::Yes => {}
        Ancestry::No => return Decision::Hold(Hold::PinNotThere(pin.commit.clone())),
        Ancestry::Unknown if facts.upstream == Upstream::None => {
            return Decision::Hold(Hold::NoUpstream);
        }
        Ancestry::Unknown => return Decision::Hold(Hold::Shallow),
    }
    let is_known = facts.applied.as_ref() == Some(&facts.head)
        || facts.head_there == Ancestry::Yes
        || facts.head_was_there;
    // They would be on no branch any more.
    if !is_known {
        return Decision::Hold(Hold::LocalCommits);
    }
    let moved = Decision::Pin(pin.commit.clone());
    if let Some(applied) = &facts.applied {
        return verified(facts, applied, &pin.commit, moved);
    }
    // Nothing is trusted yet, so what lies before counts for nothing, and the commit itself has to do.
    let alone = Range {
        since: None,
        to: pin.commit.clone(),
    };
    match verdict(facts, &alone) {
        Some(Verdict::Good) => verified(facts, &facts.head, &pin.commit, moved),
        Some(Verdict::Bad(offender)) => Decision::Hold(Hold::Unsigned(offender)),
        None => Decision::Verify(alone),
    }
}

/// The move, where nobody suspended watch and every commit is signed.
fn verified(facts: &Facts, since: &str, to: &str, moved: Decision) -> Decision {
    if facts.suspended {
        return Decision::Hold(Hold::Suspended(to.to_owned()));
    }
    let range = Range {
        since: Some(since.to_owned()),
        to: to.to_owned(),
    };
    match verdict(facts, &range) {
        Some(Verdict::Good) => moved,
        Some(Verdict::Bad(offender)) => Decision::Hold(Hold::Unsigned(offender)),
        None => Decision::Verify(range),
    }
}
