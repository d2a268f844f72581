//! The core is pure: reads its files and fails on any path that reaches the clock, the disk, the
//! network, a process or a module of the shell. Clippy's list of methods is the other half; what a
//! method of a value does behind its name is left to that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The core: files, and folders with everything below them.
const CORE: &[&str] = &[
    "abilities.rs",
    "abilities",
    "manifest.rs",
    "manifest",
    "lock.rs",
    "lock",
    "desired.rs",
    "desired",
    "gguf.rs",
    "observed.rs",
    "plan.rs",
    "plan",
    "describe.rs",
    "describe",
    "doctor.rs",
    "doctor",
    "health.rs",
    "migrate.rs",
    "migrate/builds.rs",
    "migrate/config.rs",
    "migrate/document.rs",
    "migrate/manifest.rs",
    "migrate/pin.rs",
    "migrate/running.rs",
    "status.rs",
    "status",
    "release.rs",
    "release/variant.rs",
    "release/variant",
    "release/host.rs",
    "release/host/consider.rs",
    "release/host/finding.rs",
    "release/host/glibc.rs",
    "instance.rs",
    "instance/record.rs",
    "instance/state.rs",
    "instance/backoff.rs",
    "service.rs",
    "service",
    "watch/notice.rs",
    "watch/notice",
    "watch/attempts.rs",
    "watch/schedule.rs",
    "watch/git/hold.rs",
    "watch/git/judge.rs",
    "watch/git/words.rs",
];

/// What the core may not name, and what that would let it do.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "the disk"),
    ("std::net", "the network"),
    ("std::process", "processes"),
    ("std::env", "the environment"),
    ("std::thread", "threads"),
    ("std::time::Instant", "the clock"),
    ("std::time::SystemTime", "the clock"),
    ("tokio", "a runtime"),
    ("reqwest", "the network"),
    ("rustix", "the system"),
    ("libc", "the system"),
    ("windows_sys", "the system"),
    ("tempfile", "the disk"),
    ("jiff::Timestamp::now", "the clock"),
    ("jiff::Zoned::now", "the clock"),
    ("crate::apply", "the shell"),
    ("crate::backend", "the shell"),
    ("crate::durable", "the shell"),
    ("crate::history", "the shell"),
    ("crate::install", "the shell"),
    ("crate::instance::census", "the shell"),
    ("crate::instance::folder", "the shell"),
    ("crate::instance::gate", "the shell"),
    ("crate::instance::identity", "the shell"),
    ("crate::instance::listener", "the shell"),
    ("crate::instance::log", "the shell"),
    ("crate::instance::orders", "the shell"),
    ("crate::instance::probe", "the shell"),
    ("crate::instance::process", "the shell"),
    ("crate::instance::supervisor", "the shell"),
    ("crate::instance::waiting", "the shell"),
    ("crate::kill_point", "the shell"),
    ("crate::linkage", "the shell"),
    ("crate::migrate::carry", "the shell"),
    ("crate::migrate::journal", "the shell"),
    ("crate::migrate::look", "the shell"),
    ("crate::reconcile", "the shell"),
    ("crate::registry", "the shell"),
    ("crate::release::directory", "the shell"),
    ("crate::release::github", "the shell"),
    ("crate::release::host::detect", "the shell"),
    ("crate::release::http", "the shell"),
    ("crate::release::source", "the shell"),
    ("crate::root", "the shell"),
];

/// What is named all the same, by file, and why that is harmless. An entry that is not used fails.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "instance/state.rs",
        "crate::instance::identity::ProcessIdentity",
        "a plain value in `state.json`; looking for the process it names is a method the core never calls",
    ),
    (
        "doctor/servers.rs",
        "std::net::IpAddr",
        "a plain value: where somebody listens",
    ),
    (
        "observed.rs",
        "std::net::IpAddr",
        "a plain value: where somebody listens",
    ),
    (
        "plan/ports.rs",
        "std::net::IpAddr",
        "a plain value: where somebody listens",
    ),
];

