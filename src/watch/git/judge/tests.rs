//! Tables of what becomes of a clone.

use super::{
    Ancestry, Decision, Facts, Judgement, LocalEdit, Offender, PinnedAt, Range, Upstream, Verdict,
    judge,
};

/// Up to date at `a`, which was applied.
fn settled() -> Facts {
    Facts {
        head: "a".to_owned(),
        branch: Some("refs/heads/main".to_owned()),
        upstream: Upstream::At("a".to_owned()),
        head_there: Ancestry::Yes,
        head_was_there: true,
        applied: Some("a".to_owned()),
        applied_there: Ancestry::Yes,
        applied_below: Ancestry::Yes,
        edits: Vec::new(),
        pinned: None,
        suspended: false,
        verifies: false,
        verdicts: [].into(),
    }
}

/// The same with `b` pushed on top of it.
fn behind() -> Facts {
    Facts {
        upstream: Upstream::At("b".to_owned()),
        ..settled()
    }
}

fn pinned(there: Ancestry) -> Facts {
    Facts {
        pinned: Some(PinnedAt {
            commit: "p".to_owned(),
            there,
        }),
        ..behind()
    }
}

/// `up to date`, `forward b`, `hold rewritten`, and whether the files may be gone by.
fn shown(facts: &Facts) -> String {
    let Judgement { decision, usable } = judge(facts);
    let decision = match decision {
        Decision::UpToDate => "up to date".to_owned(),
        Decision::Forward(to) => format!("forward {to}"),
        Decision::Pin(to) => format!("pin {to}"),
        Decision::Verify(Range { since, to }) => {
            format!("verify {}..{to}", since.unwrap_or_default())
        }
        Decision::Hold(hold) => format!("hold {}", hold.code()),
    };
    let files = if usable { "usable" } else { "not usable" };
    format!("{decision}, {files}")
}

#[track_caller]
fn assert_table(cases: Vec<(&str, Facts, &str)>) {
    for (what, facts, expected) in cases {
        assert_eq!(shown(&facts), expected, "{what}");
    }
}

#[test]
fn it_goes_forward_and_nowhere_else() {
    assert_table(vec![
        ("nothing is new", settled(), "up to date, usable"),
        ("a commit came", behind(), "forward b, usable"),
        (
            "for the first time",
            Facts {
                applied: None,
                ..behind()
            },
            "forward b, usable",
        ),
        (
            "it was taken, and no pass has been made of it yet",
            Facts {
                head: "b".to_owned(),
                ..behind()
            },
            "up to date, usable",
        ),
        (
            "a person went behind what was applied",
            Facts {
                head: "z".to_owned(),
                applied_below: Ancestry::No,
                upstream: Upstream::At("a".to_owned()),
                ..settled()
            },
            "forward a, not usable",
        ),
        (
            "the branch there went back, or elsewhere",
            Facts {
                applied_there: Ancestry::No,
                head_there: Ancestry::No,
                ..behind()
            },
            "hold rewritten, usable",
        ),
        (
            "it was rewritten before a first pass",
            Facts {
                applied: None,
                head_there: Ancestry::No,
                ..behind()
            },
            "hold rewritten, not usable",
        ),
        (
            "a person brought the clone to the rewritten history by hand",
            Facts {
                head: "b".to_owned(),
                applied_there: Ancestry::No,
                applied_below: Ancestry::No,
                ..behind()
            },
            "hold rewritten, not usable",
        ),
        (
            "somebody committed here",
            Facts {
                head: "c".to_owned(),
                head_there: Ancestry::No,
                head_was_there: false,
                ..behind()
            },
            "hold local_commits, not usable",
        ),
    ]);
}

#[test]
fn what_cannot_be_told_is_a_hold() {
    let unknown = Facts {
        head_there: Ancestry::Unknown,
        applied_there: Ancestry::Unknown,
        ..behind()
    };
    assert_table(vec![
        (
            "the history is cut off",
            unknown.clone(),
            "hold shallow, usable",
        ),
        (
            "a first pass over a history that is cut off",
            Facts {
                applied: None,
                applied_there: Ancestry::Yes,
                ..unknown.clone()
            },
            "hold shallow, not usable",
        ),
        (
            "no branch",
            Facts {
                branch: None,
                ..behind()
            },
            "hold detached, usable",
        ),
        (
            "a branch that follows none",
            Facts {
                upstream: Upstream::None,
                ..unknown.clone()
            },
            "hold no_upstream, usable",
        ),
        (
            "one that was never fetched",
            Facts {
                upstream: Upstream::Unseen,
                ..unknown
            },
            "hold unseen, usable",
        ),
        (
            "an edit, whatever else there is",
            Facts {
                edits: vec![LocalEdit {
                    path: "x".to_owned(),
                    is_tracked: true,
                }],
                ..pinned(Ancestry::Yes)
            },
            "hold local_edits, not usable",
        ),
    ]);
}

