//! What every `--help` has to be like, asked of whatever verbs there are.

use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory as _, Parser as _, ValueEnum as _};

use super::Cli;
use super::config::SchemaOf;

/// The most columns a line has.
const COLUMNS: usize = 80;

/// Every verb with its path, such as `binary list`.
fn verbs() -> Vec<(String, Command)> {
    fn walk(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let path = format!("{path} {}", verb.get_name()).trim().to_owned();
            if path.rsplit(' ').next() != Some("help") {
                walk(verb, &path, found);
                found.push((path, verb.clone()));
            }
        }
    }
    let mut whole = Cli::command();
    whole.build();
    let mut found = Vec::new();
    walk(&whole, "", &mut found);
    found.push((String::new(), whole));
    found
}

/// What stands below the options.
fn after(command: &Command) -> String {
    let after = command.get_after_long_help().or(command.get_after_help());
    after.map(ToString::to_string).unwrap_or_default()
}

/// The command lines in the section of examples, up to where a shell would take over.
fn examples(command: &Command) -> Vec<Vec<String>> {
    let after = after(command);
    let lines = after
        .lines()
        .skip_while(|line| !line.starts_with("Examples"))
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '));
    let calls = lines.filter_map(|line| {
        let code = line.split(" #").next().unwrap_or(line);
        Some(words(&code[code.find("llama-orch ")?..]))
    });
    calls.collect()
}

/// The words of a line as a shell would split them, up to a pipe, a redirection or the like.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '|' | '>' | '<' | ';' | '&' | ')') => break,
            (None, ' ') => words.push(String::new()),
            (_, c) => words.last_mut().expect("there is one").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn each_verb_and_each_argument_says_what_it_is_for() {
    let mut wrong = Vec::new();
    let mut check = |what: String, text: Option<String>| match text {
        None => wrong.push(format!("{what} has no help: write a `///` line above it")),
        Some(text) => {
            let first = text.lines().next().unwrap_or_default().to_owned();
            if first.ends_with('.') {
                wrong.push(format!(
                    "{what}: its first line ends with a full stop: {first}"
                ));
            }
            if !first.starts_with(|c: char| c.is_uppercase() || c == '`') {
                wrong.push(format!("{what}: begins in lower case: {first}"));
            }
        }
    };
    for (path, verb) in verbs() {
        if !path.is_empty() {
            check(
                format!("`{path}`"),
                verb.get_about().map(ToString::to_string),
            );
        }
        let shown = |argument: &&Arg| !argument.is_hide_set();
        for argument in verb.get_arguments().filter(shown) {
            let help = argument.get_help().map(ToString::to_string);
            check(format!("`{path}` {}", argument.get_id()), help);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_verb_shows_examples_that_can_be_typed() {
    let mut wrong = Vec::new();
    for (path, verb) in verbs() {
        let examples = examples(&verb);
        let is_leaf = !verb.has_subcommands();
        if is_leaf && examples.is_empty() {
            wrong.push(format!(
                "`{path}` has no examples: give its arguments #[command(after_help = EXAMPLES)] \
                 with a text that begins with `Examples:` and has a line `  llama-orch {path} ...`"
            ));
        }
        for words in &examples {
            let line = words.join(" ");
            if let Err(error) = Cli::try_parse_from(words) {
                wrong.push(format!(
                    "`{path}`: its example `{line}` cannot be typed: {error}"
                ));
            }
        }
        let named = |words: &&Vec<String>| words.join(" ").contains(&path);
        if is_leaf && !examples.is_empty() && !examples.iter().any(|words| named(&words)) {
            wrong.push(format!("`{path}`: none of its examples is one of it"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_line_of_help_is_wider_than_a_terminal() {
    let mut wrong = Vec::new();
    for (path, verb) in verbs() {
        let mut shown = verb.clone().term_width(COLUMNS);
        for text in [
            // Wrapped by the program, which would tear an example apart.
            after(&verb),
            shown.render_help().to_string(),
            shown.render_long_help().to_string(),
        ] {
            let wide = text.lines().filter(|line| line.chars().count() > COLUMNS);
            wrong.extend(wide.map(|line| format!("`{path}`: {line}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_document_for_programs_has_a_schema_and_names_it() {
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    for (path, verb) in verbs() {
        let Some(json) = verb.get_arguments().find(|one| one.get_id() == "json") else {
            continue;
        };
        let help = json.get_help().map(ToString::to_string).unwrap_or_default();
        let of = help.split("`config schema ").nth(1);
        let of = of
            .and_then(|rest| rest.split('`').next())
            .unwrap_or_default();
        match SchemaOf::from_str(of, false) {
            Ok(_) => drop(named.insert(of.to_owned())),
            Err(_) => wrong.push(format!(
                "`{path} --json`: say (`config schema WHAT` prints its schema) in its help, \
                 with a WHAT that SchemaOf in cli/config.rs has"
            )),
        }
    }
    for of in SchemaOf::value_variants() {
        let value = of.to_possible_value().expect("none is skipped");
        // Written by people, handed to a command, and served by the page.
        let is_printed = !matches!(
            of,
            SchemaOf::Manifest | SchemaOf::Notice | SchemaOf::Snapshot
        );
        if is_printed && !named.contains(value.get_name()) {
            wrong.push(format!(
                "no verb prints what `config schema {}` is of",
                value.get_name()
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_verb_that_needs_more_than_a_line_says_more() {
    // A comment on the variant would hide what its arguments say of themselves.
    for (path, verb) in verbs() {
        if ["status", "health", "describe", "rollback", "logs"].contains(&path.as_str()) {
            assert!(
                verb.get_long_about().is_some(),
                "`{path}` has lost its long text"
            );
        }
    }
}

#[test]
fn the_tree_of_verbs_is_sound() {
    Cli::command().debug_assert();
}
