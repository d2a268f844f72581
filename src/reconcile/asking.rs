//! Questions and answers: resolving says what it has to know, and the source is asked for that,
//! until nothing is open.

use std::collections::BTreeSet;

use super::Loaded;
use crate::desired::resolve::{Answers, InstalledBuild, Terms};
use crate::desired::{Question, Unanswered};
use crate::install;
use crate::registry::Registry;
use crate::release::source::{AnySource, ReleaseSource as _};
use crate::root::Root;

/// Rounds of questions before a source is taken to answer in circles.
const MOST_ROUNDS: usize = 5;

impl Loaded {
    /// Repeats `step`, and asks the source for what it needs in between. The last round forbids
    /// further questions.
    pub(super) async fn asking<T>(
        &self,
        source: &AnySource,
        answers: &mut Answers,
        terms: Terms,
        step: impl Fn(&Answers, Terms) -> Result<T, BTreeSet<Question>>,
    ) -> T {
        for round in 0..=MOST_ROUNDS {
            let terms = Terms {
                locked: terms.locked || round == MOST_ROUNDS,
                ..terms
            };
            match step(answers, terms) {
                Ok(value) => return value,
                Err(questions) => {
                    if !terms.offline {
                        self.make_room(source);
                    }
                    for question in questions {
                        let answer = source.answer(&question).await;
                        answers.note(question, answer.map_err(Unanswered::from));
                    }
                }
            }
        }
        unreachable!("a locked round asks nothing")
    }

    /// Answers are kept in `.llama-orch/`, which is nothing to insist on.
    fn make_room(&self, source: &AnySource) {
        if matches!(source, AnySource::GitHub(_)) && self.root.check_writable(false).is_ok() {
            let _ = self.root.create_state();
        }
    }
}

/// The builds of a registry that resolving can choose from; an entry whose version is no build's
/// name cannot be pinned but by its id.
pub(super) fn installed(root: &Root, registry: &Registry) -> Vec<InstalledBuild> {
    let bins = root.bins();
    registry
        .entries()
        .iter()
        .filter_map(|entry| {
            Some(InstalledBuild {
                id: entry.id,
                aliases: entry.aliases.clone(),
                build: entry.version.parse().ok()?,
                variant: entry.variant.clone(),
                digest: entry.digest(),
                companions: entry.companions.iter().map(|one| one.sha256).collect(),
                damaged: install::damage(&bins, entry).is_some(),
            })
        })
        .collect()
}