#[test]
fn a_person_may_hold_it_anywhere_in_the_branch() {
    let there = pinned(Ancestry::Yes);
    let at_pin = Facts {
        head: "p".to_owned(),
        applied_below: Ancestry::No,
        ..there.clone()
    };
    assert_table(vec![
        ("it is elsewhere", there.clone(), "pin p, usable"),
        ("it is there", at_pin.clone(), "up to date, usable"),
        (
            "there, and the branch was rewritten",
            Facts {
                applied_there: Ancestry::No,
                head_there: Ancestry::No,
                ..at_pin
            },
            "up to date, usable",
        ),
        (
            "elsewhere, and the branch was rewritten to have it",
            Facts {
                applied_there: Ancestry::No,
                head_there: Ancestry::No,
                ..there.clone()
            },
            "pin p, usable",
        ),
        (
            "no branch is checked out",
            Facts {
                branch: None,
                ..there.clone()
            },
            "pin p, usable",
        ),
        (
            "it is gone from the branch",
            pinned(Ancestry::No),
            "hold pin_not_there, usable",
        ),
        (
            "nobody can tell",
            pinned(Ancestry::Unknown),
            "hold shallow, usable",
        ),
        (
            "commits made here would be left behind",
            Facts {
                head: "c".to_owned(),
                head_there: Ancestry::No,
                head_was_there: false,
                ..there.clone()
            },
            "hold local_commits, not usable",
        ),
        (
            "watch is suspended as well",
            Facts {
                suspended: true,
                ..there
            },
            "hold suspended, usable",
        ),
        (
            "watch is suspended, and a commit came",
            Facts {
                suspended: true,
                ..behind()
            },
            "hold suspended, usable",
        ),
        (
            "watch is suspended, and nothing came",
            Facts {
                suspended: true,
                ..settled()
            },
            "up to date, usable",
        ),
    ]);
}

/// With what git said of some ranges.
fn verifying(facts: Facts, verdicts: &[(&str, &str, bool)]) -> Facts {
    let verdicts = verdicts.iter().map(|(since, to, good)| {
        let range = Range {
            since: (!since.is_empty()).then(|| (*since).to_owned()),
            to: (*to).to_owned(),
        };
        let bad = Offender {
            commit: (*to).to_owned(),
            author: "Ada".to_owned(),
            words: "no".to_owned(),
        };
        let verdict = if *good {
            Verdict::Good
        } else {
            Verdict::Bad(bad)
        };
        (range, verdict)
    });
    Facts {
        verifies: true,
        verdicts: verdicts.collect(),
        ..facts
    }
}

#[test]
fn where_that_is_asked_for_nothing_unsigned_is_taken_or_gone_by() {
    let first = || Facts {
        applied: None,
        ..behind()
    };
    let pulled = || Facts {
        head: "b".to_owned(),
        ..behind()
    };
    let first_pin = || Facts {
        applied: None,
        ..pinned(Ancestry::Yes)
    };
    assert_table(vec![
        (
            "what was applied is not asked about again",
            verifying(settled(), &[]),
            "up to date, usable",
        ),
        (
            "what is new is",
            verifying(behind(), &[]),
            "verify a..b, usable",
        ),
        (
            "it is good",
            verifying(behind(), &[("a", "b", true)]),
            "forward b, usable",
        ),
        (
            "it is not",
            verifying(behind(), &[("a", "b", false)]),
            "hold unsigned, usable",
        ),
        (
            "at first what lies here is asked about by itself",
            verifying(first(), &[]),
            "verify ..a, not usable",
        ),
        (
            "then what follows",
            verifying(first(), &[("", "a", true)]),
            "verify a..b, usable",
        ),
        (
            "both are good",
            verifying(first(), &[("", "a", true), ("a", "b", true)]),
            "forward b, usable",
        ),
        (
            "what lies here is not",
            verifying(first(), &[("", "a", false)]),
            "hold unsigned, not usable",
        ),
        (
            "somebody pulled it by hand",
            verifying(pulled(), &[]),
            "verify a..b, not usable",
        ),
        (
            "which makes it no better",
            verifying(pulled(), &[("a", "b", false)]),
            "hold unsigned, not usable",
        ),
        (
            "a pin is asked about as well",
            verifying(pinned(Ancestry::Yes), &[]),
            "verify a..p, usable",
        ),
        (
            "and no way round it",
            verifying(pinned(Ancestry::Yes), &[("a", "p", false)]),
            "hold unsigned, usable",
        ),
        (
            "at first by itself",
            verifying(first_pin(), &[("", "a", false)]),
            "verify ..p, not usable",
        ),
        (
            "at first, and it leads away from what is not good",
            verifying(
                first_pin(),
                &[("", "a", false), ("", "p", true), ("a", "p", true)],
            ),
            "pin p, not usable",
        ),
        (
            "while watch is suspended nothing is asked",
            verifying(
                Facts {
                    suspended: true,
                    ..behind()
                },
                &[],
            ),
            "hold suspended, usable",
        ),
    ]);
}
