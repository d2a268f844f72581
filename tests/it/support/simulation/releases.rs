//! A release source in memory: it has the builds a story has published, and answers what resolving
//! asks.

use std::collections::BTreeSet;

use llama_orch::desired::{Answer, Question, Unanswered};
use llama_orch::release::{Asset, Digest, Release, Tag};

/// The builds that were published.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    published: BTreeSet<Tag>,
    /// The build the newest stable release names.
    pub(crate) stable: Option<Tag>,
    /// Whether it cannot be reached.
    pub(crate) unreachable: bool,
    /// How often it was asked since somebody wanted to know.
    pub(crate) asked: usize,
}

impl Releases {
    /// A build comes out.
    pub(crate) fn publish(&mut self, tag: Tag) {
        self.published.insert(tag);
    }

    /// Answers, or says why not.
    pub(crate) fn answer(&mut self, question: Question) -> Result<Answer, Unanswered> {
        self.asked += 1;
        let no = |why: String| Unanswered::Source {
            why,
            hint: None,
            unreachable: self.unreachable,
        };
        if self.unreachable {
            return Err(no("the release source is out of reach".to_owned()));
        }
        match question {
            Question::NewestStable => self
                .stable
                .map(|tag| Answer::Stable { release: None, tag })
                .ok_or_else(|| no("there is no stable release".to_owned())),
            Question::TagOf(version) => Err(no(format!("there is no release `{version}`"))),
            Question::Assets(tag) if self.published.contains(&tag) => {
                Ok(Answer::Assets(release(tag)))
            }
            Question::Assets(tag) => Err(no(format!("there is no release `{tag}`"))),
            Question::Recent => {
                let newest_first = self.published.iter().rev();
                let releases = newest_first.map(|tag| release(*tag));
                Ok(Answer::Releases(releases.collect()))
            }
        }
    }
}

fn release(tag: Tag) -> Release {
    Release {
        tag,
        assets: assets(tag),
        uploading: false,
        published: None,
    }
}

fn assets(tag: Tag) -> Vec<Asset> {
    let asset = |(flavour, size)| {
        let name = format!("llama-{tag}-bin-{flavour}.tar.gz");
        Asset {
            digest: Some(Digest::of(&name)),
            name,
            size,
        }
    };
    [
        ("ubuntu-x64", 14_680_064),
        ("ubuntu-vulkan-x64", 31_247_565),
    ]
    .map(asset)
    .into()
}
