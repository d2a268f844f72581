//! `man`: a page for each verb, which the system's own formatter has nothing to say about.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use camino::Utf8Path;

use crate::support::sandbox::Sandbox;

/// The pages that have to be there: one for each line that a verb has in a `--help`.
fn verbs(sandbox: &Sandbox, path: &[String], found: &mut BTreeSet<String>) {
    let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = sandbox.run(&arguments).stdout;
    found.insert(format!(
        "{}.1",
        [&["llama-orch".to_owned()], path].concat().join("-")
    ));
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let verb = line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with(' '));
        if let Some(verb) = verb.and_then(|line| line.split(' ').next())
            && verb != "help"
        {
            verbs(sandbox, &[path, &[verb.to_owned()]].concat(), found);
        }
    }
}

#[test]
fn each_verb_has_a_page_that_renders_without_a_warning() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&["man", "--dir", "pages/man1"]);
    output.assert_code(0).assert_says("pages/man1");
    assert_eq!(output.stdout, "");
    let mut expected = BTreeSet::new();
    verbs(&sandbox, &[], &mut expected);
    assert!(expected.len() > 20, "{expected:?}");
    let folder = sandbox.path("pages/man1");
    let files = folder.read_dir_utf8().expect("readable").flatten();
    let files: BTreeSet<String> = files.map(|file| file.file_name().to_owned()).collect();
    assert_eq!(files, expected);
    assert_eq!(
        sandbox.run(&["man"]).stdout,
        sandbox.read("pages/man1/llama-orch.1")
    );

    let mut looked = 0;
    for file in &files {
        for formatter in [
            &["groff", "-man", "-ww", "-z", "-Tutf8"][..],
            &["mandoc", "-T", "lint", "-W", "warning"],
        ] {
            looked += usize::from(is_silent(formatter, &folder.join(file)));
        }
    }
    if looked == 0 {
        println!("skipped: there is neither groff nor mandoc");
    }
    let page = sandbox.read("pages/man1/llama-orch-health.1");
    assert!(page.contains("LLAMA_ORCH_ROOT"), "{page}");
    for heading in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "EXIT CODES"] {
        assert!(
            page.contains(&format!(".SH {heading}"))
                || page.contains(&format!(".SH \"{heading}\"")),
            "{heading}: {page}"
        );
    }
}

/// Whether a formatter is there; where it is, it has to have nothing to say.
fn is_silent(formatter: &[&str], page: &Utf8Path) -> bool {
    let output = Command::new(formatter[0])
        .args(&formatter[1..])
        .arg(page)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else { return false };
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{formatter:?} {page}: {}",
        String::from_utf8_lossy(&said)
    );
    true
}
