//! What all verbs have in common: width, colours, quiet, and times for machines.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox};

/// The columns of the terminal.
const COLUMNS: usize = 80;

/// From this length on a word stays in one piece, wherever that leads: a path, a URL, a digest.
const UNBREAKABLE: usize = 36;

/// A root where something of everything is to be told: `chat` failed to go to another build and runs
/// the one before, `embed` is down, `vision` has no model.
fn populated() -> Sandbox {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001), ("embed", 1001)]);
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let reason = "the card is wanted for something else until the evaluation has come to its end";
    sandbox
        .run(&["down", "embed", "--quiet", "--reason", reason])
        .assert_code(0);
    sandbox.publish(1002, "--standin-exit 1\n");
    sandbox.write_instances(&[("chat", 1002), ("embed", 1001), ("vision", 1001)]);
    sandbox.edit(
        "  vision:\n",
        "  vision:\n    model: { path: models/a-model-that-nobody-has-fetched-yet-Q4_K_M.gguf }\n",
    );
    sandbox.edit("version: b1002 }", "version: b1002 }\n    tags: [gpu0]");
    sandbox.run(&["apply", "--quiet"]).assert_code(1);
    sandbox.wait_running("chat");
    sandbox
}

/// Lines that a terminal would have to tear.
fn torn(output: &Output) -> Vec<String> {
    let lines = output.stdout.lines().chain(output.stderr.lines());
    let is_torn = |line: &&str| {
        let longest = line
            .split_whitespace()
            .map(|word| word.chars().count())
            .max();
        line.chars().count() > COLUMNS && longest < Some(UNBREAKABLE)
    };
    lines.filter(is_torn).map(str::to_owned).collect()
}

#[test]
fn every_line_fits_a_terminal_of_80_columns() {
    let mut sandbox = populated();
    sandbox.set("COLUMNS", "80");
    let mut wrong = Vec::new();
    let mut look = |sandbox: &Sandbox, arguments: &[&str]| {
        let output = sandbox.run(arguments);
        let torn = torn(&output).into_iter();
        wrong.extend(torn.map(|line| format!("{}: {line}", arguments.join(" "))));
    };
    for line in [
        "plan",
        "plan -v",
        "apply",
        "status",
        "status --wide",
        "status vison",
        "status --tag gpu1",
        "describe chat",
        "describe embed",
        "describe vision",
        "health",
        "history",
        "rollback chat",
        "logs vision",
        "binary list",
        "binary info b1001",
        "binary info b1003",
        "binary latest",
        "binary verify",
        "binary prune --dry-run",
        "binary remove b1001",
        "config show",
        "config validate",
        "completions tcsh",
    ] {
        look(&sandbox, &line.split(' ').collect::<Vec<_>>());
    }
    sandbox.edit(
        "tags: [gpu0]",
        "tagged: [gpu0, a-tag, another-tag, and-one-more]",
    );
    for verb in ["plan", "status", "health", "binary list"] {
        look(&sandbox, &verb.split(' ').collect::<Vec<_>>());
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn quiet_leaves_data_and_errors() {
    let sandbox = populated();
    for line in [
        "plan",
        "history",
        "binary list",
        "config show",
        "config validate",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let said = sandbox.run(&arguments);
        let quiet = sandbox.run(&[&arguments[..], &["--quiet"]].concat());
        assert_eq!(quiet.code, said.code, "{line}");
        assert_eq!(
            quiet.stdout.lines().count(),
            said.stdout.lines().count(),
            "{line}"
        );
        assert!(
            quiet.stderr.is_empty() || quiet.code != Some(0),
            "{line}: {quiet}"
        );
    }
    sandbox.edit("b1002", "b1001");
    sandbox.edit("  vision:", "  vision:\n    enabled: false");
    let applied = sandbox.run(&["apply", "--quiet", "--yes"]);
    assert_eq!(applied.stderr, "", "{applied}");
    // What went wrong is told all the same.
    sandbox
        .run(&["status", "chta", "-q"])
        .assert_says("did you mean");
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let mut sandbox = Sandbox::with(&[1001], &[("chat", 1001)]);
    let is_coloured = |sandbox: &Sandbox| {
        let plan = sandbox.run(&["plan"]).stdout.contains('\x1b');
        let error = sandbox.run(&["status", "nobody"]).stderr.contains('\x1b');
        let help = sandbox.run(&["--help"]).stdout.contains('\x1b');
        assert_eq!((plan, plan), (error, help), "all streams alike");
        plan
    };
    assert!(!is_coloured(&sandbox), "a pipe");
    sandbox.set("CLICOLOR_FORCE", "1");
    assert!(is_coloured(&sandbox), "somebody asked");
    sandbox.set("NO_COLOR", "1");
    assert!(!is_coloured(&sandbox), "somebody asked not to");
    sandbox.unset("CLICOLOR_FORCE");
    assert!(!is_coloured(&sandbox), "somebody asked not to, and a pipe");
    // Documents never have any.
    sandbox.unset("NO_COLOR");
    sandbox.set("CLICOLOR_FORCE", "1");
    let json = sandbox.run(&["plan", "--json"]).stdout;
    serde_json::from_str::<Value>(&json).expect("JSON");
}

#[test]
fn what_is_too_wide_for_a_table_becomes_sections() {
    let mut sandbox = populated();
    let header = |output: &Output| output.stdout.lines().next().map(str::to_owned);
    let wide = header(&sandbox.run(&["status", "--wide"]));
    assert!(wide.is_some_and(|line| line.ends_with("PROCESS")));
    sandbox.set("COLUMNS", "80");
    let narrow = sandbox.run(&["status", "--wide"]);
    assert_eq!(header(&narrow).as_deref(), Some("chat"), "{narrow}");
    narrow
        .assert_says("\n  state           running\n")
        .assert_says("\n\nembed\n");
    // Without being asked for all of it, the last columns are left out.
    let short = header(&sandbox.run(&["status"])).unwrap_or_default();
    assert!(
        short.starts_with("NAME") && short.len() <= COLUMNS,
        "{short}"
    );
}

/// Every text in a document that stands for a moment, by its key.
fn moments<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if key == "at" || key.ends_with("_at") => found.push(text),
                    _ => moments(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| moments(item, found)),
        _ => {}
    }
}

#[test]
fn machines_get_moments_in_rfc_3339_and_people_by_the_clock() {
    let sandbox = populated();
    for line in [
        "status --json",
        "describe chat --json",
        "health --json",
        "history --json -n 1",
        "binary list --json",
        "binary info b1001 --json",
        "plan --json",
    ] {
        let output = sandbox.run(&line.split(' ').collect::<Vec<_>>());
        let document: Value = serde_json::from_str(&output.stdout).expect("JSON");
        let mut found = Vec::new();
        moments(&document, &mut found);
        for text in &found {
            assert!(text.parse::<jiff::Timestamp>().is_ok(), "{line}: {text}");
        }
        assert!(
            !found.is_empty() || line.starts_with("plan"),
            "{line} says no moment"
        );
    }
    let output = sandbox.run(&["history", "-n", "1"]);
    let heading = output.stdout.lines().next().unwrap_or_default();
    assert_snapshot!(heading, @"[DATE], [TIME] ago  apply  [TIME]");
    let info = sandbox.run(&["binary", "info", "b1001"]).stdout;
    let installed = info.lines().find(|line| line.contains("installed"));
    assert_snapshot!(installed.unwrap_or_default(), @"  installed       [DATE], [TIME] ago");
}
