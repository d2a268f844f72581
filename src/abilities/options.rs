//! Reads the options in what `llama-server --help` prints, and finds those of an argv among them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A help that lists fewer is not one of `llama-server`.
const FEWEST: usize = 20;

/// Descriptions that go on below the option stand further to the right.
const DEEPEST: usize = 4;

/// The options a build takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<String, Takes>);

/// Whether an option takes the argument that follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Takes {
    Nothing,
    /// Where that is not an option itself.
    Perhaps,
    Value,
    /// It is listed only to say that it is taken no more, and what is in its stead.
    Removed(Option<String>),
}

/// What llama.cpp says of such an option (`common/arg.cpp`, since b8400).
const REMOVED: &str = "the argument has been removed";

impl Options {
    /// The options that a help lists, in the layouts llama.cpp has had since 2023:
    ///
    /// ```text
    /// -c,    --ctx-size N                     size of the prompt context
    /// --perf, --no-perf                       whether to measure
    ///   -ngl N, --n-gpu-layers N
    ///                         number of layers to store in VRAM
    /// ```
    ///
    /// `None` where it is not such a help.
    pub fn parse(help: &str) -> Option<Self> {
        let mut options = BTreeMap::new();
        let mut last = Vec::new();
        let mut lines = help.lines().peekable();
        while let Some(line) = lines.next() {
            let found = listed(line);
            if !found.is_empty() {
                last = found.iter().map(|(name, _)| name.clone()).collect();
                options.extend(found);
            }
            if let Some((_, rest)) = line.split_once(REMOVED) {
                // What is in its stead may stand on the line below.
                let below = lines.peek().copied().unwrap_or_default();
                let mut words = rest.split_whitespace().chain(below.split_whitespace());
                let instead = words.find(|word| is_option(word) && word.bytes().all(is_of_a_name));
                let takes = Takes::Removed(instead.map(str::to_owned));
                options.extend(last.drain(..).map(|name| (name, takes.clone())));
            }
        }
        (options.len() >= FEWEST).then_some(Self(options))
    }

    /// The arguments that are options and not among these. A value that looks like an option is one
    /// where the option before it takes a value.
    pub(super) fn unknown<'a>(&self, arguments: &'a [String]) -> Vec<&'a str> {
        let mut unknown = Vec::new();
        let mut takes_next = false;
        for argument in arguments {
            if std::mem::take(&mut takes_next) || !is_option(argument) {
                continue;
            }
            match self.find(argument) {
                // Written as one argument, its value has come already.
                Some(Takes::Value) => takes_next = !argument.contains('='),
                Some(Takes::Nothing | Takes::Perhaps) => {}
                Some(Takes::Removed(_)) | None => unknown.push(argument.as_str()),
            }
        }
        unknown
    }

    /// Whether the build takes this option.
    pub fn knows(&self, option: &str) -> bool {
        !matches!(self.find(option), Some(Takes::Removed(_)) | None)
    }

    fn find(&self, argument: &str) -> Option<&Takes> {
        let option = head(argument);
        self.0.get(option).or_else(|| {
            // llama.cpp itself takes `--main_gpu` for `--main-gpu` (common/arg.cpp).
            let dashed = option.starts_with("--").then(|| option.replace('_', "-"));
            self.0.get(&dashed?)
        })
    }

    /// What to write for an option that is not known: what the help says is in its stead, or the most
    /// similar one, which goes on from it or differs in a few letters.
    pub(super) fn nearest(&self, argument: &str) -> Option<String> {
        if let Some(Takes::Removed(instead)) = self.find(argument) {
            return instead.clone().filter(|instead| self.knows(instead));
        }
        let wanted = head(argument).replace('_', "-");
        let taken = self.0.keys().filter(|known| self.knows(known));
        let near = taken.filter_map(|known| {
            let distance = strsim::damerau_levenshtein(&wanted, known);
            let goes_on = wanted.len() > 3 && known.starts_with(&format!("{wanted}-"));
            (goes_on || distance * 4 <= wanted.len()).then_some((!goes_on, distance, known))
        });
        near.min().map(|(.., known)| known.clone())
    }
}

/// The option of an argument, without the value of `--option=value`.
pub(super) fn head(argument: &str) -> &str {
    argument.split('=').next().unwrap_or(argument)
}

/// `-c` and `--ctx-size`, and not `-1`, `-` or `--`.
fn is_option(text: &str) -> bool {
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
    name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// The options one line of a help lists, and whether they take a value. Each can have a hint at its
/// value; the description stands two blanks away.
fn listed(line: &str) -> Vec<(String, Takes)> {
    let text = line.trim_start();
    if line.len() - text.len() > DEEPEST {
        return Vec::new();
    }
    let mut names = Vec::new();
    let mut takes = Takes::Nothing;
    let mut rest = text;
    loop {
        let word = rest.split(' ').next().unwrap_or_default();
        let name = word.trim_end_matches(',');
        if !is_option(name) || !name.bytes().all(is_of_a_name) {
            break;
        }
        names.push(name.to_owned());
        rest = &rest[word.len()..];
        if !word.ends_with(',') {
            let Some(hint) = rest.strip_prefix(' ') else {
                break;
            };
            let hint = hint.split("  ").next().unwrap_or_default();
            if !hint.is_empty() {
                takes = if hint.starts_with('[') && hint.contains('|') {
                    Takes::Perhaps
                } else {
                    Takes::Value
                };
            }
            // Old builds have a hint behind each name.
            let Some(comma) = hint.find(", -") else {
                break;
            };
            rest = &rest[" ".len() + comma + ", ".len()..];
        }
        rest = rest.trim_start();
    }
    names
        .into_iter()
        .map(|name| (name, takes.clone()))
        .collect()
}

const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}
