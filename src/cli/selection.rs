//! Which instances a verb is about: those of a name, a glob or a tag, or every one.
//!
//! What there is to choose from is the verb's to say; what is not found is met with what there is.

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::Args;
use glob::Pattern;
use llama_orch::instance::InstanceName;
use llama_orch::manifest::Manifest;

use super::diagnostic::{Failure, Kind};

/// The instances that a verb changes, to be said in exactly one way.
#[derive(Debug, Args)]
#[group(id = "selection", required = true, multiple = false)]
pub(super) struct Selection {
    /// Instances by name, or by a pattern of `*`, `?` and `[ab]` in quotes
    #[arg(value_name = "NAME")]
    names: Vec<Called>,
    /// The instances with this tag; repeat it for those with any of several
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Every instance
    #[arg(long)]
    all: bool,
}

impl Selection {
    /// The instances that are meant. Tags need a manifest that can be read.
    pub(super) fn among(
        &self,
        known: &BTreeSet<InstanceName>,
        manifest: Option<&Manifest>,
    ) -> Result<BTreeSet<InstanceName>, Failure> {
        if self.all {
            return Ok(known.clone());
        }
        chosen(&self.names, &self.tags, known, manifest)
    }

    /// Whether an instance is asked for by its whole name.
    pub(super) fn spells_out(&self, name: &InstanceName) -> bool {
        let is_it = |called: &Called| matches!(called, Called::Name(other) if other == name);
        self.names.iter().any(is_it)
    }
}

/// The instances that a verb is narrowed to, where it is.
#[derive(Debug, Args)]
#[group(id = "narrowing", multiple = false)]
pub(super) struct Narrowing {
    /// Only these instances, by name or by a pattern of `*`, `?` and `[ab]` in quotes
    #[arg(value_name = "NAME")]
    names: Vec<Called>,
    /// Only instances with this tag; repeat it for those with any of several
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

impl Narrowing {
    /// Whether it narrows nothing.
    pub(super) const fn is_everything(&self) -> bool {
        self.names.is_empty() && self.tags.is_empty()
    }

    /// The instances that are meant; `None` where every one is.
    pub(super) fn among(
        &self,
        known: &BTreeSet<InstanceName>,
        manifest: Option<&Manifest>,
    ) -> Result<Option<BTreeSet<InstanceName>>, Failure> {
        if self.is_everything() {
            return Ok(None);
        }
        chosen(&self.names, &self.tags, known, manifest).map(Some)
    }
}

/// What instances are called: a name, or a pattern that names match.
#[derive(Debug, Clone)]
pub(super) enum Called {
    Name(InstanceName),
    Like(Pattern),
}

impl FromStr for Called {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // None of these can stand in a name.
        if text.contains(['*', '?', '[']) {
            let pattern = Pattern::new(text);
            pattern
                .map(Self::Like)
                .map_err(|error| error.msg.to_owned())
        } else {
            let name = text.parse::<InstanceName>();
            name.map(Self::Name).map_err(|error| error.to_string())
        }
    }
}

fn chosen(
    names: &[Called],
    tags: &[String],
    known: &BTreeSet<InstanceName>,
    manifest: Option<&Manifest>,
) -> Result<BTreeSet<InstanceName>, Failure> {
    let mut chosen = BTreeSet::new();
    for called in names {
        match called {
            Called::Name(name) => chosen.extend(among(std::slice::from_ref(name), known)?),
            Called::Like(pattern) => chosen.extend(matching(pattern, known)?),
        }
    }
    for tag in tags {
        let Some(manifest) = manifest else {
            let message = format!("cannot tell which instances have the tag `{tag}`");
            let hint = "tags stand in orchestrator.yaml alone; `llama-orch config validate` says why it cannot be read";
            return Err(Failure::new(Kind::Invalid, message).hint(hint));
        };
        chosen.extend(tagged(tag, known, manifest)?);
    }
    Ok(chosen)
}

/// The names as a set, every one of which has to be known.
pub(super) fn among(
    names: &[InstanceName],
    known: &BTreeSet<InstanceName>,
) -> Result<BTreeSet<InstanceName>, Failure> {
    for name in names {
        if !known.contains(name) {
            let near = known
                .iter()
                .map(|other| {
                    (
                        strsim::damerau_levenshtein(name.as_str(), other.as_str()),
                        other,
                    )
                })
                .filter(|(distance, _)| *distance <= 2)
                .min();
            let hint = match near {
                Some((_, other)) => format!("did you mean `{other}`?"),
                None => there_are(known),
            };
            return Err(
                Failure::new(Kind::Usage, format!("there is no instance `{name}`")).hint(hint),
            );
        }
    }
    Ok(names.iter().cloned().collect())
}

/// The instances whose name matches a pattern, of which there has to be one.
fn matching(
    pattern: &Pattern,
    known: &BTreeSet<InstanceName>,
) -> Result<BTreeSet<InstanceName>, Failure> {
    let matching = known.iter().filter(|name| pattern.matches(name.as_str()));
    let matching: BTreeSet<InstanceName> = matching.cloned().collect();
    if matching.is_empty() {
        let message = format!("no instance has a name like `{pattern}`");
        return Err(Failure::new(Kind::Usage, message).hint(there_are(known)));
    }
    Ok(matching)
}

/// The instances with a tag, of which there has to be one.
fn tagged(
    tag: &str,
    known: &BTreeSet<InstanceName>,
    manifest: &Manifest,
) -> Result<BTreeSet<InstanceName>, Failure> {
    let instances = manifest.instances.iter();
    let tagged = instances.filter(|(_, instance)| instance.tags.contains(tag));
    let tagged: BTreeSet<InstanceName> = tagged.map(|(name, _)| name.clone()).collect();
    if !tagged.is_empty() {
        return Ok(tagged.intersection(known).cloned().collect());
    }
    let instances = manifest.instances.values();
    let tags: BTreeSet<&str> = instances
        .flat_map(|instance| instance.tags.iter().map(String::as_str))
        .collect();
    let hint = if tags.is_empty() {
        "no instance has tags".to_owned()
    } else {
        format!("there are {}", listed(tags))
    };
    let message = format!("no instance has the tag `{tag}`");
    Err(Failure::new(Kind::Usage, message).hint(hint))
}

fn there_are(known: &BTreeSet<InstanceName>) -> String {
    if known.is_empty() {
        "there are no instances yet".to_owned()
    } else {
        format!(
            "there are {}",
            listed(known.iter().map(InstanceName::as_str))
        )
    }
}

fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}