#[test]
fn the_core_reaches_nothing_outside_itself() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut excused = BTreeSet::new();
    let files = core_files(&source);
    assert!(files.len() > 40, "the core has more files than {files:?}");
    for file in files {
        let text = std::fs::read_to_string(source.join(&file)).expect("a file of the core");
        for breach in breaches(&file, &text) {
            let excuse = ALLOWED
                .iter()
                .find(|(allowed, path, _)| *allowed == file && *path == breach.path);
            match excuse {
                Some(excuse) => drop(excused.insert(excuse)),
                None => found.push(format!("src/{file}:{breach}")),
            }
        }
    }
    assert!(
        found.is_empty(),
        "the core is not pure:\n{}",
        found.join("\n")
    );
    assert_eq!(excused.len(), ALLOWED.len(), "an exception nobody needs");
}

/// The files of the core, relative to `src`, without those that hold its tests.
fn core_files(source: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut left: Vec<PathBuf> = CORE.iter().map(|entry| source.join(entry)).collect();
    while let Some(path) = left.pop() {
        let name = path.file_stem().and_then(|name| name.to_str());
        if name == Some("tests") {
            continue;
        }
        if path.is_dir() {
            let entries = path.read_dir().expect("a folder of the core");
            left.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            let file = path.strip_prefix(source).expect("a path below `src`");
            files.push(file.to_str().expect("a name in UTF-8").replace('\\', "/"));
        }
    }
    files.sort();
    files
}

/// One place where the core names what it may not.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    line: usize,
    path: String,
    reaches: &'static str,
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: `{}` reaches {}", self.line, self.path, self.reaches)
    }
}

/// Every forbidden path that a file names, imports and expressions alike.
fn breaches(file: &str, text: &str) -> Vec<Breach> {
    let tokens = tokens(&code_of(text));
    let mut named = Vec::new();
    let mut imported = BTreeMap::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" {
            at += 1;
            let mut tree = Vec::new();
            import(&tokens, &mut at, &[], &mut tree);
            for (path, line) in tree {
                if let Some(last) = path.last() {
                    imported.insert(last.clone(), path.clone());
                }
                named.push((path, line));
            }
        } else if is_name(&tokens[at].text) {
            let line = tokens[at].line;
            let mut path = vec![tokens[at].text.clone()];
            while tokens.get(at + 1).is_some_and(|token| token.text == "::")
                && tokens.get(at + 2).is_some_and(|token| is_name(&token.text))
            {
                path.push(tokens[at + 2].text.clone());
                at += 2;
            }
            // A call names its type by what was imported: `Timestamp::now`.
            if path.len() > 1
                && let Some(full) = imported.get(&path[0])
            {
                path.splice(0..1, full.iter().cloned());
            }
            if path.len() > 1 {
                named.push((path, line));
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    let module = module_of(file);
    let mut breaches: Vec<Breach> = named
        .into_iter()
        .filter_map(|(path, line)| {
            let path = absolute(&module, path).join("::");
            let (_, reaches) = FORBIDDEN.iter().find(|(forbidden, _)| {
                path.strip_prefix(forbidden)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            })?;
            Some(Breach {
                line,
                path,
                reaches,
            })
        })
        .collect();
    breaches.sort_by_key(|breach| breach.line);
    breaches
}

/// `plan/action/hold.rs` is `crate::plan::action::hold`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    std::iter::once("crate")
        .chain(path.split('/'))
        .map(str::to_owned)
        .collect()
}

/// A path with its `self` and `super` resolved.
fn absolute(module: &[String], path: Vec<String>) -> Vec<String> {
    let mut base = match path[0].as_str() {
        "self" | "super" => module.to_vec(),
        _ => return path,
    };
    let mut rest = path.into_iter().peekable();
    while let Some(step) = rest.next_if(|step| step == "self" || step == "super") {
        if step == "super" {
            base.pop();
        }
    }
    base.extend(rest);
    base
}

