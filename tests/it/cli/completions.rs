//! `completions`: what shells are offered, by the words they ask with and through a real one.

use std::process::Command;

use insta::assert_snapshot;

use crate::support::sandbox::{Output, Sandbox};
use crate::support::tree::Tree;

/// A root with two instances that have tags, of which one is applied and proven.
fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::with(&[1001, 1002], &[("chat", 1001), ("embed", 1002)]);
    sandbox.edit(
        "version: b1001 }",
        "version: b1001 }\n    tags: [gpu0, big]",
    );
    sandbox.edit("version: b1002 }", "version: b1002 }\n    tags: [gpu0]");
    sandbox.set("LLAMA_ORCH_OFFLINE", "1");
    sandbox
}

/// Asks for the last of the words, as a shell does.
fn ask(sandbox: &Sandbox, shell: &str, words: &[&str]) -> Output {
    let mut arguments = vec!["--", "llama-orch"];
    arguments.extend(words);
    let mut command = sandbox.command(&arguments);
    command
        .env("COMPLETE", shell)
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n");
    Output::of(&mut command)
}

/// What bash is offered, without options.
#[track_caller]
fn offered(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let output = ask(sandbox, "bash", words);
    output.assert_code(0);
    assert_eq!(output.stderr, "");
    let lines = output.stdout.lines().filter(|line| !line.starts_with('-'));
    lines.map(str::to_owned).collect()
}