/// Reads one tree of a `use`, from behind the word to behind its end.
fn import(
    tokens: &[Token],
    at: &mut usize,
    prefix: &[String],
    found: &mut Vec<(Vec<String>, usize)>,
) {
    let mut path = prefix.to_vec();
    let mut is_group = false;
    let mut line = tokens.get(*at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(*at) {
        match token.text.as_str() {
            ";" | "," | "}" => break,
            "::" => {}
            "as" => *at += 1,
            "{" => {
                is_group = true;
                *at += 1;
                while tokens.get(*at).is_some_and(|token| token.text != "}") {
                    import(tokens, at, &path, found);
                    if tokens.get(*at).is_some_and(|token| token.text == ",") {
                        *at += 1;
                    }
                    if tokens.get(*at).is_none_or(|token| token.text == ";") {
                        return;
                    }
                }
            }
            "self" if !path.is_empty() => {}
            name => {
                line = token.line;
                path.push(name.to_owned());
            }
        }
        *at += 1;
    }
    if !is_group && !path.is_empty() {
        found.push((path, line));
    }
}

#[derive(Debug)]
struct Token {
    text: String,
    line: usize,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::`, and every other sign by itself.
fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let in_name = |c: char| c.is_alphanumeric() || c == '_';
            let length = if in_name(first) {
                rest.find(|c| !in_name(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token {
                text: rest[..length].to_owned(),
                line: index + 1,
            });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// The text without comments, what stands in quotes, and the tests at its end. Lines stay where
/// they are.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = quoted(rest).filter(|_| !code.ends_with(char::is_alphanumeric))
        {
            length
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(rest[..length].chars().filter(|c| *c == '\n'));
        rest = &rest[length..];
    }
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(tests) => code[..tests].to_owned(),
        None => code,
    }
}

/// The length of the literal that begins here: text, raw text, bytes or a character.
fn quoted(text: &str) -> Option<usize> {
    let bare = text.strip_prefix('b').unwrap_or(text);
    let prefix = text.len() - bare.len();
    if let Some(raw) = bare.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let body_length = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(prefix + 1 + hashes + 1 + body_length);
    }
    let quote = bare.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    let body = &bare[1..];
    if quote == '\'' && !body.starts_with('\\') && body.chars().nth(1) != Some('\'') {
        return None; // A lifetime.
    }
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(prefix + 1 + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// What a file of the core with this text would be told, one line each.
fn told(file: &str, text: &str) -> Vec<String> {
    let breaches = breaches(file, text);
    breaches.iter().map(ToString::to_string).collect()
}

#[test]
fn a_planted_breach_is_found_wherever_it_hides() {
    let planted = r#"
//! std::fs in the header is prose.
use std::{collections::BTreeMap, fs::{self as disk, File}};
use super::super::durable;
use jiff::Timestamp;

fn now<'a>(quote: char) -> Timestamp {
    let _ = ("std::net", '"', quote); // std::thread
    let _ = crate::instance::process::Process::spawn();
    Timestamp::now()
}
"#;
    assert_eq!(
        told("plan/decide.rs", planted),
        [
            "3: `std::fs` reaches the disk",
            "3: `std::fs::File` reaches the disk",
            "4: `crate::durable` reaches the shell",
            "9: `crate::instance::process::Process::spawn` reaches the shell",
            "10: `jiff::Timestamp::now` reaches the clock",
        ]
    );
}

#[test]
fn tests_prose_and_names_that_only_begin_alike_are_no_breach() {
    let innocent = r#"
use std::time::Duration;
use crate::installs::Build;
use super::state::Restarts;

/// See [`crate::backend`].
const HELP: &str = r"tokio::spawn";
mod detect;

#[cfg(test)]
mod tests {
    use std::fs;
}
"#;
    assert_eq!(told("instance/backoff.rs", innocent), Vec::<String>::new());
}