#[test]
fn names_and_tags_come_from_the_root_that_the_line_leads_to() {
    let sandbox = sandbox();
    let before = Tree::of(sandbox.root.as_std_path(), |_| false);
    for verb in ["status", "down", "logs", "rollback", "describe"] {
        assert_eq!(offered(&sandbox, &[verb, ""]), ["chat", "embed"], "{verb}");
    }
    assert_eq!(offered(&sandbox, &["down", "chat", "e"]), ["embed"]);
    assert_eq!(offered(&sandbox, &["status", "--tag", ""]), ["big", "gpu0"]);
    assert_eq!(offered(&sandbox, &["sta"]), ["status"]);
    assert_eq!(
        offered(&sandbox, &["config", "schema", "binary-l"]),
        ["binary-list", "binary-latest"]
    );

    // From elsewhere: nothing there, and all of it by `-C` and by the variable.
    let root = sandbox.root.as_str();
    let elsewhere = |words: &[&str], variable: &str| {
        let mut arguments = vec!["--", "llama-orch"];
        arguments.extend(words);
        let mut command = sandbox.command(&arguments);
        command
            .current_dir("/")
            .env("COMPLETE", "fish")
            .env("LLAMA_ORCH_ROOT", variable);
        let output = Output::of(&mut command);
        output.assert_code(0);
        assert_eq!(output.stderr, "");
        let lines = output.stdout.split_inclusive('\n');
        lines
            .filter(|line| !line.starts_with('-'))
            .collect::<String>()
    };
    assert_snapshot!(elsewhere(&["-C", root, "describe", ""], "/nowhere"), @r"
    chat	b1001
    embed	b1002
    ");
    assert_snapshot!(elsewhere(&["describe", ""], root), @r"
    chat	b1001
    embed	b1002
    ");
    assert_snapshot!(elsewhere(&["describe", ""], "/nowhere"), @"");
    before.assert_same(&Tree::of(sandbox.root.as_std_path(), |_| false));
}

#[test]
fn a_manifest_in_the_middle_of_being_edited_still_names_its_instances() {
    let sandbox = sandbox();
    sandbox.edit("binary: { version: b1001", "binry: { version: b1001");
    assert_eq!(offered(&sandbox, &["up", ""]), ["chat", "embed"]);
    assert_eq!(offered(&sandbox, &["status", "--tag", "g"]), ["gpu0"]);
    // What is no YAML at all names nothing, and says nothing.
    sandbox.write("orchestrator.yaml", "instances: {");
    assert!(offered(&sandbox, &["up", ""]).is_empty());
    assert_eq!(offered(&sandbox, &["binary", "inf"]), ["info"]);
    // What has left a trace is known still.
    sandbox.write(".llama-orch/instances/old/record.json", "{");
    assert_eq!(offered(&sandbox, &["down", ""]), ["old"]);
    assert!(offered(&sandbox, &["rollback", "old", "--to", ""]).is_empty());
}

#[test]
fn builds_are_offered_by_id_and_name_where_they_can_be_meant() {
    let mut sandbox = sandbox();
    sandbox.unset("LLAMA_ORCH_OFFLINE");
    sandbox.edit("min_healthy: 0", "min_healthy: 0, prove_after: 0");
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    let list = sandbox.run(&["binary", "list", "--json"]).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let id_of = |build: &str| {
        let binaries = list["binaries"].as_array().expect("a list").iter();
        let found = binaries.clone().find(|one| one["build"] == build);
        found.expect("installed")["short_id"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let (first, second) = (id_of("b1001"), id_of("b1002"));
    for verb in ["info", "remove", "verify"] {
        let mut found = offered(&sandbox, &["binary", verb, ""]);
        found.sort();
        let mut all = vec![
            first.clone(),
            second.clone(),
            "b1001".into(),
            "b1002".into(),
        ];
        all.sort();
        assert_eq!(found, all, "{verb}");
        let by_prefix = offered(&sandbox, &["binary", verb, &first[..6]]);
        assert_eq!(by_prefix.join(" "), first);
    }
    // In the order in which they were installed.
    let mut versions = offered(&sandbox, &["binary", "install", ""]);
    assert_eq!(versions[..2], ["stable", "nightly"]);
    versions[2..].sort();
    assert_eq!(versions[2..], ["b1001", "b1002"]);
    sandbox.wait("chat is proven", || {
        sandbox.state("chat").is_some_and(|state| state.proven)
    });
    // The next pass puts that on record.
    sandbox.run(&["apply", "--quiet"]).assert_code(0);
    assert_eq!(
        offered(&sandbox, &["rollback", "chat", "--to", ""]),
        ["b1001", first.as_str()]
    );
}

#[test]
fn each_shell_is_answered_in_its_own_form() {
    let sandbox = sandbox();
    assert_snapshot!(ask(&sandbox, "fish", &["logs", "c"]), @r"
    exit code 0
    --- stdout
    chat	b1001
    ");
    assert_snapshot!(ask(&sandbox, "zsh", &["logs", "c"]), @r"
    exit code 0
    --- stdout
    chat:b1001
    ");
    assert_snapshot!(ask(&sandbox, "powershell", &["logs", "c"]), @r"
    exit code 0
    --- stdout
    chat	b1001
    ");
    assert_snapshot!(ask(&sandbox, "elvish", &["logs", "c"]), @r"
    exit code 0
    --- stdout
    chat
    ");
    // The variable of somebody else, and a run that is no question.
    for (shell, arguments) in [("yes", &["--version"][..]), ("bash", &["--version"])] {
        let mut command = sandbox.command(arguments);
        let output = Output::of(command.env("COMPLETE", shell));
        output.assert_code(0).assert_says("llama-orch 0.");
    }
}

#[test]
fn each_script_says_where_it_belongs() {
    let sandbox = sandbox();
    for (shell, file) in [
        ("bash", "~/.bashrc"),
        ("zsh", "~/.zshrc"),
        ("fish", "config.fish"),
        ("powershell", "$PROFILE"),
        ("elvish", "rc.elv"),
    ] {
        let output = sandbox.run(&["completions", shell]);
        output
            .assert_code(0)
            .assert_says(file)
            .assert_says("COMPLETE");
        assert_eq!(output.stderr, "");
    }
    let zsh = sandbox.run(&["completions", "zsh"]).stdout;
    assert!(zsh.starts_with("#compdef llama-orch\n"), "{zsh}");
    sandbox.run(&["completions", "tcsh"]).assert_code(64);
}

#[test]
fn a_real_bash_completes() {
    let sandbox = sandbox();
    let script = r#"
source <("$PROGRAM" completions bash) || exit
complete -p llama-orch
typed() {
    COMP_WORDS=(llama-orch "$@") COMP_CWORD=$# COMP_TYPE=9 COMPREPLY=()
    _clap_complete_llama_orch llama-orch "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    echo "$* -> ${COMPREPLY[*]}"
}
typed des
typed describe c
typed status --tag b
typed -C "$PWD" down chat em
"#;
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", script])
        .current_dir(&sandbox.root)
        .env("PROGRAM", env!("CARGO_BIN_EXE_llama-orch"))
        .env_remove("LLAMA_ORCH_ROOT")
        .output();
    match output {
        Ok(output) => assert_snapshot!(Output::from(output), @r"
        exit code 0
        --- stdout
        complete -o bashdefault -o nosort -o nospace -F _clap_complete_llama_orch llama-orch
        des -> describe
        describe c -> chat
        status --tag b -> big
        -C [ROOT] down chat em -> embed
        "),
        Err(error) => println!("skipped: there is no bash: {error}"),
    }
}
